"""The one place where tests make the client's waits short.

Nothing but the pauses shrinks: how often the client tries, and what it thinks it has waited, stays
as it is. `rules.REFUSED_SECONDS` must stay below the sum of the shortened pauses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from celonis_frames._concurrency import cancellation
from celonis_frames._jobs import polling, rate_limit

SCALE = 0.02
"""What becomes of a pause of one second: the tries of a push are over in a quarter of a second."""

SILENCE = 25.0
"""Seconds of silence, times the scale, after which the client stops asking for a job's state."""


def shorten(
    put: Callable[[object, str, object], None] = setattr, scale: float = SCALE
) -> list[float]:
    """Make the waits short, by `setattr` or something that can take it back.

    The team's quota of submissions in an hour is lifted as well: these tests make more.

    Returns a list that gets the seconds of every pause, as the client meant them.
    """
    real = cancellation._sleep
    meant: list[float] = []

    def sleep(seconds: float, stop: threading.Event | None) -> None:
        meant.append(seconds)
        real(seconds * scale, stop)

    put(cancellation, "_sleep", sleep)
    put(polling, "MAX_SILENCE", SILENCE * scale)
    put(rate_limit, "PER_HOUR", 1_000_000)
    return meant
