"""Each row of the type tables, pushed through the wire and read back."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import zoneinfo
from typing import Any

import cases
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames import Celonis, exceptions, plan
from celonis_frames._schema.types import TYPE_TABLE, rule_for

pytestmark = pytest.mark.usefixtures("impatient")

DAY = dt.date(2024, 2, 29)
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 5)
D = decimal.Decimal

REJECTED = [
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


@pytest.mark.parametrize(("library", "case"), REJECTED)
def test_what_cannot_be_stored_is_rejected(
    library: str, case: cases.Case, server: Any, connection: Celonis, table: str
) -> None:
    """The message says which column, why, and what to do, and no job is created."""
    jobs = len(server.jobs)
    with pytest.raises(exceptions.FrameError, match=case.message) as caught:
        connection.push(cases.frame(library, {"C": case.make()}), "Types", table, **case.options)
    assert "'C'" in str(caught.value)
    assert caught.value.column == "C"
    assert len(server.jobs) == jobs


def _plain(value: Any) -> Any:
    """A value that equals only its own kind: 1 is not True, and NaN is NaN."""
    return "NaN" if isinstance(value, float) and math.isnan(value) else (type(value), value)


def test_every_rule_has_a_case() -> None:
    """Every row of the type table is tested."""
    tested = {id(rule_for(case.make().type)) for case in cases.ARROW if cases.possible(case)}
    assert all(id(rule) in tested for rule in TYPE_TABLE)


def test_nested_values_as_json(server: Any, connection: Celonis, table: str) -> None:
    """nested="json" sends lists and structs as JSON."""
    frame = pa.table({"L": [[1, None], None], "S": [{"a": "ä"}, None]})
    connection.push(frame, "Types", table, nested="json")
    assert server.table("Types", table).to_pydict() == {
        "L": ["[1, null]", None], "S": ['{"a": "ä"}', None]
    }  # fmt: skip


def test_inexact_decimals_and_odd_dates_are_counted() -> None:
    """A warning with column and count says what analyses show differently."""
    frame = pa.table(
        {
            "D": pa.array([decimal.Decimal("12345678901234567.89"), decimal.Decimal("0.50")]),
            "T": pa.array([dt.datetime(1066, 10, 14), dt.datetime(2024, 1, 1)]),
        }
    )
    warnings = plan(frame, "P", "T").warnings
    assert "'D'" in warnings[0]
    assert "1 value not exact" in warnings[0]
    assert "'T'" in warnings[1]
    assert "1 date outside" in warnings[1]


def test_times_are_never_cut_or_shifted_by_a_mixture() -> None:
    """Dates mixed with times, or naive times with zoned ones, are rejected, not combined."""
    zone = dt.timezone(dt.timedelta(hours=2))
    for values in ([DAY, NOON], [NOON, NOON.replace(tzinfo=zone)]):
        with pytest.raises(exceptions.ColumnTypeError, match="'A' mixes"):
            plan(pd.DataFrame({"A": pd.Series(values, dtype=object)}), "P", "T")
    assert plan(pd.DataFrame({"A": pd.Series([None, pd.NaT, pd.NA], dtype=object)}), "P", "T")


def test_generators_do_not_bring_different_times_together(connection: Celonis, table: str) -> None:
    """A later frame with another kind of time than the first is rejected."""
    frames = (pa.table({"A": pa.array([v])}) for v in (DAY, NOON))
    with pytest.raises(exceptions.ColumnTypeError, match="frame 2"):
        connection.push(frames, "Types", table)


def test_nulls_hidden_in_dictionaries(server: Any, connection: Celonis, table: str) -> None:
    """A null among a dictionary's values is a null: rejected in a key, stored elsewhere."""
    hidden = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["x", None]))
    frame = pa.table({"K": hidden})
    with pytest.raises(exceptions.KeyColumnError):
        connection.push(frame, "Types", table, keys="K")
    connection.push(frame, "Types", table)
    assert server.table("Types", table)["K"].to_pylist() == ["x", None]


def test_nanoseconds_in_csv(server: Any, connection: Celonis, table: str) -> None:
    """CSV accepts nanosecond times whose nanoseconds are zero, and rejects the others."""
    good = pa.table({"A": pa.array([1_577_836_800_123_456_000], pa.timestamp("ns"))})
    connection.push(good, "Types", table, upload={"file_type": "CSV"})
    assert server.table("Types", table)["A"].to_pylist()[0].microsecond == 123_456
    fine = pa.table({"A": pa.array([1], pa.timestamp("ns"))})
    with pytest.raises(exceptions.ColumnTypeError, match="with nanoseconds, which CSV"):
        connection.push(fine, "Types", table, upload={"file_type": "CSV"})


OTHERS: list[tuple[pa.Array, str, str, list[Any]]] = [
    (pa.array([1, None], pa.int8()), "FLOAT", "PARQUET", [1.0, None]),
    (pa.array([10**17, None]), "STRING", "PARQUET", ["1" + "0" * 17, None]),
    (pa.array([2**64 - 1, None], pa.uint64()), "STRING", "PARQUET", [str(2**64 - 1), None]),
    (pa.array([2**64 - 1, None], pa.uint64()), "FLOAT", "PARQUET", [float(2**64), None]),
    (pa.array([45.0, None]), "INTEGER", "PARQUET", [45, None]),
    (pa.array([45.0, None, 1e17, 0.5, 1e-7, -0.0]), "STRING", "PARQUET",
     ["45", None, "1" + "0" * 17, "0.5", "1e-7", "-0"]),
    (pa.array([D("45.00"), None]), "INTEGER", "PARQUET", [45, None]),
    (pa.array([D("1E-20"), None], pa.decimal128(38, 20)), "STRING", "PARQUET",
     ["0." + "0" * 19 + "1", None]),
    (pa.array([True, None]), "INTEGER", "PARQUET", [1, None]),
    (pa.array([True, None]), "STRING", "PARQUET", ["true", None]),
    (pa.array([DAY, None]), "DATE", "CSV", [DAY, None]),
    (pa.array([DAY, None]), "STRING", "PARQUET", ["2024-02-29", None]),
    (pa.array([dt.datetime(2024, 2, 29), None]), "DATE", "PARQUET", [DAY, None]),
    (pa.array([NOON, None]), "STRING", "PARQUET", ["2024-02-29 12:00:00.000005", None]),
    (pa.array([1, None], pa.timestamp("ns")), "STRING", "PARQUET",
     ["1970-01-01 00:00:00.000000001", None]),
    (pa.array([dt.datetime(2024, 2, 29), None], pa.timestamp("ms", "Asia/Kolkata")), "DATE",
     "PARQUET", [DAY, None]),
    (pa.array([dt.time(9, 30), None]), "TIME", "CSV", [dt.time(9, 30), None]),
    (pa.array([dt.timedelta(seconds=90), None]), "INTEGER", "PARQUET", [90_000_000, None]),
    (pa.array([dt.timedelta(seconds=90), None]), "STRING", "PARQUET", ["90000000", None]),
    *((pa.nulls(2), kind, "PARQUET", [None, None])
      for kind in ("INTEGER", "FLOAT", "BOOLEAN", "DATETIME", "DATE")),
]  # fmt: skip


def test_columns_gives_the_other_types_of_the_table(
    server: Any, connection: Celonis, table: str
) -> None:
    """Each type that `columns=` may name instead is stored exactly."""
    tested = {(id(rule_for(array.type)), kind) for array, kind, _, _ in OTHERS}
    assert {(id(rule), kind) for rule in TYPE_TABLE for kind in rule.others} <= tested | {
        (id(rule), kind)
        for rule in TYPE_TABLE
        for kind in rule.others
        if "tz" in rule.arrow_types or "uint64" in rule.arrow_types
    }
    for array, kind, file_type, stored in OTHERS:
        frame = pa.table({"N": pa.array(range(len(array))), "C": array})
        options = {"columns": {"C": kind}, "upload": {"file_type": file_type}}
        (column,) = [c for c in plan(frame, "P", "T", **options).columns if c.name == "C"]
        assert column.type == kind
        connection.push(frame, "Types", table, mode="REPLACE", **options)
        back = server.table("Types", table).sort_by("N")["C"].to_pylist()
        assert [_plain(v) for v in back] == [_plain(v) for v in stored], (array.type, kind)


COUNTED: list[tuple[pa.Array, dict[str, Any], str]] = [
    (pa.array([2**53, 2**53 + 1, 2**63 - 1]), {"columns": {"C": "FLOAT"}}, "2 values not"),
    (pa.array([2**64 - 1, 2**63], pa.uint64()), {"columns": {"C": "FLOAT"}}, "1 value not"),
    (pa.array([2**62 + 1, 5], pa.duration("ns")), {}, "1 value not exact"),
    (pa.array([float("inf"), 1.0, float("-inf")]), {"infinity": "null"}, "2 infinite values sent"),
    (pa.array([float("inf"), 1.0]), {"infinity": "null", "columns": {"C": "STRING"}}, "1 infinite"),
    (pa.array([dt.date(1399, 12, 31), DAY]), {}, "1 date outside"),
    (pa.array([1, 1000], pa.timestamp("ns")), {}, "1 time with nanoseconds"),
    (pa.nulls(2), {}, "only nulls and no type: it becomes STRING"),
]  # fmt: skip


@pytest.mark.parametrize(("array", "options", "warning"), COUNTED, ids=[c[2] for c in COUNTED])
def test_what_is_seen_differently_is_counted(
    array: pa.Array, options: dict[str, Any], warning: str
) -> None:
    """Nothing is rounded or dropped without a warning that names the column and the count."""
    (found,) = plan(pa.table({"C": array}), "P", "T", **options).warnings
    assert "'C'" in found
    assert warning in found


@given(st.lists(st.integers(-(10**25), 10**25), min_size=1), st.integers(0, 12))
def test_exactness_is_what_the_documentation_says(numbers: list[int], scale: int) -> None:
    """A decimal is exact when its float, rounded to the scale, is the decimal again."""
    decimals = [decimal.Decimal(n).scaleb(-scale, decimal.Context(prec=60)) for n in numbers]
    unit = decimal.Decimal(1).scaleb(-scale)
    wrong = sum(D(float(d)).quantize(unit, context=decimal.Context(prec=90)) != d for d in decimals)
    warnings = plan(
        pa.table({"C": pa.array(decimals, pa.decimal128(38, scale))}), "P", "T"
    ).warnings
    assert [w for w in warnings if f" {wrong:,} value" in w] == list(warnings)
    assert bool(warnings) == bool(wrong)


def _objects(*values: Any) -> pd.DataFrame:
    return pd.DataFrame({"C": pd.Series(values, dtype=object)})


BROKEN = pa.Array.from_buffers(
    pa.string(), 1, [None, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe")]
)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
UNFIT: list[tuple[str, Any, dict[str, Any], str]] = [
    ("bytes that are not UTF-8", pa.table({"C": BROKEN}), {}, "not UTF-8"),
    ("the same in a dictionary",
     pa.table({"C": pa.DictionaryArray.from_arrays([0], BROKEN)}), {}, "not UTF-8"),
    ("half a character in a category", pd.DataFrame({"C": pd.Categorical.from_codes(
        [0], pd.Index(["\ud800", "a"], dtype=object))}), {}, "surrogate"),
    ("half a character inside a list", _objects(["\ud800"]), {"nested": "json"}, "surrogate"),
    ("fractions as INTEGER", pl.DataFrame({"C": [1.5]}), {"columns": {"C": "INTEGER"}},
     "do not fit INTEGER"),
    ("a zone of a time without a date", _objects({"a": dt.time(1, tzinfo=BERLIN)}),
     {"nested": "json"}, "offset is not known"),
    ("a set in a dict", _objects({}, {"a": {1}}), {"nested": "json"},
     "set objects.*first in row 1"),
    ("a key that is no string", _objects({}, {1: 2}), {"nested": "json"}, "key of type int.*row 1"),
    ("an endless list", _objects(ENDLESS), {"nested": "json"}, "contain themselves"),
    ("a long double", _objects(1.5, np.longdouble(1)), {},
     "NumPy values of type.*first in row 1"),
    ("a time of picoseconds", _objects(np.datetime64("2024-01-01T01", "ps")), {}, "datetime64.ps"),
    ("a signaling NaN", _objects(D("sNaN"), D(1)), {}, "decimals without"),
    ("a far date as STRING", pa.table({"C": pa.array([0, 2**31 - 1], pa.date32())}),
     {"columns": {"C": "STRING"}}, "years -32767 to 32767.*first in row 1"),
    ("a far time as STRING", pa.table({"C": pa.array([2**60], pa.timestamp("us"))}),
     {"columns": {"C": "STRING"}}, "years -32767 to 32767"),
    ("no time of day", pa.table({"C": pa.array([0, 86_401], pa.time32("s"))}), {},
     "no times of day.*first in row 1"),
    ("24:00:00 as TIME", pa.table({"C": pa.array([86_400], pa.time32("s"))}),
     {"columns": {"C": "TIME"}, "upload": {"file_type": "CSV"}}, "24:00:00"),
    ("no time of day in a list", pa.table({"C": pa.array([[-1]], pa.list_(pa.time64("us")))}),
     {"nested": "json"}, "no times of day"),
    ("a wide integer in row 7", _objects(*[1] * 7, 2**64), {},
     "up to 18446744073709551616, first in row 7"),
    ("text and bytes", _objects("x", b"y"), {"binary": "hex"}, "str at first, bytes from row 1"),
    ("numbers and booleans", _objects(1, True), {}, "int at first, bool from row 1"),
    ("a set", _objects({1}), {"nested": "json"}, "set objects"),
    ("another type than text for JSON", pl.DataFrame({"C": [[1]]}),
     {"nested": "json", "columns": {"C": "INTEGER"}}, "cannot be sent as INTEGER"),
    ("TIME finer than it is", pa.table({"C": pa.array([1], pa.time64("ns"))}),
     {"columns": {"C": "TIME"}, "upload": {"file_type": "CSV"}}, "do not fit TIME"),
    ("the year 0 in CSV", pa.table({"C": pa.array([-62_135_596_800_001], pa.timestamp("ms"))}),
     {"upload": {"file_type": "CSV"}}, "years 1 to 9999"),
    ("times beyond microseconds", pa.table({"C": pa.array([2**60], pa.timestamp("s"))}), {},
     "do not fit DATETIME"),
]  # fmt: skip


SECONDS_OFF = dt.timezone(dt.timedelta(seconds=3208))  # local mean time of Berlin
TUPLES = pd.Categorical([(1, "x"), None, (1, "x"), (2, "y")])
OBJECTS: list[tuple[list[Any], dict[str, Any], list[Any]]] = [
    ([np.datetime64("2024-02-29"), None, np.datetime64("NaT", "D"), NOON], {},
     [dt.datetime(2024, 2, 29), None, None, NOON]),
    ([dt.timedelta(1), np.timedelta64(5, "s"), pd.Timedelta(1)], {}, [86_400.0, 5.0, 1e-9]),
    ([dt.timedelta.max], {"columns": {"C": "STRING"}}, ["86399999999999.999999000"]),
    ([NOON.replace(tzinfo=SECONDS_OFF), pd.NaT], {}, [NOON - dt.timedelta(seconds=3208), None]),
    ([np.int8(1), 300, np.uint64(7), None], {}, [1, 300, 7, None]),
    ([np.float32(0.5), np.float16(2), 0.1], {}, [0.5, 2.0, 0.1]),
    ([np.bool_(True), False], {}, [True, False]),
    ([np.int64(1), 2**64], {"columns": {"C": "STRING"}}, ["1", str(2**64)]),
    ([{"resource": "Bob"}, {"cost": 5}, {}, None], {"nested": "json"},
     ['{"resource": "Bob"}', '{"cost": 5}', "{}", None]),
    ([[{"q": 1}, {"r": "x"}], []], {"nested": "json"}, ['[{"q": 1}, {"r": "x"}]', "[]"]),
    ([{"a": 2**70, "b": pd.NaT, "c": float("nan")}], {"nested": "json"},
     [f'{{"a": {2**70}, "b": null, "c": null}}']),
    ([[NOON, DAY], [pd.Timestamp(1)], [NOON.replace(tzinfo=SECONDS_OFF)]], {"nested": "json"},
     ['["2024-02-29T12:00:00.000005", "2024-02-29"]', '["1970-01-01T00:00:00.000000001"]',
      '["2024-02-29T12:00:00.000005+00:53:28"]']),
    ([[pd.Timestamp("2024-01-01", tz=zone)] for zone in ("Europe/Berlin", "Asia/Tokyo")],
     {"nested": "json"}, ['["2024-01-01T00:00:00+01:00"]', '["2024-01-01T00:00:00+09:00"]']),
    ([np.array([[1, 2], [3, 4]]), (1, dt.time(9, 30))], {"nested": "json"},
     ["[[1, 2], [3, 4]]", '[1, "09:30:00"]']),
]  # fmt: skip


def test_objects_are_stored_as_what_they_are(server: Any, connection: Celonis, table: str) -> None:
    """Objects of pandas columns, NumPy's scalars among them, are stored exactly."""
    for values, options, stored in OBJECTS:
        frame = _objects(*values)
        frame["N"] = range(len(values))
        connection.push(frame, "Types", table, mode="REPLACE", **options)
        back = server.table("Types", table).sort_by("N")["C"].to_pylist()
        assert [_plain(v) for v in back] == [_plain(v) for v in stored], values


def test_categories_of_tuples(server: Any, connection: Celonis, table: str) -> None:
    """Tuples are nested values also as categories."""
    frame = pd.DataFrame({"N": range(4), "C": TUPLES})
    with pytest.raises(exceptions.ColumnTypeError, match=r"'C' is object of dict or list.*nested="):
        connection.push(frame, "Types", table)
    connection.push(frame, "Types", table, nested="json")
    stored = server.table("Types", table).sort_by("N")["C"].to_pylist()
    assert stored == ['[1, "x"]', None, '[1, "x"]', '[2, "y"]']


def test_duckdb_types_that_arrow_lacks(server: Any, connection: Celonis, table: str) -> None:
    """Integers that DuckDB's Arrow stream wraps are read as they are, also inside others."""
    big = 2**128 - 1
    frame = duckdb.sql(
        f"SELECT {big}::UHUGEINT u, 7::UHUGEINT \"sm all\", '123'::BIGNUM b, "
        f"[{big}::UHUGEINT, NULL] l, {{'a': 5::HUGEINT, 'b': 'x'}} s, '24:00:00'::TIME t, "
        f"MAP {{'k': {big}::UHUGEINT}} m, array_value(1::UHUGEINT, 2::UHUGEINT) a, "
        "'101'::BIT bits, [4::HUGEINT, 5] h"
    )
    connection.push(frame, "Types", table, nested="json", columns={"u": "STRING"})
    assert server.table("Types", table).to_pydict() == {
        "u": [str(big)], "sm all": [7.0], "b": [123], "l": [f"[{big}, null]"],
        "s": ['{"a": 5, "b": "x"}'], "t": ["24:00:00.000000"], "m": [f'[["k", {big}]]'],
        "a": ["[1, 2]"], "bits": ["101"], "h": ["[4, 5]"],
    }  # fmt: skip
    for query in ("'09:30:00+02'::TIMETZ C", "[{'a': '09:30:00+02'::TIMETZ}] C"):
        with pytest.raises(exceptions.ColumnTypeError, match=r"'C' is .*without their zone"):
            connection.push(duckdb.sql(f"SELECT {query}"), "Types", table, nested="json")


def test_wide_integers_of_polars_inside_others(
    server: Any, connection: Celonis, table: str
) -> None:
    """Integers of 128 bits in lists and structs are numbers in JSON."""
    wide = pl.Struct({"a": pl.List(pl.Int128), "b": pl.Array(pl.Int128, 1), "c": pl.String})
    frame = pl.DataFrame({"C": [{"a": [2**100, None], "b": [-1], "c": "x"}]}, schema={"C": wide})
    stored = [f'{{"a": [{2**100}, null], "b": [-1], "c": "x"}}']
    for one in (frame, frame.lazy()):
        connection.push(one, "Types", table, mode="REPLACE", nested="json")
        assert server.table("Types", table).to_pydict() == {"C": stored}


@pytest.mark.parametrize(
    ("frame", "options", "message"), [case[1:] for case in UNFIT], ids=[case[0] for case in UNFIT]
)
def test_values_that_do_not_fit_are_rejected(
    frame: Any, options: dict[str, Any], message: str
) -> None:
    """What would be cut, shifted or mixed is an error that names the column."""
    with pytest.raises(exceptions.ColumnTypeError, match=message) as caught:
        plan(frame, "P", "T", **options)
    assert caught.value.column == "C"


def test_an_infinite_key_is_no_key() -> None:
    """infinity="null" creates no null keys."""
    frame = pl.DataFrame({"K": [float("inf"), 1.0]})
    with pytest.raises(exceptions.KeyColumnError, match="1 null in"):
        plan(frame, "P", "T", keys="K", infinity="null")


def test_unused_categories_count_for_nothing(server: Any, connection: Celonis, table: str) -> None:
    """A category that no row has is neither measured nor rejected."""
    categories = pd.Index(["a", "x" * 20_000, "n\0l", "\ud800"], dtype=object)
    frame = pd.DataFrame({"C": pd.Categorical.from_codes([0, -1, 0], categories)})
    assert [c.length for c in plan(frame, "P", "T").columns] == [80]
    connection.push(frame, "Types", table)
    assert sorted(server.table("Types", table)["C"].to_pylist(), key=str) == [None, "a", "a"]


@pytest.mark.parametrize("option", ["nested", "binary", "infinity"])
def test_choices_are_checked(option: str) -> None:
    """An unknown word for an option is rejected, and the message lists the known ones."""
    with pytest.raises(exceptions.ConfigError, match=f"{option}='some'.* error"):
        plan(pa.table({"C": [1]}), "P", "T", **{option: "some"})


def test_binary_keys_delete_what_they_pushed(server: Any, connection: Celonis, table: str) -> None:
    """Rows pushed with binary keys are deleted by the same keys."""
    frame = pl.DataFrame({"K": [b"\x00\x01", b"\x02"], "V": [1, 2]})
    connection.push(frame, "Types", table, keys="K", binary="hex")
    connection.delete(frame.head(1), "Types", table, keys="K", binary="hex")
    assert server.table("Types", table).to_pydict() == {"K": ["02"], "V": [2]}
