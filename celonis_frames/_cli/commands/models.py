"""`models`, `reload`, `data-jobs` and `run-job`: what follows a push."""

from __future__ import annotations

import argparse
from typing import Any

from celonis_frames._cli.connecting import connected, opened
from celonis_frames._cli.output import Output, status_line
from celonis_frames._cli.registry import Commands, add_pool, flag, seconds


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    sub = commands.add(
        "models", _models, "list the data models of a pool",
        example="celonis-frames models Purchasing",
    )  # fmt: skip
    add_pool(sub)
    sub = commands.add(
        "reload", _reload, "load a data model, so that analyses see its tables", limits=False,
        example="celonis-frames reload Purchasing 'P2P model' --tables EVENTS",
    )  # fmt: skip
    add_pool(sub)
    sub.add_argument("model", metavar="MODEL", help="data model: id or name")
    sub.add_argument(
        "--tables", action="append", metavar="NAME",
        help="load only this table; may be repeated (default: all)",
    )  # fmt: skip
    _add_waiting(sub, "return once the load was accepted")
    sub = commands.add(
        "data-jobs", _data_jobs, "list the data jobs of a pool",
        about="These are the extractions and transformations that are set up in Celonis.",
        example="celonis-frames data-jobs Purchasing",
    )  # fmt: skip
    add_pool(sub)
    sub = commands.add(
        "run-job", _run_job, "execute a data job", limits=False,
        example="celonis-frames run-job Purchasing 'Nightly transformation'",
    )  # fmt: skip
    add_pool(sub)
    sub.add_argument("job", metavar="JOB", help="data job: id or name")
    sub.add_argument(
        "--mode", default="FULL", help="FULL (default) extracts everything, DELTA what is new"
    )
    _add_waiting(sub, "return once the execution was accepted")


def _add_waiting(sub: argparse.ArgumentParser, text: str) -> None:
    sub.add_argument("--timeout", type=seconds, metavar="SECONDS", help="seconds for all of it")
    flag(sub, "--no-wait", text)


def _waiting(arguments: argparse.Namespace, output: Output) -> dict[str, Any]:
    """What `_add_waiting` asked for, as parameters of the call."""
    return {
        "wait": not arguments.no_wait, "timeout": arguments.timeout,
        "progress": False if output.quiet else None,
    }  # fmt: skip


def _models(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        found = celonis.models(arguments.pool)
    fields = [
        {
            "id": one.id, "name": one.name,
            "tables": [
                {"id": table.id, "name": table.name, "alias": table.alias}
                for table in one.tables or ()
            ],
        }
        for one in found
    ]  # fmt: skip
    return output.show_table(
        fields, ("DATA MODEL", "TABLES", "ID"),
        [(one.name, len(one.tables or ()), one.id) for one in found],
        f"The pool {arguments.pool!r} has no data models.",
    )  # fmt: skip


def _reload(arguments: argparse.Namespace, output: Output) -> None:
    with opened(arguments) as celonis:
        status = celonis.reload(
            arguments.pool, arguments.model, tables=arguments.tables, **_waiting(arguments, output)
        )
    output.report(status.to_dict(), status_line(status))


def _data_jobs(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        found = celonis.data_jobs(arguments.pool)
    fields = [{"id": one.id, "name": one.name, "state": one.state} for one in found]
    return output.show_table(
        fields, ("DATA JOB", "STATE", "ID"), [(one.name, one.state, one.id) for one in found],
        f"The pool {arguments.pool!r} has no data jobs.",
    )  # fmt: skip


def _run_job(arguments: argparse.Namespace, output: Output) -> None:
    with opened(arguments) as celonis:
        status = celonis.run_job(
            arguments.pool, arguments.job, mode=arguments.mode, **_waiting(arguments, output)
        )
    output.report(status.to_dict(), status_line(status))
