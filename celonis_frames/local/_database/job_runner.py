"""Runs submitted jobs one after the other, in a thread.

How it works: `JobRunner` starts the thread ``local-celonis-jobs``, which takes jobs from a queue and
writes each with its own cursor, in one transaction. Every job has an event that is set to cancel it;
the thread checks it between the groups of chunks and waits on it while a fault slows the job down.
`cancel`, called by the server's threads, sets the event and interrupts the running query. `close`
sets the events of all jobs, puts None into the queue and joins the thread. A job that is RUNNING at
that moment stays so in the file: the next start finds it, and sets it to ERROR.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading

import duckdb

from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._database.database import Row
from celonis_frames.local._database.errors import JobError
from celonis_frames.local._database.loader import execute
from celonis_frames.local._faults.schedule import FaultSchedule

_log = logging.getLogger("celonis_frames.local")

ACTIVE = ("QUEUED", "RUNNING")
"""States of a job that has been submitted and has not ended."""


class JobRunner:
    """Runs jobs in a thread.

    Args:
        catalog: Where the jobs are. Those that are QUEUED in it are run; a RUNNING one, which an
            earlier server did not finish, is set to ERROR.
        faults: How long jobs stay in their states, and which of them fail.
    """

    def __init__(self, catalog: Catalog, faults: FaultSchedule) -> None:
        self._catalog, self._faults = catalog, faults
        self._queue: queue.Queue[Row | None] = queue.Queue()
        self._cancelled: dict[str, threading.Event] = {}
        self._running: str | None = None
        self._stop = threading.Event()
        self._cursor = catalog.cursor()
        self._recover()
        self._thread = threading.Thread(
            target=self._run_jobs, name="local-celonis-jobs", daemon=True
        )
        self._thread.start()

    def submit(self, job: Row) -> None:
        """Queue a job that is NEW."""
        self._cancelled[job["id"]] = threading.Event()
        self._catalog.set_job(job["id"], "QUEUED", "Job submitted")
        self._queue.put(job)

    def cancel(self, job_id: str) -> None:
        """Cancel a queued or running job; its transaction is rolled back."""
        event = self._cancelled.get(job_id)
        if event is not None:
            event.set()
            if self._running == job_id:
                self._cursor.interrupt()

    def close(self) -> None:
        """Stop the thread. A running job is interrupted, and is in ERROR after the next start."""
        self._stop.set()
        for event in list(self._cancelled.values()):
            event.set()
        self._queue.put(None)
        self._cursor.interrupt()
        self._thread.join(10)

    def _recover(self) -> None:
        for job in reversed(self._catalog.jobs()):
            if job["status"] == "RUNNING":
                line = "The server stopped while the job was running; the table is unchanged"
                self._catalog.set_job(job["id"], "ERROR", line)
                self._catalog.drop_files(job["id"])
            elif job["status"] == "QUEUED":
                self._cancelled[job["id"]] = threading.Event()
                self._queue.put(job)

    def _run_jobs(self) -> None:
        while not self._stop.is_set():
            job = self._queue.get()
            if job is None:
                return
            event = self._cancelled[job["id"]]
            event.wait(self._faults.queued_seconds)
            if self._stop.is_set():
                return
            try:
                self._run(job, event)
            except Exception:
                _log.exception("Job %s failed with an internal error", job["id"])
                self._catalog.set_job(job["id"], "ERROR", "Internal error")
            self._cancelled.pop(job["id"], None)

    def _run(self, job: Row, event: threading.Event) -> None:
        if event.is_set():
            self._end(job, "CANCELED", "Job cancelled before it started")
            return
        self._catalog.set_job(job["id"], "RUNNING", "Job started")
        self._running = job["id"]
        lines: list[str] = []
        try:
            event.wait(self._faults.running_seconds)
            message = self._faults.take_job_failure()
            if message is not None:
                raise JobError(message)
            self._cursor.execute("BEGIN TRANSACTION")
            for line in execute(self._catalog, self._cursor, job, self._catalog.chunks(job["id"])):
                lines.append(line)
                if event.is_set():
                    raise duckdb.InterruptException("cancelled")
            if event.is_set():
                raise duckdb.InterruptException("cancelled")
            self._catalog.set_job(
                job["id"], "DONE", *lines, "Job finished successfully", cursor=self._cursor
            )
            self._cursor.execute("COMMIT")
            self._catalog.drop_files(job["id"])
        except (JobError, duckdb.Error) as error:
            self._roll_back()
            if self._stop.is_set():
                return  # the next start finds the job RUNNING and sets it to ERROR
            if event.is_set():
                self._end(job, "CANCELED", *lines, "Job cancelled, its changes are rolled back")
            else:
                text = str(error).splitlines()[0]
                self._end(job, "ERROR", *lines, f"Job failed: {text}")
        finally:
            self._running = None

    def _end(self, job: Row, status: str, *lines: str) -> None:
        self._catalog.set_job(job["id"], status, *lines)
        self._catalog.drop_files(job["id"])

    def _roll_back(self) -> None:
        with contextlib.suppress(duckdb.Error):
            self._cursor.execute("ROLLBACK")
