"""The findings about a column of times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from celonis_frames._arrow.wall_clock import is_utc
from celonis_frames._event_log import repair_code
from celonis_frames._event_log.repair_code import Dialect
from celonis_frames._event_log.report import EventLogFinding, Severity
from celonis_frames._event_log.time_formats import EMPTY, ZEROS, TimeFormat, decided
from celonis_frames._event_log.times import TimeStats
from celonis_frames._formatting import counted

_Findings = Iterator[EventLogFinding]


def type_findings(role: str, name: str, times: TimeStats, dialect: Dialect) -> _Findings:
    """What to know of the type of the column with this role, ``"timestamp"`` or ``"end"``."""
    if times.kind in ("text", "number") and times.values:
        yield _unparsed(role, name, times, dialect)
    elif times.kind == "other":
        yield EventLogFinding(
            "error", f"{role}_is_no_time", name, times.values,
            f"Column {name!r} holds neither times nor text: events are sorted by it. Make "
            "timestamps of it, or name another column.",
        )  # fmt: skip
    elif times.values and (times.kind == "date" or not times.with_clock):
        what = "dates" if times.kind == "date" else "midnights only"
        severity: Severity = "warning" if role == "timestamp" else "hint"
        yield EventLogFinding(
            severity, f"{role}_has_no_clock", name, times.values,
            f"Column {name!r} holds {what}: events of one day are at one time, and durations are "
            "whole days. Take the time of day from the source, if it has one.",
        )  # fmt: skip
    elif times.zone is not None:
        in_utc = (
            f"Column {name!r} is in UTC, and analyses show its hours. If they are to show those of "
            'a place, convert the times to its zone, and push with times="local".'
        )
        in_zone = (
            f"Column {name!r} has times with a zone ({times.zone}): the UTC instant is stored, and "
            'analyses show its hours. times="local" keeps those that clocks show in the zone.'
        )
        yield EventLogFinding(
            "hint", f"{role}_has_zone", name, times.values,
            in_utc if is_utc(times.zone) else in_zone,
        )  # fmt: skip


def _unparsed(role: str, name: str, times: TimeStats, dialect: Dialect) -> EventLogFinding:
    """The finding that times are text or numbers, with the code that parses them."""
    formats = decided(times.formats)
    ranked = [one for one, _ in formats.most_common()]
    listed = ", ".join(f"{formats[one]:,} as {one.name}" for one in ranked)
    is_number = times.kind == "number"
    code = repair_code.parse_times(
        name, ranked, dialect, gaps=EMPTY in formats or ZEROS in formats, numbers=is_number,
        categories=times.categories,
    )  # fmt: skip
    return EventLogFinding(
        "error", f"{role}_is_{times.kind}", name, times.values,
        f"Column {name!r} is {'numbers' if is_number else 'text'}, not times: "
        f"{listed}. {_advice(formats, ranked)}Make timestamps of it before the push.",
        code,
    )  # fmt: skip


def _advice(formats: Mapping[TimeFormat, int], ranked: list[TimeFormat]) -> str:
    """What to know before the code is used."""
    notes = ""
    if any(one.swapped for one in ranked):
        notes += (
            "No value shows which of the two is the day: ask the source, and swap %d and %m if it "
            "is the second. "
        )
    known = [one for one in ranked if one.parse is not None]
    if {one.offset for one in known} == {True, False}:
        notes += "Only some have an offset from UTC: the others are taken for UTC. "
    if len(known) < len(set(formats) - {EMPTY, ZEROS}):
        notes += "Values in an unknown format must be repaired by hand. "
    return notes


def range_findings(role: str, name: str, times: TimeStats) -> _Findings:
    """Times that Celonis does not analyse, or that mean "no date"."""
    if times.outside:
        yield EventLogFinding(
            "warning", f"{role}_out_of_range", name, times.outside,
            f"Column {name!r} has {counted(times.outside, 'time')} outside the years 1400 to 9999: "
            "Celonis stores them, but analyses show NULL. Make nulls of them, or repair them.",
        )  # fmt: skip
    for day, count in times.sentinels.items():
        yield EventLogFinding(
            "hint", f"{role}_may_mean_none", name, count,
            f"Column {name!r} has {counted(count, 'time')} on {day}, which many systems write for "
            "no date, and which would be the begin or the end of a case. Make nulls of them, or "
            "filter these rows out.",
        )  # fmt: skip
