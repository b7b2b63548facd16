"""Threads that mine work: whatever fails, the first failure is raised and no thread stays."""

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
    """An item that fails."""

    def __init__(self, item: int) -> None:
        super().__init__(str(item))
        self.item = item


@settings(max_examples=80)
@given(
    threads=st.integers(1, 4),
    queue_size=st.integers(1, 3),
    items=st.integers(0, 30),
    wrong=st.sets(st.integers(0, 29), max_size=4),
    pause=st.sampled_from([0, 0, 0.0005]),
)
def test_the_failure_of_the_first_wrong_item_is_raised(
    threads: int, queue_size: int, items: int, wrong: set[int], pause: float
) -> None:
    """Which error is raised does not depend on which thread was quicker; each is taken once."""
    done: list[int] = []

    def work(mine: Iterator[int]) -> None:
        for item in mine:
            if pause and item % 2 == 0:
                time.sleep(pause)
            if item in wrong:
                raise Wrong(item)
            done.append(item)

    pool = WorkerPool(work, threads=threads, queue_size=queue_size)
    expected = min((item for item in wrong if item < items), default=None)
    try:
        for item in range(items):
            pool.put(item)
        pool.finish()
        assert expected is None
        assert sorted(done) == list(range(items))
    except Wrong as error:
        assert error.item == expected  # noqa: PT017  # there may be none
        assert len(set(done)) == len(done)
        with pytest.raises(Wrong):
            pool.put(99)
    finally:
        pool.close()
    assert push_threads(seconds=5) == []


def test_close_ends_threads_that_wait_and_drops_what_waits() -> None:
    """The feeding thread stops half-way: no further item is taken."""
    free, begun = threading.Event(), threading.Semaphore(0)
    seen: list[int] = []

    def work(mine: Iterator[int]) -> None:
        for item in mine:
            seen.append(item)
            begun.release()
            free.wait(10)

    pool = WorkerPool(work, threads=2, queue_size=2)
    for item in range(4):
        pool.put(item)
    assert begun.acquire(timeout=5)
    assert begun.acquire(timeout=5)
    threading.Timer(0.05, free.set).start()
    pool.close()
    assert sorted(seen) == [0, 1]
    assert push_threads(seconds=5) == []
    with pytest.raises(PoolStopped):
        pool.put(5)
    with pytest.raises(PoolStopped):
        pool.finish()


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
            WorkerPool(done.extend, threads=4, queue_size=2)
    else:
        pool = WorkerPool(done.extend, threads=4, queue_size=2)
        for item in range(20):
            pool.put(item)
        pool.finish()
        assert sorted(done) == list(range(20))
    assert push_threads(seconds=5) == []


def test_ctrl_c_while_threads_are_started_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool stops those that run already."""
    real, count = threading.Thread.start, itertools.count()

    def start(thread: threading.Thread) -> None:
        if next(count) == 2:
            raise KeyboardInterrupt
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KeyboardInterrupt):
        WorkerPool(lambda mine: [None for _ in mine] and None, threads=4, queue_size=2)
    assert push_threads(seconds=5) == []


@settings(max_examples=60)
@given(
    threads=st.integers(1, 4),
    items=st.lists(st.integers(1, 40), max_size=20),
    bite=st.integers(1, 30),
)
def test_a_returned_rest_is_taken(threads: int, items: list[int], bite: int) -> None:
    """Each thread takes a bite of an item and gives the rest back: nothing is lost or repeated."""
    done: list[int] = []

    def work(mine: WorkItems[int]) -> None:
        for item in mine:
            done.append(min(bite, item))
            mine.return_rest(item - bite if item > bite else None)

    pool = WorkerPool(work, threads=threads, queue_size=2)
    try:
        for item in items:
            pool.put(item)
        pool.finish()
    finally:
        pool.close()
    assert sum(done) == sum(items)
    assert max(done, default=0) <= bite


def test_iteration_goes_on_while_a_worker_may_return_a_rest() -> None:
    """The one that asks when nothing waits gets what the other has left, and then the end."""
    taken, asked = threading.Event(), threading.Event()
    seen: dict[str, list[str]] = {"first": [], "second": []}

    def work(mine: WorkItems[str]) -> None:
        if not taken.is_set():
            seen["first"].append(next(mine))
            taken.set()
            assert asked.wait(5)
            time.sleep(0.05)  # the other one asks meanwhile, and waits
            mine.return_rest("rest")
        else:
            asked.set()
            seen["second"] += mine

    pool = WorkerPool(work, threads=1, queue_size=2)
    try:
        pool.put("item")
        assert taken.wait(5)
        other = threading.Thread(target=work, args=(WorkItems(pool),))
        other.start()
        pool.finish()
        other.join(5)
        assert not other.is_alive()
    finally:
        pool.close()
    assert seen == {"first": ["item"], "second": ["rest"]}
