"""Apply the chunks of a job to its table, in one DuckDB transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from celonis_frames._formatting import counted
from celonis_frames.local._assumptions import STRICT, Assumptions
from celonis_frames.local._database.catalog import CHANGE_DATE, Catalog
from celonis_frames.local._database.chunk_reader import Column, open_chunks
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.errors import STORED, JobError
from celonis_frames.local._database.sql import quote

_STAGED = "SELECT * FROM temp._staged"


def execute(
    catalog: Catalog, cursor: Any, job: Row, chunks: list[Row], assumptions: Assumptions
) -> Iterator[str]:
    """Apply the chunks of a job in the cursor's open transaction. Yields the lines of its log.

    Args:
        catalog: The catalog.
        cursor: A cursor with an open transaction; the caller commits it or rolls it back.
        job: The job as the API returns it, with ``duplicateRemovalColumn``.
        chunks: Its chunks in upload order.
        assumptions: What to do where the behaviour of Celonis is not documented.

    Raises:
        JobError: The chunks cannot be applied.
    """
    if not chunks:
        if assumptions.no_chunks == "done":
            return
        raise JobError("The job has no chunks")
    space = catalog.space(job["dataPoolId"], job["connectionId"])
    target = Target(catalog, cursor, space, job, assumptions)
    if assumptions.order == "deletes_first":
        chunks = sorted(chunks, key=lambda chunk: str(chunk["type"]))
    if job["type"] == "REPLACE":
        target.drop()
        yield f"Dropped table {job['targetName']}"
    for kind, group in groupby(chunks, key=lambda chunk: chunk["type"]):
        files = [catalog.chunk_path(chunk["id"]) for chunk in group]
        yield f"Loading {counted(len(files), 'chunk')}, {kind}"
        if kind == "DELETE":
            yield f"Deleted {counted(target.delete(files), 'row')}"
        else:
            yield f"Loaded {counted(target.load(files), 'row')} into {target.name}"


class Target:
    """The table a job writes to.

    Args:
        catalog: The catalog.
        cursor: A cursor with an open transaction.
        space: Where the table is.
        job: The job. Its ``ageColumn``, which no job of the API has, is a column by which a row
            replaces another one only if its value is not less; null is the lowest.
        assumptions: What to do where the behaviour of Celonis is not documented.
    """

    def __init__(
        self,
        catalog: Catalog,
        cursor: Any,
        space: str,
        job: Row,
        assumptions: Assumptions = STRICT,
    ) -> None:
        self._cursor = cursor
        self._assumptions = assumptions
        self._space = space
        self._job = job
        self._keys: list[str] = list(job["keys"] or [])
        self._loaded_at = datetime.now(UTC).replace(tzinfo=None)
        existing = catalog.table(space, job["targetName"])
        self._exists = existing is not None
        self.name: str = existing["name"] if existing else job["targetName"]
        if existing and existing["is_view"]:
            raise JobError(f"{self.name} is a view; rows cannot be pushed into it")
        self._has_change_date = existing is None or existing["has_change_date"]
        self._columns: list[Row] = []
        self._by_name: dict[str, Row] = {}
        self._add_columns(existing["columns"] if existing else [])

    def _add_columns(self, columns: list[Row]) -> None:
        self._columns += columns
        self._by_name |= {column["name"].lower(): column for column in columns}

    @property
    def _sql_name(self) -> str:
        return f"{quote(self._space)}.{quote(self.name)}"

    def drop(self) -> None:
        """Drop the table if it exists."""
        if self._exists:
            self._cursor.execute(f"DROP TABLE {self._sql_name}")
            for listing, column in (("tables", "name"), ("columns", "table_name")):
                self._cursor.execute(
                    f"DELETE FROM _celonis.{listing} WHERE space = ? AND lower({column}) = lower(?)",
                    (self._space, self.name),
                )
        self._exists, self.name = False, self._job["targetName"]
        self._has_change_date = True
        self._columns, self._by_name = [], {}

    def load(self, files: list[Path]) -> int:
        """Append or upsert the rows of the files; returns their number."""
        source, columns = open_chunks(self._cursor, files, self._job, self._assumptions)
        empty = not self._exists
        columns = self._fit(columns)
        rows = self._rows(source, columns)
        if self._keys:
            keys = self._places(columns, self._keys, "key column")
            needed = [*keys, *self._age(columns)]
            key_rows = rows if rows == _STAGED else self._numbered(source, columns, needed)
            rows = self._upserted(rows, key_rows, columns, keys, empty=empty)
        names = ", ".join([*(quote(c.name) for c in columns), quote(CHANGE_DATE)])
        values = ", ".join(f"c{place}" for place in range(len(columns)))
        loaded = self._cursor.execute(
            f"INSERT INTO {self._sql_name} ({names}) SELECT {values}, ?::TIMESTAMP FROM ({rows})",
            (self._loaded_at,),
        ).fetchone()[0]
        if self._keys:
            for table in ("_staged", "_keys", "_losers", "_stale"):
                self._cursor.execute(f"DROP TABLE IF EXISTS temp.{table}")
        return int(loaded)

    def delete(self, files: list[Path]) -> int:
        """Delete the rows whose keys are in the files; returns their number."""
        if not self._exists:
            return 0
        source, columns = open_chunks(self._cursor, files, self._job, self._assumptions)
        by_name = {column.name.lower(): column for column in columns}
        same = " AND ".join(
            f"t.{quote(key)} = {self._key_expression(by_name[key.lower()])}" for key in self._keys
        )
        result = self._cursor.execute(
            f"DELETE FROM {self._sql_name} t WHERE EXISTS (SELECT 1 FROM {source} WHERE {same})"
        )
        return int(result.fetchone()[0])

    def _key_expression(self, column: Column) -> str:
        mine = self._by_name.get(column.name.lower())
        if mine is None or mine["type"] != column.type:
            raise JobError(
                f"Key column {column.name} is {column.type} in the file, but not in the table"
            )
        return column.expression

    def _value(self, column: Column) -> str:
        """SQL for a value as it is stored. Strings are truncated silently, as by Celonis."""
        if column.type == "DATETIME" and self._assumptions.precision == "ms":
            return f"date_trunc('milliseconds', {column.expression})"
        if column.type != "STRING":
            return column.expression
        text, length = column.expression, int(self._by_name[column.name.lower()]["length"])
        # The number of bytes is known, that of characters has to be counted.
        return f"CASE WHEN strlen({text}) > {length} THEN left({text}, {length}) ELSE {text} END"

    def _fit(self, columns: list[Column]) -> list[Column]:
        """Create the table, or check these columns against it and add the new ones.

        Returns them as they are to be read.
        """
        if not self._exists:
            defined = ", ".join(f"{quote(c.name)} {STORED[c.type]}" for c in columns)
            self._cursor.execute(
                f"CREATE TABLE {self._sql_name} ({defined}, {quote(CHANGE_DATE)} TIMESTAMP)"
            )
            self._cursor.execute(
                "INSERT INTO _celonis.tables (space, name) VALUES (?, ?)", (self._space, self.name)
            )
            self._exists = True
            self._register(columns)
            return columns
        mine = self._by_name
        columns = [self._of_table_type(column) for column in columns]
        new = [column for column in columns if column.name.lower() not in mine]
        missing = set(mine) - {column.name.lower() for column in columns}
        if self._must_not_change(new, missing):
            listed = ", ".join([*sorted(missing), *(column.name for column in new)])
            raise JobError(f"The columns of the table must not change, but these differ: {listed}")
        self._add_change_date()
        for column in new:
            self._cursor.execute(
                f"ALTER TABLE {self._sql_name} ADD COLUMN {quote(column.name)} {STORED[column.type]}"
            )
        self._register(new)
        if self._assumptions.delta_lengths == "grow":
            self._lengthen(columns)
        return columns

    def _of_table_type(self, column: Column) -> Column:
        """The column as one of the table's type.

        Raises:
            JobError: It has another type.
        """
        known = self._by_name.get(column.name.lower())
        if known is None or known["type"] == column.type:
            return column
        if self._assumptions.changed_types == "error":
            raise JobError(
                f"Column {column.name} is {known['type']} in the table and {column.type} in the data"
            )
        expression = f"TRY_CAST({column.expression} AS {STORED[known['type']]})"
        return Column(column.name, known["type"], known["length"], expression)

    def _must_not_change(self, new: list[Column], missing: set[str]) -> bool:
        """Whether the columns of the table must not differ in this way from those of the data."""
        assumed = self._assumptions
        if self._job["upsertStrategy"] == "UPSERT_WITH_UNCHANGED_METADATA":
            return bool(new or missing) and assumed.unchanged_metadata == "error"
        return bool(new and assumed.new_columns == "error") or bool(
            missing and assumed.missing_columns == "error"
        )

    def _lengthen(self, columns: list[Column]) -> None:
        for column in columns:
            known = self._by_name[column.name.lower()]
            if column.type == "STRING" and (column.length or 0) > known["length"]:
                known["length"] = column.length
                self._cursor.execute(
                    "UPDATE _celonis.columns SET length = ? WHERE space = ? "
                    "AND lower(table_name) = lower(?) AND lower(name) = lower(?)",
                    (column.length, self._space, self.name, column.name),
                )

    def _add_change_date(self) -> None:
        """Add the column that the server fills, which a table of a data job does not have."""
        if self._has_change_date:
            return
        self._cursor.execute(
            f"ALTER TABLE {self._sql_name} ADD COLUMN {quote(CHANGE_DATE)} TIMESTAMP"
        )
        self._cursor.execute(
            "UPDATE _celonis.tables SET has_change_date = true WHERE space = ? AND name = ?",
            (self._space, self.name),
        )
        self._has_change_date = True

    def _register(self, columns: list[Column]) -> None:
        if not columns:
            return
        first = len(self._columns)
        # One row for each column, from lists: a list of values takes DuckDB as long as loading them.
        self._cursor.execute(
            "INSERT INTO _celonis.columns SELECT ?, ?, unnest(?::INTEGER[]), unnest(?::VARCHAR[]), "
            "unnest(?::VARCHAR[]), unnest(?::INTEGER[])",
            (
                self._space, self.name, list(range(first, first + len(columns))),
                [c.name for c in columns], [c.type for c in columns], [c.length for c in columns],
            ),
        )  # fmt: skip
        self._add_columns([{"name": c.name, "type": c.type, "length": c.length} for c in columns])

    def _rows(self, source: str, columns: list[Column]) -> str:
        """A query for the values to store, as ``c0``, ``c1`` and so on.

        With keys it also has the position of each row, ``file`` and ``number``, since the order of
        rows with one key matters. `read_parquet` returns it at no cost; for CSV, and for files with
        columns of those names, the rows are numbered in a temporary table.
        """
        everything = range(len(columns))
        if not self._keys:
            return f"SELECT {self._values(columns, everything)} FROM {source}"
        taken = {"file_index", "file_row_number"} & {column.name.lower() for column in columns}
        if self._job["fileType"] != "CSV" and not taken:
            return self._numbered(source, columns, everything)
        self._cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE _staged AS SELECT {self._values(columns, everything)}, "
            f"0 AS file, row_number() OVER () AS number FROM {source}"
        )
        return _STAGED

    def _numbered(self, source: str, columns: list[Column], places: Iterable[int]) -> str:
        """A query for the values at these places and the position of each row."""
        values = self._values(columns, places)
        return f"SELECT {values}, file_index AS file, file_row_number AS number FROM {source}"

    def _values(self, columns: list[Column], places: Iterable[int]) -> str:
        return ", ".join(f"{self._value(columns[place])} AS c{place}" for place in places)

    def _places(self, columns: list[Column], names: list[str], noun: str) -> list[int]:
        places = {column.name.lower(): place for place, column in enumerate(columns)}
        missing = [name for name in names if name.lower() not in places]
        if missing:
            raise JobError(f"The data lack {counted(len(missing), noun)}: {', '.join(missing)}")
        return [places[name.lower()] for name in names]

    def _age(self, columns: list[Column]) -> list[int]:
        """The place of the age column, if there is one."""
        by = self._job.get("ageColumn")
        return self._places(columns, [by], "age column") if by else []

    def _upserted(
        self, rows: str, key_rows: str, columns: list[Column], keys: list[int], *, empty: bool
    ) -> str:
        """Delete the table's rows with these keys; returns a query for the rows that replace them.

        Most jobs have no duplicate keys. Only the rows of duplicate keys are sorted. `key_rows` is
        `rows` with the key and age columns at least: planning a query takes time for each column.
        """
        listed = ", ".join(f"c{key}" for key in keys)
        complete = " AND ".join(f"c{key} IS NOT NULL" for key in keys)
        if self._assumptions.null_keys == "error":
            nulls = f"SELECT 1 FROM ({key_rows}) WHERE NOT ({complete}) LIMIT 1"
            if self._cursor.execute(nulls).fetchone():
                raise JobError("A key column has a null")
        wanted = "HAVING times > 1" if empty else ""
        latest = "".join(f", max(c{age}) AS age" for age in self._age(columns))
        self._cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE _keys AS SELECT {listed}, count(*) AS times{latest} "
            f"FROM ({key_rows}) WHERE {complete} GROUP BY {listed} {wanted}"
        )
        joined = rows if empty else self._without_stale(rows, columns, keys, listed)
        # A join does not keep the order.
        ordered = rows if joined == rows else f"{joined} ORDER BY file, number"
        if not self._cursor.execute("SELECT 1 FROM temp._keys WHERE times > 1 LIMIT 1").fetchone():
            return ordered
        if self._assumptions.duplicate_keys == "error" and not self._job.get(
            "duplicateRemovalColumn"
        ):
            raise JobError("Several rows have one key")
        self._cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE _losers AS SELECT file, number FROM ({rows}) "
            f"SEMI JOIN (FROM temp._keys WHERE times > 1) USING ({listed}) "
            f"QUALIFY row_number() OVER (PARTITION BY {listed} ORDER BY {self._order(columns)}) > 1"
        )
        return (
            f"SELECT * FROM ({joined}) ANTI JOIN temp._losers USING (file, number) "
            "ORDER BY file, number"
        )

    def _without_stale(self, rows: str, columns: list[Column], keys: list[int], listed: str) -> str:
        """Delete the rows that are replaced; returns a query for the rows that may be stored.

        With an age column, rows of the table that are newer stay, and those with their keys may not.
        """
        same = " AND ".join(f"t.{quote(columns[key].name)} = s.c{key}" for key in keys)
        ages = [f"t.{quote(columns[place].name)}" for place in self._age(columns)]
        older = "".join(f" AND ({age} IS NULL OR s.age >= {age})" for age in ages)
        self._cursor.execute(
            f"DELETE FROM {self._sql_name} t USING temp._keys s WHERE {same}{older}"
        )
        if not older:
            return rows
        self._cursor.execute(
            f"CREATE OR REPLACE TEMP TABLE _stale AS SELECT {listed} FROM temp._keys s "
            f"WHERE EXISTS (SELECT 1 FROM {self._sql_name} t WHERE {same})"
        )
        return f"SELECT * FROM ({rows}) ANTI JOIN temp._stale USING ({listed})"

    def _order(self, columns: list[Column]) -> str:
        """Sort order of rows with one key; the first is kept. By default it is the last uploaded."""
        last = "file DESC, number DESC"
        if self._assumptions.duplicate_keys == "first":
            last = "file, number"
        by = self._job.get("ageColumn") or self._job.get("duplicateRemovalColumn")
        if not by:
            return last
        found = [place for place, c in enumerate(columns) if c.name.lower() == by.lower()]
        if not found:
            raise JobError(f"The duplicateRemovalColumn {by} is not in the data")
        return f"c{found[0]} DESC NULLS LAST, {last}"
