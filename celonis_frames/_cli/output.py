"""What a command prints: its result on stdout, as text or JSON, and the rest on stderr."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from celonis_frames._cli.printing import say, say_error

NOT_WRITTEN = "The output could not be written. Free space, or write it somewhere else."


@dataclass(frozen=True)
class Output:
    """How a command prints.

    Attributes:
        json: Whether results are JSON.
        quiet: Whether nothing is printed but what was asked for, warnings and errors.
    """

    json: bool = False
    quiet: bool = False

    def show(self, data: Any, *lines: str) -> int:
        """Print what was asked for, as JSON or as these lines; returns the exit status.

        It is an error if it cannot be written: showing it is all that the command does.
        """
        if say(*([_json(data)] if self.json else lines)):
            return 0
        say_error(NOT_WRITTEN)
        return 1

    def report(self, data: Any, *lines: str) -> None:
        """Print what was done. Whether it can be written changes nothing: it is done."""
        if self.json:
            say(_json(data))
        elif not self.quiet:
            say(*lines)

    def note(self, *lines: str) -> None:
        """Print advice on stderr."""
        if not self.quiet:
            say_error(*lines)


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)
