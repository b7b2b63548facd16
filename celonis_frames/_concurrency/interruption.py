"""Work that no interruption may tear apart: done in a thread, which is told to stop instead.

Python raises KeyboardInterrupt between any two steps of the main thread: while a lock is taken,
which then stays taken, after a job was made and before anybody knows of it, or in a finalizer,
which swallows it. So the main thread only waits here, where it can be interrupted at any step.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import sys
import threading
import time
from collections.abc import Callable

from celonis_frames._concurrency.cancellation import (
    TURN_SECONDS,
    CallAborter,
    CancelEvent,
    Cancelled,
)

__all__ = ["run_uninterrupted"]

ANSWER_SECONDS = 1.0
"""What the call under way is given to be answered: one that is cut leaves what it did unknown."""
STOP_SECONDS = 15.0
"""What the work is given to come to its end, once it was told to stop."""


_NOT_GIVEN_UP = (
    "The push was left before it had been given up. A job that it began may be open, and a "
    "submission that was on its way may have been carried out: look at the pool's jobs before you "
    "push again."
)

Work = Callable[[threading.Event, CallAborter], None]


class _Task:
    """The work, and what it came to, which stays however the main thread is interrupted."""

    def __init__(self, work: Work) -> None:
        self._work: Work | None = work
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.stop, self.abort = CancelEvent(), CallAborter()
        self.over = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work."""
        work, self._work = self._work, None
        assert work is not None  # noqa: S101  # it is done once
        try:
            work(self.stop, self.abort)
        except BaseException as error:  # it is raised again in the thread that waits
            self.error = error
        del work
        self.over = True
        self._ended.put(None)

    def wait(self) -> None:
        """Return when it is over, or after a turn."""
        with contextlib.suppress(queue.Empty):
            self._ended.get(timeout=TURN_SECONDS)

    def wait_for_end(self, thread: threading.Thread, seconds: float) -> None:
        """Return when it is over, was never begun, or so much time has passed."""
        end = time.monotonic() + seconds
        while not self.over and thread.is_alive() and time.monotonic() < end:
            self.wait()


def run_uninterrupted(work: Work) -> None:
    """Do some work in a thread of its own.

    An interruption sets the event that the work is given and, a second later, ends the call that is
    made inside a ``with`` block of its `CallAborter`; then the work has 15 s to end. A second
    interruption does not wait for that.

    Args:
        work: What is to be done. `Cancelled` is what it raises when it was told to stop.

    Raises:
        BaseException: What the work raised; or the interruption, with the notes of that.
        RuntimeError: The system gives no thread.
    """
    task, outer = _Task(work), sys.exc_info()[1]
    del work
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(task.run,), name="celonis-deliver", daemon=True
    )
    try:
        thread.start()
        while not task.over:
            task.wait()
    except BaseException as error:
        task.stop.told = True
        try:
            task.wait_for_end(thread, ANSWER_SECONDS)
            task.abort.trigger()
            task.wait_for_end(thread, STOP_SECONDS)
        except BaseException as second:
            second.add_note(_NOT_GIVEN_UP)
            raise
        finally:
            task.stop.left = True
            task.abort.trigger()
        _explain(_heard(error, outer), task, late=thread.is_alive() and not task.over)
        task.error = None
        if _heard(error, outer) is error:
            raise
        raise _heard(error, outer) from None
    failure, task.error = task.error, None
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # an error in its own traceback's frame would keep all this alive


def _heard(error: BaseException, outer: BaseException | None) -> BaseException:
    """The interruption, also where the standard library made an error of its own from it.

    Args:
        error: What was raised.
        outer: What was being handled before.
    """
    seen: BaseException | None = error
    while isinstance(seen, Exception) and seen is not outer:
        seen = seen.__context__
    return error if seen is None or seen is outer else seen


def _explain(interruption: BaseException, task: _Task, *, late: bool) -> None:
    error = task.error
    if isinstance(error, Exception) and not isinstance(error, Cancelled):
        interruption.add_note(f"Meanwhile it had failed: {type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", ()):
        interruption.add_note(note)
    if late:
        interruption.add_note(_NOT_GIVEN_UP)
