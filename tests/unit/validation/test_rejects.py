"""Rejects: exact counts, and the positions of the first rows, whoever found them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._validation import rejects
from celonis_frames._validation.rejects import Reason, RejectReport, Rejects

COLUMNS = prepare(pa.table({"A": [1], "B": [1.0]}), "T", PushOptions()).layout.columns
REASONS = (Reason.NOT_FITTING, Reason.INFINITE)


@pytest.fixture(scope="module", autouse=True)
def few_positions() -> Any:
    """Ten positions are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rejects, "MAX_POSITIONS", 10)
        yield


@given(data=st.data())
def test_threads_together_find_the_first_rows(data: st.DataObject) -> None:
    """However the batches are shared, and whatever comes first: the lowest positions are kept."""
    batches = data.draw(st.lists(st.lists(st.booleans(), min_size=1, max_size=6), max_size=20))
    parts = [Rejects() for _ in range(3)]
    expected, counts, start = [], Counter[str](), 0
    work = []
    for bad in batches:
        for column, reason in ((0, Reason.NOT_FITTING), (1, Reason.INFINITE)):
            work.append((column, reason, bad, start))
            for n, is_bad in enumerate(bad):
                if is_bad:
                    expected.append((start + n, "AB"[column]))
                    counts["AB"[column]] += 1
        start += len(bad)
    for column, reason, bad, first in data.draw(st.permutations(work)):
        data.draw(st.sampled_from(parts)).add(column, reason, pa.array(bad), first)
    whole = Rejects()
    for part in data.draw(st.permutations(parts)):
        whole.merge(part)
    report = RejectReport.of(whole, COLUMNS)
    found = [(one["row"], one["column"]) for one in report.table.to_pylist()]
    assert found == sorted(expected)[:10]
    assert {name: sum(by.values()) for name, by in report.counts.items()} == counts
    assert sum(table.num_rows for table in whole._found) <= 20


@given(
    files=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    data=st.data(),
)
def test_rows_of_files(files: list[int], data: st.DataObject) -> None:
    """A position in all files is one in its file; files may have no rows."""
    places = [(f"{n}.parquet", row) for n, count in enumerate(files) for row in range(count)]
    bad = data.draw(st.lists(st.booleans(), min_size=len(places), max_size=len(places)))
    found = Rejects()
    found.add(1, Reason.INFINITE, pa.array(bad, pa.bool_()), 0)
    sizes = [(f"{n}.parquet", count) for n, count in enumerate(files)]
    table = RejectReport.of(found, COLUMNS, sizes).table
    assert table.schema == rejects.SCHEMA
    assert (
        list(zip(table["file"].to_pylist(), table["row"].to_pylist(), strict=True))
        == [place for place, is_bad in zip(places, bad, strict=True) if is_bad][:10]
    )


def test_frames_together() -> None:
    """Counts add up, positions follow each other."""
    one, other = Rejects(), Rejects()
    one.add(0, Reason.NOT_FITTING, pa.array([True, False]), 5)
    other.add(0, Reason.NOT_FITTING, pa.array([True, True]), 0)
    report = RejectReport.joined(RejectReport.of(part, COLUMNS) for part in (one, other))
    assert report.counts == {"A": {"does not fit INTEGER": 3}}
    assert report.table["row"].to_pylist() == [5, 0, 1]
    assert RejectReport.joined([]).table.schema == rejects.SCHEMA


def test_many_batches_with_one_bad_value_take_little_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a wide frame, each of whose columns has one in each batch."""
    monkeypatch.setattr(rejects, "MAX_POSITIONS", 100_000)
    bad, found = pa.array([False, True]), Rejects()
    before = pa.total_allocated_bytes()
    for n in range(20_000):
        found.add(n % 1_000, Reason.NUL, bad, 2 * (n // 1_000))
    assert pa.total_allocated_bytes() - before < 50 * 20_000
    assert sum(found.counts.values()) == 20_000
