"""Columns of every pandas type."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st
from hypothesis.extra import pandas as hpd

from strategies.oracle import (
    BYTES,
    DATES,
    DATETIMES,
    I64,
    REJECTED,
    TEXTS,
    UNITS,
    Drawn,
    Kind,
    decimals,
    drawn_from,
    finite,
    long,
    micros,
    midnight,
    moment,
    moment_in_csv,
    moments,
    numbers,
    same,
    span,
    text,
)


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


def _utc(value: dt.datetime) -> int:
    return micros(value.astimezone(dt.UTC).replace(tzinfo=None))


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
    Kind("pandas datetime64[us, zone]", DATETIMES.map(micros), _zoned, moment("us"),
         moment_in_csv("us"), nulls=False),
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
    Kind("pandas object of datetime", DATETIMES, _objects,
         lambda value: moment("us")(micros(value)), micros),
    Kind("pandas object of datetime with zone", st.datetimes(
            dt.datetime(2, 1, 1), dt.datetime(9999, 12, 30), timezones=st.sampled_from(
                [dt.UTC, dt.timezone(dt.timedelta(hours=-9, minutes=-30))])),
         _objects, lambda value: moment("us")(_utc(value)), _utc),
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
    drawn = drawn_from(Kind("", st.none(), lambda _: series, stored), series.tolist())
    return replace(drawn, kind=f"hypothesis' own {dtype}")
