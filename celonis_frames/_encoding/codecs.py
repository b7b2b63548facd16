"""Which codec is the quickest way for a frame over a line: ``compression="auto"``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["ACCEPTED", "AUTO", "CERTAIN", "Choice", "Effort", "choose"]

AUTO = "auto"
CERTAIN = "snappy"
"""The codec that is certain to be accepted, and taken as long as nothing is known."""
ACCEPTED = (CERTAIN, "none")
"""Codecs that are known to be accepted, the most certain first; see docs/pipelines.md."""
WORTH = 0.9
"""A codec that takes more of the certain one's time than this is not worth the change."""


@dataclass(frozen=True)
class Effort:
    """What a row costs with a codec.

    Attributes:
        size: Bytes of a row in the file.
        seconds: Seconds in which one core writes it.
    """

    size: float
    seconds: float


def choose(
    efforts: Mapping[str, Effort], speed: float | None, *, cpu_count: int, overlapped: bool
) -> str:
    """The codec with which rows arrive soonest; the certain one unless another is worth it.

    Args:
        efforts: What a row costs with each codec; the certain one is among them.
        speed: Bytes a second of the line; None where it is not known.
        cpu_count: How many write at a time.
        overlapped: Whether files are sent while others are written. Then the slower of both says
            how long it takes, else their sum.
    """
    if speed is None:
        return CERTAIN

    def seconds(codec: str) -> float:
        both = efforts[codec].seconds / cpu_count, efforts[codec].size / max(speed, 1e-9)
        return max(both) if overlapped else sum(both)

    best = min(efforts, key=seconds)
    return best if seconds(best) <= WORTH * seconds(CERTAIN) else CERTAIN


class Choice:
    """Chooses the codec of each file of a push, by what is known of the line at that time.

    Args:
        efforts: What a row costs with each codec.
        speed: Tells bytes a second of the line, or None.
        cpu_count: As for `choose`.
        overlapped: As for `choose`.
    """

    def __init__(
        self,
        efforts: Mapping[str, Effort],
        speed: Callable[[], float | None],
        *,
        cpu_count: int,
        overlapped: bool,
    ) -> None:
        self._efforts, self._speed = efforts, speed
        self._cores, self._overlapped = cpu_count, overlapped

    def codec(self) -> str:
        """The codec of the next file."""
        return choose(
            self._efforts, self._speed(), cpu_count=self._cores, overlapped=self._overlapped
        )

    def factor(self, codec: str) -> float:
        """How much larger a file is with a codec than with the certain one."""
        return self._efforts[codec].size / max(self._efforts[CERTAIN].size, 1e-9)
