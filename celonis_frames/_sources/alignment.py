"""Batches brought to one schema: columns are matched by name and cast without loss.

No column is matched by its place, and no value is parsed from a string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._arrow.extension_types import WideInteger
from celonis_frames._arrow.wall_clock import is_utc
from celonis_frames.exceptions import ColumnTypeError, FrameError

SCHEMA = "the schema of the frame"
"""Names in messages what a part of a frame is compared with, if not the parts before it."""


def match_batches(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, kind: str
) -> Iterator[pa.RecordBatch]:
    """The batches of a frame with their columns in the order of the schema.

    Some libraries return other types than they announce. A type that is converted like the
    announced one stays, such as a wider integer; others are cast to it.

    Raises:
        FrameError: A batch has other columns than the schema.
        ColumnTypeError: A column is neither converted like the announced type nor can be cast.
    """
    for number, batch in enumerate(batches, start=1):
        if batch.schema is schema or batch.schema.equals(schema):
            yield batch
            continue
        where = f"batch {number} of the {kind}"
        check_same_names(batch.schema, schema.names, where, SCHEMA)
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        arrays = [_as_announced(columns[field.name], field, where) for field in schema]
        yield pa.RecordBatch.from_arrays(arrays, names=schema.names)


def check_same_names(
    schema: pa.Schema, expected: list[str], where: str, other: str = "the first"
) -> None:
    """Check that a part of a frame has the expected columns, in any order.

    Args:
        schema: That of the part.
        expected: The names of the columns.
        where: Names the part in the message, such as ``"frame 2"``.
        other: Names what has the expected columns.

    Raises:
        FrameError: Columns are missing, or there are more.
    """
    names = schema.names
    if sorted(names) != sorted(expected):
        missing = [name for name in expected if name not in names]
        extra = [name for name in names if name not in expected or names.count(name) > 1]
        raise FrameError(
            f"{where[:1].upper()}{where[1:]} has other columns than {other}: missing {missing}, "
            f"new {extra}. All parts of one frame need the same columns."
        )


def align_to_schema(
    batch: pa.RecordBatch, schema: pa.Schema, where: str, other: str = "the frames before"
) -> pa.RecordBatch:
    """A batch with the columns, order and types of the schema, cast without loss.

    `where` and `other` are as in `check_same_names`, which has checked the names.

    Raises:
        ColumnTypeError: A column cannot be cast.
    """
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    arrays = [_cast_column(columns[field.name], field, where, other) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def widest_type(kind: pa.DataType) -> pa.DataType:
    """The widest type of the same Celonis type, since later frames may be wider than the first."""
    if pa.types.is_dictionary(kind):  # a later frame may have more categories
        return pa.dictionary(pa.int32(), widest_type(kind.value_type))
    if is_wide(kind):
        return WideInteger()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_timestamp(kind) and kind.unit in ("s", "ms"):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind) and kind.unit in ("s", "ms"):
        return pa.duration("us")
    if casts.is_view(kind):  # pyarrow before 21 cannot cast other strings to views
        return pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
    return kind


def is_wide(kind: pa.DataType) -> bool:
    """Whether the type has integers that a signed 64-bit integer cannot hold."""
    return isinstance(kind, WideInteger) or kind == pa.uint64()


def _as_announced(array: Any, field: pa.Field, where: str) -> Any:
    """The column of a batch in the type of its schema, or in one that is converted like it."""
    kind = array.type
    if kind == field.type or _is_converted_alike(kind, field.type):
        return array
    if pa.types.is_integer(kind) and pa.types.is_decimal(field.type):
        return array.cast(pa.decimal128(38, 0))
    if pa.types.is_decimal(kind) and pa.types.is_floating(field.type):
        floats = casts.as_floats(array)
        if not casts.inexact(array, floats):
            return floats
    same_hours = pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and is_utc(kind.tz or ""))
    if same_hours and pa.types.is_timestamp(field.type) and field.type.tz is None:
        return _cast_column(array.cast(pa.timestamp(field.type.unit)), field, where, SCHEMA)
    return _cast_column(array, field, where, SCHEMA)


def _is_converted_alike(kind: pa.DataType, announced: pa.DataType) -> bool:
    """Whether a conversion for the announced type holds for this type, too."""
    both = (kind, announced)
    is_zoned = pa.types.is_timestamp(kind) and kind.tz is not None
    return (
        all(pa.types.is_integer(one) for one in both)
        or all(pa.types.is_floating(one) for one in both)
        or all(pa.types.is_decimal(one) for one in both)
        or all(pa.types.is_nested(one) for one in both)
        or (pa.types.is_boolean(kind) and pa.types.is_integer(announced))
        or (pa.types.is_date(announced) and pa.types.is_timestamp(kind) and not is_zoned)
    )


def _cast_column(array: Any, field: pa.Field, where: str, other: str) -> Any:
    if array.type == field.type:
        return array
    if casts.nulls(array) == len(array):
        return pa.nulls(len(array), field.type)
    try:
        if _type_family(array.type) != _type_family(field.type):
            raise pa.ArrowInvalid("another family of types")
        return _cast_array(array, field.type)
    except pa.ArrowException as error:
        as_strings = ""
        if is_wide(array.type) and pa.types.is_integer(field.type):
            as_strings = f', or send it as strings with columns={{{field.name!r}: "STRING"}}'
        raise ColumnTypeError(
            f"Column {field.name!r} is {array.type} in {where} and {field.type} in {other}, and "
            f"cannot be cast without loss: give all the same type{as_strings}.",
            column=field.name,
        ) from error


def _cast_array(array: Any, kind: pa.DataType) -> Any:
    if pa.types.is_dictionary(kind):
        if pa.types.is_dictionary(array.type):
            indices = array.indices.cast(kind.index_type)
            values = _cast_array(array.dictionary, kind.value_type)
        else:
            encoded = casts.decoded(array).dictionary_encode()
            indices = encoded.indices.cast(kind.index_type)
            values = _cast_array(encoded.dictionary, kind.value_type)
        return pa.DictionaryArray.from_arrays(indices, values)
    plain = casts.decoded(array)
    if isinstance(array.type, WideInteger):
        if isinstance(kind, WideInteger):
            return array
        return plain.cast(kind if pa.types.is_integer(kind) else pa.int64()).cast(kind)
    if isinstance(kind, WideInteger):
        whole = plain if pa.types.is_integer(plain.type) else plain.cast(pa.int64())
        return pa.ExtensionArray.from_storage(kind, whole.cast(pa.large_string()))
    found = plain.cast(kind)
    if pa.types.is_floating(kind) and pa.types.is_floating(plain.type):
        _check_floats(found, plain)
    return found


def _check_floats(found: Any, plain: Any) -> None:
    """Check that no float was rounded, which Arrow's cast does not."""
    wide = [array.cast(pa.float64()) for array in (found, plain)]
    same = pc.or_(pc.equal(*wide), pc.is_nan(wide[1]))
    if not pc.all(same).as_py():
        raise pa.ArrowInvalid("a float would be rounded")


def _type_family(kind: pa.DataType) -> str:
    """The family of a type, in which casts are allowed: decimals as floats would be rounded."""
    if isinstance(kind, WideInteger):
        return "number"
    if isinstance(kind, pa.BaseExtensionType):
        return str(kind)
    plain = casts.storage_type(kind)
    if pa.types.is_timestamp(plain):
        return "timestamp" if plain.tz is None else "timestamp with zone"
    if pa.types.is_list(plain) or pa.types.is_large_list(plain):
        return f"list of {_type_family(plain.value_type)}"
    for family, tests in _TYPE_FAMILIES.items():
        if any(test(plain) for test in tests):
            return family
    return str(plain)


_is = pa.types
_TYPE_FAMILIES = {
    "number": (_is.is_integer, _is.is_floating),
    "decimal": (_is.is_decimal,),
    "string": (_is.is_string, _is.is_large_string, _is.is_string_view),
    "binary": (_is.is_binary, _is.is_large_binary, _is.is_binary_view, _is.is_fixed_size_binary),
    "date": (_is.is_date,),
    "time": (_is.is_time,),
    "duration": (_is.is_duration,),
}
