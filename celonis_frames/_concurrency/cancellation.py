"""Cancellation: one token that ends waits and calls, with a deadline.

How it works:

* A token is cancelled by one assignment, in any thread or in a signal handler. Waits look at it
  every `POLL_SECONDS`; a call that has not begun raises `Cancelled` instead.
* A thread that waits for a response cannot be stopped from outside, but its socket can be shut
  down: the call then fails at once, as if the connection had been lost. Within a token's `calling`
  block the connections report their sockets by `attach_socket`; `abort_calls` shuts them down.
* A token with a deadline starts one daemon thread, ``celonis-deadline``, with its first call. It
  waits for the deadline and then aborts the calls; the end of the token's ``with`` block ends and
  joins it.
* What is done although the push was cancelled, such as cancelling its job, has a token of its own,
  from `for_cleanup`.
"""

# ruff: noqa: SLF001  # tokens and calls of this module look at each other

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

POLL_SECONDS = 0.1
"""Longest wait at a time: whoever waits in the main thread must look for the cancellation."""
CLEANUP_SECONDS = 5.0
"""Time limit (s) for everything that is done after the deadline or the cancellation."""
_JOIN_SECONDS = 1.0

_thread = threading.local()


class Cancelled(Exception):  # no error: the cancelling thread has the error, if there is one
    """A wait ended, or a call was not made, because the push was cancelled."""


class CancelToken:
    """Cancels waits and calls: from another thread, in a signal handler, or at a deadline.

    What cancels, ends or aborts its parent does so to the token. A ``with`` block closes it.

    Args:
        deadline: Time of `time.monotonic` at which everything under the token ends.
        parent: The token of the whole, of which this one is a part.
    """

    def __init__(self, *, deadline: float | None = None, parent: CancelToken | None = None) -> None:
        self._deadline, self._parent = deadline, parent
        self._cancelled_at: float | None = None
        self._abandoned = self._aborted = self._closed = False
        # Which of the token and its parents have a deadline.
        above = () if parent is None else parent._expiring
        self._expiring: tuple[CancelToken, ...] = above if deadline is None else (*above, self)
        self._calls: dict[_Call, socket.socket] = {}
        self._watchdog: threading.Thread | None = None
        self._ended = threading.Lock()  # released at the end of the block
        self._ended.acquire()

    @property
    def deadline(self) -> float | None:
        """When it expires, in seconds of `time.monotonic`: the earliest of its own and parents'."""
        own, above = self._deadline, None if self._parent is None else self._parent.deadline
        if own is None or above is None:
            return own if above is None else above
        return min(own, above)

    @property
    def cancelled(self) -> bool:
        """Whether it or a parent was cancelled."""
        if self._cancelled_at is not None:
            return True
        return self._parent is not None and self._parent.cancelled

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return self.remaining() == 0.0

    @property
    def abandoned(self) -> bool:
        """Whether nothing may wait any more, not even to clean up."""
        return self._abandoned or (self._parent is not None and self._parent.abandoned)

    def cancel(self) -> None:
        """End all waits and begin no further call; calls in progress go on."""
        self._cancelled_at = time.monotonic()

    def abandon(self) -> None:
        """Cancel it and what cleans up after it."""
        self._abandoned = True
        self.cancel()

    def abort_calls(self) -> None:
        """Break the connections of all calls in progress, and of every later one.

        Takes no lock. Call it from another thread than that which makes the calls.
        """
        self._aborted = True
        for sock in self._calls.copy().values():
            _shut_down(sock)

    def remaining(self) -> float | None:
        """Seconds until the deadline, at least 0; None if there is no deadline."""
        deadline = self.deadline
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if it was cancelled; a deadline that has passed is no cancellation."""
        if self.cancelled:
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the deadline. Every wait of the library goes through here.

        Raises:
            Cancelled: It was cancelled, before or meanwhile.
        """
        self.raise_if_cancelled()
        remaining = self.remaining()
        _sleep(seconds if remaining is None else min(seconds, remaining), self)
        self.raise_if_cancelled()

    def for_cleanup(self) -> CancelToken:
        """A token for what must be done although this one is cancelled or has expired.

        Its deadline is `CLEANUP_SECONDS` after this one's, or after this one's cancellation, or
        after its own first call, whichever is later. It is cancelled if this one is abandoned.
        """
        return _CleanupToken(self)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        """A ``with`` block in which the calls of this thread belong to the token."""
        outer = getattr(_thread, "call", None)
        for token in self._expiring:
            token._watch()
        _thread.call = call = _Call(self)
        try:
            yield
        finally:
            _thread.call = outer
            attach_socket(None, call)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the thread that waits for the deadline; later calls have their timeouts only."""
        self._closed = True
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            self._ended.release()
            with contextlib.suppress(RuntimeError):  # its start was interrupted
                watchdog.join(_JOIN_SECONDS)

    def _first_cancelled(self) -> float | None:
        """When it or a parent was cancelled first."""
        above = None if self._parent is None else self._parent._first_cancelled()
        if self._cancelled_at is None or above is None:
            return self._cancelled_at if above is None else above
        return min(self._cancelled_at, above)

    def _watch(self) -> None:
        """Start the thread that aborts calls at the deadline."""
        if self._watchdog is None and not self._closed:
            # A daemon: the interpreter does not wait for it when it ends.
            self._watchdog = watchdog = threading.Thread(
                target=self._abort_at_deadline, name="celonis-deadline", daemon=True
            )
            with contextlib.suppress(RuntimeError):  # no thread: read timeouts bound the calls
                watchdog.start()

    def _abort_at_deadline(self) -> None:
        while (remaining := self._until_abort()) > 0.0:
            if self._ended.acquire(timeout=min(remaining, threading.TIMEOUT_MAX)):
                return
        self.abort_calls()

    def _until_abort(self) -> float:
        assert self._deadline is not None  # noqa: S101  # only then there is the thread
        return self._deadline - time.monotonic()


class _CleanupToken(CancelToken):
    def __init__(self, origin: CancelToken) -> None:
        super().__init__()
        self._expiring = (self,)  # the origin may be cancelled while this one is in use
        self._origin = origin
        self._begin: float | None = None  # its first call

    @property
    def deadline(self) -> float | None:
        ends = [
            end
            for end in (self._origin.deadline, self._origin._first_cancelled())
            if end is not None
        ]
        begin = time.monotonic() if self._begin is None else self._begin
        return max(min(ends), begin) + CLEANUP_SECONDS if ends else None

    @property
    def cancelled(self) -> bool:
        return self._cancelled_at is not None or self._origin.abandoned

    def _watch(self) -> None:
        if self._begin is None:
            self._begin = time.monotonic()
        super()._watch()

    def _until_abort(self) -> float:
        remaining = self.remaining()
        return POLL_SECONDS if remaining is None else min(remaining, POLL_SECONDS)


@dataclass(eq=False)
class _Call:
    """The calls that a thread makes within a `calling` block, one after the other."""

    token: CancelToken


def current_token() -> CancelToken | None:
    """The token whose `calling` block this thread is in, if any."""
    call: _Call | None = getattr(_thread, "call", None)
    return None if call is None else call.token


def pause(seconds: float) -> None:
    """Wait within a call, as `CancelToken.sleep` of the token it is made under, if any."""
    (current_token() or CancelToken()).sleep(seconds)


def attach_socket(sock: socket.socket | None, call: _Call | None = None) -> None:
    """Give the socket that a call uses from now on to the call's token; None: it uses none.

    The call is that of the `calling` block this thread is in, unless one is given.
    """
    call = call or getattr(_thread, "call", None)
    token = None if call is None else call.token
    while call is not None and token is not None:
        if sock is None:
            token._calls.pop(call, None)
        else:
            token._calls[call] = sock
            # In this order: who aborts sets the flag first, and then looks for sockets.
            if token._aborted:
                _shut_down(sock)
        token = token._parent


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        # The plain socket's own method: that of TLS would touch what the other thread is using.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _sleep(seconds: float, token: CancelToken) -> None:
    end = time.monotonic() + seconds
    while not token.cancelled and (left := end - time.monotonic()) > 0.0:
        time.sleep(min(left, POLL_SECONDS))
