"""The retry policy: what is retried, how long it waits, when it stops."""

from __future__ import annotations

import time

import pytest

from celonis_frames._concurrency import cancellation
from celonis_frames._concurrency.cancellation import Cancelled, CancelToken
from celonis_frames._http.retry import MAX_RETRY_AFTER, Outcome, RetryPolicy, outcome
from celonis_frames.exceptions import (
    ApiConnectionError,
    ApiError,
    ApiStatusError,
    ApiTimeoutError,
    BadRequest,
    RateLimited,
)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, in seconds; none is really waited."""
    found: list[float] = []
    monkeypatch.setattr(cancellation, "_sleep", lambda delay, _: found.append(delay))
    return found


class Failing:
    """Raises an error on every call, and counts the calls."""

    def __init__(self, error: ApiError) -> None:
        self.error, self.calls = error, 0

    def __call__(self) -> None:
        self.calls += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (ApiConnectionError("x", sent=False), Outcome.NOT_SENT),
        (ApiConnectionError("x"), Outcome.UNKNOWN),
        (ApiTimeoutError("x", sent=False), Outcome.NOT_SENT),
        (ApiTimeoutError("x"), Outcome.UNKNOWN),
        *((ApiStatusError("x", status_code=status), known) for status, known in (
            (200, Outcome.UNKNOWN), (302, Outcome.REJECTED), (400, Outcome.REJECTED),
            (404, Outcome.REJECTED), (408, Outcome.UNKNOWN), (425, Outcome.UNKNOWN),
            (429, Outcome.NOT_SENT), (500, Outcome.UNKNOWN), (503, Outcome.UNKNOWN),
        )),
        (ApiStatusError("x", status_code=503, retry_after=0.0), Outcome.NOT_SENT),
    ],
)  # fmt: skip
def test_the_outcome_of_a_failure(error: ApiError, known: Outcome) -> None:
    """Status and `sent` decide."""
    assert outcome(error) is known


def test_waits_grow_up_to_a_limit(waits: list[float]) -> None:
    """Each is between half of its limit and the whole; the last error counts the tries."""
    function = Failing(ApiTimeoutError("x"))
    policy = RetryPolicy(max_tries=5, max_seconds=100.0, initial_backoff=1.0, max_backoff=3.0)
    with pytest.raises(ApiTimeoutError) as caught:
        policy.call(function, CancelToken())
    assert function.calls == 5
    limits = (1.0, 2.0, 3.0, 3.0)
    assert all(top / 2 <= wait <= top for wait, top in zip(waits, limits, strict=True))
    assert caught.value.__notes__ == ["Tried 5 times."]


def test_a_rejected_request_is_not_retried(waits: list[float]) -> None:
    """It would be rejected again."""
    function = Failing(BadRequest("x", status_code=400))
    with pytest.raises(BadRequest):
        RetryPolicy().call(function, CancelToken())
    assert (function.calls, waits) == (1, [])


def test_retry_after_is_obeyed_up_to_a_limit(waits: list[float]) -> None:
    """A longer wait is cut to two minutes."""
    for retry_after in (7.0, 1e6):
        function = Failing(RateLimited("x", status_code=429, retry_after=retry_after))
        with pytest.raises(RateLimited):
            RetryPolicy(max_tries=2, max_seconds=1e9).call(function, CancelToken())
    assert waits == [7.0, MAX_RETRY_AFTER]


def test_no_try_starts_after_the_deadline(waits: list[float]) -> None:
    """Nor after `max_seconds`; one try is counted in the singular."""
    for policy, token in (
        (RetryPolicy(), CancelToken(deadline=time.monotonic())),
        (RetryPolicy(max_seconds=0.0), CancelToken()),
        (RetryPolicy(max_tries=1), CancelToken()),
    ):
        function = Failing(ApiTimeoutError("x"))
        with pytest.raises(ApiTimeoutError) as caught:
            policy.call(function, token)
        assert not hasattr(caught.value, "__notes__")
    assert waits == []


def test_a_cancelled_token_ends_the_tries(waits: list[float]) -> None:
    """The failure may be due to the cancellation."""
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        RetryPolicy().call(Failing(ApiTimeoutError("x")), token)
    assert waits == []
