"""How a frame is read follows from six facts, and nothing else."""

from __future__ import annotations

import itertools

import pytest

from celonis_frames._frames.reading import Choice, Facts, Reading, choose_reading

ALL = [Facts(*values) for values in itertools.product([False, True], repeat=len(Facts._fields))]


@pytest.mark.parametrize("facts", ALL, ids=str)
def test_how_a_frame_is_read(facts: Facts) -> None:
    """First what is asked for, then what costs least."""
    if facts.one_chunk or facts.stored_first:
        expected = Choice(Reading.ALL_FIRST, keeps=True)
    elif facts.checked_first and facts.cheap_rows:
        expected = Choice(Reading.CHECKED_FIRST, keeps=False)
    elif facts.checked_first:
        expected = Choice(Reading.ALL_FIRST, keeps=True)
    elif facts.cheap_lengths:
        expected = Choice(Reading.LENGTHS_FIRST, keeps=facts.ordered)
    else:
        expected = Choice(Reading.ONCE, keeps=True)
    assert choose_reading(facts) == expected
