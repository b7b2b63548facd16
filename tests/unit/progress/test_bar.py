"""The bar: what it says of bytes and times, and what it leaves in a notebook."""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from celonis_frames._progress import notebook
from celonis_frames._progress.bar import Bar, new_bar
from celonis_frames._progress.notebook import NotebookOutput, bar_html, bar_text
from celonis_frames._progress.state import BarState, clock, estimated_total


@pytest.mark.parametrize(
    ("rows", "size", "all_rows", "total"),
    [(0, 0, 100, None), (10, 500, None, None), (10, 500, 100, 5_000), (100, 4_900, 100, 4_900),
     (100, 4_900, 90, 4_900), (3, 10, 7, 23)],
)  # fmt: skip
def test_the_total_is_estimated_by_what_was_made(
    rows: int, size: int, all_rows: int | None, total: int | None
) -> None:
    """By bytes per row, until all rows are in chunks."""
    assert estimated_total(rows, size, all_rows) == total


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.9, "0:59"), (61, "1:01"), (3_723, "1:02:03")]
)
def test_the_clock_shows_whole_seconds(seconds: float, text: str) -> None:
    """Hours only if there are some."""
    assert clock(seconds) == text


def test_rate_and_time_left_are_those_of_the_last_seconds() -> None:
    """What was slow long ago counts no more; without a total, or once all is sent, none is left."""
    state = BarState("T", begun=100.0)
    assert state.at(100.0, None).left is None
    state.sent = 100
    assert state.at(110.0, 1_000).rate == 10
    state.sent = 600
    now = state.at(120.0, 1_000)
    assert (now.elapsed, now.rate, now.share, now.left) == (20.0, 50.0, 0.6, 8.0)
    assert state.at(121.0, None).share is None
    state.sent = 1_000
    assert state.at(122.0, 900).share == 1, "never more than all"
    assert state.at(123.0, 1_000).left is None
    state.sent = 0  # all begins again
    assert state.at(124.0, 1_000).rate == 0


def test_what_a_notebook_shows() -> None:
    """Stage, share, chunks, time and time left, as far as they are known; names are escaped."""
    state = BarState("<b>", begun=0.0, stage="checking").at(3.0, None)
    assert bar_text(state) == "<b>: checking: 0:03"
    assert "&lt;b&gt;: checking" in bar_html(state)
    state = BarState("T", 0.0, "uploading", sent=2_000_000, chunks=3, elapsed=61.0, rate=1e6)
    assert bar_text(state) == "T: uploading: 2.0 MB sent · 3 chunks · 1:01"
    assert 'class="bar"' not in bar_html(state)
    state.total = 8_000_000
    assert bar_text(state) == "T: uploading: 25% of 8.0 MB · 3 chunks · 1:01 · about 0:06 left"
    assert "flex-grow:0.2500" in bar_html(state)
    assert 'aria-label="25%"' in bar_html(state)


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a kernel would display, in its order; this process seems to be a kernel."""
    shown: list[dict[str, Any]] = []

    def display(data: dict[str, str], **options: Any) -> None:
        shown.append(options | {"data": data, "thread": threading.current_thread().name})

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(notebook, "DELAY_SECONDS", 0.0)
    return shown


def test_a_notebook_has_one_output_which_is_empty_at_the_end(
    displayed: list[dict[str, Any]],
) -> None:
    """One output, updated in place; nothing of it stays in the file of the notebook."""
    bar = new_bar("T", show=None)
    assert bar is not None
    for stage in ("checking", "uploading", "waiting for Celonis"):
        bar.show(stage)
        bar.sent(10)
        bar.chunk_done()
    bar.close()
    assert len({one["display_id"] for one in displayed}) == 1
    assert [one["update"] for one in displayed] == [False] + [True] * (len(displayed) - 1)
    assert displayed[-1]["data"] == {"text/html": "", "text/plain": ""}
    texts = [one["data"]["text/plain"] for one in displayed]
    assert any("waiting for Celonis: 30 B sent · 3 chunks" in text for text in texts)
    assert {one["thread"] for one in displayed} == {"celonis-progress"}


def test_a_short_call_has_no_output(
    displayed: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends at once is not shown at all, and False shows nothing."""
    monkeypatch.setattr(notebook, "DELAY_SECONDS", 60.0)
    bar = new_bar("T", show=True)
    assert bar is not None
    bar.show("checking")
    bar.close()
    assert displayed == []
    assert new_bar("T", show=False) is None


def test_a_terminal_of_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is a process that has imported IPython, or not."""
    monkeypatch.setattr("IPython.get_ipython", SimpleNamespace)
    assert not notebook.in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert not notebook.in_notebook()


def test_a_notebook_that_fails_drops_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call goes on without a bar."""

    def display(*_: Any, **__: Any) -> None:
        raise RuntimeError("the frontend is gone")

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(notebook, "DELAY_SECONDS", 0.0)
    bar = Bar("T", NotebookOutput)
    bar.show("checking")
    while bar._thread.is_alive():
        time.sleep(0.01)
    bar.show("uploading")
    bar.close()


def test_where_no_thread_can_be_started_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call goes on."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        bar = Bar("T", NotebookOutput)
    bar.show("checking")
    bar.close()
