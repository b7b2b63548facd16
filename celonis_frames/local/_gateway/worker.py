"""Loads the objects of the gateway into their tables, one after the other, in a thread.

How it works: `start` starts the thread ``local-celonis-ingestion``, which takes the object that is
due next from the store, loads it with a cursor of its own, in one transaction, and records in the
same transaction that it is ingested. It waits on the store's event `changed` for more; `close` sets
this event too, interrupts the object that is being loaded and joins the thread. That object stays
PENDING, so that the next start loads it.
"""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from typing import Any

import duckdb

from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import LOG_BYTES, Row
from celonis_frames.local._database.errors import JobError
from celonis_frames.local._database.loader import Target
from celonis_frames.local._database.loading_thread import (
    InterruptibleCursors,
    logged_reason,
    store_end,
)
from celonis_frames.local._database.parquet_rules import INGESTION_RULES, check
from celonis_frames.local._faults.schedule import FaultSchedule
from celonis_frames.local._gateway.objects import ObjectStore
from celonis_frames.local._gateway.tables import IngestionTable

MAX_LENGTH = 16_250
"""Characters of a string: the lake stores 65,000 bytes, 4 for each character."""


class IngestionWorker:
    """Ingests objects in a thread.

    Args:
        catalog: Where the tables are.
        store: The objects.
        faults: Which of them fail.
        lenient: Accept every type and codec that DuckDB reads.
    """

    def __init__(
        self, catalog: Catalog, store: ObjectStore, faults: FaultSchedule, *, lenient: bool
    ) -> None:
        self._catalog, self._store, self._faults = catalog, store, faults
        self._rules = None if lenient else INGESTION_RULES
        self._stop = threading.Event()
        self._cursors = InterruptibleCursors(catalog)  # of the object that is being loaded
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        with self._starting:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(
                    target=self._run, name="local-celonis-ingestion", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Stop the thread. An object that is being loaded stays PENDING."""
        self._stop.set()
        self._store.changed.set()
        self._cursors.interrupt()
        if self._thread is not None:
            self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._store.changed.clear()
            item, seconds = self._store.next()
            if self._stop.is_set():
                return
            if item is None:
                self._store.changed.wait()
            elif seconds > 0:
                self._store.changed.wait(seconds)
            else:
                self._ingest(item)
                self._catalog.fold_log(at_bytes=LOG_BYTES)

    def _ingest(self, item: Row) -> None:
        """Ingest an object and record how it ended. Raises nothing: other objects follow."""
        try:
            with self._catalog.writing, self._cursors.cursor(item["id"]) as cursor:
                self._load(cursor, item)
        except Exception as error:
            if self._stop.is_set():
                return
            why = logged_reason(error, f"Object {item['id']}")
            store = partial(self._store.set_failed, item["id"], why)
            store_end(store, self._stop, f"object {item['id']}")
        else:
            with contextlib.suppress(OSError):  # the next start removes it
                self._store.path(item["id"]).unlink(missing_ok=True)

    def _load(self, cursor: Any, item: Row) -> None:
        failure = self._faults.take_failure("object")
        if failure is not None:
            raise JobError(failure.message)
        tables = {table.name: table for table in self._store.tables(item["connection_id"])}
        table = tables.get(item["table_name"])
        if table is None:
            raise JobError(f"The connection has no table {item['table_name']}")
        path = self._store.path(item["id"])
        problem = check(cursor, path, rules=self._rules, keys=table.keys, age=table.age)
        if problem is not None:
            raise JobError(problem)
        cursor.execute("BEGIN TRANSACTION")
        rows = cursor.execute("SELECT count(*) FROM read_parquet(?)", (str(path),)).fetchone()[0]
        Target(self._catalog, cursor, item["space"], _job(table)).load([path])
        self._store.set_ingested(cursor, item["id"], rows)
        if self._stop.is_set():
            raise duckdb.InterruptException("stopped")
        cursor.execute("COMMIT")


def _job(table: IngestionTable) -> Row:
    """The table's part of an ingestion as the job that the loader takes."""
    return {
        "targetName": table.target, "type": "DELTA", "fileType": "PARQUET",
        "keys": list(table.keys), "ageColumn": table.age, "upsertStrategy": None,
        "tableSchema": None, "fallbackVarcharLength": MAX_LENGTH,
    }  # fmt: skip
