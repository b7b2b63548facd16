"""Cancellation: an event that ends waits, and calls that another thread can end.

A thread that waits for a response cannot be stopped from outside. Its socket can be shut down: then
the call fails at once, as if the network had broken.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

__all__ = ["TURN_SECONDS", "CallAborter", "CancelEvent", "Cancelled", "attach_socket", "pause"]

_thread = threading.local()


class CallAborter:
    """Ends the call that is made inside its ``with`` block, when `trigger` is called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._triggered = False

    def trigger(self) -> None:
        """End the call that is under way, and those that follow."""
        with self._lock:
            self._triggered = True
            if self._socket is not None:
                _shut(self._socket)

    def attach(self, sock: socket.socket | None) -> None:
        """The call uses this socket from now on; None: it uses none any more."""
        with self._lock:
            self._socket = sock
            if self._triggered and sock is not None:
                _shut(sock)

    def __enter__(self) -> Self:
        _thread.abort = self
        return self

    def __exit__(self, *_: object) -> None:
        _thread.abort = None
        self.attach(None)


def attach_socket(sock: socket.socket | None) -> None:
    abort: CallAborter | None = getattr(_thread, "abort", None)
    if abort is not None:
        abort.attach(sock)


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        # The plain socket's own method: that of TLS would touch what the other thread is using.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Cancelled(Exception):  # not an error: who stopped it has the error
    """A wait or call given up because the push is over."""


def pause(seconds: float, stop: threading.Event | None = None) -> None:
    """Wait. Every wait of the library goes through here.

    Raises:
        Stopped: `stop` was set meanwhile.
    """
    _sleep(seconds, stop)
    if stop is not None and stop.is_set():
        raise Cancelled


def _sleep(seconds: float, stop: threading.Event | None) -> None:
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)


TURN_SECONDS = 0.1
"""The main thread waits in turns: a handler that a library installed may let it sleep on."""


class CancelEvent(threading.Event):
    """An event that is set without a call, so that no other interruption can keep it from that.

    Attributes:
        told: Whether it is set.
        left: Whether the main thread waits no more for what it stopped.
    """

    told = left = False

    def is_set(self) -> bool:
        """Whether it is set."""
        return self.told

    def set(self) -> None:
        """Set it."""
        self.told = True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, in turns, until it is set or the seconds are over."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self.told:
            left = TURN_SECONDS if end is None else end - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, TURN_SECONDS))
        return self.told
