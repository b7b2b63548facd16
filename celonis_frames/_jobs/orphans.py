"""Create a job, and cancel those whose creation got no response."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from celonis_frames._api.client import DataPushApi
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
    that an earlier process may have lost.
    """

    def __init__(
        self, api: DataPushApi, pool_id: str, body: Mapping[str, Any], *, lost: int = 0
    ) -> None:
        self._api, self._pool_id, self._body, self._lost = api, pool_id, body, lost
        self._created: set[str] = set()

    def create(self) -> str:
        """The id of a new job, or the `ApiError` or `Cancelled` because of which there is none."""
        retries = self._api.policy.start()
        while True:
            self._api.policy.raise_if_cancelled()
            try:
                job = self._api.create_job(self._pool_id, self._body)
            except ApiError as error:
                known = outcome(error)
                if known is Outcome.REJECTED:
                    raise
                self._lost += known is Outcome.UNKNOWN
                retries.wait_or_raise(error)
            except BaseException:
                self._lost += 1  # interrupted: the server may have created one
                raise
            else:
                self._created.add(job.id)
                _known.add(job.id)
                return job.id

    def sweep(self, *, seconds: float | None = None) -> None:
        """Cancel the jobs that lost responses left behind. An `ApiError` is only logged."""
        try:
            if self._lost:
                self._cancel(seconds)
        except CelonisFramesError as error:
            _log.warning(
                "a job for table %s may be left in NEW, without chunks, in pool %s (%s)",
                self._body.get("targetName"), self._pool_id, error.message,
            )  # fmt: skip
        finally:
            _known.difference_update(self._created)

    def _cancel(self, seconds: float | None) -> None:
        fields = ("targetName", "type", "connectionId", "fallbackVarcharLength")
        for job in self._api.jobs(self._pool_id, policy=cleanup_policy(self._api, seconds)):
            same = all(job.raw.get(field) == self._body.get(field) for field in fields)
            if same and job.state == "NEW" and job.id not in _known:
                cancel(self._api, self._pool_id, job.id, seconds=seconds)
                _log.info(
                    "job %s was cancelled: the response to its creation had been lost", job.id
                )
