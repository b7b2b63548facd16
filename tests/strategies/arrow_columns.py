"""Columns of every Arrow type."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st

from strategies.oracle import (
    BYTES,
    DATES,
    REJECTED,
    TEXTS,
    UNITS,
    Kind,
    clock,
    clocks,
    decimals,
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
