"""The delivery machine: its table is complete, and chunks may come from elsewhere.

What a delivery does as a whole is tested by `tests/reliability/simulation`.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from celonis_frames._jobs import commands as c
from celonis_frames._jobs.commands import ENDS, State
from celonis_frames._jobs.delivery_state import Recorded
from celonis_frames._jobs.machine import IGNORED, TABLE, DeliveryMachine

EVENTS: dict[type, Any] = {
    c.Start: c.Start(), c.Found: c.Found(None, (), ()), c.Created: c.Created("j1"),
    c.CreationUnknown: c.CreationUnknown(), c.ChunkReady: c.ChunkReady(1, 1),
    c.ChunksEnded: c.ChunksEnded(), c.Uploaded: c.Uploaded(1),
    c.UploadUnknown: c.UploadUnknown(1, frozenset()), c.Listed: c.Listed(()), c.Woke: c.Woke(),
    c.SlotReserved: c.SlotReserved(), c.Submitted: c.Submitted(),
    c.NotSubmitted: c.NotSubmitted(), c.SubmissionUnknown: c.SubmissionUnknown("500"),
    c.SubmissionRejected: c.SubmissionRejected("400", temporary=False), c.JobIs: c.JobIs("NEW"),
    c.JobCancelled: c.JobCancelled("CANCELED"), c.CancelFailed: c.CancelFailed("500"),
    c.Swept: c.Swept(), c.Refuted: c.Refuted(), c.Failed: c.Failed("error"),
    c.TakenOver: c.TakenOver("lease"),
}  # fmt: skip

WAITS_FOR = {
    State.FINDING: "Start Found Woke Failed",
    State.CREATING: "Start Created CreationUnknown TakenOver Failed",
    State.UPLOADING: "ChunkReady ChunksEnded Uploaded UploadUnknown Refuted TakenOver Failed",
    State.RECONCILING: "Listed TakenOver Failed",
    State.PROBING: "Uploaded UploadUnknown Listed TakenOver Failed",
    State.SETTLING: "Woke Failed",
    State.COUNTING: "Listed Failed",
    State.QUEUEING: "SlotReserved Failed",
    State.SUBMITTING: "Submitted NotSubmitted SubmissionUnknown SubmissionRejected TakenOver "
    "Failed",
    State.CHECKING: "JobIs Failed",
    State.RECHECKING: "Listed Failed",
    State.RETRACTING: "JobCancelled CancelFailed TakenOver Failed",
    State.REPLACING: "JobCancelled CancelFailed TakenOver Failed",
    State.FAILING: "JobCancelled CancelFailed TakenOver Failed",
    State.SWEEPING: "Swept TakenOver Failed",
    State.DELIVERED: "",
    State.FAILED: "",
}
"""The events that each state has a transition for; in the last two nothing happens any more."""


def test_every_event_is_known() -> None:
    """No event is missing here: every class of the module's part on events is one."""
    source = inspect.getsource(c)
    names = [line[6:].split("(")[0] for line in source.splitlines() if line.startswith("class ")]
    begin, end = names.index("Start"), names.index("Find")
    assert {kind.__name__ for kind in EVENTS} == set(names[begin:end]) - {"FoundJob"}


@pytest.mark.parametrize("state", list(State), ids=str)
def test_every_state_has_the_transitions_that_it_needs(state: State) -> None:
    """The table has rows for exactly these events of a state."""
    events = {row.event.__name__ for row in TABLE if row.state is state and row.event}
    assert events == set(WAITS_FOR[state].split())


@pytest.mark.parametrize("state", list(State), ids=str)
def test_any_other_event_is_an_error_by_name(state: State) -> None:
    """An event without a row is ignored if it is listed as such, or names itself and the state."""
    for kind, event in EVENTS.items():
        if kind.__name__ in WAITS_FOR[state].split():
            continue
        machine = DeliveryMachine(uploads=1)
        machine.state = state
        if state in ENDS or (state, kind) in IGNORED:
            assert machine.handle(event, 0.0) == []
            continue
        with pytest.raises(ValueError, match=f"{kind.__name__}.* in state {state}"):
            machine.handle(event, 0.0)


def test_no_event_is_dropped_and_no_row_is_dead() -> None:
    """For every state and event the last row has no guard, and the others have one."""
    groups: dict[Any, list[Any]] = {}
    for row in TABLE:
        groups.setdefault((row.state, row.event), []).append(row)
    for (state, event), rows in groups.items():
        assert all(row.guard for row in rows[:-1]), (state, event)
        assert event is None or rows[-1].guard is None, (state, event)


def test_all_states_can_be_reached() -> None:
    """Each is the next state of a row, or the first one of a machine."""
    reached = {row.next for row in TABLE}
    assert reached == set(State)
    for recorded in (None, Recorded(State.UPLOADING, "j1")):
        assert DeliveryMachine(uploads=1, recorded=recorded).state in reached


def test_the_docs_explain_every_state() -> None:
    """docs/reliability.md has a line for each; its table of transitions is checked as a mirror."""
    page = (Path(__file__).parents[3] / "docs" / "reliability.md").read_text("utf-8")
    begin = page.index("## How a push is delivered")
    listed = page[begin : page.index("<!-- transitions:begin -->")]
    cells = [line.split("|")[1] for line in listed.splitlines() if line.startswith("| ")]
    names = [name.strip() for cell in cells for name in cell.split(",")]
    assert sorted(names) == sorted(["state", *map(str, State)])


def test_chunks_that_other_processes_upload() -> None:
    """A chunk counts from the event on that says so, whoever uploaded it and in whatever order."""
    machine = begun(uploads=3)
    for number in (1, 2, 3):
        machine.handle(c.ChunkReady(number, 3), 0.0)
    machine.handle(c.ChunksEnded(), 0.0)
    assert machine.running == {1, 2, 3}
    assert machine.handle(c.Uploaded(3), 1.0) == [c.Release(3, confirmed=False)]
    assert machine.handle(c.UploadUnknown(1, frozenset({"d1"})), 1.0) == []
    # Nobody knows about chunk 1: the list is read as soon as the others have reported.
    assert machine.handle(c.Uploaded(2), 2.0)[-1] == c.List(0.0)
    commands = machine.handle(c.Listed(("d3", "d1", "d2")), 2.0)
    assert c.Release(1, confirmed=True) in commands
    assert machine.state is State.SETTLING


def test_chunks_of_others_are_sent_again_for_other_fields() -> None:
    """When a job's fields do not fit a later chunk, the new job gets all chunks from the first."""
    machine = begun(uploads=2)
    machine.handle(c.ChunkReady(1, 2), 0.0)
    machine.handle(c.ChunkReady(2, 2), 0.0)
    machine.handle(c.Uploaded(1), 0.0)
    assert machine.handle(c.Refuted(), 0.0) == [c.StopUploads(), c.Cancel("j1")]
    assert machine.handle(c.Uploaded(2), 0.0) == []  # it may still report
    commands = machine.handle(c.JobCancelled("CANCELED"), 0.0)
    assert commands == [c.Record(State.CREATING), c.Restart(), c.Create()]
    machine.handle(c.Created("j2"), 0.0)
    assert machine.handle(c.ChunkReady(1, 2), 0.0)[0] == c.Send(1)


def test_uploads_open_once_the_order_does_not_matter() -> None:
    """One at a time until a chunk comes with more; those that waited are sent then."""
    machine = begun(uploads=1)
    machine.handle(c.ChunkReady(1, 1), 0.0)
    assert c.Send(2) not in machine.handle(c.ChunkReady(2, 1), 0.0)
    assert machine.handle(c.Uploaded(1), 0.0)[-2:] == [c.Send(2), c.Next()]
    assert machine.handle(c.ChunkReady(3, 3), 0.0) == [c.Send(3), c.Next()]
    assert machine.running == {2, 3}


def begun(*, uploads: int) -> DeliveryMachine:
    """A machine with a job."""
    machine = DeliveryMachine(uploads=uploads)
    machine.handle(c.Start(), 0.0)
    machine.handle(c.Created("j1"), 0.0)
    return machine
