"""Wait for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 60.0


def until(true: Callable[[], Any]) -> None:
    """Return as soon as a condition is true; it is asked every hundredth of a second.

    Raises:
        AssertionError: It has not become true in a minute.
    """
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
