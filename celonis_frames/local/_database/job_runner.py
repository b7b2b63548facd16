"""The background worker: jobs go through QUEUED and RUNNING to their end, one after the other."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading

import duckdb

from celonis_frames.local._database.catalog import Row, Store
from celonis_frames.local._database.errors import JobError
from celonis_frames.local._database.loader import execute
from celonis_frames.local._faults.faults import Faults

_log = logging.getLogger("celonis_frames.local")

ACTIVE = ("QUEUED", "RUNNING")


class Worker:
    """Executes jobs in a thread of its own."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store, self._faults = store, faults
        self._queue: queue.Queue[Row | None] = queue.Queue()
        self._cancelled: dict[str, threading.Event] = {}
        self._running: str | None = None
        self._stop = threading.Event()
        self._cursor = store.cursor()
        self._recover()
        self._thread = threading.Thread(target=self._work, name="local-celonis-jobs", daemon=True)
        self._thread.start()

    def submit(self, job: Row) -> None:
        """Queue a job."""
        self._cancelled[job["id"]] = threading.Event()
        self._store.set_job(job["id"], "QUEUED", "Job submitted")
        self._queue.put(job)

    def cancel(self, job_id: str) -> None:
        """Stop a job that is queued or running; its transaction is rolled back."""
        event = self._cancelled.get(job_id)
        if event is not None:
            event.set()
            if self._running == job_id:
                self._cursor.interrupt()

    def close(self) -> None:
        """Stop; a running job is interrupted and will be in ERROR at the next start."""
        self._stop.set()
        for event in list(self._cancelled.values()):
            event.set()
        self._queue.put(None)
        self._cursor.interrupt()
        self._thread.join(10)

    def _recover(self) -> None:
        for job in reversed(self._store.jobs()):
            if job["status"] == "RUNNING":
                line = "The server stopped while the job was running; the table is as before"
                self._store.set_job(job["id"], "ERROR", line)
                self._store.drop_files(job["id"])
            elif job["status"] == "QUEUED":
                self._cancelled[job["id"]] = threading.Event()
                self._queue.put(job)

    def _work(self) -> None:
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
                _log.exception("job %s", job["id"])
                self._store.set_job(job["id"], "ERROR", "Internal error")
            self._cancelled.pop(job["id"], None)

    def _run(self, job: Row, event: threading.Event) -> None:
        if event.is_set():
            self._end(job, "CANCELED", "Job cancelled before it ran")
            return
        self._store.set_job(job["id"], "RUNNING", "Job started")
        self._running = job["id"]
        lines: list[str] = []
        try:
            event.wait(self._faults.running_seconds)
            message = self._faults.take_failure()
            if message is not None:
                raise JobError(message)
            self._cursor.execute("BEGIN TRANSACTION")
            for line in execute(self._store, self._cursor, job, self._store.chunks(job["id"])):
                lines.append(line)
                if event.is_set():
                    raise duckdb.InterruptException("cancelled")
            if event.is_set():
                raise duckdb.InterruptException("cancelled")
            self._store.set_job(
                job["id"], "DONE", *lines, "Job finished successfully", cursor=self._cursor
            )
            self._cursor.execute("COMMIT")
            self._store.drop_files(job["id"])
        except (JobError, duckdb.Error) as error:
            self._roll_back()
            if self._stop.is_set():
                return  # at the next start the job is found RUNNING and set to ERROR
            if event.is_set():
                self._end(job, "CANCELED", *lines, "Job cancelled, changes rolled back")
            else:
                text = str(error).splitlines()[0]
                self._end(job, "ERROR", *lines, f"Job failed: {text}")
        finally:
            self._running = None

    def _end(self, job: Row, status: str, *lines: str) -> None:
        self._store.set_job(job["id"], status, *lines)
        self._store.drop_files(job["id"])

    def _roll_back(self) -> None:
        with contextlib.suppress(duckdb.Error):
            self._cursor.execute("ROLLBACK")
