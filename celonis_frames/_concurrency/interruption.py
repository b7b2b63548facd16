"""Run a task in a worker thread and turn KeyboardInterrupt into a cancellation request.

Python raises KeyboardInterrupt between any two steps of the main thread: while a lock is held,
which then stays locked; after a job was created and before its id is stored; or in a finalizer,
which swallows it. So the main thread only waits here, where any step can be interrupted.

How it works:

* The main thread starts one daemon thread, ``celonis-deliver``, which runs the task. It waits for
  the task's end on a queue, for 100 ms at a time.
* An interruption of the main thread sets the task's `CancelEvent`. One second later the task's
  `CallAborter` aborts the current HTTP call. The main thread then waits up to 15 s for the task
  to end and raises the interruption, with the notes of the task's error.
* A second interruption ends that wait. Nobody joins the thread after that: it is a daemon thread,
  which the end of the interpreter does not wait for.
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
    POLL_SECONDS,
    CallAborter,
    CancelEvent,
    Cancelled,
)

CALL_GRACE_SECONDS = 1.0
"""Time for the current call to get its response: the outcome of an aborted call is unknown."""
TASK_STOP_SECONDS = 15.0
"""Time for the task to end after it was cancelled."""

_STILL_RUNNING = (
    "The push did not stop in time. Its job may still be open, and a submission under way may have "
    "been executed: check the pool's jobs before you push again."
)

Work = Callable[[threading.Event, CallAborter], None]


class _Task:
    """The work and its result, which survives any interruption of the main thread."""

    def __init__(self, work: Work) -> None:
        self._work: Work | None = work
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.stop, self.aborter = CancelEvent(), CallAborter()
        self.done = False
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work."""
        work, self._work = self._work, None
        assert work is not None  # noqa: S101  # a task runs once
        try:
            work(self.stop, self.aborter)
        except BaseException as error:  # raised again in the thread that waits
            self.error = error
        del work
        self.done = True
        self._ended.put(None)

    def wait(self) -> None:
        """Return when the task has ended, or after `POLL_SECONDS`."""
        with contextlib.suppress(queue.Empty):
            self._ended.get(timeout=POLL_SECONDS)

    def wait_for_end(self, thread: threading.Thread, seconds: float) -> None:
        """Return when the task has ended or never started, at the latest after `seconds`."""
        end = time.monotonic() + seconds
        while not self.done and thread.is_alive() and time.monotonic() < end:
            self.wait()


def run_uninterrupted(work: Work) -> None:
    """Run `work` in a thread of its own.

    It is called with the event that an interruption sets, and with the `CallAborter` in whose
    ``with`` block it makes its calls. It raises `Cancelled` if it stopped because of the event.

    Raises:
        BaseException: What the work raised; or the interruption, with the notes of that error.
        RuntimeError: The system cannot start a thread.
    """
    task, outer = _Task(work), sys.exc_info()[1]
    del work
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(task.run,), name="celonis-deliver", daemon=True
    )
    try:
        thread.start()
        while not task.done:
            task.wait()
    except BaseException as error:
        task.stop.cancelled = True
        try:
            task.wait_for_end(thread, CALL_GRACE_SECONDS)
            task.aborter.trigger()
            task.wait_for_end(thread, TASK_STOP_SECONDS)
        except BaseException as second:
            second.add_note(_STILL_RUNNING)
            raise
        finally:
            task.stop.abandoned = True
            task.aborter.trigger()
        # No local variable for the interruption: see the end of this function.
        running = thread.is_alive() and not task.done
        _add_notes(_find_interruption(error, outer), task, running=running)
        task.error = None
        if _find_interruption(error, outer) is error:
            raise
        raise _find_interruption(error, outer) from None
    failure, task.error = task.error, None
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # an error in its own traceback's frame would keep all this alive


def _find_interruption(error: BaseException, outer: BaseException | None) -> BaseException:
    """The interruption, even if the standard library raised an error of its own because of it.

    `outer` is the error that the caller was handling before.
    """
    seen: BaseException | None = error
    while isinstance(seen, Exception) and seen is not outer:
        seen = seen.__context__
    return error if seen is None or seen is outer else seen


def _add_notes(interruption: BaseException, task: _Task, *, running: bool) -> None:
    error = task.error
    if isinstance(error, Exception) and not isinstance(error, Cancelled):
        interruption.add_note(f"The push had also failed: {type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", ()):
        interruption.add_note(note)
    if running:
        interruption.add_note(_STILL_RUNNING)
