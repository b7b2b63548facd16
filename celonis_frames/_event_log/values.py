"""The values of the columns of an event log, in the few forms that are counted and compared."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._arrow.extension_types import NestedObjects
from celonis_frames.exceptions import ColumnTypeError

_is = pa.types

DAY = 86_400_000_000
"""Microseconds of a day."""

_FARTHEST = {"s": 8_000_000_000_000, "ms": 8_000_000_000_000_000}
"""Times in these units that are still 64-bit numbers as microseconds: about 250,000 years."""


def identities(array: Any, name: str) -> Any:
    """Values that are equal where Celonis sees one value: text, integers, floats or booleans.

    Raises:
        ColumnTypeError: A list, a struct or the like, which identifies nothing.
    """
    values = casts.decoded(array)
    # Dicts and lists of Python are stored as JSON, or as nulls, but are none.
    kind = array.type if isinstance(array.type, NestedObjects) else values.type
    if casts.is_text(kind) or _is.is_floating(kind) or _is.is_boolean(kind):
        return values
    if _is.is_integer(kind):
        return values.cast(pa.int64(), safe=False)  # 64 bits as they are
    if _is.is_decimal(kind):
        return casts.decimal_text(values)
    if _is.is_binary(kind) or _is.is_large_binary(kind) or _is.is_fixed_size_binary(kind):
        return casts.hex_text(values)
    if _is.is_null(kind) or _is.is_temporal(kind):
        return values.cast(pa.large_string())
    found = NestedObjects.shown if isinstance(kind, NestedObjects) else kind
    raise ColumnTypeError(
        f"Column {name!r} ({found}) cannot be part of an event log: cases, activities and times "
        "are single values.",
        column=name,
    )


def microseconds(array: Any) -> Any:
    """Dates or timestamps as microseconds from 1970; nanoseconds are cut, far times are moved."""
    if _is.is_date(array.type):
        array = array.cast(pa.timestamp("ms"))
    unit, counts = array.type.unit, array.cast(pa.int64())
    if unit == "ns":
        return floor_divided(counts, 1_000)
    if unit == "us":
        return counts
    limit = _FARTHEST[unit]
    near = pc.min_element_wise(
        pc.max_element_wise(counts, -limit, skip_nulls=False), limit, skip_nulls=False
    )
    return pc.multiply(near, 1_000_000 // casts.PER_SECOND[unit])


def floor_divided(counts: Any, by: int) -> Any:
    """The quotients, rounded down, before 1970 as well."""
    cut = pc.divide(counts, by)  # towards zero
    if (pc.min(counts).as_py() or 0) >= 0:
        return cut
    above = pc.greater(pc.multiply(cut, by), counts)
    return pc.subtract(cut, above.cast(pa.int64()))


def first_true(mask: Any) -> int:
    """The place of the first true of a mask that has one."""
    return int(pc.index(mask, pa.scalar(True)).as_py())
