"""No secret is in a graph, a log, a command line or an environment of Dask's workers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import psutil
import pytest
from clusters import Watcher, frame_of, kill, processes, staged_chunks, two_workers
from distributed import Client, WorkerPlugin
from guarded_storage import PASSWORD, register

from celonis_frames import ApiKey, Celonis, Secret, exceptions

# Dask leaves the sockets of workers that were killed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Dask keeps threads and connections of its own, as long as there is a client."""
    return


class Registers(WorkerPlugin):
    """Lets all workers know the guarded storage, those that come later too."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def setup(self, worker: Any) -> None:  # noqa: ARG002  # Dask's signature
        if self.folder not in sys.path:
            sys.path.append(self.folder)
        importlib.import_module("guarded_storage").register(self.folder)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Client]:
    """A cluster whose workers know the guarded storage."""
    folder = str(Path(__file__).parent)
    register(folder)
    with two_workers() as client:
        client.register_plugin(Registers(folder))
        yield client


def test_the_options_reach_the_workers_and_nothing_shows_them(
    guarded: Client, own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage's password works in the workers; the graph, state, logs, ps have it not."""
    graphs: list[bytes] = []
    dumps: list[bytes] = []
    compute = Client.compute

    def recording(self: Client, tasks: Any, *args: Any, **kwargs: Any) -> Any:
        graphs.append(cloudpickle.dumps(tasks))
        futures = compute(self, tasks, *args, **kwargs)
        self.dump_cluster_state(str(tmp_path / "dump"), format="yaml")
        dumps.append((tmp_path / "dump.yaml").read_bytes())
        return futures

    monkeypatch.setattr(Client, "compute", recording)
    (tmp_path / "stage").mkdir()
    with Celonis(own.url, auth=ApiKey(own.token)) as celonis:
        status = frame_of(2_000, 4).celonis.push(
            "P", "T", client=celonis, staging="guarded:///stage", progress=False,
            storage_options={"root": str(tmp_path), "password": Secret(PASSWORD)},
        )  # fmt: skip
        assert (status.rows, status.parts) == (2_000, 4)
    texts = [*graphs, *dumps, str(guarded.get_worker_logs()).encode()]
    texts += [str(guarded.get_scheduler_logs()).encode(), str(guarded.scheduler_info()).encode()]
    for pid in processes(guarded).values():
        process = psutil.Process(pid)
        texts += [str(process.cmdline()).encode(), str(process.environ()).encode()]
    assert len(graphs) == 1
    assert len(texts) >= 7
    for secret in (PASSWORD, own.token):
        assert all(secret.encode() not in text for text in texts)
    assert list(guarded.run(_kept).values()) == [0, 0]


def _kept() -> int:
    """In a worker: how many options it keeps after the push."""
    from celonis_frames._filesystem import private_options  # noqa: PLC0415  # of the worker

    return len(private_options._kept)


def test_a_worker_that_comes_later_has_them_too(
    guarded: Client, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """One that takes the place of a worker that was killed."""
    (tmp_path / "stage").mkdir()
    victims = processes(guarded).values()
    with Watcher(
        lambda: len(staged_chunks(tmp_path / "stage")) >= 2,
        lambda: [kill(victim) for victim in victims],
    ) as watcher:
        status = frame_of(120_000, 12).celonis.push(
            "P", table, client=connection, staging="guarded:///stage", progress=False,
            storage_options={"root": str(tmp_path), "password": PASSWORD},
        )  # fmt: skip
    assert watcher.acted
    assert status.rows == 120_000
    assert sorted(server.table("P", table)["ID"].to_pylist()) == list(range(120_000))


@pytest.mark.usefixtures("guarded")
def test_workers_without_them_say_what_is_missing(
    connection: Celonis,
    table: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The names of the options, not their values."""
    (tmp_path / "stage").mkdir()
    monkeypatch.setattr(
        "celonis_frames._filesystem.private_options.PrivateOptions.__reduce__",
        lambda self: (type(self), (self.url, {})),
    )
    with pytest.raises(
        exceptions.ConfigError, match=r"wrong password.*password of storage_opt"
    ) as e:
        frame_of(2_000, 4).celonis.push(
            "P", table, client=connection, staging="guarded:///stage", progress=False,
            storage_options={"root": str(tmp_path), "password": PASSWORD},
        )  # fmt: skip
    assert PASSWORD not in str(e.value)
