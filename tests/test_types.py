"""Each row of the type tables: what the values become, through the wire and back."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import cases
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames import Celonis, exceptions, plan
from celonis_frames._chunks import encode
from celonis_frames._schema import MAX_TEXT, text_length
from celonis_frames._types import TYPE_TABLE, rule_for

pytestmark = pytest.mark.usefixtures("impatient")

DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 5)

REFUSED = [
    pytest.param(library, case, id=f"{library}: {case.type}, {case.options}")
    for library, listed in cases.LIBRARIES.items()
    for case in listed
    if cases.possible(case) and case.stored is None
]


@pytest.mark.parametrize("library", cases.LIBRARIES)
def test_types_arrive_as_the_tables_say(
    library: str, server: Any, connection: Celonis, table: str
) -> None:
    """The values of every type of every library are stored as its case says."""
    groups: dict[str, list[cases.Case]] = {}
    for case in cases.LIBRARIES[library]:
        if cases.possible(case) and case.stored is not None:
            groups.setdefault(f"{case.options} {len(case.stored)}", []).append(case)
    for group in groups.values():
        options = dict(group[0].options)
        names = [f"C{place}" for place in range(len(group))]
        if "columns" in options:
            options["columns"] = dict.fromkeys(names, options["columns"]["C"])
        frame = cases.frame(library, dict(zip(names, [c.make() for c in group], strict=True)))
        connection.push(frame, "Types", table, mode="REPLACE", **options)
        back = server.table("Types", table).sort_by("N")
        for name, case in zip(names, group, strict=True):
            stored = [_plain(value) for value in back[name].to_pylist()]
            assert stored == [_plain(value) for value in case.stored], (case.type, options)


@pytest.mark.parametrize(("library", "case"), REFUSED)
def test_what_cannot_be_stored_is_refused(
    library: str, case: cases.Case, server: Any, connection: Celonis, table: str
) -> None:
    """A message says which column, why, and what to do, and no job is made."""
    jobs = len(server.jobs)
    with pytest.raises(exceptions.FrameError, match=case.refusal) as caught:
        connection.push(cases.frame(library, {"C": case.make()}), "Types", table, **case.options)
    assert "'C'" in str(caught.value)
    assert caught.value.column == "C"
    assert len(server.jobs) == jobs


def _plain(value: Any) -> Any:
    """A value that equals only itself: not 1 and True, and NaN too."""
    return "NaN" if isinstance(value, float) and math.isnan(value) else (type(value), value)


def test_every_rule_has_a_case() -> None:
    """No row of the table goes untested, none is there for nothing."""
    tested = {id(rule_for(case.make().type)) for case in cases.ARROW if cases.possible(case)}
    assert all(id(rule) in tested for rule in TYPE_TABLE)


def test_nested_values_as_json(server: Any, connection: Celonis, table: str) -> None:
    """nested="json" sends lists and structs as JSON text."""
    frame = pa.table({"L": [[1, None], None], "S": [{"a": "ä"}, None]})
    connection.push(frame, "Types", table, nested="json")
    assert server.table("Types", table).to_pydict() == {
        "L": ["[1, null]", None], "S": ['{"a": "ä"}', None]
    }  # fmt: skip


def test_inexact_decimals_and_odd_dates_are_counted() -> None:
    """What analyses will see differently is a warning with column and count."""
    frame = pa.table(
        {
            "D": pa.array([decimal.Decimal("12345678901234567.89"), decimal.Decimal("0.50")]),
            "T": pa.array([dt.datetime(1066, 10, 14), dt.datetime(2024, 1, 1)]),
        }
    )
    warnings = plan(frame, "P", "T").warnings
    assert "'D'" in warnings[0]
    assert "1 values" in warnings[0]
    assert "'T'" in warnings[1]
    assert "1 dates" in warnings[1]


@given(st.integers(0, MAX_TEXT))
def test_a_text_length_holds_the_longest(longest: int) -> None:
    """The length is never shorter than the text, at least 80, at most 16,250."""
    assert max(longest, 80) <= text_length(longest) <= MAX_TEXT


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(1, 5_000), st.integers(1, 700))
def test_encoding_loses_no_row(rows: int, chunk_bytes: int, batch_rows: int) -> None:
    """Whatever the sizes, the chunks hold all rows in order, and none is empty."""
    import pyarrow.parquet as pq

    table = pa.table({"A": range(rows), "S": [f"text {i}" for i in range(rows)]})
    chunks = list(
        encode(table.to_batches(max_chunksize=batch_rows), table.schema, chunk_bytes=chunk_bytes)
    )
    back = [
        row
        for c in chunks
        for row in pq.read_table(pa.BufferReader(b"".join(c.pieces)))["A"].to_pylist()
    ]
    assert back == list(range(rows))
    assert all(chunk.rows for chunk in chunks)


def test_chunks_meet_the_wished_size() -> None:
    """All chunks but the last are within 20 % of chunk_bytes on an event log."""
    from celonis_frames._eventlog import purchase_to_pay

    log = purchase_to_pay(8_000).drop(["DUE_DATE"])
    log = pa.concat_tables([log] * 4)
    for wish in (100_000, 500_000):
        chunks = list(encode(log.to_batches(max_chunksize=9_999), log.schema, chunk_bytes=wish))
        assert len(chunks) > 3
        assert all(0.8 * wish <= chunk.size <= 1.2 * wish for chunk in chunks[:-1])


def test_times_are_never_cut_or_shifted_by_a_mixture() -> None:
    """Dates with times, and naive times with zoned ones, are refused instead of brought together."""
    import pandas as pd

    zone = dt.timezone(dt.timedelta(hours=2))
    for values in ([DAY, NOON], [NOON, NOON.replace(tzinfo=zone)]):
        with pytest.raises(exceptions.ColumnTypeError, match="'A' mixes"):
            plan(pd.DataFrame({"A": pd.Series(values, dtype=object)}), "P", "T")
    assert plan(pd.DataFrame({"A": pd.Series([None, pd.NaT, pd.NA], dtype=object)}), "P", "T")


def test_generators_do_not_bring_different_times_together(connection: Celonis, table: str) -> None:
    """A later frame with another kind of time than the first is refused."""
    frames = (pa.table({"A": pa.array([v])}) for v in (DAY, NOON))
    with pytest.raises(exceptions.ColumnTypeError, match="frame 2"):
        connection.push(frames, "Types", table)


def test_nulls_hidden_in_dictionaries(server: Any, connection: Celonis, table: str) -> None:
    """A null among a dictionary's values is a null: refused in a key, stored elsewhere."""
    hidden = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["x", None]))
    frame = pa.table({"K": hidden})
    with pytest.raises(exceptions.KeyColumnError):
        connection.push(frame, "Types", table, keys="K")
    connection.push(frame, "Types", table)
    assert server.table("Types", table)["K"].to_pylist() == ["x", None]


def test_nanoseconds_in_csv(server: Any, connection: Celonis, table: str) -> None:
    """CSV takes nanosecond times whose nanoseconds are zero, and refuses the others."""
    good = pa.table({"A": pa.array([1_577_836_800_123_456_000], pa.timestamp("ns"))})
    connection.push(good, "Types", table, file_type="CSV")
    assert server.table("Types", table)["A"].to_pylist()[0].microsecond == 123_456
    with pytest.raises(exceptions.ColumnTypeError):
        fine = pa.table({"A": pa.array([1], pa.timestamp("ns"))})
        connection.push(fine, "Types", table, file_type="CSV")
