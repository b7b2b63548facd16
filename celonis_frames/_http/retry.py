"""Retry policy: what is safe to retry, back-off, deadline.

Only requests that read may be retried after an unknown outcome; for everything else the caller
first asks the server what happened.
"""

from __future__ import annotations

import enum
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._reporting.current import report_retry
from celonis_frames.exceptions import ApiError, ApiStatusError

MAX_RETRY_AFTER = 120.0
"""Longest wait (s) between two tries that a server's ``Retry-After`` can demand."""

_T = TypeVar("_T")


class Outcome(enum.Enum):
    """What is known about a failed request."""

    REJECTED = "the server said no; a retry changes nothing"
    NOT_SENT = "nothing was carried out; safe to retry"
    UNKNOWN = "it may or may not have been carried out"


def outcome(error: ApiError) -> Outcome:
    """Classify a failed request.

    - rejected: any 4xx except 408, 425 and 429, and redirects;
    - not sent: no connection, a body that was not sent whole, no access token to send it with,
      429, and 503 with ``Retry-After``;
    - unknown: the connection broke or timed out after all was sent, 408 and 425 (from a gateway
      that timed out), any other 5xx, an unreadable response.
    """
    if isinstance(error, ApiStatusError):
        if error.status_code == 429 or (error.status_code == 503 and error.retry_after is not None):
            return Outcome.NOT_SENT
        if 300 <= error.status_code < 500 and error.status_code not in (408, 425):
            return Outcome.REJECTED
    return Outcome.UNKNOWN if error.sent else Outcome.NOT_SENT


@dataclass(frozen=True)
class RetryPolicy:
    """How often and for how long to retry.

    Attributes:
        max_tries: Number of tries, the first included.
        max_seconds: Time (s) from the first failure after which no further try starts.
        initial_backoff: Longest wait (s) before the second try. Each wait is drawn at random
            between half of its limit and the whole, so that clients do not retry all at once.
        max_backoff: Limit (s) of a wait; the limit doubles with each failure up to here.
    """

    max_tries: int = 6
    max_seconds: float = 300.0
    initial_backoff: float = 0.5
    max_backoff: float = 30.0

    def call(self, function: Callable[[], _T], token: CancelToken) -> _T:
        """Call a function that only reads, with retries, and return its result.

        Raises:
            ApiError: If the server rejected the request, or the last try before the deadline of
                `token` failed.
            Cancelled: If `token` was cancelled.
        """
        state = RetryState(self, token)
        while True:
            try:
                return function()
            except ApiError as error:
                if outcome(error) is Outcome.REJECTED:
                    raise
                state.wait_or_raise(error)


@dataclass
class RetryState:
    """The failures of one operation so far; `token` ends its waits."""

    policy: RetryPolicy
    token: CancelToken
    _failures: int = field(default=0, init=False)
    _begin: float = field(default=0.0, init=False)

    def wait_or_raise(self, error: ApiError) -> None:
        """Wait before the next try.

        Raises:
            ApiError: `error`, if the policy or the token's deadline allows no further try.
            Cancelled: If the token was cancelled, which may be why the request failed.
        """
        self.token.raise_if_cancelled()
        now = time.monotonic()
        self._begin = self._begin or now
        self._failures += 1
        limit = self.policy.initial_backoff * 2 ** (self._failures - 1)
        # Jitter, no secret.
        delay = min(limit, self.policy.max_backoff) * random.uniform(0.5, 1.0)  # noqa: S311
        retry_after = getattr(error, "retry_after", None)
        if retry_after is not None:
            delay = max(delay, min(retry_after, MAX_RETRY_AFTER))
        remaining = self.token.remaining()
        if (
            self._failures >= self.policy.max_tries
            or now - self._begin + delay > self.policy.max_seconds
            or (remaining is not None and delay > remaining)
        ):
            if self._failures > 1:
                error.add_note(f"Tried {self._failures} times.")
            raise error
        report_retry(error, attempt=self._failures, seconds=delay)
        self.token.sleep(delay)
