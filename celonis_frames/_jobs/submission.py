"""Submit a job exactly once, whatever fails.

Celonis accepts 10 submissions a second and 250 an hour from a team; the hour begins at the full
hour, UTC (Getting Started page of the Data Push API).
"""

from __future__ import annotations

from collections.abc import Callable

from celonis_frames._api.client import DataPushApi
from celonis_frames._http.retry import Outcome, outcome
from celonis_frames._jobs.rate_limit import limit_for
from celonis_frames.exceptions import ApiError, BadRequest, Conflict, RateLimited, UploadUncertain


def submit(
    api: DataPushApi,
    pool_id: str,
    job_id: str,
    *,
    duplicate_removal_column: str | None = None,
    recount: Callable[[], None] | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Submit a job exactly once. Returns when the server has accepted it.

    After a lost response the job's state decides: in NEW it is submitted again. After 409 and 429
    the call is repeated; the API's retry policy is for other failures. `recount` is called right
    before every call, to check that the job still holds the same chunks; `announce` gets a text
    before a long wait.

    Raises:
        ApiError: The submission was rejected, or failed at the last retry; the job is in NEW.
        RateLimited: The quota opens later than the deadline.
        Cancelled: Another thread cancelled the push.
        UploadUncertain: It is unknown whether the job was submitted.
    """
    token, limit, retries = api.token, limit_for(api.url), api.policy.start(api.token)
    unknown, rejections = False, 0
    while True:
        limit.wait(token, announce=announce)
        if recount is not None:
            recount()
        token.raise_if_cancelled()
        try:
            api.execute_job(pool_id, job_id, duplicate_removal_column=duplicate_removal_column)
        except RateLimited as error:
            rejections += 1
            limit.rejected(error, rejections)
        except ApiError as error:
            known = outcome(error)
            unknown = unknown or known is Outcome.UNKNOWN
            conflict = isinstance(error, Conflict)
            # A job that has left NEW is rejected with 400: a proxy or gateway sent this call twice.
            # If no call can have been carried out, the state need not be read.
            if (unknown or isinstance(error, Conflict | BadRequest)) and _state(
                api, pool_id, job_id, error
            ) != "NEW":
                return
            if known is Outcome.REJECTED and not conflict:
                raise
            retries.wait_or_raise(error)
        else:
            return


def _state(api: DataPushApi, pool_id: str, job_id: str, error: ApiError) -> str:
    try:
        return api.job(pool_id, job_id).state
    except ApiError as second:
        if outcome(second) is Outcome.REJECTED:
            raise
        raise UploadUncertain(
            f"It is unknown whether job {job_id} was submitted ({error.message}), and its state "
            "cannot be read. Check it with celonis.job(pool, id) before you push again.",
            job_id=job_id,
        ) from second
