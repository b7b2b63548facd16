"""Executes data jobs in a thread: the statements of each in one transaction.

How it works: `DataJobRunner.execute`, called by the server's threads, sets a data job to QUEUED and
puts it into the queue of a `Worker`, whose thread ``local-celonis-data-jobs`` executes data jobs
one after the other. `stop` and `close` are those of the worker. A data job that is QUEUED then is
executed after the next start.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import duckdb

from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import DATABASE, Row
from celonis_frames.local._database.errors import JobError
from celonis_frames.local._database.loading_thread import logged_reason, reason, store_end
from celonis_frames.local._database.sql import quote
from celonis_frames.local._faults.schedule import FaultSchedule, Pace
from celonis_frames.local._processing.data_jobs import ACTIVE, DataJobs
from celonis_frames.local._processing.statements import parse, register
from celonis_frames.local._processing.worker import Worker


class DataJobRunner:
    """Executes data jobs in a thread.

    Args:
        catalog: Where the tables are.
        jobs: The data jobs.
        faults: How long data jobs take, and which of them fail.
    """

    def __init__(self, catalog: Catalog, jobs: DataJobs, faults: FaultSchedule) -> None:
        self._catalog, self._jobs, self._faults = catalog, jobs, faults
        self._worker = Worker(catalog, "local-celonis-data-jobs", self._run)
        self.stop, self.close = self._worker.stop, self._worker.close
        for job in jobs.queued():
            self._worker.put(job | {"pace": Pace()})

    def execute(self, job: Row, mode: str) -> bool:
        """Execute a data job; False if it is being executed already."""
        with self._catalog.locked():
            other = self._faults.take_other("data_job")
            if other is not None and not self._is_active(job):
                self._queue(job, mode, Pace(running=other))
            if self._is_active(job):
                return False
            self._queue(job, mode, self._faults.pace("data_job"))
            return True

    def _is_active(self, job: Row) -> bool:
        found = self._jobs.job(job["pool_id"], job["id"])
        return found is not None and found["status"] in ACTIVE

    def _queue(self, job: Row, mode: str, pace: Pace) -> None:
        self._worker.put(self._jobs.queue(job, mode) | {"pace": pace})

    def _run(self, job: Row) -> None:
        """Execute a data job and record how it ended. Raises nothing: others follow."""
        try:
            self._worker.stopping.wait(job["pace"].queued)
            if self._worker.stopping.is_set():
                return  # it is still QUEUED
            self._jobs.set_running(job["id"])
            self._worker.stopping.wait(job["pace"].running)
            failure = self._faults.take_failure("data_job")
            if failure is not None:
                raise JobError(failure.message)
            with self._worker.writing(job) as cursor:
                self._execute(cursor, job)
        except Exception as error:
            if self._worker.stopping.is_set():
                return  # the next start finds it RUNNING
            why = logged_reason(error, f"Data job {job['id']}")
            end = partial(self._jobs.end, job["id"], "FAIL", why)
            store_end(end, self._worker.stopping, f"data job {job['id']}")

    def _execute(self, cursor: Any, job: Row) -> None:
        # Names in the SQL are tables, not variables of this process.
        cursor.execute("SET python_enable_replacements = false")
        cursor.execute(f"USE {DATABASE}.{quote(self._catalog.space(job['pool_id'], None))}")
        cursor.execute("BEGIN TRANSACTION")
        statements = [each for sql in job["statements"] for each in parse(cursor, sql)]
        for number, statement in enumerate(statements, start=1):
            try:
                cursor.execute(statement)
            except duckdb.Error as error:
                self._worker.check()
                raise JobError(f"Statement {number}: {reason(error)}") from error
            self._worker.check()
        cursor.execute(f"USE {DATABASE}.main")
        register(self._catalog, cursor)
        self._jobs.end(job["id"], "SUCCESS", None, cursor)
        self._worker.check()
        cursor.execute("COMMIT")
