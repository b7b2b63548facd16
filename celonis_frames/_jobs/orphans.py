"""Jobs whose creation got no response: found again and cancelled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from celonis_frames._http.retry import outcome
from celonis_frames._jobs.cancel import cancel, cleanup_policy
from celonis_frames.exceptions import ApiError, CelonisFramesError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from celonis_frames._api.client import DataPushApi

__all__ = ["Orphans"]

_log = logging.getLogger("celonis_frames")


_ours: set[str] = set()
"""Jobs that this process made: no orphans, however much they look like one."""


class Orphans:
    """Makes a job; a lost answer may leave one behind that nobody knows, to be cancelled later.

    The API lets a client give a job no mark of its own; ours are recognised by their
    ``fallbackVarcharLength``, a number drawn at random (see `job_body`).

    Args:
        api: The calls.
        pool_id: The pool.
        body: The job's fields.
        lost: Answers that an earlier process may have lost.
    """

    def __init__(
        self, api: DataPushApi, pool_id: str, body: Mapping[str, Any], *, lost: int = 0
    ) -> None:
        self._api, self._pool_id, self._body = api, pool_id, body
        self._lost = lost
        self._made: set[str] = set()

    def create(self) -> str:
        """The id of a new job.

        Raises:
            ApiError: It cannot be made.
            Stopped: Another thread said so.
        """
        budget = self._api.patience.budget()
        while True:
            self._api.patience.check()
            try:
                job = self._api.create_job(self._pool_id, self._body)
            except ApiError as error:
                known = outcome(error)
                if known == "refused":
                    raise
                self._lost += known == "unknown"
                budget.wait_or_raise(error)
            except BaseException:
                self._lost += 1  # interrupted: there may be one
                raise
            else:
                self._made.add(job.id)
                _ours.add(job.id)
                return job.id

    def sweep(self, *, seconds: float | None = None) -> None:
        """Cancel what lost answers left behind. Never raises an error of the API.

        Args:
            seconds: How long it may take; None: the connection's patience.
        """
        try:
            if self._lost:
                self._cancel(seconds)
        except CelonisFramesError as error:
            _log.warning(
                "a job for table %s may be left in NEW, without chunks, in pool %s (%s)",
                self._body.get("targetName"), self._pool_id, error.message,
            )  # fmt: skip
        finally:
            _ours.difference_update(self._made)

    def _cancel(self, seconds: float | None) -> None:
        patience = cleanup_policy(self._api, seconds)
        marks = ("targetName", "type", "connectionId", "fallbackVarcharLength")
        found = [
            job
            for job in self._api.jobs(self._pool_id, patience=patience)
            if job.state == "NEW"
            and job.id not in _ours
            and all(job.raw.get(mark) == self._body.get(mark) for mark in marks)
        ]
        for job in found:
            cancel(self._api, self._pool_id, job.id, seconds=seconds)
            _log.info("job %s, whose answer had been lost, was cancelled", job.id)
