"""Threads that share work: whatever fails, the first failure is told and nobody stays."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leaks import push_threads

from celonis_frames._concurrency.worker_pool import PoolStopped, WorkerPool, WorkItems


class Wrong(Exception):
    """An item that cannot be worked off."""

    def __init__(self, item: int) -> None:
        super().__init__(str(item))
        self.item = item


@settings(max_examples=80, deadline=None)
@given(
    threads=st.integers(1, 4),
    ahead=st.integers(1, 3),
    items=st.integers(0, 30),
    wrong=st.sets(st.integers(0, 29), max_size=4),
    pause=st.sampled_from([0, 0, 0.0005]),
)
def test_the_failure_of_the_first_wrong_item_is_raised(
    threads: int, ahead: int, items: int, wrong: set[int], pause: float
) -> None:
    """Which item is told does not depend on which thread was quicker; each is taken once."""
    done: list[int] = []

    def work(mine: Iterator[int]) -> None:
        for item in mine:
            if pause and item % 2 == 0:
                time.sleep(pause)
            if item in wrong:
                raise Wrong(item)
            done.append(item)

    crew = WorkerPool(work, threads=threads, ahead=ahead)
    expected = min((item for item in wrong if item < items), default=None)
    try:
        for item in range(items):
            crew.put(item)
        crew.finish()
        assert expected is None
        assert sorted(done) == list(range(items))
    except Wrong as error:
        assert error.item == expected  # noqa: PT017  # there may be none
        assert len(set(done)) == len(done)
        with pytest.raises(Wrong):
            crew.put(99)
    finally:
        crew.close()
    assert push_threads(seconds=5) == []


def test_close_ends_threads_that_wait_and_drops_what_waits() -> None:
    """The feeder stops half-way: nothing more is begun."""
    free, begun = threading.Event(), threading.Semaphore(0)
    seen: list[int] = []

    def work(mine: Iterator[int]) -> None:
        for item in mine:
            seen.append(item)
            begun.release()
            free.wait(10)

    crew = WorkerPool(work, threads=2, ahead=2)
    for item in range(4):
        crew.put(item)
    assert begun.acquire(timeout=5)
    assert begun.acquire(timeout=5)
    threading.Timer(0.05, free.set).start()
    crew.close()
    assert sorted(seen) == [0, 1]
    assert push_threads(seconds=5) == []
    with pytest.raises(PoolStopped):
        crew.put(5)
    with pytest.raises(PoolStopped):
        crew.finish()


@pytest.mark.parametrize("given_out", [0, 1, 3])
def test_a_system_without_threads_makes_no_crew_wait(
    given_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With some threads the work is done; with none it is an error, and none hangs."""
    real, count = threading.Thread.start, itertools.count()

    def start(thread: threading.Thread) -> None:
        if next(count) >= given_out:
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    done: list[int] = []
    if not given_out:
        with pytest.raises(RuntimeError):
            WorkerPool(done.extend, threads=4, ahead=2)
    else:
        crew = WorkerPool(done.extend, threads=4, ahead=2)
        for item in range(20):
            crew.put(item)
        crew.finish()
        assert sorted(done) == list(range(20))
    assert push_threads(seconds=5) == []


def test_ctrl_c_while_threads_are_started_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that run already are known to nobody else."""
    real, count = threading.Thread.start, itertools.count()

    def start(thread: threading.Thread) -> None:
        if next(count) == 2:
            raise KeyboardInterrupt
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt):
        WorkerPool(lambda mine: [None for _ in mine] and None, threads=4, ahead=2)
    assert push_threads(seconds=5) == []


@settings(max_examples=60, deadline=None)
@given(
    threads=st.integers(1, 4),
    items=st.lists(st.integers(1, 40), max_size=20),
    bite=st.integers(1, 30),
)
def test_what_is_given_back_is_taken_by_somebody(threads: int, items: list[int], bite: int) -> None:
    """Each thread takes a bite of an item and gives the rest back: nothing is lost or repeated."""
    done: list[int] = []

    def work(share: WorkItems[int]) -> None:
        for item in share:
            done.append(min(bite, item))
            share.return_rest(item - bite if item > bite else None)

    crew = WorkerPool(work, threads=threads, ahead=2)
    try:
        for item in items:
            crew.put(item)
        crew.finish()
    finally:
        crew.close()
    assert sum(done) == sum(items)
    assert max(done, default=0) <= bite


def test_the_end_is_not_told_while_a_thread_may_give_something_back() -> None:
    """The one that asks when nothing waits gets what the other has left, and then the end."""
    taken, asked = threading.Event(), threading.Event()
    seen: dict[str, list[str]] = {"first": [], "second": []}

    def work(share: WorkItems[str]) -> None:
        if not taken.is_set():
            seen["first"].append(next(share))
            taken.set()
            assert asked.wait(5)
            time.sleep(0.05)  # the other one asks meanwhile, and waits
            share.return_rest("rest")
        else:
            asked.set()
            seen["second"] += share

    crew = WorkerPool(work, threads=1, ahead=2)
    try:
        crew.put("item")
        assert taken.wait(5)
        other = threading.Thread(target=work, args=(WorkItems(crew),))
        other.start()
        crew.finish()
        other.join(5)
        assert not other.is_alive()
    finally:
        crew.close()
    assert seen == {"first": ["item"], "second": ["rest"]}
