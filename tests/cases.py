"""One case for each type of each library; the tables of docs/types.md are generated from them.

docs/mirror.py plans a push of every case and writes the result; tests/integration/test_types.py
pushes every case and compares what is stored.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

DAY, NOON = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, 0, 0, 5)
MIDNIGHT = dt.datetime(2024, 2, 29)
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
BIG, D = 2**63 - 1, decimal.Decimal
ZONE = dt.timezone(dt.timedelta(hours=2))


@dataclass(frozen=True)
class Case:
    """A column of one type.

    Attributes:
        type: The type, as the documentation shows it.
        make: The column: a pandas or polars Series, or an Arrow array.
        stored: The values that must be stored; None if the column must be rejected.
        message: Regular expression that the error message must match.
        options: Parameters of the push, which the documentation shows.
        needs: A name that pyarrow must have for the case.
        note: A remark for the documentation.
    """

    type: str
    make: Callable[[], Any]
    stored: list[Any] | None = None
    message: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    needs: str = ""
    note: str = ""


def _s(values: list[Any], dtype: Any = object) -> Callable[[], Any]:
    return lambda: pd.Series(values, dtype=dtype)


def _p(values: list[Any], dtype: Any = None) -> Callable[[], Any]:
    return lambda: pl.Series(values, dtype=dtype)


def _a(values: list[Any], kind: Any = None) -> Callable[[], Any]:
    return lambda: pa.array(values, kind)


HEX, BASE64, JSON = {"binary": "hex"}, {"binary": "base64"}, {"nested": "json"}
NULL_INF = {"infinity": "null"}
NEEDS_BINARY = "cannot store: push with binary="
NEEDS_JSON = 'nested="json"'

PANDAS = [
    Case("int8, int16, int32, int64", _s([-128, 127], "int8"), [-128, 127]),
    Case("uint8, uint16, uint32", _s([0, 2**32 - 1], "uint32"), [0, 2**32 - 1]),
    Case("uint64", _s([0, BIG], "uint64"), [0, BIG]),
    Case("uint64 beyond 64 bits", _s([0, 2**64 - 1], "uint64"), None, "up to 18446744073709551615"),
    Case("Int8 to Int64, UInt8 to UInt64", _s([2**53 + 1, None], "Int64"), [2**53 + 1, None],
         note="nulls stay nulls, integers stay integers"),
    Case("float32, float64 (NumPy)", _s([0.1, float("nan")], "float64"), [0.1, None],
         note="NumPy has no null: NaN is sent as null"),
    Case("Float32, Float64", _s([0.1, None], "Float64"), [0.1, None]),
    Case("float with infinities", _s([float("inf"), 1.0], "float64"), None, 'infinity="null"'),
    Case("float with infinities", _s([float("inf"), 1.0], "float64"), [None, 1.0], options=NULL_INF),
    Case("bool", _s([True, False], "bool"), [True, False]),
    Case("boolean", _s([True, None], "boolean"), [True, None]),
    Case("str (pandas 3), string", _s(["0045", None], "string"), ["0045", None]),
    Case("category of strings", _s(["a", None], "category"), ["a", None],
         note="categories that no row has are ignored"),
    Case("category of numbers", _s([7, None], pd.CategoricalDtype([7, 8])), [7, None]),
    Case("category of Interval (pd.cut)", lambda: pd.Series(pd.cut([1, 4], [0, 2, 4])),
         ["(0, 2]", "(2, 4]"]),
    Case("category of Period", lambda: pd.Series(pd.Categorical(
        pd.PeriodIndex(["2024-02", "2024-03"], freq="M"))), ["2024-02", "2024-03"]),
    Case("datetime64[s, ms, us]", _s([NOON, None], "datetime64[us]"), [NOON, None]),
    Case("datetime64[ns]", _s([NOON, None], "datetime64[ns]"), [NOON, None]),
    Case("datetime64[unit, zone]", lambda: pd.Series([NOON, None]).dt.tz_localize("Europe/Berlin"),
         [NOON - dt.timedelta(hours=1), None], note="the UTC instant"),
    Case("timedelta64", _s([dt.timedelta(seconds=90, milliseconds=5), None], "timedelta64[us]"),
         [90.005, None]),
    Case("Period", lambda: pd.Series(pd.PeriodIndex(["2024-02", None], freq="M")), ["2024-02", None],
         note="a string, as pandas writes it"),
    Case("Interval", lambda: pd.Series(pd.arrays.IntervalArray.from_tuples([(0, 1), None])),
         ["(0.0, 1.0]", None], note="a string, as pandas writes it"),
    Case("Sparse", lambda: pd.Series(pd.arrays.SparseArray([0, 5])), [0, 5]),
    Case("ArrowDtype", _s([D("1.25"), None], pd.ArrowDtype(pa.decimal128(9, 2))), [1.25, None],
         note="as its Arrow type, see below; NaN stays NaN"),
    Case("complex", _s([1j, 2j], "complex128"), None, "'C' is complex128"),
    Case("object of str", _s(["a", None]), ["a", None]),
    Case("object of bool", _s([True, None]), [True, None]),
    Case("object of int", _s([2**53 + 1, None]), [2**53 + 1, None],
         note="beyond 64 bits an error, unless columns= says STRING or FLOAT"),
    Case("object of int beyond 64 bits", _s([2**64, None]), None, "up to 18446744073709551616"),
    Case("object of float", _s([1.5, None]), [1.5, None]),
    Case("object of Decimal", _s([D("0.57"), None]), [0.57, None]),
    Case("object of Decimal infinities", _s([D("Infinity"), D(1)]), None, "decimals without"),
    Case("object of date", _s([DAY, None]), [MIDNIGHT, None]),
    Case("object of datetime", _s([NOON, None]), [NOON, None],
         note="Timestamps keep their nanoseconds"),
    Case("object of datetime with zones",
         _s([NOON.replace(tzinfo=ZONE), NOON.replace(tzinfo=dt.UTC)]),
         [NOON - dt.timedelta(hours=2), NOON], note="the UTC instant"),
    Case("object of datetimes with and without zone", _s([NOON, NOON.replace(tzinfo=ZONE)]), None,
         "datetime without zone at first, datetime with zone from row 1"),
    Case("object of date and datetime", _s([DAY, NOON]), None, "date at first, datetime"),
    Case("object of time", _s([dt.time(9, 30), None]), ["09:30:00.000000", None]),
    Case("object of time with a zone", _s([None, dt.time(9, 30, tzinfo=ZONE)]), None,
         "a zone in row 1"),
    Case("object of timedelta", _s([dt.timedelta(seconds=1.5), None]), [1.5, None]),
    Case("object of UUID", _s([ID, None]), [str(ID), None]),
    Case("object of UUID and str", _s([ID, "x"]), None, "UUID at first, str from row 1"),
    Case("object of bytes", _s([b"\x00\xff", None]), None, NEEDS_BINARY),
    Case("object of bytes", _s([b"\x00\xff", None]), ["00ff", None], options=HEX),
    Case("object of dict, list", _s([{"a": 1}, None]), None, NEEDS_JSON),
    Case("object of dict, list", _s([{"a": [1, None], "b": "ä"}, None]),
         ['{"a": [1, null], "b": "ä"}', None], options=JSON),
    Case("object, mixed", _s([None, 1, "x"]), None, "int at first, str from row 2"),
    Case("object of anything else", _s([object(), None]), None, "object objects"),
    Case("object, only nulls", _s([None, float("nan")]), [None, None],
         note="STRING, unless columns= names another type"),
]  # fmt: skip

POLARS = [
    Case("Int8, Int16, Int32, Int64", _p([BIG, None], pl.Int64), [BIG, None]),
    Case("UInt8, UInt16, UInt32", _p([2**32 - 1, None], pl.UInt32), [2**32 - 1, None]),
    Case("UInt64", _p([BIG, None], pl.UInt64), [BIG, None], note="a value that does not fit 64 bits is an error"),
    Case("UInt64 beyond 64 bits", _p([2**63], pl.UInt64), None, "up to 9223372036854775808"),
    Case("Int128, UInt128", _p([-BIG, None], pl.Int128), [-BIG, None],
         note="a value that does not fit 64 bits is an error"),
    Case("Int128 beyond 64 bits", _p([-(2**100), 5], pl.Int128), None, f"up to -{2**100}"),
    Case("Int128 beyond 64 bits", _p([2**100, None], pl.Int128), [str(2**100), None],
         options={"columns": {"C": "STRING"}}),
    Case("Float32, Float64", _p([float("nan"), None], pl.Float64), [float("nan"), None],
         note="NaN is a value, null is null"),
    Case("Float with infinities", _p([float("-inf")], pl.Float64), None, "1 infinite"),
    Case("Float with infinities", _p([float("-inf"), None], pl.Float64), [None, None], options=NULL_INF),
    Case("Decimal", _p([D("0.57"), None], pl.Decimal(9, 2)), [0.57, None]),
    Case("Decimal", _p([D("12345678901234567.89"), D("0.50")], pl.Decimal(20, 2)),
         ["12345678901234567.89", "0.50"], options={"columns": {"C": "STRING"}}),
    Case("Boolean", _p([True, None], pl.Boolean), [True, None]),
    Case("String", _p(["", None], pl.String), ["", None]),
    Case("Categorical", _p(["a", None], pl.Categorical), ["a", None]),
    Case("Enum", _p(["a", None], pl.Enum(["b", "a"])), ["a", None]),
    Case("Binary", _p([b"x"], pl.Binary), None, NEEDS_BINARY),
    Case("Binary", _p([b"\x00\xff", None], pl.Binary), ["AP8=", None], options=BASE64),
    Case("Date", _p([DAY, None], pl.Date), [MIDNIGHT, None]),
    Case("Datetime", _p([NOON, None], pl.Datetime("us")), [NOON, None]),
    Case("Datetime with zone", lambda: pl.Series([NOON, None]).dt.replace_time_zone("Europe/Berlin"),
         [NOON - dt.timedelta(hours=1), None], note="the UTC instant"),
    Case("Duration", _p([dt.timedelta(seconds=90, milliseconds=5), None]), [90.005, None]),
    Case("Time", _p([dt.time(9, 30), None]), ["09:30:00.000000", None]),
    Case("Null", _p([None, None], pl.Null), [None, None]),
    Case("List, Array, Struct", _p([[1]], pl.List(pl.Int64)), None, NEEDS_JSON),
    Case("List", _p([[1, None], None], pl.List(pl.Int64)), ["[1, null]", None], options=JSON),
    Case("Array", _p([[1.5, float("nan")], None], pl.Array(pl.Float64, 2)), ["[1.5, null]", None],
         options=JSON),
    Case("Struct", _p([{"a": NOON, "b": D("0.10")}, None]),
         ['{"a": "2024-02-29T12:00:00.000005", "b": "0.10"}',
          None], options=JSON),
    Case("Object", lambda: pl.Series([object()], dtype=pl.Object), None, "Python objects"),
]  # fmt: skip

_RUNS = pa.RunEndEncodedArray.from_arrays
_EXTENSION = pa.ExtensionArray.from_storage


def _dense_union() -> Any:
    return pa.UnionArray.from_dense(
        pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["x"])]
    )


ARROW = [
    Case("int8, int16, int32, int64", _a([1, None], pa.int8()), [1, None]),
    Case("uint8, uint16, uint32", _a([2**32 - 1, None], pa.uint32()), [2**32 - 1, None]),
    Case("uint64", _a([BIG, None], pa.uint64()), [BIG, None]),
    Case("float16", lambda: pa.array([0.5, None]).cast(pa.float16()), [0.5, None]),
    Case("float32, float64", _a([float("nan"), None], pa.float32()), [float("nan"), None],
         note="NaN is a value, null is null"),
    Case("decimal32, decimal64", lambda: pa.array([D("0.57"), None], pa.decimal32(9, 2)), [0.57, None],
         needs="decimal32"),
    Case("decimal128, decimal256", _a([D("0.57"), None], pa.decimal256(60, 2)), [0.57, None]),
    Case("decimal of negative scale", _a([D("12E4"), None], pa.decimal128(3, -4)), [120000.0, None]),
    Case("bool", _a([True, None]), [True, None]),
    Case("arrow.bool8", lambda: _EXTENSION(pa.bool8(), pa.array([2, None], pa.int8())), [True, None],
         needs="bool8"),
    Case("string, large_string, string_view", _a(["ä", None], pa.string_view()), ["ä", None]),
    Case("date32, date64", _a([DAY, None], pa.date64()), [MIDNIGHT, None]),
    Case("date32 as DATE", _a([DAY, None], pa.date32()), [DAY, None],
         options={"columns": {"C": "DATE"}}),
    Case("timestamp[s, ms, us]", _a([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)], pa.timestamp("ms")),
         [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)]),
    Case("timestamp[ns]", _a([NOON, None], pa.timestamp("ns")), [NOON, None]),
    Case("timestamp[unit, zone]", _a([NOON, None], pa.timestamp("us", "Europe/Berlin")), [NOON, None],
         note="the UTC instant"),
    Case("timestamp as STRING", _a([NOON, None], pa.timestamp("us", "Europe/Berlin")),
         ["2024-02-29 12:00:00.000005Z", None], options={"columns": {"C": "STRING"}}),
    Case("timestamp as DATE", _a([NOON], pa.timestamp("us")), None, "1 are not midnight",
         options={"columns": {"C": "DATE"}}),
    Case("time32, time64", _a([dt.time(9, 30), None], pa.time32("s")), ["09:30:00.000000", None]),
    Case("time64[ns]", lambda: pa.array([1, 1000], pa.int64()).cast(pa.time64("ns")),
         ["00:00:00.000000001", "00:00:00.000001"]),
    Case("time as TIME", _a([dt.time(9, 30)]), None, 'upload={"file_type": "CSV"}',
         options={"columns": {"C": "TIME"}}),
    Case("time as TIME", _a([dt.time(9, 30), None]), [dt.time(9, 30), None],
         options={"columns": {"C": "TIME"}, "upload": {"file_type": "CSV"}}),
    Case("duration", _a([dt.timedelta(seconds=90, milliseconds=5), None]), [90.005, None]),
    Case("null", lambda: pa.nulls(2), [None, None]),
    Case("null as DATE", lambda: pa.nulls(2), [None, None], options={"columns": {"C": "DATE"}}),
    Case("dictionary", lambda: pa.array(["x", None]).dictionary_encode(), ["x", None],
         note="the type of its values"),
    Case("dictionary of string_view", lambda: pa.DictionaryArray.from_arrays(
        pa.array([0, None], pa.int8()), pa.array(["x"], pa.string_view())), ["x", None]),
    Case("run_end_encoded", lambda: pc.run_end_encode(pa.array([7, None])), [7, None],
         note="the type of its values"),
    Case("run_end_encoded of dictionary", lambda: _RUNS(
        pa.array([1, 2], pa.int16()), pa.array(["x", None]).dictionary_encode()), ["x", None]),
    Case("arrow.uuid", lambda: _EXTENSION(pa.uuid(), pa.array([ID.bytes, None], pa.binary(16))),
         [str(ID), None], needs="uuid"),
    Case("arrow.json", lambda: _EXTENSION(pa.json_(), pa.array(["{}", None])), ["{}", None],
         needs="json_"),
    Case("pandas.period", lambda: pa.array(pd.PeriodIndex(["2024-02"], freq="M")), None,
         "periods to strings"),
    Case("other extension types", lambda: _EXTENSION(
        pa.opaque(pa.int32(), "a", "b"), pa.array([5, None], pa.int32())), [5, None], needs="opaque",
        note="the type of their storage"),
    Case("binary, large_binary, binary_view, fixed_size_binary", _a([b"x"], pa.binary_view()), None,
         NEEDS_BINARY),
    Case("binary, large_binary, binary_view, fixed_size_binary", _a([b"xy", None], pa.binary(2)),
         ["7879", None], options=HEX),
    Case("binary", _a([b"xyz1", None]), ["eHl6MQ==", None], options=BASE64),
    Case("list, large_list, fixed_size_list, list_view", _a([[1]], pa.list_view(pa.int64())), None,
         NEEDS_JSON),
    Case("list, large_list, fixed_size_list, list_view", _a([[1, None], None], pa.large_list(pa.int64())),
         ["[1, null]", None], options=JSON),
    Case("list of binary", _a([[b"x"]]), None, "contain bytes", options=JSON),
    Case("list of binary", _a([[b"x"], None]), ['["78"]', None], options=JSON | HEX),
    Case("list of floats", _a([[float("inf")]]), None, "contain infinities", options=JSON),
    Case("list of floats", _a([[float("inf"), float("nan"), 1e17], None]), ["[null, null, 1e+17]", None],
         options=JSON | NULL_INF, note="JSON has no NaN, so it is null"),
    Case("struct", _a([{"a": DAY, "b": dt.timedelta(seconds=1.5)}, None]),
         ['{"a": "2024-02-29", "b": 1.5}', None], options=JSON),
    Case("map", _a([[("k", 1)], None], pa.map_(pa.string(), pa.int64())), ['[["k", 1]]', None],
         options=JSON, note="a list of pairs, since keys need not be strings"),
    Case("union", _dense_union, ["1", '"x"'], options=JSON),
    Case("month_day_nano_interval", _a([pa.MonthDayNano([1, 2, 3])]), None, "duration or a string"),
]  # fmt: skip

LIBRARIES = {"pandas": PANDAS, "polars": POLARS, "Arrow": ARROW}


def possible(case: Case) -> bool:
    """Whether the installed pyarrow has the type."""
    return not case.needs or hasattr(pa, case.needs)


def frame(library: str, columns: dict[str, Any]) -> Any:
    """A frame of the library, with a column N that numbers the rows."""
    rows = range(len(next(iter(columns.values()))))
    if library == "pandas":
        return pd.DataFrame({"N": rows} | columns)
    if library == "polars":
        return pl.DataFrame([pl.Series("N", rows), *(c.alias(n) for n, c in columns.items())])
    return pa.table({"N": pa.array(rows)} | columns)
