"""A part of the simulation: README.md says how to run it as a whole."""

from __future__ import annotations

import pytest

from celonis_frames._jobs import machine
from simulation import runner
from simulation.scripts import SCRIPTS

SCHEDULES = 2_000
LOSSY_PUSHES = 50
MUTANTS = (
    "record: no `submitting` before the submission",
    "cancel: none before a new job",
    "lease: none",
    "lease: not checked before the submission",
    "lease: checked before the submission only",
    "commands: go on after one showed that another process has taken over",
    "commands: go on after one failed",
    "sweep: none",
    "times: no wait for late effects",
    "counting, Listed: never `count_is_wrong`",
    "queueing, SlotReserved: never `count_is_old`",
)
"""Those that are found soon."""


def test_rows_in_the_table_are_those_of_pushes_reported_done() -> None:
    """No schedule breaks a rule of `oracle`; without a fault no call is made in vain."""
    summary = runner.run_all(0, SCHEDULES, 1, quiet=True)
    assert not summary.problems
    assert summary.ends["within", "DONE"] > SCHEDULES / 3
    assert len(summary.rows) > 0.9 * len(machine.TABLE)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_guard_that_is_taken_out_is_missed(name: str) -> None:
    """The simulation shows what each guard is for."""
    (position,) = (i for i, mutant in enumerate(runner.all_mutants()) if str(mutant) == name)
    found = runner.find(position, 10_000)
    assert found.problem
    assert found.schedules


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_what_is_rare(script: object) -> None:
    """The machine does what each script expects."""
    assert callable(script)
    script()


def test_a_lossy_line_fails_no_push() -> None:
    """100 chunks, an unknown kind of checksums, one answer in a hundred lost: all end DONE."""
    done, ends = runner.lossy(LOSSY_PUSHES, 1)
    assert done == LOSSY_PUSHES, ends
