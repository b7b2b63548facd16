"""Cancellation: an event that ends waits, and calls that another thread can abort.

A thread that waits for a response cannot be stopped from outside. Its socket can be shut down: the
call then fails at once, as if the connection had been lost.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

POLL_SECONDS = 0.1
"""The main thread waits this long at a time: after a signal handler that a library installed, one
long wait would continue."""

_thread = threading.local()


class CallAborter:
    """Aborts the HTTP call made inside its ``with`` block when `trigger` is called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._triggered = False

    def trigger(self) -> None:
        """Abort the current call and every later one."""
        with self._lock:
            self._triggered = True
            if self._socket is not None:
                _shut_down(self._socket)

    def attach(self, sock: socket.socket | None) -> None:
        """Set the socket that the call uses from now on; None: it uses none."""
        with self._lock:
            self._socket = sock
            if self._triggered and sock is not None:
                _shut_down(sock)

    def __enter__(self) -> Self:
        _thread.aborter = self
        return self

    def __exit__(self, *_: object) -> None:
        _thread.aborter = None
        self.attach(None)


def attach_socket(sock: socket.socket | None) -> None:
    """Give the socket to the `CallAborter` whose ``with`` block this thread is in, if any."""
    aborter: CallAborter | None = getattr(_thread, "aborter", None)
    if aborter is not None:
        aborter.attach(sock)


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        # The plain socket's own method: that of TLS would touch what the other thread is using.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Cancelled(Exception):  # no error: the cancelling thread has the error, if there is one
    """A wait or a call ended because the push was cancelled."""


def pause(seconds: float, stop: threading.Event | None = None) -> None:
    """Wait. Every wait of the library goes through here.

    Raises:
        Cancelled: `stop` was set meanwhile.
    """
    _sleep(seconds, stop)
    if stop is not None and stop.is_set():
        raise Cancelled


def _sleep(seconds: float, stop: threading.Event | None) -> None:
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)


class CancelEvent(threading.Event):
    """An event that is set by assigning `cancelled`.

    An assignment is one step, so no second interruption can come in between; `threading.Event.set`
    takes a lock, which an interruption can leave taken.
    """

    cancelled = False
    abandoned = False  # the main thread no longer waits for the work that it cancelled

    def is_set(self) -> bool:
        """Whether the event is set."""
        return self.cancelled

    def set(self) -> None:
        """Set the event."""
        self.cancelled = True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set or `timeout` seconds have passed; whether it is set."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.cancelled:
            remaining = POLL_SECONDS if end is None else end - time.monotonic()
            if remaining <= 0:
                break
            time.sleep(min(remaining, POLL_SECONDS))
        return self.cancelled
