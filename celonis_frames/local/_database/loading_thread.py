"""What the threads that load tables share: cursors to interrupt, and the end of what failed."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import duckdb

from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.errors import JobError

_log = logging.getLogger("celonis_frames.local")

RETRY_SECONDS = 0.5
"""Seconds until a state that could not be stored is stored again."""


class InterruptibleCursors:
    """The cursors that load something now, by its id; other threads can interrupt them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._cursors: dict[str, Any] = {}
        self._lock = threading.Lock()  # none is closed while it is interrupted

    @contextlib.contextmanager
    def cursor(self, name: str) -> Iterator[Any]:
        """A cursor for what has this id; what is not committed is rolled back."""
        cursor = self._catalog.cursor()
        with self._lock:
            self._cursors[name] = cursor
        try:
            yield cursor
        finally:
            with self._lock:
                del self._cursors[name]
                cursor.close()

    def interrupt(self, name: str | None = None) -> None:
        """Interrupt the cursor of this id, if it is open; without an id, all."""
        with self._lock:
            for key, cursor in self._cursors.items():
                if name in (None, key):
                    cursor.interrupt()


def reason(error: Exception) -> str | None:
    """Why something could not be loaded, in a line; None for an error of this server itself."""
    if isinstance(error, (JobError, duckdb.Error)):
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def logged_reason(error: Exception, what: str) -> str:
    """Why something could not be loaded, in a line; an error of this server itself is logged.

    Args:
        error: The error that is being handled.
        what: What could not be loaded, for the log.
    """
    why = reason(error)
    if why is None:
        _log.exception("%s failed with an internal error", what)
        why = "Internal error of the local Celonis"
    return why


def store_end(store: Callable[[], None], stop: threading.Event, what: str) -> bool:
    """Store how something ended. Waits while that is impossible: a full disk.

    Args:
        store: Stores it.
        stop: Ends the waiting.
        what: What ended, for the log.

    Returns:
        Whether it is stored.
    """
    while not stop.is_set():
        try:
            store()
        except duckdb.Error:
            _log.exception("The state of %s cannot be stored", what)
            stop.wait(RETRY_SECONDS)
        else:
            return True
    return False
