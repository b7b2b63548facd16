"""The length of a string column."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._schema.text_length import MAX_TEXT_LENGTH, text_length


@given(st.integers(0, MAX_TEXT_LENGTH))
def test_a_text_length_holds_the_longest(longest: int) -> None:
    """The length is never shorter than the longest value, at least 80 and at most 16,250."""
    assert max(longest, 80) <= text_length(longest) <= MAX_TEXT_LENGTH
