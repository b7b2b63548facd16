"""push_id=: processes that end at any step, and two that race, where there are no locks."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import fsspec
import polars as pl
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from celonis_frames import Celonis, exceptions
from celonis_frames._staging import lease

ID = "events/2026-11-28"
FRAME = pl.DataFrame({"A": [1, 2, 3], "B": ["x", "y", "z"]})


class Killed(BaseException):
    """The process ends here."""


def _rows(own: Any, table: str = "T") -> list[Any]:
    return sorted(own.table("P", table)["A"].to_pylist())


class Store(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A filesystem of no machine, on which a process may end at any step."""

    protocol = "steps"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    steps: ClassVar[int] = 0
    strikes: ClassVar[Callable[[int], BaseException | None]]

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return str(MemoryFileSystem._strip_protocol(str(path).replace("steps://", "memory://")))

    def pipe_file(self, path: str, *arguments: Any, **options: Any) -> None:
        """Write a file."""
        self._step()
        super().pipe_file(path, *arguments, **options)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "rb":
            self._step()
        return super()._open(path, mode, **options)

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        self._step()
        super().rm_file(path)

    def rm(self, path: str, *arguments: Any, **options: Any) -> None:
        """Remove a folder."""
        self._step()
        super().rm(path, *arguments, **options)

    def _step(self) -> None:
        Store.steps += 1
        error = Store.strikes(Store.steps)
        if error is not None:
            raise error


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> type[Store]:
    """That filesystem, empty and in good health."""
    fsspec.register_implementation("steps", Store, clobber=True)
    monkeypatch.setattr(Store, "store", {})
    monkeypatch.setattr(Store, "pseudo_dirs", [""])
    monkeypatch.setattr(Store, "steps", 0)
    monkeypatch.setattr(Store, "strikes", lambda _: None, raising=False)
    return Store


def _dies(number: int) -> Any:
    """Nothing works any more from a step on: the process has ended."""
    return staticmethod(lambda step: Killed() if step >= number else None)


def _fails(number: int) -> Any:
    """One step fails."""
    return staticmethod(lambda step: OSError("no space") if step == number else None)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("strike", [_dies, _fails], ids=["dies", "fails"])
@pytest.mark.parametrize("wait", [True, False])
def test_every_step_may_be_the_last(
    own: Any, client: Celonis, store: type[Store], monkeypatch: pytest.MonkeyPatch,
    strike: Any, wait: bool,
) -> None:  # fmt: skip
    """Whatever write or removal is the last one, or fails: repeats put each row there once.

    Each table of one row is pushed until it is DONE, which takes two pushes at most once the
    storage works.
    """
    number, ended = 0, False
    while not ended:
        number += 1
        frame = pl.DataFrame({"A": [number]})
        options: Any = {"staging": f"steps://s{number}", "push_id": ID, "progress": False}
        monkeypatch.setattr(store, "steps", 0)
        monkeypatch.setattr(store, "strikes", strike(number))
        with contextlib.suppress(Killed, exceptions.CelonisFramesError):
            client.push(frame, "P", "T", **options, wait=wait)
        ended = store.steps < number
        monkeypatch.setattr(store, "strikes", lambda _: None)
        lease._held.clear()  # of a process that has ended
        for _ in range(2):
            status = client.push(frame, "P", "T", **options)
        assert (status.state, status.repeated) == ("DONE", True), number
        left = {path.rpartition("/")[2][:8] for path in store.store}
        assert left == {"receipt-"}, number
    assert number > 10
    assert _rows(own) == list(range(1, number + 1))


@pytest.mark.usefixtures("store")
def test_two_threads_race_on_a_filesystem_without_locks(own: Any, client: Celonis) -> None:
    """Leases decide: one sends, the other returns its status."""
    frames = 6
    statuses: list[Any] = []

    def work(number: int, gate: threading.Barrier) -> None:
        gate.wait()
        frame = pl.DataFrame({"A": [number]})
        for _ in range(5):
            try:
                statuses.append(client.push(
                    frame, "P", "T", staging="steps://race", push_id=f"{number}", progress=False
                ))  # fmt: skip
            except exceptions.UploadUncertain:
                continue  # both looked at the same time; nothing was executed
            return

    for number in range(frames):
        gate = threading.Barrier(2)
        threads = [threading.Thread(target=work, args=(number, gate)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(statuses) == 2 * frames
    assert all(status.state == "DONE" for status in statuses)
    assert _rows(own) == list(range(frames))


@pytest.mark.usefixtures("store")
def test_a_process_that_wakes_up_leaves_the_push_to_the_next(
    own: Any, client: Celonis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease has expired while it read the frame, and another one has sent the push."""
    asleep, awake = threading.Event(), threading.Event()
    options: Any = {"staging": "steps://sleep", "push_id": ID, "progress": False}

    def slow() -> Iterator[pa.Table]:
        yield FRAME.to_arrow()
        asleep.set()
        awake.wait(20)
        yield FRAME.to_arrow()

    raised: list[BaseException] = []

    def sleeper() -> None:
        try:
            client.push(slow(), "P", "T", **options)
        except exceptions.CelonisFramesError as error:
            raised.append(error)

    thread = threading.Thread(target=sleeper)
    thread.start()
    assert asleep.wait(20)
    lease._held.clear()
    real = time.time
    assert client.push(FRAME, "P", "T", **options).ok
    monkeypatch.setattr(time, "time", lambda: real() + lease.LEASE_SECONDS)
    awake.set()
    thread.join()
    assert isinstance(raised[0], exceptions.UploadUncertain | exceptions.FrameError)
    assert client.push(FRAME, "P", "T", **options).repeated
    assert _rows(own) == [1, 2, 3]
