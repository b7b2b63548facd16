"""Conversions between Arrow types: exact, or an error.

Arrow does them on whole arrays; no row is handled in Python.
"""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_is = pa.types

FIRST_TIME, LAST_TIME = -210_866_716_800_000_000, 9_223_372_036_854_775_806
"""Microseconds since 1970 that INT96 and its readers hold: from day 1 of the Julian calendar
(25 November of -4713) on; some readers take day 0 for a null."""

MAX_EXACT_INTEGER = 2**53
"""Integers up to this are exact in a 64-bit float."""

_INT64_LIMIT = float(2**63)
"""Floats below this fit into 64-bit integers."""

_SMALL_DICTIONARY = 256
"""Values of a dictionary that is not worth compacting."""


class ConversionError(ValueError):
    """Values cannot be converted.

    Attributes:
        what: What is wrong with the values, such as ``"that contain bytes"``.
        advice: What the user can do.
        of_type: Whether no value of this type can be converted.
    """

    def __init__(self, what: str, advice: str, *, of_type: bool = False) -> None:
        super().__init__(f"{what}: {advice}")
        self.what, self.advice, self.of_type = what, advice, of_type


def storage_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values in dictionaries, run-ends and extensions."""
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return pa.string()
        if kind.extension_name == "arrow.bool8":
            return pa.bool_()
        return storage_type(kind.storage_type)
    if _is.is_dictionary(kind) or _is.is_run_end_encoded(kind):
        return storage_type(kind.value_type)
    return kind


def is_text(kind: pa.DataType) -> bool:
    """Whether values are strings, plain or as views."""
    return bool(_is.is_string(kind) or _is.is_large_string(kind) or _is.is_string_view(kind))


def is_view(kind: pa.DataType) -> bool:
    """Whether values point to data that they may share."""
    return bool(_is.is_string_view(kind) or _is.is_binary_view(kind))


def is_packed(kind: pa.DataType) -> bool:
    """Whether `decoded` changes arrays of this type."""
    return bool(
        _is.is_dictionary(kind) or _is.is_run_end_encoded(kind)
        or isinstance(kind, pa.BaseExtensionType)
        or is_view(kind)
    )  # fmt: skip


def decoded(array: Any) -> Any:
    """The values themselves, out of dictionaries, run-ends, extensions and views."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return uuid_text(array.storage)
        if kind.extension_name == "arrow.bool8":
            return pc.not_equal(array.storage, pa.scalar(0, pa.int8()))
        return decoded(array.storage)
    if _is.is_dictionary(kind):
        return decoded(array.dictionary).take(array.indices)
    if _is.is_run_end_encoded(kind):
        return _run_ends_decoded(array)
    if _is.is_string_view(kind):
        return array.cast(pa.large_string())
    if _is.is_binary_view(kind):
        return array.cast(pa.large_binary())
    return array


def compact_dictionary(array: Any) -> Any:
    """A dictionary array without values that no row uses, if there are many.

    A slice of a frame has the dictionary of the whole frame, which would be written with it.
    """
    if len(array.dictionary) <= max(len(array), _SMALL_DICTIONARY):
        return array
    used = pc.unique(array.indices).drop_null()
    places = pc.index_in(array.indices, value_set=used)
    return pa.DictionaryArray.from_arrays(places, decoded(array.dictionary).take(used))


def _run_ends_decoded(array: Any) -> Any:
    first, runs = array.find_physical_offset(), array.find_physical_length()
    values = decoded(array.values.slice(first, runs))
    ends = array.run_ends.slice(first, runs).cast(pa.int64())
    ends = pc.min_element_wise(pc.subtract(ends, array.offset), len(array))
    if not len(array):
        return values.slice(0, 0)
    return pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, values))


def nulls(array: Any) -> int:
    """Number of nulls, with those among the values of a dictionary or a run."""
    kind = array.type
    if _is.is_dictionary(kind) and not array.dictionary.null_count:
        return int(array.indices.null_count)
    if _is.is_dictionary(kind) or _is.is_run_end_encoded(kind):
        array = decoded(array)
    return int(array.null_count)


def trues(mask: Any) -> int:
    """How often a mask is true."""
    return int(pc.sum(mask).as_py() or 0)


def without_infinity(array: Any) -> Any:
    """Floats with nulls instead of infinities."""
    return pc.if_else(pc.is_inf(array), pa.scalar(None, array.type), array)


def as_floats(array: Any) -> Any:
    """Any number as the nearest 64-bit float."""
    kind = array.type
    if _is.is_decimal(kind):
        return _decimal_floats(array)
    if _is.is_duration(kind):
        return seconds(array)
    return array.cast(pa.float64(), safe=not _is.is_integer(kind))


def _unscaled(array: Any) -> Any:
    """Decimals as the integers that are stored, and their scale."""
    kind = array.type
    if kind.scale < 0:
        array = array.cast(pa.decimal256(76, 0))
    elif kind.bit_width < 128:
        array = array.cast(pa.decimal128(38, kind.scale))
    wide = pa.decimal256(76, 0) if array.type.bit_width == 256 else pa.decimal128(38, 0)
    return array.view(wide), array.type.scale


def digits(array: Any) -> int:
    """Largest number of digits of a decimal."""
    whole, _ = _unscaled(array)
    limits = pc.min_max(whole)
    if not limits["min"].is_valid:
        return 0
    return max(len(str(abs(int(limits[side].as_py())))) for side in ("min", "max"))


def _decimal_floats(array: Any) -> Any:
    # Arrow's own cast is often one unit in the last place off. The quotient of two exact floats
    # is the nearest one; longer decimals go through strings, which Arrow parses to the nearest.
    whole, scale = _unscaled(array)
    if scale <= 22 and digits(array) <= 15:
        return pc.divide(whole.cast(pa.int64()).cast(pa.float64()), float(10**scale))
    return decimal_text(array).cast(pa.float64())


def decimal_text(array: Any) -> Any:
    """Decimals as strings with all digits of their scale, without an exponent."""
    whole, scale = _unscaled(array)
    text = whole.cast(pa.large_string())
    if not scale:
        return text
    minus, nothing = pa.scalar("-", text.type), pa.scalar("", text.type)
    sign = pc.if_else(pc.starts_with(text, "-"), minus, nothing)
    figures = pc.utf8_lpad(pc.utf8_ltrim(text, "-"), scale + 1, "0")
    units = pc.utf8_slice_codeunits(figures, 0, -scale)
    rest = pc.utf8_slice_codeunits(figures, -scale)
    return _joined(sign, units, pa.scalar(".", text.type), rest)


def float_text(array: Any) -> Any:
    """Floats as the shortest strings that parse to the same value; integers with all digits."""
    array = array.cast(pa.float64())
    text = array.cast(pa.large_string())
    whole = pc.and_(
        pc.and_(pc.less(array, _INT64_LIMIT), pc.greater_equal(array, -_INT64_LIMIT)),
        pc.and_(pc.equal(pc.floor(array), array), pc.not_equal(array, 0.0)),
    )
    if not pc.any(whole).as_py():
        return text
    plain = pc.if_else(whole, array, pa.scalar(None, pa.float64()))
    return pc.coalesce(plain.cast(pa.int64(), safe=False).cast(pa.large_string()), text)


def midnights(array: Any) -> Any:
    """Days as the times they begin at, in microseconds.

    Raises:
        ConversionError: A time is not midnight.
    """
    times = array.cast(pa.timestamp("us" if getattr(array.type, "unit", "") != "ns" else "ns"))
    days = times.cast(pa.date32()).cast(times.type)
    late = pc.sum(pc.not_equal(days, times)).as_py() or 0
    if late:
        in_utc, local = "", ""
        if getattr(array.type, "tz", None) is not None:
            in_utc, local = " in UTC", ', or push with times="local" for the days of its zone'
        raise ConversionError(
            f"of which {late:,} are not midnight{in_utc}, but it is to be DATE",
            f"send it as DATETIME, or cut the times in the frame{local}",
        )
    return times.cast(pa.timestamp("us"))


PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def seconds(array: Any) -> Any:
    """Durations in seconds, as the nearest 64-bit floats."""
    counts, per_second = array.cast(pa.int64()), PER_SECOND[array.type.unit]
    limits = pc.min_max(counts).as_py()
    if limits["min"] is None or max(abs(n) for n in limits.values()) <= MAX_EXACT_INTEGER:
        return pc.divide(counts.cast(pa.float64()), float(per_second))
    return as_floats(seconds_decimals(array))


def seconds_decimals(array: Any) -> Any:
    """Durations in seconds, as decimals with all digits."""
    scale = len(str(PER_SECOND[array.type.unit])) - 1
    return array.cast(pa.int64()).cast(pa.decimal128(19, 0)).view(pa.decimal128(19, scale))


def inexact(source: Any, floats: Any) -> int:
    """How many numbers change when they become 64-bit `floats`; wide integers come as strings."""
    if _is.is_duration(source.type):
        source = seconds_decimals(source)
    if _is.is_decimal(source.type):
        # Fifteen digits are always exact. For more, the widest decimal of the same scale holds all
        # digits of the float.
        if digits(source) <= 15:
            return 0
        exact = pa.decimal256(76, max(source.type.scale, 0))
        return _different(source.cast(exact), floats.cast(exact, safe=False))
    beyond = pc.greater_equal(pc.abs(floats), float(MAX_EXACT_INTEGER))
    if not pc.any(beyond).as_py():
        return 0
    exact = pa.decimal256(76, 0)
    try:
        return _different(source.filter(beyond).cast(exact), floats.filter(beyond).cast(exact))
    except pa.ArrowInvalid:  # more than 76 digits
        return int(pc.sum(beyond).as_py())


def largest_magnitude(array: Any) -> int | None:
    """The integer furthest from zero, or None if the values are no integers."""
    values = decoded(array)
    if not (_is.is_integer(values.type) or isinstance(array.type, pa.BaseExtensionType)):
        return None
    try:
        limits = pc.min_max(values.cast(pa.decimal256(76, 0))).as_py()
    except pa.ArrowException:
        return None
    return None if limits["min"] is None else int(max(limits.values(), key=abs))


def microseconds(array: Any) -> Any:
    """Timestamps in microseconds.

    Raises:
        ConversionError: A time has nanoseconds.
    """
    try:
        return array.cast(pa.timestamp("us"))
    except pa.ArrowInvalid as error:
        raise ConversionError(
            "with nanoseconds, which CSV does not hold",
            "push as Parquet, or round them in the frame, or send them as STRING",
        ) from error


def _different(one: Any, other: Any) -> int:
    return pc.sum(pc.not_equal(one, other)).as_py() or 0


def hex_text(array: Any) -> Any:
    """Binary values as lower-case hexadecimal strings."""
    data, offsets, valid = _bytes(array)
    return _from_bytes(data.hex().encode(), pc.multiply(offsets, 2), valid)


def uuid_text(array: Any) -> Any:
    """16-byte values as UUID strings."""
    text = hex_text(array)
    ends = (0, 8, 12, 16, 20, 32)
    parts = [pc.utf8_slice_codeunits(text, a, b) for a, b in itertools.pairwise(ends)]
    return pc.binary_join_element_wise(*parts, pa.scalar("-", text.type))


def base64_text(array: Any) -> Any:
    """Binary values as base64 strings with padding."""
    from base64 import b64encode  # noqa: PLC0415  # rarely needed

    array = array.cast(pa.large_binary())
    lengths = pc.binary_length(array)
    # Each value is filled up to a multiple of three bytes, so that all are encoded at once; then
    # the characters of the fill bytes are replaced by "=".
    over = pc.subtract(lengths, pc.multiply(pc.divide(lengths, 3), 3))
    fill = pa.array([b"", b"\0\0", b"\0"], pa.large_binary()).take(over)
    nothing = pa.scalar(b"", pa.large_binary())
    data, offsets, valid = _bytes(pc.binary_join_element_wise(array, fill, nothing))
    text = _from_bytes(b64encode(data), pc.multiply(pc.divide(offsets, 3), 4), valid)
    whole = pa.array([4, 2, 3], pa.int64()).take(over)
    if not len(text) or pc.min(whole).as_py() in (4, None):
        return text
    two, one = (
        _joined(pc.utf8_slice_codeunits(text, 0, -len(signs)), pa.scalar(signs, text.type))
        for signs in ("==", "=")
    )
    return pc.if_else(pc.equal(whole, 2), two, pc.if_else(pc.equal(whole, 3), one, text))


def _bytes(array: Any) -> tuple[bytes, Any, Any]:
    """The data of an array, its offsets, and its validity (None if there are no nulls)."""
    array = array.cast(pa.large_binary())
    valid = array.is_valid() if array.null_count else None
    _, offsets_buffer, data_buffer = array.buffers()
    offsets = pa.Array.from_buffers(
        pa.int64(), len(array) + 1, [None, offsets_buffer], 0, array.offset
    )
    start, stop = offsets[0].as_py(), offsets[len(array)].as_py()
    data = data_buffer.slice(start, stop - start).to_pybytes() if data_buffer else b""
    return data, pc.subtract(offsets, start), valid


def _from_bytes(data: bytes, offsets: Any, valid: Any) -> Any:
    text = pa.Array.from_buffers(
        pa.large_string(), len(offsets) - 1, [None, offsets.buffers()[1], pa.py_buffer(data)], 0
    )
    return text if valid is None else pc.if_else(valid, text, pa.scalar(None, text.type))


def _joined(*parts: Any) -> Any:
    return pc.binary_join_element_wise(*parts, pa.scalar("", pa.large_string()))
