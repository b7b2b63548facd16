"""A process that ends when its stage has come to a state, for the programs of the tests."""

from __future__ import annotations

import os
import signal
from typing import Any

from celonis_frames._staging.stage import Stage


def die(*_: Any, **__: Any) -> None:
    """End this process at once, as an orchestrator or the system may do."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(state: str) -> None:
    """Die before the stage is sealed (``"staged"``), after it, or once it has recorded a state."""
    seal, record = Stage.seal, Stage.record

    def sealed(self: Stage, *args: Any, **kwargs: Any) -> None:
        if state == "staged":
            die()
        seal(self, *args, **kwargs)
        if state == "sealed":
            die()

    def recorded(self: Stage, to: Any, *args: Any) -> None:
        record(self, to, *args)
        if state == to:
            die()

    Stage.seal, Stage.record = sealed, recorded  # type: ignore[method-assign]
