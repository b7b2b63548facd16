"""``df.writeStream.format("celonis")``: each batch is a push with an id, and so sent exactly once.

Spark numbers the batches of a query, and runs the last one again if it does not know that it was
committed. The id of a batch's push is made of the id of the query and the number of the batch. So
its workers know the folder of the stage without any process that begins it, and `commit` finds out
what an earlier commit of the same batch has left: nothing, a stage to finish, a job to follow, or a
receipt that says that all is done.

The checkpoint and the staging folder belong together: a new checkpoint is a new query.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSourceStreamArrowWriter

from celonis_frames._push.detached import DetachedPush
from celonis_frames._reporting.current import warn
from celonis_frames._sources.spark import task
from celonis_frames._spark.write_options import WriteOptions
from celonis_frames._spark.writing import StagedPart, begin, finish, stage_rows
from celonis_frames._staging.claim import StagePlace
from celonis_frames._staging.receipt import stage_name
from celonis_frames.exceptions import CelonisFramesError

KEPT_BATCHES = 10
"""Receipts of so many batches of a query stay; Spark runs none but the last one again."""

SHORTEST_TRIGGER = 60.0
"""Seconds between two batches, at least: a team may submit 250 jobs in an hour."""


@dataclass
class StagedBatchPart(StagedPart):
    """What a worker has staged of one partition of a batch.

    Attributes:
        query: Spark's id of the query, the same after a restart from its checkpoint.
        begun: The push as the workers know it; of the first partition only.
    """

    query: str
    begun: DetachedPush | None


class StreamWriter(DataSourceStreamArrowWriter):  # type: ignore[misc]
    """The batches of a stream. Spark makes it anew for each of them, to plan and to commit it.

    Nothing is looked up before it is pickled for the workers: to commit needs only what their
    messages hold.
    """

    def __init__(self, write: WriteOptions, schema: pa.Schema) -> None:
        self._write, self._schema = write, schema
        self._begun: DetachedPush | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What the workers get: with the types and lengths of the table as it is now."""
        if self._begun is None:
            self._begun = begin(self._write, self._schema, holder=None)
        return self.__dict__

    def write(self, iterator: Iterator[pa.RecordBatch]) -> StagedBatchPart:
        """In a worker: stage a partition of a batch."""
        begun, running = self._begun, task()
        assert begun is not None  # noqa: S101  # it was pickled
        query = running.getLocalProperty("sql.streaming.queryId")
        batch = int(running.getLocalProperty("streaming.sql.batchId"))
        folder = stage_name(_push_id(query, batch))
        found = stage_rows(begun.plan.in_folder(folder), iterator)
        return StagedBatchPart(found, query, begun if found.part == 0 else None)

    def commit(self, messages: list[Any], batchId: int) -> None:  # noqa: N803  # Spark's name
        """Send a batch, or finish what an earlier commit of it has begun.

        Raises:
            ConfigError, FrameError, ApiError, JobError: As `celonis_frames.push`.
        """
        parts = [message for message in messages if isinstance(message, StagedBatchPart)]
        begun = next((part.begun for part in parts if part.begun is not None), None)
        if begun is None:  # a batch without partitions
            return
        query, results = parts[0].query, [part.result for part in parts]
        findings = [one.findings for one in results]
        if all(found is not None and not found.rows for found in findings):
            left_out = sum(found.rejects.rows for found in findings if found is not None)
            if left_out:
                warn(
                    "%s: batch %d has no rows to send: onBad left out all %d of them.",
                    self._write.table, batchId, left_out,
                )  # fmt: skip
            self._forget(query, batchId, sent=False)  # a job without rows would change nothing
            return
        self._warn_of_haste(query, batchId)
        finish(self._write, begun, results, push_id=_push_id(query, batchId))
        if batchId >= KEPT_BATCHES:
            self._forget(query, batchId - KEPT_BATCHES, sent=True)

    def abort(self, messages: list[Any], batchId: int) -> None:  # noqa: N803
        """Nothing: Spark runs the batch again, and its commit finds what is left."""

    def _place(self, query: str, batch: int) -> StagePlace:
        call = self._write.call
        return StagePlace.of(call["staging"], _push_id(query, batch), call.get("storage_options"))

    def _forget(self, query: str, batch: int, *, sent: bool) -> None:
        """Remove what is left of a batch: the receipt if it was `sent`, and what is staged."""
        place = self._place(query, batch)
        try:
            if sent or place.is_staged():
                place.claim().release(forget=sent)
        except CelonisFramesError as error:
            warn("what is left of batch %d was not removed: %s", batch, error.message)
        finally:
            place.close()

    def _warn_of_haste(self, query: str, batch: int) -> None:
        """Log a warning if batches follow each other faster than a team may submit jobs."""
        place = self._place(query, batch - 1)
        try:
            earlier = place.receipt()
        except CelonisFramesError:
            return
        finally:
            place.close()
        if earlier is None:
            return
        seconds = (dt.datetime.now(dt.UTC) - earlier.when).total_seconds()
        if seconds < SHORTEST_TRIGGER:
            warn(
                "batch %d follows the one before after %.0f seconds. Each batch is a job, and a "
                "team may submit 250 jobs in an hour: set "
                'trigger(processingTime="%.0f seconds") or more.',
                batch, seconds, SHORTEST_TRIGGER,
            )  # fmt: skip


def _push_id(query: str, batch: int) -> str:
    return f"spark/{query}/{batch}"
