"""The lengths that a job declares, by what is known of them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from celonis_frames._frames.declared_lengths import (
    estimated_lengths,
    longest_allowed,
    refutable,
)
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.table_layout import TableLayout, build_layout
from celonis_frames._validation.text_lengths import known_lengths

SCHEMA = pa.schema({name: pa.string() for name in "ABCD"} | {"N": pa.int64()})
TABLE = {"B": 200, "C": 20_000}


@pytest.fixture
def layout() -> TableLayout:
    """Four text columns, of which the first has a length, and one of numbers."""
    options = PushOptions.parse(columns={"A": 100}, rename={"D": "E"})
    return build_layout(SCHEMA, (), options.conversion)


def test_what_a_string_may_have(layout: TableLayout) -> None:
    """The user's length, that of the table, or the most that Celonis stores."""
    allowed = longest_allowed(layout.columns[:4], TABLE)
    assert allowed == {"A": 100, "B": 200, "C": 16_250, "D": 16_250}


def test_lengths_that_are_known(layout: TableLayout) -> None:
    """The next step above the longest string, or the user's own."""
    assert known_lengths(layout, {"A": 3, "B": 90, "E": 500}) == {
        "A": 100, "B": 160, "C": 80, "E": 640,
    }  # fmt: skip


def test_lengths_that_are_estimated(layout: TableLayout) -> None:
    """Only where neither the user nor the table says more can a longer string refute them."""
    lengths = estimated_lengths(layout, TABLE, {"A": 320, "B": 320, "E": 1_280})
    assert lengths == {"A": 100, "B": 200, "C": 16_250, "E": 1_280}
    assert refutable(layout, TABLE, lengths) == {"E": 1_280}
    assert refutable(layout, {}, lengths) == {"B": 200, "C": 16_250, "E": 1_280}
