"""Threads that share out the work on what one source yields, in bounded memory.

Arrow's kernels and its Parquet writer release the GIL, so threads use all cores.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["JOIN_SECONDS", "Crew", "Halted", "cores"]

JOIN_SECONDS = 2.0
"""What a thread is given to end what it is at, once the crew is stopped."""

_T = TypeVar("_T")


class Halted(Exception):  # it only unwinds a thread's stack
    """The crew was stopped."""


def cores() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class Crew(Generic[_T]):
    """Threads of which each takes the next item as soon as it is free.

    Args:
        work: Run once in each thread, with an iterator of the items that fall to it.
        threads: How many; fewer where the system gives no more.
        ahead: Most items that wait to be taken; `put` waits while there are as many.

    Raises:
        RuntimeError: The system gives no thread at all.
    """

    def __init__(self, work: Callable[[Iterator[_T]], None], *, threads: int, ahead: int) -> None:
        self._work, self._ahead = work, ahead
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, _T]] = deque()
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
        raise Halted

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
            raise Halted

    def close(self) -> None:
        """Stop: nothing more is taken, and what is under way is let come to its end."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify_all()
        self._failure = None  # its traceback knows this crew
        end = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self) -> None:
        at = [-1]
        try:
            self._work(self._items(at))
        except Halted:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
        except BaseException as error:  # it is raised again in the thread that hands over
            with self._changed:
                # Items are taken in their order, so the first failure is known once all end.
                if self._failure is None or at[0] < self._failure[0]:
                    self._failure = (at[0], error)
                self._stopped = True
                self._waiting.clear()
                self._changed.notify_all()

    def _items(self, at: list[int]) -> Iterator[_T]:
        while True:
            with self._changed:
                while not self._waiting and not self._stopped and not self._complete:
                    self._changed.wait()
                if self._stopped:
                    raise Halted
                if not self._waiting:
                    return
                at[0], item = self._waiting.popleft()
                self._changed.notify_all()
            yield item
            del item  # its memory goes before the next one is waited for

    def _raise(self) -> None:
        if self._failure is None:
            return
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.5)
        raise self._failure[1]
