"""Work that no interruption may tear apart: done in a thread, which is told to stop instead.

Python raises KeyboardInterrupt between any two steps of the main thread: while a lock is taken,
which then stays taken, after a job was made and before anybody knows of it, or in a finalizer,
which swallows it. So the main thread only waits here, where it can be interrupted at any step.
"""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
import time
from collections.abc import Callable

from celonis_frames._abort import Abort
from celonis_frames._retry import Stopped

__all__ = ["interruptible", "sheltered"]

ANSWER_SECONDS = 1.0
"""What the call under way is given to be answered: one that is cut leaves what it did unknown."""
STOP_SECONDS = 15.0
"""What the work is given to come to its end, once it was told to stop."""
TURN_SECONDS = 0.1
"""The main thread waits in turns: a handler that a library installed may let it sleep on."""

Work = Callable[[threading.Event, Abort], None]


class _Task:
    """The work, and what it came to, which stays however the main thread is interrupted."""

    def __init__(self, work: Work) -> None:
        self._work: Work | None = work
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.stop, self.abort = threading.Event(), Abort()
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


def interruptible() -> bool:
    """Whether this is the thread in which Python raises interruptions."""
    return threading.current_thread() is threading.main_thread()


def sheltered(work: Work) -> None:
    """Do some work in a thread of its own.

    An interruption sets the event that the work is given and, a second later, ends the call that is
    made inside a ``with`` block of its `Abort`; then the work has 15 s to come to its end. A second
    interruption does not wait for that.

    Args:
        work: What is to be done. `Stopped` is what it raises when it was told to stop.

    Raises:
        BaseException: What the work raised; or the interruption, with the notes of that.
        RuntimeError: The system gives no thread.
    """
    task = _Task(work)
    del work
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(task.run,), name="celonis-deliver", daemon=True
    )
    try:
        thread.start()
        while not task.over:
            task.wait()
    except BaseException as error:
        task.stop.set()
        task.wait_for_end(thread, ANSWER_SECONDS)
        task.abort.trigger()
        task.wait_for_end(thread, STOP_SECONDS)
        _explain(_heard(error), task, late=thread.is_alive() and not task.over)
        del task, thread  # an error in its own traceback's frame would keep all this alive
        if _heard(error) is error:
            raise
        raise _heard(error) from None
    if task.error is not None:
        try:
            raise task.error
        finally:
            del task, thread


def _heard(error: BaseException) -> BaseException:
    """The interruption, also where the standard library made an error of its own from it."""
    seen: BaseException | None = error
    while seen is not None and isinstance(seen, Exception):
        seen = seen.__context__
    return seen or error


def _explain(interruption: BaseException, task: _Task, *, late: bool) -> None:
    error = task.error
    if isinstance(error, Exception) and not isinstance(error, Stopped):
        interruption.add_note(f"Meanwhile it had failed: {type(error).__name__}: {error}")
    for note in getattr(error, "__notes__", ()):
        interruption.add_note(note)
    if late:
        interruption.add_note(
            f"The push had not been given up after {STOP_SECONDS:g} s. A job that it began may be "
            "left, and a submission that was on its way may have been carried out: look at the "
            "pool's jobs before you push again."
        )
