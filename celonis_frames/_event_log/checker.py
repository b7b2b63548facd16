"""Counts what there is to know of an event log, batch by batch.

Nothing is kept of the rows but counts, and digests of the cases, the activities and, up to a bound,
the rows: see `CaseTable`, `DistinctNames` and `DuplicateKeyCounter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._event_log.cases import CaseTable
from celonis_frames._event_log.columns import LogColumns
from celonis_frames._event_log.figures import Figures, RepeatedRows
from celonis_frames._event_log.findings import findings_of
from celonis_frames._event_log.names import DistinctNames, NameStats
from celonis_frames._event_log.repair_code import Dialect
from celonis_frames._event_log.report import EventLogReport
from celonis_frames._event_log.times import TimeStats, moment
from celonis_frames._event_log.values import floor_divided, identities
from celonis_frames._validation.key_counter import DuplicateKeyCounter
from celonis_frames._validation.key_digest import key_digests

_MILLISECOND = 1_000
"""Microseconds of a millisecond, the unit in which Celonis sorts events."""


class EventLogChecker:
    """Checks the rows of one reading of a frame.

    Args:
        columns: The columns of the log, as the frame spells them.
        schema: The schema of the frame.
        dialect: The library in which code is written.
    """

    def __init__(self, columns: LogColumns, schema: pa.Schema, dialect: Dialect) -> None:
        self._columns = columns
        end = None if columns.end is None else TimeStats.of(schema.field(columns.end).type)
        self._figures = Figures(
            columns, dialect, TimeStats.of(schema.field(columns.timestamp).type), end
        )
        self._figures.case_names = NameStats.of(schema.field(columns.case).type)
        self._figures.activity_names = NameStats.of(schema.field(columns.activity).type)
        if columns.order is not None:
            kind = schema.field(columns.order).type
            # Integers of more than 64 bits are stored as text, but are none.
            is_text = casts.is_text(casts.storage_type(kind))
            self._figures.order_is_text = is_text and not isinstance(kind, pa.BaseExtensionType)
        self._cases, self._activities = CaseTable(), DistinctNames()
        self._ties, self._rows = DuplicateKeyCounter(), DuplicateKeyCounter()

    def update(self, batch: pa.RecordBatch) -> None:
        """Add rows.

        Raises:
            ColumnTypeError: A column has lists, structs or the like.
        """
        found, columns, start = self._figures, self._columns, self._figures.events
        found.events += batch.num_rows
        # 1. Each column by itself.
        case, activity = (
            identities(batch.column(name), name) for name in (columns.case, columns.activity)
        )
        found.case_nulls.update(case, start)
        found.activity_nulls.update(activity, start)
        case, activity = case.dictionary_encode(), activity.dictionary_encode()
        found.case_names.update(*_weighed(case))
        found.activity_names.update(*_weighed(activity))
        self._activities.update(activity.dictionary)
        stamps = batch.column(columns.timestamp)
        times = found.timestamp.update(stamps, start)
        end = ends = order = None
        if columns.end is not None and found.end is not None:
            end = batch.column(columns.end)
            ends = found.end.update(end, start)
        if columns.order is not None:
            order = identities(batch.column(columns.order), columns.order)
            found.order_nulls.update(order, start)
        # 2. Events of a case after each other, and their durations.
        millis = None if times is None else floor_divided(times, _MILLISECOND)
        digests = key_digests([case.dictionary])
        self._add_cases(digests, case.indices, millis)
        if times is not None and ends is not None and _comparable(found.timestamp, found.end):
            found.ends_before_start += casts.trues(pc.less(ends, times))
        # 3. Events that are equal.
        moments = identities(stamps, columns.timestamp) if times is None else times
        until = (
            None if end is None else identities(end, columns.end or "") if ends is None else ends
        )
        ids = [digest.view(pa.int64()).take(case.indices) for digest in digests]
        if millis is not None:
            _count(self._ties, [*ids, millis], [order])
        _count(self._rows, [*ids, activity, moments], [until, order])

    def report(self) -> EventLogReport:
        """What was found in the rows so far."""
        found, zone = self._figures, self._figures.timestamp.zone
        found.cases, found.activities = self._cases.count, self._activities.count
        found.events_per_case = self._cases.events_per_case()
        found.alike_activities = self._activities.alike
        found.out_of_order = self._cases.out_of_order
        found.ties, found.duplicates = self._repeated()
        return EventLogReport(
            found.events, found.cases, found.activities,
            moment(found.timestamp.first, zone), moment(found.timestamp.last, zone),
            found.events_per_case, findings_of(found),
        )  # fmt: skip

    def _repeated(self) -> tuple[RepeatedRows, RepeatedRows]:
        """The ties and the duplicates.

        If too many rows differ to compare them all, the table of the cases may know as much: where
        all times of a case ascend, equal ones are neighbours.
        """
        ties, duplicates = _counted(self._ties), _counted(self._rows)
        level, timed = self._cases.level, self._cases.timed
        if self._figures.timestamp.kind in ("time", "date") and not self._cases.out_of_order:
            if not ties.complete and (self._columns.order is None or not level):
                ties = RepeatedRows(level, timed)
            if not duplicates.complete and not level:
                duplicates = RepeatedRows(0, timed)
        return ties, duplicates

    def _add_cases(self, digests: Sequence[Any], places: Any, millis: Any) -> None:
        if millis is None:
            millis = pa.nulls(len(places), pa.int64())
        if places.null_count:
            valid = places.is_valid()
            places, millis = places.filter(valid), millis.filter(valid)
        self._cases.update(digests, places, millis)


def _weighed(names: pa.DictionaryArray) -> tuple[Any, Any]:
    """The distinct values without nulls, and how many rows have each."""
    counted = pc.value_counts(names.indices.drop_null())
    return names.dictionary.take(counted.field("values")), counted.field("counts")


def _comparable(one: TimeStats, other: TimeStats | None) -> bool:
    """Whether both are instants, or both are times of the same clock."""
    return other is not None and (one.zone is None) == (other.zone is None)


def _count(counter: DuplicateKeyCounter, needed: Sequence[Any], more: Sequence[Any]) -> None:
    """Count the rows in which no value that is `needed` is null; other nulls are values."""
    columns = [*needed]
    for array in more:
        if array is not None:
            filled = pc.fill_null(array, _zero(array.type)) if array.null_count else array
            columns += [array.is_null(), filled]
    valid = None
    for array in needed:
        if array.null_count:
            present = array.is_valid()
            valid = present if valid is None else pc.and_(valid, present)
    if valid is not None:
        columns = [array.filter(valid) for array in columns]
    if len(columns[0]):
        counter.update(columns)


def _zero(kind: pa.DataType) -> Any:
    return pa.scalar("").cast(kind) if casts.is_text(kind) else pa.scalar(0).cast(kind)


def _counted(counter: DuplicateKeyCounter) -> RepeatedRows:
    repeated = counter.repeated  # counts those that wait
    return RepeatedRows(repeated, counter.rows, counter.complete)
