"""The team's quota of job submissions."""

from __future__ import annotations

import collections
import datetime as dt
import logging
import threading
import time
from typing import TYPE_CHECKING

from celonis_frames._concurrency.cancellation import pause
from celonis_frames.exceptions import RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SubmissionLimit", "limit_for"]

_log = logging.getLogger("celonis_frames")


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


_limits: dict[str, SubmissionLimit] = {}
_limits_lock = threading.Lock()


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
