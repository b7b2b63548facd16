"""Batches of a useful size, whatever the source gives."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames._arrow import batching
from celonis_frames._arrow.batching import (
    BATCH_BYTES,
    BATCH_ROWS,
    batch_bytes,
    rebatch,
    target_batch_bytes,
)
from celonis_frames._sources.reader import read


@settings(max_examples=20)
@given(
    st.lists(st.integers(0, 6_000), max_size=30),
    st.sampled_from(["number", "text", "dictionary", "own dictionaries", "list", "view"]),
)
def test_evened_batches_have_the_same_rows_in_the_same_order(sizes: list[int], kind: str) -> None:
    """Crumbs are joined, nothing else changes, and no batch is empty."""
    batches, start = [], 0
    for size in sizes:
        numbers = pa.array(range(start, start + size), pa.int64())
        values: Any = {
            "number": lambda n: n,
            "text": lambda n: n.cast(pa.string()),
            "dictionary": lambda n: pa.DictionaryArray.from_arrays(
                pa.array([i % 3 for i in range(len(n))], pa.int8()), ["a", "b", None]
            ),
            "own dictionaries": lambda n: n.cast(pa.string()).dictionary_encode(),
            "list": lambda n: pa.array([[v] for v in n.to_pylist()], pa.list_(pa.int64())),
            "view": lambda n: n.cast(pa.string_view()),
        }[kind](numbers)
        batches.append(pa.record_batch({"N": numbers, "V": values}))
        start += size
    got = list(rebatch(iter(batches)))
    assert all(batch.num_rows for batch in got)
    assert _listed(got) == _listed(batches)
    # Two that follow each other are never both crumbs, unless the first one is what was gathered.
    assert len(got) <= 2 * sum(size >= batching._SMALL_ROWS for size in sizes) + 6


def _listed(batches: list[Any]) -> list[Any]:
    return [row for batch in batches for row in batch.to_pylist()]


def test_ten_thousand_rows_one_by_one_become_one_batch() -> None:
    """A batch costs as much as thousands of rows do."""
    one = pa.record_batch({"A": [1], "B": ["x"]})
    assert [batch.num_rows for batch in rebatch(iter([one] * 10_000))] == [10_000]


def _texts(short: int, long: int) -> Any:
    return ["x"] * short + ["y" * 16_000] * long


SOURCES: dict[str, Any] = {
    "objects": lambda texts: pd.DataFrame({"A": pd.Series(texts, dtype=object)}),
    "pandas Arrow": lambda texts: pd.DataFrame({"A": pd.Series(texts, dtype="string[pyarrow]")}),
    "lists": lambda texts: pd.DataFrame({"A": pd.Series([[t] for t in texts], dtype=object)}),
    "polars": lambda texts: pl.DataFrame({"A": texts}),
    "lazy": lambda texts: pl.LazyFrame({"A": texts}),
    "table": lambda texts: pa.table({"A": texts}),
    "reader": lambda texts: pa.table({"A": texts}).to_reader(),
    "iterator": lambda texts: iter([pa.table({"A": texts})]),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_no_batch_is_much_larger_than_its_target(kind: str) -> None:
    """Also where the rows are narrow for a long time, and then each as wide as Celonis takes."""
    batches = list(read(SOURCES[kind](_texts(50_000, 6_000))).batches())
    most = target_batch_bytes(in_memory=kind in ("pandas Arrow", "polars", "table"))
    assert sum(batch.num_rows for batch in batches) == 56_000
    assert max(batch_bytes(batch) for batch in batches) <= 2.5 * most
    assert max(batch.num_rows for batch in batches) <= 2 * BATCH_ROWS


def _shared_buffers(kind: str) -> Any:
    """Columns of 20 MB and more of which a slice is counted with all, or nearly all, bytes."""
    rows = 40_000
    texts = pa.array([f"{n:0500d}" for n in range(rows)])
    views = texts.cast(pa.string_view())
    dictionary = pa.DictionaryArray.from_arrays(pa.array(range(rows), pa.int32()), texts)
    columns: dict[str, Any] = {
        "view": views,
        "view with nulls": pa.array([None, "y" * 1_050] * (rows // 2), pa.string_view()),
        "list of views": pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), views),
        "dictionary": dictionary,
        "dictionary in a struct": pa.StructArray.from_arrays([dictionary], ["D"]),
        "union": pa.UnionArray.from_dense(
            pa.array([0] * rows, pa.int8()), pa.array(range(rows), pa.int32()), [texts]
        ),
    }
    return pa.record_batch({"N": range(rows), "T": texts, "V": columns[kind]})


@pytest.mark.parametrize(
    "kind",
    ["view", "view with nulls", "list of views", "dictionary", "dictionary in a struct", "union"],
)
def test_what_slices_share_is_not_cut_for_ever(kind: str) -> None:
    """A slice is counted with what all rows share; it is no reason to cut it to single rows."""
    batch = _shared_buffers(kind)
    got = list(rebatch(iter([batch])))
    assert sum(part.num_rows for part in got) == batch.num_rows
    assert 3 <= len(got) <= 8
    assert got[1].slice(0, 2).to_pylist() == batch.slice(got[0].num_rows, 2).to_pylist()


def test_empty_batches_between_crumbs_change_nothing() -> None:
    """A filter that few rows pass gives many batches without any."""
    one = pa.record_batch({"A": [1]})
    batches = [one, one.slice(1)] * 5_000
    assert [batch.num_rows for batch in rebatch(iter(batches))] == [5_000]


def test_crumbs_of_one_view_are_gathered() -> None:
    """Each of them holds all data of the view, but its rows point to few."""
    whole = pa.record_batch({"V": pa.array([f"{n:0500d}" for n in range(9_000)], pa.string_view())})
    crumbs = [whole.slice(start, 90) for start in range(0, 9_000, 90)]
    got = list(rebatch(iter(crumbs)))
    assert len(got) == 2
    assert pa.Table.from_batches(got).to_pydict() == whole.to_pydict()


def test_a_dataset_is_read_in_batches_that_its_footers_call_for(tmp_path: Any) -> None:
    """A scan of a fixed number of rows would decode gigabytes of long texts."""
    texts = [chr(97 + i % 26) * 15_000 + str(i) for i in range(4_000)]
    pq.write_table(pa.table({"A": texts}), tmp_path / "a.parquet", use_dictionary=False)
    rows = [batch.num_rows for batch in ds.dataset(tmp_path / "a.parquet").to_batches()]
    assert max(rows) == 4_000
    source = read(ds.dataset(tmp_path / "a.parquet"))
    assert max(batch_bytes(batch) for batch in source.batches()) <= 1.2 * BATCH_BYTES
