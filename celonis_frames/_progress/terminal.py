"""A bar as a line of a terminal, drawn by tqdm."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import Any

from celonis_frames._formatting import counted, encodable
from celonis_frames._progress.state import BarState

_bars_lock = threading.RLock()
"""The lock of our bars. tqdm's own would stay locked for ever after an error in any bar of the
process: tqdm does not release it then."""


_UNKNOWN = "{desc} [{elapsed}]", "{desc}: {n_fmt} [{elapsed}, {rate_fmt}{postfix}]"
"""The line while it is not known how much is to be sent: before the first byte and after it."""


class TerminalLine:
    """A line on a stream; removed at the end."""

    def __init__(self, stream: Any) -> None:
        self._stream: Any = stream
        self._bar: Any = None

    def draw(self, state: BarState) -> None:
        """Show this state instead of the last one."""
        with _unlocked_after_errors():
            if self._bar is None:
                self._bar = _new_bar(self._stream)
            bar = self._bar
            bar.desc = state.title
            bar.postfix = counted(state.chunks, "chunk") if state.chunks else None
            bar.total = state.total
            bar.ncols = _columns(self._stream)
            bar.bar_format = _UNKNOWN[state.sent > 0] if state.total is None else None
            if state.sent < bar.n:  # an upload has failed, or all begins again
                bar.n = bar.last_print_n = state.sent
            if not bar.update(state.sent - bar.n):
                bar.refresh()

    def close(self) -> None:
        """Remove the line."""
        if self._bar is not None:
            with _unlocked_after_errors():
                self._bar.close()


class _Stream:
    """A stream that never raises: what it cannot encode is replaced, and it may be gone."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        with contextlib.suppress(Exception):
            self._stream.write(encodable(text, self.encoding))
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(Exception):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _columns(stream: Any) -> int | None:
    """The width of a terminal as it is now; None if the stream does not know."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (AttributeError, OSError, ValueError):
        return None


@contextlib.contextmanager
def _unlocked_after_errors() -> Any:
    try:
        yield
    except BaseException:
        with contextlib.suppress(RuntimeError):  # raised once this thread holds it no more
            while True:  # tqdm leaves it locked after any exception
                _bars_lock.release()
        raise


def _new_bar(stream: Any) -> Any:
    from tqdm import tqdm  # noqa: PLC0415  # slow to import, often not needed
    from tqdm.utils import disp_trim  # noqa: PLC0415

    class Bar(tqdm):  # type: ignore[type-arg]
        # The bar of a call is drawn by a thread of its own.
        monitor_interval = 0

        @staticmethod
        def format_meter(ncols: int | None, **shown: Any) -> str:  # type: ignore[override]
            # Before tqdm 4.70 a line without a bar may be wider.
            line: str = tqdm.format_meter(ncols=ncols, **shown)
            return disp_trim(line, ncols) if ncols else line

    Bar.set_lock(_bars_lock)
    return Bar(
        unit="B", unit_scale=True, leave=False, mininterval=0, miniters=0, delay=1e-9,
        file=_Stream(stream),
    )  # fmt: skip  # the delay keeps it from being drawn before it has a text
