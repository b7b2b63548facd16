"""Commands are carried out in order, as far as their answers allow."""

from __future__ import annotations

from typing import Any

import pytest

from celonis_frames._jobs import commands as c
from celonis_frames._jobs.commands import State, carry_out

RECORD, SUBMIT, SEND, STOP = c.Record(State.SUBMITTING), c.Submit(), c.Send(1), c.StopUploads()
RELEASE, CANCEL, SWEEP = c.Release(1, confirmed=True), c.Cancel("j1"), c.Sweep(0.0, ())
FAILED, TAKEN_OVER, SUBMITTED = c.Failed("403"), c.TakenOver("lease"), c.Submitted()
READY, CANCELLED = c.ChunkReady(1, 1), c.JobCancelled("CANCELED")


@pytest.mark.parametrize(
    ("commands", "answers", "carried_out", "events"),
    [
        ([], {}, [], []),
        ([SEND, c.Next()], {}, [SEND, c.Next()], []),
        ([SEND, c.Next()], {c.Next(): READY}, [SEND, c.Next()], [READY]),
        ([RECORD, SUBMIT], {SUBMIT: SUBMITTED}, [RECORD, SUBMIT], [SUBMITTED]),
        ([RECORD, SUBMIT], {RECORD: FAILED, SUBMIT: SUBMITTED}, [RECORD], [FAILED]),
        ([RECORD, SUBMIT], {RECORD: TAKEN_OVER, SUBMIT: SUBMITTED}, [RECORD], [TAKEN_OVER]),
        ([SUBMIT, RECORD], {SUBMIT: SUBMITTED, RECORD: FAILED}, [SUBMIT, RECORD],
         [SUBMITTED, FAILED]),
        ([SEND, RELEASE, SUBMIT, STOP, CANCEL, SWEEP], {SEND: FAILED, CANCEL: CANCELLED},
         [SEND, RELEASE, STOP, CANCEL, SWEEP], [FAILED, CANCELLED]),
        ([CANCEL, STOP, SUBMIT], {CANCEL: TAKEN_OVER}, [CANCEL, STOP], [TAKEN_OVER]),
        ([CANCEL, SUBMIT], {CANCEL: c.CancelFailed("403")}, [CANCEL, SUBMIT],
         [c.CancelFailed("403")]),
    ],
)  # fmt: skip
def test_what_follows_a_failure_is_the_machines_decision(
    commands: list[Any], answers: dict[Any, Any], carried_out: list[Any], events: list[Any]
) -> None:
    """After a failure, or when another process has taken over, only what cleans up is done."""
    done = []

    def function(command: Any) -> Any:
        done.append(command)
        return answers.get(command)

    assert carry_out(commands, function) == events
    assert done == carried_out
