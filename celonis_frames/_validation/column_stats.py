"""What the values of one column show when they are looked at: lengths, ranges, what is lost.

The measuring pass reads every row of a push, so each look is a few Arrow kernels, and what is
dear (counting rows, looking for used categories) is done only where a cheap look calls for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts

_YEAR_1, _YEAR_1400, _YEAR_10000 = (
    -62_135_596_800_000_000,
    -17_987_443_200_000_000,
    253_402_300_800_000_000,
)
"""Microseconds from 1970 to the first of January."""


_COUNTS = (
    "too_long",
    "nul_characters",
    "nulls",
    "infinite",
    "inexact",
    "out_of_range",
    "unwritable",
    "nanoseconds",
)


@dataclass
class ColumnStats:
    """What one column's values have shown so far.

    Attributes:
        longest: Characters of the longest text.
        longest_bytes: UTF-8 bytes of the text that has most.
        too_long: Texts longer than the column may become.
        not_utf8: Whether a text is not valid UTF-8.
        nul_characters: Texts with a NUL character.
        nulls: Nulls, in key columns.
        infinite: Infinite numbers.
        inexact: Numbers that a 64-bit float does not hold exactly.
        out_of_range: Times outside the years that Celonis analyses, 1400 to 9999.
        unwritable: Times that the file cannot hold.
        nanoseconds: Times that microseconds would cut.
        finer: Whether there are times that milliseconds would cut, in key columns.
    """

    longest: int = 0
    longest_bytes: int = 0
    too_long: int = 0
    not_utf8: bool = False
    nul_characters: int = 0
    nulls: int = 0
    infinite: int = 0
    inexact: int = 0
    out_of_range: int = 0
    unwritable: int = 0
    nanoseconds: int = 0
    finer: bool = False

    def texts(self, array: Any, limit: int) -> None:
        """Look at texts, plain or in a dictionary, of which none may be longer than `limit`."""
        if pa.types.is_string_view(array.type):
            array = casts.decoded(array)
        values = array
        if pa.types.is_dictionary(array.type):
            values = array.dictionary
            # Its values stand for all rows, but a value that no row uses counts for nothing.
            if not _plain(values) or _longest_bytes(values) > self.longest:
                values = values.take(pc.unique(array.indices).drop_null())
        size = _longest_bytes(values)
        if _plain(values):
            self.longest_bytes = max(self.longest_bytes, size)
            longest = size
        else:
            if not _is_utf8(values):
                self.not_utf8 = True
                return
            self.longest_bytes = max(self.longest_bytes, size)
            least = min(self.longest, limit)
            longest = (pc.max(pc.utf8_length(values)).as_py() or 0) if size > least else 0
            if pc.any(pc.match_substring(values, "\0")).as_py():
                self.nul_characters += _count(pc.match_substring(_rows(array), "\0"))
        self.longest = max(self.longest, longest)
        if longest > limit:
            self.too_long += _count(pc.greater(pc.utf8_length(_rows(array)), limit))

    def times(self, array: Any, *, csv: bool) -> None:
        """Look at times, of which INT96 holds almost all and CSV four digits of the year."""
        if array.type.unit == "ns":  # 64 bits of nanoseconds reach from 1677 to 2262
            try:
                array.cast(pa.timestamp("us"))
            except pa.ArrowInvalid:
                cut = array.cast(pa.timestamp("us"), safe=False).cast(array.type)
                self.nanoseconds += _count(pc.not_equal(cut, array))
            return
        moments = array.cast(pa.int64())
        limits = pc.min_max(moments).as_py()
        first, last = limits["min"], limits["max"]
        if first is None or (first >= _YEAR_1400 and last < _YEAR_10000):
            return
        least, most = (_YEAR_1, _YEAR_10000 - 1) if csv else (casts.FIRST_TIME, casts.LAST_TIME)
        self.out_of_range += _count(_outside(moments, _YEAR_1400, _YEAR_10000 - 1))
        self.unwritable += _count(_outside(moments, least, most))

    def add(self, other: ColumnStats) -> None:
        """Take in what other rows of the same column have shown."""
        self.longest = max(self.longest, other.longest)
        self.longest_bytes = max(self.longest_bytes, other.longest_bytes)
        self.not_utf8 = self.not_utf8 or other.not_utf8
        self.finer = self.finer or other.finer
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def key(self, source: Any, array: Any) -> None:
        """Look at keys, as the frame has them and as they are sent."""
        self.nulls += casts.nulls(source)
        if pa.types.is_timestamp(array.type) and not self.finer:
            try:
                array.cast(pa.timestamp("ms", array.type.tz))
            except pa.ArrowInvalid:
                self.finer = True

    def infinities(self, source: Any) -> None:
        """Look at floats as the frame has them."""
        self.infinite += _count(pc.is_inf(casts.as_floats(casts.decoded(source))))

    def numbers(self, source: Any, floats: Any) -> None:
        """Look at what other numbers have become as floats."""
        self.inexact += casts.inexact(casts.decoded(source), floats)


def _longest_bytes(texts: Any) -> int:
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _plain(texts: Any) -> bool:
    """Whether these texts are ASCII without NUL, and so have a byte a character.

    One look at all bytes as signed numbers tells, at the speed of memory. What stands behind
    nulls is looked at as well, and may make it False without need.
    """
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return True
    width = pa.int64() if pa.types.is_large_string(texts.type) else pa.int32()
    ends = pa.Array.from_buffers(width, len(texts) + 1, [None, offsets], offset=texts.offset)
    first, last = ends[0].as_py(), ends[-1].as_py()
    if first == last:
        return True
    signed = pa.Array.from_buffers(pa.int8(), last - first, [None, data], offset=first)
    return bool(pc.min_max(signed)["min"].as_py() > 0)


def _rows(array: Any) -> Any:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _is_utf8(array: Any) -> bool:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        if not array.null_count:
            return False
        return _is_utf8(array.drop_null())  # what stands behind nulls is not sent
    return True


def _outside(moments: Any, first: int, last: int) -> Any:
    return pc.or_(pc.less(moments, first), pc.greater(moments, last))


def _count(mask: Any) -> int:
    return int(pc.sum(mask).as_py() or 0)
