"""Signals that end a process, deferred in the main thread while a job is delivered.

Python runs a signal's handler between any two steps of the main thread. A handler that raises there
would do so while a lock is held, which then stays locked; after a job was created and before its
id is stored; or in a finalizer, which swallows it. So within a `DeferredSignals` block the handler
only cancels a token, which takes one assignment and no lock, and what the signal asks for is raised
at the end of the block.

How it works: the first signal cancels the token and starts a thread, which aborts the token's calls
a second later. The thread is started by ``_thread``, since `threading.Thread.start` takes locks
that the interrupted code may hold; it ends by itself and nobody joins it. The second signal raises
at once in the handler, which restores the handlers first. In other threads than the main one the
block does nothing.
"""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Never, Self

from celonis_frames._concurrency.cancellation import Cancelled, CancelToken
from celonis_frames._reporting.current import warn

CALL_GRACE_SECONDS = 1.0
"""Time for calls in progress to get their responses: the outcome of an aborted call is unknown."""

_TERMINATION = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What ends a process by default. SIGHUP is sent when its terminal closes; Windows has none."""


@contextmanager
def termination_as_system_exit() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise SystemExit, so that open jobs and files are closed.

    Does nothing outside the main thread. A signal that is ignored (``nohup``) or has a handler of
    the program's own stays as it is.
    """
    taken = []
    if threading.current_thread() is threading.main_thread():
        for number in _TERMINATION:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _exit)
                taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


class DeferredSignals:
    """A ``with`` block in the main thread in which a signal cancels a token instead of raising.

    SIGINT, unless its handler is not Python's own, and SIGTERM and SIGHUP, unless they are ignored
    or have a handler of the program's own. The handlers of a block around it, which is
    `raising_at_once`, are replaced too. The end of the block raises KeyboardInterrupt or
    SystemExit for the first signal, with the notes of the error that ended the block.

    Args:
        token: Cancelled by the first signal, abandoned by the second.
        describe_open: What a second signal leaves open, as a note; "" if nothing. It is called in
            the signal handler: it must take no lock.
    """

    def __init__(self, token: CancelToken, describe_open: Callable[[], str] = lambda: "") -> None:
        self._token, self._describe_open = token, describe_open
        self._replaced: dict[int, Any] = {}
        self._first: int | None = None
        self._raised: BaseException | None = None
        self._note = ""
        self._raises_at_once = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *_TERMINATION):
                handler = signal.getsignal(number)
                default = (
                    (signal.default_int_handler,)
                    if number == signal.SIGINT
                    else (signal.SIG_DFL, _exit)
                )
                if handler in default or _lets_take_over(handler):
                    self._replaced[number] = handler
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._restore()
        if self._note:
            warn(self._note)
        if self._first is not None and (error is None or error is not self._raised):
            interruption = _interruption(self._first)
            if error is not None:
                _add_notes(interruption, error)
            raise interruption from None

    @contextmanager
    def raising_at_once(self) -> Iterator[None]:
        """Let signals raise at once within the block: the caller's code runs in it."""
        self._raises_at_once = True
        try:
            if self._first is not None and self._raised is None:
                self._raise(self._first)
            yield
        finally:
            self._raises_at_once = False

    @property
    def raises_at_once(self) -> bool:
        """Whether a signal raises at once: the caller's code runs, which may itself push."""
        return self._raises_at_once

    def _handle(self, number: int, _frame: object) -> None:
        if first := self._first is None:
            self._first = number
            self._token.cancel()
            try:
                _thread.start_new_thread(self._abort_later, ())
            except RuntimeError:  # the system cannot start a thread
                self._token.abort_calls()
        else:
            self._token.abandon()
            # It may raise in `__enter__` or `__exit__`, and then nothing else does this.
            self._restore()
        if self._raises_at_once or not first:
            self._raise(number, "" if first else self._describe_open())

    def _raise(self, number: int, note: str = "") -> Never:
        self._raised = interruption = _interruption(number)
        if note:
            self._note = note
            interruption.add_note(note)
        raise interruption

    def _abort_later(self) -> None:
        time.sleep(CALL_GRACE_SECONDS)
        self._token.abort_calls()

    def _restore(self) -> None:
        try:
            while self._replaced:
                number = next(iter(self._replaced))
                signal.signal(number, self._replaced[number])
                del self._replaced[number]
        finally:
            if self._replaced:  # a signal, whose handler is restored already, came in between
                self._restore()


def _exit(number: int, _frame: object) -> Never:
    raise _interruption(number)


def _interruption(number: int) -> BaseException:
    """What a signal raises; the exit code is that which a shell shows for it."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def _add_notes(interruption: BaseException, error: BaseException) -> None:
    if isinstance(error, Exception) and not isinstance(error, Cancelled):
        interruption.add_note(f"The push had also failed: {type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", ()):
        interruption.add_note(note)


def _lets_take_over(handler: Any) -> bool:
    """Whether this is the handler of a block that runs the caller's code."""
    block = getattr(handler, "__self__", None)
    return isinstance(block, DeferredSignals) and block.raises_at_once
