"""How times are written as text or as numbers: which formats a column has, and how often.

A format is a style of the date and one of the time of day. Day and month of 03/04/2024 cannot be
told apart; if other values of the column decide, they decide for all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_DAY, _MONTH = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_LATE_DAY = r"(?:1[3-9]|2\d|3[01])"
"""A day that is no month."""


@dataclass(frozen=True)
class TimeFormat:
    """One way to write a time.

    Attributes:
        name: As people write it: ``dd.mm.yyyy hh:mm``.
        parse: Its strptime format, without fractions and offset; None if there is none, or
            ``"s"``, ``"ms"``, ``"us"``, ``"ns"`` and ``"excel"`` for numbers.
        pattern: A regular expression for the whole text.
        fraction: Whether it has fractions of a second.
        offset: Whether it has an offset from UTC.
        iso: Whether it is ISO 8601.
        swapped: Whether day and month may be meant the other way round.
        number: Whether the values are numbers, or digits that count from a time.
    """

    name: str
    parse: str | None
    pattern: str = ""
    fraction: bool = False
    offset: bool = False
    iso: bool = False
    swapped: bool = False
    number: bool = False


UNKNOWN = TimeFormat("an unknown format", None)
EMPTY = TimeFormat("empty text", None, r"\s*")
ZEROS = TimeFormat("zeros, which are no date", None, r"[0.:/ T-]*0000[0.:/ T-]*")
OTHER_NUMBERS = TimeFormat("numbers that are no times", None)
_EPOCHS = {
    "s": TimeFormat("seconds from 1970", "s", r"\d{9,10}", number=True),
    "ms": TimeFormat("milliseconds from 1970", "ms", r"\d{12,13}", number=True),
    "us": TimeFormat("microseconds from 1970", "us", r"\d{15,16}", number=True),
    "ns": TimeFormat("nanoseconds from 1970", "ns", r"\d{18,19}", number=True),
}
_EXCEL = TimeFormat("days from 1899-12-30, as Excel counts", "excel", number=True)

_DATES = (
    ("yyyy-mm-dd", "%Y-%m-%d", rf"\d{{4}}-{_MONTH}-{_DAY}"),
    ("dd.mm.yyyy", "%d.%m.%Y", rf"{_DAY}\.{_MONTH}\.\d{{4}}"),
    ("dd/mm/yyyy", "%d/%m/%Y", rf"{_LATE_DAY}/{_MONTH}/\d{{4}}"),
    ("mm/dd/yyyy", "%m/%d/%Y", rf"{_MONTH}/{_LATE_DAY}/\d{{4}}"),
    ("dd/mm/yyyy or mm/dd/yyyy", "%d/%m/%Y", rf"{_MONTH}/{_MONTH}/\d{{4}}"),
    ("yyyy/mm/dd", "%Y/%m/%d", rf"\d{{4}}/{_MONTH}/{_DAY}"),
    ("yyyy.mm.dd", "%Y.%m.%d", rf"\d{{4}}\.{_MONTH}\.{_DAY}"),
    ("dd-mm-yyyy", "%d-%m-%Y", rf"{_LATE_DAY}-{_MONTH}-\d{{4}}"),
    ("mm-dd-yyyy", "%m-%d-%Y", rf"{_MONTH}-{_LATE_DAY}-\d{{4}}"),
    ("dd-mm-yyyy or mm-dd-yyyy", "%d-%m-%Y", rf"{_MONTH}-{_MONTH}-\d{{4}}"),
    ("dd.mm.yy", "%d.%m.%y", rf"{_DAY}\.{_MONTH}\.\d{{2}}"),
    ("yyyymmdd", "%Y%m%d", r"(?:19|2\d)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"),
)
_CLOCKS = (
    ("", "", ""),
    (" hh:mm:ss", " %H:%M:%S", r" \d{1,2}:\d{2}:\d{2}"),
    (" hh:mm", " %H:%M", r" \d{1,2}:\d{2}"),
    ("Thh:mm:ss", "T%H:%M:%S", r"T\d{2}:\d{2}:\d{2}"),
    ("Thh:mm", "T%H:%M", r"T\d{2}:\d{2}"),
    (" hh:mm:ss AM", " %I:%M:%S %p", r" (?:0?\d|1[0-2]):\d{2}:\d{2} [AaPp][Mm]"),
    (" hh:mm AM", " %I:%M %p", r" (?:0?\d|1[0-2]):\d{2} [AaPp][Mm]"),
    ("hhmmss", "%H%M%S", r"(?:[01]\d|2[0-3])[0-5]\d[0-5]\d"),
)
_OFFSET = r" ?(?:Z|[+-]\d{2}:?\d{2})"


def _formats(date: tuple[str, str, str]) -> list[TimeFormat]:
    """The formats with a style of the date."""
    name, parse, pattern = date
    found = []
    for clock, directive, digits in _CLOCKS:
        if clock == "hhmmss" and name != "yyyymmdd":
            continue
        iso = name == "yyyy-mm-dd" and not clock.endswith("AM")
        base = TimeFormat(
            name + clock, parse + directive, pattern + digits, iso=iso, swapped=" or " in name
        )
        found.append(base)
        if clock.endswith("ss") and clock != "hhmmss":
            found.append(replace(
                base, name=f"{base.name}.f", pattern=rf"{base.pattern}\.\d{{1,9}}", fraction=True
            ))  # fmt: skip
        if iso and clock:
            found += [
                replace(one, name=f"{one.name}+zz:zz", pattern=one.pattern + _OFFSET, offset=True)
                for one in found[-2 if clock.endswith("ss") else -1 :]
            ]
    return found


_BY_DATE = {date: _formats(date) for date in _DATES}


class FormatCounter:
    """Counts the formats of the texts of a column."""

    def __init__(self) -> None:
        self.counts: Counter[TimeFormat] = Counter()

    def update(self, texts: Any, weights: Any) -> None:
        """Add distinct texts and how many rows have each; formats seen before are tried first."""
        rest = (texts, weights)
        for known, _ in self.counts.most_common():
            if known.pattern:
                rest = self._count(known, *rest)
        for one in (EMPTY, ZEROS):
            rest = self._count(one, *rest)
        for date, formats in _BY_DATE.items():
            if not len(rest[0]):
                return
            dated = pc.match_substring_regex(rest[0], f"^(?:{date[2]})")
            if not pc.any(dated).as_py():
                continue
            some = tuple(part.filter(dated) for part in rest)
            others = tuple(part.filter(pc.invert(dated)) for part in rest)
            for one in formats:
                some = self._count(one, *some)
            # Digits may begin like another style.
            rest = tuple(pa.concat_arrays(pair) for pair in zip(some, others, strict=True))
        for one in _EPOCHS.values():
            rest = self._count(one, *rest)
        left = pc.sum(rest[1]).as_py() or 0
        if left:
            self.counts[UNKNOWN] += left

    def _count(self, one: TimeFormat, texts: Any, weights: Any) -> tuple[Any, Any]:
        """Count the texts of a format; returns the others."""
        if not len(texts):
            return texts, weights
        mask = pc.match_substring_regex(texts, f"^(?:{one.pattern})$")
        found = pc.sum(weights.filter(mask)).as_py() or 0
        if not found:
            return texts, weights
        self.counts[one] += found
        others = pc.invert(mask)
        return texts.filter(others), weights.filter(others)


def numbers_as_times(numbers: Any) -> Counter[TimeFormat]:
    """What numbers may mean as times, by their size; how many of each."""
    floats = numbers.cast(pa.float64(), safe=False)
    found: Counter[TimeFormat] = Counter()
    total = len(floats) - floats.null_count
    for one, least, below in _NUMBERS:
        # As floats: Arrow casts no large integer to one, even if it is exact.
        mask = pc.and_(pc.greater_equal(floats, float(least)), pc.less(floats, float(below)))
        count = pc.sum(mask).as_py() or 0
        if count:
            found[one] += count
    left = total - sum(found.values())
    if left:
        found[OTHER_NUMBERS] = left
    return found


_DIGITS_DATE, _DIGITS_TIME = (
    replace(next(one for one in _BY_DATE[_DATES[-1]] if one.name == name), number=True)
    for name in ("yyyymmdd", "yyyymmddhhmmss")
)
_NUMBERS: tuple[tuple[TimeFormat, float, float], ...] = (
    (_EXCEL, 20_000, 80_000),  # 1954 to 2119
    (_DIGITS_DATE, 19_000_101, 22_000_101),
    (_EPOCHS["s"], 10**8, 10**10),  # 1973 to 2286, as the following
    (_EPOCHS["ms"], 10**11, 10**13),
    (_DIGITS_TIME, 19_000_101_000_000, 22_000_101_000_000),
    (_EPOCHS["us"], 10**14, 10**16),
    (_EPOCHS["ns"], 10**17, 9.3e18),
)


def decided(counts: Counter[TimeFormat]) -> Counter[TimeFormat]:
    """The counts after values that can be read in one way only have decided for the others."""
    found: Counter[TimeFormat] = Counter()
    for sign in "/-":
        orders = {
            order: any(one.name.startswith(f"{order[0]}{sign}{order[1]}{sign}") and not one.swapped
                       for one in counts)
            for order in (("dd", "mm"), ("mm", "dd"))
        }  # fmt: skip
        only = [order for order, is_there in orders.items() if is_there]
        for one, count in counts.items():
            if not one.swapped or sign not in one.name:
                continue
            if len(only) == 1:
                first, second = only[0]
                found[_in_order(one, first, second, sign)] += count
            else:
                found[one] += count
    for one, count in counts.items():
        if not one.swapped:
            found[one] += count
    return found


def _in_order(one: TimeFormat, first: str, second: str, sign: str) -> TimeFormat:
    """The format with its day and month in a certain order."""
    date = f"{first}{sign}{second}{sign}yyyy"
    clock = one.name.rpartition("yyyy")[2]
    formats = next(formats for known, formats in _BY_DATE.items() if known[0] == date)
    return next(other for other in formats if other.name == date + clock)
