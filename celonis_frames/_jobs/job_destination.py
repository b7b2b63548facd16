"""The Data Push API as the destination of a delivery: each command is a call, its result an event.

What is retried here was certainly not carried out, or only reads. Celonis has no field for a
client's own mark: the jobs of a push are recognised by their ``fallbackVarcharLength``, a random
number (see `job_body`), besides their table, mode and connection.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import Job
from celonis_frames._concurrency.cancellation import Cancelled, CancelToken
from celonis_frames._http.multipart import Payload
from celonis_frames._http.retry import Outcome, RetryState, outcome
from celonis_frames._jobs import commands as c
from celonis_frames._jobs.cancel import cancel, cleanup_policy
from celonis_frames._jobs.digests import digests
from celonis_frames._jobs.polling import wait_for
from celonis_frames._jobs.rate_limit import limit_for
from celonis_frames._jobs.reconcile import Digests
from celonis_frames.exceptions import (
    ApiError,
    BadRequest,
    CelonisFramesError,
    Conflict,
    NotFound,
    RateLimited,
    UploadUncertain,
)

CANCEL_WAIT_SECONDS = 60.0
"""Time limit (s) for the end of a job that may have been running when it was cancelled."""
CLOCK_SECONDS = 600.0
"""A job that is older than its stage by more than this (s) is not the stage's: clocks differ."""

_MARK = ("targetName", "type", "connectionId", "fallbackVarcharLength")

_log = logging.getLogger("celonis_frames")

_open: set[str] = set()
"""Jobs that this process is delivering: no orphans, even if their fields match."""


class JobDestination:
    """The calls of one push.

    Every method returns the event that answers a command, or raises what ends the push:
    `CelonisFramesError`, or `Cancelled` if the API's token was cancelled. `begun` is the time of
    the stage (s since 1970), if there is one. Without a mark (`marked` is false: the caller's job
    options have set the field) jobs are known by their ids only. `body` has the job's fields by
    their API names.
    """

    def __init__(
        self,
        api: DataPushApi,
        pool_id: str,
        body: Mapping[str, Any],
        *,
        marked: bool = True,
        duplicate_removal_column: str | None = None,
        begun: float = 0.0,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api, self._pool_id, self.body = api, pool_id, body
        self._marks = marked
        self._column, self._begun, self._announce = duplicate_removal_column, begun, announce
        self._creations = RetryState(api.policy, api.token)
        self._submissions = RetryState(api.policy, api.token)
        self._unanswered: ApiError | None = None  # of the last creation
        self._rejected: ApiError | None = None  # of the last submission
        self._rejections = 0
        self._delivered: set[str] = set()

    def create(self) -> c.Created | c.CreationUnknown:
        """Create a job."""
        unanswered, self._unanswered = self._unanswered, None
        if unanswered is not None:
            self._creations.wait_or_raise(unanswered)
        while True:
            self._api.token.raise_if_cancelled()
            try:
                job = self._api.create_job(self._pool_id, self.body)
            except ApiError as error:
                known = outcome(error)
                if known is Outcome.REJECTED:
                    raise
                if known is Outcome.UNKNOWN:
                    self._unanswered = error
                    return c.CreationUnknown()
                self._creations.wait_or_raise(error)
            else:
                self._creations = RetryState(self._api.policy, self._api.token)
                self._submissions = RetryState(self._api.policy, self._api.token)
                _open.add(job.id)
                self._delivered.add(job.id)
                return c.Created(job.id)

    def upload(
        self, token: CancelToken, job_id: str, payload: Payload, deleted: bool, on_sent: Any
    ) -> None:
        """Upload a chunk, once."""
        self._api.within(token).upload_chunk(
            self._pool_id, job_id, payload, deleted=deleted, on_sent=on_sent
        )

    def chunks(self, job_id: str, *, doubted: bool, tries: int | None = None) -> c.Listed:
        """Read the job's chunks."""
        policy = self._api.policy
        if tries is not None:
            policy = dataclasses.replace(policy, max_tries=tries)
        try:
            chunks = self._api.chunks(self._pool_id, job_id, policy=policy)
        except ApiError as error:
            if outcome(error) is Outcome.REJECTED or not doubted:
                raise
            raise UploadUncertain(
                f"It is unknown which chunks job {job_id} holds, and they cannot be listed "
                f"({error.message}) The job was not executed. Push again when the server responds.",
                job_id=job_id,
            ) from error
        return c.Listed(tuple(chunk.checksum for chunk in chunks))

    def reserve(self) -> c.SlotReserved:
        """Wait for the team's quota of submissions."""
        rejected, self._rejected = self._rejected, None
        if rejected is not None:
            self._submissions.wait_or_raise(rejected)
        limit_for(self._api.url).wait(self._api.token, announce=self._announce)
        return c.SlotReserved()

    def submit(
        self, job_id: str
    ) -> c.Submitted | c.NotSubmitted | c.SubmissionUnknown | c.SubmissionRejected:
        """Submit the job, once. A job that has left NEW is rejected with 400."""
        self._api.token.raise_if_cancelled()
        rejections, self._rejections = self._rejections, 0
        try:
            self._api.execute_job(self._pool_id, job_id, duplicate_removal_column=self._column)
        except RateLimited as error:
            self._rejections = rejections + 1
            limit_for(self._api.url).rejected(error, self._rejections)
            return c.NotSubmitted()
        except (Conflict, BadRequest) as error:
            temporary = isinstance(error, Conflict)
            self._rejected = error if temporary else None
            return c.SubmissionRejected(error, temporary)
        except ApiError as error:
            known = outcome(error)
            if known is Outcome.REJECTED:
                raise
            if known is Outcome.UNKNOWN:
                return c.SubmissionUnknown(error)
            self._rejected = error
            return c.NotSubmitted()
        return c.Submitted()

    def state(self, job_id: str) -> c.JobIs:
        """Read the state of a job whose submission had no response."""
        try:
            return c.JobIs(self._api.job(self._pool_id, job_id).state)
        except ApiError as error:
            if outcome(error) is Outcome.REJECTED:
                raise
            raise UploadUncertain(
                f"It is unknown whether job {job_id} was submitted, and its state cannot be read "
                f"({error.message}) Check it with celonis.job(pool, id) before you push again.",
                job_id=job_id,
            ) from error

    def cancel(
        self, token: CancelToken, job_id: str, *, may_run: bool
    ) -> c.JobCancelled | c.CancelFailed:
        """Cancel a job under a token for clean-up; wait for its end if it `may_run`."""
        api = self._api.within(token)
        try:
            state = cancel(api, self._pool_id, job_id)
            if may_run:
                # It may have been running, and may have ended before it was cancelled.
                state = wait_for(api, self._pool_id, job_id, timeout=CANCEL_WAIT_SECONDS).state
        except (CelonisFramesError, Cancelled) as error:
            return c.CancelFailed(error)
        return c.JobCancelled(state)

    def find(self, job_id: str, payloads: Sequence[Payload]) -> c.Found:
        """The job of an earlier process, and other jobs with the push's mark."""
        recorded = None
        if job_id:
            with contextlib.suppress(NotFound):
                recorded = self._api.job(self._pool_id, job_id)
        if recorded is not None and recorded.state not in ("NEW", "CANCELED"):
            known: tuple[Digests, ...] = (frozenset(),) * len(payloads)
            return c.Found(c.FoundJob(recorded.id, recorded.state), (), known)
        others = [
            self._found(job)
            for job in self._marked(self._api)
            if job.id != job_id and job.state != "CANCELED" and self._may_be_ours(job)
        ]
        own = None if recorded is None else self._found(recorded, listed_in_new=True)
        compared = any(job.checksums for job in (*others, *(() if own is None else (own,))))
        known = tuple(digests(p) if compared else frozenset() for p in payloads)
        return c.Found(own, tuple(others), known)

    def sweep(self, token: CancelToken, delivered: str, others: Sequence[str]) -> c.Swept:
        """Cancel those of the `others`, and of the jobs with the push's mark, that are in NEW.

        Errors are only logged.
        """
        api, found = self._api.within(token), list(others)
        try:
            found += [job.id for job in self._marked(api) if job.state == "NEW"]
        except (CelonisFramesError, Cancelled) as error:
            _log.warning(
                "a job for table %s may be left in NEW in pool %s (%s)",
                self.body.get("targetName"), self._pool_id, getattr(error, "message", "no time"),
            )  # fmt: skip
        for job_id in dict.fromkeys(found):
            if job_id != delivered:
                self._cancel_left(api, job_id)
        return c.Swept()

    def _cancel_left(self, api: DataPushApi, job_id: str) -> None:
        try:
            if api.job(self._pool_id, job_id, policy=cleanup_policy(api)).state == "NEW":
                cancel(api, self._pool_id, job_id)
                _log.info("job %s was cancelled: it belongs to a push that has ended", job_id)
        except NotFound:
            pass  # it was deleted
        except (CelonisFramesError, Cancelled) as error:
            _log.warning(
                "job %s may be left in NEW in pool %s (%s)",
                job_id, self._pool_id, getattr(error, "message", "no time"),
            )  # fmt: skip

    def close(self) -> None:
        """The push has ended: its jobs are this process's no more."""
        _open.difference_update(self._delivered)

    def _marked(self, api: DataPushApi) -> list[Job]:
        if not self._marks:
            return []

        def is_marked(job: Job) -> bool:
            mark = all(job.raw.get(field) == self.body.get(field) for field in _MARK)
            return mark and job.id not in _open

        try:
            return api.jobs(self._pool_id, policy=cleanup_policy(api), where=is_marked)
        except NotFound:
            return []  # the local Celonis creates a pool with its first job

    def _may_be_ours(self, job: Job) -> bool:
        modified = job.raw.get("lastModified")
        if isinstance(modified, bool) or not isinstance(modified, int | float):
            return True  # the server does not say
        return modified / 1000 > self._begun - CLOCK_SECONDS

    def _found(self, job: Job, *, listed_in_new: bool = False) -> c.FoundJob:
        """The job, with its checksums if it has left NEW, or is in NEW and `listed_in_new`."""
        checksums: tuple[str | None, ...] = ()
        if (job.state == "NEW") is listed_in_new:
            with contextlib.suppress(NotFound):  # it was deleted
                chunks = self._api.chunks(self._pool_id, job.id)
                checksums = tuple(chunk.checksum for chunk in chunks)
        return c.FoundJob(job.id, job.state, checksums)
