"""The failure table of docs/distributed.md on Dask: rows exactly once, or an error and none.

Each cell has three runs, whose seed chooses the partitions, the size of chunks, and when and where
it strikes. Beside each stands what a push would have sent that lists the folder.
"""

from __future__ import annotations

import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clusters import SECONDS, Watcher, frame_of, kill, processes, staged_chunks, two_workers
from distributed import Client

from celonis_frames import ApiKey, Celonis, exceptions
from celonis_frames._push import pipeline

SEEDS = pytest.mark.parametrize("seed", [1, 2, 3])

# Dask leaves the sockets of workers that were killed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Dask keeps threads and connections of its own, as long as there is a client."""
    return


class Run:
    """One run of a cell: its frame and its options."""

    def __init__(self, seed: int, connection: Celonis, folder: Path) -> None:
        self.random = random.Random(seed)  # noqa: S311  # a seed must repeat a run
        self.partitions = self.random.randint(6, 12)
        self.rows = self.partitions * self.random.randint(15_000, 25_000)
        self.folder = folder
        self.options: dict[str, Any] = {
            "client": connection, "staging": str(folder), "progress": False,
            "upload": {"chunk_bytes": f"{self.random.randint(30, 60)} KB"},
        }  # fmt: skip

    @property
    def frame(self) -> Any:
        """The Dask DataFrame."""
        return frame_of(self.rows, self.partitions)

    def listed(self) -> int:
        """Rows of all chunks that are in the folder now."""
        return sum(map(_rows_in, staged_chunks(self.folder)))

    def stages(self) -> list[Path]:
        """Stages that are left."""
        return [path for path in self.folder.iterdir() if path.is_dir()]


@pytest.fixture
def run(seed: int, connection: Celonis, tmp_path: Path) -> Run:
    """The run of a seed."""
    return Run(seed, connection, tmp_path)


@pytest.fixture
def listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What listing the folder would have sent, noted when the chunks are taken."""
    found: list[int] = []
    gather = pipeline.gather

    def noting(*args: Any, **kwargs: Any) -> float:
        seconds = gather(*args, **kwargs)
        found.append(run.listed())
        return seconds

    monkeypatch.setattr(pipeline, "gather", noting)
    return found


def _rows_in(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowInvalid:  # its worker was killed while it wrote
        return 0


def _ids(server: Any, table: str) -> list[int]:
    try:
        return sorted(server.table("P", table)["ID"].to_pylist())
    except KeyError:
        return []


def _fail_after(chunks: int) -> None:
    """In a worker: the storage fails after so many chunks."""
    from celonis_frames._distributed import parts  # noqa: PLC0415  # of the worker

    write, left = parts.write_chunk, [chunks]

    def write_chunk(*args: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("no space left")
        return write(*args)

    parts.write_chunk = write_chunk


def _mend() -> None:
    """In a worker: the storage is as before."""
    from celonis_frames._distributed import parts  # noqa: PLC0415  # of the worker
    from celonis_frames._staging import staged_chunk  # noqa: PLC0415

    parts.write_chunk = staged_chunk.write_chunk


@SEEDS
def test_a_task_that_raises_ends_the_push(
    cluster: Client, server: Any, run: Run, table: str
) -> None:
    """Dask does not repeat it: the error says what failed, nothing was sent, nothing stays."""
    cluster.run(_fail_after, run.random.randint(1, 4))
    with pytest.raises(
        exceptions.ConfigError, match=r"A chunk cannot be staged at .*no space left"
    ):
        run.frame.celonis.push("P", table, **run.options)
    assert (_ids(server, table), run.stages()) == ([], [])
    cluster.run(_mend)
    run.frame.celonis.push("P", table, **run.options)
    assert _ids(server, table) == list(range(run.rows))


@pytest.fixture
def mortal() -> Iterator[Client]:
    """A cluster whose workers are killed: new, since none replaces them endlessly."""
    with two_workers() as client:
        yield client


@SEEDS
def test_a_worker_that_is_killed_while_it_stages(
    mortal: Client, server: Any, run: Run, table: str, listed: list[int]
) -> None:
    """Its partitions are staged once more, and each row arrives once."""
    chunks = run.random.randint(2, 8)
    victim = run.random.choice(sorted(processes(mortal).values()))
    with Watcher(lambda: len(staged_chunks(run.folder)) >= chunks, lambda: kill(victim)) as watcher:
        status = run.frame.celonis.push("P", table, **run.options)
    assert watcher.acted
    assert (status.rows, status.parts) == (run.rows, run.partitions)
    assert _ids(server, table) == list(range(run.rows))
    assert listed[0] >= run.rows
    assert run.stages() == []


@SEEDS
def test_a_worker_that_is_killed_with_results_that_nobody_has_fetched(
    mortal: Client,
    server: Any,
    run: Run,
    table: str,
    listed: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask computes them once more: there are two whole attempts, and the rows arrive once."""
    wanted, done = run.random.randint(2, 3), 0
    pids = processes(mortal)

    def held() -> dict[str, int]:
        return {
            worker: sum(str(key).startswith("celonis-stage") for key in keys)
            for worker, keys in mortal.has_what().items()
        }

    def stalled(*args: Any, **kwargs: Any) -> Any:
        """The sender is slow to fetch, so that results lie with the workers."""
        nonlocal done
        end = time.monotonic() + SECONDS
        while max(held().values(), default=0) < wanted and time.monotonic() < end:
            time.sleep(0.01)
        counts = held()
        worker = max(counts, key=lambda one: counts[one])
        done = counts[worker]
        kill(pids[worker])
        while worker in mortal.has_what():
            time.sleep(0.01)
        return as_completed(*args, **kwargs)

    as_completed = distributed.as_completed
    monkeypatch.setattr(distributed, "as_completed", stalled)
    status = run.frame.celonis.push("P", table, **run.options)
    assert done >= wanted
    assert (status.rows, status.parts) == (run.rows, run.partitions)
    assert _ids(server, table) == list(range(run.rows))
    assert listed[0] > run.rows  # rows twice, if the folder were listed


DYING = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from clusters import frame_of
from distributed import Client
from dying import die, die_at
from celonis_frames import ApiKey, Celonis

with open(sys.argv[2], "rb") as file:
    scheduler, url, token, rows, partitions, options, state = pickle.load(file)
if state == "submitted":  # the job, which the stage does not record before it has ended
    from celonis_frames._push import pipeline
    pipeline.follow = die
else:
    die_at(state)
with Client(scheduler), Celonis(url, auth=ApiKey(token)) as celonis:
    frame_of(rows, partitions).celonis.push("P", "T", client=celonis, **options)
"""


@SEEDS
@pytest.mark.parametrize("state", ["staged", "sealed", "submitted"])
def test_the_sender_dies(cluster: Client, own: Any, tmp_path: Path, seed: int, state: str) -> None:
    """Until all is staged nothing was sent; then resume finishes it, or follows the job."""
    folder = tmp_path / "stage"
    with Celonis(own.url, auth=ApiKey(own.token)) as celonis:
        run = Run(seed, celonis, folder)
        order = tmp_path / "order"
        del run.options["client"]
        told = (
            cluster.scheduler.address, own.url, own.token, run.rows, run.partitions, run.options,
            state,
        )  # fmt: skip
        order.write_bytes(pickle.dumps(told))
        command = [sys.executable, "-c", DYING, str(Path(__file__).parent), str(order)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
        if state == "staged":
            with pytest.raises(exceptions.FrameError, match="not complete"):
                celonis.resume(folder, progress=False)
            assert _ids(own, "T") == []
        else:
            (status,) = celonis.resume(folder, progress=False)
            assert status.state == "DONE"
            assert _ids(own, "T") == list(range(run.rows))
        assert run.stages() == []


@SEEDS
@pytest.mark.usefixtures("cluster")
def test_storage_that_is_not_shared(server: Any, run: Run, table: str) -> None:
    """An error says so; nothing was sent."""
    run.options["staging"] = "memory://stage"
    with pytest.raises(exceptions.ConfigError, match=r"cannot be seen from the worker on .*share"):
        run.frame.celonis.push("P", table, **run.options)
    assert _ids(server, table) == []
