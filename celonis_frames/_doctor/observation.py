"""What a trial has seen of a pool."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Evidence = Literal["rows", "columns", "job", "response", ""]
"""What an observation rests on: the number of rows of the table, its columns as they are shown, how
the job ended, or the response to a call. Empty if nothing was seen."""


@dataclass(frozen=True)
class Observation:
    """What a pool does in one respect.

    Attributes:
        name: The respect.
        value: What it does, in one word; ``"unknown"`` if that could not be seen.
        evidence: What it rests on.
        ours: What this library and its local Celonis assume; empty if they assume nothing.
        setting: The setting of `local.Assumptions` that it is about; empty if there is none.
        detail: More about it: the server's own words, or why it is unknown. No row is in it.
    """

    name: str
    value: str
    evidence: Evidence = ""
    ours: str = ""
    setting: str = ""
    detail: str = ""

    @property
    def differs(self) -> bool:
        """Whether it is known, and not what is assumed."""
        return bool(self.ours) and self.value not in (self.ours, "unknown")

    @property
    def shown(self) -> str:
        """The observation for people."""
        return f"{self.value}{f' ({self.detail})' if self.detail else ''}"

    def to_dict(self) -> dict[str, Any]:
        """The observation as JSON can hold it."""
        return asdict(self)
