"""The chunks of a job as SQL: what to read from, and each column's expression and type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celonis_frames.local._assumptions import Assumptions
from celonis_frames.local._database import csv_reader
from celonis_frames.local._database.catalog import CHANGE_DATE
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.errors import STORED, JobError
from celonis_frames.local._database.sql import literal, quote

DEFAULT_LENGTH = 80
"""Length in characters of a STRING column, unless the job gives one."""

_READ_AS = {
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
         "UBIGINT", "HUGEINT"), "INTEGER"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "FLOAT"),
    **dict.fromkeys(
        ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"),
        "DATETIME"),
    "BOOLEAN": "BOOLEAN", "VARCHAR": "STRING", "DATE": "DATE", "TIME": "TIME",
}  # fmt: skip
"""Celonis type of each DuckDB type in a Parquet file, or of what SQL computes."""

_LOSSLESS = {("INTEGER", "FLOAT"), ("DATE", "DATETIME"), ("DATETIME", "DATE")}
"""Conversions from the file's type to the declared type; DATETIME to DATE only at midnight."""


@dataclass(frozen=True)
class Column:
    """A column of the chunks: its name, Celonis type, length, and the SQL that reads it."""

    name: str
    type: str
    length: int | None
    expression: str


def celonis_type(kind: str) -> str | None:
    """The Celonis type for a DuckDB type; None if there is none."""
    return "FLOAT" if kind.startswith("DECIMAL") else _READ_AS.get(kind)


def open_chunks(
    cursor: Any, files: list[Path], job: Row, assumptions: Assumptions
) -> tuple[str, list[Column]]:
    """A table function that reads the files, and their columns.

    Raises:
        JobError: The files differ, or have a type that is not ingested or not the declared one.
    """
    if job["fileType"] == "CSV":
        source, found = csv_reader.source(cursor, files, job, assumptions)
    else:
        listed = ", ".join(literal(file) for file in files)
        source = f"read_parquet([{listed}], union_by_name = false)"
        found = _parquet_columns(cursor, files)
    declared = {
        column["columnName"].lower(): column
        for column in ((job["tableSchema"] or {}).get("columns") or [])
        if column.get("columnName")
    }
    fallback = job["fallbackVarcharLength"] or DEFAULT_LENGTH
    columns = []
    for name, kind, expression in found:
        if name.upper() == CHANGE_DATE and assumptions.sent_change_dates == "ignore":
            continue
        column = _column(name, kind, expression, declared.get(name.lower(), {}), fallback)
        if column.type != kind and assumptions.declared_types == "error":
            raise JobError(f"Column {name} is {kind} in the file, declared {column.type}")
        columns.append(column)
    return source, columns


def _parquet_columns(cursor: Any, files: list[Path]) -> list[tuple[str, str, str]]:
    first: list[tuple[str, str]] | None = None
    for number, file in enumerate(files, start=1):
        # DESCRIBE would take time that grows with the square of the number of columns.
        query = cursor.execute("SELECT * FROM read_parquet(?) LIMIT 0", (str(file),))
        found = [(column[0], str(column[1])) for column in query.description]
        if first is not None and found != first:
            raise JobError(f"The columns or types of chunk {number} differ from those of chunk 1")
        first = found
    columns = []
    for name, kind in first or []:
        read_as = celonis_type(kind)
        if read_as is None:
            raise JobError(f"Column {name} has the type {kind}, which is not ingested")
        expression = quote(name)
        if kind != STORED[read_as]:
            expression = f"CAST({expression} AS {STORED[read_as]})"
        columns.append((name, read_as, expression))
    return columns


def _column(name: str, kind: str, expression: str, declared: Row, fallback: int) -> Column:
    wanted = declared.get("columnType") or kind
    length = (declared.get("fieldLength") or fallback) if wanted == "STRING" else None
    if wanted != kind:
        if (kind, wanted) not in _LOSSLESS:
            raise JobError(f"Column {name} is {kind} in the file, but declared as {wanted}")
        if (kind, wanted) == ("DATETIME", "DATE"):
            expression = (
                f"CASE WHEN {expression} IS NULL OR {expression}::TIME = TIME '00:00:00' "
                f"THEN {expression} ELSE error('Column {name.replace(chr(39), '')} has times, but is declared "
                "as DATE') END"
            )
        expression = f"CAST({expression} AS {STORED[wanted]})"
    return Column(name, wanted, length, expression)
