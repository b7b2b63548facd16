"""A column of times: what it holds, its range, and dates that mean "no date"."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._arrow.extension_types import NestedObjects
from celonis_frames._arrow.wall_clock import zone_of
from celonis_frames._event_log.time_formats import FormatCounter, TimeFormat, numbers_as_times
from celonis_frames._event_log.values import DAY, first_true, floor_divided, microseconds

_is = pa.types

Kind = Literal["time", "date", "text", "number", "null", "other"]

_EPOCH = dt.datetime(1970, 1, 1)


def _day(year: int, month: int, day: int) -> int:
    return (dt.datetime(year, month, day) - _EPOCH) // dt.timedelta(microseconds=1)


FIRST_ANALYSED, LAST_ANALYSED = _day(1400, 1, 1), _day(9999, 12, 31) + DAY - 1
"""Microseconds from 1970 to the first and the last time that Celonis analyses."""

SENTINELS = {
    "1900-01-01": _day(1900, 1, 1),
    "1970-01-01": _day(1970, 1, 1),
    "9999-12-31": _day(9999, 12, 31),
}
"""Days that systems write where they have no date, in microseconds from 1970."""


@dataclass
class NullStats:
    """How many nulls a column has, and the first row with one."""

    count: int = 0
    first_row: int | None = None

    def update(self, array: Any, start: int) -> None:
        """Add the values of rows from `start` on."""
        if array.null_count:
            if self.first_row is None:
                self.first_row = start + first_true(array.is_null())
            self.count += array.null_count


@dataclass
class TimeStats:
    """What is known of a column of times.

    Attributes:
        kind: What its values are, by their type.
        zone: Its time zone.
        categories: Whether text is in dictionaries.
        nulls: Its nulls.
        outside: Times outside the years that Celonis analyses.
        sentinels: Times of days that mean "no date".
        with_clock: Times that are not midnight.
        first: The first time within the years that Celonis analyses, in microseconds from 1970.
        last: The last one.
        formats: Of text and numbers, how they are written.
    """

    kind: Kind
    zone: str | None = None
    categories: bool = False
    nulls: NullStats = field(default_factory=NullStats)
    values: int = 0
    outside: int = 0
    sentinels: Counter[str] = field(default_factory=Counter)
    with_clock: int = 0
    first: int | None = None
    last: int | None = None
    texts: FormatCounter = field(default_factory=FormatCounter)
    numbers: Counter[TimeFormat] = field(default_factory=Counter)

    @classmethod
    def of(cls, kind: pa.DataType) -> TimeStats:
        """Statistics of a column of this type, of which nothing was read."""
        plain = casts.storage_type(kind)
        found: Kind = "other"
        if isinstance(kind, NestedObjects):
            pass  # stored as text, but none
        elif _is.is_timestamp(plain):
            found = "time"
        elif _is.is_date(plain):
            found = "date"
        elif casts.is_text(plain):
            found = "text"
        elif _is.is_null(plain):
            found = "null"
        elif _is.is_integer(plain) or _is.is_floating(plain) or _is.is_decimal(plain):
            found = "number"
        return cls(found, zone_of(kind), _is.is_dictionary(kind))

    def update(self, array: Any, start: int) -> Any:
        """Add the values of rows from `start` on; returns them in microseconds, or None.

        None is returned if they are no times.
        """
        values = casts.decoded(array)
        self.nulls.update(values, start)
        if len(values) == values.null_count:
            return pa.nulls(len(values), pa.int64()) if self.kind in ("time", "date") else None
        self.values += len(values) - values.null_count
        if self.kind == "text":
            counted = pc.value_counts(values.drop_null())
            self.texts.update(
                counted.field("values").cast(pa.large_string()), counted.field("counts")
            )
            return None
        if self.kind == "number":
            self.numbers += numbers_as_times(casts.as_floats(values))
            return None
        if self.kind not in ("time", "date"):
            return None
        times = microseconds(values)
        self._add_times(times)
        return times

    @property
    def formats(self) -> Counter[TimeFormat]:
        """Of text and numbers, how many values are written in which way."""
        return self.texts.counts if self.kind == "text" else self.numbers

    def _add_times(self, times: Any) -> None:
        limits = pc.min_max(times).as_py()
        first, last = limits["min"], limits["max"]
        if first < FIRST_ANALYSED or last > LAST_ANALYSED:
            within = pc.and_(
                pc.greater_equal(times, FIRST_ANALYSED), pc.less_equal(times, LAST_ANALYSED)
            )
            self.outside += casts.trues(pc.invert(within))
            limits = pc.min_max(times.filter(within)).as_py()
            first, last = limits["min"], limits["max"]
        if first is not None:
            self.first = first if self.first is None else min(self.first, first)
            self.last = last if self.last is None else max(self.last, last)
            for name, day in SENTINELS.items():
                if first < day + DAY and last >= day:
                    on_day = pc.and_(pc.greater_equal(times, day), pc.less(times, day + DAY))
                    found = casts.trues(on_day)
                    if found:
                        self.sentinels[name] += found
        if self.kind == "time" and not self.with_clock:
            midnights = pc.multiply(floor_divided(times, DAY), DAY)
            self.with_clock += casts.trues(pc.not_equal(midnights, times))


def moment(microseconds_: int | None, zone: str | None) -> dt.datetime | None:
    """The time for people: without a zone as it is, with one in UTC."""
    if microseconds_ is None:
        return None
    found = _EPOCH + dt.timedelta(microseconds=microseconds_)
    return found if zone is None else found.replace(tzinfo=dt.UTC)
