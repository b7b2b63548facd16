"""The progress bar of a call: its stage, the bytes sent of all, the time left, the clock.

How it works: only the thread of a bar, ``celonis-progress``, draws: each stage when it begins, and
a few times a second what was counted meanwhile and the clock. So a terminal that blocks, or a slow
notebook, delays neither uploads nor the call. `Bar.close` ends the thread and joins it. A bar never
fails a push: without a usable stream there is none, and after an error it is dropped.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

from celonis_frames._progress.notebook import NotebookOutput, in_notebook
from celonis_frames._progress.state import BarState, estimated_total
from celonis_frames._progress.terminal import TerminalLine

TICK_SECONDS = 0.25
"""Seconds between two drawings; the clock shows whole seconds."""
JOIN_SECONDS = 2.0
"""Seconds that the end of a call waits for a drawing, which a blocked stream may delay."""

_log = logging.getLogger("celonis_frames")


class Surface(Protocol):
    """Where a bar is drawn."""

    def draw(self, state: BarState) -> None:
        """Show this state instead of the last one."""

    def close(self) -> None:
        """Remove what was drawn."""


class Delivered(Protocol):
    """What was made of a frame so far: rows and bytes of its chunks, sent or being sent."""

    @property
    def rows(self) -> int:
        """Rows in them."""

    @property
    def bytes(self) -> int:
        """Bytes of them."""

    @property
    def submitted(self) -> bool:
        """Whether there will be no more."""


class Bar:
    """A bar on a terminal or in a notebook.

    Args:
        label: Name of the table.
        surface: Makes what it is drawn on; called in the thread that draws.
    """

    def __init__(self, label: str, surface: Callable[[], Surface]) -> None:
        self._delivered: Delivered | None = None
        self._rows: Callable[[], int | None] = _unknown
        self._new_surface = surface
        self._state, self._lock = BarState(label, begun=time.monotonic()), threading.Lock()
        self._stages: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # In a copy of the context: what it displays belongs to the cell that runs.
        self._thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._run,), name="celonis-progress",
            daemon=True,
        )  # fmt: skip
        try:
            self._thread.start()
        except RuntimeError as error:  # the system cannot start a thread: there is no bar
            _log.debug("there is no progress bar", exc_info=error)

    def expect(self, delivered: Delivered, rows: Callable[[], int | None]) -> None:
        """Show how much there is to send: by the chunks so far, if `rows` returns all rows."""
        self._rows, self._delivered = rows, delivered

    def show(self, text: str) -> None:
        """Show what is being done."""
        self._stages.put(text)

    def sent(self, size: int) -> None:
        """Count sent bytes, fewer than zero if an upload failed. Called from upload threads."""
        with self._lock:
            self._state.sent += size

    def chunk_done(self) -> None:
        """Count a chunk."""
        with self._lock:
            self._state.chunks += 1

    def restart(self) -> None:
        """Reset the counts: a new job gets all chunks again."""
        with self._lock:
            self._state.sent = self._state.chunks = 0

    def close(self) -> None:
        """Remove the bar."""
        self._stages.put(None)
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        try:
            surface = self._new_surface()
            while True:
                try:
                    stage = self._stages.get(timeout=TICK_SECONDS)
                except queue.Empty:
                    pass
                else:
                    if stage is None:
                        break
                    self._state.stage = stage
                surface.draw(self._now())
            surface.draw(self._now())
            surface.close()
        except BaseException as error:  # whatever a stream or a frontend raises
            _log.debug("the progress bar failed", exc_info=error)

    def _now(self) -> BarState:
        with self._lock:
            return self._state.at(time.monotonic(), self._total())

    def _total(self) -> int | None:
        made = self._delivered
        if made is None:
            return None
        if made.submitted:
            return made.bytes
        return estimated_total(made.rows, made.bytes, self._rows())


def new_bar(label: str, *, show: bool | None) -> Bar | None:
    """A bar, if it is to be shown: with None in notebooks and terminals."""
    if show is False:
        return None
    if "IPython" in sys.modules and in_notebook():
        return Bar(label, NotebookOutput)
    stream = sys.stderr
    try:
        shown = stream is not None and (show or stream.isatty())
    except Exception:  # closed, or not quite a stream
        shown = False
    return Bar(label, lambda: TerminalLine(stream)) if shown else None


def _unknown() -> None:
    """No number of rows."""
