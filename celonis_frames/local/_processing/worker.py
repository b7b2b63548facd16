"""A thread that carries out loads, or data jobs, one after the other.

How it works: `Worker.put` starts the thread with the first item and puts the item into a queue.
The thread calls `run` for each; what that function writes, it writes with a cursor of its own,
under the lock for tables (`Worker.writing`). `stop` sets `stopping`, puts None into the queue and
interrupts the cursor; `close` also joins the thread. An item that is not finished stays in its
state in the file, and the next start decides about it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import duckdb

from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import LOG_BYTES, Row
from celonis_frames.local._database.loading_thread import InterruptibleCursors


class Worker:
    """A thread that runs items one after the other.

    Args:
        catalog: Where they write.
        name: Name of the thread.
        run: Runs an item, and records how it ended. Raises nothing.

    Attributes:
        stopping: Is set when the thread is to stop.
    """

    def __init__(self, catalog: Catalog, name: str, run: Callable[[Row], None]) -> None:
        self._catalog, self._name, self._run_item = catalog, name, run
        self._queue: queue.Queue[Row | None] = queue.Queue()
        self._cursors = InterruptibleCursors(catalog)
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self.stopping = threading.Event()

    def put(self, item: Row) -> None:
        """Queue an item; starts the thread with the first."""
        self._queue.put(item)
        with self._starting:
            if self._thread is None and not self.stopping.is_set():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    @contextlib.contextmanager
    def writing(self, item: Row) -> Iterator[Any]:
        """A cursor that may write the tables of users; what is not committed is rolled back."""
        with self._catalog.writing, self._cursors.cursor(item["id"]) as cursor:
            self.check()
            yield cursor

    def check(self) -> None:
        """Raise if the thread is to stop.

        Raises:
            duckdb.InterruptException: It is.
        """
        if self.stopping.is_set():
            raise duckdb.InterruptException("stopped")

    def stop(self) -> None:
        """Let the thread stop; it may still run for a moment."""
        self.stopping.set()
        self._queue.put(None)
        self._cursors.interrupt()

    def close(self) -> None:
        """Stop the thread and wait for its end."""
        self.stop()
        if self._thread is not None:
            self._thread.join(10)

    def _run(self) -> None:
        while not self.stopping.is_set():
            item = self._queue.get()
            if item is None or self.stopping.is_set():
                return
            self._run_item(item)
            self._catalog.fold_log(at_bytes=LOG_BYTES)
