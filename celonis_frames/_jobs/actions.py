"""What the delivery machine's transitions do: they change the state and return commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs.commands import Verdict
from celonis_frames._jobs.delivery_state import (
    LAG_SECONDS,
    LATE_SECONDS,
    LOST_DELAYS,
    SHORT_DELAYS,
    STATE_DELAYS,
    DeliveryState,
)
from celonis_frames._jobs.reconcile import UNPROVABLE, ChecksumKind, kind_after_repeat

Action = Callable[[DeliveryState, Any], Sequence[Any]]


def create(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Create the first job."""
    return (c.Create(),) if m.has_jobs else ()


def report_unverified(m: DeliveryState, e: c.UploadUnknown) -> Sequence[Any]:
    """Fail: it is unknown whether the object was stored."""
    m.verdict = Verdict.UNVERIFIED
    return (c.StopUploads(),)


def report_surplus(m: DeliveryState, e: c.JobCancelled | c.CancelFailed) -> Sequence[Any]:
    """Fail: the submitted job holds more chunks than were sent."""
    m.verdict = Verdict.SURPLUS
    _note_end(m, e)
    return ()


def report_lacking(m: DeliveryState, e: c.Listed) -> Sequence[Any]:
    """Fail: the job was executed without all of its chunks, and not by this push."""
    m.verdict, m.submitted = Verdict.MAYBE_EXECUTED, False
    m.reason = f"it was submitted with {len(e.checksums):,} of the {m.sent:,} chunks"
    return ()


def report_maybe_executed(m: DeliveryState, e: c.JobCancelled | c.CancelFailed) -> Sequence[Any]:
    """Fail: the job was or may have been executed, and its chunks were not verified."""
    m.verdict = Verdict.MAYBE_EXECUTED
    _note_end(m, e)
    return ()


def _note_end(m: DeliveryState, e: c.JobCancelled | c.CancelFailed) -> None:
    if isinstance(e, c.JobCancelled):
        m.final_state = e.state
    else:
        m.cancel_error = e.error


def begin_job(m: DeliveryState, e: c.Created) -> Sequence[Any]:
    """Record the job, and take the first chunk."""
    m.begin(e.job_id)
    m.jobs.append(e.job_id)
    m.created += 1
    return (c.Record(m.state),)


def create_again(m: DeliveryState, e: c.CreationUnknown) -> Sequence[Any]:
    """Create a job; the one that may exist is swept at the end."""
    m.lost_creations += 1
    m.sweep_at = m.now + LATE_SECONDS + LAG_SECONDS
    return c.Record(m.state), c.Create()


def take_chunk(m: DeliveryState, e: c.ChunkReady) -> Sequence[Any]:
    """The chunk waits for a free upload."""
    m.asked, m.uploads = False, e.uploads
    m.sent += 1
    m.waiting.append(e.number)
    return ()


def end_chunks(m: DeliveryState, e: Any) -> Sequence[Any]:
    """All chunks are known."""
    m.asked, m.complete = False, True
    return ()


def ask_chunk(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Take the next chunk while uploads run."""
    m.asked = True
    return (c.Next(),)


def send(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Upload the chunk that has waited longest."""
    number = m.waiting.popleft()
    m.running.add(number)
    return (c.Send(number),)


def acknowledge(m: DeliveryState, e: c.Uploaded) -> Sequence[Any]:
    """The chunk is stored. If its outcome was unknown before, its checksum may show their kind."""
    m.running.discard(e.number)
    m.acknowledged += 1
    if e.number in m.once_unknown:
        # The first upload of it may be stored too, and a list that lags show that one only.
        m.settled_at = max(m.settled_at, m.now + LAG_SECONDS)
    if e.number in m.once_unknown and m.kind is ChecksumKind.UNKNOWN and not m.only_chunk:
        m.examples[e.number] = m.once_unknown[e.number]
        m.examine = True
        return ()
    return (c.Release(e.number, confirmed=False),)


def doubt(m: DeliveryState, e: c.UploadUnknown) -> Sequence[Any]:
    """The upload's outcome is unknown; what it was may still be stored for a while."""
    m.running.discard(e.number)
    m.doubted = True
    m.unknown[e.number] = m.once_unknown[e.number] = e.digests
    m.settled_at = m.now + LATE_SECONDS + LAG_SECONDS
    return ()


def put_again(m: DeliveryState, e: c.UploadUnknown) -> Sequence[Any]:
    """Store the object again, under the same name."""
    m.running.discard(e.number)
    m.waiting.appendleft(e.number)
    return ()


def list_chunks(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Read the job's chunks."""
    m.reads, m.listed_at = 0, m.now
    return (c.List(0.0),)


def list_lost(m: DeliveryState, e: c.Listed) -> Sequence[Any]:
    """Read the list again later."""
    delays = SHORT_DELAYS if len(e.checksums) < m.acknowledged else LOST_DELAYS
    m.reads += 1
    return (c.List(delays[m.reads - 1]),)


def list_short(m: DeliveryState, e: c.Listed) -> Sequence[Any]:
    """Read the list again later."""
    delay = SHORT_DELAYS[m.reads]
    m.reads, m.listed_at = m.reads + 1, m.now + delay
    return (c.List(delay),)


def settle(m: DeliveryState, e: c.Listed) -> Sequence[Any]:
    """Release the chunks that were stored, and send the others again, in order."""
    stored = m.reconciled(e).stored
    m.acknowledged += len(stored)
    m.waiting.extendleft(sorted(m.unknown.keys() - stored, reverse=True))
    released = sorted(m.examples.keys() | stored)
    if m.adopted and not e.checksums and not m.once_unknown:
        # An empty job in which nothing can be stored any more is as good as a new one.
        m.doubted = False
    m.unknown, m.examples, m.examine = {}, {}, False
    return [c.Release(number, confirmed=number in stored) for number in released]


def probe(m: DeliveryState, e: c.Listed) -> Sequence[Any]:
    """Send a chunk that is stored once more; the job is cancelled after that."""
    stored = m.reconciled(e).stored
    m.acknowledged += len(stored)
    m.reads = 0
    m.unknown = {n: digests for n, digests in m.unknown.items() if n not in stored}
    number = min({*m.examples, *stored})
    m.running.add(number)
    return (c.Send(number),)


def abandon(m: DeliveryState, e: c.Listed) -> Sequence[Any]:
    """Cancel the job, so that a new one can take its place."""
    m.reason = m.reconciled(e).reason or UNPROVABLE
    return c.StopUploads(), c.Cancel(m.job_id)


def abandon_count(m: DeliveryState, e: c.Listed) -> Sequence[Any]:
    """Cancel the job, so that a new one can take its place."""
    m.reason = m.verified(e).reason
    return c.StopUploads(), c.Cancel(m.job_id)


def abandon_probe(m: DeliveryState, e: c.Listed) -> Sequence[Any]:
    """The list shows the kind of checksums; the job holds a chunk twice now."""
    # What had no response may have been stored meanwhile, instead of the repeated chunk.
    m.kind = kind_after_repeat(m.acknowledged + len(m.unknown), e.checksums)
    m.reason = UNPROVABLE
    return c.StopUploads(), c.Cancel(m.job_id)


def abandon_new(m: DeliveryState, e: c.JobIs) -> Sequence[Any]:
    """Cancel the job, whose submission may still take effect."""
    m.stayed_new = True
    m.reason = "its submission had no response, and it stayed in NEW"
    return c.StopUploads(), c.Cancel(m.job_id)


def abandon_refuted(m: DeliveryState, e: c.Refuted) -> Sequence[Any]:
    """Cancel the job, whose fields do not fit the chunks to come."""
    m.refuted = True
    m.reason = "a string is longer than its first rows suggested"
    return c.StopUploads(), c.Cancel(m.job_id)


def sleep(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Wait until the list shows everything."""
    return (c.Sleep(m.settled_at),)


def wait_for_lag(m: DeliveryState, e: c.Listed) -> Sequence[Any]:
    """Wait until the list shows everything, once."""
    m.waited_for_lag = True
    return (c.Sleep(m.now + LAG_SECONDS),)


def reserve(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Wait for the quota."""
    m.reserved, m.rejection, m.may_run = False, None, False
    return (c.Reserve(),)


def recount(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Count the chunks again."""
    m.reserved, m.reads, m.listed_at = True, 0, m.now
    return (c.List(0.0),)


def submit(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Record that the job is submitted, and submit it."""
    m.may_run, m.reads = True, 0
    return c.Record(m.state), c.Submit()


def read_state(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Read the job's state."""
    m.reads, m.rejection = 0, e if isinstance(e, c.SubmissionRejected) else None
    m.submission_error = e.error
    return (c.ReadState(0.0),)


def read_state_again(m: DeliveryState, e: c.JobIs) -> Sequence[Any]:
    """Read the state again later."""
    m.reads += 1
    return (c.ReadState(STATE_DELAYS[m.reads - 1]),)


def recheck(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Read the submitted job's chunks."""
    m.error, m.submitted, m.reads = None, True, 0
    return (c.List(0.0),)


def accept(m: DeliveryState, e: Any) -> Sequence[Any]:
    """The job is submitted."""
    m.error, m.submitted = None, m.has_jobs
    return ()


def retract(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Cancel the submitted job."""
    return (c.Cancel(m.job_id),)


def fail_rejected(m: DeliveryState, e: c.JobIs) -> Sequence[Any]:
    """The submission was rejected for good."""
    assert m.rejection is not None  # noqa: S101
    m.error, m.may_run = m.rejection.error, False
    return c.StopUploads(), c.Cancel(m.job_id)


def fail(m: DeliveryState, e: c.Failed) -> Sequence[Any]:
    """Cancel the job because of an error."""
    m.error, m.interrupted = e.error, e.interrupted
    m.may_run = m.may_run and not e.unsent
    return (c.StopUploads(), c.Cancel(m.job_id)) if m.job_id else (c.StopUploads(),)


def fail_without_job(m: DeliveryState, e: c.Failed) -> Sequence[Any]:
    """There is no job to cancel, unless its creation takes effect."""
    m.error, m.interrupted = e.error, e.interrupted
    if e.unknown:
        m.lost_creations += 1
        m.sweep_at = m.now + LATE_SECONDS + LAG_SECONDS
    return ()


def fail_cancelling(m: DeliveryState, e: c.Failed) -> Sequence[Any]:
    """It is unknown whether the job was cancelled."""
    m.error, m.cancel_error = m.error or e.error, e.error
    m.interrupted = e.interrupted
    return ()


def end_taken_over(m: DeliveryState, e: c.TakenOver) -> Sequence[Any]:
    """Leave the jobs to the other process, which reports how the push ends."""
    m.error = m.error if m.interrupted else e.error
    m.verdict, m.taken_over = None, True
    return (c.StopUploads(),)


def restart(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Create a job for the same chunks."""
    if isinstance(e, c.JobCancelled):
        m.jobs = [job for job in m.jobs if job != m.job_id]
    if m.refuted:
        m.created -= 1
    m.begin("")
    return c.Record(m.state), c.Restart(), c.Create()


def note_cancelled(m: DeliveryState, e: c.JobCancelled) -> Sequence[Any]:
    """The job has changed nothing."""
    _note_end(m, e)
    if e.state == "CANCELED":
        m.jobs = [job for job in m.jobs if job != m.job_id]
    return ()


def note_cancel_failed(m: DeliveryState, e: c.CancelFailed) -> Sequence[Any]:
    """The job may still be there; it was not executed, unless it may have been submitted."""
    _note_end(m, e)
    m.jobs = [job for job in m.jobs if job != m.job_id]  # it was tried: a sweep tries no better
    return ()


def end_replacing(m: DeliveryState, e: Any) -> Sequence[Any]:
    """There is no further try; what had no response is the error."""
    _note_end(m, e)
    if m.stayed_new:
        m.error = m.submission_error
    else:
        m.verdict = Verdict.UNVERIFIED
    return ()


def sweep(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Cancel the jobs with the push's mark, once all of them must be in the list."""
    m.sweeping = True
    others = tuple(job for job in m.jobs if job != m.job_id)
    return (c.Sweep(m.now if m.interrupted else max(m.now, m.sweep_at), others),)


def end_sweep(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Nothing is left."""
    m.swept = True
    return ()
