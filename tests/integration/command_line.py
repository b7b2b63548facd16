"""The command line in the process of a test."""

from __future__ import annotations

from celonis_frames._cli.main import main


def exit_status(*arguments: str) -> int:
    """Run a command, whose output goes where the test captures it; returns its exit status."""
    try:
        return int(main(arguments))
    except SystemExit as end:
        return int(end.code or 0)
