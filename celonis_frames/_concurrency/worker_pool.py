"""A pool of threads that work off the items of one iterator, in bounded memory.

How it works: the thread that calls `feed` reads the items and puts them into a queue of
`queue_size` items; it waits while the queue is full. Each worker thread runs `work` once, with an
iterator over the items that fall to it: the next one in the queue, as soon as it is free. Whatever
a worker raises stops the pool: the queue is emptied, the other workers get `PoolStopped` from their
iterator, and the exception of the earliest item is raised in the feeding thread. If that thread
itself fails, `close` stops the workers and waits for them `JOIN_SECONDS` at most; they are daemons.

Arrow's kernels and its Parquet writer release the GIL, so threads use all cores.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Generic, Self, TypeVar

JOIN_SECONDS = 2.0
"""How long a stopped pool waits for its threads: a thread ends within one batch."""

QUEUE_SIZE = 2
"""Batches that wait for a thread: enough that none is idle while the next one is read."""

_POLL_SECONDS = 0.5
"""Longest wait in one call, so that Ctrl-C is handled on every system."""

_T = TypeVar("_T")


class PoolStopped(Exception):  # it only unwinds a thread's stack
    """The pool was stopped."""


def cpu_count() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class WorkItems(Generic[_T]):
    """The items of one worker, an iterator.

    Iteration ends only when every other worker is idle, because a busy worker may still return a
    rest to the queue. After its end it may be continued.
    """

    def __init__(self, pool: WorkerPool[_T]) -> None:
        self._pool = pool
        self.number = -1  # of the item taken last
        self.holds_item = False  # whether the worker is busy with it

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _T:
        found = self._pool.take(self)
        if found is None:
            raise StopIteration
        return found[0]

    def return_rest(self, rest: _T | None) -> None:
        """Finish the item taken last; the rest of it, if any, is for the first idle worker."""
        self._pool.put_back(self, rest)


class WorkerPool(Generic[_T]):
    """Threads, fewer if the system starts no more, that each take the next item once they are free.

    `put` waits while `queue_size` items wait; returned rests come on top.

    Raises:
        RuntimeError: The system starts no thread at all.
    """

    def __init__(
        self, work: Callable[[WorkItems[_T]], None], *, threads: int, queue_size: int
    ) -> None:
        self._work, self._queue_size = work, queue_size
        self._changed = threading.Condition()
        self._queue: deque[tuple[int, _T]] = deque()
        self._workers: list[WorkItems[_T]] = []
        self._next_number = 0
        self._complete = self._stopped = False
        self._failure: tuple[int, BaseException] | None = None
        self._threads: list[threading.Thread] = []
        try:
            for _ in range(threads):
                # Daemons: the interpreter does not wait for them when it ends.
                thread = threading.Thread(
                    target=copy_context().run, args=(self._run,), name="celonis-encode", daemon=True
                )
                thread.start()
                self._threads.append(thread)
        except RuntimeError:
            if not self._threads:
                raise
        except BaseException:  # Ctrl-C: only this pool knows of the threads that run already
            self.close()
            raise

    def put(self, item: _T) -> None:
        """Append an item to the queue, once there is room.

        Raises:
            PoolStopped: Another thread stopped the pool.
            BaseException: What a worker raised.
        """
        with self._changed:
            while len(self._queue) >= self._queue_size and not self._stopped:
                self._changed.wait(_POLL_SECONDS)
            if not self._stopped:
                self._queue.append((self._next_number, item))
                self._next_number += 1
                self._changed.notify_all()
                return
        self._raise_failure()
        raise PoolStopped

    def take(self, items: WorkItems[_T]) -> tuple[_T] | None:
        """The next item, in a worker's thread; None if there are no more.

        Raises:
            PoolStopped: The pool was stopped.
        """
        with self._changed:
            if items.holds_item:
                items.holds_item = False
                self._changed.notify_all()
            while not (self._queue or self._stopped or self._is_over()):
                self._changed.wait()
            if self._stopped:
                raise PoolStopped
            if not self._queue:
                return None
            items.number, item = self._queue.popleft()
            items.holds_item = True
            self._changed.notify_all()
            return (item,)

    def put_back(self, items: WorkItems[_T], rest: _T | None) -> None:
        """Finish a worker's item; the rest of it goes to the front of the queue."""
        with self._changed:
            items.holds_item = False
            if rest is not None and not self._stopped:
                self._queue.appendleft((items.number, rest))
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait until the workers have finished all items.

        Raises:
            PoolStopped: Another thread stopped the pool.
            BaseException: What a worker raised.
        """
        with self._changed:
            self._complete = True
            self._changed.notify_all()
        self._join()
        self._raise_failure()
        if self._stopped:
            raise PoolStopped

    def cancel(self) -> None:
        """Stop, and wait until every thread has ended.

        Raises:
            BaseException: What a worker raised, which may be why the pool was stopped.
        """
        self._stop()
        self._join()
        self._raise_failure()

    def close(self) -> None:
        """Stop: no further item is taken; wait a moment for the items in work."""
        self._stop()
        self._failure = None  # its traceback refers to this pool
        end = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        items = WorkItems(self)
        with self._changed:
            self._workers.append(items)
        try:
            self._work(items)
        except PoolStopped:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
        except BaseException as error:  # raised again in the feeding thread
            with self._changed:
                # Items are taken in order, so the first failure is known once all threads end.
                if self._failure is None or items.number < self._failure[0]:
                    self._failure = (items.number, error)
            self._stop()
        finally:
            self.put_back(items, None)

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()

    def _is_over(self) -> bool:
        return self._complete and not any(items.holds_item for items in self._workers)

    def _join(self) -> None:
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_POLL_SECONDS)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self._join()
            raise self._failure[1]


def feed(items: Iterator[_T], pool: WorkerPool[_T]) -> None:
    """Put all items into a pool, wait until they are finished, and close the pool.

    Raises:
        PoolStopped: Another thread stopped the pool.
        BaseException: What `items` or a worker raised.
    """
    try:
        for item in items:
            pool.put(item)
            del item
        pool.finish()
    except PoolStopped:  # a worker may have failed
        pool.cancel()
        raise
    finally:
        pool.close()
