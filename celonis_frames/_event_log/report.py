"""EventLogReport: whether a frame is an event log, and what to do if it is not."""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from celonis_frames._event_log.cases import EventsPerCase
from celonis_frames._formatting import counted
from celonis_frames._html import report as html
from celonis_frames._html.elements import joined
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.exceptions import FrameError

Severity = Literal["error", "warning", "hint"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "hint")

_SHOWN_AS: dict[Severity, html.Level] = {"error": "bad", "warning": "warn", "hint": "open"}

_WIDTH = 80
"""Columns of the text."""
_MARGIN = 9
"""Columns of it for the severity."""


@dataclass(frozen=True)
class EventLogFinding:
    """One thing that was found in a frame.

    Attributes:
        severity: ``"error"`` if the frame is not an event log because of it, ``"warning"`` if
            analyses may be wrong, ``"hint"`` if it is to be checked and may be fine.
        code: A word for programs, such as ``"timestamp_is_text"``.
        column: The column concerned; None if it is several.
        count: How many rows, or values, it concerns.
        message: What was found and what to do; no value of a cell.
        snippet: Python code that repairs it; None if there is none.
    """

    severity: Severity
    code: str
    column: str | None
    count: int
    message: str
    snippet: str | None = None

    def __str__(self) -> str:
        return self.message


@short_tracebacks
@dataclass(frozen=True)
class EventLogReport:
    """What `check_event_log` found. Its `repr` is a readable text; the attributes are for code.

    Attributes:
        events: Rows of the frame.
        cases: Different cases.
        activities: Different activities.
        first: The first time within the years 1400 to 9999, which Celonis analyses: without a zone
            as it is in the frame, else in UTC; None if there is none, or if the times are text.
        last: The last one.
        events_per_case: ``min``, ``median``, ``mean`` and ``max``; None without cases.
        findings: What was found, errors first.
    """

    events: int
    cases: int
    activities: int
    first: dt.datetime | None
    last: dt.datetime | None
    events_per_case: EventsPerCase | None
    findings: tuple[EventLogFinding, ...]

    @property
    def ok(self) -> bool:
        """Whether there are no errors; there may be warnings."""
        return not self._of("error")

    def raise_for_errors(self) -> None:
        """Raise if there are errors.

        Raises:
            FrameError: With the message of each error.
        """
        errors = self._of("error")
        if errors:
            raise FrameError(
                f"The frame is not an event log, for {counted(len(errors), 'reason')}. "
                f"{' '.join(one.message for one in errors)} check_event_log reports all that "
                "was found, with code that repairs it.",
                column=errors[0].column,
            )

    def to_dict(self) -> dict[str, Any]:
        """The attributes and `ok`, in types that JSON supports; times in ISO 8601."""
        per_case = self.events_per_case
        return {
            "ok": self.ok,
            "events": self.events,
            "cases": self.cases,
            "activities": self.activities,
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "events_per_case": None if per_case is None else per_case._asdict(),
            "findings": [asdict(one) for one in self.findings],
        }

    def __repr__(self) -> str:
        lines = [f"EventLogReport: {self._headline()}", *(f"  {fact}" for fact in self._facts())]
        for one in self.findings:
            lines += ["", *_wrapped(one)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        level: html.Level = "bad" if not self.ok else "warn" if self._of("warning") else "good"
        states = {"bad": "not an event log", "warn": "event log, with warnings"}
        state = states.get(level, "event log")
        rows = [
            (
                html.marked(_SHOWN_AS[one.severity], one.severity),
                one.column or "",
                f"{one.count:,}",
                joined(one.message, "" if one.snippet is None else html.code(one.snippet)),
            )
            for one in self.findings
        ]
        return html.report(
            level,
            html.headline(level, "EventLogReport", state, self._counts()),
            html.facts(
                {
                    "events": self.events,
                    "cases": self.cases,
                    "activities": self.activities,
                    "first": None if self.first is None else str(self.first),
                    "last": None if self.last is None else str(self.last),
                    "events per case": self._per_case(),
                }
            ),
            html.table(("severity", "column", "count", "finding"), rows, numbers=[2]),
        )

    def _of(self, severity: Severity) -> list[EventLogFinding]:
        return [one for one in self.findings if one.severity == severity]

    def _headline(self) -> str:
        activities = f"{self.activities:,} {'activity' if self.activities == 1 else 'activities'}"
        return f"{counted(self.events, 'event')}, {counted(self.cases, 'case')}, {activities}"

    def _facts(self) -> list[str]:
        facts = [self._counts()]
        if self.first is not None:
            facts.append(f"times: {self.first} to {self.last}")
        if (per_case := self._per_case()) is not None:
            facts.append(f"events per case: {per_case}")
        return facts

    def _counts(self) -> str:
        found = [
            counted(len(some), severity) for severity in SEVERITIES if (some := self._of(severity))
        ]
        return ", ".join(found) or "nothing found"

    def _per_case(self) -> str | None:
        per_case = self.events_per_case
        if per_case is None:
            return None
        median = f"{per_case.median:,.1f}".removesuffix(".0")
        return f"{per_case.min:,} to {per_case.max:,}, median {median}, mean {per_case.mean:,.1f}"


def _wrapped(one: EventLogFinding) -> Sequence[str]:
    lines = textwrap.wrap(
        f"{one.severity:<{_MARGIN}}{one.message}", _WIDTH,
        subsequent_indent=" " * _MARGIN, break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
    code = [] if one.snippet is None else one.snippet.splitlines()
    return [*lines, *(f"{' ' * _MARGIN}{line}" for line in code)]
