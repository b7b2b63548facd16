"""Attempts at the partitions of a frame, interleaved as a schedule says; there is no engine."""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from celonis_frames import Celonis
from celonis_frames._distributed.parts import PartResult, WritePlan, stage_part
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.detached import (
    DetachedPush,
    Engine,
    begin_detached,
    finish_detached,
)
from celonis_frames._push.status import PushStatus
from celonis_frames.exceptions import ConfigError

ENGINE = Engine("Engine", "its function sha2", "Engine DataFrame")
HOLDER = "application app-1"
BATCH_ROWS = 4_096
"""Smaller batches would be joined."""
SCHEMA = pa.schema([("ID", pa.int64()), ("T", pa.string())])


def rows_of(part: int, count: int) -> pa.Table:
    """The rows of a partition, all different."""
    ids = [part * 100_000 + row for row in range(count)]
    return pa.table({"ID": ids, "T": [f"ä{one}" for one in ids]}, SCHEMA)


def options_of(celonis: Celonis, staging: Any, **options: Any) -> PushOptions:
    """The options of a push."""
    upload = {"chunk_bytes": "20 KB", **options.pop("upload", {})}
    return celonis._options({"staging": staging, "progress": False, "upload": upload, **options})


def begin(
    celonis: Celonis,
    options: PushOptions,
    table: str = "T",
    schema: pa.Schema = SCHEMA,
    **more: Any,
) -> DetachedPush:
    """Begin a push as one process does; what it returns goes through a pickle to the others."""
    way = celonis._way_of(options)
    begun = begin_detached(
        celonis._api, way, schema, "P", table, options, engine=ENGINE,
        **{"holder": HOLDER, **more},
    )  # fmt: skip
    return copied(begun)


def finish(
    celonis: Celonis, begun: DetachedPush, results: Sequence[PartResult], options: PushOptions
) -> PushStatus:
    """Finish a push as another process does."""
    way = celonis._way_of(options)
    return finish_detached(celonis._api, way, begun, copied(list(results)), options)


def staged(plan: WritePlan, parts: Sequence[pa.Table]) -> list[PartResult]:
    """One attempt at each partition, one after the other."""
    return [copied(stage_part(plan, part, rows)) for part, rows in enumerate(parts)]


def copied(value: Any) -> Any:
    """The value after a journey to another process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301  # its own


class Died(BaseException):
    """The process of an attempt ends."""


@dataclass
class Attempt:
    """One attempt at a partition, in a thread that goes on by a batch each time it gets its turn.

    Attributes:
        dies_after: Batches after which its process dies; None if it does not.
        result: What it returned.
    """

    plan: WritePlan
    part: int
    rows: pa.Table
    dies_after: int | None = None
    result: PartResult | None = None
    ended: bool = False
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _thread: threading.Thread | None = None

    def go_on(self) -> None:
        """Let it read, check and write until it wants its next batch, or has ended."""
        if self.ended:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run)
            self._thread.start()
        else:
            self._turn.release()
        self._waiting.acquire()
        if self.ended:
            self._thread.join()

    def go_to_the_end(self) -> None:
        """Let it go on to its end."""
        while not self.ended:
            self.go_on()

    def _run(self) -> None:
        try:
            reader = pa.RecordBatchReader.from_batches(SCHEMA, self._batches())
            # What a late attempt raises, nobody waits for: its folder may be gone.
            with contextlib.suppress(Died, ConfigError):
                self.result = copied(stage_part(self.plan, self.part, reader, "7.0"))
        finally:
            self.ended = True
            self._waiting.release()

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(self.rows.to_batches(max_chunksize=BATCH_ROWS)):
            self._waiting.release()
            self._turn.acquire()
            if number == self.dies_after:
                raise Died
            yield batch
