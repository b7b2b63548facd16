"""The one place where tests make the client's waits short.

The client's patience stays long enough for every fault that passes, such as connections refused
for `rules.REFUSED_SECONDS`; only the pauses between two tries shrink.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

SHORT = {
    "celonis_frames._jobs": {"FIRST_DELAY": 0.005, "LAST_DELAY": 0.05},
    "celonis_frames._retry": {},
}
"""Module constants and what they become; a module that does not exist is passed over."""


def shorten(put: Callable[[object, str, object], None] = setattr) -> None:
    """Make the waits short, by `setattr` or something that can take it back."""
    for name, values in SHORT.items():
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        for constant, value in values.items():
            if not hasattr(module, constant):
                raise AttributeError(
                    f"{name} has no {constant} any more: correct tests/faults/waits.py"
                )
            put(module, constant, value)
