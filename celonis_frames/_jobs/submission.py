"""A job's life apart from its chunks: made, submitted and given up, each once whatever breaks.

Celonis takes 10 submissions a second and 250 an hour from a team; the hour begins at the full hour,
UTC (Getting Started page of the Data Push API).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from celonis_frames._http.retry import outcome
from celonis_frames._jobs.rate_limit import limit_for
from celonis_frames.exceptions import ApiError, BadRequest, Conflict, RateLimited, UploadUncertain

if TYPE_CHECKING:
    from collections.abc import Callable

    from celonis_frames._api.client import DataPushApi

__all__ = ["submit"]

_log = logging.getLogger("celonis_frames")


def submit(
    api: DataPushApi,
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
        duplicate_removal_column: See `DataPushApi.execute_job`.
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
            budget.wait_or_raise(error)
        else:
            return


def _state(api: DataPushApi, pool_id: str, job_id: str, error: ApiError) -> str:
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
