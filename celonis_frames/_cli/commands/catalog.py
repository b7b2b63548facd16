"""`pools`, `connections`, `tables` and `columns`: what there is in a team."""

from __future__ import annotations

import argparse
import contextlib

from celonis_frames._cli.connecting import connected
from celonis_frames._cli.output import Output
from celonis_frames._cli.registry import Commands, add_pool
from celonis_frames._formatting import did_you_mean
from celonis_frames.exceptions import ConfigError, NotFound


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    commands.add("pools", _pools, "list the Data Pools", example="celonis-frames pools")
    sub = commands.add(
        "connections", _connections, "list the data connections of a pool",
        example="celonis-frames connections Purchasing",
    )  # fmt: skip
    add_pool(sub)
    sub = commands.add(
        "tables", _tables, "list the tables of a pool", example="celonis-frames tables Purchasing"
    )
    add_pool(sub)
    sub = commands.add(
        "columns", _columns, "list the columns of a table",
        about="Lengths are in characters.",
        example="celonis-frames columns Purchasing EVENTS",
    )  # fmt: skip
    add_pool(sub)
    sub.add_argument("table", metavar="TABLE", help="name of the table")
    sub.add_argument("--connection", help="data connection: id or name")


def _pools(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        found = celonis.pools()
    return output.show_table(
        [{"id": one.id, "name": one.name} for one in found],
        ("POOL", "ID"), [(one.name, one.id) for one in found],
        "There are no Data Pools that the key may see.",
    )  # fmt: skip


def _connections(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        found = celonis.connections(arguments.pool)
    return output.show_table(
        [{"id": one.id, "name": one.name} for one in found],
        ("DATA CONNECTION", "ID"), [(one.name, one.id) for one in found],
        f"The pool {arguments.pool!r} has no data connections.",
    )  # fmt: skip


def _tables(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        found = celonis.tables(arguments.pool)
    fields = [
        {
            "name": one.name, "type": one.type, "connection": one.connection,
            "connection_id": one.connection_id, "rows": one.rows,
        }
        for one in found
    ]  # fmt: skip
    rows = [(one.name, one.type, one.rows, one.connection) for one in found]
    return output.show_table(
        fields, ("TABLE", "TYPE", "ROWS", "DATA CONNECTION"), rows,
        f"The pool {arguments.pool!r} has no tables.",
    )  # fmt: skip


def _columns(arguments: argparse.Namespace, output: Output) -> int:
    with connected(arguments) as celonis:
        pool_id = celonis.pool_id(arguments.pool)
        connection = celonis.connection_id(pool_id, arguments.connection)
        table, found = arguments.table, []
        with contextlib.suppress(NotFound):
            found = celonis._api.columns(pool_id, table, connection)  # noqa: SLF001  # one call
        if not found:
            names = [one.name for one in celonis.tables(pool_id)]
            raise ConfigError(
                f"The pool {arguments.pool!r} has no table {table!r}"
                f"{'' if arguments.connection is None else f' in {arguments.connection!r}'}."
                f"{did_you_mean(table, names)} celonis-frames tables lists them."
            )
    fields = [{"name": one.name, "type": one.type, "length": one.length} for one in found]
    rows = [(one.name, one.type, one.length) for one in found]
    return output.show_table(fields, ("COLUMN", "TYPE", "LENGTH"), rows, "It has no columns.")
