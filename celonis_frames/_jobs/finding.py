"""What the delivery machine does with what an earlier process left: actions as in `actions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs.commands import State, Verdict
from celonis_frames._jobs.delivery_state import LAG_SECONDS, LATE_SECONDS, DeliveryState
from celonis_frames._jobs.guards import is_match


def find(m: DeliveryState, e: Any) -> Sequence[Any]:
    """Read what an earlier process left."""
    m.settled_at = m.sweep_at = m.now + LATE_SECONDS + LAG_SECONDS
    return (c.Find(),)


def find_again(m: DeliveryState, e: c.Woke) -> Sequence[Any]:
    """Read once more what an earlier process left, now that nothing can change it."""
    m.settled_at = 0.0
    return (c.Find(),)


def take_submitted(m: DeliveryState, e: c.Found) -> Sequence[Any]:
    """Take over the recorded job, and read whether it holds more than was sent."""
    assert e.recorded is not None  # noqa: S101  # the guard
    return _take(m, e.recorded.id, e)


def take_match(m: DeliveryState, e: c.Found) -> Sequence[Any]:
    """Take over the job with the push's mark."""
    return _take(m, next(job.id for job in e.others if is_match(job, e) is True), e)


def _take(m: DeliveryState, job_id: str, e: c.Found) -> Sequence[Any]:
    _note_found(m, e)
    m.must_sweep = m.must_sweep and m.lost_creations > 0
    m.begin(job_id)
    assert m.recorded is not None  # noqa: S101  # the state is FINDING
    m.sent, m.doubted, m.may_run, m.submitted = len(e.digests), True, True, True
    m.unverified = m.recorded.state is not State.SUBMITTING
    return (c.List(0.0),)


def adopt(m: DeliveryState, e: c.Found) -> Sequence[Any]:
    """Record that this job goes on, and find out which chunks it holds."""
    assert e.recorded is not None  # noqa: S101
    _note_found(m, e)
    m.begin(e.recorded.id)
    m.created += 1
    m.doubted = m.complete = m.adopted = True
    m.sent = len(e.digests)
    m.unknown = dict(enumerate(e.digests, 1))
    return c.Record(State.UPLOADING), c.List(0.0)


def replace_found(m: DeliveryState, e: c.Found) -> Sequence[Any]:
    """Cancel the recorded job."""
    assert e.recorded is not None  # noqa: S101
    _note_found(m, e)
    m.begin(e.recorded.id)
    m.sent, m.doubted, m.may_run, m.stayed_new = len(e.digests), True, True, True
    m.reason = "its submission may have been on its way"
    return (c.Cancel(m.job_id),)


def create_anew(m: DeliveryState, e: c.Found) -> Sequence[Any]:
    """Create a job; a creation of the earlier process may still take effect."""
    _note_found(m, e)
    m.lost_creations += 1
    return (c.Create(),)


def _note_found(m: DeliveryState, e: c.Found) -> None:
    known = {*m.jobs, *(() if e.recorded is None else (e.recorded.id,))}
    m.jobs += [job.id for job in e.others if job.state == "NEW" and job.id not in known]
    if e.recorded is not None and e.recorded.state == "NEW" and e.recorded.id not in m.jobs:
        m.jobs.append(e.recorded.id)
    m.must_sweep = True


def report_gone(m: DeliveryState, e: c.Found) -> Sequence[Any]:
    """Fail: the job was deleted."""
    assert m.recorded is not None  # noqa: S101
    m.verdict, m.job_id = Verdict.GONE, m.recorded.job_id
    return ()


def report_match(m: DeliveryState, e: c.Found) -> Sequence[Any]:
    """Fail: another job may be this push's."""
    m.verdict = Verdict.MATCH
    m.job_id = next(job.id for job in e.others if is_match(job, e) is None)
    return ()
