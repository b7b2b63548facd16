"""The type table: what each Arrow type becomes in Celonis, and how its values get there.

`TYPE_TABLE` is the one place; docs/types.md is generated from it and tested against it.
What Celonis takes from a Parquet file for certain is INT96, 64-bit integers and doubles, booleans
and UTF-8 text (see docs/local.md for how sure each is), so everything is brought to these.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

ColumnType = Literal["INTEGER", "DATE", "TIME", "DATETIME", "FLOAT", "BOOLEAN", "STRING"]
"""Column types of the Data Push API."""

COLUMN_TYPES: tuple[str, ...] = get_args(ColumnType)

Convert = Callable[[Any], Any]
"""Turns an array of one Arrow type into an array of the wire's type. Raises ArrowInvalid."""


@dataclass(frozen=True)
class Target:
    """Where the values of a column go: the Celonis type, the Arrow type written, the way there."""

    celonis: ColumnType
    wire: pa.DataType
    convert: Convert


@dataclass(frozen=True)
class TypeRule:
    """One row of the type table.

    Attributes:
        arrow: The Arrow types concerned, as the documentation shows them.
        matches: Tells whether a type is one of them.
        default: Celonis type when nothing else is asked for; None refuses the column.
        others: Celonis types that `columns=` may ask for instead.
        how: What happens to the values, for the documentation.
        advice: For refused types, what the user can do.
    """

    arrow: str
    matches: Callable[[pa.DataType], bool]
    default: ColumnType | None
    others: tuple[ColumnType, ...]
    how: str
    advice: str = ""


_is = pa.types

TYPE_TABLE: tuple[TypeRule, ...] = (
    TypeRule(
        "int8, int16, int32, int64, uint8, uint16, uint32",
        lambda t: _is.is_integer(t) and t != pa.uint64(),
        "INTEGER", ("FLOAT", "STRING"),
        "64-bit integer, nulls kept as nulls",
    ),
    TypeRule(
        "uint64", _is.is_uint64, "INTEGER", ("FLOAT", "STRING"),
        "64-bit signed integer; a value beyond it is an error",
    ),
    TypeRule(
        "float16, float32, float64", _is.is_floating, "FLOAT", ("INTEGER", "STRING"),
        "64-bit float; NaN stays NaN where the frame has nulls apart from it; infinities are an "
        "error; as INTEGER only whole numbers pass",
    ),
    TypeRule(
        "decimal32, decimal64, decimal128, decimal256", _is.is_decimal, "FLOAT",
        ("INTEGER", "STRING"),
        "64-bit float, with a warning that counts the values that are not exact in it; as STRING "
        "every digit is kept",
    ),
    TypeRule("bool", _is.is_boolean, "BOOLEAN", ("INTEGER", "STRING"), "true, false or null"),
    TypeRule(
        "string, large_string, string_view",
        lambda t: _is.is_string(t) or _is.is_large_string(t) or _is.is_string_view(t),
        "STRING", (),
        "text, with a length measured over all rows; up to 16,250 characters",
    ),
    TypeRule(
        "date32, date64", _is.is_date, "DATETIME", ("DATE", "STRING"),
        "midnight of that day, since a Parquet date is not known to be accepted; DATE sends it as "
        "a Parquet date",
    ),
    TypeRule(
        "timestamp[s, ms, us, ns]", lambda t: _is.is_timestamp(t) and t.tz is None, "DATETIME",
        ("DATE", "STRING"),
        "the same date and time (INT96); DATE only where every time is midnight",
    ),
    TypeRule(
        "timestamp[s, ms, us, ns, tz]", lambda t: _is.is_timestamp(t) and t.tz is not None,
        "DATETIME", ("DATE", "STRING"),
        "the UTC instant (INT96); Celonis keeps no zone",
    ),
    TypeRule(
        "time32, time64", _is.is_time, "STRING", ("TIME",),
        "text such as 09:30:00.000000; TIME sends it as a Parquet time",
    ),
    TypeRule("duration", _is.is_duration, "FLOAT", ("INTEGER", "STRING"),
        "seconds; as INTEGER and STRING the count of the frame's own unit"),
    TypeRule("null", _is.is_null, "STRING", ("INTEGER", "FLOAT", "BOOLEAN", "DATETIME"),
        "a text column of nulls, unless columns= says another type"),
    TypeRule(
        "binary, large_binary, binary_view, fixed_size_binary",
        lambda t: _is.is_binary(t) or _is.is_large_binary(t) or _is.is_binary_view(t)
        or _is.is_fixed_size_binary(t),
        None, (), "refused", "turn it into text first, for example as hex or base64",
    ),
    TypeRule(
        "list, large_list, fixed_size_list, list_view, struct, map, union", _is.is_nested, None, (),
        'refused, unless nested="json" turns each value into JSON text',
        'flatten it, or push with nested="json" to send each value as JSON text',
    ),
    TypeRule("interval", _is.is_interval, None, (), "refused",
        "convert it to a duration or to text first"),
)  # fmt: skip
"""First match wins. Dictionaries and run-end encoded columns follow the type of their values,
extension types that of their storage (UUIDs are sent as text)."""


def storage_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values, behind dictionaries, run-ends and extensions."""
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return pa.string()
        return storage_type(kind.storage_type)
    if _is.is_dictionary(kind) or _is.is_run_end_encoded(kind):
        return storage_type(kind.value_type)
    return kind


def rule_for(kind: pa.DataType) -> TypeRule | None:
    """The row of the table for an Arrow type, or None for one that Arrow may add later."""
    values = storage_type(kind)
    return next((rule for rule in TYPE_TABLE if rule.matches(values)), None)


def target(kind: pa.DataType, celonis: ColumnType) -> Target:
    """How values of an Arrow type get into a Celonis type that its rule allows."""
    plain = storage_type(kind)
    if celonis == "STRING":
        if _is.is_dictionary(kind) and _text(kind.value_type):
            return Target("STRING", pa.dictionary(pa.int32(), pa.large_string()), _dictionary)
        return Target("STRING", pa.large_string(), _chain(kind, _to_text(plain)))
    if celonis == "DATETIME":
        unit = "ns" if _is.is_timestamp(plain) and plain.unit == "ns" else "us"
        return Target("DATETIME", pa.timestamp(unit), _chain(kind, _cast(pa.timestamp(unit))))
    if celonis == "FLOAT" and _is.is_duration(plain):
        return Target("FLOAT", pa.float64(), _chain(kind, _seconds))
    wire = {
        "INTEGER": pa.int64(),
        "FLOAT": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "DATE": pa.date32(),
        "TIME": pa.time64("us"),
    }[celonis]
    return Target(celonis, wire, _chain(kind, _cast(wire)))


def coarser(goal: Target) -> Target:
    """The same times in microseconds; a nanosecond that would be lost does not fit."""
    wire = pa.timestamp("us")
    return Target(goal.celonis, wire, lambda array: goal.convert(array).cast(wire))


def json_target(kind: pa.DataType) -> Target:
    """Nested values as JSON text, one document a value."""

    def to_json(array: pa.Array) -> pa.Array:
        texts = [
            None if value is None else json.dumps(value, default=str, ensure_ascii=False)
            for value in array.to_pylist()
        ]
        return pa.array(texts, pa.large_string())

    return Target("STRING", pa.large_string(), _chain(kind, to_json))


def _text(kind: pa.DataType) -> bool:
    return bool(_is.is_string(kind) or _is.is_large_string(kind) or _is.is_string_view(kind))


def _chain(kind: pa.DataType, convert: Convert) -> Convert:
    """First out of dictionaries, run-ends and extensions, then to the target."""
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return lambda array: pa.array(
                [None if value is None else str(value) for value in array.to_pylist()],
                pa.large_string(),
            )
        inner = _chain(kind.storage_type, convert)
        return lambda array: inner(array.storage)
    if _is.is_dictionary(kind):
        inner = _chain(kind.value_type, convert)
        return lambda array: inner(array.dictionary_decode())
    if _is.is_run_end_encoded(kind):
        inner = _chain(kind.value_type, convert)
        return lambda array: inner(pc.run_end_decode(array))
    return convert


def _cast(wire: pa.DataType) -> Convert:
    return lambda array: array if array.type == wire else array.cast(wire)


def _to_text(kind: pa.DataType) -> Convert:
    if _is.is_duration(kind):
        return lambda array: array.cast(pa.int64()).cast(pa.large_string())
    if _is.is_time(kind):
        return lambda array: array.cast(pa.time64("us")).cast(pa.large_string())
    if _is.is_floating(kind):
        return lambda array: array.cast(pa.float64()).cast(pa.large_string())
    return _cast(pa.large_string())


def _dictionary(array: pa.DictionaryArray) -> pa.DictionaryArray:
    if array.dictionary.null_count:
        array = array.dictionary_decode().dictionary_encode()
    indices = array.indices.cast(pa.int32())
    return pa.DictionaryArray.from_arrays(indices, array.dictionary.cast(pa.large_string()))


def _seconds(array: pa.Array) -> pa.Array:
    per_second = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[array.type.unit]
    return pc.divide(array.cast(pa.int64()).cast(pa.float64()), per_second)
