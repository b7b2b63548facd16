"""The error for a push that its ``timeout=`` ended before its job was submitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.retry import Outcome, outcome
from celonis_frames._jobs.commands import State
from celonis_frames._jobs.delivery_state import DeliveryState
from celonis_frames.exceptions import ApiError, CelonisFramesError, JobTimeout, UploadUncertain

UPLOADING = frozenset(
    {State.UPLOADING, State.RECONCILING, State.PROBING, State.SETTLING, State.COUNTING}
)
"""The states in which chunks are sent, or what was stored is found out."""


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


def raise_if_interrupted(token: CancelToken, machine: DeliveryState) -> None:
    """End a delivery that stands where the `machine` is.

    Raises:
        Cancelled: The token was cancelled.
        JobTimeout: Its deadline has passed.
    """
    token.raise_if_cancelled()
    if token.expired:
        raise _timeout_during(machine)


def explained(
    error: CelonisFramesError, token: CancelToken, machine: DeliveryState
) -> CelonisFramesError:
    """The error of a delivery, or JobTimeout if the token's deadline has ended the call."""
    if not isinstance(error, ApiError | UploadUncertain) or not ended_call(token, error):
        return error
    timeout = _timeout_during(machine)
    timeout.__cause__ = error
    return timeout


def ended_call(token: CancelToken, error: Exception) -> bool:
    """Whether the token's deadline is why a call failed with this error."""
    return token.expired and _may_be_the_timeout(error)


def _timeout_during(machine: DeliveryState) -> JobTimeout:
    """The error for a deadline that has passed, with what is being done."""
    job_id = machine.job_id
    if machine.state is State.FINDING:
        what = "while the job of the staged push was looked up"
        return timeout_of(what, job_id, outcome_known=False)
    if machine.state in UPLOADING and not job_id:  # of a destination without jobs
        return timeout_of("while objects were stored", job_id, outcome_known=False)
    if not job_id:
        what = "while the job was created"
    elif machine.state in UPLOADING:
        what = f"while chunks were sent to job {job_id}"
    else:
        what = f"while job {job_id} was submitted"
    return timeout_of(what, job_id, outcome_known=not machine.may_run)


def timeout_of(what: str, job_id: str, *, outcome_known: bool) -> JobTimeout:
    """The error for a deadline that has passed; arguments as of `timeout_error`."""
    executed = "; nothing was executed" if outcome_known else ""
    return JobTimeout(
        f"timeout= passed {what}{executed}. Give a longer timeout=.",
        job_id=job_id,
        outcome_known=outcome_known,
    )


def _may_be_the_timeout(error: BaseException | None) -> bool:
    if isinstance(error, UploadUncertain):
        error = error.__cause__
    return isinstance(error, ApiError) and outcome(error) is not Outcome.REJECTED
