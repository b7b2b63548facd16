"""How far a call is: one object for each call, which its bar and its records get it from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from celonis_frames._progress.bar import Bar, new_bar
from celonis_frames._reporting.current import current
from celonis_frames._reporting.event_thread import OnEvent
from celonis_frames._reporting.recorder import Recorder
from celonis_frames.events import Operation, Stage, WaitReason

_SHOWN: dict[str, str] = {"waiting": "waiting for Celonis"}
"""What the bar shows for a stage, if not its name."""


class ReportOptions(Protocol):
    """Where a call is reported to: the options of a push have these among others."""

    @property
    def progress(self) -> bool | None:
        """Whether to show a bar; None shows it in notebooks and terminals."""

    @property
    def on_event(self) -> OnEvent | None:
        """Called with the records of the call."""

    @property
    def push_id(self) -> str | None:
        """The id that the caller gave."""


@dataclass(frozen=True)
class Reporting:
    """`ReportOptions` of a call that has no others."""

    progress: bool | None
    on_event: OnEvent | None
    push_id: str | None = None


class Progress:
    """A call that goes on.

    Args:
        operation: The function that was called.
        table: Its table, or what else it is about; the label of the bar.
        url: The base URL of the team.
        options: Where it is reported to.
        above: The call of which this one is a part.

    Attributes:
        url: The base URL of the team.
        recorder: Makes the records, if somebody wants them.
        bar: The bar, from the first stage on, if there is one.
        result: What the call returns, for its last record.
    """

    def __init__(
        self,
        operation: Operation,
        table: str | None,
        url: str,
        options: ReportOptions,
        *,
        above: Progress | None = None,
    ) -> None:
        self.url = url
        table = None if table is None else str(table).strip()
        self._label, self._show = table or "", options.progress
        self.bar: Bar | None = None
        self.result: Any = None
        self.recorder: Recorder | None = None
        around = None if above is None else above.recorder
        wanted = options.on_event is not None or "opentelemetry.trace" in sys.modules
        if wanted or around is not None:
            self.recorder = Recorder(
                operation,
                table,
                url,
                on_event=options.on_event,
                push_id=options.push_id,
                above=around,
            )

    def stage(self, name: Stage, text: str | None = None) -> None:
        """A stage begins, or goes on; the bar shows the `text` instead of its name."""
        if self._show is not False:
            self.bar, self._show = new_bar(self._label, show=self._show), False
        if self.bar is not None:
            self.bar.show(text or _SHOWN.get(name, name))
        if self.recorder is not None:
            self.recorder.stage(name)

    def waiting(self, reason: WaitReason, seconds: float | None, text: str) -> None:
        """Nothing is sent for a while; the bar shows the `text`."""
        if self.bar is not None:
            self.bar.show(text)
        if self.recorder is not None:
            self.recorder.waiting(reason, seconds)

    def chunk_done(self, number: int, rows: int, size: int) -> None:
        """Count a chunk that is stored."""
        if self.bar is not None:
            self.bar.chunk_done()
        if self.recorder is not None:
            self.recorder.chunk(number, rows, size)

    def restart(self) -> None:
        """Reset the counts: a new job gets all chunks again."""
        if self.bar is not None:
            self.bar.restart()

    def relabel(self, label: str) -> None:
        """Give the bar a better label, before the first stage."""
        self._label = label

    def in_pool(self, pool_id: str | None) -> None:
        """Name the pool in the records from now on."""
        if self.recorder is not None:
            self.recorder.pool_id = pool_id

    def hide(self) -> None:
        """Remove the bar, for good."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within the block this thread works for the call: what happens far below belongs to it."""
        before = current.set(self)
        span = None if self.recorder is None else self.recorder.enter()
        try:
            yield
        finally:
            current.reset(before)
            if self.recorder is not None:
                self.recorder.leave(span)

    def end(self, error: BaseException | None = None) -> None:
        """The call ends, with its `result` or with an error."""
        self.hide()
        if self.recorder is not None:
            self.recorder.end(self.result, error)


@contextmanager
def in_progress(
    operation: Operation,
    table: str | None,
    url: str,
    options: ReportOptions,
    *,
    above: Progress | None = None,
) -> Iterator[Progress]:
    """A ``with`` block that is a whole call, made by this thread; arguments as of `Progress`."""
    call = Progress(operation, table, url, options, above=above)
    before = current.set(call)
    span = None if call.recorder is None else call.recorder.enter()
    try:
        yield call
        if call.bar is not None or call.recorder is not None:
            call.end()
    except BaseException as error:  # a signal while it ends, too
        call.end(error)
        raise
    finally:
        current.reset(before)
        if call.recorder is not None:
            call.recorder.leave(span)
