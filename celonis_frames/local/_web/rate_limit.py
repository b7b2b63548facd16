"""The limits on submissions: 10 a second and 250 an hour, which begins at the full hour, UTC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PER_SECOND, PER_HOUR = 10, 250


class Limiter:
    """Counts submissions.

    Args:
        clock: Tells the time in epoch seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seconds: dict[int, int] = {}
        self._hours: dict[int, int] = {}

    def wait(self) -> float:
        """Count a submission; 0 when it may go on, else the seconds after which it may."""
        with self._lock:
            now = self._clock()
            second, hour = int(now), int(now // 3600)
            self._seconds = {second: self._seconds.get(second, 0)}
            self._hours = {hour: self._hours.get(hour, 0)}
            if self._hours[hour] >= PER_HOUR:
                return (hour + 1) * 3600 - now
            if self._seconds[second] >= PER_SECOND:
                return second + 1 - now
            self._seconds[second] += 1
            self._hours[hour] += 1
            return 0.0
