"""What an error of a push says besides: what became of its job, and how to finish its stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from celonis_frames._jobs.delivery import DeliveryResult
from celonis_frames._reporting.current import warn
from celonis_frames._staging.stage import Stage
from celonis_frames.exceptions import ApiError, CelonisFramesError, FrameError, JobError

_STAGED = "The chunks stay at"


def open_job(pool_id: str, delivered: DeliveryResult) -> str:
    """The note for a process that ends without a look at its job, if there is one."""
    if not delivered.job_id or delivered.submitted:
        return ""  # `outcome_notes` name a submitted job
    return (
        f"Job {delivered.job_id} may still be open, and a submission under way may have been "
        f"executed: check it with celonis.job({pool_id!r}, {delivered.job_id!r}) before you push "
        "again."
    )


@contextmanager
def outcome_notes(pool_id: str, delivered: DeliveryResult, stage: Stage | None) -> Iterator[None]:
    """Add notes to an error: on a job that was submitted, and on how to finish a staged push."""
    try:
        yield
    except BaseException as error:
        # A JobError names its job itself.
        if delivered.submitted and not isinstance(error, JobError):
            _note_job(error, pool_id, delivered.job_id)
        if stage is not None and not stage.finished:
            note_stage(error, stage)
        raise


def note_unsent(error: BaseException, delivered: DeliveryResult, staging: str | None) -> None:
    """Note that an interruption came before anything was sent, if it did."""
    notes = getattr(error, "__notes__", ())
    is_staged = any(note.startswith(_STAGED) for note in notes)
    # Any other note says what became of a job or of objects.
    sent = delivered.job_id or delivered.chunks
    if isinstance(error, Exception) or sent or len(notes) > is_staged:
        return
    error.add_note("Nothing was sent.")
    if staging is not None and not is_staged:
        error.add_note("Chunks of a frame that was not read to its end are removed.")


def _note_job(error: BaseException, pool_id: str, job_id: str) -> None:
    text = (
        f"Job {job_id} was submitted and continues on the server. Wait for it with "
        f"celonis.job({pool_id!r}, {job_id!r}).wait(), or stop it with .cancel()."
    )
    warn(text)
    error.add_note(text)
    if isinstance(error, CelonisFramesError | KeyboardInterrupt | SystemExit):
        error.outcome_known = False  # type: ignore[union-attr]  # an interruption gets it here
    if isinstance(error, ApiError):
        error.job_id = error.job_id or job_id


def note_stage(error: BaseException, stage: Stage) -> None:
    """Note how to finish a staged push, unless its chunks would fail again."""
    if isinstance(error, FrameError):
        stage.finished = True  # the same chunks would fail again
    elif stage.receipt is not None:
        error.add_note(
            f"{_STAGED} {stage.url}: push again with the same push_id=, or call "
            "celonis_frames.resume(…). Both finish the push without reading the frame again. Do "
            "not delete the folder: it says what was sent."
        )
    else:
        error.add_note(
            f"{_STAGED} {stage.url}: celonis_frames.resume(…) finishes the push without "
            "reading the frame again. Delete the folder if you do not want that."
        )
