"""`resume`: what lies in a stage."""

from __future__ import annotations

import argparse

from celonis_frames._cli.connecting import connected
from celonis_frames._cli.output import Output
from celonis_frames._cli.registry import Commands, flag


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    resume = commands.add(
        "resume", _resume, "finish pushes that were staged and not ended",
        example="celonis-frames resume /var/spool/celonis",
    )  # fmt: skip
    resume.add_argument("staging", help="the fsspec URL that push was given")
    resume.add_argument("--timeout", type=float, help="seconds for all pushes")
    flag(resume, "--no-wait", "do not wait for the jobs")


def _resume(arguments: argparse.Namespace, output: Output) -> None:
    with connected(arguments) as celonis:
        statuses = celonis.resume(
            arguments.staging, timeout=arguments.timeout, wait=not arguments.no_wait
        )
    output.report([one.to_dict() for one in statuses], *map(repr, statuses))
