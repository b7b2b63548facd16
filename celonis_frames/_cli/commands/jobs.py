"""`jobs`, `job` and `cancel`: the jobs of pushes."""

from __future__ import annotations

import argparse

from celonis_frames._cli.connecting import connected
from celonis_frames._cli.output import Output
from celonis_frames._cli.registry import Commands


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    jobs = commands.add(
        "jobs", _jobs, "list the jobs of a pool", example="celonis-frames jobs Purchasing"
    )
    jobs.add_argument("pool", help="Data Pool: id, name or URL")
    for name, run, text in (
        ("job", _job, "show a job and its log"),
        ("cancel", _cancel, "cancel a job"),
    ):
        sub = commands.add(
            name, run, text,
            example=f"celonis-frames {name} Purchasing 6f9d8a1e-0c55-4f0e-9f3a-1f2c3d4e5f60",
        )  # fmt: skip
        sub.add_argument("pool", help="Data Pool: id, name or URL")
        sub.add_argument("id", help="id of the job")


def _jobs(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        statuses = celonis.jobs(arguments.pool)
    if not statuses:
        output.note(f"The pool {arguments.pool!r} has no jobs.")
    lines = (f"{one.job_id}  {one.state:<8}  {one.mode:<7}  {one.table}" for one in statuses)
    return output.show([one.to_dict() for one in statuses], *lines)


def _job(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        status = celonis.job(arguments.pool, arguments.id)
    return output.show(status.to_dict(), repr(status), *(f"  {line}" for line in status.logs))


def _cancel(arguments: argparse.Namespace, output: Output) -> None:
    with connected(arguments) as celonis:
        status = celonis.job(arguments.pool, arguments.id).cancel()
    output.report(status.to_dict(), repr(status))
