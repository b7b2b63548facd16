"""The Data Push API as the destination of a delivery: each command is a call, its result an event.

What is retried here was certainly not carried out, or only reads. Celonis has no field for a
client's own mark: the jobs of a push are recognised by their ``fallbackVarcharLength``, a random
number (see `job_body`), besides their table, mode and connection.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import Job, plain_text
from celonis_frames._concurrency.cancellation import Cancelled, CancelToken
from celonis_frames._http.file_body import Payload
from celonis_frames._http.retry import Outcome, RetryState, outcome
from celonis_frames._jobs import commands as c
from celonis_frames._jobs.cancel import cancel, cleanup_policy
from celonis_frames._jobs.commands import State
from celonis_frames._jobs.delivery import Delivery
from celonis_frames._jobs.delivery_state import DeliveryState
from celonis_frames._jobs.digests import digests
from celonis_frames._jobs.failures import log_uncounted
from celonis_frames._jobs.polling import ENDED, wait_for
from celonis_frames._jobs.rate_limit import limit_for
from celonis_frames._jobs.reconcile import Digests
from celonis_frames._jobs.timeouts import raise_if_expired, raise_if_interrupted
from celonis_frames._reporting.current import report_job, report_wait, warn
from celonis_frames.exceptions import (
    ApiError,
    BadRequest,
    CelonisFramesError,
    Conflict,
    NotFound,
    RateLimited,
    UploadUncertain,
)

REPORTED_SECONDS = 1.0
"""Shortest wait (s) for earlier calls that is logged and reported."""
CANCEL_WAIT_SECONDS = 60.0
"""Time limit (s) for the end of a job that may have been running when it was cancelled."""
CLOCK_SECONDS = 600.0
"""A job that is older than its stage by more than this (s) is not the stage's: clocks differ."""

_MARK = ("targetName", "type", "connectionId", "fallbackVarcharLength")

_log = logging.getLogger("celonis_frames")

_open: set[str] = set()
"""Jobs that this process is delivering: no orphans, even if their fields match."""

CREATION_SECONDS = 1.0
"""Seconds for a creation that was interrupted to take effect, before its job is looked for."""


class JobDestination:
    """The calls of one push. Its public methods carry commands out.

    They return the event that answers a command, or raise what ends the push: `CelonisFramesError`,
    or `Cancelled` if the API's token was cancelled.
    """

    def __init__(
        self,
        api: DataPushApi,
        delivery: Delivery,
        machine: DeliveryState,
    ) -> None:
        self._api, self._delivery, self._machine = api, delivery, machine
        self._pool_id, self._mark = delivery.pool_id, delivery.mark
        self._creations = RetryState(api.policy, api.token)
        self._submissions = RetryState(api.policy, api.token)
        self._unanswered: ApiError | None = None  # of the last creation
        self._rejected: ApiError | None = None  # of the last submission
        self._rejections = 0
        self._delivered: set[str] = set()
        self._cleanup: CancelToken | None = None  # for all that cleans up
        self._until_close = ExitStack()

    def create(self, _: c.Create) -> c.Created | c.CreationUnknown:
        """Create a job."""
        body = self._delivery.body(self._check_reading)
        unanswered, self._unanswered = self._unanswered, None
        if unanswered is not None:
            self._creations.wait_or_raise(unanswered)
        while True:
            try:
                job = self._api.create_job(self._pool_id, body)
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

    def _check_reading(self) -> None:
        """Raise if the fields of the next job are not to be awaited any more."""
        self._api.token.raise_if_cancelled()
        raise_if_expired(self._api.token, "while the frame was read")

    def record(self, command: c.Record) -> c.TakenOver | None:
        """Record the state, if the push has a stage."""
        machine, journal = self._machine, self._delivery.journal
        if journal is None:
            return None
        state: Any = command.state.value
        try:
            journal.record(state, machine.job_id, tuple(machine.jobs), machine.lost_creations)
        except UploadUncertain as error:  # the lease is lost
            return c.TakenOver(error)
        return None

    def sleep(self, command: c.Sleep) -> c.Woke:
        """Wait until nothing of earlier calls can take effect any more."""
        seconds = max(0.0, command.until - time.monotonic())
        if seconds >= REPORTED_SECONDS:
            _log.info("waiting %.0f s: an earlier call may still take effect", seconds)
            report_wait("earlier_call", seconds, f"waiting {seconds:.0f} s")
        self._api.token.sleep(seconds)
        raise_if_interrupted(self._api.token, self._machine)
        return c.Woke()

    def list_chunks(self, command: c.List) -> c.Listed | c.Failed:
        """Read the job's chunks."""
        machine, policy = self._machine, self._api.policy
        if command.delay:
            self._api.token.sleep(command.delay)
            raise_if_interrupted(self._api.token, machine)
        recheck = machine.state is State.RECHECKING
        if recheck:
            policy = dataclasses.replace(policy, max_tries=2)
        try:
            checksums = self._api.checksums(self._pool_id, machine.job_id, policy=policy)
        except ApiError as error:
            if recheck:
                log_uncounted(machine.job_id, error)
                return c.Failed(error)
            if outcome(error) is Outcome.REJECTED or not machine.doubted:
                raise
            raise UploadUncertain(
                f"It is unknown which chunks job {machine.job_id} holds, and they cannot be listed "
                f"({error.message}) The job was not executed. Push again when the server responds.",
                job_id=machine.job_id,
                outcome_known=True,
            ) from error
        return c.Listed(tuple(checksums))

    def reserve(self, _: c.Reserve) -> c.SlotReserved:
        """Wait for the team's quota of submissions."""
        rejected, self._rejected = self._rejected, None
        if rejected is not None:
            self._submissions.wait_or_raise(rejected)
        limit_for(self._api.url).wait(self._api.token)
        return c.SlotReserved()

    def submit(
        self, _: c.Submit
    ) -> c.Submitted | c.NotSubmitted | c.SubmissionUnknown | c.SubmissionRejected:
        """Submit the job, once. A job that has left NEW is rejected with 400."""
        rejections, self._rejections = self._rejections, 0
        try:
            self._api.execute_job(
                self._pool_id,
                self._machine.job_id,
                duplicate_removal_column=self._delivery.duplicate_removal_column,
            )
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

    def read_state(self, command: c.ReadState) -> c.JobIs:
        """Read the state of a job whose submission had no response."""
        job_id = self._machine.job_id
        self._api.token.sleep(command.delay)
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

    def cancel(self, command: c.Cancel) -> c.JobCancelled | c.CancelFailed:
        """Cancel a job; wait for its end if it may have been submitted."""
        api, job_id = self._api.within(self._cleaning()), command.job_id
        try:
            state = cancel(api, self._pool_id, job_id)
            if self._machine.may_run:
                # It may have been running, and may have ended before it was cancelled.
                state = wait_for(api, self._pool_id, job_id, timeout=CANCEL_WAIT_SECONDS).state
        except (CelonisFramesError, Cancelled) as error:
            return c.CancelFailed(error)
        table = str(self._mark.get("targetName"))
        report_job("push", table, state, done=state in ENDED, job_id=job_id)
        return c.JobCancelled(state)

    def find(self, payloads: Sequence[Payload]) -> c.Found:
        """The job of an earlier process, and other jobs with the push's mark."""
        earlier, recorded = self._delivery.recorded, None
        job_id = "" if earlier is None else earlier.job_id
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

    def sweep(self, command: c.Sweep) -> c.Swept:
        """At the command's time, cancel what may be left."""
        token = self._api.token
        with contextlib.suppress(Cancelled):
            token.sleep(max(0.0, command.at - time.monotonic()))
        if self._machine.interrupted and self._machine.lost_creations and not token.abandoned:
            self._cleaning().sleep(CREATION_SECONDS)  # one that was aborted may take effect now
        if not token.abandoned:
            self.cancel_left(self._cleaning(), self._machine.job_id, command.others)
        return c.Swept()

    def cancel_left(self, token: CancelToken, delivered: str, others: Sequence[str]) -> None:
        """Cancel those of the `others`, and of the jobs with the push's mark, that are in NEW.

        Errors are only logged.
        """
        api, found = self._api.within(token), list(others)
        try:
            found += [job.id for job in self._marked(api) if job.state == "NEW"]
        except (CelonisFramesError, Cancelled) as error:
            warn(
                "a job for table %s may be left in NEW in pool %s (%s)",
                self._mark.get("targetName"), self._pool_id, getattr(error, "message", "no time"),
            )  # fmt: skip
        for job_id in dict.fromkeys(found):
            if job_id != delivered:
                self._cancel_if_new(api, job_id)

    def _cancel_if_new(self, api: DataPushApi, job_id: str) -> None:
        try:
            if api.job(self._pool_id, job_id, policy=cleanup_policy(api)).state == "NEW":
                cancel(api, self._pool_id, job_id)
                _log.info("job %s was cancelled: it belongs to a push that has ended", job_id)
        except NotFound:
            pass  # it was deleted
        except (CelonisFramesError, Cancelled) as error:
            warn(
                "job %s may be left in NEW in pool %s (%s)",
                job_id, self._pool_id, getattr(error, "message", "no time"),
            )  # fmt: skip

    def close(self) -> None:
        """The push has ended: its jobs are this process's no more."""
        _open.difference_update(self._delivered)
        self._until_close.close()

    def _cleaning(self) -> CancelToken:
        if self._cleanup is None:
            self._cleanup = self._until_close.enter_context(self._api.token.for_cleanup())
        return self._cleanup

    def _marked(self, api: DataPushApi) -> list[Job]:
        if not self._delivery.marked:
            return []

        table, *others = map(self._mark.get, _MARK)
        wanted = (plain_text(table), *others)

        def is_marked(job: Job) -> bool:
            mark = (job.table, job.mode, job.connection_id, job.fallback_length)
            return mark == wanted and job.id not in _open

        try:
            return api.jobs(self._pool_id, policy=cleanup_policy(api), where=is_marked)
        except NotFound:
            return []  # the local Celonis creates a pool with its first job

    def _may_be_ours(self, job: Job) -> bool:
        if job.modified is None:
            return True  # the server does not say
        return job.modified / 1000 > self._delivery.begun - CLOCK_SECONDS

    def _found(self, job: Job, *, listed_in_new: bool = False) -> c.FoundJob:
        """The job, with its checksums if it has left NEW, or is in NEW and `listed_in_new`."""
        checksums: tuple[str | None, ...] = ()
        if (job.state == "NEW") is listed_in_new:
            with contextlib.suppress(NotFound):  # it was deleted
                checksums = tuple(self._api.checksums(self._pool_id, job.id))
        return c.FoundJob(job.id, job.state, checksums)
