"""A finding, and who can mend what it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["ok", "info", "warning", "error", "skipped"]
Who = Literal["you", "your team's admin", "your network people", "the project"]

EXIT_CODES: dict[str, int] = {
    "settings": 2,
    "address": 2,
    "DNS": 4,
    "proxy": 4,
    "TLS": 4,
    "server": 4,
    "clock": 4,
    "key": 5,
    "scopes": 5,
    "pool": 2,
    "permissions": 5,
    "botocore": 2,
    "ingestion keys": 5,
    "limits": 4,
    "versions": 2,
    "trial": 1,
    "codecs": 1,
}
"""The checks in their order, and the exit status of the command if one of them finds an error."""


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        check: Its name, one of `EXIT_CODES`.
        level: ``"ok"``, ``"info"``, ``"warning"``, ``"error"``, or ``"skipped"`` if it could not be
            made.
        text: What was found, in one sentence.
        who: Who can mend it; None if nothing has to be mended.
        advice: What they can do.
        facts: Values for programs; no secret, no row.
    """

    check: str
    level: Level
    text: str
    who: Who | None = None
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON can hold it."""
        return asdict(self)


def exit_code(findings: list[Finding]) -> int:
    """0 if nothing is an error, else that of the first error."""
    return next((EXIT_CODES[one.check] for one in findings if one.level == "error"), 0)
