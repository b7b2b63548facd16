"""The data source ``celonis``, but its commit dies or fails at a step: option ``fault``.

The fault happens once, and is marked by a file: ``STEP:FOLDER``, or for a stream
``STEP:FOLDER:BATCH``.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from celonis_frames._push import pipeline
from celonis_frames._spark.batch_writer import BatchWriter
from celonis_frames._staging import stage as stages
from celonis_frames.spark import CelonisDataSource

try:
    from celonis_frames._spark.stream_writer import StreamWriter
except ImportError:  # Spark 4.0 has no such streams
    StreamWriter = object  # type: ignore[assignment, misc]


def _die(*_: Any, **__: Any) -> None:
    os._exit(9)


def _once(folder: str) -> bool:
    with suppress(FileExistsError):
        os.close(os.open(Path(folder) / "commit", os.O_CREAT | os.O_EXCL))
        return True
    return False


def _set(fault: str, batch: int = 0) -> None:
    """Let this process, which is Spark's own for the commit, die at the step."""
    step, folder, *number = fault.split(":")
    _count_listed(Path(folder))
    if (number and int(number[0]) != batch) or not _once(folder):
        return
    if step == "raises":
        raise RuntimeError("injected: commit")
    if step == "staged":
        _die()
    elif step == "sealed":
        pipeline.deliver = _die  # type: ignore[assignment]
    elif step == "submitted":
        pipeline.follow = _die  # type: ignore[assignment]
    elif step == "before the receipt":
        stages.Stage.finish = _die  # type: ignore[assignment, method-assign]
    elif step == "after the receipt":
        stages.Stage.close = _die  # type: ignore[method-assign]
    else:
        raise ValueError(step)


def _count_listed(folder: Path) -> None:
    """Write how many rows all chunks in the folder have, when chunks are taken from it."""
    adopt = stages.Stage.adopt

    def counted(self: stages.Stage, chunks: Any) -> Any:
        there = Path(self.folder).glob("chunk-*")
        rows = sum(map(_rows_in, there))
        (folder / "listed").write_text(json.dumps(rows))
        return adopt(self, chunks)

    stages.Stage.adopt = counted  # type: ignore[method-assign]


def _rows_in(path: Path) -> int:
    """Rows of a chunk; 0 if its worker died while it wrote it."""
    with suppress(pa.ArrowInvalid):
        return int(pq.read_metadata(path).num_rows)
    return 0


class _DyingBatch(BatchWriter):
    fault = ""

    def commit(self, messages: list[Any]) -> None:
        _set(self.fault)
        super().commit(messages)


class _DyingStream(StreamWriter):
    fault = ""

    def commit(self, messages: list[Any], batchId: int) -> None:  # noqa: N803
        _set(self.fault, batchId)
        super().commit(messages, batchId)


class DyingSource(CelonisDataSource):
    """The data source with the option ``fault``."""

    def __init__(self, options: dict[str, str]) -> None:
        self.options = dict(options)
        self._fault = self.options.pop("fault")

    @classmethod
    def name(cls) -> str:
        """The name of the format."""
        return "celonis_dying"

    def writer(self, schema: Any, overwrite: bool) -> Any:
        """The writer that dies."""
        found = super().writer(schema, overwrite)
        found.__class__, found.fault = _DyingBatch, self._fault
        return found

    def streamWriter(self, schema: Any, overwrite: bool) -> Any:  # noqa: N802
        """The writer of a stream that dies."""
        found = super().streamWriter(schema, overwrite)
        found.__class__, found.fault = _DyingStream, self._fault
        return found
