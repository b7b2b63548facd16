"""`doctor`: what is right and wrong with the connection, and what a pool really accepts."""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import replace
from pathlib import Path

from celonis_frames._cli.output import Output
from celonis_frames._cli.registry import Commands, flag
from celonis_frames._cli.wording import in_cli_words
from celonis_frames._doctor.examination import examine
from celonis_frames._doctor.scratch import TABLE
from celonis_frames._profiles.choice import choose_settings
from celonis_frames.exceptions import ConfigError


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    sub = commands.add(
        "doctor", _doctor, "check the connection, and what a pool accepts", connects=False,
        about="Checks the address, DNS, proxy, TLS, clock, key, scopes, permissions, pool, "
        "ingestion keys, limits and versions; each finding says who can mend it.\n\n"
        f"With --write it also tries, on the table {TABLE} of the pool, which codecs, encodings, "
        "types and lengths the pool takes, and what Celonis does not document. The table is empty "
        "afterwards. That takes some sixty of the 250 jobs that a team may submit in an hour. Two "
        "files are written for the project, without secrets, rows and the name of the team.\n\n"
        "Exit status: 0 nothing is wrong; 2 the settings; 4 the network or the server; 5 the key "
        "or a permission; 1 the trial was not completed.",
        example="""
            celonis-frames doctor --pool Purchasing
            celonis-frames doctor --pool Purchasing --write
            """,
    )  # fmt: skip
    sub.add_argument("--profile", metavar="NAME", help="a stored profile (default: as for push)")
    sub.add_argument("--pool", help="Data Pool: id, name or URL")
    flag(sub, "--write", f"try what the pool accepts, on the table {TABLE}")
    sub.add_argument(
        "--report",
        metavar="FOLDER",
        default=".",
        help="folder of the two files (default: this one)",
    )


def _doctor(arguments: argparse.Namespace, output: Output) -> int:
    if arguments.write:
        if not arguments.pool:
            raise ConfigError("--write needs a pool: --pool NAME, its id, or its URL.")
        if not Path(arguments.report).is_dir():
            raise ConfigError(f"--report {arguments.report!r} is no folder.")
        output.note(f"Writing into the table {TABLE} of {arguments.pool}.")
    live = not output.quiet and bool(sys.stderr and sys.stderr.isatty())
    report = examine(
        lambda: choose_settings(arguments.profile),
        arguments.pool,
        write=arguments.write,
        announce=_show if live else lambda _: None,
    )
    if live:
        _show("")
    findings = tuple(
        replace(one, text=in_cli_words(one.text), advice=in_cli_words(one.advice))
        for one in report.findings
    )
    failed = output.show(report.to_dict(), replace(report, findings=findings).text())
    if report.observations:
        try:
            paths = report.write(arguments.report)
        except OSError as error:
            raise ConfigError(
                f"The report cannot be written into {arguments.report!r}: "
                f"{error.strerror or error}. Give another folder: --report FOLDER."
            ) from error
        output.note(f"Written for the project: {paths[0]} and {paths[1]}")
    return failed or report.exit_code


def _show(what: str) -> None:
    """Show what is done now, in place of what was shown before."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()
