"""A parser whose errors name the command they are about, and what may have been meant."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any, Never

from celonis_frames._formatting import did_you_mean
from celonis_frames.exceptions import ConfigError

_OPTION = re.compile(r"(--?[A-Za-z][^=\s]*)(=.*)?", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """Raises its errors, with the usage as a note; what is left over is an error, too."""

    _given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments.

        Raises:
            ConfigError: One is wrong, missing or unknown.
        """
        self._given = args or ()
        found, left = super().parse_known_args(args, namespace)
        if left:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return found, left

    def error(self, message: str) -> Never:
        """Raise an error. Of a misspelled `--table` argparse says that the table is missing.

        Raises:
            ConfigError: Always.
        """
        unknown = self._unknown_option()
        if unknown is not None:
            known = [name for action in self._actions for name in action.option_strings]
            message = f"{self.prog} has no option {unknown}.{did_you_mean(unknown, known)}"
        error = ConfigError(message)
        error.add_note(self.format_usage().strip())
        raise error

    def _unknown_option(self) -> str | None:
        """The first option that the parser does not have; the others may be those of a command."""
        if self._subparsers is not None or "--" in self._given:
            return None
        known = self._option_string_actions
        found = filter(None, map(_OPTION.fullmatch, self._given))
        return next((match[1] for match in found if match[1] not in known), None)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.dest == "command_name" and value not in (action.choices or ()):
            advice = did_you_mean(value, action.choices or ())
            raise argparse.ArgumentError(
                None, f"{value!r} is no command.{advice} {self.prog} --help lists all."
            )
        super()._check_value(action, value)
