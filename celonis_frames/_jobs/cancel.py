"""Cancel a job that is not to be executed."""

from __future__ import annotations

import dataclasses

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import CLEANUP_SECONDS
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._jobs.polling import ENDED
from celonis_frames.exceptions import BadRequest

HURRIED_TRY_SECONDS = 2.0
"""Read timeout (s) of a cancellation if there is little time: there is time for a second try."""


def cancel(api: DataPushApi, pool_id: str, job_id: str) -> str:
    """Cancel a job and return its state: CANCELED, or the state in which it had already ended.

    `api` is usually that of `for_cleanup`: the token of the push may be cancelled.

    Raises:
        ApiError: The server could not be reached, or rejected the call.
        Cancelled: The token of `api` was cancelled.
    """
    policy, seconds = cleanup_policy(api), HURRIED_TRY_SECONDS if _hurried(api) else None
    try:
        policy.call(lambda: api.cancel_job(pool_id, job_id, read_timeout=seconds), api.token)
    except BadRequest:
        state = api.job(pool_id, job_id, policy=policy).state
        if state not in ENDED:
            raise
        return state
    return "CANCELED"


def cleanup_policy(api: DataPushApi) -> RetryPolicy:
    """The retry policy for calls that clean up: two tries if there is little time."""
    return dataclasses.replace(api.policy, max_tries=2) if _hurried(api) else api.policy


def _hurried(api: DataPushApi) -> bool:
    left = api.token.remaining()
    return left is not None and left <= CLEANUP_SECONDS
