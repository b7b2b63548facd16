"""A job's life apart from its chunks: made, submitted and given up, each once whatever breaks.

Celonis takes 10 submissions a second and 250 an hour from a team; the hour begins at the full hour,
UTC (Getting Started page of the Data Push API).
"""

from __future__ import annotations

import collections
import datetime as dt
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from celonis_frames._jobs import ENDED
from celonis_frames._retry import Patience, outcome, pause
from celonis_frames.exceptions import (
    ApiError,
    BadRequest,
    CelonisFramesError,
    Conflict,
    NotFound,
    RateLimited,
    UploadUncertain,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from celonis_frames._api import Api, Job

__all__ = ["Orphans", "SubmissionLimit", "cancel", "limit_for", "submit"]

PER_SECOND, PER_HOUR = 10, 250
SHORT_WAITS = 4
"""Refusals in a row, without a hint of how long, that are taken for the second's limit; after
that it is taken for the hour's."""
LONG_WAIT = 5.0
"""Seconds from which on a wait is announced."""
LOOK_AGAIN = 3.0
"""Seconds between the two looks at what may be an orphan: another process's job gets its first
chunk meanwhile."""
HOURS = 2
"""Full hours that are waited for before a refusal is final."""

_log = logging.getLogger("celonis_frames")
_limits: dict[str, SubmissionLimit] = {}
_limits_lock = threading.Lock()
_ours: set[str] = set()
"""Jobs that this process made: no orphans, however much they look like one."""


def limit_for(url: str) -> SubmissionLimit:
    """The one limit of this process for a team, by its base address."""
    with _limits_lock:
        return _limits.setdefault(url, SubmissionLimit())


class SubmissionLimit:
    """Keeps submissions within the team's quota, as far as one process can know it.

    Other processes of the team are seen only by the server's refusals (429).

    Args:
        clock: Tells the time in epoch seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: collections.deque[float] = collections.deque(maxlen=PER_SECOND)
        self._hour, self._in_hour = 0, 0
        self._closed_until = 0.0
        self._refusals = 0

    def wait(self, *, left: float | None, announce: Callable[[str], None]) -> None:
        """Return when a submission may be made, and count it.

        Args:
            left: Seconds that may be waited; None: any.
            announce: Called with a text when the wait is long.

        Raises:
            RateLimited: It would take longer; the message says when the hour begins anew.
        """
        end = None if left is None else self._clock() + left
        while True:
            with self._lock:
                until = self._opens()
                now = self._clock()
                if until <= now:
                    self._recent.append(now)
                    self._in_hour += 1
                    return
            if end is not None and until > end:
                raise _limited(until)
            if until - now > LONG_WAIT:
                text = f"waiting until {_clock_time(until)} UTC, when submissions are taken again"
                _log.warning("%s (10 a second and 250 an hour for a team)", text)
                announce(text)
            pause(until - now)
            with self._lock:
                # The wait is over, whatever the clock says: it may have been set back.
                self._closed_until = min(self._closed_until, self._clock())

    def refused(self, error: RateLimited) -> None:
        """The server takes none at the moment: all wait, as long as it asks or the rules tell.

        Raises:
            RateLimited: `error`, when that has been so for hours.
        """
        with self._lock:
            self._refusals += 1
            now = self._clock()
            if error.retry_after is not None:
                if self._refusals > SHORT_WAITS * HOURS:
                    raise error
                until = now + min(error.retry_after, 3600.0)
            elif self._refusals <= SHORT_WAITS:
                until = now + 2.0 ** (self._refusals - 1)
            elif self._refusals <= SHORT_WAITS + HOURS:
                until = _next_hour(now)
            else:
                raise error
            self._closed_until = max(self._closed_until, until)

    def accepted(self) -> None:
        """The server took one."""
        with self._lock:
            self._refusals = 0

    def _opens(self) -> float:
        now = self._clock()
        hour = int(now // 3600)
        if hour != self._hour:
            self._hour, self._in_hour = hour, 0
        until = self._closed_until
        if len(self._recent) == PER_SECOND and self._recent[0] <= now:
            until = max(until, self._recent[0] + 1.0)
        if self._in_hour >= PER_HOUR:
            until = max(until, _next_hour(now))
        return until


def submit(
    api: Api,
    pool_id: str,
    job_id: str,
    *,
    duplicate_removal_column: str | None = None,
    patience: Patience,
    left: Callable[[], float | None] = lambda: None,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Submit a job exactly once. Returns when the server has it.

    A lost answer is settled by the job's state: in NEW it is submitted again. 409 and 429 are
    waited for.

    Args:
        api: The calls.
        pool_id: The pool.
        job_id: A job in NEW.
        duplicate_removal_column: See `Api.execute_job`.
        patience: For failures other than 429.
        left: Tells the seconds that may still be waited.
        announce: Called with a text when there is a long wait.

    Raises:
        ApiError: It was refused, or failed for good; the job is still in NEW.
        RateLimited: The quota is used up for longer than may be waited.
        UploadUncertain: Whether it was submitted cannot be found out.
    """
    limit, budget, doubt = limit_for(api.url), patience.budget(), False
    while True:
        limit.wait(left=left(), announce=announce)
        try:
            api.execute_job(pool_id, job_id, duplicate_removal_column=duplicate_removal_column)
        except RateLimited as error:
            limit.refused(error)
        except ApiError as error:
            known = outcome(error)
            doubt = doubt or known == "unknown"
            conflict = isinstance(error, Conflict)
            # A job that is not NEW any more is refused with 400: something sent this call twice.
            # Where nothing was sent, and nothing before, nothing is to be looked up.
            if (doubt or isinstance(error, Conflict | BadRequest)) and _state(
                api, pool_id, job_id, error
            ) != "NEW":
                break
            if known == "refused" and not conflict:
                raise
            budget.spend(error)
        else:
            break
    limit.accepted()


def _state(api: Api, pool_id: str, job_id: str, error: ApiError) -> str:
    try:
        return api.job(pool_id, job_id).state
    except ApiError as second:
        if outcome(second) == "refused":
            raise
        raise UploadUncertain(
            f"Job {job_id} was submitted, but the answer was lost ({error.message}), and the "
            "server cannot be asked whether it runs. Look at it with celonis.job(pool, id) before "
            "you push again.",
            job_id=job_id,
        ) from second


def cancel(api: Api, pool_id: str, job_id: str, *, seconds: float | None = None) -> str:
    """Cancel a job that will not be executed; its state after that, as far as it can be told.

    Args:
        api: The calls.
        pool_id: The pool.
        job_id: The job.
        seconds: How long it may take; None: the connection's patience.

    Raises:
        ApiError: The server could not be reached, or refused.
    """
    patience = api.patience if seconds is None else Patience(tries=2, seconds=seconds)
    try:
        patience.ask(lambda: api.cancel_job(pool_id, job_id, read_timeout=seconds))
    except NotFound:
        return "DELETED"
    except BadRequest:
        state = api.job(pool_id, job_id, patience=patience).state
        if state not in ENDED:
            raise
        return state
    return "CANCELED"


class Orphans:
    """Makes a job; a lost answer may leave one behind that nobody knows, to be cancelled later.

    The API lets a client give a job no mark of its own. When our push is over, a job is taken for
    an orphan of ours if it is as we asked for it field by field, was not made known to this
    process, and is in NEW without a chunk at two looks some seconds apart.

    Args:
        api: The calls.
        pool_id: The pool.
        body: The job's fields.
        lost: Answers that an earlier process may have lost.
    """

    def __init__(self, api: Api, pool_id: str, body: Mapping[str, Any], *, lost: int = 0) -> None:
        self._api, self._pool_id, self._body = api, pool_id, body
        self._lost = lost
        self._made: set[str] = set()

    def create(self, patience: Patience) -> str:
        """The id of a new job.

        Raises:
            ApiError: It cannot be made.
        """
        budget = patience.budget()
        while True:
            try:
                job = self._api.create_job(self._pool_id, self._body)
            except ApiError as error:
                known = outcome(error)
                if known == "refused":
                    raise
                self._lost += known == "unknown"
                budget.spend(error)
            else:
                self._made.add(job.id)
                _ours.add(job.id)
                return job.id

    def sweep(self) -> None:
        """Cancel what lost answers left behind. Never raises an error of the API."""
        try:
            if self._lost:
                self._cancel()
        except CelonisFramesError as error:
            _log.warning(
                "a job for table %s may be left in NEW, without chunks, in pool %s (%s)",
                self._body.get("targetName"), self._pool_id, error.message,
            )  # fmt: skip
        finally:
            _ours.difference_update(self._made)

    def _cancel(self) -> None:
        found = self._alike()
        if found:
            pause(LOOK_AGAIN)
            again = {job.id for job in self._alike()}
            found = [job for job in found if job.id in again]
        if len(found) > self._lost:
            _log.warning(
                "%d jobs in NEW look like the one whose answer was lost, so none was cancelled: %s",
                len(found), ", ".join(job.id for job in found),
            )  # fmt: skip
            return
        for job in found:
            cancel(self._api, self._pool_id, job.id)
            _log.info("job %s, whose answer had been lost, was cancelled", job.id)

    def _alike(self) -> list[Job]:
        return [
            job
            for job in self._api.jobs(self._pool_id)
            if job.state == "NEW"
            and job.id not in _ours
            and _holds(job.raw, self._body)
            and not self._api.chunks(self._pool_id, job.id)
        ]


def _holds(there: Any, asked: Any) -> bool:
    """Whether a job has all that was asked for; the server may have added fields of its own."""
    if isinstance(asked, dict):
        return isinstance(there, dict) and all(
            value is None or _holds(there.get(name), value) for name, value in asked.items()
        )
    if isinstance(asked, list):
        return (
            isinstance(there, list)
            and len(there) == len(asked)
            and all(_holds(a, b) for a, b in zip(there, asked, strict=True))
        )
    return bool(there == asked)


def _next_hour(now: float) -> float:
    return (now // 3600 + 1) * 3600


def _clock_time(when: float) -> str:
    return f"{dt.datetime.fromtimestamp(when, dt.UTC):%H:%M:%S}"


def _limited(until: float) -> RateLimited:
    error = RateLimited(
        "The team's quota of submissions (10 a second, 250 an hour) is used up: the next is taken "
        f"at {_clock_time(until)} UTC, which is later than timeout= allows. Push again then, or "
        "give a longer timeout=.",
        status_code=429,
    )
    error.retry_after = max(0.0, until - time.time())
    return error
