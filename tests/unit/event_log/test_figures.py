"""The figures of the report are those that a loop over the rows counts, for every kind of frame."""

from __future__ import annotations

import datetime as dt
import itertools
import re
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celonis_frames import EventLogReport, check_event_log
from celonis_frames._event_log import cases as case_module
from celonis_frames._event_log.checker import EventLogChecker
from celonis_frames._event_log.columns import LogColumns
from celonis_frames._validation import key_counter

BASE = dt.datetime(2024, 2, 29, 9, 5, 7)
TIMES = [
    *(BASE + dt.timedelta(microseconds=step) for step in (-1, 0, 1, 999, 1_000, 86_400_000_000)),
    *(dt.datetime(1969, 12, 31, 23, 59, 59, micros) for micros in (999_000, 999_999)),
    dt.datetime(1970, 1, 1), dt.datetime(1900, 1, 1, 12), dt.datetime(9999, 12, 31, 23, 59, 59),
    dt.datetime(1399, 12, 31), dt.datetime(1400, 1, 1),
]  # fmt: skip
CASES = ["1", "2", "02", "10", "x", "45.0", "", " 1"]
ACTIVITIES = [
    "Pay",
    "pay",
    " Pay",
    "Pay  it",
    "pay it",
    "",
    "  ",
    "Ã„ndern",
    "gel\ufffdscht",
    "Prüfen",
]
FIRST, LAST = dt.datetime(1400, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)

Row = tuple[Any, Any, Any, Any, Any]

ROWS = st.lists(
    st.tuples(
        st.none() | st.sampled_from(CASES),
        st.none() | st.sampled_from(ACTIVITIES),
        st.none() | st.sampled_from(TIMES),
        st.none() | st.sampled_from(TIMES),
        st.none() | st.integers(0, 2),
    ),
    min_size=1,
    max_size=40,
)
NAMES = ["C", "A", "T", "E", "O"]
SCHEMA = pa.schema(
    [("C", pa.string()), ("A", pa.string()), ("T", pa.timestamp("us")), ("E", pa.timestamp("us")),
     ("O", pa.int64()), ("X", pa.list_(pa.int64()))]
)  # fmt: skip


def _table(rows: list[Row]) -> Any:
    columns = [*zip(*rows, strict=True), [[1]] * len(rows)]
    return pa.table(list(map(list, columns)), schema=SCHEMA)


def _millis(time: dt.datetime) -> int:
    return (time - dt.datetime(1970, 1, 1)) // dt.timedelta(milliseconds=1)


def _repeated(keys: list[Any]) -> int:
    return len(keys) - len(set(keys))


def _fold(name: str) -> str:
    return re.sub(r"\s+", " ", name.lower()).strip()


def counted(rows: list[Row], *, end: bool, order: bool) -> dict[str, Any]:
    """What a loop over the rows counts: figures, and the count of each finding by its code."""
    found: Counter[str] = Counter()
    per_case = Counter(row[0] for row in rows if row[0] is not None)
    activities = {row[1] for row in rows if row[1] is not None}
    times = [row[2] for row in rows if row[2] is not None]
    last: dict[str, int] = {}
    for case, activity, time, until, number in rows:
        found["case_is_null"] += case is None
        found["activity_is_null"] += activity is None
        found["timestamp_is_null"] += time is None
        if end:
            found["end_is_null"] += until is None
            found["end_before_timestamp"] += None not in (until, time) and until < time
        found["order_is_null"] += order and number is None
        if case is not None and time is not None:
            found["out_of_order"] += last.get(case, -(2**60)) > _millis(time)
            last[case] = _millis(time)
        for role, name in (("case", case), ("activity", activity)):
            text = name or "-"
            found[f"{role}_is_empty"] += name is not None and not name.strip()
            found[f"{role}_has_blanks"] += text != text.strip() != ""
            found[f"{role}_is_misread"] += "Ã" in text
            found[f"{role}_has_lost_characters"] += "\ufffd" in text
            found[f"{role}_ends_in_point_zero"] += text.endswith(".0")
    digits = [case for case, *_ in rows if case is not None and re.fullmatch("[0-9]+", case)]
    if len(set(map(len, digits))) > 1:
        found["case_lengths_differ"] = len(digits)
    found["activities_alike"] = len(activities) - len(set(map(_fold, activities)))
    found["ties" if not order else "order_ties"] = _repeated(
        [(c, _millis(t), o if order else 0) for c, _, t, _, o in rows if None not in (c, t)]
    )
    found["duplicates"] = _repeated(
        [(c, a, t, e if end else 0, o if order else 0)
         for c, a, t, e, o in rows if None not in (c, a, t)]
    )  # fmt: skip
    found += _dates("timestamp", times)
    found += _dates("end", [row[3] for row in rows if row[3] is not None]) if end else Counter()
    analysed = [time for time in times if FIRST <= time <= LAST]
    counts = sorted(per_case.values())
    return {
        "events": len(rows), "cases": len(per_case), "activities": len(activities),
        "first": min(analysed, default=None), "last": max(analysed, default=None),
        "per case": (counts[0], statistics.median(counts), statistics.mean(counts), counts[-1])
        if counts else None,
        "found": {code: count for code, count in found.items() if count},
    }  # fmt: skip


def _dates(role: str, times: list[dt.datetime]) -> Counter[str]:
    found = Counter(
        {
            f"{role}_out_of_range": sum(not FIRST <= time <= LAST for time in times),
            f"{role}_has_no_clock": len(times)
            if times and all(time.time() == dt.time() for time in times)
            else 0,
        }
    )
    for time in times:
        found[f"{role}_may_mean_none"] += f"{time.date()}" in (
            "1900-01-01",
            "1970-01-01",
            "9999-12-31",
        )
    return found


def reported(report: EventLogReport) -> dict[str, Any]:
    """The same figures of a report."""
    found: Counter[str] = Counter()
    for one in report.findings:
        found[one.code] += one.count
    per_case = report.events_per_case
    return {
        "events": report.events, "cases": report.cases, "activities": report.activities,
        "first": report.first, "last": report.last,
        "per case": None if per_case is None
        else (per_case.min, per_case.median, pytest.approx(per_case.mean), per_case.max),
        "found": dict(found),
    }  # fmt: skip


def _roles(*, end: bool, order: bool) -> dict[str, Any]:
    more = {"end": "E"} if end else {}
    return {
        "case": "C",
        "activity": "A",
        "timestamp": "T",
        **more,
        **({"order": "O"} if order else {}),
    }


def _files(table: Any, cut: int, folder: Path) -> list[Path]:
    paths = [folder / "1.parquet", folder / "2.parquet"]
    pq.write_table(table.slice(0, cut), paths[0])
    pq.write_table(table.slice(cut), paths[1])
    return paths


KINDS: dict[str, Callable[[Any, int, Path], Any]] = {
    "table": lambda table, _, __: table,
    "reader": lambda table, cut, _: table.to_reader(cut),
    "pandas": lambda table, _, __: table.to_pandas(),
    "pandas of objects": lambda table, _, __: table.to_pandas().astype({"C": object, "A": object}),
    "pandas with categories": lambda table, _, __: table.to_pandas().astype({"A": "category"}),
    "polars": lambda table, _, __: pl.from_arrow(table),
    "polars with categories": lambda table, _, __: pl.from_arrow(table).cast({"C": pl.Categorical}),  # type: ignore[union-attr, arg-type]
    "lazy": lambda table, _, __: pl.from_arrow(table).lazy(),  # type: ignore[union-attr]
    "iterator": lambda table, cut, _: iter(
        [table.slice(0, cut).to_pandas(), pl.from_arrow(table.slice(cut))]
    ),
    "files": _files,
    "dataset": lambda table, cut, folder: ds.dataset(_files(table, cut, folder)),
    "relation": lambda table, _, __: duckdb.from_arrow(table),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=ROWS, cut=st.integers(1, 40), end=st.booleans(), order=st.booleans())
def test_every_kind_of_frame_has_the_figures_of_a_loop(
    kind: str, rows: list[Row], cut: int, end: bool, order: bool, tmp_path: Path
) -> None:
    """Counts, limits and the count of each finding are exact; other columns are not read."""
    frame = KINDS[kind](_table(rows), min(cut, len(rows)), tmp_path)
    report = check_event_log(frame, **_roles(end=end, order=order))
    assert reported(report) == counted(rows, end=end, order=order)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, cuts=st.lists(st.integers(0, 40)), end=st.booleans(), order=st.booleans())
def test_any_cut_into_batches_has_the_same_figures(
    rows: list[Row], cuts: list[int], end: bool, order: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if what is kept of the rows is merged after every batch."""
    monkeypatch.setattr(case_module, "_MIN_MERGED_ROWS", 1)
    monkeypatch.setattr(key_counter, "_MIN_MERGED_ROWS", 1)
    table = _table(rows).drop_columns(["X"])
    checker = EventLogChecker(LogColumns(**_roles(end=end, order=order)), table.schema, "arrow")
    places = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    for start, stop in itertools.pairwise(places):
        for batch in table.slice(start, stop - start).to_batches():
            checker.update(batch)
    assert reported(checker.report()) == counted(rows, end=end, order=order)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, size=st.integers(1, 9), order=st.booleans(), ascending=st.booleans())
def test_more_rows_than_are_compared(
    rows: list[Row], size: int, order: bool, ascending: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of logs whose cases ascend ties are exact; else counts are of the first rows, and say so."""
    monkeypatch.setattr(key_counter, "LIMIT_BYTES", 64)
    if ascending:
        rows = sorted(rows, key=lambda row: (row[2] is not None, row[2]))
    exact = counted(rows, end=False, order=order)["found"]
    table = _table(rows).drop_columns(["X"])
    checker = EventLogChecker(LogColumns(**_roles(end=False, order=order)), table.schema, "arrow")
    for batch in table.to_batches(max_chunksize=size):
        checker.update(batch)
    report = checker.report()
    for one in report.findings:
        if one.code in ("ties", "order_ties", "duplicates"):
            partly = "the first " in one.message
            assert one.count <= exact[one.code] if partly else one.count == exact[one.code]
            assert not (partly and ascending and one.code == "ties")
        elif one.code in ("ties_not_counted", "duplicates_not_counted"):
            assert "the first " in one.message
    known = {"ties", "order_ties", "duplicates", "ties_not_counted", "duplicates_not_counted"}
    found = reported(report)["found"]
    assert {code: n for code, n in found.items() if code not in known} == {
        code: n for code, n in exact.items() if code not in known
    }


@settings(max_examples=30)
@given(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.sampled_from(["s", "ms", "us", "ns"]),
)
def test_times_of_any_unit_and_size(counts: list[int | None], unit: str) -> None:
    """Whatever the time, no kernel overflows; only those of the years 1400 to 9999 are shown."""
    times = pa.array(counts, pa.timestamp(unit))
    table = pa.table({"C": ["a"] * len(counts), "A": ["x"] * len(counts), "T": times})
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    report = check_event_log(table, case="C", activity="A", timestamp="T")
    limits = [
        (time - dt.datetime(1970, 1, 1)) // dt.timedelta(seconds=1) * per_second
        for time in (FIRST, LAST.replace(microsecond=0) + dt.timedelta(microseconds=0))
    ]
    within = [n for n in counts if n is not None and limits[0] <= n < limits[1] + per_second]
    found = {one.code: one.count for one in report.findings}
    outside = sum(n is not None for n in counts) - len(within)
    assert found.get("timestamp_out_of_range", 0) == outside
    assert (report.first is None) == (not within)


def test_ids_of_other_types() -> None:
    """Integers of any size, floats, booleans, decimals, bytes and dates are cases, and count."""
    values: dict[str, Any] = {
        "integers": pa.array([1, 20, 20, None], pa.int64()),
        "large": pa.array([2**64 - 1, 1, 1, None], pa.uint64()),
        "floats": pa.array([1.0, 0.0, -0.0, None]),
        "booleans": pa.array([True, False, False, None]),
        "decimals": pa.array([1, 2, 2, None], pa.decimal128(5, 2)),
        "bytes": pa.array([b"\xff", b"b", b"b", None]),
        "dates": pa.array([dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.date(2024, 1, 2), None]),
        "runs": pa.RunEndEncodedArray.from_arrays([1, 3, 4], pa.array(["a", "b", None])),
        "nulls": pa.nulls(4),
    }
    for name, array in values.items():
        table = pa.table({"C": array, "A": ["x"] * 4, "T": [BASE] * 4})
        report = check_event_log(table, case="C", activity="A", timestamp="T")
        nulls = 4 if name == "nulls" else 1
        (found,) = [one for one in report.findings if one.code == "case_is_null"]
        assert (found.count, report.cases) == (nulls, 0 if name == "nulls" else 2), name
