"""The call in progress, for the code far below it that has something to report.

`Progress` sets it in the thread that makes the call; the threads that the call starts run in a copy
of that thread's context. Outside of a call, as for a look-up, only the log gets what is reported.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from celonis_frames.exceptions import ApiError, ApiStatusError

if TYPE_CHECKING:
    from celonis_frames._reporting.recorder import Recorder
    from celonis_frames.events import JobKind, WaitReason


class Call(Protocol):
    """A call in progress."""

    @property
    def recorder(self) -> Recorder | None:
        """Makes its records, if somebody wants them."""

    def waiting(self, reason: WaitReason, seconds: float | None, text: str) -> None:
        """Nothing is sent for a while; the bar shows the `text`."""


_log = logging.getLogger("celonis_frames")

current: ContextVar[Call | None] = ContextVar("celonis_frames_call", default=None)
"""The call that this thread works for, if there is one."""


def warn(message: str, *args: object) -> None:
    """Log a warning and report it. Every warning of the library goes through here."""
    _log.warning(message, *args, stacklevel=2)
    if (recorder := _recorder()) is not None:
        recorder.warned(message % args if args else message)


def report_retry(error: ApiError, *, attempt: int, seconds: float) -> None:
    """Log that a request is repeated after so many seconds, and report it."""
    _log.warning(
        "%s %s failed (%s%s); retry in %.1f s",
        error.method,
        error.url,
        type(error).__name__,
        f" {error.status_code}" if isinstance(error, ApiStatusError) else "",
        seconds,
        stacklevel=2,
    )
    if (recorder := _recorder()) is not None:
        recorder.retrying(error, attempt=attempt, seconds=seconds)


def report_wait(reason: WaitReason, seconds: float | None, text: str) -> None:
    """Show a wait on the bar, as a text, and report it; the caller logs it."""
    if (call := current.get()) is not None:
        call.waiting(reason, seconds, text)


def report_job(
    kind: JobKind, name: str, state: str, *, done: bool, job_id: str | None = None
) -> None:
    """Report the state of a job, a load or an execution; `job_id` is that of a push's job."""
    call = current.get()
    if call is not None and call.recorder is not None:
        call.recorder.job(kind, name, state, done=done, job_id=job_id)


def _recorder() -> Recorder | None:
    call = current.get()
    return None if call is None else call.recorder
