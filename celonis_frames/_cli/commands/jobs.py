"""`jobs`, `job` and `cancel`: the jobs of pushes."""

from __future__ import annotations

import argparse

from celonis_frames import Celonis, PushStatus
from celonis_frames._cli.connecting import connected
from celonis_frames._cli.output import SHORT_ID, Output, status_line
from celonis_frames._cli.registry import Commands, add_pool
from celonis_frames.exceptions import BadRequest, ConfigError

_ID_LENGTH = 36


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    jobs = commands.add(
        "jobs", _jobs, "list the push jobs of a pool, with their time and rows",
        about="Rows are those that the log of a job reports, loaded or deleted; the time is the "
        "last change, in UTC. The start of an id is enough for job and cancel.",
        example="celonis-frames jobs Purchasing",
    )  # fmt: skip
    add_pool(jobs)
    for name, run, text in (
        ("job", _job, "show a push job and its log"),
        ("cancel", _cancel, "cancel a push job"),
    ):
        sub = commands.add(name, run, text, example=f"celonis-frames {name} Purchasing 6f9d8a1e")
        add_pool(sub)
        sub.add_argument("id", metavar="JOB", help="id of the job, or its start")


def _jobs(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        statuses = celonis.jobs(arguments.pool)
    rows = [
        (
            (one.job_id or "")[:SHORT_ID], one.state, one.mode,
            one.deleted if one.mode == "DELETE" else one.loaded,
            "" if one.modified is None else f"{one.modified:%Y-%m-%d %H:%M}", one.table,
        )
        for one in statuses
    ]  # fmt: skip
    return output.show_table(
        [one.to_dict() for one in statuses],
        ("JOB", "STATE", "MODE", "ROWS", "TIME (UTC)", "TABLE"), rows,
        f"The pool {arguments.pool!r} has no jobs.",
    )  # fmt: skip


def _job(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        status = _found(celonis, arguments.pool, arguments.id)
    lines = (f"  {line}" for line in status.logs)
    return output.show(status.to_dict(), status_line(status), *lines)


def _cancel(arguments: argparse.Namespace, output: Output) -> None:
    with connected(arguments) as celonis:
        status = _found(celonis, arguments.pool, arguments.id)
        try:
            status.cancel()
        except BadRequest as error:
            if status.done:  # which the message says; it is the wrong job
                raise ConfigError(error.message) from error
            raise
        output.report(status.to_dict(), status_line(status))


def _found(celonis: Celonis, pool: str, start: str) -> PushStatus:
    """The job whose id begins so."""
    if len(start) >= _ID_LENGTH:
        return celonis.job(pool, start)
    found = [one for one in celonis.jobs(pool) if (one.job_id or "").startswith(start)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(
            f"The pool {pool!r} has no job whose id begins with {start!r}: celonis-frames jobs "
            "lists them."
        )
    raise ConfigError(
        f"{len(found):,} jobs have ids that begin with {start!r}: give more characters of it."
    )
