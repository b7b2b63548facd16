"""Poll jobs until they end; the errors for jobs that failed or ran too long."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from celonis_frames._api.calls import ApiCalls
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import Job
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.retry import MAX_RETRY_AFTER, Outcome, RetryPolicy, outcome
from celonis_frames._reporting.current import report_job, report_retry, warn
from celonis_frames.exceptions import (
    ApiError,
    ApiStatusError,
    CelonisFramesError,
    JobFailed,
    JobTimeout,
)

ENDED = frozenset({"DONE", "ERROR", "CANCELED"})
"""The final states of a job."""
FIRST_DELAY = 0.02
GROWTH = 3.2
LAST_DELAY = 17.0
"""Seconds between polls: a small job returns at once, a job of one minute takes ten polls."""
MAX_SILENCE = 900.0
"""Seconds without a response before polling fails, if no timeout is given: the job goes on during
a network outage."""
MIN_SECONDS = 1.0
"""Seconds for one look at a job, however little of a timeout is left: it may have ended."""
_ONCE = RetryPolicy(max_tries=1)
NEW_SECONDS = 60.0
"""Seconds in NEW after the submission from which on a job is reported."""
MAX_REASON = 20_000
"""Characters of the log line that says why a job failed: it is shown whole."""
_AFTER_SILENCE = (
    "Submitted: {}. The outcome is unknown: check with celonis.job(pool, id) before you push again."
)
_ABOUT_ERROR = re.compile(r"(?i)error|exception|fail")
_TIME = re.compile(r"^\s*\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*\s*-?\s*")
MAX_LOG_LINES = 5
MAX_LOG_LINE = 500
"""Log lines in a message, and characters of each."""

_T = TypeVar("_T")
_Calls = TypeVar("_Calls", bound=ApiCalls)


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

    Polls after 0, 0.02, 0.08, 0.29, 0.94, … s, later every 17 s: ten times in the first minute.
    After a failed poll (no connection, no response in time, 429, 5xx, an unreadable response)
    polling goes on as long as `timeout` and the deadline of the API's token allow; without one, for
    15 minutes. `on_job` is called with the job after every response. `sleep` and `clock` (seconds)
    are for tests.

    Raises:
        JobTimeout: The timeout has passed; the job continues on the server.
        ApiError: The job's state cannot be read.
        Cancelled: The API's token was cancelled.
    """
    with within_timeout(api, timeout) as (limited, left):
        begin, reported = clock(), set[str]()

        def fetch() -> tuple[Job, bool]:
            job = limited.job(pool_id, job_id, policy=_ONCE)
            report_job("push", job.table, job.state, done=job.state in ENDED, job_id=job.id)
            if job.state == "NEW":
                _report_new(job, clock() - begin, reported)
            if on_job is not None:
                on_job(job)
            return job, job.state in ENDED

        return poll(
            fetch, left, limited.token,
            timed_out=lambda job: timed_out(job_id, job, left or 0.0),
            note=_AFTER_SILENCE.format(job_id), sleep=sleep, clock=clock,
        )  # fmt: skip


def wait_for_all(
    api: DataPushApi,
    pool_id: str,
    job_ids: Sequence[str],
    *,
    timeout: float | None = None,
    on_job: Callable[[Job], None] | None = None,
) -> dict[str, Job]:
    """Jobs of one pool by id, once all have ended. Each poll is one call for all of them.

    `on_job` is called with each job at every poll until it has ended.

    Raises:
        JobTimeout: The timeout has passed; the jobs continue on the server.
        NotFound: One of them was deleted.
        ApiError: The jobs' states cannot be read.
    """
    ended: dict[str, Job] = {}
    with within_timeout(api, timeout) as (limited, left):
        begin, reported = time.monotonic(), set[str]()

        def is_ours(job: Job) -> bool:
            return job.id in job_ids

        def fetch() -> tuple[dict[str, Job], bool]:
            listed: dict[str, Job] = {}
            try:
                listed = {job.id: job for job in limited.jobs(pool_id, policy=_ONCE, where=is_ours)}
            except ApiStatusError as error:
                if error.status_code >= 300:
                    raise
                # It is in an unknown form: each job is read by its id.
            for job_id in job_ids:
                if job_id in ended:
                    continue
                # The list may be incomplete: a job that is not in it is read by its id.
                job = listed.get(job_id) or limited.job(pool_id, job_id, policy=_ONCE)
                if job.state == "NEW":
                    _report_new(job, time.monotonic() - begin, reported)
                if job.state in ENDED:
                    ended[job_id] = job
                if on_job is not None:
                    on_job(job)
            return ended, len(ended) == len(job_ids)

        names = ", ".join(job_ids)
        return poll(
            fetch, left, limited.token,
            timed_out=lambda _: timed_out(names, None, left or 0.0),
            note=_AFTER_SILENCE.format(names),
        )  # fmt: skip


@contextlib.contextmanager
def within_timeout(
    api: _Calls, timeout: float | None = None
) -> Iterator[tuple[_Calls, float | None]]:
    """The same calls, bounded by `timeout` too, and the seconds that they are bounded to.

    If less than `MIN_SECONDS` is left, a call may still take that long.
    """
    end = None if timeout is None else time.monotonic() + timeout
    with CancelToken(deadline=end, parent=api.token) as token:
        left = token.remaining()
        if left is None or left >= MIN_SECONDS:
            yield api.within(token), left
            return
    with CancelToken(deadline=time.monotonic() + MIN_SECONDS) as token:
        yield api.within(token), left


def poll(
    fetch: Callable[[], tuple[_T, bool]],
    timeout: float | None,
    token: CancelToken,
    *,
    timed_out: Callable[[_T | None], CelonisFramesError],
    note: str = "",
    sleep: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> _T:
    """The result of `fetch` when it says that this is the last; waits as `wait_for`.

    Args:
        fetch: Reads what is waited for, and says whether this was the last time.
        timeout: Seconds to wait.
        token: Ends the waits.
        timed_out: Makes the error for a timeout that has passed, from what was read last.
        note: Added to an error that ends the polling after a long silence.
        sleep: For tests.
        clock: For tests, in seconds.

    Raises:
        CelonisFramesError: That of `timed_out`.
        ApiError: A call was rejected, or there was no response for `MAX_SILENCE` seconds.
        Cancelled: The token was cancelled.
    """
    end = None if timeout is None else clock() + timeout
    delay = FIRST_DELAY
    silent_since: float | None = None
    failures = 0
    seen: _T | None = None
    while True:
        wait, failure = delay, None
        try:
            seen, ended = fetch()
        except ApiError as error:
            if outcome(error) is Outcome.REJECTED:
                raise
            silent_since = clock() if silent_since is None else silent_since
            if end is None and clock() - silent_since > MAX_SILENCE:
                if note:
                    error.add_note(note)
                    error.outcome_known = False
                raise
            wait = max(delay, min(getattr(error, "retry_after", None) or 0.0, MAX_RETRY_AFTER))
            failure, failures = error, failures + 1
        else:
            silent_since, failures = None, 0
            if ended:
                return seen
        if end is not None:
            left = end - clock()
            if left <= 0:
                raise timed_out(seen)
            wait = min(wait, left)
        # A call that the deadline has ended is no failure.
        if failure is not None and not token.expired:
            report_retry(failure, attempt=failures, seconds=wait)
        (sleep or token.sleep)(wait)
        delay = min(delay * GROWTH, LAST_DELAY)


def _report_new(job: Job, seconds: float, reported: set[str]) -> None:
    """Log a warning, once, if a submitted job has been in NEW for long."""
    if seconds > NEW_SECONDS and job.id not in reported:
        reported.add(job.id)
        warn(
            "job %s has been NEW for %.0f s although its submission was accepted. It is not "
            "submitted again; cancel it with celonis.job(%r, %r).cancel() if it stays NEW, "
            "then push again.",
            job.id, seconds, job.pool_id, job.id,
        )  # fmt: skip


def failure(job: Job) -> JobFailed:
    """The error for a job that ended in ERROR or CANCELED, with its last log lines."""
    lines = [f"  {_shortened(line, MAX_LOG_LINE)}" for line in job.logs[-MAX_LOG_LINES:]]
    if job.state == "CANCELED":
        what, advice = "was canceled", "push again if that was not intended"
    else:
        what, advice = "ended in ERROR", "fix what the log reports and push again"
    reason = _reason(job.logs) if job.state == "ERROR" else ""
    log = "\n".join(["Its last log lines:", *lines]) if lines else "It has no log lines."
    message = (
        f"Job {job.id} for table {job.table!r} {what}{reason and f': {reason}'}. The table is "
        f"unchanged; {advice}. {log}"
    )
    return JobFailed(message, job_id=job.id, logs=job.logs, state=job.state)


def _reason(logs: Sequence[str]) -> str:
    """The last log line about an error, else the last one; without its time."""
    about = [line for line in logs if _ABOUT_ERROR.search(line)] or list(logs)
    return _shortened(_TIME.sub("", about[-1]), MAX_REASON).rstrip(" .") if about else ""


def _shortened(line: str, limit: int) -> str:
    line = "".join(c if c.isprintable() else " " for c in line[: limit + 1])
    return line if len(line) <= limit else line[: limit - 1] + "…"


def timed_out(job_id: str, job: Job | None, timeout: float | None) -> JobTimeout:
    """The error for a job, as last seen, that has not ended within `timeout` seconds."""
    state = "in an unknown state" if job is None else job.state
    when = "when timeout= passed" if timeout is None else f"after {round(timeout, 1):g} s"
    return JobTimeout(
        f"Job {job_id} is still {state} {when}. It continues on the server: wait for "
        "it with celonis.job(pool, id).wait(), or stop it with .cancel(). Do not push the same "
        "frame again before it has ended.",
        job_id=job_id,
        logs=() if job is None else job.logs,
    )
