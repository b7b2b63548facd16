"""``df.write.format("celonis")``: the workers stage, and Spark's commit sends.

1. `BatchWriter.begin`, in a process of the driver, begins the stage and hands over its lease.
2. `write`, in each worker, stages a partition. It holds no key and knows no server.
3. `commit`, in another process of the driver, sends what the messages of the winning attempts name.
   If anything fails, Spark calls `abort` instead, or after it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Self

import pyarrow as pa
from pyspark.sql.datasource import DataSourceArrowWriter

from celonis_frames._push.detached import DetachedPush, abort_detached
from celonis_frames._spark.write_options import WriteOptions
from celonis_frames._spark.writing import StagedPart, begin, finish, stage_rows


class BatchWriter(DataSourceArrowWriter):  # type: ignore[misc]
    """One write. Spark pickles it: it holds no key."""

    def __init__(self, write: WriteOptions, begun: DetachedPush) -> None:
        self._write, self._begun = write, begun

    @classmethod
    def begin(cls, write: WriteOptions, schema: pa.Schema) -> Self:
        """Check what can be checked without the rows, and begin the stage.

        Raises:
            FrameError, ConfigError, ApiError: As `celonis_frames.push`.
        """
        holder = f"a Spark write into {write.table!r}, begun on {socket.gethostname()}"
        return cls(write, begin(write, schema, holder=holder))

    def write(self, iterator: Iterator[pa.RecordBatch]) -> StagedPart:
        """In a worker: stage a partition."""
        return StagedPart(stage_rows(self._begun.plan, iterator))

    def commit(self, messages: list[Any]) -> None:
        """Send what is staged.

        Raises:
            ConfigError, FrameError, ApiError, JobError: As `celonis_frames.push`.
        """
        results = [message.result for message in messages if isinstance(message, StagedPart)]
        finish(self._write, self._begun, results)

    def abort(self, messages: list[Any]) -> None:  # noqa: ARG002  # Spark's signature
        """Remove the stage, unless `resume` can finish the push."""
        abort_detached(self._begun, self._write.options)
