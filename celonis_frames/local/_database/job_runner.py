"""Runs submitted jobs one after the other, in a thread.

How it works: `JobRunner` starts the thread ``local-celonis-jobs``, which takes jobs from a queue and
writes each with a cursor of its own, in one transaction. The cursor is closed when the job ends,
which rolls back what is not committed, so that nothing of a job is left to the next one. Every job
has an event that is set to cancel it; the thread checks it between the groups of chunks and waits on
it while a fault slows the job down. `cancel`, called by the server's threads, sets the event and
interrupts the job's cursor. When no job comes for a while, the thread folds the database's
write-ahead log. `close` sets the events of all jobs, puts None into the queue and joins the thread. A
job that is RUNNING at that moment stays so in the file: the next start finds it, and sets it to
ERROR.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from functools import partial
from typing import Any

import duckdb

from celonis_frames.local._assumptions import Assumptions
from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import LOG_BYTES, Row
from celonis_frames.local._database.errors import JobError
from celonis_frames.local._database.loader import execute
from celonis_frames.local._database.loading_thread import InterruptibleCursors, reason, store_end
from celonis_frames.local._faults.schedule import FaultSchedule

_log = logging.getLogger("celonis_frames.local")

ACTIVE = ("QUEUED", "RUNNING")
"""States of a job that has been submitted and has not ended."""
IDLE_SECONDS = 1.0
"""Seconds without a job after which the write-ahead log is folded into the database file."""


class JobRunner:
    """Runs jobs in a thread.

    Args:
        catalog: Where the jobs are. Those that are QUEUED in it are run; a RUNNING one, which an
            earlier server did not finish, is set to ERROR.
        faults: How long jobs stay in their states, and which of them fail.
        assumptions: What jobs do where the behaviour of Celonis is not documented.
    """

    def __init__(self, catalog: Catalog, faults: FaultSchedule, assumptions: Assumptions) -> None:
        self._catalog, self._faults, self._assumptions = catalog, faults, assumptions
        self._queue: queue.Queue[Row | None] = queue.Queue()
        self._cancelled: dict[str, threading.Event] = {}
        self._cursors = InterruptibleCursors(catalog)  # of the job that runs
        self._stop = threading.Event()
        self._recover()
        self._thread = threading.Thread(
            target=self._run_jobs, name="local-celonis-jobs", daemon=True
        )
        self._thread.start()

    def submit(self, job: Row, duplicate_removal: str | None) -> None:
        """Queue a job that is NEW; of rows with one key, the highest in this column is kept."""
        self._catalog.set_duplicate_removal(job["id"], duplicate_removal)
        self._catalog.set_job(job["id"], "QUEUED", "Job submitted")
        self._put(job)

    def cancel(self, job_id: str) -> None:
        """Cancel a queued or running job; its transaction is rolled back."""
        event = self._cancelled.get(job_id)
        if event is not None:
            event.set()
            self._cursors.interrupt(job_id)

    def close(self) -> None:
        """Stop the thread. A running job is interrupted, and is in ERROR after the next start."""
        self._stop.set()
        for event in list(self._cancelled.values()):
            event.set()
        self._queue.put(None)
        self._cursors.interrupt()
        self._thread.join(10)

    def _recover(self) -> None:
        for job in reversed(self._catalog.jobs()):
            if job["status"] == "RUNNING":
                line = "The server stopped while the job was running; the table is unchanged"
                self._catalog.set_job(job["id"], "ERROR", line)
                self._catalog.drop_files(job["id"])
            elif job["status"] == "QUEUED":
                self._put(job)

    def _put(self, job: Row) -> None:
        self._cancelled[job["id"]] = threading.Event()
        self._queue.put(job)

    def _run_jobs(self) -> None:
        while not self._stop.is_set():
            job = self._next()
            if job is None:
                return
            event = self._cancelled[job["id"]]
            event.wait(self._faults.pace("job").queued)
            if self._stop.is_set():
                return
            self._run(job, event)
            self._cancelled.pop(job["id"], None)
            self._catalog.fold_log(at_bytes=LOG_BYTES)

    def _next(self) -> Row | None:
        """The next job. While there is none, the database file is made complete."""
        while True:
            try:
                return self._queue.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                self._catalog.fold_log(at_bytes=1)

    def _run(self, job: Row, event: threading.Event) -> None:
        """Run a job and record how it ended. Raises nothing: other jobs follow."""
        if event.is_set():
            self._end(job, "CANCELED", "Job cancelled before it started")
            return
        lines: list[str] = []
        try:
            self._catalog.set_job(job["id"], "RUNNING", "Job started")
            event.wait(self._faults.pace("job").running)
            failure = self._faults.take_failure("job")
            if failure is not None:
                raise JobError(failure.message)
            with self._catalog.writing, self._cursors.cursor(job["id"]) as cursor:
                self._write(cursor, job, event, lines)
        except Exception as error:
            if self._stop.is_set():
                return  # the next start finds the job RUNNING and sets it to ERROR
            if event.is_set():
                self._end(job, "CANCELED", *lines, "Job cancelled, its changes are rolled back")
                return
            why = reason(error)
            if why is None:
                _log.exception("Job %s failed with an internal error", job["id"])
                why = "internal error of the local Celonis"
            self._end(job, "ERROR", *lines, f"Job failed: {why}")
        else:
            self._drop_files(job)

    def _write(self, cursor: Any, job: Row, event: threading.Event, lines: list[str]) -> None:
        """Apply the chunks in one transaction; appends to the lines of the log as it proceeds."""
        job = job | {"duplicateRemovalColumn": self._catalog.duplicate_removal(job["id"])}
        cursor.execute("BEGIN TRANSACTION")
        chunks = self._catalog.chunks(job["id"])
        try:
            for line in execute(self._catalog, cursor, job, chunks, self._assumptions):
                lines.append(line)
                if event.is_set():
                    raise duckdb.InterruptException("cancelled")
        except JobError:
            if self._assumptions.failing_jobs == "partial":
                cursor.execute("COMMIT")
            raise
        if event.is_set():
            raise duckdb.InterruptException("cancelled")
        end = (*lines, "Job finished successfully")
        self._catalog.set_job(job["id"], "DONE", *end, cursor=cursor)
        cursor.execute("COMMIT")

    def _end(self, job: Row, status: str, *lines: str) -> None:
        """Record that a job has not been carried out. Waits while that is impossible."""
        store = partial(self._catalog.set_job, job["id"], status, *lines)
        if store_end(store, self._stop, f"job {job['id']}"):
            self._drop_files(job)

    def _drop_files(self, job: Row) -> None:
        # They are not needed any more; the next start removes what is left.
        with contextlib.suppress(OSError, duckdb.Error):
            self._catalog.drop_files(job["id"])
