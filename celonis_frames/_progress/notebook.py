"""A bar as the output of a notebook's cell: one that is updated, and empty at the end.

An empty output, since a notebook's file keeps the last state of each, and an exported page shows
it. A call that ends within `DELAY_SECONDS` has none.
"""

from __future__ import annotations

import sys
import uuid
from typing import Any

from celonis_frames._formatting import counted, format_bytes
from celonis_frames._html import report as html
from celonis_frames._progress.state import BarState, clock

DELAY_SECONDS = 0.5
"""Age of a call that is shown."""
REDRAW_SECONDS = 0.9
"""Seconds between two updates in which nothing but the clock has changed."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


class NotebookOutput:
    """An output of the cell that runs."""

    def __init__(self) -> None:
        self._id = f"celonis-frames-{uuid.uuid4().hex}"
        self._shown: BarState | None = None

    def draw(self, state: BarState) -> None:
        """Show this state instead of the last one."""
        last = self._shown
        if last is None and state.elapsed < DELAY_SECONDS:
            return
        if last is not None and not _differs(state, last):
            return
        self._publish(bar_html(state), bar_text(state))
        self._shown = state

    def close(self) -> None:
        """Leave an empty output."""
        if self._shown is not None:
            self._publish("", "")

    def _publish(self, page: str, text: str) -> None:
        from IPython.display import display  # noqa: PLC0415  # this is its process

        data = {"text/html": page, "text/plain": text}
        display(data, raw=True, display_id=self._id, update=self._shown is not None)  # type: ignore[no-untyped-call]


def bar_html(state: BarState) -> str:
    """The state as HTML."""
    return html.report(
        "open",
        html.paragraph(html.strong(state.title)),
        html.meter(state.share),
        html.paragraph(_figures(state)),
    )


def bar_text(state: BarState) -> str:
    """The state as a line of text."""
    return f"{state.title}: {_figures(state)}"


def _figures(state: BarState) -> str:
    facts = []
    if state.share is not None and state.total is not None:
        facts.append(f"{state.share:.0%} of {format_bytes(state.total)}")
    elif state.sent:
        facts.append(f"{format_bytes(state.sent)} sent")
    if state.chunks:
        facts.append(counted(state.chunks, "chunk"))
    facts.append(clock(state.elapsed))
    if state.left is not None:
        facts.append(f"about {clock(state.left)} left")
    return " · ".join(facts)


def _differs(state: BarState, last: BarState) -> bool:
    """Whether a reader would see a difference."""
    facts = (state.stage, state.sent, state.chunks) != (last.stage, last.sent, last.chunks)
    return facts or state.elapsed - last.elapsed >= REDRAW_SECONDS
