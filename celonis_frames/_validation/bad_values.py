"""Finds the values of a column that Celonis cannot hold.

This runs only for columns of a batch that have such values: their conversion failed, or their
statistics show it. Arrow marks them; only where no comparison of whole arrays can, as in JSON, the
column is halved until the values that fail are alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.json_text import INFINITY_ERROR
from celonis_frames._schema.pseudonyms import NOT_UTF8_ERROR
from celonis_frames._schema.table_layout import VALUE_ERRORS, ColumnPlan
from celonis_frames._validation.column_stats import early_times, is_utf8, times_out_of_range
from celonis_frames._validation.rejects import Reason

_is = pa.types

_UTF8 = (
    r"(?s)\A(?:[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]"
    r"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}"
    r"|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*\z"
)
"""The bytes of a string (RFC 3629)."""

_LAST_INTEGER, _FIRST_INTEGER = "9223372036854775807", "9223372036854775808"
"""Digits of the 64-bit integers that are furthest from zero."""

_INTEGER_LIMIT = 2.0**63
"""Floats from here on are no 64-bit integers."""

_BY_ERROR = {INFINITY_ERROR[0]: Reason.INFINITE, NOT_UTF8_ERROR[0]: Reason.NOT_UTF8}
"""Reasons by what the error of a conversion says of the value."""


@dataclass(frozen=True)
class FoundBad:
    """The bad values of a column of some rows.

    Attributes:
        array: The column as it is converted, bad values null.
        masks: Where they are, by reason; a value is bad for one reason.
    """

    array: Any
    masks: dict[Reason, Any]

    @property
    def mask(self) -> Any:
        """Where they are, whatever the reason."""
        return either(self.masks.values(), len(self.array))


def find_bad(
    column: ColumnPlan, source: Any, *, limit: int, options: ConversionOptions, no_nulls: bool
) -> FoundBad:
    """The bad values of a column, and the others as they are converted.

    Args:
        column: The column.
        source: Its values as the frame has them.
        limit: The most characters of a string.
        options: Those by which the column is converted.
        no_nulls: Whether nulls are bad.

    Raises:
        ConversionError: The type of the values cannot be converted, whatever they are.
    """
    found: dict[Reason, Any] = {}
    array = _converted(column, source, options, found)
    if column.conversion.column_type == "STRING":
        array = _checked_strings(array, limit, found)
    elif _is.is_timestamp(array.type):
        for reason, find in (
            (Reason.OUT_OF_RANGE, times_out_of_range),
            (Reason.EARLY, early_times),
        ):
            bad = find(array, csv=options.csv)
            if bad is not None:
                array = _mark(array, reason, bad, found)
    if no_nulls:
        nulls = casts.decoded(array).is_null()
        found[Reason.NULL_KEY] = pc.and_not(nulls, either(found.values(), len(array)))
    return FoundBad(array, found)


def either(masks: Iterable[Any], rows: int) -> Any:
    """Where any of some masks is true."""
    whole = pa.repeat(pa.scalar(False), rows)
    for mask in masks:
        whole = pc.or_(whole, mask)
    return whole


def without(array: Any, bad: Any) -> Any:
    """The array with nulls where a mask is true.

    `take` does so for every type; `if_else` of older Arrow versions breaks slices of strings.
    """
    places = pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), len(array)))
    return array.take(pc.if_else(bad, pa.scalar(None, pa.int64()), pc.subtract(places, 1)))


def _mark(array: Any, reason: Reason, bad: Any, found: dict[Reason, Any]) -> Any:
    """Note where a mask is true; returns the array without these values."""
    bad = pc.fill_null(bad, fill_value=False)
    if not casts.trues(bad):
        return array
    found[reason] = bad
    return without(array, bad)


def _converted(
    column: ColumnPlan, source: Any, options: ConversionOptions, found: dict[Reason, Any]
) -> Any:
    """The converted values; those that cannot be are null."""
    convert, to = column.conversion.convert, column.conversion.column_type
    try:
        array = convert(source)
    except MemoryError:
        raise
    except VALUE_ERRORS:
        array = None
    is_float = _is.is_floating(casts.storage_type(column.arrow_type))
    if array is not None:
        if is_float and to == "FLOAT":
            array = _mark(array, Reason.INFINITE, pc.is_inf(array), found)
        return array
    coded = _is.is_dictionary(column.conversion.encoded_type)
    values = source if coded else casts.decoded(source)
    if is_float and to == "INTEGER":
        infinite = pc.fill_null(pc.is_inf(values.cast(pa.float64())), fill_value=False)
        values = without(values, infinite)
        if options.infinity != "null" and casts.trues(infinite):
            found[Reason.INFINITE] = infinite
    unfit = _unfit(values, column, options)
    if unfit is not None:
        values = _mark(values, Reason.NOT_FITTING, unfit, found)
    return _halved(column, values, found)


def _halved(column: ColumnPlan, values: Any, found: dict[Reason, Any]) -> Any:
    """The converted values; marks those that fail, found by halving."""
    convert, encoded = column.conversion.convert, column.conversion.encoded_type
    parts: list[Any] = []
    bad: dict[Reason, list[int]] = {}

    def visit(start: int, stop: int) -> None:
        try:
            parts.append(convert(values.slice(start, stop - start)))
        except MemoryError:
            raise
        except VALUE_ERRORS as error:
            if getattr(error, "of_type", False):
                raise
            if stop - start > 1:
                middle = (start + stop) // 2
                visit(start, middle)
                visit(middle, stop)
                return
            what = getattr(error, "what", "")
            bad.setdefault(_BY_ERROR.get(what, Reason.NOT_FITTING), []).append(start)
            parts.append(pa.nulls(1, encoded))

    visit(0, len(values))
    rows = pc.indices_nonzero(pa.repeat(pa.scalar(True), len(values)))
    for reason, places in bad.items():
        mask = pc.is_in(rows, value_set=pa.array(places, rows.type))
        found[reason] = pc.or_(found[reason], mask) if reason in found else mask
    return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)


def _unfit(values: Any, column: ColumnPlan, options: ConversionOptions) -> Any:
    """Where plain values certainly cannot be converted; None: only a try shows it."""
    kind, to = values.type, column.conversion.column_type
    if to == "INTEGER":
        if _is.is_uint64(kind):
            return pc.greater(values, pa.scalar(int(_LAST_INTEGER), pa.uint64()))
        if _is.is_floating(kind):
            floats = values.cast(pa.float64())
            return pc.invert(
                pc.and_(
                    pc.equal(pc.floor(floats), floats),
                    pc.and_(
                        pc.less(floats, _INTEGER_LIMIT), pc.greater_equal(floats, -_INTEGER_LIMIT)
                    ),
                )
            )
        if _is.is_decimal(kind):
            return _no_integers(casts.decimal_text(values))
        if casts.is_text(kind):  # integers of more than 64 bits
            return _no_integers(values)
    if to == "FLOAT" and _is.is_signed_integer(kind):  # as in the table that is there
        floats = values.cast(pa.float64(), safe=False)
        return pc.not_equal(floats.cast(pa.int64(), safe=False), values)
    if to in ("DATE", "DATETIME", "TIME") and (_is.is_timestamp(kind) or _is.is_time(kind)):
        counts = values.cast(pa.int32() if kind.bit_width == 32 else pa.int64())
        if to == "DATE":
            return _no_multiples(counts, 86_400 * casts.PER_SECOND[kind.unit])
        if kind.unit == "ns" and options.csv:  # which holds microseconds
            return _no_multiples(counts, 1_000)
    return None


def _no_multiples(counts: Any, of: int) -> Any:
    return pc.not_equal(pc.multiply(pc.divide(counts, of), of), counts)


def _no_integers(texts: Any) -> Any:
    """Which decimal numbers have a fraction or more than 64 bits."""
    fraction = pc.match_substring_regex(texts, r"\.0*[1-9]")
    units = pc.replace_substring_regex(texts, r"\..*", "")
    digits, negative = pc.utf8_ltrim(units, "-"), pc.starts_with(units, "-")
    length, most = pc.utf8_length(digits), len(_LAST_INTEGER)
    largest = pc.if_else(negative, _FIRST_INTEGER, _LAST_INTEGER).cast(digits.type)
    beyond = pc.and_(pc.equal(length, most), pc.greater(digits, largest))
    return pc.or_(fraction, pc.or_(pc.greater(length, most), beyond))


def _checked_strings(array: Any, limit: int, found: dict[Reason, Any]) -> Any:
    """The strings without those that Celonis cannot hold."""
    strings = array.dictionary_decode() if _is.is_dictionary(array.type) else array
    checked = strings
    if not is_utf8(checked):
        raw = pa.large_binary() if _is.is_large_string(checked.type) else pa.binary()
        is_text = pc.match_substring_regex(checked.view(raw), _UTF8)
        checked = _mark(checked, Reason.NOT_UTF8, pc.invert(is_text), found)
    longer = pc.greater(pc.utf8_length(checked), limit)
    checked = _mark(checked, Reason.TOO_LONG, longer, found)
    checked = _mark(checked, Reason.NUL, pc.match_substring(checked, "\0"), found)
    if checked is strings:
        return array
    # No such value may be left in a dictionary either.
    return checked.dictionary_encode() if _is.is_dictionary(array.type) else checked
