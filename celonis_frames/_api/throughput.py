"""How fast the line is: bytes that arrived, by the seconds in which something was on its way."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

__all__ = ["Line"]

TELLING_BYTES = 100_000
"""Smaller uploads tell how long an answer takes, not how fast the line is."""
_MEMORY = 0.9
"""What an upload still counts for when the next one has arrived."""


class Line:
    """The line of one connection, measured by its uploads; from several threads.

    A second in which three uploads were under way counts a third for each of them, so that the sum
    over all is the line's speed, however many share it. What is still under way does not count yet.

    Args:
        clock: Tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open = 0
        self._shares = 0.0
        """Seconds that one upload, under way since the beginning, would have had for itself."""
        self._at = 0.0
        self._bytes = self._seconds = 0.0

    @contextlib.contextmanager
    def sending(self, size: int) -> Iterator[None]:
        """An upload, from its begin to its answer; it counts if it succeeds."""
        with self._lock:
            self._advance()
            self._open += 1
            begin = self._shares
        arrived = False
        try:
            yield
            arrived = True
        finally:
            with self._lock:
                self._advance()
                self._open -= 1
                seconds = self._shares - begin
            if arrived:
                self.took(size, seconds)

    def took(self, size: int, seconds: float) -> None:
        """So many bytes arrived, in so many seconds of the whole line."""
        if size < TELLING_BYTES:
            return
        with self._lock:
            self._bytes = _MEMORY * self._bytes + size
            self._seconds = _MEMORY * self._seconds + seconds

    def speed(self) -> float | None:
        """Bytes a second, the last uploads counting most; None before the first."""
        with self._lock:
            if not self._bytes:
                return None
            return self._bytes / max(self._seconds, 1e-9)

    def _advance(self) -> None:
        now = self._clock()
        if self._open:
            self._shares += (now - self._at) / self._open
        self._at = now
