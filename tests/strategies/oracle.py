"""Kinds of columns, and what is stored for their values.

This is computed from Python values alone, without the code under test.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import strategies as st

from celonis_frames._validation.column_stats import WRITES_EARLY_TIMES

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
    """A column and what each of its values must become: something stored, or REJECTED."""

    kind: str
    column: Any
    parquet: list[Any]
    csv: list[Any]
    given: list[Any]  # its values, None for null
    exact: Callable[[Any], Fraction]  # the number that a drawn value is

    def each(self, file_type: str) -> list[Any]:
        """What each value becomes."""
        return self.csv if file_type == "CSV" else self.parquet

    def stored(self, file_type: str) -> Any:
        """The stored values, or REJECTED if one is."""
        found = self.each(file_type)
        return REJECTED if any(value is REJECTED for value in found) else found


def columns(kind: Kind, rows: int) -> st.SearchStrategy[Drawn]:
    """Columns of a kind."""
    value = st.one_of(st.none(), kind.each) if kind.nulls else kind.each
    return st.lists(value, min_size=rows, max_size=rows).map(
        lambda values: drawn_from(kind, values)
    )


def drawn_from(kind: Kind, values: list[Any]) -> Drawn:
    def each(stored: Callable[[Any], Any]) -> list[Any]:
        return [None if value is None else stored(value) for value in values]

    exact = kind.stored.exact if isinstance(kind.stored, Span) else Fraction
    return Drawn(
        kind.id, kind.build(values), each(kind.stored), each(kind.csv or kind.stored), values, exact
    )


# What is read back


def physical(column: Any) -> list[Any]:
    """Stored values as the oracle says them: times in microseconds."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
    return column.to_pylist()


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same: NaN is NaN, -0.0 is not 0.0, 1 is not True."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return type(one) is type(other) and one == other


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
    """Microseconds, cut as DuckDB cuts INT96; rejected beyond what Arrow can write as INT96."""

    def stored(count: int) -> Any:
        micros = count * 10**6 // PER_SECOND[unit]
        if not WRITES_EARLY_TIMES and count < 0 and count % (86_400 * PER_SECOND[unit]):
            return REJECTED
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


@dataclass(frozen=True)
class Span:
    """Seconds, as the nearest float, and as they are."""

    unit: str

    def exact(self, count: int) -> Fraction:
        return Fraction(count, PER_SECOND[self.unit])

    def __call__(self, count: int) -> float:
        return float(self.exact(count))


span = Span


UNITS = ("s", "ms", "us", "ns")
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
