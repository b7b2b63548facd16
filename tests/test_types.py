"""Each row of the type table: what the values become, through the wire and back."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames import Celonis, exceptions, plan
from celonis_frames._chunks import encode
from celonis_frames._schema import MAX_TEXT, text_length
from celonis_frames._types import TYPE_TABLE, rule_for

DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 5)
CASES: list[tuple[pa.Array, str, list[Any]]] = [
    (pa.array([1, None], pa.int8()), "INTEGER", [1, None]),
    (pa.array([2**63 - 1, None], pa.uint64()), "INTEGER", [2**63 - 1, None]),
    (pa.array([2**53 + 1, None, -(2**63)], pa.int64()), "INTEGER", [2**53 + 1, None, -(2**63)]),
    (pa.array([1.5, None], pa.float32()), "FLOAT", [1.5, None]),
    (pa.array([decimal.Decimal("1.25"), None], pa.decimal128(9, 2)), "FLOAT", [1.25, None]),
    (pa.array([True, None, False]), "BOOLEAN", [True, None, False]),
    (pa.array(["ä", None, ""], pa.large_string()), "STRING", ["ä", None, ""]),
    (pa.array(["ä", None], pa.string_view()), "STRING", ["ä", None]),
    (pa.array(["x", None, "x"]).dictionary_encode(), "STRING", ["x", None, "x"]),
    (pa.array([7, None]).dictionary_encode(), "INTEGER", [7, None]),
    (pa.array([DAY, None], pa.date32()), "DATETIME", [dt.datetime(2024, 2, 29), None]),
    (pa.array([NOON, None], pa.timestamp("us")), "DATETIME", [NOON, None]),
    (pa.array([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)], pa.timestamp("ms")), "DATETIME",
     [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)]),
    (pa.array([NOON, None], pa.timestamp("us", "Europe/Berlin")), "DATETIME", [NOON, None]),
    (pa.array([dt.time(9, 30), None], pa.time32("s")), "STRING", ["09:30:00.000000", None]),
    (pa.array([dt.timedelta(seconds=90, milliseconds=5), None]), "FLOAT", [90.005, None]),
    (pa.nulls(2), "STRING", [None, None]),
]  # fmt: skip


@pytest.mark.parametrize(("array", "celonis", "stored"), CASES, ids=[str(c[0].type) for c in CASES])
def test_a_type_arrives_as_the_table_says(
    array: pa.Array, celonis: str, stored: list[Any], server: Any, connection: Celonis, table: str
) -> None:
    """The column gets the type of its rule, and the values are those the rule tells."""
    frame = pa.table({"N": pa.array(range(len(array))), "C": array})
    assert {c.name: c.type for c in plan(frame, "P", "T").columns}["C"] == celonis
    connection.push(frame, "Types", table, mode="REPLACE")
    assert server.table("Types", table).sort_by("N")["C"].to_pylist() == stored


def test_every_rule_has_a_case_or_refuses() -> None:
    """No row of the table goes untested."""
    tested = {id(rule_for(case[0].type)) for case in CASES}
    assert all(id(rule) in tested for rule in TYPE_TABLE if rule.default is not None)


@pytest.mark.parametrize(
    "array",
    [pa.array([b"x"]), pa.array([[1]]), pa.array([{"a": 1}]),
     pa.array([pa.MonthDayNano([1, 2, 3])])],
    ids=lambda array: str(array.type),
)  # fmt: skip
def test_refused_types_say_what_to_do(array: pa.Array) -> None:
    """A type that Celonis cannot store is refused with its column and advice."""
    with pytest.raises(exceptions.ColumnTypeError, match="'C'.*cannot store"):
        plan(pa.table({"C": array}), "P", "T")


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
