"""The SQL of data jobs: which statements they may have, and the tables that these leave."""

from __future__ import annotations

from typing import Any

import duckdb

from celonis_frames.local._database.catalog import CHANGE_DATE, Catalog
from celonis_frames.local._database.chunk_reader import celonis_type
from celonis_frames.local._database.database import DATABASE, Row
from celonis_frames.local._database.errors import STORED, JobError
from celonis_frames.local._database.sql import quote

ALLOWED = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE_INTO", "CREATE", "ALTER", "DROP")
"""Kinds of statements, as DuckDB's parser calls them. Others, such as COPY, ATTACH, LOAD (also of
INSTALL), SET and PRAGMA, reach outside the tables of the pool or change the database itself."""

MAX_LENGTH = 16_250
"""Characters of a string column that SQL made: the lake stores 65,000 bytes, 4 for each."""


def parse(cursor: Any, sql: str) -> list[Any]:
    """The statements in an SQL text.

    Raises:
        JobError: It cannot be parsed, or has a statement that data jobs may not have.
    """
    try:
        found: list[Any] = cursor.extract_statements(sql)
    except duckdb.Error as error:
        raise JobError(str(error).splitlines()[0]) from error
    for statement in found:
        if statement.type.name not in ALLOWED:
            kind = statement.type.name.replace("_", " ")
            raise JobError(f"A data job may not have {kind} statements")
    return found


def register(catalog: Catalog, cursor: Any) -> None:
    """Let the catalog list the tables and views that there are now, in the cursor's transaction.

    Columns get the DuckDB type of their Celonis type.

    Raises:
        JobError: A column has a type that Celonis does not have.
    """
    spaces = [space for pool in catalog.pools() for _, space in catalog.places(pool)]
    listed = {(space, table["name"]): table for space in spaces for table in catalog.tables(space)}
    there = _tables(cursor, spaces)
    for key in listed.keys() - there.keys():
        _forget(cursor, *key)
    for (space, name), (is_view, columns) in there.items():
        own = [column for column in columns if not _is_change_date(column[0])]
        table: Row = {
            "is_view": is_view,
            "has_change_date": len(own) < len(columns),
            "columns": [_column(name, *column) for column in own],
        }
        if not is_view:
            _convert(cursor, space, name, columns, table["columns"])
        if not _is_same(listed.get((space, name)), table):
            _forget(cursor, space, name)
            _add(cursor, space, name, table)


def _tables(cursor: Any, spaces: list[str]) -> dict[tuple[str, str], tuple[bool, list[Any]]]:
    """The tables and views in DuckDB, with the names and DuckDB types of their columns."""
    found = cursor.execute(
        "SELECT schema_name, view_name AS name FROM duckdb_views() "
        "WHERE database_name = ?1 AND schema_name IN (SELECT unnest(?2::VARCHAR[]))",
        (DATABASE, spaces),
    ).fetchall()
    views = set(found)
    columns = cursor.execute(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ?1 AND schema_name IN (SELECT unnest(?2::VARCHAR[])) "
        "ORDER BY schema_name, table_name, column_index",
        (DATABASE, spaces),
    ).fetchall()
    tables: dict[tuple[str, str], tuple[bool, list[Any]]] = {}
    for space, name, column, kind in columns:
        is_view = (space, name) in views
        tables.setdefault((space, name), (is_view, []))[1].append((column, kind))
    return tables


def _is_change_date(column: str) -> bool:
    return column.upper() == CHANGE_DATE


def _column(table: str, name: str, kind: str) -> Row:
    found = celonis_type(kind)
    if found is None:
        raise JobError(
            f"Column {name} of table {table} has the type {kind}, which Celonis does not have"
        )
    return {"name": name, "type": found, "length": MAX_LENGTH if found == "STRING" else None}


def _convert(cursor: Any, space: str, name: str, columns: list[Any], wanted: list[Row]) -> None:
    types = {column["name"]: STORED[column["type"]] for column in wanted}
    for column, kind in columns:
        if types.get(column, kind) != kind:
            cursor.execute(
                f"ALTER TABLE {quote(space)}.{quote(name)} ALTER COLUMN {quote(column)} "
                f"TYPE {types[column]}"
            )


def _is_same(listed: Row | None, table: Row) -> bool:
    """Whether a table is listed as it is. The lengths of its columns may be shorter."""
    if listed is None or any(listed[key] != table[key] for key in ("is_view", "has_change_date")):
        return False
    old, new = ([(c["name"], c["type"]) for c in each["columns"]] for each in (listed, table))
    return old == new


def _forget(cursor: Any, space: str, name: str) -> None:
    for listing, column in (("tables", "name"), ("columns", "table_name")):
        cursor.execute(
            f"DELETE FROM _celonis.{listing} WHERE space = ? AND {column} = ?", (space, name)
        )


def _add(cursor: Any, space: str, name: str, table: Row) -> None:
    columns = table["columns"]
    cursor.execute(
        "INSERT INTO _celonis.tables (space, name, is_view, has_change_date) VALUES (?, ?, ?, ?)",
        (space, name, table["is_view"], table["has_change_date"]),
    )
    cursor.execute(
        "INSERT INTO _celonis.columns SELECT ?, ?, unnest(?::INTEGER[]), unnest(?::VARCHAR[]), "
        "unnest(?::VARCHAR[]), unnest(?::INTEGER[])",
        (
            space, name, list(range(len(columns))), [c["name"] for c in columns],
            [c["type"] for c in columns], [c["length"] for c in columns],
        ),
    )  # fmt: skip
