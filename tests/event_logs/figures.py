"""Writes the figures of the reports on real event logs into a page of the docs.

CELONIS_FRAMES_EVENT_LOGS=FOLDER python -m tests.event_logs.figures docs/event-logs.md
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from celonis_frames import EventLogReport, check_event_log

BEGIN, END = "<!-- event-logs:begin -->", "<!-- event-logs:end -->"

FOLDER = Path(
    os.environ.get("CELONIS_FRAMES_EVENT_LOGS")
    or Path(__file__).resolve().parents[3] / "shared" / "data"
)
LOGS: dict[str, tuple[str, dict[str, Any]]] = {
    "Sepsis Cases": ("sepsis.csv", {
        "case": "Case ID", "activity": "Activity", "timestamp": "Complete Timestamp",
    }),
    "Receipt phase (CoSeLoG)": ("receipt.csv", {
        "case": "case:concept:name", "activity": "concept:name", "timestamp": "time:timestamp",
    }),
    "BPI Challenge 2012": ("bpic2012.parquet", {
        "case": "case:concept:name", "activity": "concept:name", "timestamp": "time:timestamp",
    }),
}  # fmt: skip
"""The logs by their names: their files and their columns."""

KINDS: dict[str, Callable[[pl.DataFrame], Any]] = {
    "pandas": lambda log: log.to_pandas(),
    "polars": lambda log: log,
    "LazyFrame": lambda log: log.lazy(),
}


def read(name: str) -> pl.DataFrame:
    """The log as its file has it: times of CSV are text."""
    path = FOLDER / LOGS[name][0]
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    separator = ";" if name == "Sepsis Cases" else ","
    return pl.read_csv(path, separator=separator, infer_schema_length=None)


def repaired(log: Any, report: EventLogReport) -> Any:
    """The log after the code of the report has run."""
    names = {"df": log, "pl": pl, "pd": pd}
    for one in report.findings:
        if one.snippet is not None:
            exec(one.snippet, names)  # noqa: S102  # of the report
    return names["df"]


def table() -> str:
    """The figures as Markdown; each is the same for every kind of frame, or there is no table."""
    head = "| log | | events | cases | activities | events per case | times | findings |"
    return "\n".join([head, "|---" * 8 + "|", *_rows()])


def _rows() -> Iterator[str]:
    for name, (_, columns) in LOGS.items():
        log = read(name)
        frames = {kind: make(log) for kind, make in KINDS.items()}
        first = {kind: check_event_log(frame, **columns) for kind, frame in frames.items()}
        yield _row(name, "as read", first)
        if any(one.snippet for report in first.values() for one in report.findings):
            second = {
                kind: check_event_log(repaired(frame, first[kind]), **columns)
                for kind, frame in frames.items()
            }
            yield _row("", "repaired", second)


def _row(name: str, state: str, reports: dict[str, EventLogReport]) -> str:
    """A row for reports that are the same but for the language of their code."""
    shown = {kind: _cells(report) for kind, report in reports.items()}
    assert len(set(shown.values())) == 1, shown
    return f"| {name} | {state} | {shown['pandas']} |"


def _cells(report: EventLogReport) -> str:
    per_case, found = report.events_per_case, report.findings
    assert per_case is not None
    times = "" if report.first is None else f"{report.first:%Y-%m-%d} to {report.last:%Y-%m-%d}"
    spread = f"{per_case.min:,} / {per_case.median:g} / {per_case.max:,}"
    findings = ", ".join(f"{one.severity} `{one.code}` {one.count:,}" for one in found) or "none"
    counts = (report.events, report.cases, report.activities)
    return " | ".join([*(f"{count:,}" for count in counts), spread, times, findings])


def written(page: str) -> str:
    """The page with the table between its markers."""
    pattern = re.compile(f"{BEGIN}.*?{END}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{table()}\n{END}", page)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text("utf-8")), "utf-8")
