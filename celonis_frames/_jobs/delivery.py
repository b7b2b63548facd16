"""From chunks to a submitted job, exactly once: made, filled, counted, submitted, or cancelled.

A job is submitted only when the server has as many chunks as were sent. When it cannot be told
what a job holds, the job is given up, untouched, and a new one is filled from the same chunks.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import time
import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol

from celonis_frames._concurrency.cancellation import CallAborter, CancelEvent, Cancelled
from celonis_frames._concurrency.interruption import run_uninterrupted
from celonis_frames._concurrency.signals import in_main_thread
from celonis_frames._http.multipart import Payload
from celonis_frames._jobs.cancel import cancel
from celonis_frames._jobs.orphans import Orphans
from celonis_frames._jobs.polling import wait_for
from celonis_frames._jobs.submission import submit
from celonis_frames._jobs.uploads import AmbiguousUploads, Meter, Uploads
from celonis_frames.exceptions import CelonisFramesError, JobTimeout, UploadUncertain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from celonis_frames._api.client import DataPushApi

__all__ = ["DeliveryResult", "Journal", "Parcel", "Report", "deliver"]

MAX_JOBS = 3
"""Jobs that are begun for one push before it is an error."""
HURRIED_SECONDS = 5.0
"""What cancelling may take when the user or the system wants the process to end."""
RECOUNT_SECONDS = 1.0
"""Age of a count after which it is made anew before the job is submitted."""
SETTLE_SECONDS = 60.0
"""How long a job that was cancelled while it perhaps ran is watched until it has ended."""

_log = logging.getLogger("celonis_frames")


class Parcel(Payload, Protocol):
    """A chunk to be sent: a file, how many rows it has, and what is to be done with them."""

    @property
    def rows(self) -> int:
        """Rows in it."""

    @property
    def deleted(self) -> bool:
        """Whether they are keys of rows to delete."""


class Report(Meter, Protocol):
    """Tells the user how far it is."""

    def stage(self, name: str) -> None:
        """Say what happens now."""

    def restart(self) -> None:
        """What was sent does not count: a new job is filled."""


class Journal(Protocol):
    """Keeps what another process would need to finish the push."""

    def created(self, job_id: str) -> None:
        """There is a job now."""

    def submitting(self, job_id: str) -> None:
        """The job is about to be submitted."""


@dataclasses.dataclass
class DeliveryResult:
    """What was sent into a job, and whether that was submitted.

    Whoever wants it sent makes this and has it whatever happens: what a call returns can be lost to
    an interruption.
    """

    job_id: str = ""
    rows: int = 0
    chunks: int = 0
    bytes: int = 0
    submitted: bool = False

    def begin(self, job_id: str) -> None:
        """Nothing was sent into this job yet."""
        self.job_id = job_id
        self.rows = self.chunks = self.bytes = 0


@dataclasses.dataclass(eq=False)
class _Attempt:
    """One job, from its making to its submission."""

    api: DataPushApi
    pool_id: str
    job_id: str
    uploads: Uploads
    submitting: bool = False

    def give_up(self, *, seconds: float | None = None) -> str:
        """Stop the uploads and cancel the job; its state, as far as it can be told.

        Raises:
            ApiError: The server could not be reached, or refused.
        """
        self.uploads.close()
        state = cancel(self.api, self.pool_id, self.job_id, seconds=seconds)
        if self.submitting:
            # It may have been running, and may have ended before it heard of this.
            job = wait_for(self.api, self.pool_id, self.job_id, timeout=seconds or SETTLE_SECONDS)
            state = job.state
        return state


_live: weakref.WeakSet[_Attempt] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    """Cancel the jobs of pushes in daemon threads, which end with the interpreter."""
    for attempt in list(_live):
        stop = attempt.api.patience.stop
        if isinstance(stop, CancelEvent) and stop.abandoned:
            continue  # it was waited for, as long as was to be waited
        with contextlib.suppress(CelonisFramesError):
            attempt.give_up(seconds=HURRIED_SECONDS)


def deliver(
    api: DataPushApi,
    pool_id: str,
    body: Mapping[str, Any],
    parcels: Callable[[Callable[[], None]], Iterable[Parcel]],
    delivered: DeliveryResult,
    *,
    workers: int,
    report: Report,
    duplicate_removal_column: str | None = None,
    journal: Journal | None = None,
    job_id: str | None = None,
    orphaned: bool = False,
    timings: dict[str, float] | None = None,
) -> None:
    """Send chunks as one job and submit it.

    Args:
        api: The calls; their patience says when all is over.
        pool_id: The pool.
        body: The job's fields by their API names.
        parcels: Gives the chunks from the first, each time it is called; it may take long over
            the next one, and calls what it is given meanwhile, which raises when all is over.
        delivered: Tells what was done, also one whom an interruption keeps from seeing the end.
        workers: Uploads at a time; with one they arrive in order.
        report: Where progress is told.
        duplicate_removal_column: See `DataPushApi.execute_job`.
        journal: What to keep for another process.
        job_id: A job in NEW that an earlier process left behind, to be filled on.
        orphaned: Whether an earlier process may have left a job behind that nobody knows.
        timings: Where the seconds of each stage are added.

    Raises:
        FrameError: A chunk cannot be made or read.
        Stopped: Another thread said so. The job is cancelled.
        ApiError: A call failed for good. The job is cancelled.
        JobTimeout: The deadline has passed. The job is cancelled.
        UploadUncertain: What arrived could not be settled, with several jobs.
        KeyboardInterrupt, SystemExit: The user or the system wants it to end. The job is cancelled,
            or the notes say why not.
    """

    def work(api: DataPushApi, abort: CallAborter) -> None:
        _deliver(
            api, abort, pool_id, body, parcels, delivered, workers=workers, report=report,
            duplicate_removal_column=duplicate_removal_column, journal=journal, job_id=job_id,
            orphaned=orphaned, timings=timings if timings is not None else {},
        )  # fmt: skip

    if api.patience.stop is not None or not in_main_thread():
        work(api, CallAborter())
        return
    deadline = api.patience.deadline
    run_uninterrupted(lambda stop, abort: work(api.within(deadline=deadline, stop=stop), abort))


def _deliver(
    api: DataPushApi,
    abort: CallAborter,
    pool_id: str,
    body: Mapping[str, Any],
    parcels: Callable[[Callable[[], None]], Iterable[Parcel]],
    delivered: DeliveryResult,
    *,
    workers: int,
    report: Report,
    duplicate_removal_column: str | None,
    journal: Journal | None,
    job_id: str | None,
    orphaned: bool,
    timings: dict[str, float],
) -> None:
    """As `deliver`. What `abort` ends are all calls but those that clear up."""
    orphans = Orphans(api, pool_id, body, lost=int(orphaned))
    hurried = False
    try:
        for number in range(1, MAX_JOBS + 1):
            left_behind = job_id is not None
            begin = time.monotonic()
            if job_id is None:
                with abort:
                    job_id = orphans.create()
            begin = _lap(timings, "create", begin)
            uploads = Uploads(
                api, pool_id, job_id, workers=workers, meter=report, patience=api.patience
            )
            attempt = _Attempt(api, pool_id, job_id, uploads)
            _live.add(attempt)
            delivered.begin(job_id)
            try:
                if journal is not None and not left_behind:
                    journal.created(job_id)
                report.stage("uploading")
                with abort:
                    _fill(uploads, parcels(uploads.check), delivered, left_behind=left_behind)
                begin = _lap(timings, "upload", begin)
                report.stage("submitting")
                if journal is not None:
                    journal.submitting(job_id)
                attempt.submitting = True
                with abort:
                    submit(
                        api, pool_id, job_id, duplicate_removal_column=duplicate_removal_column,
                        recount=_recount(uploads), announce=report.stage,
                    )  # fmt: skip
                _lap(timings, "execute", begin)
            except AmbiguousUploads as doubt:
                _abandon(attempt, doubt, last=number == MAX_JOBS)
                _log.warning("job %s is given up (%s); a new one is begun", job_id, str(doubt))
                report.restart()
                job_id = None
            except BaseException as error:
                if _cancelled(attempt, error):
                    raise
                delivered.submitted = True
                return
            else:
                delivered.submitted = True
                return
            finally:
                _live.discard(attempt)
        raise AssertionError("the last job returns or raises")
    except BaseException as error:
        hurried = _hurries(error)
        raise
    finally:
        orphans.sweep(seconds=HURRIED_SECONDS if hurried else None)


def _recount(uploads: Uploads) -> Callable[[], None]:
    """Count again before a submission that comes later than right after the last count."""
    counted = time.monotonic()

    def recount() -> None:
        nonlocal counted
        if uploads.doubtful or time.monotonic() - counted > RECOUNT_SECONDS:
            uploads.count()
            counted = time.monotonic()

    return recount


def _fill(
    uploads: Uploads, parcels: Iterable[Parcel], delivered: DeliveryResult, *, left_behind: bool
) -> None:
    missing = None
    if left_behind:
        parcels = list(parcels)
        missing = {id(parcel) for parcel in uploads.adopt(parcels)}
    coming = iter(parcels)
    try:
        for parcel in coming:
            delivered.chunks += 1
            delivered.rows += parcel.rows
            delivered.bytes += parcel.size
            if missing is None or id(parcel) in missing:
                uploads.send(parcel, deleted=parcel.deleted)
            del parcel  # the memory of a chunk goes with its upload
    finally:
        if isinstance(coming, Generator):
            coming.close()  # whatever makes chunks stops now, and not when its error is forgotten
    uploads.finish()


def _abandon(attempt: _Attempt, doubt: AmbiguousUploads, *, last: bool) -> None:
    """Give a job up for a new one.

    Raises:
        UploadUncertain: It was the last one, or it may have been executed.
    """
    job_id, state, why = attempt.job_id, "", ""
    try:
        state = attempt.give_up()
    except CelonisFramesError as error:
        _log.warning("job %s could not be cancelled: %s", job_id, error.message)
        why = error.message
    if state != "CANCELED" and attempt.submitting:
        raise UploadUncertain(
            f"What arrived in job {job_id} cannot be settled ({doubt}), and it may have been "
            f"executed: it is {state or f'not known in which state ({why})'}. Look at the table "
            "before you push again.",
            job_id=job_id,
        ) from None
    if last:
        raise UploadUncertain(
            f"What arrived cannot be settled: {doubt}. Job {job_id} and those before it were "
            "cancelled and nothing was executed. Push again; if it stays, something else adds "
            "chunks to these jobs, or the frame has parts that are the same, row by row.",
            job_id=job_id,
        ) from None


def _hurries(error: BaseException) -> bool:
    """Whether the user or the system wants the push to end."""
    return not isinstance(error, Exception) or isinstance(error, JobTimeout | Cancelled)


def _cancelled(attempt: _Attempt, error: BaseException) -> bool:
    """Cancel the job of a push that failed; False when it turns out that it was executed.

    The error that led here stays the one raised; what became of the job is added to it.
    """
    job_id = attempt.job_id
    ours = isinstance(error, CelonisFramesError)
    if ours and not getattr(error, "job_id", None):
        error.job_id = job_id  # type: ignore[attr-defined]  # names the job on any error
    try:
        state = attempt.give_up(seconds=HURRIED_SECONDS if _hurries(error) else None)
    except Exception as second:  # whatever it is, the first error is the one to be seen
        said = second.message if isinstance(second, CelonisFramesError) else repr(second)
        _log.warning("job %s could not be cancelled: %s", job_id, said)
        error.add_note(
            f"Job {job_id} could not be cancelled ({said}). "
            + (
                "It may have been executed: look at it before you push again."
                if attempt.submitting
                else "It was not executed; it holds its chunks until it is deleted."
            )
        )
        return True
    if state in ("DONE", "ERROR"):
        if ours:
            _log.warning("job %s was executed, though its answer was lost", job_id)
            return False
        error.add_note(f"Job {job_id} had been executed already: it is in {state}.")
    else:
        error.add_note(f"Job {job_id} was cancelled; the table is untouched.")
    return True


def _lap(timings: dict[str, float], name: str, begin: float) -> float:
    now = time.monotonic()
    timings[name] = timings.get(name, 0.0) + now - begin
    return now
