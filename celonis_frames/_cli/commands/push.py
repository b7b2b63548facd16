"""`push` and `plan`."""

from __future__ import annotations

import argparse
import contextlib
import logging

from celonis_frames import Celonis, plan
from celonis_frames._auth.environment import environment_url
from celonis_frames._cli.connecting import connected
from celonis_frames._cli.output import Output
from celonis_frames._cli.push_arguments import add_options, read_options
from celonis_frames._cli.registry import Commands

LOSES = 3
"""Exit status of a plan that would lose values, or whose job would fail."""


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    for name, run, text in (
        ("push", _push, "push Parquet files into a table"),
        ("plan", _plan, "show what push would do, and how the table that is there differs"),
    ):
        sub = commands.add(
            name, run, text,
            example=f"celonis-frames {name} events.parquet --pool Purchasing --table EVENTS",
        )  # fmt: skip
        sub.add_argument("files", nargs="+", metavar="FILE", help="Parquet: path, URL or glob")
        sub.add_argument(
            "--pool", required=name == "push", default="", help="Data Pool: id, name or URL"
        )
        sub.add_argument("--table", required=True, help="name of the table")
        add_options(sub, Celonis.push if name == "push" else Celonis.plan)


def _push(arguments: argparse.Namespace, output: Output) -> None:
    warnings = logging.StreamHandler()
    warnings.setLevel(logging.WARNING)
    warnings.setFormatter(logging.Formatter("! %(message)s"))
    logger = logging.getLogger("celonis_frames")
    logger.addHandler(warnings)
    try:
        with connected(arguments) as celonis:
            status = celonis.push(
                arguments.files, arguments.pool, arguments.table, **read_options(arguments)
            )
    finally:
        logger.removeHandler(warnings)
    output.report(status.to_dict(), repr(status))


def _plan(arguments: argparse.Namespace, output: Output) -> int:
    """Compares with the table that is there, if a pool and a connection are given."""
    with contextlib.ExitStack() as stack:
        client = None
        if arguments.pool and environment_url() is not None:
            client = stack.enter_context(connected(arguments))
        found = plan(
            arguments.files, arguments.pool, arguments.table,
            client=client, **read_options(arguments),
        )  # fmt: skip
    failed = output.show(found.to_dict(), repr(found))
    return failed or (LOSES if found.level in ("lossy", "fatal") else 0)
