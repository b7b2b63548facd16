"""What may be asked again, after how long, and when to give up.

A failure is *refused* (the server said no: asking again changes nothing), *not arrived* (nothing
was carried out: safe to repeat) or *unknown* (it may or may not have been carried out). Only
questions may be repeated after an unknown outcome; for everything else the server is asked first.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from celonis_frames._concurrency.cancellation import Cancelled, pause
from celonis_frames.exceptions import ApiConnectionError, ApiError, ApiStatusError, ApiTimeoutError

__all__ = ["RetryPolicy", "RetryState", "outcome"]

MAX_RETRY_AFTER = 120.0
"""Seconds: the longest wait that a server's ``Retry-After`` can ask for between two tries."""

Outcome = Literal["refused", "not arrived", "unknown"]

_T = TypeVar("_T")
_log = logging.getLogger("celonis_frames")


def outcome(error: ApiError) -> Outcome:
    """What is known of a call that failed.

    - refused: any 4xx but 408, 425 and 429, and redirects;
    - not arrived: no connection, a body that was not sent to its end, 429, and 503 with
      ``Retry-After``;
    - unknown: the connection broke or the time was up after all was sent, 408 and 425 (of a gateway
      that lost patience), any other 5xx, an answer that cannot be read.
    """
    if isinstance(error, ApiConnectionError | ApiTimeoutError):
        return "unknown" if error.sent else "not arrived"
    if isinstance(error, ApiStatusError):
        if error.status_code == 429 or (error.status_code == 503 and error.retry_after is not None):
            return "not arrived"
        if 300 <= error.status_code < 500 and error.status_code not in (408, 425):
            return "refused"
    return "unknown"


@dataclass(frozen=True)
class RetryPolicy:
    """How much trouble is borne before it is an error.

    Attributes:
        tries: How often a call is made at most.
        seconds: Time from the first failure after which no new try begins.
        first: Seconds before the second try, roughly: each wait is drawn at random between half
            of it and the whole, so that many clients do not come back at the same moment.
        longest: Seconds that a wait, doubled each time, does not exceed.
        deadline: When no new try begins in any case, in seconds of `time.monotonic`.
        stop: Ends every wait when another thread sets it.
    """

    tries: int = 6
    seconds: float = 300.0
    first: float = 0.5
    longest: float = 30.0
    deadline: float | None = None
    stop: threading.Event | None = None

    def budget(self) -> RetryState:
        """A fresh budget, for one thing to get done."""
        return RetryState(self)

    def left(self) -> float | None:
        """Seconds until the deadline, at least 0; None: there is none."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Go no further when it is over.

        Raises:
            Stopped: `stop` was set.
        """
        if self.stop is not None and self.stop.is_set():
            raise Cancelled

    def ask(self, question: Callable[[], _T]) -> _T:
        """The answer to a question, which may be asked as often as need be.

        Raises:
            ApiError: The last failure, once patience is at its end, or the first refusal.
            Stopped: `stop` was set.
        """
        budget = self.budget()
        while True:
            try:
                return question()
            except ApiError as error:
                if outcome(error) == "refused":
                    raise
                budget.wait_or_raise(error)


@dataclass
class RetryState:
    """The tries and the time left for one thing to get done."""

    patience: RetryPolicy
    _failures: int = field(default=0, init=False)
    _begin: float = field(default=0.0, init=False)

    def wait_or_raise(self, error: ApiError) -> None:
        """Wait before the next try.

        Raises:
            ApiError: `error`, when the budget is used up.
            Stopped: `stop` was set, which may be why it failed.
        """
        self.patience.check()
        now = time.monotonic()
        self._begin = self._begin or now
        self._failures += 1
        delay = min(self.patience.first * 2 ** (self._failures - 1), self.patience.longest)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311  # jitter, no secret
        asked = getattr(error, "retry_after", None)
        if asked is not None:
            delay = max(delay, min(asked, MAX_RETRY_AFTER))
        left = self.patience.left()
        if (
            self._failures >= self.patience.tries
            or now - self._begin + delay > self.patience.seconds
            or (left is not None and delay > left)
        ):
            error.add_note(f"Tried {self._failures} times.")
            raise error
        _log.warning(
            "%s %s failed (%s%s); again in %.1f s",
            error.method,
            error.url,
            type(error).__name__,
            f" {error.status_code}" if isinstance(error, ApiStatusError) else "",
            delay,
        )
        pause(delay, self.patience.stop)
