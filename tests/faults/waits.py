"""The one place where tests make the client's waits short.

Nothing but the pauses shrinks: how often the client tries, and after how long in all it gives up,
stays as it is. `rules.REFUSED_SECONDS` must stay below the sum of the shortened pauses.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from celonis_frames import _jobs, _retry

SCALE = 0.02
"""What becomes of a pause of one second: the tries of a push are over in a quarter of a second."""

SILENCE_SECONDS = 1.0
"""For how long without an answer a job is watched."""


def shorten(put: Callable[[object, str, object], None] = setattr, scale: float = SCALE) -> None:
    """Make the waits short, by `setattr` or something that can take it back."""
    real = _retry._sleep

    def sleep(seconds: float, stop: threading.Event | None) -> None:
        real(seconds * scale, stop)

    put(_retry, "_sleep", sleep)
    put(_jobs, "MAX_SILENCE", SILENCE_SECONDS)
