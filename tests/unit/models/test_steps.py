"""The choice what to do next about a load or an execution."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._models.steps import (
    LOOKS_AFTER_LOSS,
    LOOKS_UNTIL_SHOWN,
    Asked,
    Run,
    Step,
    choose_step,
)

OLD, OLD_RUNS = Run("old", 1, False, True), Run("old", 1, True, False)
NEW, NEW_RUNS = Run("new", 2, False, True), Run("new", 2, True, False)
OTHER = Run("other", 3, True, False)
BARE, BARE_RUNS = Run(None, None, False, True), Run(None, None, True, False)
DATED, DATED_RUNS = Run(None, 7, False, True), Run(None, 7, True, False)
UNCLEAR = Run("new", None, False, False)
"""Of a server that shows no ids, or only when a run began, or a state that says nothing."""

BEFORE_THE_CALL = [
    (Asked.NOT_YET, None, Step.BEGIN),
    (Asked.NOT_YET, OLD, Step.BEGIN),
    (Asked.NOT_YET, OLD_RUNS, Step.WAIT),
    (Asked.REFUSED, OLD_RUNS, Step.WAIT),
    (Asked.REFUSED, OLD, Step.BEGIN),
    (Asked.REJECTED, OLD_RUNS, Step.WAIT),
    (Asked.REJECTED, OLD, Step.RAISE),
    (Asked.REJECTED, None, Step.RAISE),
]
AFTER_IT = [
    # what was shown before, what is shown now; what to do if it was accepted, if it was lost
    (None, None, Step.POLL, Step.POLL),
    (None, NEW_RUNS, Step.POLL, Step.POLL),
    (None, NEW, Step.ENDED, Step.ENDED),
    (OLD, OLD, Step.POLL, Step.POLL),
    (OLD, NEW_RUNS, Step.POLL, Step.POLL),
    (OLD, NEW, Step.ENDED, Step.ENDED),
    (OLD, UNCLEAR, Step.POLL, Step.POLL),
    (BARE, BARE_RUNS, Step.POLL, Step.POLL),
    (BARE, NEW, Step.ENDED, Step.ENDED),
    (BARE, DATED, Step.ENDED, Step.ENDED),
    (Run(None, 1, False, True), DATED, Step.ENDED, Step.ENDED),
    (None, BARE, Step.ENDED, Step.ENDED),
]
NOTHING_NEW = [
    # what is shown before and after; what to do in the end if accepted, lost, lost for good
    (None, Step.UNKNOWN, Step.BEGIN, Step.UNKNOWN),
    (OLD, Step.UNKNOWN, Step.BEGIN, Step.UNKNOWN),
    (DATED, Step.UNKNOWN, Step.BEGIN, Step.UNKNOWN),
    (BARE, Step.UNKNOWN, Step.UNKNOWN, Step.UNKNOWN),
]
ONCE_SHOWN = [
    # before, ours, now
    (OLD, NEW_RUNS, NEW_RUNS, Step.POLL),
    (OLD, NEW_RUNS, NEW, Step.ENDED),
    (OLD, NEW_RUNS, OLD, Step.POLL),
    (OLD, NEW_RUNS, OTHER, Step.POLL),
    (BARE, BARE_RUNS, BARE, Step.ENDED),
    (OLD, NEW_RUNS, BARE, Step.ENDED),
    (None, NEW_RUNS, None, Step.POLL),
]


@pytest.mark.parametrize(("asked", "now", "step"), BEFORE_THE_CALL)
def test_the_call_waits_for_a_run_that_is_in_the_way(
    asked: Asked, now: Run | None, step: Step
) -> None:
    """Only one run at a time: ours is begun once the server shows no other."""
    assert choose_step(asked, now, now) is step


@pytest.mark.parametrize(("before", "now", "accepted", "lost"), AFTER_IT)
def test_only_a_new_run_is_ours(
    before: Run | None, now: Run | None, accepted: Step, lost: Step
) -> None:
    """The end of an earlier run is never taken for the end of ours."""
    assert choose_step(Asked.ACCEPTED, before, now) is accepted
    assert choose_step(Asked.LOST, before, now) is lost


@pytest.mark.parametrize(("shown", "accepted", "lost", "not_repeatable"), NOTHING_NEW)
def test_nothing_new_is_shown(
    shown: Run | None, accepted: Step, lost: Step, not_repeatable: Step
) -> None:
    """A lost call is made again only where its loss is certain and a second run is harmless."""
    for looks in range(LOOKS_UNTIL_SHOWN):
        assert choose_step(Asked.ACCEPTED, shown, shown, looks=looks) is Step.POLL
    for looks in range(LOOKS_AFTER_LOSS):
        assert choose_step(Asked.LOST, shown, shown, looks=looks) is Step.POLL
    many = LOOKS_UNTIL_SHOWN
    assert choose_step(Asked.ACCEPTED, shown, shown, looks=many) is accepted
    assert choose_step(Asked.LOST, shown, shown, looks=many) is lost
    assert choose_step(Asked.LOST, shown, shown, looks=many, repeatable=False) is not_repeatable


@pytest.mark.parametrize(("before", "ours", "now", "step"), ONCE_SHOWN)
def test_once_shown_it_is_followed(
    before: Run | None, ours: Run, now: Run | None, step: Step
) -> None:
    """An old response is none about ours; a later run that is not ours is followed instead."""
    assert choose_step(Asked.ACCEPTED, before, now, ours=ours) is step


RUNS = st.none() | st.builds(
    lambda id_, begin, running: Run(id_, begin, running, not running),
    st.none() | st.sampled_from("ab"), st.none() | st.integers(1, 2), st.booleans(),
)  # fmt: skip


@given(
    asked=st.sampled_from(Asked), before=RUNS, now=RUNS, looks=st.integers(0, 100),
    repeatable=st.booleans(),
)  # fmt: skip
def test_what_holds_for_all(
    asked: Asked, before: Run | None, now: Run | None, looks: int, repeatable: bool
) -> None:
    """Nothing is begun while something runs; the same run as before is never an end."""
    step = choose_step(asked, before, now, looks=looks, repeatable=repeatable)
    running = now is not None and now.running
    if step is Step.BEGIN:
        assert not running
        assert asked is not Asked.ACCEPTED
    if step is Step.ENDED:
        assert asked in (Asked.ACCEPTED, Asked.LOST)
        assert now is not None
        assert now.ended
        assert now != before
