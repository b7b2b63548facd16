"""The cases of an event log: how many events each has, and whether their times ascend.

Of each case 32 bytes are kept: a digest, the number of its events, and the time of its last one in
the order of the rows. A batch becomes one row for each of its cases, its own first and last time
besides; these rows wait until they are as many as the cases known, so that every row is merged
about twice, however many batches there are.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts

_MIN_MERGED_ROWS = 65_536
"""Rows that are merged into the cases at a time, at least: a merge reads all cases."""


class EventsPerCase(NamedTuple):
    """How many events the cases of a log have."""

    min: int
    median: float
    mean: float
    max: int


class CaseTable:
    """The cases of the rows so far.

    Attributes:
        out_of_order: Events whose time lies before that of the previous row of their case.
        level: Events whose time is that of the previous row of their case.
        timed: Events with a time.
    """

    def __init__(self) -> None:
        self.out_of_order = self.level = self.timed = 0
        self._known: pa.Table | None = None
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0

    def update(self, digests: Sequence[Any], places: Any, times: Any) -> None:
        """Add events.

        Args:
            digests: The digests of some cases, as `key_digests` returns them.
            places: The place of each event's case among these; none is null.
            times: The time of each event, or null.
        """
        if not len(places):
            return
        self._compare_rows(places, times)
        found = pa.table([places, times], ["place", "time"]).group_by("place", use_threads=False)
        of_cases = found.aggregate([("place", "count"), ("time", "first"), ("time", "last")])
        part = pa.table(
            [
                *(lane.take(of_cases["place"].combine_chunks()) for lane in digests),
                *(of_cases[name] for name in ("place_count", "time_first", "time_last")),
            ],
            [*_lanes(len(digests)), "events", "first", "last"],
        )
        self._waiting.append(part)
        self._waiting_rows += part.num_rows
        known = 0 if self._known is None else self._known.num_rows
        if self._waiting_rows >= max(known, _MIN_MERGED_ROWS):
            self._merge()

    @property
    def count(self) -> int:
        """Number of cases."""
        merged = self._merged()
        return 0 if merged is None else int(merged.num_rows)

    def events_per_case(self) -> EventsPerCase | None:
        """How many events they have; None if there are none."""
        merged = self._merged()
        if merged is None:
            return None
        events = merged["events"]
        limits = pc.min_max(events).as_py()
        median = pc.quantile(events, q=0.5)[0].as_py()
        return EventsPerCase(limits["min"], median, pc.mean(events).as_py(), limits["max"])

    def _merged(self) -> Any:
        if self._waiting:
            self._merge()
        return self._known

    def _merge(self) -> None:
        known = [] if self._known is None else [self._known]
        rows = pa.concat_tables([*known, *self._waiting]).combine_chunks()
        self._waiting, self._waiting_rows = [], 0
        lanes = [name for name in rows.column_names if name.startswith("lane")]
        self._compare_parts(rows, lanes)
        merged = rows.group_by(lanes, use_threads=False).aggregate(
            [("events", "sum"), ("last", "last")]
        )
        last = merged["last_last"]
        columns = [*(merged[lane] for lane in lanes), merged["events_sum"], last, last]
        self._known = pa.table(columns, [*lanes, "events", "first", "last"])

    def _compare_rows(self, places: Any, times: Any) -> None:
        """Compare each time of a batch with the previous one with the same place."""
        if times.null_count:
            valid = times.is_valid()
            places, times = places.filter(valid), times.filter(valid)
        self.timed += len(times)
        if len(times) > 1:
            order = pc.array_sort_indices(places)  # a stable sort
            times = times.take(order)
            self._compare([places.take(order)], times, times)

    def _compare_parts(self, rows: pa.Table, lanes: list[str]) -> None:
        """Compare the first time of each row with the last one of the previous row of its case."""
        if rows["first"].null_count:
            rows = rows.filter(rows["first"].is_valid())
        if rows.num_rows > 1:
            ascending = [(lane, "ascending") for lane in lanes]
            rows = rows.take(pc.sort_indices(rows, sort_keys=ascending))  # a stable sort
            columns = {name: rows[name].combine_chunks() for name in rows.column_names}
            self._compare([columns[lane] for lane in lanes], columns["first"], columns["last"])

    def _compare(self, groups: list[Any], first: Any, last: Any) -> None:
        """Count the rows that begin before, or when, the row above, of the same group, ends."""
        same = [pc.equal(group.slice(1), group.slice(0, len(group) - 1)) for group in groups]
        begin, end = first.slice(1), last.slice(0, len(last) - 1)
        in_group = functools.reduce(pc.and_, same)
        self.out_of_order += casts.trues(pc.and_(in_group, pc.less(begin, end)))
        self.level += casts.trues(pc.and_(in_group, pc.equal(begin, end)))


def _lanes(count: int) -> list[str]:
    return [f"lane{number}" for number in range(count)]
