"""The type table: the Celonis type of each Arrow type, and how its values are converted.

`TYPE_TABLE` is the only definition; docs/types.md is generated from it and tested against it.
Celonis is known to accept INT96, 64-bit integers, doubles, booleans and UTF-8 strings in Parquet
files (docs/local.md says how sure each is), so every value is converted to one of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from celonis_frames._arrow import casts
from celonis_frames._arrow.casts import storage_type
from celonis_frames._arrow.extension_types import NestedObjects, WideInteger
from celonis_frames._arrow.time_text import (
    date_text,
    time_text,
    time_text_of_table,
    timestamp_text,
)
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.json_text import json_text
from celonis_frames._schema.overrides import ColumnType

Convert = Callable[[Any], Any]
"""Converts an array of one Arrow type to the encoded type. Raises ArrowInvalid."""


@dataclass(frozen=True)
class Conversion:
    """How the values of a column are converted."""

    column_type: ColumnType
    encoded_type: pa.DataType  # written to the file
    convert: Convert


@dataclass(frozen=True)
class TypeRule:
    """One row of the type table."""

    arrow_types: str  # as the documentation shows them
    matches: Callable[[pa.DataType], bool]
    default: ColumnType | None  # unless `columns=` names another; None rejects the column
    others: tuple[ColumnType, ...]  # that `columns=` may name instead
    how: str  # what happens to the values, for the documentation
    advice: str = ""  # for rejected types, what the user can do
    option: str = ""  # for rejected types, the option that sends them as STRING


_is = pa.types


def _is_period(kind: pa.DataType) -> bool:
    return getattr(kind, "extension_name", None) == "pandas.period"


TYPE_TABLE: tuple[TypeRule, ...] = (
    TypeRule(
        "int8, int16, int32, int64, uint8, uint16, uint32",
        lambda t: _is.is_integer(t) and t != pa.uint64(),
        "INTEGER", ("FLOAT", "STRING"),
        "64-bit integer, nulls stay nulls; as FLOAT with a warning that counts the values that are not exact",
    ),
    TypeRule(
        "uint64, integers of more than 64 bits", lambda t: _is.is_uint64(t) or isinstance(t, WideInteger),
        "INTEGER", ("FLOAT", "STRING"),
        "64-bit signed integer; a value that does not fit is an error that names the largest",
    ),
    TypeRule(
        "float16, float32, float64", _is.is_floating, "FLOAT", ("INTEGER", "STRING"),
        "64-bit float; NaN stays NaN if the frame distinguishes it from null; infinities are an error, or null "
        'with infinity="null"; as INTEGER whole numbers only; as STRING the shortest number that reads back '
        "the same, whole numbers with all their digits (45, not 45.0)",
    ),
    TypeRule(
        "decimal32, decimal64, decimal128, decimal256", _is.is_decimal, "FLOAT",
        ("INTEGER", "STRING"),
        "the nearest 64-bit float, with a warning that counts the values that are not exact; as INTEGER "
        "whole numbers only; as STRING with every digit and without an exponent",
    ),
    TypeRule("bool, arrow.bool8", _is.is_boolean, "BOOLEAN", ("INTEGER", "STRING"),
        "true, false or null; as INTEGER 1 and 0"),
    TypeRule(
        "string, large_string, string_view, arrow.uuid, arrow.json", casts.is_text, "STRING", (),
        "UTF-8 string of up to 16,250 characters",
    ),
    TypeRule(
        "date32, date64", _is.is_date, "DATETIME", ("DATE", "STRING"),
        "midnight of that day (INT96), since Celonis is not known to accept Parquet dates; as DATE the "
        "same value, declared as DATE",
    ),
    TypeRule(
        "timestamp[s, ms, us, ns]", lambda t: _is.is_timestamp(t) and t.tz is None, "DATETIME",
        ("DATE", "STRING"),
        "the same date and time (INT96) with nanoseconds, and a warning that counts the times that have "
        "some; as DATE only if every time is midnight; as STRING 2024-02-29 09:30:00.000000",
    ),
    TypeRule(
        "timestamp[s, ms, us, ns, tz]", lambda t: _is.is_timestamp(t) and t.tz is not None,
        "DATETIME", ("DATE", "STRING"),
        "the UTC instant (INT96), since Celonis stores no time zone; as DATE only if every time is "
        'midnight in UTC; as STRING in UTC with a Z at the end; with times="local" the local time of '
        "the zone, without a zone",
    ),
    TypeRule(
        "time32, time64", _is.is_time, "STRING", ("TIME",),
        "string such as 09:30:00.000000, with nine digits if there are nanoseconds; TIME with "
        'upload={"file_type": "CSV"} only, in microseconds',
    ),
    TypeRule("duration", _is.is_duration, "FLOAT", ("INTEGER", "STRING"),
        "seconds, with a warning that counts the values that are not exact; as INTEGER and STRING in "
        "the frame's own unit"),
    TypeRule("null", _is.is_null, "STRING", ("INTEGER", "FLOAT", "BOOLEAN", "DATETIME", "DATE"),
        "a STRING column of nulls, unless columns= names another type"),
    TypeRule(
        "binary, large_binary, binary_view, fixed_size_binary",
        lambda t: _is.is_binary(t) or _is.is_large_binary(t) or _is.is_binary_view(t)
        or _is.is_fixed_size_binary(t),
        None, (), "rejected", 'push with binary="hex" or binary="base64" to send the bytes as strings', "binary",
    ),
    TypeRule("extension pandas.period", _is_period, None, (), "rejected",
        "convert the periods to strings or timestamps first (a pandas DataFrame with periods can be "
        "pushed as it is)"),
    TypeRule(
        "list, large_list, fixed_size_list, list_view, struct, map, union",
        lambda t: _is.is_nested(t) or isinstance(t, NestedObjects), None, (),
        "rejected", 'flatten it, or push with nested="json" to send each value as JSON', "nested",
    ),
    TypeRule("interval", _is.is_interval, None, (), "rejected",
        "convert it to a duration or a string first"),
)  # fmt: skip
"""The first match counts. Dictionaries and run-end encoded columns have the type of their values,
other extension types that of their storage."""


_AS_IT_IS = {"INTEGER": pa.int64(), "FLOAT": pa.float64(), "BOOLEAN": pa.bool_()}
"""Arrow types that are written as they are."""


def rule_for(kind: pa.DataType) -> TypeRule | None:
    """The row of the table for an Arrow type; None for a type that this pyarrow has and we do not."""
    logical = _logical_type(kind)
    for rule in TYPE_TABLE:
        if rule.matches(logical):
            return rule
    return None


def _logical_type(kind: pa.DataType) -> pa.DataType:
    values = kind
    while _is.is_dictionary(values) or _is.is_run_end_encoded(values):
        values = values.value_type
    if not isinstance(values, pa.BaseExtensionType):
        return values
    named = isinstance(values, WideInteger | NestedObjects) or _is_period(values)
    return values if named else storage_type(values)


def conversion_to(
    kind: pa.DataType, column_type: ColumnType, options: ConversionOptions
) -> Conversion:
    """How values of an Arrow type are converted to a Celonis type that its rule allows."""
    if kind == _AS_IT_IS.get(column_type) and options.infinity != "null":
        return Conversion(column_type, kind, _unchanged)
    plain = _logical_type(kind)
    if column_type == "STRING":
        if _is.is_dictionary(kind) and casts.is_text(kind.value_type):
            encoded = pa.dictionary(pa.int32(), pa.large_string())
            return Conversion("STRING", encoded, _to_dictionary)
        if _is.is_string(kind) and not options.csv:
            return Conversion("STRING", kind, _unchanged)
        return Conversion("STRING", pa.large_string(), _decoding(kind, _to_string(plain, options)))
    if column_type == "TIME":
        return Conversion("TIME", pa.large_string(), _decoding(kind, time_text_of_table))
    if column_type == "DATE":
        midnight = _cast(pa.timestamp("us")) if _is.is_null(plain) else casts.midnights
        return Conversion("DATE", pa.timestamp("us"), _decoding(kind, midnight))
    if column_type == "DATETIME":
        fine = _is.is_timestamp(plain) and plain.unit == "ns"
        encoded = pa.timestamp("ns" if fine and not options.csv else "us")
        cut = casts.microseconds if fine and options.csv else _cast(encoded)
        return Conversion("DATETIME", encoded, _decoding(kind, cut))
    drops_infinity = _is.is_floating(plain) and options.infinity == "null"
    if column_type == "FLOAT":
        floats = _finite_floats if drops_infinity else casts.as_floats
        return Conversion("FLOAT", pa.float64(), _decoding(kind, floats))
    encoded = {"INTEGER": pa.int64(), "BOOLEAN": pa.bool_()}[column_type]
    cast = convert = _cast(encoded)
    if drops_infinity:
        convert = lambda array: cast(casts.without_infinity(array))  # noqa: E731
    return Conversion(column_type, encoded, _decoding(kind, convert))


def opt_in_conversion(
    kind: pa.DataType, rule: TypeRule, options: ConversionOptions
) -> Conversion | None:
    """How values of a rejected type are sent as STRING if the options ask for it; else None."""
    if rule.option == "nested" and options.nested == "json":
        is_json = isinstance(_logical_type(kind), NestedObjects)
        convert: Convert = _unchanged if is_json else partial(json_text, options=options)
    elif rule.option == "binary" and options.binary != "error":
        convert = casts.hex_text if options.binary == "hex" else casts.base64_text
    else:
        return None
    return Conversion("STRING", pa.large_string(), _decoding(kind, convert))


def _decoding(kind: pa.DataType, convert: Convert) -> Convert:
    """A conversion that first decodes dictionaries, run-ends, extensions and views."""
    return (lambda array: convert(casts.decoded(array))) if casts.is_packed(kind) else convert


def _unchanged(array: Any) -> Any:
    return array


def _finite_floats(array: Any) -> Any:
    return casts.without_infinity(casts.as_floats(array))


def _cast(encoded: pa.DataType) -> Convert:
    return lambda array: array if array.type == encoded else array.cast(encoded)


_TIME_TEXTS: tuple[tuple[Callable[[pa.DataType], bool], Convert], ...] = (
    (_is.is_date, date_text), (_is.is_time, time_text), (_is.is_timestamp, timestamp_text),
)  # fmt: skip


def _to_string(kind: pa.DataType, options: ConversionOptions) -> Convert:
    if _is.is_duration(kind):
        return lambda array: array.cast(pa.int64()).cast(pa.large_string())
    for matches, text in _TIME_TEXTS:
        if matches(kind):
            return text
    if _is.is_floating(kind):
        if options.infinity == "null":
            return lambda array: casts.float_text(casts.without_infinity(array))
        return casts.float_text
    if _is.is_decimal(kind):
        return casts.decimal_text
    return _cast(pa.large_string())


def _to_dictionary(array: pa.DictionaryArray) -> pa.DictionaryArray:
    array = casts.compact_dictionary(array)
    values = casts.decoded(array.dictionary).cast(pa.large_string())
    if values.null_count:
        return values.take(array.indices).dictionary_encode()
    return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), values)
