"""The lengths of text columns, before and while rows are read."""

from __future__ import annotations

import threading
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames._arrow.extension_types import WideInteger
from celonis_frames._arrow.text_sizes import longest_texts
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.overrides import parse_columns
from celonis_frames._schema.table_layout import build_layout
from celonis_frames._schema.text_length import text_length
from celonis_frames._sources.reader import read
from celonis_frames._validation.text_lengths import TextWatch, texts_to_look_at

TEXTS = st.lists(st.none() | st.text(max_size=200), min_size=1, max_size=40)


def _views(values: list[str | None]) -> Any:
    return pl.Series(values, dtype=pl.String).to_arrow(compat_level=pl.CompatLevel.newest())


FORMS = {
    "string": lambda values: pa.array(values, pa.string()),
    "large": lambda values: pa.array(values, pa.large_string()),
    "view": _views,
    "dictionary": lambda values: pa.array(values, pa.string()).dictionary_encode(),
    "views in a dictionary": lambda values: pa.DictionaryArray.from_arrays(
        pa.array(range(len(values))), _views(values)
    ),
    "run ends": lambda values: pc.run_end_encode(pa.array(values, pa.string())),
    "runs of a dictionary": lambda values: pa.RunEndEncodedArray.from_arrays(
        pa.array(range(1, len(values) + 1)), pa.array(values, pa.string()).dictionary_encode()
    ),
}


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None)
@given(values=TEXTS, limit=st.integers(1, 300), cut=st.integers(0, 40))
def test_the_bound_is_exact_where_it_matters(
    form: str, values: list[str | None], limit: int, cut: int
) -> None:
    """Above 80, or above its limit; it never is too low, and nulls and other rows bind nothing."""
    array = FORMS[form](values).slice(min(cut, len(values) - 1))
    longest = max((len(text) for text in array.to_pylist() if text is not None), default=0)
    batches = iter([pa.RecordBatch.from_arrays([array], ["A"])] * 2)
    bound = longest_texts(batches, {"A": min(limit, 80)})["A"]
    assert bound >= longest
    assert text_length(bound) == text_length(longest)
    assert (bound > limit) == (longest > limit)


@given(values=TEXTS, limit=st.integers(1, 300))
@settings(deadline=None)
def test_polars_own_bound_is_the_same(values: list[str | None], limit: int) -> None:
    """Of strings and of categories, also in a column whose name is a pattern for polars."""
    frame = pl.DataFrame(
        {"^A.*$": values, "AB": values}, schema=dict.fromkeys(["^A.*$", "AB"], pl.String)
    )
    frame = frame.with_columns(pl.col("AB").cast(pl.Categorical))
    longest = max((len(text) for text in values if text is not None), default=0)
    look = read(frame).longest_texts
    assert look is not None
    for bound in look(dict.fromkeys(frame.columns, min(limit, 80))).values():
        assert text_length(bound) == text_length(longest)
        assert (bound > limit) == (longest > limit)


def test_a_category_that_no_row_has_binds_nothing() -> None:
    """A long one is only counted if a row uses it."""
    values = pa.array(["a", "x" * 1_000])
    unused = pa.DictionaryArray.from_arrays(pa.array([0, 0, None], pa.int32()), values)
    used = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), values)
    for array, bound in ((unused, 1), (used, 1_000)):
        batches = iter([pa.RecordBatch.from_arrays([array], ["A"])])
        assert longest_texts(batches, {"A": 80})["A"] == bound


def test_bytes_of_nulls_bind_nothing() -> None:
    """The slot of a null may have bytes."""
    full = pa.array(["x" * 500, "a"])
    nulls = pa.Array.from_buffers(pa.string(), 2, [pa.py_buffer(b"\x02"), *full.buffers()[1:]])
    batches = iter([pa.RecordBatch.from_arrays([nulls], ["A"])])
    assert longest_texts(batches, {"A": 80}) == {"A": 1}


@pytest.mark.parametrize(
    ("kind", "columns", "looked_at"),
    [
        (pa.string(), {}, ["A"]),
        (pa.dictionary(pa.int8(), pa.large_string()), {}, ["A"]),
        (pa.run_end_encoded(pa.int32(), pa.string()), {}, ["A"]),
        (pa.int64(), {}, []),
        (pa.int64(), {"A": "STRING"}, []),
        (pa.decimal128(38, 5), {"A": "STRING"}, []),
        (pa.decimal128(3, -5), {"A": "STRING"}, None),
        (pa.float64(), {"A": "STRING"}, None),
        (WideInteger(), {"A": "STRING"}, None),
        (pa.timestamp("ns"), {"A": "STRING"}, []),
        (pa.time64("us"), {}, []),
        (pa.list_(pa.int8()), {}, None),
        (pa.binary(), {}, None),
    ],
    ids=str,
)
def test_whose_lengths_can_be_looked_up(
    kind: pa.DataType, columns: dict[str, str], looked_at: list[str] | None
) -> None:
    """Texts as they are; what is short in any case needs no look; all else has to be converted."""
    options = ConversionOptions(
        columns=parse_columns("columns", columns), rename=None, nested="json", binary="hex",
        infinity="error", csv=False,
    )  # fmt: skip
    layout = build_layout(pa.schema([pa.field("A", kind)]), (), options)
    found = texts_to_look_at(layout)
    assert (None if found is None else [column.name for column in found]) == looked_at


def test_a_watch_says_when_a_string_is_longer_than_declared() -> None:
    """Whichever thread reads it, and also if it was read before the declaration."""
    watch, told = TextWatch(), []
    watch.on_change = lambda: told.append(watch.outgrown)
    watch.update([("A", 10), ("B", 100)])
    assert watch.estimate() == {"A": 320, "B": 640}
    watch.declare(watch.estimate())
    threads = [threading.Thread(target=watch.update, args=([("A", n)],)) for n in (20, 320, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not watch.outgrown
    watch.update([("A", 321)])
    watch.update([("A", 999)])
    assert told == [True]
    watch.declare({"A": 1_000})
    assert not watch.outgrown
    watch.declare({"A": 998})
    assert watch.outgrown
