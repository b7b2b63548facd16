"""The progress bar: stage, chunks and bytes of a push."""

from __future__ import annotations

import sys
import threading
import warnings
from typing import Any, Self

from celonis_frames._formatting import counted


class Progress:
    """A bar on a terminal or in a notebook; nothing elsewhere.

    Args:
        label: Name of the table.
        show: True shows the bar, False hides it; None shows it in notebooks and terminals.
    """

    def __init__(self, label: str, *, show: bool | None) -> None:
        self._label = label
        self._lock = threading.Lock()
        self._chunks = 0
        self._bar: Any = None
        if _shown_by_default() if show is None else show:
            with warnings.catch_warnings():
                # In a notebook without ipywidgets tqdm warns and uses its text bar.
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm  # noqa: PLC0415  # slow to import, often not needed

            class Bar(tqdm):  # type: ignore[type-arg]
                # Every block refreshes it: no monitor thread, which would outlive the push.
                monitor_interval = 0

            self._bar = Bar(unit="B", unit_scale=True, leave=False, miniters=1, desc=label)

    def stage(self, name: str) -> None:
        """Show the current stage."""
        if self._bar is not None:
            self._bar.set_description_str(f"{self._label}: {name}")

    def sent(self, size: int) -> None:
        """Count sent bytes. Called from upload threads."""
        if self._bar is not None:
            with self._lock:
                self._bar.update(size)

    def chunk_done(self) -> None:
        """Count a chunk. Called from upload threads."""
        if self._bar is not None:
            with self._lock:
                self._chunks += 1
                self._bar.set_postfix_str(counted(self._chunks, "chunk"), refresh=False)

    def restart(self) -> None:
        """Reset the counts: a new job gets all chunks again."""
        if self._bar is not None:
            with self._lock:
                self._chunks = 0
                self._bar.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _shown_by_default() -> bool:
    if "ipykernel" in sys.modules:
        return True
    return bool(sys.stderr is not None and sys.stderr.isatty())
