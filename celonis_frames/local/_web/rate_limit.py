"""The limits on submissions: 10 per second and 250 per hour; an hour begins at a full hour, UTC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PER_SECOND, PER_HOUR = 10, 250


class RateLimiter:
    """Counts submissions against both limits.

    Args:
        clock: Returns the time in epoch seconds; for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seconds: dict[int, int] = {}
        self._hours: dict[int, int] = {}

    def acquire(self) -> float:
        """Count a submission and return 0, or return the seconds until the next one is allowed."""
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
