"""A second reading returns what the first one did, and finds whatever has changed since."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import strategies
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from celonis_frames import exceptions
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._validation.second_reading import SecondReading
from celonis_frames._validation.validator import FrameValidator

ROWS = 6
TIMES = np.array(["2026-01-01T12:00"] * ROWS, dtype="datetime64[us]")


def _first(frame: Any, **options: Any) -> tuple[FrameValidator, Any]:
    """A validator that has read the frame, and the frame's source."""
    prepared = prepare(frame, "T", PushOptions.parse(**options))
    for batch in prepared.source.batches():
        prepared.measure.convert(batch)
    prepared.measure.check()
    return prepared.measure, prepared.source


@settings(max_examples=40, deadline=None)
@given(st.data())
@pytest.mark.parametrize("library", ["arrow", "polars", "pandas"])
def test_both_readings_return_the_same_rows(library: str, data: st.DataObject) -> None:
    """Whatever the columns are; views of strings stay views."""
    drawn = data.draw(st.lists(strategies.any_column(library, ROWS), min_size=1, max_size=4))
    frame = strategies.frame(library, {f"C{n}": one.column for n, one in enumerate(drawn)})
    options = {
        "binary": "hex",
        "infinity": "null",
        "on_bad": data.draw(st.sampled_from(["error", "null"])),
    }
    try:
        first, source = _first(frame, **options)
    except exceptions.FrameError:
        assume(False)
    again = SecondReading(first, source.kind)
    threads = [again.split(), again.split()]
    for number, batch in enumerate(source.batches()):
        cut = data.draw(st.integers(0, batch.num_rows))
        for part in (batch.slice(0, cut), batch.slice(cut)):
            found = threads[number % 2].convert(part)
            assert found.schema == again.layout.encoded_schema
            assert found.cast(first.layout.encoded_schema).equals(first.restarted().convert(part))
    for thread in threads:
        again.merge(thread)
    again.check_rows(first.rows)


@pytest.mark.parametrize(
    "make", [pa.table, lambda columns: pd.DataFrame(columns, copy=False)], ids=["Arrow", "pandas"]
)
@pytest.mark.parametrize(
    ("values", "change", "options"),
    [
        (np.arange(ROWS) / 4, np.inf, {}),
        (TIMES, np.datetime64("-9000-01-01", "us"), {}),
        (TIMES, np.datetime64("9999999-01-01", "us"), {}),
        (np.arange(ROWS) * 1.0, 0.5, {"columns": {"V": "INTEGER"}}),
    ],
    ids=["infinite", "early", "late", "fraction"],
)
def test_values_that_changed_are_found(
    make: Any, values: Any, change: Any, options: dict[str, Any]
) -> None:
    """In the batch that has them, before it is encoded."""
    mine = values.copy()
    first, source = _first(make({"V": mine}), **options)
    again = SecondReading(first, source.kind)
    again.split().convert(next(source.batches()))
    mine[3] = change
    with pytest.raises(exceptions.FrameError, match="changed while it was pushed"):
        again.split().convert(next(source.batches()))


def test_rows_that_are_missing_are_found() -> None:
    """Their number is that of the first reading."""
    first, source = _first(pl.DataFrame({"T": ["a", "b"]}))
    with pytest.raises(exceptions.FrameError, match="It had 2 rows, and 1 now"):
        SecondReading(first, source.kind).check_rows(1)


def test_strings_in_place_of_numbers_are_checked_again() -> None:
    """Only strings that Arrow holds cannot change."""
    first, source = _first(pl.DataFrame({"T": ["a"], "N": [1]}), columns={"N": "STRING"})
    assert SecondReading(first, source.kind)._found.checked == {"T"}
