"""The team's quota of job submissions."""

from __future__ import annotations

import collections
import datetime as dt
import threading
import time
from collections.abc import Callable

from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._formatting import counted
from celonis_frames._reporting.current import report_retry, report_wait, warn
from celonis_frames.exceptions import RateLimited

PER_SECOND, PER_HOUR = 10, 250
MAX_REJECTIONS = 10
"""Consecutive 429 responses with ``Retry-After`` after which a submission fails."""
MAX_BACKOFF = 30.0
"""Seconds up to which the waits grow if ``Retry-After`` asks for less."""
SHORT_WAITS = 4
"""Consecutive 429 responses without ``Retry-After`` that are attributed to the limit per second;
later ones are attributed to the limit per hour."""
REPORTED_SECONDS = 5.0
"""A longer wait is reported."""
HOURS = 2
"""Number of full hours to wait for before a submission fails."""

_limits: dict[str, SubmissionLimit] = {}
_limits_lock = threading.Lock()


def limit_for(url: str) -> SubmissionLimit:
    """The limit for a team, by its base URL; one for the whole process."""
    with _limits_lock:
        if url not in _limits:
            _limits[url] = SubmissionLimit()
        return _limits[url]


def server_started(url: str, *, quota: bool) -> None:
    """Begin anew with a local Celonis at this base URL, which may have no quota."""
    with _limits_lock:
        _limits[url] = SubmissionLimit(quota=quota)


class SubmissionLimit:
    """Keeps this process's submissions within the team's quota.

    Submissions of the team's other processes show only as 429 responses. Without a `quota` only
    these make a submission wait.
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, quota: bool = True) -> None:
        self._clock, self._lock, self._quota = clock, threading.Lock(), quota
        self._recent: collections.deque[float] = collections.deque(maxlen=PER_SECOND)
        self._hour, self._in_hour = 0, 0
        self._closed_until = 0.0

    def wait(self, token: CancelToken) -> None:
        """Return when a submission may be made, and count it. A long wait is reported.

        Raises:
            RateLimited: The wait would last beyond the token's deadline; the message says when the
                next hour begins.
            Cancelled: The token was cancelled.
        """
        left = token.remaining()
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
                raise RateLimited(
                    "The team's quota of submissions (10 a second, 250 an hour) is used up. The "
                    f"next one is accepted at {_clock_time(until)} UTC, later than timeout= "
                    "allows. Push again then, or give a longer timeout=.",
                    status_code=429,
                    retry_after=max(0.0, until - time.time()),
                )
            if until - now > REPORTED_SECONDS:
                when = _clock_time(until)
                text = f"waiting until {when} UTC, when submissions are accepted again"
                warn("%s (10 a second and 250 an hour for a team)", text)
                report_wait("quota", until - now, text)
            token.sleep(until - now)
            with self._lock:
                # The wait is over even if the clock was set back. Unless another submission was
                # rejected meanwhile, for longer.
                if self._closed_until == until:
                    self._closed_until = min(until, self._clock())

    def rejected(self, error: RateLimited, number: int) -> None:
        """Let all submissions wait: as ``Retry-After`` asks, or as the quota's rules say.

        Raises:
            RateLimited: `error`, if the `number` of 429 responses to this submission is too high.
        """
        if number > (SHORT_WAITS + HOURS if error.retry_after is None else MAX_REJECTIONS):
            error.add_note(f"The submission was rejected {counted(number, 'time')}.")
            raise error
        with self._lock:
            now = self._clock()
            if error.retry_after is not None:
                growing = min(2.0 ** (number - 1), MAX_BACKOFF)
                until = now + min(max(error.retry_after, growing), 3600.0)
            elif number <= SHORT_WAITS:
                until = now + 2.0 ** (number - 1)
            else:
                until = _next_hour(now)
            self._closed_until = max(self._closed_until, until)
        report_retry(error, attempt=number, seconds=until - now)

    def _opens(self) -> float:
        now = self._clock()
        hour = int(now // 3600)
        if hour != self._hour:
            self._hour, self._in_hour = hour, 0
        until = self._closed_until
        if not self._quota:
            return until
        if len(self._recent) == PER_SECOND and self._recent[0] <= now:
            until = max(until, self._recent[0] + 1.0)
        if self._in_hour >= PER_HOUR:
            until = max(until, _next_hour(now))
        return until


def _next_hour(now: float) -> float:
    return (now // 3600 + 1) * 3600


def _clock_time(when: float) -> str:
    return f"{dt.datetime.fromtimestamp(when, dt.UTC):%H:%M:%S}"
