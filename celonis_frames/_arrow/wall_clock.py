"""The time of day that clocks show in the zone of a timestamp."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._arrow.casts import ConversionError

_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)")
_FARTHEST_SECONDS = 26 * 3_600
"""No clock differs more from UTC."""


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
        ConversionError: Arrow does not know the zone, or a time is at the very end of the range.
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
        raise ConversionError(f"that have no local time in {unit}: replace them")
    if (offset := _OFFSET.fullmatch(zone)) is not None:  # which pyarrow 18 does not know
        sign, hours, minutes = offset.groups()
        seconds = int(f"{sign}1") * (int(hours) * 3_600 + int(minutes) * 60)
        return pc.add(instants, seconds * casts.PER_SECOND[unit]).cast(pa.timestamp(unit))
    try:
        return pc.local_timestamp(times)
    except pa.ArrowInvalid as error:
        raise ConversionError(
            f"in the zone {zone!r}, which Arrow does not find: give them a zone such as "
            "'Europe/Berlin' (a system without zones needs the package tzdata)"
        ) from error
