"""Statistics of a column's values: lengths, ranges, values that cannot be stored.

Every row of a push is read for them, so each check is a few Arrow kernels. Expensive ones (counting
rows, finding the used categories) run only if a cheap one requires it.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts

_YEAR_1, _YEAR_1400 = -62_135_596_800_000_000, -17_987_443_200_000_000
_YEAR_10000 = 253_402_300_800_000_000
"""Microseconds from 1970 to January 1 of these years."""

_DAY = {"us": 86_400_000_000, "ns": 86_400_000_000_000}

WRITES_EARLY_TIMES = int(pa.__version__.partition(".")[0]) >= 23
"""Whether Arrow writes times of day before 1970 in INT96 as part of their day. Older versions write
them as a negative part of the next one, which some readers take for times 584 years later."""


@dataclass
class ColumnStats:
    """Statistics of one column: numbers of values, unless said otherwise."""

    longest: int = 0  # characters of the longest string
    longest_bytes: int = 0  # most UTF-8 bytes of a string
    too_long: int = 0  # strings longer than the column can be
    not_utf8: bool = False  # whether a string is not valid UTF-8
    nul_characters: int = 0  # strings with a NUL character
    nulls: int = 0  # in key columns
    infinite: int = 0
    inexact: int = 0  # not exact as 64-bit floats
    out_of_range: int = 0  # times outside the years that Celonis analyses, 1400 to 9999
    not_storable: int = 0  # times that the file cannot hold
    early: int = 0  # times before 1970, but for midnights, that this version of Arrow cannot write
    nanoseconds: int = 0  # times that are not exact in microseconds
    sub_millisecond: bool = False  # whether times in key columns are not exact in milliseconds

    def add_strings(self, array: Any, limit: int) -> None:
        """Add strings, plain or in a dictionary; `limit` is the largest length allowed."""
        values = array
        if pa.types.is_dictionary(array.type):
            values = array.dictionary
            # Its values stand for all rows, but a value that no row uses must not count.
            if not _is_ascii(values) or _longest_bytes(values) > self.longest:
                values = values.take(pc.unique(array.indices).drop_null())
        size = _longest_bytes(values)
        if _is_ascii(values):
            longest = size
        else:
            if not is_utf8(values):
                self.not_utf8 = True
                return
            least = min(self.longest, limit)
            longest = (pc.max(pc.utf8_length(values)).as_py() or 0) if size > least else 0
            if pc.any(pc.match_substring(values, "\0")).as_py():
                self.nul_characters += casts.trues(
                    pc.match_substring(_without_dictionary(array), "\0")
                )
        self.longest = max(self.longest, longest)
        self.longest_bytes = max(self.longest_bytes, size)
        if longest > limit:
            self.too_long += casts.trues(
                pc.greater(pc.utf8_length(_without_dictionary(array)), limit)
            )

    def add_times(self, array: Any, *, csv: bool) -> None:
        """Add times; CSV holds years of four digits, INT96 almost all times."""
        early = early_times(array, csv=csv)
        self.early += 0 if early is None else casts.trues(early)
        if array.type.unit == "ns":  # 64 bits of nanoseconds reach from 1677 to 2262
            try:
                array.cast(pa.timestamp("us"))
            except pa.ArrowInvalid:
                cut = array.cast(pa.timestamp("us"), safe=False).cast(array.type)
                self.nanoseconds += casts.trues(pc.not_equal(cut, array))
            return
        moments = array.cast(pa.int64())
        first, last = pc.min_max(moments).as_py().values()
        if first is None or (first >= _YEAR_1400 and last < _YEAR_10000):
            return
        self.out_of_range += casts.trues(_outside(moments, _YEAR_1400, _YEAR_10000 - 1))
        self.not_storable += casts.trues(times_out_of_range(array, csv=csv))

    @property
    def has_bad(self) -> bool:
        """Whether there are values, other than infinities, that no column can hold."""
        return bool(
            self.too_long or self.not_utf8 or self.nul_characters or self.not_storable or self.early
        )

    def merge(self, other: ColumnStats) -> None:
        """Add the statistics of other rows of the same column."""
        for name, value in vars(other).items():
            is_count = not (name.startswith("longest") or isinstance(value, bool))
            setattr(self, name, (operator.add if is_count else max)(getattr(self, name), value))

    def may_be_part_of(self, whole: ColumnStats) -> bool:
        """Whether these can be the statistics of some of the rows that others are of."""
        return all(value <= getattr(whole, name) for name, value in vars(self).items())

    def add_keys(self, source: Any, array: Any) -> None:
        """Add keys, as in the frame and as converted."""
        self.nulls += casts.nulls(source)
        if pa.types.is_timestamp(array.type) and not self.sub_millisecond:
            try:
                array.cast(pa.timestamp("ms", array.type.tz))
            except pa.ArrowInvalid:
                self.sub_millisecond = True

    def add_floats(self, source: Any) -> None:
        """Add floats as in the frame."""
        self.infinite += casts.trues(pc.is_inf(casts.as_floats(casts.decoded(source))))

    def add_converted(self, source: Any, floats: Any) -> None:
        """Add other numbers that were converted to floats."""
        self.inexact += casts.inexact(casts.decoded(source), floats)


def _longest_bytes(strings: Any) -> int:
    return pc.max(pc.binary_length(strings)).as_py() or 0


def _is_ascii(strings: Any) -> bool:
    """True if all strings are ASCII without NUL, so that byte length equals character count.

    The minimum of all bytes as signed numbers shows it, at the speed of memory. Bytes of nulls
    count too, and may make it False without need.
    """
    _, offsets, data = strings.buffers()
    if data is None or not len(strings):
        return True
    width = pa.int64() if pa.types.is_large_string(strings.type) else pa.int32()
    ends = pa.Array.from_buffers(width, len(strings) + 1, [None, offsets], offset=strings.offset)
    first, last = ends[0].as_py(), ends[-1].as_py()
    if first == last:
        return True
    signed = pa.Array.from_buffers(pa.int8(), last - first, [None, data], offset=first)
    return bool(pc.min_max(signed)["min"].as_py() > 0)


def _without_dictionary(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def is_utf8(array: Any) -> bool:
    """Whether all strings are valid UTF-8."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return bool(array.null_count) and is_utf8(array.drop_null())  # bytes of nulls are not sent
    return True


def times_out_of_range(times: Any, *, csv: bool) -> Any:
    """Where times are that the file cannot hold; None if there can be none."""
    if times.type.unit == "ns":
        return None
    storable = (_YEAR_1, _YEAR_10000 - 1) if csv else (casts.FIRST_TIME, casts.LAST_TIME)
    return _outside(times.cast(pa.int64()), *storable)


def early_times(times: Any, *, csv: bool) -> Any:
    """Where times of day before 1970 are that this version of Arrow cannot write; or None."""
    if csv or WRITES_EARLY_TIMES:
        return None
    counts = times.cast(pa.int64())
    if (pc.min(counts).as_py() or 0) >= 0:
        return None
    day = _DAY[times.type.unit]
    midnights = pc.multiply(pc.divide(counts, day), day)
    return pc.and_(pc.less(counts, 0), pc.not_equal(counts, midnights))


def _outside(moments: Any, first: int, last: int) -> Any:
    return pc.or_(pc.less(moments, first), pc.greater(moments, last))
