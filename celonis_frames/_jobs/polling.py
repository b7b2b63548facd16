"""Watching a job until it ends, and saying why it failed."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

from celonis_frames._api.models import Job
from celonis_frames._concurrency.cancellation import pause
from celonis_frames._http.retry import MAX_RETRY_AFTER, RetryPolicy, outcome
from celonis_frames.exceptions import ApiError, JobFailed, JobTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from celonis_frames._api.client import DataPushApi

__all__ = ["ENDED", "failure", "timed_out", "wait_for", "wait_for_all"]

ENDED = frozenset({"DONE", "ERROR", "CANCELED"})
"""The states a job does not leave."""
FIRST_DELAY = 0.02
GROWTH = 3.2
LAST_DELAY = 17.0
"""Seconds between looks: a small job is seen to end at once, one of a minute in ten looks."""
MAX_SILENCE = 900.0
"""Seconds without an answer that are borne when no time limit is given: a job goes on while the
network does not."""
_ONCE = RetryPolicy(tries=1)
MAX_LINES = 5
MAX_LINE = 500

_log = logging.getLogger("celonis_frames")
_T = TypeVar("_T")


def wait_for(
    api: DataPushApi,
    pool_id: str,
    job_id: str,
    *,
    timeout: float | None = None,
    on_job: Callable[[Job], None] | None = None,
    sleep: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Job:
    """The job, once it is in DONE, ERROR or CANCELED.

    Asks after 0, 0.02, 0.08, 0.29, 0.94, … s, at last every 17 s: ten times in a minute. An
    interruption (no connection, no answer in time, 429, 5xx, an unreadable answer) is borne as long
    as `timeout` allows; without one, for a quarter of an hour.

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

    def look() -> Job:
        job = api.job(pool_id, job_id, patience=_ONCE)
        if on_job is not None:
            on_job(job)
        return job

    return _watch(look, lambda job: job.state in ENDED, job_id, timeout, sleep, clock)


def wait_for_all(
    api: DataPushApi,
    pool_id: str,
    job_ids: Sequence[str],
    *,
    timeout: float | None = None,
    on_job: Callable[[Job], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Job]:
    """The jobs of a pool by id, once they all have ended, with one question a round for all.

    `on_job` is called with each job that is seen, and not again once it has ended.

    Raises:
        JobTimeout: If the time is up; the jobs go on at the server.
        NotFound: If one of them is not there any more.
        ApiError: If the server cannot be asked.
    """
    ended: dict[str, Job] = {}

    def look() -> dict[str, Job]:
        there = {job.id: job for job in api.jobs(pool_id, patience=_ONCE)}
        for job_id in job_ids:
            if job_id in ended:
                continue
            # A list may be shorter than it should be: the job itself is asked for before it is
            # taken for gone.
            job = there.get(job_id) or api.job(pool_id, job_id, patience=_ONCE)
            if job.state in ENDED:
                ended[job_id] = job
            if on_job is not None:
                on_job(job)
        return ended

    return _watch(
        look, lambda found: len(found) == len(job_ids), ", ".join(job_ids), timeout, None, clock
    )


def _watch(
    look: Callable[[], _T],
    over: Callable[[_T], bool],
    names: str,
    timeout: float | None,
    sleep: Callable[[float], None] | None,
    clock: Callable[[], float],
) -> _T:
    """What is seen when it is over; how often is looked, and what is borne, as in `wait_for`."""
    end = None if timeout is None else clock() + timeout
    delay = FIRST_DELAY
    silent_since: float | None = None
    seen: _T | None = None
    while True:
        wait = delay
        try:
            seen = look()
        except ApiError as error:
            if outcome(error) == "refused":
                raise
            silent_since = clock() if silent_since is None else silent_since
            if end is None and clock() - silent_since > MAX_SILENCE:
                error.add_note(
                    f"Submitted were: {names}. What became of it is not known: look with "
                    "celonis.job(pool, id) before you push again."
                )
                raise
            asked = getattr(error, "retry_after", None)
            wait = max(delay, min(asked or 0.0, MAX_RETRY_AFTER))
            _log.warning("job %s: asking for its state failed (%s)", names, type(error).__name__)
        else:
            silent_since = None
            if over(seen):
                return seen
        if end is not None:
            left = end - clock()
            if left <= 0:
                raise timed_out(names, seen if isinstance(seen, Job) else None, timeout or 0.0)
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


def timed_out(job_id: str, job: Job | None, timeout: float) -> JobTimeout:
    """The error for a job, as last seen, that has not ended in so many seconds."""
    state = "in an unknown state" if job is None else job.state
    return JobTimeout(
        f"The job {job_id} is still {state} after {timeout:g} s. It goes on at the server: look "
        "again with celonis.job(pool, id).wait(), or stop it with .cancel(). Do not push the same "
        "frame again before it has ended.",
        job_id=job_id,
        logs=() if job is None else job.logs,
    )
