"""The objects of the gateway, and the connections and tables that they are for.

An object is stored (PENDING), then loaded into its table (INGESTED), or not (FAILED). The file of
an object is in the folder ``objects`` until it is ingested; so a failed one can be replayed. Every
change is in the catalog's database, so that a restart continues where the server stopped.
"""

from __future__ import annotations

import json
import secrets
import string
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from celonis_frames.local._database import files
from celonis_frames.local._database.catalog import Catalog, now
from celonis_frames.local._database.database import Row
from celonis_frames.local._gateway.signature import Credentials
from celonis_frames.local._gateway.tables import IngestionTable

BUCKET = "continuous"
REGION = "eu-central-1"
"""Not us-east-1, which many clients take for granted."""

_TABLES = """
CREATE TABLE IF NOT EXISTS _celonis.ingestions (
    connection_id VARCHAR, access_key VARCHAR, secret_key VARCHAR, delay DOUBLE);
CREATE TABLE IF NOT EXISTS _celonis.ingestion_tables (
    connection_id VARCHAR, name VARCHAR, target VARCHAR, keys VARCHAR, age VARCHAR);
CREATE TABLE IF NOT EXISTS _celonis.objects (
    id VARCHAR, arrival BIGINT, number BIGINT, queued BIGINT, connection_id VARCHAR,
    key VARCHAR, table_name VARCHAR, sha256 VARCHAR, md5 VARCHAR, bytes BIGINT, rows BIGINT, state VARCHAR, reason VARCHAR,
    created BIGINT);
"""
_KEY_CHARACTERS = string.ascii_uppercase + string.digits


class ObjectStore:
    """The objects of a catalog. All methods may be called by any thread.

    Args:
        catalog: Where they are kept.

    Attributes:
        changed: Is set when an object is to be ingested, or may be due earlier.
        settled: Is set while no object is PENDING.
        loads_again: Whether an object is ingested although its key has the same bytes already. It
            is not known what Celonis does; tests of at-least-once delivery take the worse.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.loads_again = False
        catalog.run(_TABLES)
        self.folder = catalog.folder / "objects"
        self.changed, self.settled = threading.Event(), threading.Event()
        if self.is_used:
            self._remove_left_files()
        found = catalog.rows("SELECT coalesce(max(number), 0) AS n FROM _celonis.objects")
        self._number: int = found[0]["n"]
        if not self._heads():
            self.settled.set()

    # Connections and their tables

    def set_up(self, connection_id: str, tables: tuple[IngestionTable, ...], delay: float) -> Row:
        """Let a data connection take objects for these tables, beside those that it has.

        Returns its keys; it keeps those that it has.
        """
        files.create_folder(str(self.folder))
        with self._catalog.locked():
            self._catalog.run(
                "DELETE FROM _celonis.ingestion_tables WHERE connection_id = ? "
                "AND name IN (SELECT unnest(?::VARCHAR[]))",
                connection_id, [table.name for table in tables],
            )  # fmt: skip
            for table in tables:
                self._catalog.run(
                    "INSERT INTO _celonis.ingestion_tables VALUES (?, ?, ?, ?, ?)",
                    connection_id, table.name, table.target, json.dumps(table.keys), table.age,
                )  # fmt: skip
            if self.connection(connection_id) is None:
                access = "LC" + "".join(secrets.choice(_KEY_CHARACTERS) for _ in range(18))
                self._catalog.run(
                    "INSERT INTO _celonis.ingestions VALUES (?, ?, ?, ?)",
                    connection_id, access, secrets.token_urlsafe(30), delay,
                )  # fmt: skip
            self._catalog.run(
                "UPDATE _celonis.ingestions SET delay = ? WHERE connection_id = ?",
                delay, connection_id,
            )  # fmt: skip
        self.changed.set()  # what waits may be due now
        return self.connection(connection_id) or {}

    def connection(self, connection_id: str) -> Row | None:
        """The keys of a data connection that takes objects, or None if it takes none."""
        found = self._catalog.rows(
            "SELECT * FROM _celonis.ingestions WHERE connection_id = ?", connection_id
        )
        return found[0] if found else None

    @property
    def is_used(self) -> bool:
        """Whether any data connection takes objects."""
        return bool(self._catalog.rows("SELECT 1 AS one FROM _celonis.ingestions LIMIT 1"))

    def connection_of(self, access_key: str) -> str | None:
        """The id of the data connection that this key opens."""
        found = self._catalog.rows(
            "SELECT connection_id FROM _celonis.ingestions WHERE access_key = ?", access_key
        )
        return str(found[0]["connection_id"]) if found else None

    def credentials(self, access_key: str) -> Credentials | None:
        """What the signatures of this key are checked against."""
        found = self._catalog.rows(
            "SELECT secret_key FROM _celonis.ingestions WHERE access_key = ?", access_key
        )
        return Credentials(found[0]["secret_key"], REGION) if found else None

    def tables(self, connection_id: str) -> list[IngestionTable]:
        """The tables of a data connection."""
        found = self._catalog.rows(
            "SELECT * FROM _celonis.ingestion_tables WHERE connection_id = ? ORDER BY name",
            connection_id,
        )
        return [
            IngestionTable(row["name"], row["target"], tuple(json.loads(row["keys"])), row["age"])
            for row in found
        ]

    # Objects

    def path(self, object_id: str) -> Path:
        """The path of an object's file. Nothing that a client sends is part of it."""
        return self.folder / object_id

    def add(
        self,
        object_id: str,
        connection_id: str,
        key: str,
        table: str,
        digests: tuple[str, str],
        size: int,
    ) -> bool:
        """Add an object, whose file is at `path`; False if its key has these bytes already.

        Args:
            object_id: Its id.
            connection_id: The data connection.
            key: Its key.
            table: The source table.
            digests: SHA-256 and MD5 of its bytes, in hex.
            size: Their number.
        """
        with self._catalog.locked():
            last = self.last(key)
            equal = last is not None and last["sha256"] == digests[0]
            if equal and not self.loads_again:
                return False
            self.settled.clear()
            self._catalog.run(
                "INSERT INTO _celonis.objects VALUES "
                "(?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, 'PENDING', NULL, ?3)",
                object_id, self._next_number(), now(), connection_id, key, table, *digests, size,
            )  # fmt: skip
        self.changed.set()
        return True

    def last(self, key: str) -> Row | None:
        """The object that was stored last at a key."""
        found = self._catalog.rows(
            "SELECT * FROM _celonis.objects WHERE key = ? ORDER BY arrival DESC LIMIT 1", key
        )
        return found[0] if found else None

    def objects(self, connection_id: str | None = None) -> list[Row]:
        """All objects, or those of a data connection, in the order of their arrival."""
        return self._catalog.rows(
            "SELECT * FROM _celonis.objects WHERE ?1 IS NULL OR connection_id = ?1 "
            "ORDER BY arrival",
            connection_id,
        )

    def next(self) -> tuple[Row | None, float]:
        """The object to ingest next, and the seconds until then; None if there is none.

        The objects of one data connection are ingested one after the other.
        """
        with self._catalog.locked():
            heads = self._heads()
            if not heads:
                self.settled.set()
                return None, 0.0
        return heads[0], heads[0]["due"] - time.time()

    def set_ingested(self, cursor: Any, object_id: str, rows: int) -> None:
        """Record that an object is ingested, in the transaction of the cursor."""
        cursor.execute(
            "UPDATE _celonis.objects SET state = 'INGESTED', rows = ?, reason = NULL WHERE id = ?",
            (rows, object_id),
        )

    def set_failed(self, object_id: str, reason: str) -> None:
        """Record why an object is not ingested."""
        self._catalog.run(
            "UPDATE _celonis.objects SET state = 'FAILED', reason = ? WHERE id = ?",
            reason, object_id,
        )  # fmt: skip

    def replay(self, *, key: str | None = None, object_id: str | None = None) -> int:
        """Queue the failed objects, those of a key, or one of them, again; returns their number."""
        with self._catalog.locked():
            found = self._catalog.rows(
                "SELECT id FROM _celonis.objects WHERE state = 'FAILED' AND "
                "(?1 IS NULL OR key = ?1) AND (?2 IS NULL OR id = ?2) ORDER BY arrival",
                key, object_id,
            )  # fmt: skip
            if found:
                self.settled.clear()
            for row in found:
                self._catalog.run(
                    "UPDATE _celonis.objects SET state = 'PENDING', reason = NULL, number = ?, "
                    "queued = ? WHERE id = ?",
                    self._next_number(), now(), row["id"],
                )  # fmt: skip
        self.changed.set()
        return len(found)

    def _heads(self) -> list[Row]:
        """The first PENDING object of each data connection, with its space and the time when it is due."""
        return self._catalog.rows(
            "SELECT o.*, c.space, o.queued / 1000 + i.delay AS due FROM _celonis.objects o "
            "JOIN _celonis.ingestions i USING (connection_id) "
            "JOIN _celonis.connections c ON c.id = o.connection_id WHERE o.state = 'PENDING' "
            "QUALIFY row_number() OVER (PARTITION BY o.connection_id ORDER BY o.number) = 1 "
            "ORDER BY due, o.number"
        )

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _remove_left_files(self) -> None:
        """Remove what a killed process left: half-received objects, and those that are ingested."""
        needed = self._catalog.rows("SELECT id FROM _celonis.objects WHERE state <> 'INGESTED'")
        keep = {row["id"] for row in needed}
        for path in files.create_folder(str(self.folder)).iterdir():
            if path.name not in keep:
                path.unlink(missing_ok=True)


def new_object_id() -> str:
    """An id for an object, which is the name of its file too."""
    return str(uuid.uuid4())
