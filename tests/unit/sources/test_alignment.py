"""Batches and frames are one table by the names of their columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames._sources.reader import read
from celonis_frames.exceptions import ColumnTypeError, FrameError

SCHEMA = pa.schema([("A", pa.int64()), ("B", pa.float64()), ("C", pa.string())])
SPELLINGS: dict[str, list[pa.DataType]] = {
    "A": [pa.int64(), pa.int8(), pa.uint64(), pa.float64(), pa.dictionary(pa.int8(), pa.int64())],
    "B": [pa.float64(), pa.float32(), pa.int16()],
    "C": [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
}
"""Types that one column may have in several batches."""
DAY, NOON = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12)
ROWS = {"A": [1, None], "B": [2.0, 3.0], "C": ["007", None]}


def _array(values: list[Any], kind: pa.DataType) -> Any:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array(values, kind)


def _rows(frame: Any) -> dict[str, list[Any]]:
    source = read(frame)
    rows: dict[str, list[Any]] = {name: [] for name in source.schema.names}
    for batch in source.batches():
        assert batch.schema.names == source.schema.names
        for name, values in batch.to_pydict().items():
            rows[name] += values
    return rows


@settings(max_examples=60)
@given(st.data())
def test_columns_are_matched_by_name(data: st.DataObject) -> None:
    """Whatever the order and the widths of a batch's columns, each value keeps its column."""
    batches = []
    for _ in range(data.draw(st.integers(1, 3))):
        names = data.draw(st.permutations(SCHEMA.names))
        kinds = {name: data.draw(st.sampled_from(SPELLINGS[name])) for name in names}
        batches.append(pa.record_batch({name: _array(ROWS[name], kinds[name]) for name in names}))
    expected = {name: values * len(batches) for name, values in ROWS.items()}
    assert _rows(pa.RecordBatchReader.from_batches(SCHEMA, iter(batches))) == expected
    whole = _rows(iter(batches))  # as frames of an iterator, in the order of the first
    whole["A"] = [None if value is None else int(value) for value in whole["A"]]  # digits, if wide
    assert whole == {name: expected[name] for name in batches[0].schema.names}


ODD: list[tuple[str, pa.RecordBatch, type[Exception], str]] = [
    ("fewer", pa.record_batch({"A": [1], "B": [1.0]}), FrameError, r"missing \['C'\], new \[\]"),
    ("more", pa.record_batch({"A": [1], "B": [1.0], "C": ["x"], "D": [1]}), FrameError,
     r"missing \[\], new \['D'\]"),
    ("another name", pa.record_batch({"A": [1], "B": [1.0], "c": ["x"]}), FrameError,
     r"missing \['C'\], new \['c'\]"),
    ("twice", pa.RecordBatch.from_arrays(
        [pa.array([1]), pa.array([1.0]), pa.array(["x"]), pa.array(["y"])], ["A", "B", "C", "C"]),
     FrameError, r"new \['C', 'C'\]"),
    ("text", pa.record_batch({"A": ["007"], "B": [1.0], "C": ["x"]}), ColumnTypeError,
     "'A' is string in batch 2"),
    ("fractions", pa.record_batch({"A": [1.5], "B": [1.0], "C": ["x"]}), ColumnTypeError,
     "'A' is double in batch 2"),
    ("numbers", pa.record_batch({"A": [1], "B": [1.0], "C": [7]}), ColumnTypeError,
     "'C' is int64 in batch 2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("odd", "kind", "message"), [case[1:] for case in ODD], ids=[case[0] for case in ODD]
)
def test_batches_that_do_not_fit_their_schema(
    odd: pa.RecordBatch, kind: type[Exception], message: str
) -> None:
    """A missing or surplus column, or a value to parse or round, is an error with the batch."""
    good = pa.record_batch(ROWS, schema=SCHEMA)
    with pytest.raises(kind, match=message) as caught:
        _rows(pa.RecordBatchReader.from_batches(SCHEMA, iter([good, odd])))
    assert "RecordBatchReader" in str(caught.value)
    with pytest.raises(kind, match=message.replace("batch 2", "frame 2")):
        _rows(iter([good, odd]))


ANNOUNCED: list[tuple[str, pa.DataType, Any, list[Any] | None]] = [
    ("wider integer", pa.int32(), pa.array([2**40]), [2**40]),
    ("wider float", pa.float32(), pa.array([0.1]), [0.1]),
    ("narrower float", pa.float64(), pa.array([0.5], pa.float32()), [0.5]),
    ("longer decimal", pa.decimal128(3, 1), pa.array([Decimal("12345.75")]), [Decimal("12345.75")]),
    ("integer for decimal", pa.decimal128(3, 1), pa.array([12345]), [Decimal(12345)]),
    ("exact decimal for float", pa.float64(), pa.array([Decimal("0.5")]), [0.5]),
    ("long decimal for float", pa.float64(), pa.array([Decimal("0.1000000000000000000001")]), None),
    ("flag for integer", pa.int64(), pa.array([True]), [1]),
    ("integer for flag", pa.bool_(), pa.array([1]), None),
    ("day for time", pa.timestamp("us"), pa.array([DAY]), [dt.datetime(2024, 2, 29)]),
    ("time for day", pa.date32(), pa.array([NOON]), [NOON]),
    ("UTC for no zone", pa.timestamp("us"), pa.array([NOON], pa.timestamp("us", "UTC")), [NOON]),
    ("zone for no zone", pa.timestamp("us"), pa.array([0], pa.timestamp("s", "Asia/Tokyo")), None),
    ("no zone for zone", pa.timestamp("us", "UTC"), pa.array([NOON]), None),
    ("nanosecond", pa.timestamp("us"), pa.array([1], pa.timestamp("ns")), None),
    ("number for text", pa.string(), pa.array([7]), None),
    ("text for number", pa.float64(), pa.array(["7"]), None),
    ("flag for text", pa.string(), pa.array([True]), None),
    ("list", pa.list_(pa.int64()), pa.array([[0.5]]), [[0.5]]),
    ("nulls", pa.int64(), pa.nulls(1, pa.string()), [None]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("announced", "found", "rows"), [case[1:] for case in ANNOUNCED],
    ids=[case[0] for case in ANNOUNCED],
)  # fmt: skip
def test_types_other_than_announced(
    announced: pa.DataType, found: Any, rows: list[Any] | None
) -> None:
    """What is converted like the announced type stays; nothing is rounded or parsed."""
    schema = pa.schema([("A", announced)])
    batches = [pa.record_batch({"A": found})]
    reader = pa.RecordBatchReader.from_batches(schema, iter(batches))
    if rows is None:
        with pytest.raises(ColumnTypeError, match=r"'A' is .* in batch 1"):
            _rows(reader)
        return
    stored = _rows(reader)["A"]
    assert [int(value) if isinstance(value, bool) else value for value in stored] == rows


def test_short_and_long_floats_are_one_column() -> None:
    """A short float column of a later or an earlier frame becomes a long one."""
    short, long = pa.table({"A": pa.array([0.5], pa.float32())}), pa.table({"A": [0.1]})
    assert _rows(iter([short, long, short]))["A"] == [0.5, 0.1, 0.5]


def test_every_stream_is_matched() -> None:
    """Readers, Datasets and queries of polars, also as frames of an iterator."""
    batch = pa.record_batch({"C": ROWS["C"], "A": ROWS["A"], "B": ROWS["B"]})
    assert _rows(pa.RecordBatchReader.from_batches(SCHEMA, iter([batch]))) == ROWS
    assert _rows(iter([pa.RecordBatchReader.from_batches(SCHEMA, iter([batch]))])) == ROWS
    scanner = ds.dataset(pa.Table.from_batches([batch]), schema=batch.schema)
    assert _rows(scanner) == pa.Table.from_batches([batch]).to_pydict()
    declared = {"A": pl.Int64, "B": pl.Float64, "C": pl.String}
    lazy = pl.LazyFrame(ROWS, schema=declared)
    swapped = lazy.map_batches(
        lambda rows: rows.select("C", "A", "B"), schema=declared, validate_output_schema=False
    )
    assert _rows(swapped) == ROWS


def _categories(count: int, library: Any = pd) -> Any:
    values = [f"v{place}" for place in range(count)]
    if library is pl:
        return pl.DataFrame({"C": values}, schema={"C": pl.Categorical})
    return pd.DataFrame({"C": pd.Categorical(values)})


@pytest.mark.parametrize(
    "frames",
    [
        [_categories(2), _categories(300)],
        [_categories(300), _categories(2), _categories(40_000)],
        [_categories(2), pd.DataFrame({"C": [f"v{place}" for place in range(300)]})],
        [pd.DataFrame({"C": ["v0"]}), _categories(300)],
        [pl.DataFrame({"C": ["a"]}, schema={"C": pl.Enum(["a"])}), _categories(300, pl)],
        [_categories(2), _categories(300, pl)],
        [pd.DataFrame({"C": pd.Categorical([7])}), pd.DataFrame({"C": pd.Categorical(range(300))})],
    ],
    ids=["grow", "grow twice", "then text", "after text", "Enum", "pandas, polars", "numbers"],
)
def test_categories_grow_across_frames(frames: list[Any]) -> None:
    """How a frame stores its categories is no part of its type."""
    expected = [value for frame in frames for value in frame["C"].to_list()]
    assert _rows(iter(frames))["C"] == expected


def _integers(*kinds: Any) -> Iterator[pl.DataFrame]:
    return iter([pl.DataFrame({"C": [7]}, schema={"C": kind}) for kind in kinds])


@pytest.mark.parametrize("first", [pl.Int8, pl.UInt64, pl.Int64, pl.Int128, pl.Float64])
@pytest.mark.parametrize("second", [pl.Int8, pl.UInt64, pl.Int64, pl.Int128])
def test_integers_of_any_widths_are_one_column(first: Any, second: Any) -> None:
    """Integers that fit are the same number, whatever the width of their type."""
    assert [float(value) for value in _rows(_integers(first, second, first))["C"]] == [7.0] * 3
