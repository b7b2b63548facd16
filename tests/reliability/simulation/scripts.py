"""What random schedules reach too seldom: events in a fixed order, and what must follow."""

from __future__ import annotations

from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs import machine as machines
from celonis_frames._jobs.commands import State, Verdict
from celonis_frames._jobs.delivery_state import Recorded

DIGESTS = (frozenset({"d1"}), frozenset({"d2"}))


def executed_by_others() -> None:
    """A job that is to be replaced was executed by another client: nothing is executed again."""
    machine = machines.DeliveryMachine(uploads=1, recorded=Recorded(State.UPLOADING, "j1", ("j1",)))
    found = c.Found(c.FoundJob("j1", "NEW"), (), DIGESTS)
    _feed(machine, 0.0, c.Start(), found)
    _feed(machine, 15.0, c.Woke(), found, c.Listed(("d1", "d2", "d2")), c.Cancelled("DONE"))
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
    _feed(machine, 18.0, c.SubmissionUnknown("500"), c.Failed("403"), c.Cancelled("DONE"))
    _expect(machine.state is State.LOOKING)
    _feed(machine, 19.0, c.Listed(("d1", "d1")), c.CancelFailed("400"))
    _expect(machine.verdict is Verdict.SURPLUS)


SCRIPTS = (executed_by_others, submitted_in_doubt, executed_after_an_error)


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
