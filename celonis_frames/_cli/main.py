"""The command line: `celonis-frames demo | serve | push | resume | plan | jobs | job | cancel`.

Keys are never arguments, where other users of the machine would see them: they come from the
environment.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

from celonis_frames import Celonis, plan
from celonis_frames._auth.environment import environment_url
from celonis_frames._cli.arguments import add_options, read_options
from celonis_frames._cli.demo import run as run_demo
from celonis_frames._cli.printing import say, say_error
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._version import __version__
from celonis_frames.exceptions import CelonisFramesError, JobError

LOSES = 3
"""Exit status of a plan that would lose values, or whose job would fail."""

Command = Callable[[argparse.Namespace], int | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0 done, 1 an error, 3 a plan with differences that are lossy or fatal, 130 interrupted.
    """
    parsed = _parser().parse_args(arguments)
    command: Command = parsed.command
    try:
        return command(parsed) or 0
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
        description="Push frames into Celonis. The connection comes from the environment: "
        "CELONIS_URL with OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET, or with CELONIS_API_TOKEN "
        "(CELONIS_KEY_TYPE=APP_KEY for an application key).",
    )
    parser.add_argument("--version", action="version", version=f"celonis-frames {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = _command(commands, "demo", _demo_command, "push an event log into a local Celonis")
    demo.add_argument("path", nargs="?", help="DuckDB file to leave behind (default: a new one)")
    demo.add_argument(
        "--cases", type=_count, default=2_000, help="cases in the log (default: 2000)"
    )
    demo.add_argument("--keep", action="store_true", help="keep serving until interrupted")

    serve = _command(commands, "serve", _serve, "run a local Celonis")
    serve.add_argument("path", nargs="?", help="DuckDB file (default: in memory)")
    serve.add_argument("--port", type=_port, default=8080, help="port (default: 8080; 0: any)")
    serve.add_argument(
        "--lenient", action="store_true", help="accept every file that DuckDB can read"
    )
    serve.add_argument(
        "--strict-pools", action="store_true", help="do not create pools on first use"
    )
    serve.add_argument(
        "--ingestion",
        metavar="FILE",
        help="JSON file with the pools, connections and tables of the Data Ingestion API",
    )

    for name, run, text in (
        ("push", _push, "push Parquet files into a table"),
        ("plan", _plan, "show what push would do, and how the table that is there differs"),
    ):
        sub = _command(commands, name, run, text)
        sub.add_argument("files", nargs="+", metavar="FILE", help="Parquet: path, URL or glob")
        sub.add_argument(
            "--pool", required=name == "push", default="", help="Data Pool: id, name or URL"
        )
        sub.add_argument("--table", required=True, help="name of the table")
        add_options(sub, Celonis.push if name == "push" else Celonis.plan)
        if name == "plan":
            sub.add_argument("--json", action="store_true", help="print the plan as JSON")

    resume = _command(commands, "resume", _resume, "finish pushes that were staged and not ended")
    resume.add_argument("staging", help="the fsspec URL that push was given")
    resume.add_argument("--timeout", type=float, help="seconds for all pushes")
    resume.add_argument("--no-wait", action="store_true", help="do not wait for the jobs")

    jobs = _command(commands, "jobs", _jobs, "list the jobs of a pool")
    jobs.add_argument("pool", help="Data Pool: id, name or URL")
    for name, run, text in (
        ("job", _job, "show a job and its log"),
        ("cancel", _cancel, "cancel a job"),
    ):
        sub = _command(commands, name, run, text)
        sub.add_argument("pool", help="Data Pool: id, name or URL")
        sub.add_argument("id", help="id of the job")
    return parser


def _command(commands: Any, name: str, run: Command, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=run)
    return parser


def _demo_command(arguments: argparse.Namespace) -> int:
    return run_demo(arguments.path, cases=arguments.cases, keep=arguments.keep, say=say)


def _serve(arguments: argparse.Namespace) -> None:
    from celonis_frames import local  # noqa: PLC0415  # needs an extra
    from celonis_frames.local._gateway.tables import read_file  # noqa: PLC0415

    ingestion = read_file(arguments.ingestion) if arguments.ingestion else []
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    path, port = arguments.path, arguments.port
    strict = arguments.strict_pools
    with local.start(path, port, lenient=arguments.lenient, strict_pools=strict) as celonis:
        say(
            f"Local Celonis at {celonis.url} ({path or 'in memory'})",
            "Point the library or any client at it:",
            f"  export CELONIS_URL={celonis.url}",
            f"  export CELONIS_API_TOKEN={celonis.token}",
        )
        for pool, name, tables in ingestion:
            keys = celonis.ingestion(pool, tables, name=name)
            say(f"Data connection {name} of {pool}:", *_exported(keys))
        say("Stop it with Ctrl-C.")
        while not stop.wait(0.5):
            pass


def _exported(keys: IngestionKeys) -> list[str]:
    """The keys as the variables that a shell sets."""
    values = {
        "ACCESS_KEY": keys.access_key.reveal(), "SECRET_KEY": keys.secret_key.reveal(),
        "CONNECTION": keys.connection, "BUCKET": keys.bucket, "REGION": keys.region,
    }  # fmt: skip
    return [f"  export CELONIS_INGESTION_{name}={value}" for name, value in values.items()]


def _push(arguments: argparse.Namespace) -> None:
    warnings = logging.StreamHandler()
    warnings.setLevel(logging.WARNING)
    warnings.setFormatter(logging.Formatter("! %(message)s"))
    logger = logging.getLogger("celonis_frames")
    logger.addHandler(warnings)
    try:
        with Celonis.from_env() as celonis:
            status = celonis.push(
                arguments.files, arguments.pool, arguments.table, **read_options(arguments)
            )
    finally:
        logger.removeHandler(warnings)
    say(repr(status))


def _resume(arguments: argparse.Namespace) -> None:
    with Celonis.from_env() as celonis:
        statuses = celonis.resume(
            arguments.staging, timeout=arguments.timeout, wait=not arguments.no_wait
        )
    say(*map(repr, statuses))


def _plan(arguments: argparse.Namespace) -> int:
    """Compares with the table that is there, if a pool and a connection are given."""
    with contextlib.ExitStack() as stack:
        client = None
        if arguments.pool and environment_url() is not None:
            client = stack.enter_context(Celonis.from_env())
        found = plan(
            arguments.files, arguments.pool, arguments.table,
            client=client, **read_options(arguments),
        )  # fmt: skip
    text = json.dumps(found.to_dict(), indent=2) if arguments.json else repr(found)
    failed = _show(text)
    return failed or (LOSES if found.level in ("lossy", "fatal") else 0)


def _jobs(arguments: argparse.Namespace) -> int:
    with Celonis.from_env() as celonis:
        statuses = celonis.jobs(arguments.pool)
    if not statuses:
        say_error(f"The pool {arguments.pool!r} has no jobs.")
    return _show(*(f"{one.job_id}  {one.state:<8}  {one.mode:<7}  {one.table}" for one in statuses))


def _job(arguments: argparse.Namespace) -> int:
    with Celonis.from_env() as celonis:
        status = celonis.job(arguments.pool, arguments.id)
    return _show(repr(status), *(f"  {line}" for line in status.logs))


def _cancel(arguments: argparse.Namespace) -> None:
    with Celonis.from_env() as celonis:
        status = celonis.job(arguments.pool, arguments.id).cancel()
    say(repr(status))


def _show(*lines: str) -> int:
    """Print what was asked for: unlike a push, the command failed if that is impossible."""
    if say(*lines):
        return 0
    say_error("The output could not be written. Free space, or write it somewhere else.")
    return 1


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


_count.__name__ = "number"  # for argparse, when it is none


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is no port: 0 to 65535")
    return number


_port.__name__ = "port"


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])
