"""Short waits: the only module in which tests shorten the client's pauses.

The number of tries and the waits that the client computes stay unchanged.
`expected_outcomes.REFUSED_SECONDS` must stay below the sum of the shortened pauses.
"""

from __future__ import annotations

from collections.abc import Callable

from celonis_frames._concurrency import cancellation
from celonis_frames._jobs import polling, rate_limit
from celonis_frames._models import following

SCALE = 0.02
"""Factor of every pause; all tries of a push then take a quarter of a second."""

SILENCE = 25.0
"""Seconds without a response, times the scale, after which the client stops polling a job."""

REFUSED = 6
"""Calls that are refused although nothing is seen to run, before the client gives up."""


def shorten(
    put: Callable[[object, str, object], None] = setattr, scale: float = SCALE
) -> list[float]:
    """Shorten all pauses, with `setattr` or a function that can undo it.

    Also lifts the team's hourly quota of submissions, which these tests exceed.

    Returns a list that gets the unscaled seconds of every pause.
    """
    real = cancellation._sleep
    meant: list[float] = []

    def sleep(seconds: float, token: cancellation.CancelToken) -> None:
        meant.append(seconds)
        real(seconds * scale, token)

    put(cancellation, "_sleep", sleep)
    put(polling, "MAX_SILENCE", SILENCE * scale)
    put(following, "MAX_REFUSED", REFUSED)
    put(rate_limit, "PER_HOUR", 1_000_000)
    return meant
