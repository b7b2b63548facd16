"""What a job does to its table: one DuckDB transaction, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from celonis_frames.local._database import csv_reader
from celonis_frames.local._database.catalog import CHANGE_DATE, Row, Store, quote
from celonis_frames.local._database.errors import STORED, JobError

DEFAULT_LENGTH = 80
"""Characters of a text column that nobody gave a length."""


_READ_AS = {
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
         "UBIGINT"), "INTEGER"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "FLOAT"),
    **dict.fromkeys(
        ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"),
        "DATETIME"),
    "BOOLEAN": "BOOLEAN", "VARCHAR": "STRING", "DATE": "DATE", "TIME": "TIME",
}  # fmt: skip

_LOSSLESS = {("INTEGER", "FLOAT"), ("DATE", "DATETIME"), ("DATETIME", "DATE")}
"""File type and declared type that differ, and still go together."""


@dataclass(frozen=True)
class Column:
    """A column of the job's files: its name, Celonis type, length, and how SQL reads it."""

    name: str
    type: str
    length: int | None
    expression: str


def execute(store: Store, cursor: Any, job: Row, chunks: list[Row]) -> Iterator[str]:
    """Apply a job's chunks inside the cursor's open transaction; yields log lines.

    Args:
        store: The catalogue.
        cursor: A cursor with a transaction begun; the caller commits or rolls back.
        job: The job as the API shows it.
        chunks: Its chunks in upload order.

    Raises:
        JobError: The chunks cannot be applied.
    """
    if not chunks:
        raise JobError("No data: the job has no chunks.")
    space = store.space(job["dataPoolId"], job["connectionId"])
    target = _Target(store, cursor, space, job)
    if job["type"] == "REPLACE":
        target.drop()
        yield f"Dropped table {job['targetName']}"
    for kind, group in groupby(chunks, key=lambda chunk: chunk["type"]):
        files = [store.chunk_path(chunk["id"]) for chunk in group]
        yield f"Loading {len(files)} chunk(s), {kind}"
        if kind == "DELETE":
            yield f"Deleted {target.delete(files):,} row(s)"
        else:
            yield f"Loaded {target.load(files):,} row(s) into {target.name}"


class _Target:
    """The table a job writes to."""

    def __init__(self, store: Store, cursor: Any, space: str, job: Row) -> None:
        self._cursor = cursor
        self._space = space
        self._job = job
        self._keys: list[str] = list(job["keys"] or [])
        self._loaded_at = datetime.now(UTC).replace(tzinfo=None)
        existing = store.table(space, job["targetName"])
        self._exists = existing is not None
        self.name: str = existing["name"] if existing else job["targetName"]
        self._columns: list[Row] = existing["columns"] if existing else []

    @property
    def _sql_name(self) -> str:
        return f"{quote(self._space)}.{quote(self.name)}"

    def drop(self) -> None:
        """Remove the table, if there is one."""
        if self._exists:
            self._cursor.execute(f"DROP TABLE {self._sql_name}")
            for catalogue, column in (("tables", "name"), ("columns", "table_name")):
                self._cursor.execute(
                    f"DELETE FROM _celonis.{catalogue} WHERE space = ? AND lower({column}) = lower(?)",
                    (self._space, self.name),
                )
        self._exists, self._columns, self.name = False, [], self._job["targetName"]

    def load(self, files: list[Path]) -> int:
        """Append or upsert the files' rows; returns their number."""
        source, columns = self._open(files)
        empty = not self._exists
        self._fit(columns)
        rows = self._rows(source, columns)
        if self._keys:
            keys = self._key_places(columns)
            rows = self._upserted(rows, columns, keys, empty=empty)
        names = ", ".join([*(quote(c.name) for c in columns), quote(CHANGE_DATE)])
        values = ", ".join(f"c{place}" for place in range(len(columns)))
        loaded = self._cursor.execute(
            f"INSERT INTO {self._sql_name} ({names}) SELECT {values}, ?::TIMESTAMP FROM ({rows})",
            (self._loaded_at,),
        ).fetchone()[0]
        if self._keys:
            for table in ("_staged", "_keys", "_losers"):
                self._cursor.execute(f"DROP TABLE IF EXISTS temp.{table}")
        return int(loaded)

    def delete(self, files: list[Path]) -> int:
        """Remove the rows with the files' keys; returns their number."""
        if not self._exists:
            return 0
        source, columns = self._open(files)
        by_name = {column.name.lower(): column for column in columns}
        same = " AND ".join(
            f"t.{quote(key)} = {self._key_expression(by_name[key.lower()])}" for key in self._keys
        )
        result = self._cursor.execute(
            f"DELETE FROM {self._sql_name} t WHERE EXISTS (SELECT 1 FROM {source} WHERE {same})"
        )
        return int(result.fetchone()[0])

    def _key_expression(self, column: Column) -> str:
        mine = next((c for c in self._columns if c["name"].lower() == column.name.lower()), None)
        if mine is None or mine["type"] != column.type:
            raise JobError(
                f"Key column {column.name} is {column.type} in the file, not in the table"
            )
        return column.expression

    def _open(self, files: list[Path]) -> tuple[str, list[Column]]:
        """How SQL reads the files, and their columns."""
        if self._job["fileType"] == "CSV":
            source, found = csv_reader.source(self._cursor, files, self._job)
        else:
            listed = ", ".join(_literal(str(file)) for file in files)
            source = f"read_parquet([{listed}], union_by_name = false)"
            found = self._parquet_columns(files)
        declared = {
            column["columnName"].lower(): column
            for column in ((self._job["tableSchema"] or {}).get("columns") or [])
            if column.get("columnName")
        }
        return source, [
            self._column(name, kind, expression, declared.get(name.lower(), {}))
            for name, kind, expression in found
        ]

    def _parquet_columns(self, files: list[Path]) -> list[tuple[str, str, str]]:
        first: list[tuple[str, str]] | None = None
        for number, file in enumerate(files, start=1):
            described = self._cursor.execute(
                "DESCRIBE SELECT * FROM read_parquet(?)", (str(file),)
            ).fetchall()
            found = [(row[0], row[1]) for row in described]
            if first is not None and found != first:
                raise JobError(f"Chunk {number} has other columns or types than chunk 1")
            first = found
        columns = []
        for name, kind in first or []:
            read_as = "FLOAT" if kind.startswith("DECIMAL") else _READ_AS.get(kind)
            if read_as is None:
                raise JobError(f"Column {name} has the type {kind}, which is not ingested")
            columns.append((name, read_as, quote(name)))
        return columns

    def _column(self, name: str, kind: str, expression: str, declared: Row) -> Column:
        wanted = declared.get("columnType") or kind
        if wanted != kind:
            if (kind, wanted) not in _LOSSLESS:
                raise JobError(f"Column {name} is {kind} in the file, but declared as {wanted}")
            if (kind, wanted) == ("DATETIME", "DATE"):
                expression = (
                    f"CASE WHEN {expression} IS NULL OR {expression}::TIME = TIME '00:00:00' "
                    f"THEN {expression} ELSE error('Column {name.replace(chr(39), '')} has times, but is declared "
                    "as DATE') END"
                )
        length = None
        if wanted == "STRING":
            length = (
                declared.get("fieldLength") or self._job["fallbackVarcharLength"] or DEFAULT_LENGTH
            )
        return Column(name, wanted, length, f"CAST({expression} AS {STORED[wanted]})")

    def _value(self, column: Column) -> str:
        """SQL for a value as it is stored; texts are cut without a word, as the real one does."""
        if column.type != "STRING":
            return column.expression
        mine = next(c for c in self._columns if c["name"].lower() == column.name.lower())
        text, length = column.expression, int(mine["length"])
        # Bytes are told at once, characters are counted: few texts have too many bytes.
        return f"CASE WHEN strlen({text}) > {length} THEN left({text}, {length}) ELSE {text} END"

    def _fit(self, columns: list[Column]) -> None:
        """Make the table, or check that it takes these columns, adding new ones."""
        if not self._exists:
            defined = ", ".join(f"{quote(c.name)} {STORED[c.type]}" for c in columns)
            self._cursor.execute(
                f"CREATE TABLE {self._sql_name} ({defined}, {quote(CHANGE_DATE)} TIMESTAMP)"
            )
            self._cursor.execute(
                "INSERT INTO _celonis.tables VALUES (?, ?)", (self._space, self.name)
            )
            self._exists = True
            self._register(columns)
            return
        mine = {column["name"].lower(): column for column in self._columns}
        for column in columns:
            known = mine.get(column.name.lower())
            if known is not None and known["type"] != column.type:
                raise JobError(
                    f"Column {column.name} is {known['type']} in the table and {column.type} in "
                    "the data"
                )
        new = [column for column in columns if column.name.lower() not in mine]
        missing = set(mine) - {column.name.lower() for column in columns}
        if (new or missing) and self._job["upsertStrategy"] == "UPSERT_WITH_UNCHANGED_METADATA":
            listed = ", ".join([*sorted(missing), *(column.name for column in new)])
            raise JobError(f"The table's columns must stay unchanged, but these differ: {listed}")
        for column in new:
            self._cursor.execute(
                f"ALTER TABLE {self._sql_name} ADD COLUMN {quote(column.name)} {STORED[column.type]}"
            )
        self._register(new)

    def _register(self, columns: list[Column]) -> None:
        if not columns:
            return
        first = len(self._columns)
        values = [
            (self._space, self.name, place, column.name, column.type, column.length)
            for place, column in enumerate(columns, start=first)
        ]
        # One statement: each takes DuckDB about a millisecond.
        places = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(values))
        self._cursor.execute(
            f"INSERT INTO _celonis.columns VALUES {places}", tuple(chain.from_iterable(values))
        )
        self._columns += [{"name": c.name, "type": c.type, "length": c.length} for c in columns]

    def _rows(self, source: str, columns: list[Column]) -> str:
        """A query for the values to store, as ``c0``, ``c1``, …, and where each row stands.

        Rows of one key need an order, ``file`` and then ``number``. Parquet has it at no cost; for
        other files, or a file with columns of those names, the rows are numbered in a table.
        """
        values = ", ".join(f"{self._value(c)} AS c{place}" for place, c in enumerate(columns))
        if not self._keys:
            return f"SELECT {values} FROM {source}"
        taken = {"file_index", "file_row_number"} & {column.name.lower() for column in columns}
        if self._job["fileType"] != "CSV" and not taken:
            return f"SELECT {values}, file_index AS file, file_row_number AS number FROM {source}"
        self._cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE _staged AS SELECT {values}, 0 AS file, "
            f"row_number() OVER () AS number FROM {source}"
        )
        return "SELECT * FROM temp._staged"

    def _key_places(self, columns: list[Column]) -> list[int]:
        places = {column.name.lower(): place for place, column in enumerate(columns)}
        missing = [key for key in self._keys if key.lower() not in places]
        if missing:
            raise JobError(f"Key column(s) missing from the data: {', '.join(missing)}")
        return [places[key.lower()] for key in self._keys]

    def _upserted(self, rows: str, columns: list[Column], keys: list[int], *, empty: bool) -> str:
        """Remove the table's rows with these keys; returns the rows to put in their place.

        Most jobs have no key twice, which the keys alone show; only the rows of keys that are there
        twice are put in order.
        """
        listed = ", ".join(f"c{key}" for key in keys)
        complete = " AND ".join(f"c{key} IS NOT NULL" for key in keys)
        wanted = "HAVING times > 1" if empty else ""
        self._cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE _keys AS SELECT {listed}, count(*) AS times "
            f"FROM ({rows}) WHERE {complete} GROUP BY {listed} {wanted}"
        )
        if not empty:
            same = " AND ".join(f"t.{quote(columns[key].name)} = s.c{key}" for key in keys)
            self._cursor.execute(f"DELETE FROM {self._sql_name} t USING temp._keys s WHERE {same}")
        if not self._cursor.execute("SELECT 1 FROM temp._keys WHERE times > 1 LIMIT 1").fetchone():
            return rows
        self._cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE _losers AS SELECT file, number FROM ({rows}) "
            f"SEMI JOIN (FROM temp._keys WHERE times > 1) USING ({listed}) "
            f"QUALIFY row_number() OVER (PARTITION BY {listed} ORDER BY {self._order(columns)}) > 1"
        )
        # A join may change the order.
        return (
            f"SELECT * FROM ({rows}) ANTI JOIN temp._losers USING (file, number) "
            "ORDER BY file, number"
        )

    def _order(self, columns: list[Column]) -> str:
        """Of rows with one key the first in this order stays: the last one, unless told otherwise."""
        last = "file DESC, number DESC"
        by = self._job.get("duplicateRemovalColumn")
        if not by:
            return last
        found = [place for place, c in enumerate(columns) if c.name.lower() == by.lower()]
        if not found:
            raise JobError(f"The column {by} to remove duplicates by is not in the data")
        return f"c{found[0]} DESC NULLS LAST, {last}"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
