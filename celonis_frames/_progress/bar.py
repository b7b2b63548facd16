"""The progress bar: stage, chunks and bytes of a call.

A bar never fails a push: without a usable stream there is none, and after an error it is dropped.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from celonis_frames._formatting import counted, encodable

_bars_lock = threading.RLock()
"""The lock of our bars. tqdm's own would stay locked for ever after an error in any bar of the
process: tqdm does not release it then."""
_log = logging.getLogger("celonis_frames")


class Bar:
    """A bar on a terminal or in a notebook.

    Args:
        label: Name of the table.
        stream: Where it is shown.
    """

    def __init__(self, label: str, stream: Any) -> None:
        self._label = label
        self._lock = threading.Lock()
        self._chunks = 0
        self._bar: Any = None
        with self._guarded():
            self._bar = _new_bar(label, stream)

    def show(self, text: str) -> None:
        """Show what is being done."""
        self._call(lambda bar: bar.set_description_str(f"{self._label}: {text}"))

    def sent(self, size: int) -> None:
        """Count sent bytes. Called from upload threads."""
        self._call(lambda bar: bar.update(size))

    def chunk_done(self) -> None:
        """Count a chunk."""

        def count(bar: Any) -> None:
            self._chunks += 1
            bar.set_postfix_str(counted(self._chunks, "chunk"), refresh=False)

        self._call(count)

    def restart(self) -> None:
        """Reset the counts: a new job gets all chunks again."""

        def reset(bar: Any) -> None:
            self._chunks = 0
            bar.reset()

        self._call(reset)

    def close(self) -> None:
        """Remove the bar."""
        self._call(lambda bar: bar.close())

    def _call(self, change: Callable[[Any], object]) -> None:
        with self._lock, self._guarded():
            if self._bar is not None:  # another thread may have dropped it
                change(self._bar)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """An error in the block drops the bar, and is not raised."""
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(RuntimeError):  # raised once this thread holds it no more
                while True:  # tqdm leaves it locked after any exception
                    _bars_lock.release()
            if not isinstance(error, Exception):
                raise
            self._bar = None
            _log.debug("the progress bar failed", exc_info=error)


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
        return getattr(self._stream, name)  # fileno, for the width of the terminal


def _new_bar(label: str, stream: Any) -> Any:
    with warnings.catch_warnings():
        # In a notebook without ipywidgets tqdm warns and uses its text bar.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm  # noqa: PLC0415  # slow to import, often not needed

    class Bar(tqdm):  # type: ignore[type-arg]
        # Every block refreshes it: no monitor thread, which would outlive the push.
        monitor_interval = 0

    Bar.set_lock(_bars_lock)
    return Bar(unit="B", unit_scale=True, leave=False, miniters=1, desc=label, file=_Stream(stream))


def new_bar(label: str, *, show: bool | None) -> Bar | None:
    """A bar, if it is to be shown: with None in notebooks and terminals."""
    stream = sys.stderr
    if show is None:
        try:
            show = "ipykernel" in sys.modules or bool(stream is not None and stream.isatty())
        except Exception:  # closed, or not quite a stream
            show = False
    return Bar(label, stream) if show and stream is not None else None
