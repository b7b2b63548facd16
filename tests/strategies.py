"""Hypothesis strategies for columns of every type, each with what must be stored for its values.

What is stored is said here on Python values alone, without the code under test: this is the oracle
of tests/integration/test_roundtrip.py, and the mapping that docs/types.md promises.
"""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import polars.testing.parametric as plp
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st
from hypothesis.extra import pandas as hpd

REJECTED = object()
"""Instead of stored values: the column must be rejected before anything is sent."""

MAX_TEXT_LENGTH = 16_250
EPOCH = dt.datetime(1970, 1, 1)
CSV_FIRST, CSV_LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
INT96_FIRST = -210_866_716_800_000_000
DUCKDB_CUTS_TOWARDS_1970 = duckdb.__version__.startswith("1.")
I64 = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Kind:
    """A type of column: its values, how a column of them is made, and what each becomes.

    Attributes:
        id: Library and type, for messages.
        each: One value, as `stored` understands it; nulls are added by `columns`.
        build: A column of the library from a list of values and None.
        stored: The stored value, or REJECTED.
        csv: The same where the file is CSV; None as `stored`.
        nulls: Whether the library has a null for it.
    """

    id: str
    each: st.SearchStrategy[Any]
    build: Callable[[list[Any]], Any]
    stored: Callable[[Any], Any]
    csv: Callable[[Any], Any] | None = None
    nulls: bool = True


@dataclass(frozen=True)
class Drawn:
    """A column and what it must become."""

    kind: str
    column: Any
    parquet: Any
    csv: Any

    def stored(self, file_type: str) -> Any:
        """The stored values, or REJECTED."""
        return self.csv if file_type == "CSV" else self.parquet


def columns(kind: Kind, rows: int) -> st.SearchStrategy[Drawn]:
    """Columns of a kind."""
    value = st.one_of(st.none(), kind.each) if kind.nulls else kind.each
    return st.lists(value, min_size=rows, max_size=rows).map(lambda values: _drawn(kind, values))


def _drawn(kind: Kind, values: list[Any]) -> Drawn:
    def all_stored(stored: Callable[[Any], Any]) -> Any:
        found = [None if value is None else stored(value) for value in values]
        return REJECTED if any(value is REJECTED for value in found) else found

    parquet = all_stored(kind.stored)
    return Drawn(
        kind.id,
        kind.build(values),
        parquet,
        parquet if kind.csv is None else all_stored(kind.csv),
    )


# What values become


def same(value: Any) -> Any:
    return value


def long(value: int) -> Any:
    return value if I64[0] <= value <= I64[1] else REJECTED


def finite(value: float) -> Any:
    return REJECTED if math.isinf(value) else float(value)


def text(value: str) -> Any:
    return REJECTED if "\0" in value or len(value) > MAX_TEXT_LENGTH else value


def midnight(value: dt.date) -> int:
    return (value - EPOCH.date()).days * 86_400_000_000


def moment(unit: str) -> Callable[[int], Any]:
    """Microseconds, cut as DuckDB cuts INT96; rejected beyond the range of INT96."""

    def stored(count: int) -> Any:
        micros = count * 10**6 // PER_SECOND[unit]
        if DUCKDB_CUTS_TOWARDS_1970 and count < 0:
            micros = -(-count * 10**6 // PER_SECOND[unit])
        return micros if INT96_FIRST <= micros < I64[1] else REJECTED

    return stored


def moment_in_csv(unit: str) -> Callable[[int], Any]:
    """No nanoseconds, and four digits for the year."""

    def stored(count: int) -> Any:
        micros, rest = divmod(count * 10**6, PER_SECOND[unit])
        return REJECTED if rest or not CSV_FIRST <= micros <= CSV_LAST else micros

    return stored


def clock(unit: str) -> Callable[[int], str]:
    """Six digits after the second, nine if there are nanoseconds."""

    def stored(count: int) -> str:
        whole, rest = divmod(count, PER_SECOND[unit])
        nanos = rest * 10**9 // PER_SECOND[unit]
        digits = f"{nanos:09d}" if nanos % 1000 else f"{nanos // 1000:06d}"
        return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{digits}"

    return stored


def span(unit: str) -> Callable[[int], float]:
    return lambda count: float(Fraction(count, PER_SECOND[unit]))


PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


# The values


def numbers(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    near = (low, high, 0, min(high, 2**53 + 1), min(high, 10**17))
    return st.one_of(st.sampled_from(near), st.integers(low, high))


TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(
        ["", "0045", "1e5", "nan", "<NA>", "NULL", "a,b", 'say "x"', "line\nline", "line\r\nline",
         "\r", "\\", "'", " lead", "trail ", "\ufeffbom", "ä" * 81, "é" * 160, "x" * 16_250,
         "x" * 16_251, "𝄞" * 16_250, "a\0b", "-", "#x", "true", "2024-01-01"]
    ),
)  # fmt: skip
DATES = st.dates()
DATETIMES = st.datetimes()
BYTES = st.binary(max_size=6)


def micros(value: dt.datetime) -> int:
    return (value - EPOCH) // dt.timedelta(microseconds=1)


def moments(unit: str) -> st.SearchStrategy[int]:
    """Counts of the unit: anything that 64 bits hold, mostly usual times."""
    year_1, year_9999 = CSV_FIRST // 10**6, CSV_LAST // 10**6
    per = PER_SECOND[unit]
    low, high = max(I64[0] + 1, year_1 * per), min(I64[1], year_9999 * per)
    edges = st.sampled_from([low, high, 0, -1, 1, INT96_FIRST * per // 10**6])
    every = st.integers(I64[0] + 1, I64[1])
    if unit == "ns":
        return st.one_of(every, st.sampled_from([0, -1, 1, 999, 1000, I64[1], I64[0] + 1]))
    # 2**62 microseconds and the like are neither rejected nor of this world: the job stores them.
    return st.one_of(
        st.integers(low, high), edges, every if unit == "us" else st.integers(low, high)
    )


def clocks(unit: str) -> st.SearchStrategy[int]:
    return st.integers(0, 86_400 * PER_SECOND[unit] - 1)


def decimals(precision: int, scale: int) -> st.SearchStrategy[decimal.Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(
        lambda n: decimal.Context(prec=80).scaleb(decimal.Decimal(n), -scale)
    )


# Arrow


def arrow(kind: pa.DataType) -> Callable[[list[Any]], Any]:
    return lambda values: pa.array(values, kind)


def _counts(kind: pa.DataType) -> Callable[[list[Any]], Any]:
    raw = pa.int32() if kind.bit_width == 32 else pa.int64()
    return lambda values: pa.array(values, raw).cast(kind)


def _runs(values: list[Any]) -> Any:
    return pc.run_end_encode(pa.array(values, pa.string()))


def _dictionary(kind: pa.DataType) -> Callable[[list[Any]], Any]:
    """A dictionary with a value that no row uses, some used twice, and null among them."""

    def build(values: list[Any]) -> Any:
        unused = ["never\0used"] if kind == pa.string() else values[:1]
        distinct = [*unused, None, *values]
        indices = [None if v is None and i % 2 else i + 2 for i, v in enumerate(values)]
        return pa.DictionaryArray.from_arrays(
            pa.array(indices, pa.int16()), pa.array(distinct, kind)
        )

    return build


UNITS = ("s", "ms", "us", "ns")
ARROW = [
    *(Kind(f"arrow int{b}", numbers(b), arrow(getattr(pa, f"int{b}")()), same) for b in (8, 16, 32, 64)),
    *(Kind(f"arrow uint{b}", numbers(b, signed=False), arrow(getattr(pa, f"uint{b}")()), long)
      for b in (8, 16, 32, 64)),
    Kind("arrow float16", st.floats(width=16),
         lambda values: pa.array(values, pa.float32()).cast(pa.float16()), finite),
    Kind("arrow float32", st.floats(width=32), arrow(pa.float32()), finite),
    Kind("arrow float64", st.floats(), arrow(pa.float64()), finite),
    *(Kind(f"arrow decimal128({p},{s})", decimals(p, s), arrow(pa.decimal128(p, s)), float)
      for p, s in ((4, 2), (15, 7), (18, 0), (38, 10), (38, 38))),
    Kind("arrow decimal128(5,-3)", decimals(5, -3), arrow(pa.decimal128(5, -3)), float),
    Kind("arrow decimal256(60,20)", decimals(60, 20), arrow(pa.decimal256(60, 20)), float),
    Kind("arrow bool", st.booleans(), arrow(pa.bool_()), same),
    *(Kind(f"arrow {kind}", TEXTS, arrow(kind), text)
      for kind in (pa.string(), pa.large_string(), pa.string_view())),
    Kind("arrow date32", DATES, arrow(pa.date32()), midnight),
    Kind("arrow date64", DATES, arrow(pa.date64()), midnight),
    *(Kind(f"arrow timestamp[{unit}{', ' + zone if zone else ''}]", moments(unit),
           _counts(pa.timestamp(unit, zone)), moment(unit), moment_in_csv(unit))
      for unit, zone in itertools.product(UNITS, (None, "UTC", "Asia/Kolkata"))),
    *(Kind(f"arrow {kind}", clocks(kind.unit), _counts(kind), clock(kind.unit))
      for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))),
    *(Kind(f"arrow duration[{unit}]", numbers(64), _counts(pa.duration(unit)), span(unit))
      for unit in UNITS),
    Kind("arrow null", st.none(), arrow(pa.null()), same),
    *(Kind(f"arrow dictionary<{kind}>", values, _dictionary(kind), stored)
      for kind, values, stored in ((pa.string(), TEXTS, text), (pa.int64(), numbers(64), same),
                                   (pa.float64(), st.floats(), finite))),
    Kind("arrow dictionary<date32>", DATES, _dictionary(pa.date32()), midnight),
    Kind("arrow run_end_encoded<string>", TEXTS, _runs, text),
    Kind("arrow binary", BYTES, arrow(pa.binary()), lambda value: value.hex()),
    Kind("arrow large_binary", BYTES, arrow(pa.large_binary()), lambda value: value.hex()),
    Kind("arrow binary_view", BYTES, arrow(pa.binary_view()), lambda value: value.hex()),
    Kind("arrow fixed_size_binary[2]", st.binary(min_size=2, max_size=2), arrow(pa.binary(2)),
         lambda value: value.hex()),
    Kind("arrow month_day_nano_interval", st.just(pa.MonthDayNano([1, 2, 3])),
         arrow(pa.month_day_nano_interval()), lambda _: REJECTED, nulls=False),
]  # fmt: skip
if hasattr(pa, "decimal32"):
    ARROW += [
        Kind("arrow decimal32(9,2)", decimals(9, 2), arrow(pa.decimal32(9, 2)), float),
        Kind("arrow decimal64(18,4)", decimals(18, 4), arrow(pa.decimal64(18, 4)), float),
    ]
if hasattr(pa, "uuid"):
    ARROW.append(Kind("arrow uuid", st.uuids(), lambda values: pa.ExtensionArray.from_storage(
        pa.uuid(), pa.array([v and v.bytes for v in values], pa.binary(16))), str))  # fmt: skip


@st.composite
def cut(draw: st.DrawFn, array: Any) -> Any:
    """The same values in several pieces, each a slice of something longer."""
    places = sorted(draw(st.lists(st.integers(0, len(array)), max_size=2)))
    pieces = []
    for start, stop in itertools.pairwise([0, *places, len(array)]):
        piece = array.slice(start, stop - start)
        pieces.append(piece)
    return pa.chunked_array(pieces, array.type)


# polars


def polars(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda values: pl.Series(values, dtype=dtype, strict=True)


def _cast(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda values: pl.Series(values, dtype=pl.Int64).cast(dtype)


POLARS_UNITS = ("ms", "us", "ns")
POLARS = [
    *(Kind(f"polars {dtype}", numbers(bits), polars(dtype), long)
      for dtype, bits in ((pl.Int8, 8), (pl.Int16, 16), (pl.Int32, 32), (pl.Int64, 64), (pl.Int128, 128))),
    *(Kind(f"polars {dtype}", numbers(bits, signed=False), polars(dtype), long)
      for dtype, bits in ((pl.UInt8, 8), (pl.UInt16, 16), (pl.UInt32, 32), (pl.UInt64, 64))),
    Kind("polars Float32", st.floats(width=32), polars(pl.Float32), finite),
    Kind("polars Float64", st.floats(), polars(pl.Float64), finite),
    Kind("polars Boolean", st.booleans(), polars(pl.Boolean), same),
    Kind("polars String", TEXTS, polars(pl.String), text),
    Kind("polars Categorical", TEXTS, polars(pl.Categorical), text),
    Kind("polars Enum", st.sampled_from(["a", "ä", ""]), polars(pl.Enum(["", "a", "ä", "x" * 20_000])), same),
    Kind("polars Decimal(20,5)", decimals(20, 5), polars(pl.Decimal(20, 5)), float),
    Kind("polars Date", DATES, polars(pl.Date), midnight),
    *(Kind(f"polars Datetime[{unit}, {zone}]", moments(unit), _cast(pl.Datetime(unit, zone)),
           moment(unit), moment_in_csv(unit))
      for unit, zone in itertools.product(POLARS_UNITS, (None, "America/New_York"))),
    Kind("polars Time", clocks("ns"), _cast(pl.Time), clock("ns")),
    *(Kind(f"polars Duration[{unit}]", numbers(64), _cast(pl.Duration(unit)), span(unit))
      for unit in POLARS_UNITS),
    Kind("polars Null", st.none(), polars(pl.Null), same),
    Kind("polars Binary", BYTES, polars(pl.Binary), lambda value: value.hex()),
]  # fmt: skip


@st.composite
def polars_own(draw: st.DrawFn, rows: int) -> Drawn:
    """Columns of polars' own strategies."""
    dtypes = [pl.Int8, pl.Int64, pl.UInt32, pl.UInt64, pl.Float64, pl.Boolean, pl.String, pl.Date,
              pl.Categorical, pl.Binary, pl.Null]  # fmt: skip
    dtype = draw(st.sampled_from(dtypes))
    series = draw(
        plp.series(dtype=dtype, min_size=rows, max_size=rows, allow_null=True, strategy=None)
    )
    stored = {
        pl.Float64: finite, pl.String: text, pl.Categorical: text, pl.Date: midnight,
        pl.Binary: lambda value: value.hex(),
    }.get(dtype, long if dtype.is_integer() else same)  # fmt: skip
    drawn = _drawn(Kind("", st.none(), lambda _: series, stored), series.to_list())
    return Drawn(f"polars' own {dtype}", drawn.column, drawn.parquet, drawn.csv)


# pandas


def pandas(dtype: Any) -> Callable[[list[Any]], Any]:
    return lambda values: pd.Series(values, dtype=dtype)


def _objects(values: list[Any]) -> Any:
    return pd.Series(values, dtype=object)


def _zoned(values: list[Any]) -> Any:
    return (
        pd.Series(values, dtype="int64")
        .astype("datetime64[us]")
        .dt.tz_localize("UTC")
        .dt.tz_convert("Asia/Tokyo")
    )


def _times(unit: str) -> Callable[[list[Any]], Any]:
    return lambda values: pd.Series(values, dtype="int64").astype(f"datetime64[{unit}]")


def _category(values: list[Any]) -> Any:
    return pd.Series(
        pd.Categorical(values, [*dict.fromkeys(v for v in values if v is not None), "unused"])
    )


def _nan_is_null(value: float) -> Any:
    return None if math.isnan(value) else finite(value)


def _timestamp(nanos: int) -> Any:
    return pd.Timestamp(nanos)


NANOS = st.one_of(st.integers(-(2**62), 2**62), st.sampled_from([1, 0, -1, 1000]))
PANDAS = [
    *(Kind(f"pandas {dtype}", numbers(bits), pandas(dtype), same, nulls=dtype[0] == "I")
      for dtype, bits in (("int8", 8), ("int64", 64), ("Int16", 16), ("Int64", 64))),
    Kind("pandas uint64", numbers(64, signed=False), pandas("uint64"), long, nulls=False),
    Kind("pandas UInt64", numbers(64, signed=False), pandas("UInt64"), long),
    Kind("pandas float32", st.floats(width=32), pandas("float32"), _nan_is_null, nulls=False),
    Kind("pandas float64", st.floats(), pandas("float64"), _nan_is_null),
    Kind("pandas Float64", st.floats(allow_nan=False), pandas("Float64"), finite),
    Kind("pandas bool", st.booleans(), pandas("bool"), same, nulls=False),
    Kind("pandas boolean", st.booleans(), pandas("boolean"), same),
    Kind("pandas str", TEXTS, pandas(str if pd.__version__ >= "3" else object), text),
    Kind("pandas string", TEXTS, pandas("string"), text),
    Kind("pandas category", TEXTS.filter(lambda t: t != "unused"), _category, text),
    *(Kind(f"pandas datetime64[{unit}]", moments(unit), _times(unit), moment(unit), moment_in_csv(unit),
           nulls=False) for unit in UNITS),
    Kind("pandas datetime64[us, zone]", DATETIMES.map(micros), _zoned, same, nulls=False),
    *(Kind(f"pandas timedelta64[{unit}]", numbers(64).filter(lambda n: n > I64[0]),
           lambda values, unit=unit: pd.Series(values, dtype="int64").astype(f"timedelta64[{unit}]"),
           span(unit), nulls=False) for unit in UNITS),
    Kind("pandas Sparse[int64]", numbers(64), pandas(pd.SparseDtype("int64", 0)), same, nulls=False),
    Kind("pandas Sparse[float64]", st.floats(), pandas(pd.SparseDtype("float64")), _nan_is_null,
         nulls=False),
    Kind("pandas Arrow int64", numbers(64), pandas(pd.ArrowDtype(pa.int64())), same),
    Kind("pandas Arrow double", st.floats(), lambda values: pd.Series(
        pd.arrays.ArrowExtensionArray(pa.array(values, pa.float64()))), finite),
    Kind("pandas Arrow decimal", decimals(20, 3), pandas(pd.ArrowDtype(pa.decimal128(20, 3))), float),
    Kind("pandas Arrow string", TEXTS, pandas(pd.ArrowDtype(pa.string())), text),
    Kind("pandas Arrow date32", DATES, pandas(pd.ArrowDtype(pa.date32())), midnight),
    Kind("pandas object of str", TEXTS, _objects, text),
    Kind("pandas object of int", st.integers(-(2**70), 2**70), _objects, long),
    Kind("pandas object of bool", st.booleans(), _objects, same),
    Kind("pandas object of bytes", BYTES, _objects, lambda value: value.hex()),
    Kind("pandas object of date", DATES, _objects, midnight),
    Kind("pandas object of time", st.times(), _objects, lambda value: value.isoformat("microseconds")),
    Kind("pandas object of datetime", DATETIMES, _objects, micros),
    Kind("pandas object of datetime with zone", st.datetimes(
            dt.datetime(2, 1, 1), dt.datetime(9999, 12, 30), timezones=st.sampled_from(
                [dt.UTC, dt.timezone(dt.timedelta(hours=-9, minutes=-30))])),
         _objects, lambda value: micros(value.astimezone(dt.UTC).replace(tzinfo=None))),
    Kind("pandas object of Timestamp", NANOS.map(_timestamp), _objects,
         lambda value: moment("ns")(value.value), lambda value: moment_in_csv("ns")(value.value)),
    Kind("pandas object of Decimal", decimals(30, 4), _objects, float),
    Kind("pandas object of UUID", st.uuids(), _objects, str),
    Kind("pandas Period", st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1)),
         lambda values: pd.Series(pd.PeriodIndex([pd.NaT if v is None else pd.Period(v, "D") for v in values], freq="D")),
         lambda value: value.isoformat()),
    Kind("pandas Interval", st.integers(-99, 99),
         lambda values: pd.Series(pd.arrays.IntervalArray.from_arrays(values, [v + 1 for v in values])),
         lambda value: f"({value}, {value + 1}]", nulls=False),
    Kind("pandas category of Period", st.dates(dt.date(1900, 1, 1), dt.date(2200, 1, 1)),
         lambda values: pd.Series(pd.Categorical([pd.Period(v, "M") for v in values])),
         lambda value: f"{value:%Y-%m}", nulls=False),
    Kind("pandas object mixed", st.sampled_from([1, "x"]), lambda values: pd.Series(
        [*values[:-2], 1, "x"], dtype=object), lambda _: REJECTED, nulls=False),
]  # fmt: skip


@st.composite
def pandas_own(draw: st.DrawFn, rows: int) -> Drawn:
    """Columns of hypothesis' own strategies for pandas."""
    dtype, stored = draw(
        st.sampled_from(
            [("int32", same), ("uint16", same), ("bool", same), ("float64", _nan_is_null)]
        )
    )
    series = draw(hpd.series(dtype=dtype, index=hpd.range_indexes(rows, rows)))
    drawn = _drawn(Kind("", st.none(), lambda _: series, stored), series.tolist())
    return Drawn(f"hypothesis' own {dtype}", drawn.column, drawn.parquet, drawn.csv)


def any_column(library: str, rows: int) -> st.SearchStrategy[Drawn]:
    """A column of any type of a library."""
    kinds = {"arrow": ARROW, "polars": POLARS, "pandas": PANDAS}[library]
    some = st.sampled_from(kinds).flatmap(lambda kind: columns(kind, rows))
    own = {"polars": polars_own, "pandas": pandas_own}.get(library)
    return some if own is None else st.integers(0, 9).flatmap(
        lambda n: some if n else own(rows)
    )  # fmt: skip


def frame(library: str, named: dict[str, Any]) -> Any:
    """A frame of a library from its columns."""
    if library == "polars":
        return pl.DataFrame([series.alias(name) for name, series in named.items()])
    if library == "pandas":
        return pd.concat(list(named.values()), axis=1, keys=list(named))
    return pa.table(named)
