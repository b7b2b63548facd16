"""`resume` and `receipts`: what lies in a stage."""

from __future__ import annotations

import argparse
import datetime as dt

from celonis_frames import prune_receipts
from celonis_frames._cli.connecting import opened
from celonis_frames._cli.output import SHORT_ID, Output, status_line
from celonis_frames._cli.push_arguments import add_storage_options, read_storage_options
from celonis_frames._cli.registry import Commands, flag, seconds
from celonis_frames._filesystem.masking import mask_url
from celonis_frames._formatting import counted
from celonis_frames._push.receipts import list_receipts
from celonis_frames._staging.stage_search import NothingStaged


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    resume = commands.add(
        "resume", _resume, "finish pushes that were staged and interrupted", limits=False,
        about="Sends the chunks that push --staging has written. Files are not read again.",
        example="celonis-frames resume /var/spool/celonis",
    )  # fmt: skip
    resume.add_argument("staging", help="the path or URL that push was given")
    resume.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="seconds for all pushes together"
    )
    flag(resume, "--no-wait", "return once the jobs are submitted")
    add_storage_options(resume)

    receipts = commands.add(
        "receipts", _receipts, "list the pushes with an id, or remove old receipts",
        connects=False,
        about="A receipt says what was pushed under a --push-id. A push whose receipt was removed "
        "is sent again under its id.",
        example="""
            celonis-frames receipts /var/spool/celonis
            celonis-frames receipts /var/spool/celonis --prune 90
            """,
    )  # fmt: skip
    receipts.add_argument("staging", help="the path or URL that push was given")
    receipts.add_argument(
        "--prune", type=_days, metavar="DAYS", help="remove receipts that are older than this"
    )
    add_storage_options(receipts)


def _resume(arguments: argparse.Namespace, output: Output) -> None:
    with opened(arguments) as celonis:
        try:
            statuses = celonis.resume(
                arguments.staging,
                storage_options=read_storage_options(arguments),
                wait=not arguments.no_wait,
                timeout=arguments.timeout,
                progress=False if output.quiet else None,
            )
        except NothingStaged:  # as on every night without an interruption
            place = mask_url(arguments.staging)
            output.report([], f"Nothing is staged at {place!r}: no push is left to finish.")
            return
    output.report([one.to_dict() for one in statuses], *map(status_line, statuses))


def _receipts(arguments: argparse.Namespace, output: Output) -> int | None:
    options = read_storage_options(arguments)
    if arguments.prune is not None:
        age = dt.timedelta(days=arguments.prune)
        removed = prune_receipts(arguments.staging, age, storage_options=options)
        output.report({"removed": removed}, f"{counted(removed, 'receipt')} removed.")
        return None
    found = list_receipts(arguments.staging, options)
    rows = [
        (
            one.push_id,
            one.state,
            one.table,
            one.rows,
            f"{one.when:%Y-%m-%d %H:%M}",
            one.job_id[:SHORT_ID],
        )
        for one in found
    ]
    fields = [
        {
            "push_id": one.push_id, "state": one.state, "url": one.url, "pool_id": one.pool_id,
            "table": one.table, "mode": one.mode, "via": one.via, "rows": one.rows,
            "time": one.date, "job_id": one.job_id or None,
        }
        for one in found
    ]  # fmt: skip
    return output.show_table(
        fields, ("PUSH ID", "STATE", "TABLE", "ROWS", "TIME (UTC)", "JOB"), rows,
        f"There are no receipts in {mask_url(arguments.staging)}.",
    )  # fmt: skip


def _days(text: str) -> float:
    number = float(text)
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return number


_days.__name__ = "number of days"  # for argparse, when it is none
