"""One of the tables of `push_many`: the state of its push, and what an error tells about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from celonis_frames._api.models import Job
from celonis_frames._concurrency.cancellation import Cancelled
from celonis_frames._jobs.delivery import DeliveryResult
from celonis_frames._jobs.polling import ENDED
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.progress import Progress
from celonis_frames._push.status import PushStatus, update_status
from celonis_frames._push.verification import Verification
from celonis_frames._reporting.current import report_job, warn
from celonis_frames.exceptions import NotFound


@dataclasses.dataclass(eq=False)
class TablePush:
    """One of the tables, with the state of its push.

    Attributes:
        begun: Whether a thread has begun the push.
        running: Whether a thread is working on it.
        delivered: Its job, from its creation.
        cancelled: The exception that ended a cancelled push; its notes tell about the job.
        job_id: The job's id, after the submission.
        verification: What to compare after the job is done.
        status: The status, after the submission.
        waited: Seconds of polling until the job had ended.
        progress: How far it is, from when it was begun.
    """

    table: str
    frame: Any
    options: PushOptions
    begun: bool = False
    running: bool = False
    delivered: DeliveryResult = dataclasses.field(default_factory=DeliveryResult)
    cancelled: Cancelled | None = None
    job_id: str | None = None
    verification: Verification | None = None
    status: PushStatus | None = None
    waited: float | None = None
    progress: Progress | None = None

    def begin(self, call: Progress) -> Progress:
        """How far it is, as a part of the call for all tables; it begins with the first look."""
        if self.progress is None:
            self.progress = Progress("push", self.table, call.url, self.options, above=call)
        return self.progress

    def end(self, error: BaseException | None, interruption: BaseException | None) -> None:
        """The push ends for its caller, if it was begun: with an error, or as its status says."""
        if self.progress is not None:
            status = self.progress.result = self.status
            if status is None or (self.options.wait and not status.done):
                error = error or self.cancelled or interruption
            self.progress.end(error)

    @property
    def ended(self) -> PushStatus:
        """The status of a push that was submitted."""
        assert self.status is not None  # noqa: S101  # otherwise the push has an error
        return self.status

    def on_submitted(self, delivered: DeliveryResult, verification: Verification | None) -> None:
        """Store the job's id: from now on the job continues on the server in any case.

        Without one, a job that was stored has failed, and another takes its place.
        """
        self.job_id, self.verification = delivered.job_id or None, verification

    def update(self, job: Job, seconds: float) -> None:
        """Store the job as read after `seconds` of polling."""
        update_status(self.ended, job=job)
        if self.progress is not None:
            with self.progress.active():
                done = job.state in ENDED
                report_job("push", job.table, job.state, done=done, job_id=job.id)
        if job.state in ENDED:
            self.waited = seconds

    def conclude(self) -> None:
        """Complete the status: time of polling, and the comparison of the table's rows.

        Raises:
            JobFailed: The job ended in ERROR or CANCELED.
            JobError: The table has more or fewer rows than possible.
        """
        status = self.ended
        if self.waited is not None:
            update_status(status, wait_seconds=self.waited)
            status.raise_for_status()
        if self.verification is not None:
            warnings = self.verification.check_after(self.job_id or "", status.state)
            update_status(status, warnings=warnings)


def add_outcomes(
    error: BaseException,
    pushes: Sequence[TablePush],
    errors: Mapping[str, BaseException],
    pool_id: str,
) -> None:
    """Add notes to the error that is raised: the outcome of every table.

    Args:
        error: It may be one of the `errors`.
        pushes: Those of all tables.
        errors: Errors by table, in the order in which they occurred.
        pool_id: The tables' pool.
    """
    for table, other in errors.items():
        if other is error:
            among = f", one of {len(errors)} that failed" if len(errors) > 1 else ""
            error.add_note(f"This is the error of table {table!r}{among}.")
    for table, other in errors.items():
        if other is not error:
            error.add_note(_with_notes(f"Table {table!r}: {type(other).__name__}: {other}", other))
    rest = [push for push in pushes if push.table not in errors]
    done = [push.table for push in rest if push.status is not None and push.status.ok]
    if done:
        error.add_note(f"These tables were pushed: {', '.join(done)}.")
    running = [
        f"table {push.table!r} (job {push.job_id})"
        for push in pushes
        if push.job_id is not None
        and not (push.status is not None and push.status.done)
        and not isinstance(errors.get(push.table), NotFound)
    ]
    if running:
        _name_running(error, running, pool_id)
    for push in rest:
        if push.cancelled is not None and not push.running:
            error.add_note(_with_notes(f"Table {push.table!r} was cancelled.", push.cancelled))
    _name_unfinished(error, rest, pool_id)


def _name_running(error: BaseException, running: Sequence[str], pool_id: str) -> None:
    text = (
        f"Submitted, and not ended when last seen: {', '.join(running)}. Wait for each with "
        f"celonis.job({pool_id!r}, id).wait(), or stop it with .cancel(), before you push its "
        "frame again."
    )
    if not isinstance(error, Exception):
        warn(text)  # the program may end without showing the notes
    error.add_note(text)


def _name_unfinished(error: BaseException, rest: Sequence[TablePush], pool_id: str) -> None:
    unfinished = [push.table for push in rest if push.running]
    if unfinished:
        error.add_note(
            f"Cancellation of these tables was still in progress: {', '.join(unfinished)}. Their "
            "threads cancel their jobs and submit none; a submission under way may have been "
            f"executed: see celonis.jobs({pool_id!r})."
        )
    not_begun = [push.table for push in rest if not push.begun]
    if not_begun:
        error.add_note(f"These tables were not begun: {', '.join(not_begun)}.")


def _with_notes(text: str, error: BaseException) -> str:
    return " ".join([text, *getattr(error, "__notes__", ())])
