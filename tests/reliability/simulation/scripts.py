"""What random schedules reach too seldom: events in a fixed order, and what must follow."""

from __future__ import annotations

from typing import Any

from celonis_frames._jobs import actions, delivery_state, guards
from celonis_frames._jobs import commands as c
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
    _expect(machine.state is State.RECHECKING)


def sent_again_slowly() -> None:
    """An upload that was taken to be lost was stored, and a list that lags hides the second one.

    The job is counted only when the list must show both.
    """
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1, 1), c.ChunksEnded())
    _feed(machine, 1.0, c.UploadUnknown(1, DIGESTS[0]), c.Listed(()), c.Listed(()), c.Listed(()))
    commands = machine.handle(c.Uploaded(1), 30.0)
    _expect(machine.state is State.SETTLING)
    _expect(commands[-1] == c.Sleep(30.0 + delivery_state.LAG_SECONDS))
    _feed(machine, 35.0, c.Woke(), c.Listed(("d1", "d1")))
    _expect(machine.state is State.REPLACING)


def counted_before_a_freeze() -> None:
    """A count is as old as the call for it, whenever its response is read."""
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1, 1), c.ChunksEnded())
    _feed(machine, 1.0, c.Uploaded(1))
    _feed(machine, 301.0, c.Listed(("d1",)), c.SlotReserved())
    _expect(machine.state is State.COUNTING)
    _feed(machine, 301.1, c.Listed(("d1", "d1")))
    _expect(machine.state is State.REPLACING)


def executed_after_all() -> None:
    """A submission without a response took effect while the job was cancelled: it is no doubt."""
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1, 1), c.ChunksEnded())
    _feed(machine, 1.0, c.Uploaded(1), c.Listed(("d1",)), c.SlotReserved())
    _feed(machine, 2.0, c.SubmissionUnknown("500"), *(c.JobIs("NEW") for _ in range(4)))
    _expect(machine.state is State.REPLACING)
    _feed(machine, 13.0, c.JobCancelled("DONE"), c.Listed(("d1",)))
    _expect(machine.state is State.DELIVERED)


def executed_after_an_error() -> None:
    """The state of a submitted job cannot be read, and it was executed: it is counted again."""
    machine = _submitting_in_doubt()
    _feed(machine, 18.0, c.SubmissionUnknown("500"), c.Failed("403"), c.JobCancelled("DONE"))
    _expect(machine.state is State.RECHECKING)
    _feed(machine, 19.0, c.Listed(("d1", "d1")), c.CancelFailed("400"))
    _expect(machine.verdict is Verdict.SURPLUS)


def acknowledged_is_missing() -> None:
    """Lists do not show a chunk that was acknowledged: the job is replaced."""
    machine = machines.DeliveryMachine(uploads=1, kind=ChecksumKind.CONTENT)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1, 1), c.ChunkReady(2, 1))
    _feed(machine, 1.0, c.Uploaded(1), c.ChunksEnded(), c.UploadUnknown(2, DIGESTS[1]))
    _feed(machine, 9.0, c.Listed(()), c.Listed(()), c.Listed(()), c.Listed(()))
    _expect(machine.state is State.REPLACING)


def chunk_of_others() -> None:
    """The job holds a chunk that nobody sent: it is replaced."""
    machine = machines.DeliveryMachine(uploads=1, kind=ChecksumKind.DIGEST)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1, 1), c.ChunkReady(2, 1))
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


def kind_is_found_out() -> None:
    """A chunk in doubt is stored, and its checksum is of an unknown kind: it is sent once more."""
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1, 1), c.ChunkReady(2, 1))
    _feed(machine, 1.0, c.Uploaded(1), c.UploadUnknown(2, DIGESTS[1]), c.Listed(("x1", "x2")))
    _expect(machine.state is State.PROBING)
    _feed(machine, 2.0, c.Uploaded(2), c.Listed(("x1", "x2")))
    _expect(machine.state is State.PROBING)
    _feed(machine, 3.0, c.Listed(("x1", "x2", "x2")))
    _expect(machine.state is State.REPLACING and machine.kind is ChecksumKind.CONTENT)
    _expect(actions.kind_after_repeat(2, ("a1", "a2", "a3")) is ChecksumKind.ARBITRARY)
    _expect(actions.kind_after_repeat(2, ("a1", "a2")) is ChecksumKind.UNKNOWN)


def several_in_doubt() -> None:
    """Of two chunks in doubt one is stored, and nothing shows which."""
    unknown = {1: DIGESTS[0], 2: DIGESTS[1]}
    for kind, finding in (
        (ChecksumKind.CONTENT, Finding.AMBIGUOUS),
        (ChecksumKind.DIGEST, Finding.SETTLED),
    ):
        found = delivery_state.reconcile(0, unknown, ("d1",), kind, last=True)
        _expect(found.finding is finding)


def executed_without_its_chunks() -> None:
    """A job that nobody recorded as submitted was executed, and lacks chunks: it is not DONE."""
    for state, verdict in (
        (State.UPLOADING, Verdict.MAYBE_EXECUTED),
        (State.SUBMITTING, None),
    ):
        machine = machines.DeliveryMachine(uploads=1, recorded=Recorded(state, "j1", ("j1",)))
        found = c.Found(c.FoundJob("j1", "DONE"), (), DIGESTS)
        _feed(machine, 0.0, c.Start(), found, c.Listed(("d1",)))
        for _ in range(3 if verdict else 0):
            _expect(machine.state is State.RECHECKING)
            _feed(machine, 1.0, c.Listed(("d1",)))
        _expect(machine.verdict is verdict)


def failures_while_cancelling() -> None:
    """Whatever fails while a job is cancelled, the push ends."""
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.Failed("403"), c.Failed("bug"))
    _expect(machine.state is State.SWEEPING or machine.state is State.FAILED)
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.Refuted(), c.Failed("bug"))
    _expect(machine.error == "bug")
    machine = _submitting_in_doubt()
    _feed(machine, 18.0, c.Submitted(), c.Listed(("d1", "d1")), c.Failed("bug"))
    _expect(machine.error == "bug")


def count_grows_old() -> None:
    """A count is as old as the list, however often the submission was refused since."""
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1, 1), c.ChunksEnded())
    _feed(machine, 1.0, c.Uploaded(1), c.Listed(("d1",)))
    for now in (1.4, 1.8):
        _feed(machine, now, c.SlotReserved(), c.NotSubmitted())
    _feed(machine, 2.2, c.SlotReserved())
    _expect(machine.state is State.COUNTING)


def doubt_of_its_own_stays() -> None:
    """A `resume` goes on with an empty job; what it then loses itself may still be stored."""
    machine = machines.DeliveryMachine(uploads=1, recorded=Recorded(State.UPLOADING, "j1", ("j1",)))
    found = c.Found(c.FoundJob("j1", "NEW"), (), DIGESTS[:1])
    _feed(machine, 0.0, c.Start(), found)
    _feed(machine, 15.0, c.Woke(), found, *(c.Listed(()) for _ in range(3)))
    _expect(not machine.doubted and machine.running == {1})
    _feed(machine, 16.0, c.UploadUnknown(1, DIGESTS[0]), *(c.Listed(()) for _ in range(3)))
    _expect(machine.doubted and machine.running == {1})


def taken_over() -> None:
    """Whatever was to be done, and whatever had failed: another process goes on with the push."""
    job = (c.Start(), c.Created("j1"))
    one = (*job, c.ChunkReady(1, 1), c.ChunksEnded())
    for events, state in (
        ((c.Start(),), State.CREATING),
        (job, State.UPLOADING),
        ((*job, c.Refuted()), State.REPLACING),
        ((*job, c.Failed("403")), State.FAILING),
        ((*one, c.Uploaded(1), *(c.Listed(()) for _ in range(4))), State.REPLACING),
    ):
        machine = machines.DeliveryMachine(uploads=1)
        _feed(machine, 0.0, *events)
        _expect(machine.state is state)
        _end_taken_over(machine)
    machine = machines.DeliveryMachine(uploads=1, recorded=Recorded(State.UPLOADING, "j1", ("j1",)))
    found = c.Found(c.FoundJob("j1", "NEW"), (), DIGESTS)
    _feed(machine, 0.0, c.Start(), found)
    _feed(machine, 15.0, c.Woke(), found)
    _expect(machine.state is State.RECONCILING)
    _end_taken_over(machine)
    machine = _submitting_in_doubt()
    _end_taken_over(machine)
    machine = _submitting_in_doubt()
    _feed(machine, 18.0, c.Submitted(), c.Listed(("d1", "d1")))
    _expect(machine.state is State.RETRACTING)
    _end_taken_over(machine)
    machine = _submitting_in_doubt()
    machine.lost_creations = 1
    _feed(machine, 18.0, c.Submitted(), c.Listed(("d1", "d1")), c.JobCancelled("CANCELED"))
    _expect(machine.state is State.SWEEPING and machine.verdict is Verdict.SURPLUS)
    _end_taken_over(machine)
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, *job, c.Failed("signal", interrupted=True), c.TakenOver("lease"))
    _expect(machine.error == "signal" and machine.taken_over)


def _end_taken_over(machine: Any) -> None:
    commands = machine.handle(c.TakenOver("lease"), 20.0)
    _expect(commands == [c.StopUploads()] and machine.state is State.FAILED)
    _expect(machine.error == "lease" and machine.verdict is None and machine.taken_over)


SCRIPTS = (
    count_grows_old, doubt_of_its_own_stays, taken_over,
    known_kinds, kind_is_found_out, several_in_doubt, executed_without_its_chunks,
    failures_while_cancelling,
    counted, chunk_of_others, executed_by_others, acknowledged_is_missing, submitted_in_doubt,
    sent_again_slowly, counted_before_a_freeze, executed_after_all, executed_after_an_error,
)  # fmt: skip


def _submitting_in_doubt() -> Any:
    machine = machines.DeliveryMachine(uploads=1)
    _feed(machine, 0.0, c.Start(), c.Created("j1"), c.ChunkReady(1, 1), c.ChunksEnded())
    _feed(machine, 1.0, c.UploadUnknown(1, DIGESTS[0]), c.Listed(("d1",)))
    _feed(machine, 17.0, c.Woke(), c.Listed(("d1",)), c.SlotReserved(), c.Listed(("d1",)))
    return machine


def _feed(machine: Any, now: float, *events: Any) -> None:
    for event in events:
        machine.handle(event, now)


def _expect(condition: bool) -> None:
    if not condition:
        raise AssertionError("a script ends otherwise")
