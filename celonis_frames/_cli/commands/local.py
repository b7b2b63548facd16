"""`demo` and `serve`: the local Celonis."""

from __future__ import annotations

import argparse
import contextlib
import signal
import threading

from celonis_frames._auth.environment import INGESTION
from celonis_frames._cli.demo import run as run_demo
from celonis_frames._cli.exit_status import ExitStatus
from celonis_frames._cli.output import Output
from celonis_frames._cli.registry import Commands, flag
from celonis_frames._ingestion.keys import IngestionKeys


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    demo = commands.add(
        "demo", _demo, "push an event log into a local Celonis",
        example="celonis-frames demo --cases 500", connects=False,
    )  # fmt: skip
    demo.add_argument("path", nargs="?", help="DuckDB file to leave behind (default: a new one)")
    demo.add_argument(
        "--cases", type=_count, default=2_000, help="cases in the log (default: 2000)"
    )
    flag(demo, "--keep", "keep serving until interrupted")

    serve = commands.add(
        "serve", _serve, "run a local Celonis",
        example="celonis-frames serve celonis.duckdb", connects=False,
    )  # fmt: skip
    serve.add_argument("path", nargs="?", help="DuckDB file (default: in memory)")
    serve.add_argument(
        "--host", default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, which only this machine reaches)",
    )  # fmt: skip
    serve.add_argument(
        "--token",
        help="API key to accept (default: one that stays the same for the same file)",
    )  # fmt: skip
    serve.add_argument("--port", type=_port, default=8080, help="port (default: 8080; 0: any)")
    flag(serve, "--lenient", "accept every file that DuckDB can read")
    flag(serve, "--strict-pools", "do not create pools on first use")
    serve.add_argument(
        "--ingestion",
        metavar="FILE",
        help="JSON file with the pools, connections and tables of the Data Ingestion API",
    )


def _demo(arguments: argparse.Namespace, output: Output) -> int:
    lines: list[str] = []
    # JSON is one document: what the demo says besides goes to stderr.
    say = output.note if output.json else lines.append if output.quiet else output.tell
    status = run_demo(arguments.path, cases=arguments.cases, keep=arguments.keep, say=say)
    if output.json:
        output.show({"equal": status == ExitStatus.DONE})
    elif output.quiet and status:
        output.tell(*lines)
    return status


def _serve(arguments: argparse.Namespace, output: Output) -> int:
    from celonis_frames import local  # noqa: PLC0415  # needs an extra
    from celonis_frames.local._gateway.tables import read_file  # noqa: PLC0415

    ingestion = read_file(arguments.ingestion) if arguments.ingestion else []
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with local.start(
        arguments.path, arguments.port, host=arguments.host, token=arguments.token,
        lenient=arguments.lenient, strict_pools=arguments.strict_pools,
    ) as celonis:  # fmt: skip
        connections = [
            (pool, name, celonis.ingestion(pool, tables, name=name))
            for pool, name, tables in ingestion
        ]
        fields = {
            "url": celonis.url, "token": celonis.token, "app_key": celonis.app_key,
            "path": arguments.path,
            "ingestion": [
                {"pool": pool, "name": name, **_variables(keys)}
                for pool, name, keys in connections
            ],
        }  # fmt: skip
        lines = [
            f"Local Celonis at {celonis.url} ({arguments.path or 'in memory'})",
            "Point the library or any client at it:",
            f"  export CELONIS_URL={celonis.url}",
            f"  export CELONIS_API_TOKEN={celonis.token}",
        ]
        for pool, name, keys in connections:
            lines.append(f"Data connection {name} of {pool}:")
            lines += [f"  export {one}={value}" for one, value in _variables(keys).items()]
        output.show(
            fields, *lines, f"Look at it in a browser: {celonis.url}", "Stop it with Ctrl-C."
        )
        with contextlib.suppress(KeyboardInterrupt):
            while not stop.wait(0.5):
                pass
    return ExitStatus.DONE


def _variables(keys: IngestionKeys) -> dict[str, str]:
    """The keys by the variables that a shell sets."""
    secrets = {"access_key": keys.access_key.reveal(), "secret_key": keys.secret_key.reveal()}
    values = vars(keys) | secrets
    return {variable: values[name] for name, variable in INGESTION.items()}


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
