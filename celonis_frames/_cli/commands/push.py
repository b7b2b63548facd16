"""`push`, `plan` and `delete`: files into a table, and out of it."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from celonis_frames import Celonis, PushStatus, Upload, plan
from celonis_frames._cli.connecting import connected, has_connection, opened
from celonis_frames._cli.exit_status import ExitStatus
from celonis_frames._cli.output import Output, status_line
from celonis_frames._cli.plan_text import plan_lines
from celonis_frames._cli.push_arguments import add_files, add_options, date_formats, read_options
from celonis_frames._cli.reading.reading import Reading, TableTypes, read_files
from celonis_frames._cli.reading.time_limit import reading_deadline, reading_until
from celonis_frames._cli.registry import Commands
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._options.push_options import PushOptions
from celonis_frames._progress.bar import new_bar
from celonis_frames._tables.table_reading import read_existing
from celonis_frames.exceptions import ApiError

_LEAST_SECONDS = 0.001
"""Time limit of a push whose time passed while the files were read: 0 is none."""

_FILES = (
    "The types of CSV files are found in all rows: a column is a number only if every value comes "
    "back unchanged, so 0045 and long identifiers stay text, and ISO 8601 dates are dates. What "
    "stays text although it looks like something else is reported, with the option that changes "
    "it; plan shows all types."
)
_EXAMPLES = {
    "push": r"""
        celonis-frames push 'events-*.csv' --pool Purchasing --table EVENTS \
          --keys CASE_ID,EVENT_ID --column 'EVENT_TIME=DATETIME:%d.%m.%Y %H:%M'
        """,
    "plan": r"""
        celonis-frames plan orders.xlsx --table ORDERS --read-option sheet_name=2024
        """,
    "delete": r"""
        celonis-frames delete gone.csv --pool Purchasing --table EVENTS \
          --keys CASE_ID,EVENT_ID
        """,
}


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    for name, run, method, text, usage, about in (
        (
            "push", _push, Celonis.push, "send files into a table",
            "FILE ... --pool POOL --table TABLE [OPTION ...]", _FILES,
        ),
        (
            "plan", _plan, Celonis.plan,
            "show what push would do, without sending anything",
            "FILE ... [--pool POOL] --table TABLE [OPTION ...]",
            "With --pool and a connection the table that is there is compared. The exit status is "
            f"{ExitStatus.FRAME:d} if values would be lost or the push would fail.",
        ),
        (
            "delete", _delete, Celonis.delete,
            "delete the rows whose keys are in files",
            "FILE ... --pool POOL --table TABLE --keys KEYS\n"
            f"{' ' * 28}[OPTION ...]",
            "Only the key columns are read and sent.",
        ),
    ):  # fmt: skip
        sub = commands.add(
            name,
            run,
            text,
            about=about,
            example=_EXAMPLES[name],
            limits=name == "plan",
            usage=usage,
        )
        place = sub.add_argument_group("where they go")
        place.add_argument(
            "--pool",
            required=name != "plan",
            default="",
            help="Data Pool: id, name, or a URL of it pasted from the browser",
        )
        place.add_argument("--table", required=True, help="name of the table")
        add_files(sub)
        add_options(sub, method)


def _push(arguments: argparse.Namespace, output: Output) -> None:
    _send(Celonis.push, arguments, output)


def _delete(arguments: argparse.Namespace, output: Output) -> None:
    _send(Celonis.delete, arguments, output)


def _send(method: Callable[..., PushStatus], arguments: argparse.Namespace, output: Output) -> None:
    options = read_options(arguments)
    if output.quiet:
        options["progress"] = False
    with contextlib.ExitStack() as stack:
        celonis = stack.enter_context(opened(arguments))
        # A wrong one is an error before files are read.
        parsed = celonis._options(options)  # noqa: SLF001
        keys = options.get("keys") if method is Celonis.delete else None
        begin = time.monotonic()
        types = partial(_table_types, celonis, arguments, parsed)
        reading = _read(stack, arguments, options, types, quiet=output.quiet, only=keys)
        seconds = time.monotonic() - begin
        if arguments.timeout is not None:
            options["timeout"] = max(arguments.timeout - seconds, _LEAST_SECONDS)
        output.note(*(f"! {note}" for note in reading.notes))
        status = method(celonis, reading.frame, arguments.pool, arguments.table, **options)
    status._add_seconds("read", seconds)  # noqa: SLF001  # of the files, which the push did not see
    output.report(status.to_dict() | {"reading": _fields(reading)}, status_line(status))
    if status.done:
        status.raise_for_status()  # a data model was not loaded


def _plan(arguments: argparse.Namespace, output: Output) -> int:
    """Compares with the table that is there, if a pool and a connection are given."""
    options = read_options(arguments)
    options.pop("timeout", None)  # of the calls, and of reading
    parsed = PushOptions.from_call(options, Upload())  # a wrong one is an error before reading
    with contextlib.ExitStack() as stack:
        client: Celonis | None = None
        types: TableTypes = dict
        if arguments.pool and has_connection(arguments):
            client = stack.enter_context(connected(arguments))
            types = partial(_table_types, client, arguments, parsed)
        reading = _read(stack, arguments, options, types, quiet=output.quiet)
        found = plan(reading.frame, arguments.pool, arguments.table, client=client, **options)
    fields = found.to_dict() | {"reading": _fields(reading)}
    failed = output.show(fields, *plan_lines(found, reading))
    return failed or (ExitStatus.FRAME if found.level in ("lossy", "fatal") else ExitStatus.DONE)


def _read(
    stack: contextlib.ExitStack,
    arguments: argparse.Namespace,
    options: Mapping[str, Any],
    table_types: TableTypes,
    *,
    quiet: bool,
    only: Sequence[str] | None = None,
) -> Reading:
    """The files as a frame, with a bar while their types are found.

    Raises:
        JobTimeout: The time is up.
    """
    limit = arguments.timeout
    bar = new_bar(arguments.table, show=False if quiet else None)
    try:
        if bar is not None:
            bar.show("reading")
        with reading_until(None if limit is None else time.monotonic() + limit):
            return stack.enter_context(read_files(
                arguments, options, date_formats(arguments), only=only, table_types=table_types
            ))  # fmt: skip
    except (KeyboardInterrupt, SystemExit) as interruption:
        interruption.add_note("Nothing was sent.")
        raise
    finally:
        if bar is not None:
            bar.close()


def _table_types(
    celonis: Celonis, arguments: argparse.Namespace, options: PushOptions
) -> Mapping[str, str]:
    """The types of the table that is there, if the push keeps them and they can be read."""
    if options.schema == "evolve" or options.by_objects:
        return {}
    api = celonis._api  # noqa: SLF001  # there is no public way
    try:
        with CancelToken(deadline=reading_deadline()) as token:
            table = read_existing(api.within(token), arguments.pool, options, arguments.table)
    except ApiError:
        return {}  # it is an error of the push, if it needs them
    return {name: column.type for name, column in table.known.items()}


def _fields(reading: Reading) -> dict[str, Any]:
    return {"how": reading.how, "files": reading.files, "notes": list(reading.notes)}
