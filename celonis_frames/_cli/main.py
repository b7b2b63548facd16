"""The command line: `celonis-frames COMMAND`. Its commands are in `_cli/commands/`.

Keys are never arguments, where other users of the machine would see them: they come from the
environment.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from celonis_frames._cli.commands import doctor, jobs, local, login, push, staging
from celonis_frames._cli.output import Output
from celonis_frames._cli.printing import say_error
from celonis_frames._cli.registry import Commands, HelpFormatter
from celonis_frames._version import __version__
from celonis_frames.exceptions import CelonisFramesError, JobError

_ABOUT = (
    "Push frames into Celonis. The connection comes from the environment: "
    "CELONIS_URL with OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET, or with CELONIS_API_TOKEN "
    "(CELONIS_KEY_TYPE=APP_KEY for an application key)."
)
_GROUPS = {
    "send rows": (push, staging),
    "jobs": (jobs,),
    "the connection": (login, doctor),
    "without a team": (local,),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0 done, 1 an error, 3 a plan with differences that are lossy or fatal, 130 interrupted.
    """
    parsed = _parser().parse_args(arguments)
    output = Output(json=parsed.json, quiet=parsed.quiet)
    try:
        return parsed.run(parsed, output) or 0
    except CelonisFramesError as error:
        logs = [f"  {line}" for line in error.logs] if isinstance(error, JobError) else []
        say_error(f"{type(error).__name__}: {error}", *_notes(error), *logs)
        return 1
    except ImportError as error:
        say_error(str(error))
        return 1
    except SystemExit as end:
        say_error(*_notes(end))
        raise
    except KeyboardInterrupt as interrupt:
        say_error(*_notes(interrupt))
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="celonis-frames",
        usage="celonis-frames [-h] [--version] COMMAND ...",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"celonis-frames {__version__}")
    commands = Commands(parser)
    for title, modules in _GROUPS.items():
        commands.begin(title)
        for module in modules:
            module.add(commands)
    parser.description = f"{_ABOUT}\n\n{commands.list}"
    return parser


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])
