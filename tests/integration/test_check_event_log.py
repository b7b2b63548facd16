"""The reports of three real event logs: the same for every kind of frame, and as polars counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from event_logs import figures
from event_logs.figures import FOLDER, LOGS, repaired

from celonis_frames import Celonis, check_event_log
from celonis_frames.exceptions import FrameError

ROOT = Path(__file__).parents[2]


def _file(log: pl.DataFrame, folder: Path) -> str:
    log.write_parquet(folder / "log.parquet", row_group_size=20_000)
    return str(folder / "log.parquet")


KINDS: dict[str, Callable[[pl.DataFrame, Path], Any]] = {
    "polars": lambda log, _: log,
    "LazyFrame": lambda log, _: log.lazy(),
    "pandas": lambda log, _: log.to_pandas(),
    "reader": lambda log, _: log.to_arrow().to_reader(5_000),
    "file": _file,
}


def _read(name: str) -> pl.DataFrame:
    path = FOLDER / LOGS[name][0]
    if not path.exists():
        message = f"{path} is absent: set CELONIS_FRAMES_EVENT_LOGS to the folder with it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return figures.read(name)


def _counted(log: pl.DataFrame, columns: dict[str, Any]) -> dict[str, int]:
    """The counts of findings, by polars, of a log with times."""
    case, activity, time = columns["case"], columns["activity"], columns["timestamp"]
    rows = log.select(case, activity, pl.col(time).dt.truncate("1ms"))
    before = pl.col(time).shift().over(case) > pl.col(time)
    counts = {
        "ties": log.height - rows.select(case, time).n_unique(),
        "duplicates": log.height - log.select(case, activity, time).n_unique(),
        "out_of_order": int(rows.select(before.sum()).item()),
    }
    return {code: count for code, count in counts.items() if count}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", LOGS)
def test_the_report_of_a_real_log(name: str, tmp_path: Path) -> None:
    """Text is found, the code makes times of it, and then all figures are those of polars."""
    columns, log = LOGS[name][1], _read(name)
    first = check_event_log(log, **columns)
    assert first.ok == (name == "BPI Challenge 2012")
    parsed = repaired(log, first)
    by_pandas = repaired(log.to_pandas(), check_event_log(log.to_pandas(), **columns))
    frames = [make(parsed, tmp_path) for make in KINDS.values()]
    reports = [check_event_log(frame, **columns) for frame in (*frames, by_pandas)]
    assert all(one == reports[0] for one in reports)
    report = reports[0]
    times = parsed[columns["timestamp"]]
    per_case = parsed.group_by(columns["case"]).len()["len"]
    assert (report.ok, report.events) == (True, log.height)
    assert (report.cases, report.activities) == (len(per_case), log[columns["activity"]].n_unique())
    assert (report.first, report.last) == (times.min(), times.max())
    assert report.events_per_case is not None
    assert report.events_per_case[:2] == (per_case.min(), per_case.median())
    counts = {one.code: one.count for one in report.findings}
    counts.pop("timestamp_has_zone", None)
    assert counts == _counted(parsed, columns)


@pytest.mark.parametrize("name", LOGS)
def test_a_real_log_is_pushed_once_it_is_one(
    name: str, server: Any, connection: Celonis, table: str
) -> None:
    """With its times as text it is rejected; repaired, it is stored with all its rows."""
    columns, log = LOGS[name][1], _read(name)
    report = check_event_log(log, **columns)
    if not report.ok:
        with pytest.raises(FrameError, match="is text, not times"):
            connection.push_event_log(log, "Logs", table, **columns)
    status = connection.push_event_log(repaired(log, report), "Logs", table, **columns)
    assert (status.ok, status.rows) == (True, log.height)
    assert server.table("Logs", table).num_rows == log.height


def test_the_documentation_has_these_figures() -> None:
    """The table of docs/event-logs.md is what its command writes."""
    for name in LOGS:
        _read(name)
    page = (ROOT / "docs" / "event-logs.md").read_text("utf-8")
    assert figures.written(page) == page, "run python -m tests.event_logs.figures"
