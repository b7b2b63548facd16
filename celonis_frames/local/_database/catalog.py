"""The catalog of the local Celonis: pools, data connections, tables, jobs, chunks.

The catalog's own tables are in the DuckDB schema ``_celonis``. The tables of users are in schemas
of their own, one for each pool and one for each data connection; the catalog calls such a schema a
``space``, because a job's ``tableSchema`` is something else.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import uuid
from pathlib import Path
from typing import Any

import duckdb

from celonis_frames.local._database.database import DATABASE, Database, Row
from celonis_frames.local._database.sql import quote

CHANGE_DATE = "_CELONIS_CHANGE_DATE"

_TABLES = """
CREATE SCHEMA IF NOT EXISTS _celonis;
CREATE TABLE IF NOT EXISTS _celonis.pools (id VARCHAR, name VARCHAR, space VARCHAR);
CREATE TABLE IF NOT EXISTS _celonis.connections (
    id VARCHAR, pool_id VARCHAR, name VARCHAR, space VARCHAR);
CREATE TABLE IF NOT EXISTS _celonis.tables (space VARCHAR, name VARCHAR);
ALTER TABLE _celonis.tables ADD COLUMN IF NOT EXISTS is_view BOOLEAN DEFAULT false;
ALTER TABLE _celonis.tables ADD COLUMN IF NOT EXISTS has_change_date BOOLEAN DEFAULT true;
CREATE TABLE IF NOT EXISTS _celonis.columns (
    space VARCHAR, table_name VARCHAR, place INTEGER, name VARCHAR, type VARCHAR, length INTEGER);
CREATE TABLE IF NOT EXISTS _celonis.jobs (
    id VARCHAR, pool_id VARCHAR, number BIGINT, status VARCHAR, body VARCHAR, logs VARCHAR,
    modified BIGINT);
ALTER TABLE _celonis.jobs ADD COLUMN IF NOT EXISTS duplicate_removal VARCHAR;
CREATE TABLE IF NOT EXISTS _celonis.chunks (
    id VARCHAR, job_id VARCHAR, number BIGINT, type VARCHAR, checksum VARCHAR, bytes BIGINT,
    created BIGINT);
CREATE TABLE IF NOT EXISTS _celonis.secrets (name VARCHAR, value VARCHAR);
"""

_RESERVED = {
    DATABASE,
    "memory",
    "system",
    "main",
    "temp",
    "_celonis",
    "information_schema",
    "pg_catalog",
}
"""Names that a space cannot have."""


def now() -> int:
    """The time in epoch milliseconds, the API's unit."""
    return int(time.time() * 1000)


class Catalog(Database):
    """Pools, data connections, tables, jobs and chunks of one database.

    Args:
        path: The DuckDB file, or None for memory.
        instance: As of `Database`.

    Raises:
        ConfigError: The file cannot be opened, for example because another process uses it.
    """

    def __init__(self, path: str | os.PathLike[str] | None, instance: Any = None) -> None:
        super().__init__(path, instance)
        self.run(_TABLES)
        jobs = self.rows("SELECT coalesce(max(number), 0) AS n FROM _celonis.jobs")
        chunks = self.rows("SELECT coalesce(max(number), 0) AS n FROM _celonis.chunks")
        self._number: int = max(jobs[0]["n"], chunks[0]["n"])
        # Kept in memory: every call names a pool, and pools do not change.
        self._pools = self.rows("SELECT id, name, space FROM _celonis.pools")
        self._remove_left_files()

    def number(self) -> int:
        """The next number of a job or chunk; it orders them by arrival."""
        with self.locked():
            self._number += 1
            return self._number

    def _remove_left_files(self) -> None:
        """Remove what a killed process left: half-received chunks, and those of jobs that ended."""
        needed = self.rows(
            "SELECT c.id FROM _celonis.chunks c JOIN _celonis.jobs j ON j.id = c.job_id "
            "WHERE j.status IN ('NEW', 'QUEUED', 'RUNNING')"
        )
        keep = {row["id"] for row in needed}
        for path in self.folder.iterdir():
            if _is_uuid(path.name) and path.name not in keep:
                path.unlink(missing_ok=True)

    def secret(self, name: str) -> str:
        """A secret that stays the same as long as the file does, made when it is first needed."""
        with self.locked():
            found = self.rows("SELECT value FROM _celonis.secrets WHERE name = ?", name)
            if found:
                return str(found[0]["value"])
            value = secrets.token_urlsafe(24)
            self.run("INSERT INTO _celonis.secrets VALUES (?, ?)", name, value)
            return value

    # Pools and data connections

    def pools(self) -> list[Row]:
        """All pools, by name."""
        with self.locked():
            return sorted(self._pools, key=lambda pool: str(pool["name"]))

    def pool(self, key: str) -> Row | None:
        """The pool with this id, else with this name; case does not matter."""
        with self.locked():
            for name in ("id", "name"):
                for pool in self._pools:
                    if pool[name].lower() == key.lower():
                        return pool
        return None

    def add_pool(self, name: str) -> Row:
        """Add a pool. A name that is a UUID becomes its id too."""
        with self.locked():
            pool = {"id": _uuid_or_new(name), "name": name, "space": self.add_space(name)}
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
        """The data connection with this id or name; case does not matter."""
        for item in self.connections(pool_id):
            if key.casefold() in (item["id"].casefold(), item["name"].casefold()):
                return item
        return None

    def add_connection(self, pool: Row, name: str) -> Row:
        """Add a data connection to a pool."""
        with self.locked():
            item = {
                "id": str(uuid.uuid4()),
                "pool_id": pool["id"],
                "name": name,
                "space": self.add_space(f"{pool['name']}/{name}"),
            }
            self.run("INSERT INTO _celonis.connections VALUES (?, ?, ?, ?)", *item.values())
            return item

    def places(self, pool: Row) -> list[tuple[Row | None, str]]:
        """The spaces of a pool: the global one, with None, and those of its data connections."""
        return [(None, pool["space"]), *((c, c["space"]) for c in self.connections(pool["id"]))]

    def space(self, pool_id: str, connection_id: str | None) -> str:
        """The space of a pool, or of one of its data connections."""
        if connection_id is None:
            return next(str(pool["space"]) for pool in self.pools() if pool["id"] == pool_id)
        found = self.rows("SELECT space FROM _celonis.connections WHERE id = ?", connection_id)
        return str(found[0]["space"])

    def add_space(self, name: str) -> str:
        """Create a schema of this name, or with a number behind it; returns its name."""
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
        """The tables of a space, with their columns."""
        found = self.rows(
            "SELECT * FROM _celonis.tables WHERE space = ? ORDER BY lower(name)", space
        )
        return [self._with_columns(row) for row in found]

    def table(self, space: str, name: str) -> Row | None:
        """The table with this name; case does not matter."""
        found = self.rows(
            "SELECT * FROM _celonis.tables WHERE space = ? AND lower(name) = lower(?)", space, name
        )
        return self._with_columns(found[0]) if found else None

    def table_names(self, space: str) -> list[str]:
        """The names of the tables of a space."""
        found = self.rows(
            "SELECT name FROM _celonis.tables WHERE space = ? ORDER BY lower(name)", space
        )
        return [row["name"] for row in found]

    def _with_columns(self, table: Row) -> Row:
        return table | {"columns": self.columns(table["space"], table["name"])}

    def columns(self, space: str, table: str, cursor: Any = None) -> list[Row]:
        """The columns of a table in order, as ``name``, ``type``, ``length``."""
        result = (cursor or self.cursor()).execute(
            "SELECT name, type, length FROM _celonis.columns WHERE space = ? "
            "AND lower(table_name) = lower(?) ORDER BY place",
            (space, table),
        )
        return [{"name": n, "type": t, "length": size} for n, t, size in result.fetchall()]

    def count(self, space: str, table: str) -> int:
        """Number of rows of a table; 0 if a job has just dropped it, or what a view reads."""
        try:
            with self.reading() as cursor:
                query = f"SELECT count(*) FROM {quote(space)}.{quote(table)}"
                return int(cursor.execute(query).fetchone()[0])
        except (duckdb.CatalogException, duckdb.BinderException):
            return 0

    # Jobs and chunks

    def add_job(self, body: Row) -> Row:
        """Add a job in state NEW."""
        self.run(
            "INSERT INTO _celonis.jobs (id, pool_id, number, status, body, logs, modified) "
            "VALUES (?, ?, ?, 'NEW', ?, '[]', ?)",
            body["id"], body["dataPoolId"], self.number(), json.dumps(body), now(),
        )  # fmt: skip
        return self.job(body["dataPoolId"], body["id"]) or {}

    def job(self, pool_id: str, job_id: str) -> Row | None:
        """The job as the API returns it."""
        found = self.rows(
            "SELECT * FROM _celonis.jobs WHERE id = ? AND pool_id = ?", job_id, pool_id
        )
        return _job(found[0]) if found else None

    def jobs(self, pool_id: str | None = None) -> list[Row]:
        """All jobs, or those of a pool, as the API returns them, newest first."""
        found = self.rows(
            "SELECT * FROM _celonis.jobs WHERE ?1 IS NULL OR pool_id = ?1 ORDER BY number DESC",
            pool_id,
        )
        return [_job(row) for row in found]

    def set_job(self, job_id: str, status: str, *lines: str, cursor: Any = None) -> None:
        """Set a job's state and add log lines, in the transaction of `cursor` if given."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        with self.locked():
            target = cursor or self._connection
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

    def set_duplicate_removal(self, job_id: str, column: str | None) -> None:
        """Set the column of which a job keeps the row with the highest value."""
        self.run("UPDATE _celonis.jobs SET duplicate_removal = ? WHERE id = ?", column, job_id)

    def duplicate_removal(self, job_id: str) -> str | None:
        """The column that `set_duplicate_removal` has set."""
        found = self.rows("SELECT duplicate_removal AS c FROM _celonis.jobs WHERE id = ?", job_id)
        return found[0]["c"] if found else None

    def delete_job(self, job_id: str) -> None:
        """Delete a job, its chunks and their files."""
        with self.locked():
            self.drop_files(job_id)
            self.run("DELETE FROM _celonis.chunks WHERE job_id = ?", job_id)
            self.run("DELETE FROM _celonis.jobs WHERE id = ?", job_id)

    def add_chunk(self, job_id: str, chunk_id: str, kind: str, checksum: str, size: int) -> None:
        """Add a chunk, whose file is at `chunk_path`."""
        self.run(
            "INSERT INTO _celonis.chunks VALUES (?, ?, ?, ?, ?, ?, ?)",
            chunk_id, job_id, self.number(), kind, checksum, size, now(),
        )  # fmt: skip

    def chunks(self, job_id: str) -> list[Row]:
        """The chunks of a job in the order of their arrival."""
        return self.rows("SELECT * FROM _celonis.chunks WHERE job_id = ? ORDER BY number", job_id)

    def chunk_path(self, chunk_id: str) -> Path:
        """The path of a chunk's file. Nothing that a client sends is part of it."""
        return self.folder / chunk_id

    def drop_files(self, job_id: str) -> None:
        """Delete the files of a job's chunks; the chunks stay in the list."""
        for chunk in self.chunks(job_id):
            self.chunk_path(chunk["id"]).unlink(missing_ok=True)


def _job(row: Row) -> Row:
    return {
        **json.loads(row["body"]),
        "status": row["status"],
        "logs": json.loads(row["logs"]),
        "lastModified": row["modified"],
    }


def _uuid_or_new(text: str) -> str:
    return str(uuid.UUID(text)) if _is_uuid(text) else str(uuid.uuid4())


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
