"""Lists, structs and maps as JSON, exactly and in linear time.

Arrow writes no JSON, so the text is put together by its kernels: first the values in the innermost
lists and structs, then what contains them. No row is handled in Python, but floats that Arrow
writes in another way than Python does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._arrow.casts import ConversionError
from celonis_frames._arrow.extension_types import NestedObjects, WideInteger
from celonis_frames._arrow.time_text import iso_date, iso_seconds, iso_time, iso_timestamp
from celonis_frames._schema.conversion_options import ConversionOptions

BYTES_ERROR = (
    "that contain bytes",
    'push with binary="hex" or binary="base64" to send them as strings',
)
INFINITY_ERROR = "that contain infinities", 'push with infinity="null" to send them as null'

_is = pa.types
_Array: TypeAlias = Any
_Encode: TypeAlias = Callable[[_Array, ConversionOptions], _Array]

_TEXT = pa.string()
"""The type of all pieces of JSON: Arrow joins no lists of large strings."""

_PLAIN_FLOATS = 1e-4, 1e10
"""Arrow writes magnitudes between these as Python does, but for the ``.0`` of whole numbers."""

_ESCAPES = {'"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_CONTROLS = {chr(code): f"\\u{code:04x}" for code in range(32) if chr(code) not in _ESCAPES}


def json_text(array: _Array, options: ConversionOptions) -> _Array:
    """Each value as one line of JSON.

    Integers and floats become numbers with all their digits, dates and times strings in ISO 8601
    with their zone's offset, decimals and UUIDs strings, durations seconds, NaN null (JSON has
    none). A map becomes a list of pairs, since its keys need not be strings. The options decide
    about bytes and infinities.

    Raises:
        ConversionError: A value that JSON cannot hold, or that the options reject.
    """
    return _encode(array, options).cast(pa.large_string())


def _encode(array: _Array, options: ConversionOptions) -> _Array:
    """JSON of each value; nulls stay nulls."""
    kind = array.type
    if isinstance(kind, WideInteger | NestedObjects):
        return array.storage.cast(_TEXT)
    if casts.is_packed(kind):
        return _encode(casts.decoded(array), options)
    for matches, encode in _ENCODERS:
        if matches(kind):
            return encode(array, options)
    what = f"that contain {kind}, which JSON cannot hold"
    raise ConversionError(what, "convert it first", of_type=True)


def _cast(array: _Array, _: ConversionOptions) -> _Array:
    return array.cast(_TEXT)


def _strings(array: _Array, _: ConversionOptions) -> _Array:
    return _quoted(_escaped(array.cast(_TEXT)))


def _quoting(text: Callable[[_Array], _Array]) -> _Encode:
    return lambda array, _: _quoted(text(array).cast(_TEXT))


def _floats(array: _Array, options: ConversionOptions) -> _Array:
    array = array.cast(pa.float64())
    infinite = pc.is_inf(array)
    if options.infinity != "null" and pc.any(infinite).as_py():
        raise ConversionError(*INFINITY_ERROR)
    array = pc.if_else(pc.or_(infinite, pc.is_nan(array)), _null(pa.float64()), array)
    text, size = array.cast(_TEXT), pc.abs(array)
    low, high = _PLAIN_FLOATS
    odd = pc.and_(
        pc.or_(pc.less(size, low), pc.greater_equal(size, high)), pc.not_equal(array, 0.0)
    )
    if pc.any(odd).as_py():
        shown = [repr(value) for value in array.filter(odd).to_pylist()]
        text = pc.replace_with_mask(
            text, pc.fill_null(odd, fill_value=False), pa.array(shown, _TEXT)
        )
    whole = pc.and_not(pc.equal(pc.floor(array), array), odd)
    return pc.if_else(whole, _join(text, ".0"), text) if pc.any(whole).as_py() else text


def _binary(array: _Array, options: ConversionOptions) -> _Array:
    if options.binary == "error" and array.null_count < len(array):
        raise ConversionError(*BYTES_ERROR, of_type=True)
    text = casts.base64_text if options.binary == "base64" else casts.hex_text
    return _quoted(text(array).cast(_TEXT))


def _intervals(array: _Array, _: ConversionOptions) -> _Array:
    values = array.to_pylist()
    return pa.array([None if value is None else json.dumps(value) for value in values], _TEXT)


def _structs(array: _Array, options: ConversionOptions) -> _Array:
    names = [field.name for field in array.type]
    if len(set(names)) < len(names):
        raise ConversionError("that have two fields of one name", "rename one in the frame")
    if array.null_count and any(_is.is_union(field.type) for field in array.type):
        # Arrow's `flatten` ends the process: unions have no nulls of their own.
        valid = array.is_valid()
        places = pc.subtract(pc.cumulative_sum(valid.cast(pa.int64())), 1)
        text = _structs(array.filter(valid), options)
        return text.take(pc.if_else(valid, places, _null(pa.int64())))
    pieces: list[Any] = []
    hides = array.null_count > 0  # values behind nulls
    children = array.flatten() if hides else map(array.field, range(len(names)))
    for name, values in zip(names, children, strict=True):
        start = f"{', ' if pieces else '{'}{json.dumps(name, ensure_ascii=False)}: "
        pieces += [start, _with_null(_encode(values, options))]
    text = _join(*pieces, "}") if pieces else _repeated("{}", len(array))
    return _nulls_of(array, text)


def _lists(array: _Array, options: ConversionOptions) -> _Array:
    values = _with_null(_encode(array.flatten(), options))  # without those of null lists
    return _in_brackets(array, values)


def _maps(array: _Array, options: ConversionOptions) -> _Array:
    pairs = pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"])
    validity, offsets, *_ = array.buffers()
    lists = pa.Array.from_buffers(
        pa.list_(pairs.type), len(array), [validity, offsets], -1, array.offset, [pairs]
    )
    keys, values = (_with_null(_encode(part, options)) for part in lists.flatten().flatten())
    return _in_brackets(lists, _join("[", keys, ", ", values, "]"))


def _in_brackets(lists: _Array, values: _Array) -> _Array:
    """Each list, given the JSON of all values in the lists that are not null."""
    ends = pc.cumulative_sum(pc.list_value_length(lists).fill_null(0).cast(pa.int64()))
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends]).cast(pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, values), ", ")
    return _nulls_of(lists, _join("[", joined, "]"))


def _unions(array: _Array, options: ConversionOptions) -> _Array:
    """The JSON of each child's values that are used, then in the order of the rows."""
    rows = pa.array(range(len(array)), pa.int64())
    codes, positions = _union_buffers(array, rows)
    places, texts = [], []
    for child, code in enumerate(array.type.type_codes):
        used = pc.equal(codes, pa.scalar(code, pa.int8()))
        values = array.field(child).take(positions.filter(used))
        places.append(rows.filter(used))
        texts.append(_encode(values, options))
    return pa.concat_arrays(texts).take(pc.sort_indices(pa.concat_arrays(places)))


def _union_buffers(array: _Array, rows: _Array) -> tuple[_Array, _Array]:
    """The child of each value and the place there; pyarrow's own properties ignore slices."""
    _, *buffers = array.buffers()
    codes = pa.Array.from_buffers(pa.int8(), len(array), [None, buffers[0]], 0, array.offset)
    if array.type.mode == "sparse":
        return codes, rows
    places = [None, buffers[1]]
    return codes, pa.Array.from_buffers(pa.int32(), len(array), places, 0, array.offset)


_ENCODERS: tuple[tuple[Callable[[pa.DataType], bool], _Encode], ...] = (
    (_is.is_null, lambda array, _: pa.nulls(len(array), _TEXT)),
    (_is.is_boolean, _cast),
    (_is.is_integer, _cast),
    (_is.is_floating, _floats),
    (_is.is_decimal, _quoting(casts.decimal_text)),
    (lambda t: _is.is_string(t) or _is.is_large_string(t), _strings),
    (
        lambda t: _is.is_binary(t) or _is.is_large_binary(t) or _is.is_fixed_size_binary(t),
        _binary,
    ),
    (_is.is_date, _quoting(iso_date)),
    (_is.is_time, _quoting(iso_time)),
    (_is.is_timestamp, _quoting(iso_timestamp)),
    (_is.is_duration, lambda array, _: iso_seconds(array).cast(_TEXT)),
    (_is.is_interval, _intervals),
    (_is.is_struct, _structs),
    (_is.is_map, _maps),
    (_is.is_union, _unions),
    (_is.is_nested, _lists),  # of every kind
)
"""The first match counts."""


def _escaped(text: _Array) -> _Array:
    if not pc.any(pc.match_substring_regex(text, r'["\\\x00-\x1f]')).as_py():
        return text
    text = pc.replace_substring(text, "\\", "\\\\")
    controls = pc.any(pc.match_substring_regex(text, r"[\x00-\x08\x0b\x0e-\x1f]")).as_py()
    for character, escape in {**_ESCAPES, **(_CONTROLS if controls else {})}.items():
        text = pc.replace_substring(text, character, escape)
    return text


def _quoted(text: _Array) -> _Array:
    return _join('"', text, '"')


def _join(*pieces: Any) -> _Array:
    parts = [pa.scalar(piece, _TEXT) if isinstance(piece, str) else piece for piece in pieces]
    return pc.binary_join_element_wise(*parts, pa.scalar("", _TEXT))


def _null(kind: pa.DataType) -> Any:
    return pa.scalar(None, kind)


def _with_null(text: _Array) -> _Array:
    return text.fill_null("null") if text.null_count else text


def _nulls_of(array: _Array, text: _Array) -> _Array:
    return pc.if_else(array.is_valid(), text, _null(_TEXT)) if array.null_count else text


def _repeated(text: str, count: int) -> _Array:
    return pa.array([text], _TEXT).take(pa.array([0] * count, pa.int64()))
