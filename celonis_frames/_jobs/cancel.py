"""Cancel a job that is not to be executed."""

from __future__ import annotations

import dataclasses

from celonis_frames._api.client import DataPushApi
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._jobs.polling import ENDED
from celonis_frames.exceptions import BadRequest


def cancel(api: DataPushApi, pool_id: str, job_id: str, *, seconds: float | None = None) -> str:
    """Cancel a job and return its state: CANCELED, or the state in which it had already ended.

    Without a time limit in `seconds`, that of the connection's retry policy holds.

    Raises:
        ApiError: The server could not be reached, or rejected the call.
    """
    policy = cleanup_policy(api, seconds)
    try:
        policy.call(lambda: api.cancel_job(pool_id, job_id, read_timeout=seconds))
    except BadRequest:
        state = api.job(pool_id, job_id, policy=policy).state
        if state not in ENDED:
            raise
        return state
    return "CANCELED"


def cleanup_policy(api: DataPushApi, seconds: float | None) -> RetryPolicy:
    """The retry policy for calls that are made although the push has ended or was cancelled."""
    if seconds is None:
        return dataclasses.replace(api.policy, deadline=None, stop=None)
    return RetryPolicy(max_tries=2, max_seconds=seconds)
