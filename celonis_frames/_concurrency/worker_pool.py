"""Threads that share out the work on what one source yields, in bounded memory.

Arrow's kernels and its Parquet writer release the GIL, so threads use all cores.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, Self, TypeVar

__all__ = [
    "JOIN_SECONDS",
    "QUEUE_SIZE",
    "PoolStopped",
    "WorkItems",
    "WorkerPool",
    "cpu_count",
    "feed",
]

JOIN_SECONDS = 2.0
"""What a thread is given to end what it is at, once the crew is stopped."""

_T = TypeVar("_T")


class PoolStopped(Exception):  # it only unwinds a thread's stack
    """The crew was stopped."""


def cpu_count() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class WorkItems(Generic[_T]):
    """The items that fall to one thread of a crew: each the next one when it is asked for.

    The end of the items is not told before all other threads have asked for more or let go, since
    they may give something back; and it may be asked again.
    """

    def __init__(self, crew: WorkerPool[_T]) -> None:
        self._crew = crew
        self.number = -1
        self.holds = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _T:
        found = self._crew.take(self)
        if found is None:
            raise StopIteration
        return found[0]

    def return_rest(self, rest: _T | None) -> None:
        """Be done with the item taken last; what is left of it is for whoever is free first."""
        self._crew.put_back(self, rest)


class WorkerPool(Generic[_T]):
    """Threads of which each takes the next item as soon as it is free.

    Args:
        work: Run once in each thread, with the items that fall to it.
        threads: How many; fewer where the system gives no more.
        ahead: Most items that wait to be taken; `put` waits while there are as many. What is given
            back comes besides.

    Raises:
        RuntimeError: The system gives no thread at all.
    """

    def __init__(self, work: Callable[[WorkItems[_T]], None], *, threads: int, ahead: int) -> None:
        self._work, self._ahead = work, ahead
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, _T]] = deque()
        self._shares: list[WorkItems[_T]] = []
        self._number = 0
        self._complete = self._stopped = False
        self._failure: tuple[int, BaseException] | None = None
        self._threads: list[threading.Thread] = []
        try:
            for _ in range(threads):
                # Daemons: the end of the interpreter does not wait for them.
                thread = threading.Thread(target=self._run, name="celonis-encode", daemon=True)
                thread.start()
                self._threads.append(thread)
        except RuntimeError:
            if not self._threads:
                raise
        except BaseException:  # Ctrl-C: nobody else knows of the threads that wait already
            self.close()
            raise

    def put(self, item: _T) -> None:
        """Hand over an item, when there is room.

        Raises:
            Halted: The crew was stopped by another thread.
            BaseException: What a thread raised.
        """
        with self._changed:
            while len(self._waiting) >= self._ahead and not self._stopped:
                self._changed.wait(0.5)
            if not self._stopped:
                self._waiting.append((self._number, item))
                self._number += 1
                self._changed.notify_all()
                return
        self._raise()
        raise PoolStopped

    def take(self, share: WorkItems[_T]) -> tuple[_T] | None:
        """The next item, in one of the threads; None: there are no more.

        Raises:
            Halted: The crew was stopped.
        """
        with self._changed:
            if share.holds:
                share.holds = False
                self._changed.notify_all()
            while not (self._waiting or self._stopped or self._over()):
                self._changed.wait()
            if self._stopped:
                raise PoolStopped
            if not self._waiting:
                return None
            share.number, item = self._waiting.popleft()
            share.holds = True
            self._changed.notify_all()
            return (item,)

    def put_back(self, share: WorkItems[_T], rest: _T | None) -> None:
        """Let a thread go on without its item; what is left of it is put before all others."""
        with self._changed:
            share.holds = False
            if rest is not None and not self._stopped:
                self._waiting.appendleft((share.number, rest))
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait until every item was worked off.

        Raises:
            Halted: The crew was stopped by another thread.
            BaseException: What a thread raised.
        """
        with self._changed:
            self._complete = True
            self._changed.notify_all()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.5)  # in turns, so that Ctrl-C is heard on every system
        self._raise()
        if self._stopped:
            raise PoolStopped

    def halt(self) -> None:
        """Stop, and wait until every thread has ended.

        Raises:
            BaseException: What a thread raised, which may be why it was to be stopped.
        """
        self._stop()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.5)
        self._raise()

    def close(self) -> None:
        """Stop: nothing more is taken, and what is under way is let come to its end."""
        self._stop()
        self._failure = None  # its traceback knows this crew
        end = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        share = WorkItems(self)
        with self._changed:
            self._shares.append(share)
        try:
            self._work(share)
        except PoolStopped:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
        except BaseException as error:  # it is raised again in the thread that hands over
            with self._changed:
                # Items are taken in their order, so the first failure is known once all end.
                if self._failure is None or share.number < self._failure[0]:
                    self._failure = (share.number, error)
                self._stopped = True
                self._waiting.clear()
                self._changed.notify_all()
        finally:
            self.put_back(share, None)

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()

    def _over(self) -> bool:
        return self._complete and not any(share.holds for share in self._shares)

    def _raise(self) -> None:
        if self._failure is None:
            return
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.5)
        raise self._failure[1]


QUEUE_SIZE = 2
"""Batches that wait for a thread."""


def feed(items: Iterator[_T], crew: WorkerPool[_T]) -> None:
    try:
        for item in items:
            crew.put(item)
            del item
        crew.finish()
    except PoolStopped:  # a thread may have failed, of which nobody has heard yet
        crew.halt()
        raise
    finally:
        crew.close()
