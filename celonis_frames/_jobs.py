"""Watching a job until it ends, and saying why it failed."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from celonis_frames._retry import MAX_RETRY_AFTER, Patience, outcome, pause
from celonis_frames.exceptions import ApiError, JobFailed, JobTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from celonis_frames._api import Api, Job

__all__ = ["ENDED", "failure", "wait_for"]

ENDED = frozenset({"DONE", "ERROR", "CANCELED"})
"""The states a job does not leave."""
FIRST_DELAY = 0.2
LAST_DELAY = 5.0
GROWTH = 1.5
MAX_SILENCE = 900.0
"""Seconds without an answer that are borne when no time limit is given: a job goes on while the
network does not."""
_ONCE = Patience(tries=1)
MAX_LINES = 5
MAX_LINE = 500

_log = logging.getLogger("celonis_frames")


def wait_for(
    api: Api,
    pool_id: str,
    job_id: str,
    *,
    timeout: float | None = None,
    on_job: Callable[[Job], None] | None = None,
    sleep: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Job:
    """The job, once it is in DONE, ERROR or CANCELED.

    Asks after 0, 0.2, 0.3, … at last every 5 s. An interruption (no connection, no answer in
    time, 429, 5xx, an unreadable answer) is borne as long as `timeout` allows; without one, for a
    quarter of an hour.

    Args:
        api: The calls.
        pool_id: The pool.
        job_id: The job.
        timeout: Seconds to wait; None waits as long as the job takes.
        on_job: Called with the job after every answer.
        sleep: Waits; for tests. None: as the library always does.
        clock: Tells the time in seconds; for tests.

    Raises:
        JobTimeout: If the time is up; the job goes on at the server.
        ApiError: If the server cannot be asked.
    """
    end = None if timeout is None else clock() + timeout
    delay = FIRST_DELAY
    silent_since: float | None = None
    job: Job | None = None
    while True:
        wait = delay
        try:
            job = api.job(pool_id, job_id, patience=_ONCE)
        except ApiError as error:
            if outcome(error) == "refused":
                raise
            silent_since = clock() if silent_since is None else silent_since
            if end is None and clock() - silent_since > MAX_SILENCE:
                error.add_note(
                    f"Job {job_id} was submitted; what became of it is not known. Look at it with "
                    "celonis.job(pool, id) before you push again."
                )
                raise
            asked = getattr(error, "retry_after", None)
            wait = max(delay, min(asked or 0.0, MAX_RETRY_AFTER))
            _log.warning("job %s: asking for its state failed (%s)", job_id, type(error).__name__)
        else:
            silent_since = None
            if on_job is not None:
                on_job(job)
            if job.state in ENDED:
                return job
        if end is not None:
            left = end - clock()
            if left <= 0:
                raise _timeout(job_id, job, timeout or 0.0)
            wait = min(wait, left)
        (sleep or pause)(wait)
        delay = min(delay * GROWTH, LAST_DELAY)


def failure(job: Job) -> JobFailed:
    """The error for a job that ended in ERROR or CANCELED, with its last log lines."""
    lines = [_line(line) for line in job.logs[-MAX_LINES:]]
    if job.state == "CANCELED":
        what = "was canceled. The table is as it was; push again if that was not meant"
    else:
        what = "ended in ERROR. The table is as it was; correct what the log names and push again"
    said = "\n".join(["Its last log lines:", *lines]) if lines else "It has no log lines."
    return JobFailed(
        f"The job {job.id} for table {job.table!r} {what}. {said}",
        job_id=job.id,
        logs=job.logs,
        state=job.state,
    )


def _line(line: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in line[: MAX_LINE + 1])
    return "  " + (line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…")


def _timeout(job_id: str, job: Job | None, timeout: float) -> JobTimeout:
    state = "in an unknown state" if job is None else job.state
    return JobTimeout(
        f"The job {job_id} is still {state} after {timeout:g} s. It goes on at the server: look "
        "again with celonis.job(pool, id).wait(), or stop it with .cancel(). Do not push the same "
        "frame again before it has ended.",
        job_id=job_id,
        logs=() if job is None else job.logs,
    )
