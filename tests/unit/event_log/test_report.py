"""The report: as text, as HTML and as JSON; and the findings that figures lead to."""

from __future__ import annotations

import ast
import datetime as dt
import json
import pickle
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from celonis_frames import EventLogReport, check_event_log
from celonis_frames._event_log import findings, name_findings, time_findings
from celonis_frames._event_log.columns import LogColumns
from celonis_frames._event_log.figures import Figures, RepeatedRows
from celonis_frames._event_log.findings import findings_of
from celonis_frames._event_log.names import NameStats
from celonis_frames._event_log.report import SEVERITIES
from celonis_frames._event_log.times import NullStats, TimeStats
from celonis_frames.exceptions import FrameError

CANARY = "canary-7d1b"
COLUMNS = LogColumns(case="C", activity="A", timestamp="T", end="E", order="O")


def _bad() -> EventLogReport:
    """The report of a frame with much that is wrong, whose cells all have the canary."""
    frame = pl.DataFrame(
        {
            "<b>C</b>": [f"{CANARY} 1", f" {CANARY}", None, f"{CANARY} 1"],
            "A": [f"{CANARY} Ã¤", CANARY, CANARY.upper(), f"{CANARY} Ã¤"],
            "T": ["02/03/2024", CANARY, "2024-02-03", "02/03/2024"],
        }
    )
    return check_event_log(frame, case="<b>C</b>", activity="A", timestamp="T")


def test_the_text_fits_a_terminal_and_shows_no_cell() -> None:
    """At most 80 columns, but for code; every finding is there, errors first; no value is."""
    report = _bad()
    lines = repr(report).splitlines()
    assert lines[0] == "EventLogReport: 4 events, 2 cases, 3 activities"
    assert lines[1] == "  2 errors, 1 warning, 3 hints"
    codes = {one.snippet for one in report.findings}
    assert max(len(line) for line in lines if line.strip() not in codes) <= 80
    assert [one.severity for one in report.findings] == sorted(
        (one.severity for one in report.findings), key=SEVERITIES.index
    )
    joined = " ".join(" ".join(lines).split())
    for one in report.findings:
        assert one.message in joined
        assert str(one) == one.message
        assert one.snippet is None or one.snippet in joined
    assert CANARY not in repr(report) + report._repr_html_() + json.dumps(report.to_dict())


def test_html_is_escaped() -> None:
    """Names of columns are text, not HTML."""
    html = _bad()._repr_html_()
    assert "&lt;b&gt;C&lt;/b&gt;" in html
    assert "<b>C</b>" not in html
    assert "<table" in html
    assert "<pre>df = " in html


def test_json_and_pickles_have_everything() -> None:
    """to_dict is JSON; a pickled report is the same."""
    report = _good()
    assert pickle.loads(pickle.dumps(report)) == report  # noqa: S301  # our own
    found = json.loads(json.dumps(report.to_dict()))
    assert found == {
        "ok": True, "events": 2, "cases": 1, "activities": 2,
        "first": "2024-02-29T08:05:00+00:00", "last": "2024-02-29T09:05:00+00:00",
        "events_per_case": {"min": 2, "median": 2.0, "mean": 2.0, "max": 2},
        "findings": [{
            "severity": "hint", "code": "timestamp_has_zone", "column": "T", "count": 2,
            "message": report.findings[0].message, "snippet": None,
        }],
    }  # fmt: skip
    assert "(Europe/Berlin)" in report.findings[0].message


def _good() -> EventLogReport:
    times = [dt.datetime(2024, 2, 29, 9, 5), dt.datetime(2024, 2, 29, 10, 5)]
    frame = pl.DataFrame({"C": ["1", "1"], "A": ["a", "b"], "T": times}).with_columns(
        pl.col("T").dt.replace_time_zone("Europe/Berlin")
    )
    return check_event_log(frame, case="C", activity="A", timestamp="T")


def test_errors_are_raised_if_there_are_any() -> None:
    """raise_for_errors names each of them, and the column of the first."""
    _good().raise_for_errors()
    assert _good().ok
    report = _bad()
    assert not report.ok
    with pytest.raises(FrameError, match="not an event log, for 2 reasons") as caught:
        report.raise_for_errors()
    assert caught.value.column == "<b>C</b>"
    for one in report.findings:
        assert (one.message in str(caught.value)) == (one.severity == "error")


def _figures(**changed: Any) -> Figures:
    times = TimeStats("time", values=5, with_clock=5)
    given = {"timestamp": times, "end": times, "events": 5, **changed}
    return Figures(COLUMNS, "pandas", **given)


FINDINGS: list[tuple[dict[str, Any], list[tuple[str, str, str | None, int]]]] = [
    ({}, []),
    ({"events": 0}, [("warning", "no_events", None, 0)]),
    ({"activities": 1_000}, []),
    ({"activities": 1_001}, [("warning", "many_activities", "A", 1_001)]),
    ({"activities": 32_767}, [("warning", "many_activities", "A", 32_767)]),
    ({"activities": 32_768}, [("error", "too_many_activities", "A", 32_768)]),
    ({"case_nulls": NullStats(2, 7)}, [("error", "case_is_null", "C", 2)]),
    ({"activity_nulls": NullStats(1, 7)}, [("error", "activity_is_null", "A", 1)]),
    ({"timestamp": TimeStats("time", nulls=NullStats(1, 0), values=1, with_clock=1)},
     [("error", "timestamp_is_null", "T", 1)]),
    ({"order_nulls": NullStats(1, 7)}, [("warning", "order_is_null", "O", 1)]),
    ({"end": TimeStats("time", nulls=NullStats(1, 0), values=1, with_clock=1)},
     [("hint", "end_is_null", "E", 1)]),
    ({"end": TimeStats("date", values=3)}, [("hint", "end_has_no_clock", "E", 3)]),
    ({"timestamp": TimeStats("date", values=3)}, [("warning", "timestamp_has_no_clock", "T", 3)]),
    ({"timestamp": TimeStats("time", values=3)}, [("warning", "timestamp_has_no_clock", "T", 3)]),
    ({"timestamp": TimeStats("other", values=3)}, [("error", "timestamp_is_no_time", "T", 3)]),
    ({"case_names": NameStats(floats=3)}, [("warning", "case_is_float", "C", 3)]),
    ({"case_names": NameStats(floats=3, fractions=1)}, [("warning", "case_is_float", "C", 3)]),
    ({"case_names": NameStats(floats=3, decimals=True)}, [("warning", "case_is_float", "C", 3)]),
    ({"case_names": NameStats(digits=3, shortest=4, longest=4)}, []),
    ({"case_names": NameStats(digits=3, shortest=3, longest=4)},
     [("hint", "case_lengths_differ", "C", 3)]),
    ({"activity_names": NameStats(digits=3, shortest=3, longest=4)}, []),
    ({"ties": RepeatedRows(3, 5)}, [("warning", "order_ties", "O", 3)]),
    ({"ties": RepeatedRows(0, 5, complete=False)}, [("hint", "ties_not_counted", "T", 0)]),
    ({"duplicates": RepeatedRows(3, 5)}, [("warning", "duplicates", None, 3)]),
    ({"duplicates": RepeatedRows(0, 5, complete=False)},
     [("hint", "duplicates_not_counted", None, 0)]),
    ({"order_is_text": True}, [("hint", "order_is_text", "O", 5)]),
    ({"out_of_order": 1}, [("hint", "out_of_order", "T", 1)]),
    ({"ends_before_start": 1}, [("warning", "end_before_timestamp", "E", 1)]),
    ({"alike_activities": 1}, [("hint", "activities_alike", "A", 1)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "wanted"), FINDINGS, ids=[f"{n} {list(case[0])}" for n, case in enumerate(FINDINGS)]
)
def test_figures_lead_to_findings(changed: dict[str, Any], wanted: list[Any]) -> None:
    """One finding for each rule, of its severity."""
    found = findings_of(_figures(**changed))
    assert [(one.severity, one.code, one.column, one.count) for one in found] == wanted


def test_ids_that_are_not_whole_agree_with_their_count() -> None:
    """The message says "1 is", not "1 are"."""
    for count, wanted in ((1, "1 of them is not whole: it names"), (2, "2 of them are not whole")):
        (found,) = findings_of(_figures(case_names=NameStats(floats=3, fractions=count)))
        assert wanted in found.message


def test_the_number_of_activities_of_a_frame() -> None:
    """Each is counted once, however many there are and however often they occur."""
    names = [f"Activity {n}" for n in range(33_000)]
    frame = pl.DataFrame(
        {"C": ["1"] * 66_000, "A": names * 2, "T": [dt.datetime(2024, 2, 29, 9, 5)] * 66_000}
    )
    report = check_event_log(frame, case="C", activity="A", timestamp="T")
    assert (report.activities, report.ok) == (33_000, False)
    assert report.findings[0].code == "too_many_activities"


def test_the_documentation_names_every_code() -> None:
    """The table of docs/event-logs.md has each code that a finding can have, and no other."""
    page = (Path(__file__).parents[3] / "docs" / "event-logs.md").read_text("utf-8")
    table = page.partition("## All findings")[2].partition("\n## ")[0]
    documented = {
        code for line in re.findall(r"^\|(.*?)\|", table, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", line)
    }  # fmt: skip
    patterns = {
        "".join(
            part.value if isinstance(part, ast.Constant) else r"\w+"
            for part in (code.values if isinstance(code, ast.JoinedStr) else [code])
        )
        for module in (findings, name_findings, time_findings)
        for call in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "EventLogFinding"
        for code in call.args[1:2]
    }
    assert len(patterns) > 20
    for pattern in patterns:
        assert any(re.fullmatch(pattern, code) for code in documented), pattern
    for code in documented:
        assert any(re.fullmatch(pattern, code) for pattern in patterns), code
