"""What must be true when a schedule has ended. Each rule returns what is wrong, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs.commands import State
from celonis_frames._jobs.reconcile import ChecksumKind
from simulation.server import FOLLOW, Job

if TYPE_CHECKING:
    from simulation.schedule import Schedule

UNCERTAIN = frozenset(
    {"failed MAYBE_EXECUTED", "failed SURPLUS", "failed GONE", "failed MATCH"}
)  # fmt: skip
"""Ends with `UploadUncertain` after which the table may hold the rows."""
JOBS = 3
"""Jobs that a push may create."""
LISTS = 4
"""Lists after an upload that was stored, but had no response: of what was stored, before and after
the wait for the quota, and after the submission."""
SHOWN_SECONDS = 3.0
"""A surplus that a list could show so long before the submission must not be executed."""
LONGEST_SECONDS = 45.0
"""A push with at most one fault takes no longer, besides its wait for the quota and its uploads."""


def judge(s: Schedule) -> str:
    """The first rule that does not hold."""
    end = s.ends[-1] if s.ends else ""
    if not end:
        return "the push does not end"
    for process in (*s.processes, *s.overtaken):
        if process.problem:
            return str(process.problem)
    if s.limits.bucket:
        return _bucket(s, end) or _bucket_liveness(s, end)
    rows = (
        _rows_beyond(s, end)
        if s.limits.beyond
        else _rows(s, end) or _rows_of_overtaken(s) or _left(s, end)
    )
    return rows or _executions(s) or _shown(s) or _jobs(s) or _liveness(s, end)


# Within the bounds ---------------------------------------------------------------------------


def _rows(s: Schedule, end: str) -> str:
    """The rows in the table are those of the pushes reported DONE."""
    table = sorted(s.world.server.table)
    wanted = sorted(s.contents)
    if end == "DONE":
        return "" if table == wanted else f"DONE, but the table holds {table}, not {wanted}"
    if end in UNCERTAIN and not (end == "failed GONE" and s.limits.deletes):
        return f"{end} within the bounds"
    if not table or (end in UNCERTAIN and table == wanted):
        return ""
    process = s.processes[-1]
    if end == "interrupted" and table == wanted and process.told:
        return ""  # the job runs on, or had been executed, and the error says so
    if _is_told_by_overtaken(s, end):
        return ""  # see `_rows_of_overtaken`
    return f"{end}, but the table holds {table}"


def _is_told_by_overtaken(s: Schedule, end: str) -> bool:
    """Whether the last process says nothing of the rows, and one before it has reported DONE."""
    # Killed, or its error says that nothing was found out.
    silent = end == "killed" or not s.processes[-1].begun
    return silent and any(process.result == "DONE" for process in s.overtaken)


def _rows_of_overtaken(s: Schedule) -> str:
    """A process whose stage was taken over is right as well if it reports DONE.

    What else it reports is about its own jobs, or that the push was taken over.
    """
    if any(process.result == "DONE" for process in s.overtaken):
        return _rows(s, "DONE")
    return ""


def _left(s: Schedule, end: str) -> str:
    """No job is left in NEW, unless the process could do nothing about it."""
    left = [job for job in s.world.server.jobs.values() if job.state == "NEW"]
    last = s.processes[-1]
    if end == "interrupted" or last.interrupted:  # nobody waits for a creation that comes late
        left = [job for job in left if job.chunks or job.created < last.began]
    if not left or (
        last.machine.recorded is not None and last.machine.state is State.FAILED and not last.begun
    ):
        return ""
    return f"{end}, but a job is left: {left[0].id}"


# Beyond them ---------------------------------------------------------------------------------


def _rows_beyond(s: Schedule, end: str) -> str:
    """The end is uncertain wherever a list at the job's end can show it."""
    server = s.world.server
    if end == "DONE":
        done = [job for job in server.executions if job.state == "DONE"]
        if len(done) != 1 or sorted(server.table) == sorted(s.contents):
            return "" if done else "DONE, but no job was executed"
        return _could_be_shown(s, done[0])
    if end in UNCERTAIN or not server.table:
        return ""
    if _is_told_by_overtaken(s, end):
        return _rows_beyond(s, "DONE")
    process = s.processes[-1]
    if process.told or (process.machine.cancel_error is not None and process.machine.may_run):
        return ""  # the error says that the job was or may have been executed
    if all(job.by is not process for job in server.executions):
        return ""  # the earlier process's, which could not be seen: see `_executions`
    return f"{end}, but the table holds {sorted(server.table)}"


def _could_be_shown(s: Schedule, job: Job) -> str:
    process = s.processes[-1]
    if len(job.applied) <= len(s.contents):
        return f"DONE with {sorted(job.applied)}"
    if process.machine.doubted and any("List" in f or f == "outage" for f in process.faults):
        return ""  # the list could not be read
    seen_at = job.submitted + (SHOWN_SECONDS if process.waits else 0.0) - s.limits.lag
    stored = [entry[0] for entry in job.chunks if entry[0] <= seen_at]
    return f"DONE, but {job.id} holds a surplus" if len(stored) > len(s.contents) else ""


# Always --------------------------------------------------------------------------------------


def _executions(s: Schedule) -> str:
    """Rows are not executed twice: not by one process, nor by a later one that could see it."""
    lag = s.limits.lag
    executions = [job for job in s.world.server.executions if job.state != "CANCELED"]
    for position, first in enumerate(executions):
        for second in executions[position + 1 :]:
            if second.by is first.by:
                return f"one process executes {first.id} and {second.id}"
            found_at = second.by.found_at
            visible = first.submitted <= found_at and first.created <= found_at - lag
            deleted = first.id in s.world.server.deleted
            exact = sorted(first.applied) == sorted(s.contents)
            if (
                visible
                and not deleted
                and exact
                and first.chunks[-1][0] <= found_at - lag
                and first.state in ("RUNNING", "DONE")
            ):
                return f"{second.id} is executed, although {first.id} was"
    return ""


def _shown(s: Schedule) -> str:
    """A surplus that a list could show some seconds before is not executed."""
    limit = len(s.contents)
    for job in s.world.server.executions:
        if len(job.applied) > limit:
            surplus = job.chunks[: len(job.applied)][limit:]
            if surplus[-1][0] < job.called - s.limits.lag - SHOWN_SECONDS:
                return f"{job.id} is executed with {len(surplus)} chunks too many"
    return ""


def _jobs(s: Schedule) -> str:
    """Jobs are created as often as is worth it, and no kind of checksums is asked for twice."""
    for process, end in zip(s.processes, s.ends, strict=False):
        if end == "failed MAYBE_EXECUTED" and not process.resumes and c.Submit not in process.calls:
            return "MAYBE_EXECUTED, but nothing was submitted"
        created = process.created + (process.adopted is not None)
        if process.created > JOBS + s.limits.refutes:
            return f"{process.created} jobs"
        if end == "failed UNVERIFIED" and created < JOBS:
            return f"UNVERIFIED after {created} jobs"
        shown = _KINDS.get(process.machine.kind)
        if shown and s.world.server.kind not in shown and not s.limits.beyond:
            return f"the checksums are taken to be {process.machine.kind.name}"
        if process.probes > JOBS and not s.limits.beyond:
            return "the kind of checksums is asked for again and again"
    return ""


_KINDS = {
    ChecksumKind.DIGEST: ("digest",),
    ChecksumKind.CONTENT: ("content",),
    ChecksumKind.ARBITRARY: ("arbitrary", "none"),
}


# Liveness ------------------------------------------------------------------------------------


def _liveness(s: Schedule, end: str) -> str:
    faults, limits = s.world.faults, s.limits
    if limits.lag > 5.0 or limits.errors or limits.refusals:
        return ""
    adopted = _adoption(s)
    if adopted or s.resumes or not _BREAKS.isdisjoint(faults):
        return adopted
    if len(faults) - faults.count("refuted") > 1 or (limits.beyond and faults):
        return ""
    process = s.processes[-1]
    if end != "DONE":
        return f"{end} after {faults or 'no fault'}"
    uploads = process.calls.get(c.Send, 0) + 1  # one may be tried twice
    if s.world.ended - 2 * limits.quota - limits.slow * uploads > LONGEST_SECONDS:
        return f"took {s.world.ended:.0f} s after {faults or 'no fault'}"
    refuted = faults.count("refuted")
    others = [fault for fault in faults if fault != "refuted"]
    jobs = process.created - refuted
    if jobs > 1 and (not others or others[0] in _HARMLESS or _can_tell(s, others[0])):
        return f"{jobs} jobs after {faults or 'no fault'}"
    if others == ["upload: now"] and _can_tell(s, others[0]) and process.calls[c.List] > LISTS:
        return f"{process.calls[c.List]} lists after {others}"
    return "" if others else _exact(s, process)


_BREAKS = frozenset({"kill", "freeze", "interruption", "outage"})
"""Faults that end or stop a process."""
_HARMLESS = frozenset(
    {"read", "submit: now", "submit: soon", "submit: late", "submit: twice",
     "submit: refused for now", "submit: no connection", "upload: no connection",
     "create: no connection"}
)  # fmt: skip
"""Faults after which the same job is delivered."""


def _can_tell(s: Schedule, fault: str) -> bool:
    """Whether the lists show what an upload without a response did."""
    if fault != "upload: never" and (fault not in ("upload: now", "upload: soon") or s.limits.lag):
        return False
    distinct = len(set(s.contents)) == len(s.contents)
    return len(s.contents) == 1 or (s.world.server.kind == "digest" and distinct)


def _exact(s: Schedule, process: Any) -> str:
    """Without a fault no call is made in vain."""
    limits, count = s.limits, len(s.contents)
    if limits.lag:
        return ""
    calls = {kind.__name__: number for kind, number in process.calls.items()}
    refuted, equal = s.world.faults.count("refuted"), len(set(s.contents)) < count
    looks = equal and s.world.server.kind in FOLLOW  # the list shows equal checksums: once more
    recounts = process.count_age > 1.0
    wanted = {
        "Create": 1, "Record": 2, "Next": count + 1, "Send": count, "Release": count,
        "List": 1 + looks + recounts + looks, "Reserve": 1, "Submit": 1,
    }  # fmt: skip
    if looks:
        wanted["Sleep"] = 1
    if refuted:
        wanted.update(Create=1 + refuted, Record=2 + 2 * refuted, Restart=refuted)
        wanted.update(StopUploads=refuted, Cancel=refuted)
        for kind in ("Next", "Send", "Release"):
            wanted.pop(kind), calls.pop(kind)
    return "" if calls == wanted else f"{calls} instead of {wanted} without a fault"


def _adoption(s: Schedule) -> str:
    """A `resume` completes the recorded job if its chunks are known, and nothing more happens."""
    process, limits = s.processes[-1], s.limits
    job = process.adopted
    if job is None or process.faults or s.world.server.kind != "digest" or limits.twins:
        return ""
    if limits.beyond or limits.manifest_lag or len(set(s.contents)) < len(s.contents):
        return ""
    stored = [entry[1] for entry in job.chunks if entry[3] is not process]
    if len(set(stored)) < len(stored) or (job.by is not process and job.by is not None):
        return ""
    if process.machine.job_id != job.id and not process.interrupted:
        return "a job that could be completed is replaced"
    return ""


# The bucket ----------------------------------------------------------------------------------


def _bucket(s: Schedule, end: str) -> str:
    """DELIVERED means that every object is there once."""
    objects = s.world.server.objects
    wanted = {number: [content] for number, content in enumerate(s.contents, 1)}
    if end == "DONE" and objects != wanted:
        return f"DONE, but the bucket holds {objects}"
    if any(name not in wanted for name in objects):
        return f"the bucket holds {objects}"
    return ""


def _bucket_liveness(s: Schedule, end: str) -> str:
    faults = s.world.faults
    process = s.processes[-1]
    unknown = [
        fault
        for fault in process.faults
        if fault.startswith("upload: ") and fault != "upload: no connection"
    ]
    if end == "failed UNVERIFIED" and (s.limits.repeatable or not unknown):
        return "UNVERIFIED, although an object may be stored again"
    if not s.limits.repeatable and unknown and end == "DONE":
        return "DONE, although it is unknown whether an object was stored"
    if len(faults) > 1 or any(not f.startswith("upload") and f != "stored twice" for f in faults):
        return ""
    if end != "DONE" and (s.limits.repeatable or not unknown):
        return f"{end} after {faults or 'no fault'}"
    count = len(s.contents)
    wanted = {c.Next: count + 1, c.Send: count, c.Release: count}
    if not faults and process.calls != wanted:
        return f"{process.calls} without a fault"
    return ""
