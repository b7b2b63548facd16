"""What was counted in a frame, from which the findings are made."""

from __future__ import annotations

from dataclasses import dataclass, field

from celonis_frames._event_log.cases import EventsPerCase
from celonis_frames._event_log.columns import LogColumns
from celonis_frames._event_log.names import NameStats
from celonis_frames._event_log.repair_code import Dialect
from celonis_frames._event_log.times import NullStats, TimeStats


@dataclass
class RepeatedRows:
    """Rows that are equal to an earlier one, of those that were compared."""

    count: int = 0
    compared: int = 0  # rows that were compared
    complete: bool = True  # whether all rows were compared


@dataclass
class Figures:
    """The figures of one reading of a frame; numbers of rows, unless said otherwise."""

    columns: LogColumns
    dialect: Dialect
    timestamp: TimeStats
    end: TimeStats | None = None
    events: int = 0
    cases: int = 0  # different ones
    activities: int = 0  # different ones
    events_per_case: EventsPerCase | None = None
    case_nulls: NullStats = field(default_factory=NullStats)
    activity_nulls: NullStats = field(default_factory=NullStats)
    order_nulls: NullStats = field(default_factory=NullStats)
    order_is_text: bool = False
    case_names: NameStats = field(default_factory=NameStats)
    activity_names: NameStats = field(default_factory=NameStats)
    alike_activities: int = 0  # activities that differ from another by case or blanks only
    out_of_order: int = 0  # whose time lies before that of the previous row of their case
    ties: RepeatedRows = field(default_factory=RepeatedRows)  # same case, time and order
    duplicates: RepeatedRows = field(default_factory=RepeatedRows)  # equal in all columns named
    ends_before_start: int = 0
