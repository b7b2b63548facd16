"""What a user may read changes only on purpose: every text is compared with the recorded one."""

from __future__ import annotations

import difflib

import pytest

from . import collect


def test_help() -> None:
    """The help of every public name is the recorded one."""
    _compare("help.txt")


def test_cli() -> None:
    """The help of the command line and of each command is the recorded one."""
    _compare("cli.txt")


def test_errors() -> None:
    """The messages that the source can make are the recorded ones."""
    _compare("errors.txt")


def _compare(name: str) -> None:
    recorded = (collect.HERE / name).read_text("utf-8")
    collected = collect.FILES[name]()
    if recorded != collected:
        lines = difflib.unified_diff(
            recorded.splitlines(), collected.splitlines(), f"recorded {name}", "now", lineterm=""
        )
        diff = "\n".join(lines)
        pytest.fail(
            f"{diff}\n\nIf this is meant: python -m tests.public_texts.collect", pytrace=False
        )
