"""A job's life apart from its chunks: made, submitted and given up, each once whatever breaks.

Celonis takes 10 submissions a second and 250 an hour from a team; the hour begins at the full hour,
UTC (Getting Started page of the Data Push API).
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from celonis_frames._concurrency.cancellation import pause
from celonis_frames._http.retry import Patience, outcome
from celonis_frames._jobs import ENDED
from celonis_frames.exceptions import (
    ApiError,
    BadRequest,
    CelonisFramesError,
    Conflict,
    RateLimited,
    UploadUncertain,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from celonis_frames._api import Api

__all__ = ["Orphans", "SubmissionLimit", "cancel", "limit_for", "submit"]

PER_SECOND, PER_HOUR = 10, 250
MAX_REFUSALS = 10
"""Refusals of one submission in a row that are waited for, where the server says how long."""
LONGEST_HINTED = 30.0
"""Seconds that the waits between them grow to, if the server asks for less."""
SHORT_WAITS = 4
"""Refusals in a row, without a hint of how long, that are taken for the second's limit; after
that it is taken for the hour's."""
LONG_WAIT = 5.0
"""Seconds from which on a wait is announced."""
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

    def wait(
        self,
        *,
        left: float | None,
        announce: Callable[[str], None],
        stop: threading.Event | None = None,
    ) -> None:
        """Return when a submission may be made, and count it.

        Args:
            left: Seconds that may be waited; None: any.
            announce: Called with a text when the wait is long.
            stop: Ends the wait when another thread sets it.

        Raises:
            RateLimited: It would take longer; the message says when the hour begins anew.
            Stopped: `stop` was set.
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
            pause(until - now, stop)
            with self._lock:
                # The wait is over, whatever the clock says: it may have been set back. Meanwhile
                # another submission may have been refused for longer.
                if self._closed_until == until:
                    self._closed_until = min(until, self._clock())

    def refused(self, error: RateLimited, number: int) -> None:
        """The server takes none at the moment: all wait, as long as it asks or the rules tell.

        Args:
            error: The refusal.
            number: Which one of this submission it is, from 1.

        Raises:
            RateLimited: `error`, when there were too many.
        """
        if number > (SHORT_WAITS + HOURS if error.retry_after is None else MAX_REFUSALS):
            error.add_note(f"It was refused {number} times.")
            raise error
        with self._lock:
            now = self._clock()
            if error.retry_after is not None:
                growing = min(2.0 ** (number - 1), LONGEST_HINTED)
                until = now + min(max(error.retry_after, growing), 3600.0)
            elif number <= SHORT_WAITS:
                until = now + 2.0 ** (number - 1)
            else:
                until = _next_hour(now)
            self._closed_until = max(self._closed_until, until)

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
    recount: Callable[[], None] | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Submit a job exactly once. Returns when the server has it.

    A lost answer is settled by the job's state: in NEW it is submitted again. 409 and 429 are
    waited for.

    Args:
        api: The calls, with the patience for failures other than 429.
        pool_id: The pool.
        job_id: A job in NEW.
        duplicate_removal_column: See `Api.execute_job`.
        recount: Called right before every call, to see that the job still holds what was counted.
        announce: Called with a text when there is a long wait.

    Raises:
        ApiError: It was refused, or failed for good; the job is still in NEW.
        RateLimited: The quota is used up for longer than may be waited.
        Stopped: Another thread said so.
        UploadUncertain: Whether it was submitted cannot be found out.
    """
    patience = api.patience
    limit, budget, doubt, refusals = limit_for(api.url), patience.budget(), False, 0
    while True:
        limit.wait(left=patience.left(), announce=announce, stop=patience.stop)
        if recount is not None:
            recount()
        patience.check()
        try:
            api.execute_job(pool_id, job_id, duplicate_removal_column=duplicate_removal_column)
        except RateLimited as error:
            refusals += 1
            limit.refused(error, refusals)
        except ApiError as error:
            known = outcome(error)
            doubt = doubt or known == "unknown"
            conflict = isinstance(error, Conflict)
            # A job that is not NEW any more is refused with 400: something sent this call twice.
            # Where nothing was sent, and nothing before, nothing is to be looked up.
            if (doubt or isinstance(error, Conflict | BadRequest)) and _state(
                api, pool_id, job_id, error
            ) != "NEW":
                return
            if known == "refused" and not conflict:
                raise
            budget.spend(error)
        else:
            return


def _state(api: Api, pool_id: str, job_id: str, error: ApiError) -> str:
    try:
        return api.job(pool_id, job_id).state
    except ApiError as second:
        if outcome(second) == "refused":
            raise
        raise UploadUncertain(
            f"Whether job {job_id} was submitted is not known ({error.message}), and the server "
            "cannot be asked. Look at it with celonis.job(pool, id) before you push again.",
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
    patience = cleanup_policy(api, seconds)
    try:
        patience.ask(lambda: api.cancel_job(pool_id, job_id, read_timeout=seconds))
    except BadRequest:
        state = api.job(pool_id, job_id, patience=patience).state
        if state not in ENDED:
            raise
        return state
    return "CANCELED"


def cleanup_policy(api: Api, seconds: float | None) -> Patience:
    """The patience for what must be done although the push is over."""
    if seconds is None:
        return dataclasses.replace(api.patience, deadline=None, stop=None)
    return Patience(tries=2, seconds=seconds)


class Orphans:
    """Makes a job; a lost answer may leave one behind that nobody knows, to be cancelled later.

    The API lets a client give a job no mark of its own; ours are recognised by their
    ``fallbackVarcharLength``, a number drawn at random (see `job_body`).

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

    def create(self) -> str:
        """The id of a new job.

        Raises:
            ApiError: It cannot be made.
            Stopped: Another thread said so.
        """
        budget = self._api.patience.budget()
        while True:
            self._api.patience.check()
            try:
                job = self._api.create_job(self._pool_id, self._body)
            except ApiError as error:
                known = outcome(error)
                if known == "refused":
                    raise
                self._lost += known == "unknown"
                budget.spend(error)
            except BaseException:
                self._lost += 1  # interrupted: there may be one
                raise
            else:
                self._made.add(job.id)
                _ours.add(job.id)
                return job.id

    def sweep(self, *, seconds: float | None = None) -> None:
        """Cancel what lost answers left behind. Never raises an error of the API.

        Args:
            seconds: How long it may take; None: the connection's patience.
        """
        try:
            if self._lost:
                self._cancel(seconds)
        except CelonisFramesError as error:
            _log.warning(
                "a job for table %s may be left in NEW, without chunks, in pool %s (%s)",
                self._body.get("targetName"), self._pool_id, error.message,
            )  # fmt: skip
        finally:
            _ours.difference_update(self._made)

    def _cancel(self, seconds: float | None) -> None:
        patience = cleanup_policy(self._api, seconds)
        marks = ("targetName", "type", "connectionId", "fallbackVarcharLength")
        found = [
            job
            for job in self._api.jobs(self._pool_id, patience=patience)
            if job.state == "NEW"
            and job.id not in _ours
            and all(job.raw.get(mark) == self._body.get(mark) for mark in marks)
        ]
        for job in found:
            cancel(self._api, self._pool_id, job.id, seconds=seconds)
            _log.info("job %s, whose answer had been lost, was cancelled", job.id)


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
