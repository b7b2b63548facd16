"""Columns of every polars type."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import polars.testing.parametric as plp
from hypothesis import strategies as st

from strategies.oracle import (
    BYTES,
    DATES,
    TEXTS,
    Drawn,
    Kind,
    clock,
    clocks,
    decimals,
    drawn_from,
    finite,
    long,
    midnight,
    moment,
    moment_in_csv,
    moments,
    numbers,
    same,
    span,
    text,
)


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
    drawn = drawn_from(Kind("", st.none(), lambda _: series, stored), series.to_list())
    return replace(drawn, kind=f"polars' own {dtype}")
