"""The findings that figures lead to: a pure function, the rules one below the other.

Limits and ranges are those of the query engine (https://docs.celonis.com/en/engine-limitations.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from celonis_frames._event_log.figures import Figures, RepeatedRows
from celonis_frames._event_log.name_findings import name_findings
from celonis_frames._event_log.report import SEVERITIES, EventLogFinding
from celonis_frames._event_log.time_findings import range_findings, type_findings
from celonis_frames._event_log.times import NullStats
from celonis_frames._formatting import counted, verb

ADVISED_ACTIVITIES = 1_000
"""Most different activities of a log that Celonis advises."""
MAX_ACTIVITIES = 32_767
"""Most different activities that the engine of Celonis holds."""

_Findings = Iterator[EventLogFinding]


def findings_of(figures: Figures) -> tuple[EventLogFinding, ...]:
    """The findings, errors first."""
    columns, dialect = figures.columns, figures.dialect
    times = [("timestamp", columns.timestamp, figures.timestamp)]
    if columns.end is not None and figures.end is not None:
        times.append(("end", columns.end, figures.end))
    found = [
        *_nulls(figures),
        *chain.from_iterable(type_findings(*one, dialect) for one in times),
        *_number_of_activities(figures),
        *name_findings("case", columns.case, figures.case_names, dialect),
        *name_findings("activity", columns.activity, figures.activity_names, dialect),
        *_alike(figures),
        *_repeated(figures),
        *_order(figures),
        *chain.from_iterable(range_findings(*one) for one in times),
    ]
    return tuple(sorted(found, key=lambda one: SEVERITIES.index(one.severity)))


def _nulls(figures: Figures) -> _Findings:
    columns = figures.columns
    if not figures.events:
        yield EventLogFinding(
            "warning", "no_events", None, 0, "The frame has no rows: there is no event in it."
        )
    needed: list[tuple[str, str, NullStats]] = [
        ("case", columns.case, figures.case_nulls),
        ("activity", columns.activity, figures.activity_nulls),
        ("timestamp", columns.timestamp, figures.timestamp.nulls),
    ]
    for role, name, nulls in needed:
        if nulls.count:
            yield EventLogFinding(
                "error", f"{role}_is_null", name, nulls.count,
                f"Column {name!r} has {_nulls_with_row(nulls)}: an event needs a case, an activity "
                "and a time. Fill them, or filter these rows out.",
            )  # fmt: skip
    if columns.end is not None and figures.end is not None and figures.end.nulls.count:
        yield EventLogFinding(
            "hint", "end_is_null", columns.end, figures.end.nulls.count,
            f"Column {columns.end!r} has {_nulls_with_row(figures.end.nulls)}: right if these "
            "activities have not ended; they have no duration.",
        )  # fmt: skip
    if columns.order is not None and figures.order_nulls.count:
        yield EventLogFinding(
            "warning", "order_is_null", columns.order, figures.order_nulls.count,
            f"Column {columns.order!r} has {_nulls_with_row(figures.order_nulls)}: where such "
            "events are at one time, their order is undefined. Number all rows.",
        )  # fmt: skip


def _nulls_with_row(nulls: NullStats) -> str:
    first = (
        f"the first in row {nulls.first_row:,}"
        if nulls.count > 1
        else f"in row {nulls.first_row:,}"
    )
    return f"{counted(nulls.count, 'null')} ({first})"


def _number_of_activities(figures: Figures) -> _Findings:
    name, count = figures.columns.activity, figures.activities
    if count > MAX_ACTIVITIES:
        yield EventLogFinding(
            "error", "too_many_activities", name, count,
            f"Column {name!r} has {count:,} different activities, more than the "
            f"{MAX_ACTIVITIES:,} that Celonis holds: leave numbers, dates and names of people out "
            "of them, or name another column.",
        )  # fmt: skip
    elif count > ADVISED_ACTIVITIES:
        yield EventLogFinding(
            "warning", "many_activities", name, count,
            f"Column {name!r} has {count:,} different activities; Celonis advises up to "
            f"{ADVISED_ACTIVITIES:,}: leave numbers, dates and names of people out of them.",
        )  # fmt: skip


def _alike(figures: Figures) -> _Findings:
    count, name = figures.alike_activities, figures.columns.activity
    if count:
        yield EventLogFinding(
            "hint", "activities_alike", name, count,
            f"Column {name!r} has {counted(count, 'name')} that {verb(count, 'differ')} from "
            "another only by case or blanks; Celonis takes them for different activities. Write "
            "them alike.",
        )  # fmt: skip


def _repeated(figures: Figures) -> _Findings:
    found = figures.duplicates
    if found.count:
        names = [name for _, name in figures.columns.roles()]
        yield EventLogFinding(
            "warning", "duplicates", None, found.count,
            f"{_compared(found)}, {found.count:,} {verb(found.count, 'equal')} an earlier one in "
            f"{', '.join(map(repr, names))}. If such events are one, drop the copies; if not, all "
            "are counted.",
        )  # fmt: skip
    elif not found.complete:
        yield EventLogFinding(
            "hint", "duplicates_not_counted", None, 0,
            f"No two of the first {found.compared:,} events are equal; the others were not "
            "compared, to limit memory.",
        )  # fmt: skip


def _compared(found: RepeatedRows) -> str:
    return f"Of {'' if found.complete else 'the first '}{counted(found.compared, 'event')}"


def _order(figures: Figures) -> _Findings:
    columns, ties, late = figures.columns, figures.ties, figures.out_of_order
    if ties.count:
        found = f"{_compared(ties)}, {ties.count:,} {verb(ties.count, 'have', 'has')} the case"
        if columns.order is None:
            yield EventLogFinding(
                "warning", "ties", columns.timestamp, ties.count,
                f"{found} and the time of an earlier one, to the millisecond. Celonis sorts by "
                "time, so their order is undefined: order= names a column of numbers that decides, "
                "such as a sequence number of the source.",
            )  # fmt: skip
        else:
            yield EventLogFinding(
                "warning", "order_ties", columns.order, ties.count,
                f"{found}, the time and the {columns.order!r} of an earlier one, so their order is "
                "undefined. Number the events of a case differently.",
            )  # fmt: skip
    elif not ties.complete:
        yield EventLogFinding(
            "hint", "ties_not_counted", columns.timestamp, 0,
            f"No two of the first {ties.compared:,} events have the same case and time; the others "
            "were not compared, to limit memory.",
        )  # fmt: skip
    if figures.order_is_text:
        yield EventLogFinding(
            "hint", "order_is_text", columns.order, figures.events,
            f"Column {columns.order!r} is text, in which 10 comes before 9. Make numbers of it.",
        )  # fmt: skip
    if late:
        yield EventLogFinding(
            "hint", "out_of_order", columns.timestamp, late,
            f"{counted(late, 'event')} {verb(late, 'lie')} before the previous row of their case. "
            "Celonis sorts the events of a case by time, not by the rows of the frame: wrong only "
            "if these are in the right order, and the times are not.",
        )  # fmt: skip
    ends = figures.ends_before_start
    if ends:
        yield EventLogFinding(
            "warning", "end_before_timestamp", columns.end, ends,
            f"{counted(ends, 'event')} {verb(ends, 'end')} before the begin, so that durations "
            "are negative. Compare the zones and the meaning of the two columns.",
        )  # fmt: skip
