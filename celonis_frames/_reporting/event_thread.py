"""The thread that calls the function of ``on_event=``.

How it works: `EventThread.put` appends a record to a queue, from any thread, and returns at once. A
daemon thread, ``celonis-events``, takes the records one by one and calls the function, in a copy of
the context of the thread that made the call. So the function runs in one thread, never under a lock
of this library nor in a signal handler, and a slow one delays no upload. `close` waits until it has
taken all records, at most `CLOSE_SECONDS`. After an error it is not called any more.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable

from celonis_frames._concurrency.cancellation import POLL_SECONDS
from celonis_frames._reporting.current import current
from celonis_frames.events import Event

CLOSE_SECONDS = 5.0
"""Seconds that the end of a call waits for a function that is slow."""

_log = logging.getLogger("celonis_frames")

OnEvent = Callable[[Event], object]


class EventThread:
    """Calls `function` with each record that it gets, in their order."""

    def __init__(self, function: OnEvent) -> None:
        self._function = function
        self._records: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        # A daemon: a function that never returns does not keep the process alive.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._run,), name="celonis-events",
            daemon=True,
        )  # fmt: skip
        try:
            self._thread.start()
        except RuntimeError:  # the system cannot start a thread
            _log.warning("on_event= is not called: the system cannot start a thread")

    def put(self, record: Event) -> None:
        """Let the thread take a record."""
        self._records.put(record)

    def close(self) -> None:
        """Wait until all records were taken; a function that is slow takes the rest later."""
        self._records.put(None)
        end = time.monotonic() + CLOSE_SECONDS
        while self._thread.is_alive():
            if time.monotonic() > end:
                _log.warning(
                    "on_event= has not returned for all records %.0f s after the end of the call: "
                    "it gets the others while the process goes on",
                    CLOSE_SECONDS,
                )
                return
            self._thread.join(POLL_SECONDS)

    def _run(self) -> None:
        current.set(None)  # what the function itself calls is not part of the call
        while (record := self._records.get()) is not None:
            try:
                self._function(record)
            except BaseException as error:  # whatever it is: the push goes on
                _log.warning(
                    "on_event= raised %s, and is not called any more during this call",
                    type(error).__name__,
                    exc_info=error,
                )
                return
            del record
