"""The stage of a simulated push: its manifest and its lease."""

from __future__ import annotations

from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs.commands import State
from celonis_frames._jobs.delivery_state import Recorded

LEASE_SECONDS = 300.0
"""How long the lease of a process that is frozen holds."""
CHECKED = frozenset({c.Create, c.Record, c.Send, c.Cancel, c.Sweep})
"""Commands before which the lease is checked; `Submit` follows a `Record`."""


class Stage:
    """Manifest of a staged push, with every version ever written, and its lease."""

    def __init__(self) -> None:
        self.versions = [Recorded(State.CREATING)]
        self.holder: Any = None  # the process that has the lease
        self.takers: list[Any] = []  # the processes that have ever had it
        self.removed = False

    def expire(self, process: Any) -> None:
        """From now on another process may take the stage from this one."""
        if self.holder is process:
            self.holder = None

    def renew(self, process: Any) -> None:
        """Take the stage back, if nobody has taken it meanwhile."""
        if self.takers[-1] is process:
            self.holder = process


def take_lease(process: Any) -> bool:
    """Take the stage; False if another process has it."""
    stage = process.stage
    if stage.holder is not None:
        return False
    stage.holder = process
    stage.takers.append(process)
    return True


def holds_lease(process: Any, command: Any) -> bool:  # noqa: ARG001  # a mutant asks for it
    """Whether the process still has the stage, for a command, or for a call that is repeated."""
    return process.stage.holder is process
