"""The catalogue of the local Celonis, in DuckDB: pools, data connections, tables, jobs, chunks.

User tables live in schemas of their own, one for a pool and one for each of its data connections.
Small catalogue calls take turns under one lock; a job's data is written by its own cursor.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from celonis_frames.exceptions import ConfigError

CHANGE_DATE = "_CELONIS_CHANGE_DATE"

_CATALOGUE = """
CREATE SCHEMA IF NOT EXISTS _celonis;
CREATE TABLE IF NOT EXISTS _celonis.pools (id VARCHAR, name VARCHAR, space VARCHAR);
CREATE TABLE IF NOT EXISTS _celonis.connections (
    id VARCHAR, pool_id VARCHAR, name VARCHAR, space VARCHAR);
CREATE TABLE IF NOT EXISTS _celonis.tables (space VARCHAR, name VARCHAR);
CREATE TABLE IF NOT EXISTS _celonis.columns (
    space VARCHAR, table_name VARCHAR, place INTEGER, name VARCHAR, type VARCHAR, length INTEGER);
CREATE TABLE IF NOT EXISTS _celonis.jobs (
    id VARCHAR, pool_id VARCHAR, number BIGINT, status VARCHAR, body VARCHAR, logs VARCHAR,
    modified BIGINT);
CREATE TABLE IF NOT EXISTS _celonis.chunks (
    id VARCHAR, job_id VARCHAR, number BIGINT, type VARCHAR, checksum VARCHAR, bytes BIGINT,
    created BIGINT);
"""

_CATALOG = "_celonis_catalog"
"""The database's own name. By default DuckDB takes that of the file, and a pool of the same name
could then not be told from it."""

_RESERVED = {
    _CATALOG,
    "memory",
    "system",
    "main",
    "temp",
    "_celonis",
    "information_schema",
    "pg_catalog",
}

Row = dict[str, Any]


def quote(name: str) -> str:
    """A name as an SQL identifier, whatever stands in it."""
    return '"' + name.replace('"', '""') + '"'


def now() -> int:
    """Epoch milliseconds, as the API tells times."""
    return int(time.time() * 1000)


class Store:
    """One DuckDB database, in a file or in memory, and the folder for chunks beside it.

    Args:
        path: The file, or None for memory.

    Raises:
        ConfigError: The file cannot be opened, for example because another process has it.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else os.fspath(path)
        self._lock = threading.RLock()
        self._numbers = 0
        try:
            self.database: Any = duckdb.connect()
            attached = (self.path or ":memory:").replace("'", "''")
            self.database.execute(f"ATTACH '{attached}' AS {_CATALOG}")
        except duckdb.Error as error:
            raise ConfigError(_unopened(self.path, error)) from error
        self._set_up(self.database)
        self.database.execute(_CATALOGUE)
        if self.path is None:
            self.folder = Path(tempfile.mkdtemp(prefix="local-celonis-"))
        else:
            self.folder = Path(f"{self.path}.chunks")
            self.folder.mkdir(exist_ok=True)
        found = self.rows("SELECT coalesce(max(number), 0) AS n FROM _celonis.jobs")
        chunks = self.rows("SELECT coalesce(max(number), 0) AS n FROM _celonis.chunks")
        self._numbers = max(found[0]["n"], chunks[0]["n"])
        # Every call names a pool, and pools stay as they are.
        self._pools = self.rows("SELECT id, name, space FROM _celonis.pools")

    def close(self) -> None:
        """Close the database; with it, what was in memory goes."""
        with self._lock:
            self.database.close()
        if self.path is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def cursor(self) -> Any:
        """A cursor for another thread."""
        cursor = self.database.cursor()
        self._set_up(cursor)
        return cursor

    @staticmethod
    def _set_up(cursor: Any) -> None:
        cursor.execute(f"USE {_CATALOG}")
        cursor.execute("SET TimeZone = 'UTC'")

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Several catalogue calls that belong together."""
        with self._lock:
            yield

    def rows(self, query: str, *values: Any) -> list[Row]:
        """The result of a query as dictionaries."""
        with self._lock:
            result = self.database.execute(query, values)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def run(self, statement: str, *values: Any) -> None:
        """Execute a statement."""
        with self._lock:
            self.database.execute(statement, values)

    def number(self) -> int:
        """The next number: what came first has the smaller one."""
        with self._lock:
            self._numbers += 1
            return self._numbers

    # Pools and data connections

    def pools(self) -> list[Row]:
        """All pools."""
        with self._lock:
            return sorted(self._pools, key=lambda pool: str(pool["name"]))

    def pool(self, key: str) -> Row | None:
        """A pool by id, else by name; case does not matter."""
        with self._lock:
            for name in ("id", "name"):
                for pool in self._pools:
                    if pool[name].lower() == key.lower():
                        return pool
        return None

    def add_pool(self, name: str) -> Row:
        """A new pool; a UUID is taken as its id, anything else as its name."""
        with self._lock:
            pool = {"id": _uuid_or_new(name), "name": name, "space": self._space(name)}
            self.run("INSERT INTO _celonis.pools VALUES (?, ?, ?)", *pool.values())
            self._pools.append(pool)
            return pool

    def connections(self, pool_id: str) -> list[Row]:
        """The data connections of a pool."""
        return self.rows(
            "SELECT id, pool_id, name, space FROM _celonis.connections WHERE pool_id = ? "
            "ORDER BY name",
            pool_id,
        )

    def connection(self, pool_id: str, key: str) -> Row | None:
        """A data connection by id or name."""
        for item in self.connections(pool_id):
            if key.casefold() in (item["id"].casefold(), item["name"].casefold()):
                return item
        return None

    def add_connection(self, pool: Row, name: str) -> Row:
        """A new data connection of a pool."""
        with self._lock:
            item = {
                "id": str(uuid.uuid4()),
                "pool_id": pool["id"],
                "name": name,
                "space": self._space(f"{pool['name']}/{name}"),
            }
            self.run("INSERT INTO _celonis.connections VALUES (?, ?, ?, ?)", *item.values())
            return item

    def space(self, pool_id: str, connection_id: str | None) -> str:
        """The DuckDB schema with the tables of a pool or of one of its data connections."""
        if connection_id is None:
            return next(str(pool["space"]) for pool in self.pools() if pool["id"] == pool_id)
        found = self.rows("SELECT space FROM _celonis.connections WHERE id = ?", connection_id)
        return str(found[0]["space"])

    def _space(self, name: str) -> str:
        taken = {
            row["n"] for row in self.rows("SELECT lower(schema_name) AS n FROM duckdb_schemas()")
        }
        space, number = name, 1
        while space.lower() in taken | _RESERVED:
            number += 1
            space = f"{name} ({number})"
        self.run(f"CREATE SCHEMA {quote(space)}")
        return space

    # Tables

    def tables(self, space: str) -> list[Row]:
        """The tables of a schema, with their columns."""
        names = self.rows(
            "SELECT name FROM _celonis.tables WHERE space = ? ORDER BY lower(name)", space
        )
        return [{"name": row["name"], "columns": self.columns(space, row["name"])} for row in names]

    def table(self, space: str, name: str) -> Row | None:
        """A table by name; case does not matter."""
        found = self.rows(
            "SELECT name FROM _celonis.tables WHERE space = ? AND lower(name) = lower(?)",
            space, name,
        )  # fmt: skip
        for row in found:
            return {"name": row["name"], "columns": self.columns(space, row["name"])}
        return None

    def columns(self, space: str, table: str, cursor: Any = None) -> list[Row]:
        """Columns of a table as ``name``, ``type``, ``length``, in order."""
        result = (cursor or self.cursor()).execute(
            "SELECT name, type, length FROM _celonis.columns WHERE space = ? "
            "AND lower(table_name) = lower(?) ORDER BY place",
            (space, table),
        )
        return [{"name": n, "type": t, "length": size} for n, t, size in result.fetchall()]

    def count(self, space: str, table: str) -> int:
        """Rows of a table; 0 for one that is dropped at this moment."""
        try:
            counted = (
                self.cursor()
                .execute(f"SELECT count(*) FROM {quote(space)}.{quote(table)}")
                .fetchone()
            )
        except duckdb.CatalogException:
            return 0
        return int(counted[0])

    # Jobs and chunks

    def add_job(self, body: Row) -> Row:
        """Keep a new job."""
        self.run(
            "INSERT INTO _celonis.jobs VALUES (?, ?, ?, 'NEW', ?, '[]', ?)",
            body["id"], body["dataPoolId"], self.number(), json.dumps(body), now(),
        )  # fmt: skip
        return self.job(body["dataPoolId"], body["id"]) or {}

    def job(self, pool_id: str, job_id: str) -> Row | None:
        """A job as the API shows it."""
        found = self.rows(
            "SELECT * FROM _celonis.jobs WHERE id = ? AND pool_id = ?", job_id, pool_id
        )
        return _job(found[0]) if found else None

    def jobs(self, pool_id: str | None = None) -> list[Row]:
        """Jobs as the API shows them, newest first."""
        found = self.rows(
            "SELECT * FROM _celonis.jobs WHERE ?1 IS NULL OR pool_id = ?1 ORDER BY number DESC",
            pool_id,
        )
        return [_job(row) for row in found]

    def set_job(self, job_id: str, status: str, *lines: str, cursor: Any = None) -> None:
        """Move a job to a state and add log lines, in the cursor's transaction if one is given."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        with self._lock:
            target = cursor or self.database
            row = target.execute(
                "SELECT logs FROM _celonis.jobs WHERE id = ?", (job_id,)
            ).fetchone()
            if row is None:
                return
            logs = json.loads(row[0]) + [f"{stamp} - {line}" for line in lines]
            target.execute(
                "UPDATE _celonis.jobs SET status = ?, logs = ?, modified = ? WHERE id = ?",
                (status, json.dumps(logs), now(), job_id),
            )

    def delete_job(self, job_id: str) -> None:
        """Forget a job and its chunks."""
        with self._lock:
            self.drop_files(job_id)
            self.run("DELETE FROM _celonis.chunks WHERE job_id = ?", job_id)
            self.run("DELETE FROM _celonis.jobs WHERE id = ?", job_id)

    def add_chunk(self, job_id: str, chunk_id: str, kind: str, checksum: str, size: int) -> None:
        """Keep a chunk whose file lies at `chunk_path`."""
        self.run(
            "INSERT INTO _celonis.chunks VALUES (?, ?, ?, ?, ?, ?, ?)",
            chunk_id, job_id, self.number(), kind, checksum, size, now(),
        )  # fmt: skip

    def chunks(self, job_id: str) -> list[Row]:
        """A job's chunks in the order of their arrival."""
        return self.rows("SELECT * FROM _celonis.chunks WHERE job_id = ? ORDER BY number", job_id)

    def chunk_path(self, chunk_id: str) -> Path:
        """Where a chunk's file lies; its name is ours alone."""
        return self.folder / chunk_id

    def drop_files(self, job_id: str) -> None:
        """Remove the files of a job's chunks; the chunks stay listed."""
        for chunk in self.chunks(job_id):
            self.chunk_path(chunk["id"]).unlink(missing_ok=True)


def _job(row: Row) -> Row:
    return {
        **json.loads(row["body"]),
        "status": row["status"],
        "logs": json.loads(row["logs"]),
        "lastModified": row["modified"],
    }


def _unopened(path: str | None, error: duckdb.Error) -> str:
    try:
        with open(path or "", "rb") as file:  # noqa: PTH123
            head = file.read(12)
    except OSError:
        return f"The DuckDB file {path!r} cannot be opened: {error}"
    if head[8:] != b"DUCK":
        return (
            f"{path!r} is no DuckDB file: give the path of one, or of a file that is not there yet."
        )
    return (
        f"The DuckDB file {path!r} cannot be opened ({error}): is another local Celonis running "
        "on it?"
    )


def _uuid_or_new(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return str(uuid.uuid4())
