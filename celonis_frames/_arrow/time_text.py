"""Dates, times and durations as strings: exact, or an error.

Arrow prints what it cannot convert: 24:00:00 and far years become ``<value out of range: …>``, so
ranges are checked before. Functions named ``iso_…`` write as Python's `isoformat` does.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow.casts import PER_SECOND, ConversionError, decimal_text, seconds_decimals
from celonis_frames._arrow.wall_clock import wall_clock

_is = pa.types

_PRINTED_DAYS = -12_687_428, 11_248_737
"""Days from 1970 that Arrow prints: from the year -32767 to 32767."""

_ISO_DAYS = -719_162, 2_932_896
"""Days from 1970 with years of four digits: 1 to 9999."""

_DAY_SECONDS = 86_400

_CONVERT, _AS_STRING = "convert them in the frame", "send the column as STRING"


def date_text(array: Any) -> Any:
    """Dates as strings.

    Raises:
        ConversionError: A year before -32767 or after 32767.
    """
    return _days(array, _PRINTED_DAYS, _far(-32767, 32767)).cast(pa.large_string())


def time_text(array: Any) -> Any:
    """Times of day as strings with six decimals, or nine if six lose some; 24:00:00 is one.

    Raises:
        ConversionError: A value is no time of day.
    """
    counts, day = _counts(array)
    last = pc.equal(counts, day)
    ends_day = bool(pc.any(last).as_py())
    _check_range(counts, 0, day, ConversionError("that are no times of day", _CONVERT))
    if ends_day:
        array = pc.if_else(last, pa.scalar(0, counts.type).cast(array.type), array)
    if array.type != pa.time64("ns"):
        array = array.cast(pa.time64("us"))
    text = _shorter(array.cast(pa.large_string()), array.type)
    return pc.if_else(last, _scalar("24:00:00.000000"), text) if ends_day else text


def time_text_of_table(array: Any) -> Any:
    """Times of day as strings with six decimals, as a column of type TIME holds them.

    Raises:
        ConversionError: 24:00:00, or a value that is no time of day.
    """
    counts, day = _counts(array)
    _check_range(
        counts, 0, day - 1,
        ConversionError("that are no times before 24:00:00, which TIME ends with", _AS_STRING),
    )  # fmt: skip
    return array.cast(pa.time64("us")).cast(pa.large_string())


def timestamp_text(array: Any) -> Any:
    """Timestamps as strings with six decimals, or nine if six lose some; a zone: UTC with a Z.

    Raises:
        ConversionError: A year before -32767 or after 32767.
    """
    zoned = array.type.tz is not None
    _check_years(array, _PRINTED_DAYS, _far(-32767, 32767))
    array = _naive(array)
    text = _shorter(array.cast(pa.large_string()), array.type)
    return _joined(text, _scalar("Z")) if zoned else text


def iso_date(array: Any) -> Any:
    """Dates of the years 1 to 9999; `ConversionError` for others."""
    return _days(array, _ISO_DAYS, _far(1, 9999)).cast(pa.large_string())


def iso_time(array: Any) -> Any:
    """Times of day, without a fraction that is zero; `ConversionError` for other values."""
    return _without_zeros(time_text(array))


def iso_timestamp(array: Any) -> Any:
    """Timestamps of the years 1 to 9999, in their own zone with its offset.

    Raises:
        ConversionError: Another year.
    """
    _check_years(array, _ISO_DAYS, _far(1, 9999))
    utc = _naive(array)
    wall, offsets = utc, None
    if array.type.tz is not None:
        wall, offsets = _with_offset(array, utc)
        _check_years(wall, _ISO_DAYS, _far(1, 9999))
    text = _without_zeros(_shorter(wall.cast(pa.large_string()), wall.type))
    text = pc.utf8_replace_slice(text, 10, 11, "T")
    return text if offsets is None else _joined(text, offsets)


def iso_seconds(array: Any) -> Any:
    """Durations in seconds, with all digits and at least one decimal."""
    text = pc.utf8_rtrim(decimal_text(seconds_decimals(array)), "0")
    if array.type.unit == "s":
        return _joined(decimal_text(seconds_decimals(array)), _scalar(".0"))
    return pc.if_else(pc.ends_with(text, "."), _joined(text, _scalar("0")), text)


def _with_offset(array: Any, utc: Any) -> tuple[Any, Any]:
    """Timestamps as clocks in their zone show them, and the offsets of these as strings."""
    wall = wall_clock(array).cast(utc.type)
    counts = pc.subtract(wall.cast(pa.int64()), utc.cast(pa.int64())).dictionary_encode()
    per_second = PER_SECOND[utc.type.unit]
    texts = [_offset_text(count // per_second) for count in counts.dictionary.to_pylist()]
    return wall, pa.array(texts, pa.large_string()).take(counts.indices)


def _offset_text(seconds: int) -> str:
    sign, seconds = "-" if seconds < 0 else "+", abs(seconds)
    text = f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}"
    return f"{text}:{seconds % 60:02d}" if seconds % 60 else text


def _naive(array: Any) -> Any:
    """Timestamps in UTC without a zone, in microseconds or nanoseconds."""
    return array.cast(pa.timestamp("ns" if array.type.unit == "ns" else "us"))


def _days(array: Any, limits: tuple[int, int], error: ConversionError) -> Any:
    per_day = 1 if _is.is_date32(array.type) else _DAY_SECONDS * 1000
    counts = array.cast(pa.int32() if per_day == 1 else pa.int64())
    _check_range(counts, limits[0] * per_day, (limits[1] + 1) * per_day - 1, error)
    return array.cast(pa.date32())


def _counts(array: Any) -> tuple[Any, int]:
    """Times of day as integers, and how many of them a day has."""
    whole = pa.int32() if array.type.bit_width == 32 else pa.int64()
    return array.cast(whole), _DAY_SECONDS * PER_SECOND[array.type.unit]


def _far(first: int, last: int) -> ConversionError:
    what = f"outside the years {first} to {last}, which cannot be written as text"
    return ConversionError(what, "replace them, for example by null")


def _check_years(array: Any, days: tuple[int, int], error: ConversionError) -> None:
    """Check that timestamps are between two days, both included."""
    if array.type.unit != "ns":  # 64 bits of nanoseconds reach from 1677 to 2262
        per_day = _DAY_SECONDS * PER_SECOND[array.type.unit]
        counts = array.cast(pa.int64())
        _check_range(counts, days[0] * per_day, (days[1] + 1) * per_day - 1, error)


def _check_range(counts: Any, first: int, last: int, error: ConversionError) -> None:
    least, most = pc.min_max(counts).as_py().values()
    if least is not None and (least < first or most > last):
        raise error


def _shorter(text: Any, kind: pa.DataType) -> Any:
    """Times with six decimals instead of nine, if the last three are zero."""
    if kind.unit != "ns":
        return text
    return pc.if_else(pc.ends_with(text, "000"), pc.utf8_slice_codeunits(text, 0, -3), text)


def _without_zeros(text: Any) -> Any:
    return pc.if_else(pc.ends_with(text, ".000000"), pc.utf8_slice_codeunits(text, 0, -7), text)


def _scalar(text: str) -> Any:
    return pa.scalar(text, pa.large_string())


def _joined(*parts: Any) -> Any:
    return pc.binary_join_element_wise(*parts, _scalar(""))
