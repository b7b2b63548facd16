"""Loads data models in a thread: copies the tables of a model into its schema, in one transaction.

How it works: `LoadRunner.request`, called by the server's threads, records a load as RUNNING and
puts it into the queue of a `Worker`, whose thread ``local-celonis-loads`` carries loads out one
after the other. `stop` and `close` are those of the worker.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import duckdb

from celonis_frames._formatting import counted
from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.errors import JobError
from celonis_frames.local._database.loading_thread import logged_reason, reason, store_end
from celonis_frames.local._database.sql import quote
from celonis_frames.local._faults.schedule import Failure, FaultSchedule
from celonis_frames.local._processing.loads import Loads
from celonis_frames.local._processing.models import DataModels, ModelTable, free_name
from celonis_frames.local._processing.worker import Worker


class LoadRunner:
    """Loads data models in a thread.

    Args:
        catalog: Where the tables are.
        models: The data models.
        loads: Their loads.
        faults: How long loads take, and how they end.
    """

    def __init__(
        self, catalog: Catalog, models: DataModels, loads: Loads, faults: FaultSchedule
    ) -> None:
        self._catalog, self._models, self._loads, self._faults = catalog, models, loads, faults
        self._worker = Worker(catalog, "local-celonis-loads", self._run)
        self.stop, self.close = self._worker.stop, self._worker.close

    def request(self, model: Row, table_ids: Collection[str] | None = None) -> bool:
        """Start to load a data model; False if a load of it runs.

        Args:
            model: The data model.
            table_ids: The tables to load; None loads all and drops those that it no longer has.
        """
        with self._catalog.locked():
            other = self._faults.take_other("load")
            if other is not None and not self._is_running(model):
                self._start(model, None, other)
            if self._is_running(model):
                return False
            self._start(model, table_ids, self._faults.pace("load").running)
            return True

    def _is_running(self, model: Row) -> bool:
        loads = self._loads.loads(model["id"])
        return bool(loads) and loads[0]["status"] == "RUNNING"

    def _start(self, model: Row, table_ids: Collection[str] | None, seconds: float) -> None:
        load = self._loads.start(model["id"], "COMPLETE" if table_ids is None else "PARTIAL")
        self._worker.put(load | {"model": model, "table_ids": table_ids, "seconds": seconds})

    def _run(self, load: Row) -> None:
        """Carry a load out and record how it ended. Raises nothing: other loads follow."""
        wanted: list[ModelTable] = []
        failed: dict[str, str] = {}
        try:
            self._worker.stopping.wait(load["seconds"])
            with self._worker.writing(load) as cursor:
                wanted += self._wanted(load)
                failed |= {t.id: f"The pool has no table {t.name}" for t in wanted if not t.exists}
                failure = self._faults.take_failure("load")
                if failure is not None:
                    failed |= _faulted(failure, wanted)
                    if not failure.warning:
                        raise JobError(failure.message)
                self._copy_all(cursor, load, wanted, failed, failure)
        except Exception as error:
            if self._worker.stopping.is_set():
                return  # the next start finds the load RUNNING
            why = logged_reason(error, f"Load {load['id']}")
            tables = [_described(table, failed.get(table.id)) for table in wanted]
            end = partial(self._loads.end, load, "ERROR", why, tables)
            store_end(end, self._worker.stopping, f"load {load['id']}")

    def _wanted(self, load: Row) -> list[ModelTable]:
        tables = self._models.tables(load["model"])
        if load["table_ids"] is not None:
            tables = [table for table in tables if table.id in load["table_ids"]]
        return tables

    def _copy_all(
        self,
        cursor: Any,
        load: Row,
        wanted: list[ModelTable],
        failed: dict[str, str],
        failure: Failure | None,
    ) -> None:
        """Copy the tables in one transaction, without those that cannot be read.

        Raises:
            JobError: None can be loaded.
        """
        while True:
            good = [table for table in wanted if table.id not in failed]
            if not good:
                raise JobError(_summary(wanted, failed))
            cursor.execute("BEGIN TRANSACTION")
            try:
                rows = self._copy(cursor, load, good, failed)
            except _TableError as error:
                # An error ends the transaction in DuckDB: begin again without this table.
                cursor.execute("ROLLBACK")
                failed[error.table.id] = error.message
                continue
            message = failure.message if failure else _summary(wanted, failed) if failed else None
            described = [_described(t, failed.get(t.id), rows.get(t.id)) for t in wanted]
            self._loads.end(load, "WARNING" if message else "SUCCESS", message, described, cursor)
            self._worker.check()
            cursor.execute("COMMIT")
            return

    def _copy(
        self, cursor: Any, load: Row, tables: list[ModelTable], failed: Collection[str]
    ) -> dict[str, int]:
        """Replace tables of the model's schema; returns the number of rows of each, by its id."""
        model, rows = load["model"], {}
        stay: list[Row] = []
        for old in self._models.loaded(model["id"]):
            replaced = any(old["table_id"] == table.id for table in tables)
            if replaced or (load["table_ids"] is None and old["table_id"] not in failed):
                cursor.execute(f"DROP TABLE IF EXISTS {_sql_name(model, old['stored'])}")
            else:
                stay.append(old)
        taken = {old["stored"].lower() for old in stay}
        for table in tables:
            self._worker.check()
            stored = free_name(table.shown, taken)
            taken.add(stored.lower())
            columns = self._catalog.columns(table.space, table.name)
            listed = ", ".join(quote(column["name"]) for column in columns)
            source = f"{quote(table.space)}.{quote(table.name)}"
            try:
                cursor.execute(
                    f"CREATE TABLE {_sql_name(model, stored)} AS SELECT {listed} FROM {source}"
                )
            except duckdb.InterruptException:
                raise
            except duckdb.Error as error:
                raise _TableError(table, reason(error) or "") from error
            rows[table.id] = int(cursor.fetchone()[0])
            loaded = {"table_id": table.id, "name": table.shown, "stored": stored}
            stay.append(loaded | {"rows": rows[table.id]})
        self._models.set_loaded(cursor, model["id"], stay)
        return rows


class _TableError(Exception):
    def __init__(self, table: ModelTable, message: str) -> None:
        super().__init__(message)
        self.table, self.message = table, message


def _faulted(failure: Failure, tables: list[ModelTable]) -> dict[str, str]:
    """The table that a fault names, with its message, if the load has it."""
    wanted = (failure.table or "").lower()
    return {table.id: failure.message for table in tables if table.shown.lower() == wanted}


def _described(table: ModelTable, why: str | None, rows: int | None = None) -> Row:
    """A table of a load as the API returns it."""
    return {
        "tableId": table.id, "tableName": table.shown, "tableRowCount": rows,
        "done": rows is not None, "message": why,
    }  # fmt: skip


def _summary(wanted: list[ModelTable], failed: dict[str, str]) -> str:
    """The message of a load with tables that are not loaded."""
    if not wanted:
        return "The data model has no tables"
    reasons = "; ".join(f"{t.shown}: {failed[t.id]}" for t in wanted if t.id in failed)
    return f"{len(failed)} of {counted(len(wanted), 'table')} not loaded. {reasons}"


def _sql_name(model: Row, stored: str) -> str:
    return f"{quote(model['space'])}.{quote(stored)}"
