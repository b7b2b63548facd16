"""The processes of a write, one after the other, as Spark runs them, but without a JVM.

What one hands to the next is pickled, a commit that dies is a process of its own, and each batch of
a stream is committed again afterwards, as Spark does after a restart.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.types import LongType, StringType, StructType
from spark_faults import ids

from celonis_frames import Celonis
from celonis_frames._push import pipeline
from celonis_frames._spark import writing
from celonis_frames._staging.stage import Stage
from celonis_frames.exceptions import ConfigError
from celonis_frames.spark import CelonisDataSource

SCHEMA = StructType().add("id", LongType()).add("text", StringType())
PARTS, KEPT = 3, 10
STEPS: dict[str, tuple[Any, str]] = {
    "sealed": (pipeline, "deliver"),
    "submitted": (pipeline, "follow"),
    "before the receipt": (Stage, "finish"),
    "after the receipt": (Stage, "close"),
}
"""The function with which each step begins."""

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@dataclass
class Task:
    """What a worker knows of its task."""

    part: int
    attempt: int = 0
    batch: int = 0

    def partitionId(self) -> int:  # noqa: N802  # Spark's names
        return self.part

    def attemptNumber(self) -> int:  # noqa: N802
        return self.attempt

    def taskAttemptId(self) -> int:  # noqa: N802
        return 100 * self.attempt + self.part

    def getLocalProperty(self, name: str) -> str:  # noqa: N802
        return {"sql.streaming.queryId": "query", "streaming.sql.batchId": str(self.batch)}[name]


@pytest.fixture
def options(table: str, stage: Path, credentials: Path) -> dict[str, str]:
    """The options of a write, as Spark hands them over."""
    return {
        "pool": "P", "table": table, "staging": str(stage), "credentials": f"file:{credentials}",
    }  # fmt: skip


def staged(writer: Any, parts: list[range], batch: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The messages of the winning attempts; of each partition there was an earlier one."""
    messages = []
    for part, values in enumerate(parts):
        for attempt in (0, 1):
            monkeypatch.setattr(writing, "task", lambda p=part, a=attempt: Task(p, a, batch))
            monkeypatch.setattr(
                "celonis_frames._spark.stream_writer.task",
                lambda p=part, a=attempt: Task(p, a, batch),
            )
            texts = [f"x{one}" for one in values]
            rows = pa.record_batch({"id": pa.array(values, pa.int64()), "text": pa.array(texts)})
            message = pickle.dumps(pickle.loads(pickle.dumps(writer)).write(iter([rows])))
        messages.append(pickle.loads(message))
    return messages


def dies(step: str, commit: Callable[[], None]) -> None:
    """Let a process of its own commit, and die at the step."""
    child = os.fork()
    if child == 0:  # no error leaves it
        code = 1
        try:
            if step != "staged":
                setattr(*STEPS[step], lambda *_, **__: os._exit(9))
                commit()
            else:
                code = 9
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def jobs(server: Any, table: str) -> int:
    """Jobs of a table."""
    return sum(job["targetName"] == table for job in server.jobs)


def folders(stage: Path) -> list[str]:
    """What is left of the stages."""
    return [path.name for path in stage.iterdir() if path.is_dir()]


def stream(options: dict[str, str]) -> Any:
    """The writer of a stream, as Spark makes it anew for each batch and each commit."""
    given = options | {"checkpointlocation": "/anywhere"}
    return CelonisDataSource(given).streamWriter(SCHEMA, overwrite=False)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("step", ["staged", *STEPS])
def test_a_batch_whose_commit_dies_arrives_once(
    step: str, seed: int, options: dict[str, str], server: Any, stage: Path, table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its rows are staged again, and committed again; also once more after that."""
    random = Random(seed)
    first = 0
    for batch in range(3):
        parts = []
        for _ in range(PARTS):
            size = random.randrange(1, 50)
            parts.append(range(first, first + size))
            first += size
        messages = staged(stream(options), parts, batch, monkeypatch)
        if batch == seed:
            dies(step, lambda m=messages, b=batch: stream(options).commit(m, b))
            messages = staged(stream(options), parts, batch, monkeypatch)
        for _ in range(1 + (batch == seed)):
            stream(options).commit(messages, batch)
        assert ids(server, table)[:2] == (first, first)
    assert jobs(server, table) == 3
    assert folders(stage) == []


def test_an_empty_batch_is_no_job_and_receipts_stay_few(
    options: dict[str, str], server: Any, stage: Path, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of it; of the others the last ten receipts are."""
    for batch in range(KEPT + 3):
        parts = [range(batch * 2, batch * 2 + 2), range(0)]
        stream(options).commit(staged(stream(options), parts, batch, monkeypatch), batch)
    done = jobs(server, table)
    empty = staged(stream(options), [range(0), range(0)], KEPT + 3, monkeypatch)
    stream(options).commit(empty, KEPT + 3)
    stream(options).commit([], KEPT + 4)
    assert jobs(server, table) == done == KEPT + 3
    assert folders(stage) == []
    assert len(list(stage.iterdir())) == KEPT


@pytest.mark.parametrize("step", ["staged", "sealed", "submitted"])
@pytest.mark.parametrize("seed", range(3))
def test_a_commit_that_dies_is_finished_once(
    step: str, seed: int, options: dict[str, str], server: Any, connection: Celonis, stage: Path,
    table: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Spark aborts it then: from the sealed stage on `resume` sends the rows, once.

    Until the commit the stage is held for it, and a `resume` elsewhere is refused.
    """
    size = Random(seed).randrange(1, 50)
    parts = [range(part * size, (part + 1) * size) for part in range(PARTS)]
    begun = CelonisDataSource(options).writer(SCHEMA, overwrite=False)
    writer = pickle.loads(pickle.dumps(begun))
    messages = staged(writer, parts, 0, monkeypatch)
    assert len(list(stage.glob("push-*/chunk-*"))) == 2 * PARTS  # twice the rows
    with pytest.raises(ConfigError, match="a Spark write into"):
        connection.resume(stage)
    dies(step, lambda: writer.commit(messages))
    writer.abort(messages)
    if step == "staged":
        assert jobs(server, table) == 0
    else:
        (status,) = connection.resume(stage)
        assert (status.state, status.rows) == ("DONE", PARTS * size)
        assert ids(server, table)[:2] == (PARTS * size, PARTS * size)
        assert jobs(server, table) == 1
    assert list(stage.iterdir()) == []


def test_complete_mode_is_refused(options: dict[str, str]) -> None:
    """Each batch would send the whole table."""
    with pytest.raises(ConfigError, match='mode "complete"'):
        CelonisDataSource(options).streamWriter(SCHEMA, overwrite=True)


def test_a_pickle_of_a_writer_holds_no_key(options: dict[str, str], server: Any) -> None:
    """Neither the one for the workers of a batch write, nor that of a stream."""
    writers: Iterator[Any] = iter([
        stream(options), CelonisDataSource(options).writer(SCHEMA, overwrite=False),
    ])  # fmt: skip
    for writer in writers:
        assert server.token.encode() not in pickle.dumps(writer)
