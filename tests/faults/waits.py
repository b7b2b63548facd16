"""The one place where tests make the client's waits short.

Nothing but the pauses shrinks: how often the client tries, and after how long in all it gives up,
stays as it is. `rules.REFUSED_SECONDS` must stay below the sum of the shortened pauses.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import threading
from collections.abc import Callable

import celonis_frames
from celonis_frames import _retry

SCALE = 0.02
"""What becomes of a pause of one second: the tries of a push are over in a quarter of a second."""

CONSTANTS = {"celonis_frames._jobs": {"FIRST_DELAY": 0.005, "LAST_DELAY": 0.05}}
"""Waits that are module constants, and what they become."""


def shorten(
    put: Callable[[object, str, object], None] = setattr, scale: float = SCALE
) -> list[float]:
    """Make the waits short, by `setattr` or something that can take it back.

    Returns a list that gets the seconds of every pause, as the client meant them.
    """
    real = _retry.pause
    meant: list[float] = []

    def pause(seconds: float, stop: threading.Event | None = None) -> None:
        meant.append(seconds)
        real(seconds * scale, stop)

    for module in pkgutil.iter_modules(celonis_frames.__path__, "celonis_frames."):
        if module.name != "celonis_frames.__main__":
            importlib.import_module(module.name)
    for name, module in list(sys.modules.items()):
        if name.startswith("celonis_frames") and getattr(module, "pause", None) is real:
            put(module, "pause", pause)
    for name, values in CONSTANTS.items():
        for constant, value in values.items():
            if not hasattr(sys.modules[name], constant):
                raise AttributeError(f"{name} has no {constant}: correct tests/faults/waits.py")
            put(sys.modules[name], constant, value)
    return meant
