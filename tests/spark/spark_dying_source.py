"""The data source ``celonis``, but its commit dies or fails at a step: option ``fault``.

The fault happens once, and is marked by a file: ``STEP:FOLDER``, or for a stream
``STEP:FOLDER:BATCH``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from spark_faults import rows_in

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


STEPS: dict[str, tuple[Any, str]] = {
    "sealed": (pipeline, "deliver"),
    "submitted": (pipeline, "follow"),
    "before the receipt": (stages.Stage, "finish"),
    "after the receipt": (stages.Stage, "close"),
}
"""The function with which a step begins, in a process of Spark's own."""


@contextmanager
def _striking(fault: str, batch: int = 0) -> Iterator[None]:
    """In the block this process dies at the step. Spark uses it again for other commits."""
    step, folder, *number = fault.split(":")
    with ExitStack() as stack:
        stack.enter_context(_counting(Path(folder)))
        if not number or int(number[0]) == batch:
            if step in ("raises", "staged") and _once(folder):
                if step == "staged":
                    _die()
                raise RuntimeError("injected: commit")
            if step in STEPS and _once(folder):
                stack.enter_context(mock.patch.object(*STEPS[step], _die))
        yield


@contextmanager
def _counting(folder: Path) -> Iterator[None]:
    """Write how many rows all chunks in the stage have, when chunks are taken from it."""
    adopt = stages.Stage.adopt

    def counted(self: stages.Stage, chunks: Any) -> Any:
        there = Path(self.folder).glob("chunk-*")
        (folder / "listed").write_text(json.dumps(sum(map(rows_in, there))))
        return adopt(self, chunks)

    with mock.patch.object(stages.Stage, "adopt", counted):
        yield


class _DyingBatch(BatchWriter):
    fault = ""

    def commit(self, messages: list[Any]) -> None:
        with _striking(self.fault):
            super().commit(messages)


class _DyingStream(StreamWriter):
    fault = ""

    def commit(self, messages: list[Any], batchId: int) -> None:  # noqa: N803
        with _striking(self.fault, batchId):
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
