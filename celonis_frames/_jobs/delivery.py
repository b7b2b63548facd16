"""Deliver chunks as one job, exactly once: create, upload, count, submit; or cancel.

A job is submitted only if it holds as many chunks as were sent. If it cannot be determined which
chunks it holds, the job is cancelled and a new one gets the same chunks, at most `MAX_JOBS` in all.

How it works:

* The calling thread creates the job, takes the chunks from their iterator and hands each to
  `Uploads`, which has a thread per upload and a bound on them. There is no queue: the iterator
  makes the next chunk when it is asked for.
* The API's token cancels it, and its deadline ends it. In the main thread the caller puts a
  `DeferredSignals` block around it, so that no signal interrupts a step of it.
* If anything fails, the same thread closes the iterator, closes `Uploads` (which joins the upload
  threads) and cancels the job, under a token for clean-up. If a second signal abandons the token,
  nothing waits any more: a daemon thread, ``celonis-cancel``, tries to cancel the job.
* If the interpreter ends while a daemon thread delivers, `_cancel_at_exit` cancels its job.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Protocol

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import CLEANUP_SECONDS, Cancelled, CancelToken
from celonis_frames._formatting import counted
from celonis_frames._http.multipart import Payload
from celonis_frames._jobs.cancel import cancel
from celonis_frames._jobs.orphans import Orphans
from celonis_frames._jobs.polling import wait_for
from celonis_frames._jobs.submission import submit
from celonis_frames._jobs.timeouts import timeout_error
from celonis_frames._jobs.uploads import AmbiguousUploads, UploadProgress, Uploads
from celonis_frames.exceptions import (
    ApiError,
    CelonisFramesError,
    UploadUncertain,
)

MAX_JOBS = 3
"""Jobs created for one push, before the push fails."""
RECOUNT_SECONDS = 1.0
"""Age of a count after which the chunks are counted again before the submission."""
CANCEL_WAIT_SECONDS = 60.0
"""Time limit (s) for the end of a job that may have been running when it was cancelled."""

_log = logging.getLogger("celonis_frames")


class JobChunk(Payload, Protocol):
    """A chunk to upload: a file with its number of rows."""

    @property
    def rows(self) -> int:
        """Rows in the file."""

    @property
    def deleted(self) -> bool:
        """Whether they are keys of rows to delete."""


class DeliveryProgress(UploadProgress, Protocol):
    """Shows the progress of a delivery."""

    def stage(self, name: str) -> None:
        """Show the current stage."""

    def restart(self) -> None:
        """Reset the counts: a new job gets all chunks again."""


class JobJournal(Protocol):
    """Records the job's state, so that another process can finish the push."""

    def created(self, job_id: str) -> None:
        """Record that the job was created."""

    def submitting(self, job_id: str) -> None:
        """Record that the job is about to be submitted."""


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One push, as it is delivered.

    `chunks` returns the chunks from the first, each time it is called. Its argument raises if the
    delivery cannot go on; the iterator calls it while the next chunk takes long.
    """

    pool_id: str
    body: Mapping[str, Any]  # the job's fields by their API names
    chunks: Callable[[Callable[[], None]], Iterable[JobChunk]]
    workers: int  # parallel uploads; with one, the server receives the chunks in order
    duplicate_removal_column: str | None = None  # see `DataPushApi.execute_job`
    journal: JobJournal | None = None
    job_id: str | None = None  # a job in NEW that an earlier process left, to be completed
    orphaned: bool = False  # an earlier process may have created a job without receiving its id


@dataclasses.dataclass
class DeliveryResult:
    """What was sent into a job, and whether it was submitted.

    Created by the caller and updated in place, so that the result survives an interrupt that
    discards the return value.
    """

    job_id: str = ""
    rows: int = 0
    chunks: int = 0
    bytes: int = 0
    submitted: bool = False

    def begin(self, job_id: str) -> None:
        """Start counting for a new job."""
        self.job_id = job_id
        self.rows = self.chunks = self.bytes = 0


@dataclasses.dataclass(eq=False)
class _Attempt:
    """One job, from its creation to its submission."""

    api: DataPushApi
    pool_id: str
    job_id: str
    uploads: Uploads
    submitting: bool = False
    pid: int = dataclasses.field(default_factory=os.getpid)

    def cancel(self, token: CancelToken) -> str:
        """Stop the uploads, cancel the job under a token for clean-up, and return its state.

        Errors as `cancel`.
        """
        self.uploads.close()
        api = self.api.within(token)
        state = cancel(api, self.pool_id, self.job_id)
        if self.submitting:
            # The job may have been running, and may have ended before it was cancelled.
            return wait_for(api, self.pool_id, self.job_id, timeout=CANCEL_WAIT_SECONDS).state
        return state


_open_attempts: weakref.WeakSet[_Attempt] = weakref.WeakSet()


@atexit.register
def _cancel_at_exit() -> None:
    """Cancel the jobs of pushes in daemon threads, which end with the interpreter."""
    for attempt in list(_open_attempts):
        if attempt.pid != os.getpid():
            continue  # this is a forked child: the job and its sockets are the parent's
        if not attempt.api.token.abandoned:
            with (
                contextlib.suppress(CelonisFramesError, Cancelled),
                CancelToken(deadline=time.monotonic() + CLEANUP_SECONDS) as token,
            ):
                attempt.cancel(token)


def deliver(
    api: DataPushApi,
    delivery: Delivery,
    result: DeliveryResult,
    *,
    progress: DeliveryProgress,
    timings: dict[str, float],
) -> None:
    """Send chunks as one job and submit it.

    The API's token cancels it. The seconds of each stage are added to `timings`.

    Raises:
        FrameError: A chunk cannot be made or read.
        Cancelled: The token was cancelled. The job is cancelled, or the notes say why not.
        ApiError: A call was rejected, or failed at the last retry. The job is cancelled.
        JobTimeout: The token's deadline has passed. The job is cancelled.
        UploadUncertain: It could not be determined what `MAX_JOBS` jobs held.
    """
    with api.token.for_cleanup() as cleanup:
        _deliver(api, cleanup, delivery, result, progress, timings)


def _deliver(
    api: DataPushApi,
    cleanup: CancelToken,
    delivery: Delivery,
    result: DeliveryResult,
    progress: DeliveryProgress,
    timings: dict[str, float],
) -> None:
    pool_id, job_id, journal = delivery.pool_id, delivery.job_id, delivery.journal
    orphans = Orphans(api, pool_id, delivery.body, lost=int(delivery.orphaned))
    try:
        try:
            for number in range(1, MAX_JOBS + 1):
                # 1. Create the job, unless an earlier process left one behind.
                left_behind = job_id is not None
                begin = time.monotonic()
                if job_id is None:
                    with timeout_error(api.token, "while the job was created"):
                        job_id = orphans.create()
                begin = _record_time(timings, "create", begin)
                uploads = Uploads(api, pool_id, job_id, workers=delivery.workers, progress=progress)
                attempt = _Attempt(api, pool_id, job_id, uploads)
                _open_attempts.add(attempt)
                result.begin(job_id)
                try:
                    if journal is not None and not left_behind:
                        journal.created(job_id)
                    # 2. Upload the chunks and count them.
                    progress.stage("uploading")
                    with timeout_error(
                        api.token, f"while chunks were sent to job {job_id}", job_id=job_id
                    ):
                        _upload(uploads, delivery, result, left_behind=left_behind)
                    begin = _record_time(timings, "upload", begin)
                    # 3. Submit the job.
                    _submit(attempt, delivery, progress)
                    _record_time(timings, "execute", begin)
                except AmbiguousUploads as reason:
                    # 4a. Cancel the job and begin a new one.
                    _replace_job(attempt, cleanup, reason, last=number == MAX_JOBS)
                    _log.warning(
                        "job %s was cancelled (%s); a new job is created", job_id, str(reason)
                    )
                    progress.restart()
                    job_id = None
                    continue
                except BaseException as error:
                    # 4b. Cancel the job and raise, unless the job turns out to be executed.
                    if _cancel_after_error(attempt, cleanup, error):
                        raise
                finally:
                    _open_attempts.discard(attempt)
                result.submitted = True
                # 5. After any doubt, count the chunks once more.
                if uploads.has_unknown:
                    check_surplus(api, pool_id, job_id, uploads.chunks)
                return
            raise AssertionError("the last job returns or raises")
        finally:
            # 6. Cancel jobs whose id was lost.
            if not api.token.abandoned:
                orphans.sweep(cleanup)
    except BaseException:
        if api.token.abandoned:
            # Nobody waits for it: the process may end before.
            done = {result.job_id} if result.submitted else set()
            job_ids = (orphans.created | {result.job_id}) - done - {""}
            threading.Thread(
                target=orphans.cancel_all, args=(job_ids,), name="celonis-cancel", daemon=True
            ).start()
        raise


def _submit(attempt: _Attempt, delivery: Delivery, progress: DeliveryProgress) -> None:
    progress.stage("submitting")
    if delivery.journal is not None:
        delivery.journal.submitting(attempt.job_id)
    attempt.submitting = True
    with timeout_error(
        attempt.api.token,
        f"while job {attempt.job_id} was submitted",
        outcome_known=False,
        job_id=attempt.job_id,
    ):
        submit(
            attempt.api, attempt.pool_id, attempt.job_id,
            duplicate_removal_column=delivery.duplicate_removal_column,
            recount=_recount(attempt.uploads), announce=progress.stage,
        )  # fmt: skip


def check_surplus(api: DataPushApi, pool_id: str, job_id: str, sent: int) -> None:
    """Check that no lost upload was stored between the last count and the submission.

    Only a surplus proves something wrong: a list that cannot be read now is logged, no error.

    Raises:
        UploadUncertain: The submitted job holds more chunks than were sent. It is cancelled if it
            has not run.
    """
    try:
        policy = dataclasses.replace(api.policy, max_tries=2)
        surplus = len(api.chunks(pool_id, job_id, policy=policy)) - sent
    except (ApiError, Cancelled) as error:
        _log.warning("job %s: its chunks could not be counted again: %r", job_id, error)
        return
    if surplus <= 0:
        return
    state = ""
    with contextlib.suppress(CelonisFramesError, Cancelled), api.token.for_cleanup() as token:
        api = api.within(token)
        cancel(api, pool_id, job_id)
        state = wait_for(api, pool_id, job_id, timeout=CANCEL_WAIT_SECONDS).state
    raise UploadUncertain(
        f"Job {job_id} was submitted with {counted(surplus, 'chunk')} more than were sent: the "
        "server stored an upload after it had been counted as lost. "
        + (
            "The job was cancelled and the table is unchanged: push again."
            if state == "CANCELED"
            else "Rows may be in the table twice: check it before you push again."
        ),
        job_id=job_id,
    )


def _recount(uploads: Uploads) -> Callable[[], None]:
    """A function that counts the chunks again, unless the last count is recent."""
    counted = time.monotonic()

    def recount() -> None:
        nonlocal counted
        if uploads.has_unknown or time.monotonic() - counted > RECOUNT_SECONDS:
            uploads.count()
            counted = time.monotonic()

    return recount


def _upload(
    uploads: Uploads, delivery: Delivery, result: DeliveryResult, *, left_behind: bool
) -> None:
    chunks = delivery.chunks(uploads.raise_if_failed)
    missing = None
    if left_behind:
        chunks = list(chunks)
        missing = {id(chunk) for chunk in uploads.adopt(chunks)}
    iterator = iter(chunks)
    try:
        for chunk in iterator:
            result.chunks += 1
            result.rows += chunk.rows
            result.bytes += chunk.size
            if missing is None or id(chunk) in missing:
                uploads.send(chunk, deleted=chunk.deleted)
            del chunk  # a chunk's memory is freed after its upload
    finally:
        if isinstance(iterator, Generator):
            iterator.close()  # ends the encoder's threads now, not when the error is deleted
    uploads.finish()


def _replace_job(
    attempt: _Attempt, cleanup: CancelToken, reason: AmbiguousUploads, *, last: bool
) -> None:
    """Cancel a job, so that a new one can take its place, unless it may have been executed."""
    job_id, state, why = attempt.job_id, "", ""
    try:
        state = attempt.cancel(cleanup)
    except (CelonisFramesError, Cancelled) as error:
        why = _why(error)
        _log.warning("job %s could not be cancelled: %s", job_id, why)
    if state != "CANCELED" and attempt.submitting:
        raise UploadUncertain(
            f"The upload to job {job_id} could not be verified ({reason}), and the job may have "
            f"been executed: its state is {state or f'unknown ({why})'}. Check the table before "
            "you push again.",
            job_id=job_id,
        ) from None
    if last:
        raise UploadUncertain(
            f"The upload could not be verified: {reason}. Job {job_id} and those before it were "
            "cancelled and nothing was executed. Push again; if this persists, another client adds "
            "chunks to the jobs, or parts of the frame are equal, row by row.",
            job_id=job_id,
        ) from None


def _cancel_after_error(attempt: _Attempt, cleanup: CancelToken, error: BaseException) -> bool:
    """Cancel the job of a push that failed; False if the job turns out to be executed.

    A note about the job is added to the error, which stays the one to raise.
    """
    job_id = attempt.job_id
    if not isinstance(error, Exception):
        attempt.api.token.cancel()  # the process ends: there is little time
    ours = isinstance(error, CelonisFramesError)
    if ours and not getattr(error, "job_id", None):
        error.job_id = job_id  # type: ignore[attr-defined]  # on every error
    try:
        state = attempt.cancel(cleanup)
    except Exception as second:  # of any kind: the first error is the one to raise
        why = _why(second)
        _log.warning("job %s could not be cancelled: %s", job_id, why)
        error.add_note(
            f"Job {job_id} could not be cancelled ({why}). "
            + (
                "It may have been executed: check it before you push again."
                if attempt.submitting
                else "It was not executed; it holds its chunks until it is deleted."
            )
        )
        return True
    if state not in ("DONE", "ERROR"):
        error.add_note(f"Job {job_id} was cancelled; the table is unchanged.")
    elif not ours:
        error.add_note(f"Job {job_id} had already been executed: its state is {state}.")
    else:
        _log.warning(
            "job %s was executed, although the response to its submission was lost", job_id
        )
        return False
    return True


def _why(error: Exception) -> str:
    if isinstance(error, Cancelled):
        return "a second signal ended the push"
    return error.message if isinstance(error, CelonisFramesError) else repr(error)


def _record_time(timings: dict[str, float], name: str, begin: float) -> float:
    now = time.monotonic()
    timings[name] = timings.get(name, 0.0) + now - begin
    return now
