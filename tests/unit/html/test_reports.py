"""Reports as HTML: all text is escaped and comes out of an HTML parser as it went in."""

from __future__ import annotations

import datetime as dt
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames import EventLogReport, PushPlan, PushStatus
from celonis_frames._api.data_models import Load, TableLoad
from celonis_frames._api.models import Job
from celonis_frames._event_log.cases import EventsPerCase
from celonis_frames._event_log.report import EventLogFinding
from celonis_frames._html import report
from celonis_frames._html.elements import Markup, element, escape, joined
from celonis_frames._html.style import STAGES, STYLE
from celonis_frames._models.reload import ReloadStatus
from celonis_frames._push.plan import PlannedTableColumn

HOSTILE = "<script>alert('1')</script>&amp;\"</details></div>"


class Parsed(HTMLParser):
    """The elements of a page, each closed in its order, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        self.attributes += [str(value) for _, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "\0".join(self.texts)


def shown(text: str) -> str:
    """Text as a page can show it."""
    return re.sub(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", text).replace(
        "\r", "␍"
    )


any_text = st.text(st.characters(), min_size=1)  # controls and lone surrogates as well


@given(any_text, any_text)
def test_any_text_comes_out_as_it_went_in(text: str, other: str) -> None:
    """Of text and of attributes; only what no page can show is replaced."""
    page = element("p", text, element("b", other), title=text)
    page.encode()
    parsed = Parsed(page)
    assert parsed.tags == ["p", "b"]
    assert "".join(parsed.texts) == shown(text) + shown(other)
    assert parsed.attributes == [shown(text)]


def test_html_is_escaped_once() -> None:
    """What is HTML stays as it is; text never becomes HTML by being joined."""
    inner = element("b", "a & b")
    assert escape(inner) is inner
    assert element("p", inner, "<b>") == "<p><b>a &amp; b</b>&lt;b&gt;</p>"
    assert joined("<", inner, "", separator="&") == "&lt;&amp;<b>a &amp; b</b>"
    assert isinstance(joined("<"), Markup)


def _push_status(text: str, **changed: Any) -> PushStatus:
    """A status whose table, log and warnings are this text."""
    load = ReloadStatus(None, pool_id=text, model_id=text, model=text)
    load._problem = text
    job = Job(text, text, text, "DELTA", "PARQUET", None, (), "ERROR", (text,))
    timings = {"check": 1.0, f"{text}!": 2.0}
    given = {"rows": 1, "warnings": [text], "timings": timings, "reload": load}
    return PushStatus(None, job, **(given | changed))


def _reload_status(text: str) -> ReloadStatus:
    status = ReloadStatus(None, pool_id=text, model_id=text, model=text)
    table = TableLoad(text, 1, done=True, message=f"{text}?")
    status._shown = Load(text, "ERROR", 1, 2, message=f"{text}!", tables=(table,))
    return status


def _plan(text: str) -> PushPlan:
    column = PlannedTableColumn(text, f"{text}!", text, "STRING", 80, 1, True, text, 80)
    return PushPlan(text, "DELTA", (column,), 1, 1, 1, 1, (text,), exists=True)


def _event_log(text: str) -> EventLogReport:
    finding = EventLogFinding("error", text, text, 1, text, text)
    time = dt.datetime(2024, 1, 1)
    return EventLogReport(1, 1, 1, time, time, EventsPerCase(1, 1.0, 1.0, 1), (finding,))


@pytest.mark.parametrize(
    ("make", "times"),
    [(_push_status, 8), (_reload_status, 6), (_plan, 6), (_event_log, 3)],
    ids=lambda one: getattr(one, "__name__", ""),
)
@given(text=any_text)
def test_any_name_warning_and_log_is_escaped(make: Any, times: int, text: str) -> None:
    """The elements are those of a harmless name, and the text is there as often as it was given."""
    page = make(text)._repr_html_()
    page.encode()
    parsed, harmless = Parsed(page), Parsed(make("harmless")._repr_html_())
    assert parsed.tags == harmless.tags
    assert parsed.text.count(shown(text)) >= times


def test_a_report_runs_nothing_and_loads_nothing() -> None:
    """No script, no handler, no link, no image, whatever the names are."""
    for make in (_push_status, _reload_status, _plan, _event_log):
        page = make(HOSTILE)._repr_html_()
        assert not re.search(r"<(script|img|link|iframe|a|form|object)\b|\son\w+=|url\(", page)
        assert shown(HOSTILE) in Parsed(page).text


def test_a_stage_that_nobody_knows_gets_no_class_of_its_own() -> None:
    """Names are classes only if the stylesheet has them; time of no stage is shown as well."""
    page = report.timeline({"check": 1.0, 'x" onclick="y': 2.0, "total": 10.0})
    parsed = Parsed(page)
    assert parsed.attributes[:2] == ["bar", "img"]
    assert parsed.attributes.count("other") == 4
    assert "other 7.0 s" in parsed.texts
    assert all(f".{stage}{{" in STYLE for stage in STAGES)
    assert report.timeline({}) == report.timeline({"total": 0.0}) == ""


def test_logs_are_folded_and_long_ones_cut() -> None:
    """Warnings show their count; few are unfolded; what is left out is counted."""
    log = _push_status("x", warnings=[f"w{n}" for n in range(1_000)])._repr_html_()
    assert "⚠ 1,000 warnings" in log
    assert "<li>… and 900 more</li>" in log
    assert report.log([]) == ""
    lines = [f"line {n}" for n in range(1_000)]
    page = report.log(lines)
    assert page.startswith("<details><summary>Log, 1,000 lines, the last 200</summary>")
    assert "line 799\n" not in page
    assert "line 800\n" in page
    assert report.log(lines, unfolded=True).startswith('<details open="open">')


def test_the_stylesheet_is_scoped_and_has_no_placeholder_left() -> None:
    """Every rule is about reports only."""
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", STYLE)
    assert len(rules) > 30
    for rule in rules:
        for selector in rule.split(","):
            assert re.search(r"(^|\s)\.celonis-frames\b", selector), selector
    assert not re.search(r"\b[A-Z]{3,}\b", STYLE)
