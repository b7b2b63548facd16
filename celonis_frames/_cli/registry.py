"""How a command is registered: its name, what runs it, and the options that all commands share."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable
from typing import Any

from celonis_frames._cli.output import Output

Run = Callable[[argparse.Namespace, Output], int | None]
"""Runs a command; returns its exit status, and None for success."""

_WIDTH = 80
_INDENT = 20
"""Width of the names in the list of commands, with the blanks around them."""


class HelpFormatter(argparse.HelpFormatter):
    """Help of 80 columns that keeps indented lines, such as examples, as they are written."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=_WIDTH)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        blocks = []
        for block in re.split(r"\n\n+", text):
            lines = block.splitlines()
            if any(line.startswith(" ") for line in lines):
                blocks.append("\n".join(indent + line for line in lines))
            else:
                blocks.append(textwrap.fill(" ".join(lines), width, initial_indent=indent,
                                            subsequent_indent=indent, break_long_words=False,
                                            break_on_hyphens=False))  # fmt: skip
        return "\n\n".join(blocks)


class Commands:
    """The commands of a parser.

    Args:
        parser: The parser of the whole command line.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(
            required=True,
            metavar="COMMAND",
            dest="command_name",
            help=argparse.SUPPRESS,
            prog=parser.prog,
        )
        self._groups: list[tuple[str, list[str]]] = []

    def begin(self, title: str) -> None:
        """Begin a group: the commands added from here on stand under this title in the help."""
        self._groups.append((title, []))

    def add(
        self,
        name: str,
        run: Run,
        summary: str,
        *,
        example: str,
        about: str = "",
        connects: bool = True,
        limits: bool = True,
        usage: str | None = None,
    ) -> argparse.ArgumentParser:
        """Add a command; returns its parser, for the arguments of its own.

        Args:
            name: What the user types.
            run: What runs it.
            summary: What it does, in a few words without a full stop; for the list of commands.
            example: One or more lines that can be typed.
            about: More sentences for its help.
            connects: Whether it talks to a team: then it has the options of a connection.
            limits: Whether `--timeout` is added as well; else the command adds its own.
            usage: Its arguments, if there are too many to list all.
        """
        sentence = summary[0].upper() + summary[1:]
        parser: argparse.ArgumentParser = self._parsers.add_parser(
            name,
            formatter_class=HelpFormatter,
            usage=None if usage is None else f"%(prog)s {usage}",
            description=f"{sentence}.\n\n{about}" if about else f"{sentence}.",
            epilog="example:\n" + textwrap.indent(textwrap.dedent(example).strip(), "  "),
            allow_abbrev=False,
        )
        parser.set_defaults(run=run)
        flag(parser, "--json", "print the result as JSON")
        flag(parser, "--quiet", "print only what was asked for, warnings and errors")
        if connects:
            parser.add_argument(
                "--profile", metavar="NAME", help="connection that login has stored as NAME"
            )
        if connects and limits:
            parser.add_argument(
                "--timeout", type=seconds, metavar="SECONDS", help="seconds for all calls"
            )
        self._groups[-1][1].append(f"    {name:<{_INDENT - 4}} {summary}")
        return parser

    @property
    def list(self) -> str:
        """The commands by group, for the help of the whole command line."""
        return "\n\n".join(f"{title}:\n" + "\n".join(lines) for title, lines in self._groups)


def add_pool(parser: argparse.ArgumentParser) -> None:
    """Add the pool as the first argument."""
    parser.add_argument(
        "pool", metavar="POOL", help="Data Pool: id, name, or a URL of it pasted from the browser"
    )


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


seconds.__name__ = "number of seconds"  # for argparse, when it is none


def flag(parser: Any, name: str, text: str) -> None:
    """Add an option without a value."""
    parser.add_argument(name, action="store_true", help=text)
