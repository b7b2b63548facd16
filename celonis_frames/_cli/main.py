"""The command line: `celonis-frames COMMAND`. Its commands are in `_cli/commands/`.

Keys are never arguments, where other users of the machine would see them: they come from the
environment, or from what `login` has stored.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from celonis_frames._cli.commands import (
    about,
    catalog,
    doctor,
    jobs,
    local,
    login,
    models,
    push,
    staging,
)
from celonis_frames._cli.exit_status import MEANINGS, ExitStatus, exit_status
from celonis_frames._cli.output import Output, is_expected
from celonis_frames._cli.parser import Parser
from celonis_frames._cli.printing import say_error
from celonis_frames._cli.registry import Commands, HelpFormatter
from celonis_frames._concurrency.signals import termination_as_system_exit
from celonis_frames._version import __version__

_ABOUT = """Send files and frames into Celonis.

The connection is that of --profile, else of the environment (CELONIS_URL with CELONIS_API_TOKEN, or
with OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET), else of the profile that login has stored.
CELONIS_URL=local is a Celonis on this machine, for trying."""
_GROUPS = {
    "send rows": (push, staging),
    "look": (catalog, jobs),
    "after a push": (models,),
    "the connection": (login, doctor, about),
    "without a team": (local,),
}
_SIGNALLED = 128
"""The exit status of a process that a signal has ended is this and the number of the signal."""
_BUG = (
    "This is a bug in celonis_frames. Please report it, with the lines above and the output of "
    "celonis-frames show-versions."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status, one of `ExitStatus`."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    output = Output(json="--json" in given, quiet="--quiet" in given)
    try:
        parsed = _parser().parse_args(given)
        with output.shown_warnings(), termination_as_system_exit():
            return parsed.run(parsed, output) or ExitStatus.DONE
    except KeyboardInterrupt as interruption:
        return output.interrupted(interruption, ExitStatus.INTERRUPTED)
    except SystemExit as end:
        if not isinstance(end.code, int) or end.code <= _SIGNALLED:
            raise  # of --help and --version
        return output.interrupted(end, end.code)
    except Exception as error:
        status = exit_status(error)
        if not is_expected(error):
            say_error("".join(traceback.format_exception(error)).rstrip(), _BUG)
        output.error(error, status)
        return status


def _parser() -> argparse.ArgumentParser:
    statuses = "\n".join(f"  {status:<4d} {text}" for status, text in MEANINGS.items())
    parser = Parser(
        prog="celonis-frames",
        usage="celonis-frames [-h] [--version] COMMAND ...",
        formatter_class=HelpFormatter,
        epilog=f"exit status:\n{statuses}\n\nexample:\n  celonis-frames demo\n"
        "  celonis-frames push --help",
    )
    parser.add_argument("--version", action="version", version=f"celonis-frames {__version__}")
    commands = Commands(parser)
    for title, modules in _GROUPS.items():
        commands.begin(title)
        for module in modules:
            module.add(commands)
    parser.description = f"{_ABOUT}\n\n{commands.list}"
    return parser
