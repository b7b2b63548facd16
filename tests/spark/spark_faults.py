"""Faults in the processes of Spark, made by a step of the user's before the push."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

ROWS, PARTS = 4_800, 4
EXACT = (ROWS, ROWS, ROWS * (ROWS - 1) // 2)
"""What `ids` returns for all rows."""
COLUMNS = (
    "id", "concat('case ', id % 1000) AS case",
    "repeat(substr(md5(string(id)), 1, 8), 1200) AS text",
)  # fmt: skip
"""Wide rows: a partition has 12 MB, so that chunks are written before all of it was read."""
CHUNK = {"chunk_bytes": "100 KB"}
PATIENCE = 60.0
"""Seconds that a step waits for chunks of the next one."""


@dataclass(frozen=True)
class Fault:
    """What happens to a partition, once.

    Attributes:
        kind: ``"raise"``; ``"worker"`` kills the Python workers of an executor, ``"executor"`` the
            executor; ``"slow"`` waits, so that Spark starts a second attempt.
        part: The partition.
        after: How many chunks of it are staged then.
        stage: The folder of the stages.
        marks: A folder where it is marked that it has happened.
    """

    kind: str
    part: int
    after: int
    stage: str
    marks: str

    @classmethod
    def seeded(cls, kind: str, seed: int, stage: Path, marks: Path) -> Fault:
        """One of three."""
        marks.mkdir(exist_ok=True)
        return cls(kind, (seed * 2 + 1) % PARTS, 1 + seed % 2, str(stage), str(marks))

    @property
    def happened(self) -> bool:
        """Whether it has."""
        return any(Path(self.marks).iterdir())


def frame(spark: Any, fault: Fault | None = None) -> Any:
    """Rows of Spark, with the fault in a step of their plan."""
    found = spark.range(0, ROWS, 1, PARTS).selectExpr(*COLUMNS)
    return found if fault is None else found.mapInArrow(_step(fault), found.schema)


def _step(fault: Fault) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def step(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _struck(batches, fault)

    return step


def _struck(batches: Iterator[pa.RecordBatch], fault: Fault) -> Iterator[pa.RecordBatch]:
    from pyspark import TaskContext  # noqa: PLC0415

    yield from batches
    context = TaskContext.get()
    assert context is not None
    if context.partitionId() != fault.part:
        return
    with suppress(FileExistsError):
        os.close(os.open(Path(fault.marks) / "happened", os.O_CREAT | os.O_EXCL))
        end = time.monotonic() + PATIENCE
        while len(chunks_of(fault.stage, fault.part)) <= fault.after:  # the last one is written
            if time.monotonic() > end:
                raise TimeoutError("no chunk was staged")
            time.sleep(0.01)
        _strike(fault.kind)


def _strike(kind: str) -> None:
    if kind == "raise":
        raise RuntimeError("injected")
    if kind == "slow":
        time.sleep(PATIENCE)
        return
    daemon = psutil.Process(os.getppid())
    if kind == "executor":
        os.kill(daemon.ppid(), signal.SIGKILL)
        time.sleep(PATIENCE)
    for worker in daemon.children():
        with suppress(ProcessLookupError):
            if worker.pid != os.getpid():
                os.kill(worker.pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def chunks_of(stage: str | Path, part: int | None = None) -> list[Path]:
    """The chunks that are staged: of a partition, or of all."""
    number = "*" if part is None else f"{part:06d}-*"
    return list(Path(stage).glob(f"push-*/chunk-{number}.parquet"))


def ids(server: Any, table: str) -> tuple[int, int, int]:
    """Rows, different ids, and the sum of the ids."""
    query = f'SELECT count(*), count(DISTINCT id), sum(id)::BIGINT FROM "P"."{table}"'
    (row,) = server.sql(query).to_pylist()
    found = tuple(row.values())
    return found[0], found[1], found[2]


def rows_in(path: Path) -> int:
    """Rows of a chunk; 0 if its worker died while it wrote it."""
    with suppress(pa.ArrowInvalid):
        return int(pq.read_metadata(path).num_rows)
    return 0
