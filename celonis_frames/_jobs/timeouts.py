"""The error for a push that its ``timeout=`` ended before its job was submitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.retry import Outcome, outcome
from celonis_frames.exceptions import ApiError, JobTimeout, UploadUncertain


@contextmanager
def timeout_error(
    token: CancelToken, what: str, *, outcome_known: bool = True, job_id: str = ""
) -> Iterator[None]:
    """Replace the error of a call that the token's deadline ended by JobTimeout.

    `what` was being done, as in "while the pool was looked up"; `outcome_known` says that nothing
    was executed.

    Raises:
        JobTimeout: The deadline has passed.
    """
    try:
        yield
    except (ApiError, UploadUncertain) as error:
        if not ended_call(token, error):
            raise
        raise timeout_of(what, job_id, outcome_known=outcome_known) from error


def raise_if_expired(token: CancelToken, what: str) -> None:
    """Raise JobTimeout if the token's deadline has passed, before anything was executed.

    Raises:
        JobTimeout: It has.
    """
    if token.expired:
        raise timeout_of(what, "", outcome_known=True)


def ended_call(token: CancelToken, error: Exception) -> bool:
    """Whether the token's deadline is why a call failed with this error."""
    return token.expired and _may_be_the_timeout(error)


def timeout_of(what: str, job_id: str, *, outcome_known: bool) -> JobTimeout:
    """The error for a deadline that has passed; arguments as of `timeout_error`."""
    executed = "; nothing was executed" if outcome_known else ""
    return JobTimeout(f"timeout= passed {what}{executed}. Give a longer timeout=.", job_id=job_id)


def _may_be_the_timeout(error: BaseException | None) -> bool:
    if isinstance(error, UploadUncertain):
        error = error.__cause__
    return isinstance(error, ApiError) and outcome(error) is not Outcome.REJECTED
