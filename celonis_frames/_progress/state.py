"""What a bar shows: counts and times, and what follows from them."""

from __future__ import annotations

import dataclasses
from collections import deque

RATE_SECONDS = 10.0
"""Seconds of which the rate is the mean."""


@dataclasses.dataclass
class BarState:
    """How far a call is at a moment.

    Attributes:
        label: Name of the table.
        begun: When the call began, in seconds of `time.monotonic`.
        stage: What is being done.
        sent: Bytes sent.
        chunks: Chunks that are stored.
        total: Bytes to send, as far as they are known or can be estimated; None if not.
        elapsed: Seconds since the call began.
        rate: Bytes sent a second, of late.
    """

    label: str
    begun: float
    stage: str = ""
    sent: int = 0
    chunks: int = 0
    total: int | None = None
    elapsed: float = 0.0
    rate: float = 0.0
    _samples: deque[tuple[float, int]] = dataclasses.field(default_factory=deque, repr=False)

    def at(self, now: float, total: int | None) -> BarState:
        """The state at a time, with the bytes to send as they are known then."""
        samples = self._samples
        if samples and self.sent < samples[-1][1]:  # an upload has failed, or all begins again
            samples.clear()
        samples.append((now, self.sent))
        while now - samples[0][0] > RATE_SECONDS:
            samples.popleft()
        (then, before), seconds = samples[0], now - samples[0][0]
        return dataclasses.replace(
            self,
            total=None if total is None else max(total, self.sent),
            elapsed=now - self.begun,
            rate=(self.sent - before) / seconds if now > then else 0.0,
            _samples=deque(),
        )

    @property
    def title(self) -> str:
        """What is being done, and to which table."""
        return f"{self.label}: {self.stage}" if self.stage else self.label

    @property
    def share(self) -> float | None:
        """Share of the bytes that were sent, 0 to 1; None if the total is not known."""
        return self.sent / self.total if self.total else None

    @property
    def left(self) -> float | None:
        """Seconds until all bytes are sent; None if nothing lets that be estimated."""
        if self.total is None or self.rate <= 0 or self.sent >= self.total:
            return None
        return (self.total - self.sent) / self.rate


def estimated_total(rows: int, size: int, all_rows: int | None) -> int | None:
    """Bytes of all chunks, by the bytes of those that were made of so many rows."""
    if not rows or all_rows is None:
        return None
    return size if rows >= all_rows else round(size * all_rows / rows)


def clock(seconds: float) -> str:
    """Whole seconds as ``0:07``, ``12:34`` or ``1:02:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
