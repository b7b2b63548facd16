"""The time of day that clocks show in the zone of a timestamp."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._arrow.casts import ConversionError

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_FARTHEST_SECONDS = 26 * 3_600
"""No clock differs more from UTC."""

_LAST_CHANGE = 2_114_380_800
"""Seconds from 1970 to 2037: Arrow knows no changes of clocks after that year."""

_CYCLE = 146_097 * 86_400
"""Seconds of 400 years, after which the calendar and its weekdays repeat."""


def zone_of(kind: pa.DataType) -> str | None:
    """The zone of timestamps, also in a dictionary or in runs; None for everything else."""
    plain = casts.storage_type(kind)
    return plain.tz if pa.types.is_timestamp(plain) else None


def is_utc(zone: str) -> bool:
    """Whether clocks in the zone always show UTC."""
    return zone.upper() in ("UTC", "ETC/UTC", "Z", "GMT", "ETC/GMT", "+00:00", "-00:00", "+0000")


def has_offset(zone: str) -> bool:
    """Whether the zone is an offset such as ``+02:00``, which never changes."""
    return _OFFSET.fullmatch(zone) is not None


def without_zone(kind: pa.DataType) -> pa.DataType:
    """The type of `wall_clock` for timestamps of this type."""
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, without_zone(kind.value_type), kind.ordered)
    return pa.timestamp(casts.storage_type(kind).unit)


def wall_clock(array: Any) -> Any:
    """Timestamps without a zone that show the date and the time of day in the array's zone.

    Raises:
        ConversionError: The zone is not known, or a time is at the very end of the range.
    """
    if pa.types.is_dictionary(array.type):
        shown = wall_clock(array.dictionary)
        return pa.DictionaryArray.from_arrays(array.indices, shown, ordered=array.type.ordered)
    times = casts.decoded(array)
    unit, zone = times.type.unit, times.type.tz
    instants = times.cast(pa.int64())
    limits = pc.min_max(instants).as_py()
    margin = _FARTHEST_SECONDS * casts.PER_SECOND[unit]
    if limits["min"] is not None and not (
        -(2**63) + margin <= limits["min"] and limits["max"] < 2**63 - margin
    ):
        raise ConversionError(f"that have no local time in {unit}", "replace them")
    if (offset := _OFFSET.fullmatch(zone)) is not None:  # which pyarrow 18 does not know
        sign, hours, minutes = offset.groups()
        seconds = int(f"{sign}1") * (int(hours) * 3_600 + int(minutes) * 60)
        return pc.add(instants, seconds * casts.PER_SECOND[unit]).cast(pa.timestamp(unit))
    by_python = pc.greater_equal(instants, _LAST_CHANGE * casts.PER_SECOND[unit])
    try:
        shown = pc.local_timestamp(times).cast(pa.int64())
    except pa.ArrowInvalid:  # Windows and small containers have no zones, but Python may
        shown, by_python = instants, times.is_valid()
    if pc.any(by_python).as_py():
        late = _shown_by_python(instants.filter(by_python), zone, casts.PER_SECOND[unit])
        shown = pc.replace_with_mask(shown, pc.fill_null(by_python, fill_value=False), late)
    return shown.cast(pa.timestamp(unit))


def count_repeated(shown: Any, zone: str) -> int:
    """How many times of `wall_clock` clocks in the zone show twice: they were set back.

    Times after 2037 are not counted.
    """
    times = casts.decoded(shown)
    try:
        earliest, latest = (
            pc.assume_timezone(times, zone, ambiguous=which, nonexistent="earliest")
            for which in ("earliest", "latest")
        )
    except pa.ArrowInvalid:  # Arrow has no such zone
        return 0
    return pc.sum(pc.not_equal(earliest.cast(pa.int64()), latest.cast(pa.int64()))).as_py() or 0


def _shown_by_python(instants: Any, zone: str, per_second: int) -> Any:
    """Counts since 1970 as clocks in a zone show them, by Python's time zones."""
    try:
        known = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise ConversionError(
            f"in the zone {zone!r}, which neither Arrow nor Python finds",
            "give them a zone such as 'Europe/Berlin' (a system without zones needs the package "
            "tzdata)",
            of_type=True,
        ) from error
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

    def shown(instant: int) -> int:
        seconds = instant // per_second
        if seconds >= _LAST_CHANGE:  # Python ends with the year 9999
            seconds = (seconds - _LAST_CHANGE) % _CYCLE + _LAST_CHANGE
        offset = (epoch + dt.timedelta(seconds=seconds)).astimezone(known).utcoffset()
        return instant + (offset or dt.timedelta()) // dt.timedelta(seconds=1) * per_second

    distinct = instants.dictionary_encode()
    counts = [shown(instant) for instant in distinct.dictionary.to_pylist()]
    return pa.array(counts, pa.int64()).take(distinct.indices)
