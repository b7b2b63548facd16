"""Times with a zone as the wall-clock time of their zone, for ``times="local"``."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.casts import ConversionError
from celonis_frames._arrow.wall_clock import (
    count_repeated,
    has_offset,
    is_utc,
    wall_clock,
    without_zone,
    zone_of,
)
from celonis_frames._formatting import counted
from celonis_frames._sources.source import Source
from celonis_frames.exceptions import ColumnTypeError


def local_times(source: Source) -> Source:
    """The source with timestamps without a zone that show the local time.

    Raises:
        ColumnTypeError: Arrow does not know a zone, or the files have several in one column.
    """
    zones = {
        place: zone for place, field in enumerate(source.schema) if (zone := zone_of(field.type))
    }
    if not zones:
        return source
    if source.files is not None:
        _check_one_zone([file.schema for file in source.files.files], source.schema.names)
    fields = list(source.schema)
    for place, zone in zones.items():
        field = fields[place]
        _converted(pa.array([0], pa.timestamp("s", zone)), field.name)  # the zone is known
        fields[place] = field.with_type(without_zone(field.type))
    schema = pa.schema(fields)

    repeated: Counter[str] = Counter()

    def batches() -> Iterator[pa.RecordBatch]:
        found: Counter[str] = Counter()  # of this reading
        for batch in source.batches():
            columns = list(batch.columns)
            for place, zone in zones.items():
                name = schema.field(place).name
                columns[place] = _converted(columns[place], name)
                if not (is_utc(zone) or has_offset(zone)):
                    found[name] += count_repeated(columns[place], zone)
            repeated.update(found - repeated)  # the most of any reading
            yield pa.RecordBatch.from_arrays(columns, names=schema.names)

    notes = {
        fields[place].name: local_note(
            fields[place].name, f"of {zone}", clocks_change=not has_offset(zone)
        )
        for place, zone in zones.items()
        if not is_utc(zone)
    }
    # Files hold the instants, so none can be sent unchanged.
    return replace(
        source, schema=schema, batches=batches, column_notes={**source.column_notes, **notes},
        files=None, repeated_hours=lambda: repeated,
    )  # fmt: skip


def local_note(name: str, of_zone: str, *, clocks_change: bool) -> str:
    """The warning that a column gets local times."""
    repeated = (
        "; when clocks are set back, the hour that is repeated cannot be told from the one before"
    )
    return (
        f'Column {name!r}: stored as the local time {of_zone} (times="local")'
        f"{repeated * clocks_change}."
    )


def repeated_notes(source: Source) -> tuple[str, ...]:
    """Warnings that count the local times that clocks show twice, once the rows were read."""
    notes = []
    for name, count in sorted(source.repeated_hours().items()):
        if count:
            notes.append(
                f"Column {name!r}: {counted(count, 'time')} in the hour that is repeated when "
                "clocks are set back."
            )
    return tuple(notes)


def objects_without_zone(
    columns: Iterable[tuple[str, Any]],
) -> tuple[list[tuple[str, Any]], dict[str, str]]:
    """The columns of a pandas DataFrame without the zones of Python's datetimes, and warnings.

    Each of them may have another zone, and offsets change twice a year, but an Arrow column has one
    zone for all values.
    """
    found, notes = [], {}
    for name, series in columns:
        if getattr(series.dtype, "name", "") == "object":
            values = series.dropna()
            # A mixture is rejected later.
            if len(values) and all(map(_has_zone, values)):
                notes[name] = local_note(name, "of each value's zone", clocks_change=True)
                if repeated := sum(map(_is_repeated, values)):
                    notes[name] += f" {counted(repeated, 'time')} in such an hour."
                series = series.map(_without_zone, na_action="ignore")  # noqa: PLW2901
        found.append((name, series))
    return found, notes


def _without_zone(value: dt.datetime) -> dt.datetime:
    return value.replace(tzinfo=None)


def _is_repeated(value: dt.datetime) -> bool:
    """Whether clocks show this time twice."""
    first, second = (value.replace(fold=fold).utcoffset() for fold in (0, 1))
    # Where clocks are set forward, the first offset is the smaller one.
    return first is not None and second is not None and first > second


def _has_zone(value: Any) -> bool:
    return isinstance(value, dt.datetime) and value.tzinfo is not None


def _converted(array: Any, name: str) -> Any:
    try:
        return wall_clock(array)
    except ConversionError as error:
        raise ColumnTypeError(f"Column {name!r} has times {error}.", column=name) from error


def _check_one_zone(schemas: Iterable[pa.Schema], names: list[str]) -> None:
    zones: dict[str, str] = {}
    for field in chain.from_iterable(schemas):
        name, zone = field.name, zone_of(field.type)
        if zone is not None and name in names and zones.setdefault(name, zone) != zone:
            raise ColumnTypeError(
                f"Column {name!r} has times in several zones, {zones[name]} and {zone}, in the "
                'Parquet files: push those of one zone at a time, or without times="local".',
                column=name,
            )
