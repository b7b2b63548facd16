"""Create a job, and cancel those whose creation got no response."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import CLEANUP_SECONDS, Cancelled, CancelToken
from celonis_frames._http.retry import Outcome, outcome
from celonis_frames._jobs.cancel import cancel, cleanup_policy
from celonis_frames.exceptions import ApiError, CelonisFramesError

_log = logging.getLogger("celonis_frames")

_known: set[str] = set()
"""Jobs whose id this process knows: no orphans, even if their fields match."""


class Orphans:
    """Creates a job, and cancels the jobs that a lost response left behind with an unknown id.

    The API has no field for a client's own mark; our jobs are recognised by their
    ``fallbackVarcharLength``, a random number (see `job_body`). `lost` is the number of responses
    that an earlier process may have lost; `created` has the ids of the jobs.
    """

    def __init__(
        self, api: DataPushApi, pool_id: str, body: Mapping[str, Any], *, lost: int = 0
    ) -> None:
        self._api, self._pool_id, self._body, self._lost = api, pool_id, body, lost
        self.created: set[str] = set()

    def create(self) -> str:
        """The id of a new job, or the `ApiError` or `Cancelled` because of which there is none."""
        retries = self._api.policy.start(self._api.token)
        while True:
            self._api.token.raise_if_cancelled()
            self._lost += 1  # at any step from here the server may have created one
            try:
                job = self._api.create_job(self._pool_id, self._body)
            except ApiError as error:
                known = outcome(error)
                self._lost -= known is not Outcome.UNKNOWN
                if known is Outcome.REJECTED:
                    raise
                retries.wait_or_raise(error)
            else:
                _known.add(job.id)
                self.created.add(job.id)
                self._lost -= 1
                return job.id

    def sweep(self, token: CancelToken) -> None:
        """Cancel the jobs that lost responses left behind, under a token for clean-up.

        An `ApiError` is only logged, and so is the end of the time.
        """
        try:
            if self._lost:
                self._cancel(self._api.within(token))
        except (CelonisFramesError, Cancelled) as error:
            _log.warning(
                "a job for table %s may be left in NEW, without chunks, in pool %s (%s)",
                self._body.get("targetName"), self._pool_id, getattr(error, "message", "no time"),
            )  # fmt: skip
        finally:
            _known.difference_update(self.created)

    def cancel_all(self, job_ids: set[str]) -> None:
        """Cancel these jobs, and those that lost responses left behind. Errors are only logged."""
        with CancelToken(deadline=time.monotonic() + CLEANUP_SECONDS) as token:
            for job_id in job_ids:
                try:
                    cancel(self._api.within(token), self._pool_id, job_id)
                except (CelonisFramesError, Cancelled) as error:
                    _log.warning("job %s could not be cancelled: %r", job_id, error)
            self.sweep(token)

    def _cancel(self, api: DataPushApi) -> None:
        fields = ("targetName", "type", "connectionId", "fallbackVarcharLength")
        for job in api.jobs(self._pool_id, policy=cleanup_policy(api)):
            same = all(job.raw.get(field) == self._body.get(field) for field in fields)
            if same and job.state == "NEW" and job.id not in _known:
                cancel(api, self._pool_id, job.id)
                _log.info(
                    "job %s was cancelled: the response to its creation had been lost", job.id
                )
