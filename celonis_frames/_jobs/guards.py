"""The conditions of the delivery machine's transitions: what must hold for a row of the table.

They read the state and change nothing.
"""

from __future__ import annotations

from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs.commands import State
from celonis_frames._jobs.delivery_state import (
    MAX_JOBS,
    RECOUNT_SECONDS,
    SHORT_DELAYS,
    STATE_DELAYS,
    DeliveryState,
)
from celonis_frames._jobs.reconcile import ChecksumKind, Finding, has_repeats, same_chunks

EXECUTED = frozenset({"QUEUED", "RUNNING", "DONE", "ERROR"})
"""States of a job that was submitted, and not cancelled since."""


def has_jobs(m: DeliveryState, e: Any) -> bool:
    """The destination has jobs."""
    return m.has_jobs


def was_submitted(m: DeliveryState, e: c.Found) -> bool:
    """The recorded job has left NEW, and was not cancelled."""
    return e.recorded is not None and e.recorded.state in EXECUTED


def was_deleted(m: DeliveryState, e: c.Found) -> bool:
    """The recorded job is gone, and may have been submitted before."""
    assert m.recorded is not None  # noqa: S101  # the state is FINDING
    return e.recorded is None and m.recorded.state is State.SUBMITTING


def match_was_submitted(m: DeliveryState, e: c.Found) -> bool:
    """Another job with the push's mark has left NEW, and holds exactly the push's chunks."""
    return any(is_match(job, e) is True for job in e.others)


def match_is_unclear(m: DeliveryState, e: c.Found) -> bool:
    """Another job with the push's mark and number of chunks has left NEW."""
    return any(is_match(job, e) is None for job in e.others)


def is_match(job: c.FoundJob, e: c.Found) -> bool | None:
    # A job in ERROR has changed nothing.
    return job.state in EXECUTED - {"ERROR"} and same_chunks(e.digests, job.checksums)


def was_filled(m: DeliveryState, e: c.Found) -> bool:
    """The recorded job is in NEW, and was not being submitted: it gets the missing chunks."""
    assert m.recorded is not None  # noqa: S101
    new = e.recorded is not None and e.recorded.state == "NEW"
    return new and m.recorded.state is not State.SUBMITTING


def may_be_used(m: DeliveryState, e: c.Found) -> bool:
    """The recorded job can be filled, but a call of the earlier process may still take effect."""
    return was_filled(m, e) and m.now < m.settled_at


def was_submitting(m: DeliveryState, e: c.Found) -> bool:
    """The recorded job is in NEW, but its submission may be on its way: it is replaced."""
    return e.recorded is not None and e.recorded.state == "NEW"


def can_list(m: DeliveryState, e: Any) -> bool:
    """An outcome is unknown, or a list is to show the kind of checksums, and no upload runs."""
    return not m.running and (bool(m.unknown) or m.examine)


def can_send(m: DeliveryState, e: Any) -> bool:
    """A chunk waits, an upload is free, and no outcome is unknown."""
    return bool(m.waiting) and len(m.running) < m.uploads and not m.unknown and not m.examine


def wants_chunk(m: DeliveryState, e: Any) -> bool:
    """No chunk waits, and there may be more."""
    return not (m.complete or m.asked or m.waiting or m.unknown or m.examine)


def all_stored(m: DeliveryState, e: Any) -> bool:
    """All chunks were taken, and all are stored."""
    return m.complete and not (m.running or m.waiting or m.unknown or m.examine)


def all_put(m: DeliveryState, e: Any) -> bool:
    """All chunks are stored, and there are no jobs."""
    return not m.has_jobs and all_stored(m, e)


def may_change(m: DeliveryState, e: Any) -> bool:
    """All are stored, but an upload that was in doubt may still be stored, or listed, once more."""
    return all_stored(m, e) and m.now < m.settled_at


def has_no_list(m: DeliveryState, e: Any) -> bool:
    """There is no job whose list could show what was stored."""
    return not m.has_jobs and not m.repeatable


def may_repeat(m: DeliveryState, e: Any) -> bool:
    """There is no job, and to store a chunk twice does no harm."""
    return not m.has_jobs


def list_is_short(m: DeliveryState, e: c.Listed) -> bool:
    """What is missing may be in the next list."""
    return m.reconciled(e).finding is Finding.SHORT


def is_ambiguous(m: DeliveryState, e: c.Listed) -> bool:
    """The list cannot be reconciled, or nothing could prove it in the end."""
    unprovable = m.kind is ChecksumKind.ARBITRARY and not m.only_chunk
    return unprovable or m.reconciled(e).finding is Finding.AMBIGUOUS


def kind_is_missing(m: DeliveryState, e: c.Listed) -> bool:
    """A chunk that was in doubt is stored, and its checksum is of an unknown kind."""
    stored = bool(m.examples) or bool(m.reconciled(e).stored)
    return stored and m.kind is ChecksumKind.UNKNOWN and not m.only_chunk


def repeat_is_missing(m: DeliveryState, e: c.Listed) -> bool:
    """The list does not show the repeated chunk yet."""
    return len(e.checksums) <= m.acknowledged and m.reads < len(SHORT_DELAYS)


def count_is_short(m: DeliveryState, e: c.Listed) -> bool:
    """What is missing may be in the next list."""
    return m.verified(e).finding is Finding.SHORT


def count_is_wrong(m: DeliveryState, e: c.Listed) -> bool:
    """The job does not hold every chunk exactly once, or that cannot be shown."""
    return m.verified(e).finding is Finding.AMBIGUOUS


def has_equal_chunks(m: DeliveryState, e: c.Listed) -> bool:
    """Two checksums are equal: one chunk may hide another that is not in the list yet."""
    if m.sent < 2 or m.waited_for_lag or m.doubted:
        return False
    return has_repeats([checksum for checksum in e.checksums if checksum is not None])


def has_slot(m: DeliveryState, e: Any) -> bool:
    """The quota has already been waited for."""
    return m.reserved


def count_is_old(m: DeliveryState, e: Any) -> bool:
    """The chunks are counted again: the count is old, or the job was in doubt."""
    return m.doubted or m.now - m.listed_at > RECOUNT_SECONDS


def in_doubt(m: DeliveryState, e: Any) -> bool:
    """A chunk may have been stored after the count."""
    return m.doubted or m.waited_for_lag or m.adopted


def left_new(m: DeliveryState, e: c.JobIs) -> bool:
    """The job was submitted."""
    return e.state != "NEW"


def left_new_in_doubt(m: DeliveryState, e: c.JobIs) -> bool:
    """The job was submitted, and a chunk may have been stored after the count."""
    return e.state != "NEW" and in_doubt(m, e)


def may_leave_new(m: DeliveryState, e: c.JobIs) -> bool:
    """The submission without a response may still take effect."""
    return m.rejection is None and m.reads < len(STATE_DELAYS)


def stays_new(m: DeliveryState, e: c.JobIs) -> bool:
    """It may take effect at any time: the job is not submitted again, but replaced."""
    return m.rejection is None


def is_temporary(m: DeliveryState, e: Any) -> bool:
    """The rejection is temporary."""
    return m.rejection is not None and m.rejection.temporary


def lacks_chunks(m: DeliveryState, e: c.Listed) -> bool:
    """The job was submitted, but not by a process that had verified its chunks, and lacks some."""
    return m.unverified and len(e.checksums) < m.sent


def may_be_listed(m: DeliveryState, e: c.Listed) -> bool:
    """It lacks chunks, which may be in the next list."""
    return lacks_chunks(m, e) and m.reads < len(SHORT_DELAYS)


def has_surplus(m: DeliveryState, e: c.Listed) -> bool:
    """A chunk was stored after the count."""
    return len(e.checksums) > m.sent


def was_cancelled(m: DeliveryState, e: c.JobCancelled) -> bool:
    """The job was cancelled, or failed: it has changed nothing."""
    return e.state in ("CANCELED", "ERROR")


def last_was_cancelled(m: DeliveryState, e: c.JobCancelled) -> bool:
    """The job was cancelled, and there is no further try."""
    return was_cancelled(m, e) and no_jobs_left(m, e)


def no_jobs_left(m: DeliveryState, e: Any) -> bool:
    """There is no further try."""
    return m.created >= MAX_JOBS and not m.refuted


def was_executed_as_wanted(m: DeliveryState, e: c.JobCancelled) -> bool:
    """Its submission took effect after all, and its chunks had been verified."""
    return m.stayed_new and e.state != "CANCELED"


def may_run(m: DeliveryState, e: Any) -> bool:
    """The job may have been submitted."""
    return m.may_run


def was_executed(m: DeliveryState, e: c.JobCancelled) -> bool:
    """The job that was to be cancelled had been executed, which the caller may learn."""
    return m.may_run and not m.interrupted and e.state != "CANCELED"


def was_executed_in_doubt(m: DeliveryState, e: c.JobCancelled) -> bool:
    """The job was executed, and a chunk may have been stored after the count."""
    return was_executed(m, e) and in_doubt(m, e)


def has_no_job(m: DeliveryState, e: Any) -> bool:
    """There is no job to cancel."""
    return not m.job_id


def nothing_to_sweep(m: DeliveryState, e: Any) -> bool:
    """Every job of the push is known, and all but a submitted one are cancelled."""
    open_jobs = set(m.jobs) - {m.job_id}
    return m.swept or not (m.must_sweep or m.lost_creations or open_jobs)


def is_delivered(m: DeliveryState, e: Any) -> bool:
    """All is done, and the push has not failed."""
    return nothing_to_sweep(m, e) and m.error is None and m.verdict is None


def not_sweeping(m: DeliveryState, e: Any) -> bool:
    """The sweep has not begun."""
    return not m.sweeping
