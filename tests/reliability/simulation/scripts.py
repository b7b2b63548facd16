"""What random schedules reach too seldom: events in a fixed order, and what must follow."""

from __future__ import annotations

from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs import delivery_state, guards
from celonis_frames._jobs import machine as machines
from celonis_frames._jobs.commands import State, Verdict
from celonis_frames._jobs.delivery_state import Recorded
from celonis_frames._jobs.reconcile import ChecksumKind, Finding

DIGESTS = (frozenset({"d1"}), frozenset({"d2"}))


def executed_by_others() -> None:
    """A job that is to be replaced was executed by another client: nothing is executed again."""
    machine = machines.DeliveryMachine(uploads=1, recorded=Recorded(State.UPLOADING, "j1", ("j1",)))
    found = c.Found(c.FoundJob("j1", "NEW"), (), DIGESTS)
    _feed(machine, 0.0, c.Start(), found)
    _feed(machine, 15.0, c.Woke(), found, c.Listed(("d1", "d2", "d2")), c.JobCancelled("DONE"))
    _feed(machine, 30.0, c.Swept())
    _expect(machine.verdict is Verdict.MAYBE_EXECUTED and machine.state is State.FAILED)


def submitted_in_doubt() -> None:
    """An upload and the submission had no response: the submitted job is counted again."""
    machine = _submitting_in_doubt()
    _feed(machine, 18.0, c.SubmissionUnknown("500"), c.JobIs("RUNNING"))
    _expect(machine.state is State.LOOKING)


def executed_after_an_error() -> None:
    """The state of a submitted job cannot be read, and it was executed: it is counted again."""
    machine = _submitting_in_doubt()
    _feed(machine, 18.0, c.SubmissionUnknown("500"), c.Failed("403"), c.JobCancelled("DONE"))
    _expect(machine.state is State.LOOKING)
    _feed(machine, 19.0, c.Listed(("d1", "d1")), c.CancelFailed("400"))
    _expect(machine.verdict is Verdict.SURPLUS)


def acknowledged_is_missing() -> None:
    """Lists do not show a chunk that was acknowledged: the job is replaced."""
    machine = machines.DeliveryMachine(uploads=1, kind=ChecksumKind.CONTENT)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1), c.ChunkReady(2))
    _feed(machine, 1.0, c.Uploaded(1), c.ChunksEnded(), c.UploadUnknown(2, DIGESTS[1]))
    _feed(machine, 9.0, c.Listed(()), c.Listed(()), c.Listed(()), c.Listed(()))
    _expect(machine.state is State.REPLACING)


def chunk_of_others() -> None:
    """The job holds a chunk that nobody sent: it is replaced."""
    machine = machines.DeliveryMachine(uploads=1, kind=ChecksumKind.DIGEST)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1), c.ChunkReady(2))
    _feed(machine, 1.0, c.Uploaded(1), c.ChunksEnded(), c.UploadUnknown(2, DIGESTS[1]))
    _feed(machine, 2.0, c.Listed(("d1", "d9")))
    _expect(machine.state is State.REPLACING)


def counted() -> None:
    """What a count of two chunks proves, of which one was in doubt."""
    for kind, listed, finding in (
        (ChecksumKind.DIGEST, ("d1", "d2"), Finding.SETTLED),
        (ChecksumKind.DIGEST, ("d1", "d1"), Finding.AMBIGUOUS),
        (ChecksumKind.DIGEST, ("d1", None), Finding.AMBIGUOUS),
        (ChecksumKind.CONTENT, ("x1", "x2"), Finding.SETTLED),
        (ChecksumKind.UNKNOWN, ("x1", "x2"), Finding.AMBIGUOUS),
        (ChecksumKind.ARBITRARY, ("a1", "a2"), Finding.AMBIGUOUS),
        (ChecksumKind.UNKNOWN, ("x1", "x2", "x3"), Finding.AMBIGUOUS),
    ):
        found = delivery_state.verify(2, listed, kind, doubted=True, last=True).finding
        _expect(found is finding)
    unknown = {1: DIGESTS[0]}
    sole = delivery_state.reconcile(0, unknown, (None,), ChecksumKind.UNKNOWN, last=True)
    _expect(sole.finding is Finding.SETTLED)
    for sent, doubted in ((1, True), (1, False), (2, False)):
        listed = ("a1", "a2")[:sent]
        kind = ChecksumKind.UNKNOWN
        found = delivery_state.verify(sent, listed, kind, doubted=doubted, last=True).finding
        _expect(found is Finding.SETTLED)


def known_kinds() -> None:
    """What is known of the checksums' kind stays; jobs of other chunks are not the push's."""
    _expect(guards.same_chunks(DIGESTS, ("d1",)) is False)
    _expect(guards.same_chunks(DIGESTS, ("d1", "d2", "d3")) is False)
    _expect(guards.same_chunks(DIGESTS, ("d1", "d3")) is False)
    _expect(guards.same_chunks(DIGESTS, ("d2", "d1")) is True)
    _expect(guards.same_chunks(DIGESTS, ("x2", "x1")) is None)
    for kind in (ChecksumKind.CONTENT, ChecksumKind.ARBITRARY):
        _expect(delivery_state.kind_shown(kind, DIGESTS, ("d1",)) is kind)


SCRIPTS = (
    known_kinds,
    counted, chunk_of_others, executed_by_others, acknowledged_is_missing, submitted_in_doubt,
    executed_after_an_error,
)  # fmt: skip


def _submitting_in_doubt() -> Any:
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1), c.ChunksEnded())
    _feed(machine, 1.0, c.UploadUnknown(1, DIGESTS[0]), c.Listed(("d1",)))
    _feed(machine, 17.0, c.Woke(), c.Listed(("d1",)), c.SlotReserved(), c.Listed(("d1",)))
    return machine


def _feed(machine: Any, now: float, *events: Any) -> None:
    for event in events:
        machine.handle(event, now)


def _expect(condition: bool) -> None:
    if not condition:
        raise AssertionError("a script ends otherwise")
