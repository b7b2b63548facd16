"""The error for a delivery that failed, and the notes about its job."""

from __future__ import annotations

from celonis_frames._concurrency.cancellation import Cancelled
from celonis_frames._jobs.commands import Verdict
from celonis_frames._jobs.machine import DeliveryMachine
from celonis_frames._reporting.current import warn
from celonis_frames.exceptions import CelonisFramesError, UploadUncertain

UNCHANGED = ("CANCELED", "ERROR")
"""Ends of a job after which the table is as it was."""


def failure_of(machine: DeliveryMachine) -> BaseException:
    """The error to raise for a machine in FAILED, with notes about its job."""
    if machine.verdict is not None:
        error: BaseException = UploadUncertain(
            _message(machine, machine.verdict),
            job_id=machine.job_id,
            outcome_known=machine.verdict is Verdict.UNVERIFIED
            or (machine.verdict is Verdict.SURPLUS and machine.final_state in UNCHANGED),
        )
    else:
        error = machine.error
    if machine.taken_over:
        return error
    for job_id in machine.jobs:
        if job_id != machine.job_id:
            error.add_note(
                f"Job {job_id} may still be in NEW; it was not executed."
                if machine.created
                else f"Job {job_id} of the earlier process may still be open: check it."
            )
    if machine.verdict is None and machine.job_id:
        if isinstance(error, CelonisFramesError) and not getattr(error, "job_id", None):
            error.job_id = machine.job_id  # type: ignore[attr-defined]  # on every error
        error.add_note(_note(machine))
        if isinstance(error, CelonisFramesError):
            may_have_run = machine.cancel_error is not None and machine.may_run
            error.outcome_known = not (may_have_run or machine.final_state in ("DONE", "ERROR"))
    return error


def surplus_error(job_id: str, sent: int, state: str) -> UploadUncertain:
    """The error for a submitted job that holds more chunks than were sent."""
    return UploadUncertain(
        f"Job {job_id} was submitted with more chunks than were sent ({sent:,}): the server "
        "stored an upload once more after its chunks had been counted. "
        + (
            "The table is unchanged: push again."
            if state in UNCHANGED
            else "Rows may be in the table twice: check it before you push again."
        ),
        job_id=job_id,
        outcome_known=state in UNCHANGED,
    )


def log_uncounted(job_id: str, error: Exception) -> None:
    """Log that the chunks of a submitted job could not be counted again: that proves nothing."""
    warn("job %s: its chunks could not be counted again: %r", job_id, error)


def why(error: BaseException) -> str:
    """The reason for which a job could not be cancelled."""
    if isinstance(error, Cancelled):
        return "a second signal ended the push"
    return error.message if isinstance(error, CelonisFramesError) else repr(error)


def _note(machine: DeliveryMachine) -> str:
    job_id, state = machine.job_id, machine.final_state
    if machine.cancel_error is not None:
        reason = why(machine.cancel_error)
        warn("job %s could not be cancelled: %s", job_id, reason)
        return f"Job {job_id} could not be cancelled ({reason}). " + (
            "It may have been executed: check it before you push again."
            if machine.may_run
            else "It was not executed; it holds its chunks until it is deleted."
        )
    if state in ("DONE", "ERROR"):
        return f"Job {job_id} had already been executed: its state is {state}."
    return f"Job {job_id} was cancelled; the table is unchanged."


def _message(machine: DeliveryMachine, verdict: Verdict) -> str:
    job_id, reason, state = machine.job_id, machine.reason, machine.final_state
    if verdict is Verdict.UNVERIFIED and not machine.has_jobs:
        return (
            "An upload had no response, and it is unknown whether its chunk was stored. It is not "
            "sent again, since that could store its rows twice."
        )
    if verdict is Verdict.UNVERIFIED:
        cancelled = (
            f"Job {job_id} and those before it were cancelled"
            if machine.cancel_error is None
            else f"Job {job_id} could not be cancelled ({why(machine.cancel_error)})"
        )
        return (
            f"The upload could not be verified: {reason}. {cancelled} and nothing was executed. "
            "Push again; if this persists, another client adds chunks to the jobs, or parts of the "
            "frame are equal, row by row."
        )
    if verdict is Verdict.SURPLUS:
        return surplus_error(job_id, machine.sent, state).message
    if verdict is Verdict.GONE:
        return (
            f"Job {job_id} was deleted, and may have been executed before. "
            "Check the table: if it has the rows, delete the stage; if not, push the frame again."
        )
    if verdict is Verdict.MATCH:
        return (
            f"Job {job_id} was executed and is probably this push's: it has its mark and as many "
            "chunks, but their checksums cannot be compared. Check the table: if it has the rows, "
            "delete the stage; if not, push the frame again."
        )
    unknown = (
        "unknown" if machine.cancel_error is None else f"unknown ({why(machine.cancel_error)})"
    )
    if machine.stayed_new:
        return (
            f"It is unknown whether job {job_id} was submitted: the submission had no response, "
            f"and the job could not be cancelled. Its state is {state or unknown}. Check the table "
            "before you push again."
        )
    return (
        f"The upload to job {job_id} could not be verified ({reason}), and the job may have been "
        f"executed: its state is {state or unknown}. Check the table before you push again."
    )
