"""The cells of the fault matrix: a push to a faulty server, and the check of its outcome.

The check reads the rows in DuckDB and the jobs of the server. From the client it only takes whether
the push succeeded.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pushing_process
import pyarrow as pa
from expected_outcomes import CALLS, HAZARDS, Hazard, Jobs, Outcome, rule

from celonis_frames import ApiKey, Celonis
from celonis_frames._http.transport import Timeouts
from celonis_frames._jobs import shell

ROWS = 2_000
CHUNK_BYTES = 6_000
TABLE = "T"
PATIENT_SECONDS = 20.0
SILENT_SECONDS = 0.2


@dataclass(frozen=True)
class Cell:
    """What strikes, where, how often, and how the push is made."""

    call: str
    hazard: Hazard
    always: bool
    staging: bool
    workers: int

    def __str__(self) -> str:
        often = "always" if self.always else "once"
        store = "staging" if self.staging else "memory"
        return f"{self.call}-{self.hazard.name}-{often}-{store}-{self.workers}"

    @property
    def allowed(self) -> tuple[Outcome, ...]:
        """What may come out."""
        return rule(self.call, self.hazard, self.always).outcomes(self.call, self.hazard)

    @property
    def timeouts(self) -> Timeouts:
        """A client that is to run into its time-out has a short one; others are patient."""
        return Timeouts(
            connect=PATIENT_SECONDS,
            read=SILENT_SECONDS if self.hazard.silent else PATIENT_SECONDS,
        )


@dataclass(frozen=True)
class Observed:
    """What came out of a cell.

    Attributes:
        outcome: The error's class and what became of the job.
        wrong: What no client may do, in sentences; empty when all is well.
        message: The error's text.
        hits: Calls that the fault struck.
        chunks: Chunks of the push, when it says so.
    """

    outcome: Outcome
    wrong: tuple[str, ...]
    message: str
    hits: int
    chunks: int | None = None


Push = Callable[[Cell, Any, str, pa.Table, Path], Any]
"""Pushes a table into a pool: ``push(cell, server, pool, frame, folder)``."""


def cells() -> Iterator[Cell]:
    """The whole matrix."""
    for call in CALLS:
        for hazard in HAZARDS:
            if call not in hazard.calls:
                continue
            for always in hazard.often:
                for staging in (False, True):
                    for workers in (4,) if hazard.strikes else (1, 4):
                        yield Cell(call, hazard, always, staging, workers)


ALIKE = frozenset({"502", "504", "502-done", "504-done", "103", "lost-closed", "404"})
"""Hazards that only the whole matrix has: those that `sample` takes are like them."""


def sample() -> set[Cell]:
    """A part of the matrix: each call and hazard in one way of pushing, now once, now always.

    Of the calls that change something, both. Processes are started for two calls only, and of
    hazards that a client cannot tell apart one is taken.
    """
    chosen = set()
    for n, ((call, hazard), pair) in enumerate(_grouped(cells(), lambda c: (c.call, c.hazard))):
        if hazard.strikes and call not in ("upload", "execute"):
            continue
        if hazard.name in ALIKE:
            continue
        for always, way in _grouped(pair, lambda c: c.always):
            both = call in ("create", "upload", "execute") or len(hazard.often) == 1
            if both or always == (n % 2 == 0):
                # The shift keeps "once" and "always" from always meeting the same ways.
                chosen.add(way[(n + n // 2 + always) % len(way)])
    return chosen


def _grouped(cells: Iterable[Cell], key: Callable[[Cell], Any]) -> Iterator[tuple[Any, list[Cell]]]:
    for found, group in itertools.groupby(cells, key):
        yield found, list(group)


def frame(rows: int = ROWS) -> pa.Table:
    """Rows that can be told apart, of about 20 bytes."""
    return pa.table(
        {"ROW": range(rows), "TEXT": [f"{row * 7919 % 104_729:x}" for row in range(rows)]}
    )


def push(cell: Cell, server: Any, pool: str, table: pa.Table, folder: Path) -> Any:
    """The push that is promised for."""
    with Celonis(server.url, auth=ApiKey(server.token), timeouts=cell.timeouts) as client:
        return client.push(
            table,
            pool,
            TABLE,
            upload={
                "workers": cell.workers,
                "chunk_bytes": f"{CHUNK_BYTES} B",
                # Rejected by the local Celonis at execution, so that the job has to be cancelled.
                "compression": "zstd" if cell.call == "cancel" else "snappy",
            },
            staging=f"file://{folder}" if cell.staging else None,
            progress=False,
            timeout=cell.hazard.timeout,
        )


def run(cell: Cell, server: Any, folder: Path, pushing: Push = push) -> Observed:
    """Push into the server while it fails as the cell says, and judge what came of it."""
    name = f"pool {uuid.uuid4()}" if cell.call == "pools" else str(uuid.uuid4())
    table = frame()
    shell._kinds.clear()  # each cell meets a server whose checksums are not known yet
    skip = 1 if cell.call == "upload" and not cell.always else 0
    fault = cell.hazard.arm(server.faults, cell.call, None if cell.always else 1, skip)
    status, error = None, None
    try:
        if cell.hazard.strikes:
            status = pushing_process.push(cell, server, name, folder, fault)
        else:
            status = pushing(cell, server, name, table, folder)
    except Exception as raised:
        error = raised
    finally:
        _settle(server, fault)
    found = server._catalog.pool(name)
    jobs = [] if found is None else _ended(server, found["id"])
    wrong = [] if fault.hits else ["the fault did not strike"]
    wrong += _judge(server, name, table, error, jobs)
    after = _after(error, jobs)
    if error is not None and after in ("open", "runs on") and cell.call != "create":
        named = getattr(error, "job_id", None)
        if named not in [job["id"] for job in jobs if job["status"] in ("NEW", "DONE")]:
            wrong.append(f"the job is {after}, but the error does not name it")
    for job in jobs:
        if job["status"] == "NEW":
            server._catalog.set_job(job["id"], "CANCELED", "Cancelled by the judge")
    return Observed(
        Outcome("" if error is None else type(error).__name__, after),
        tuple(wrong),
        str(error or ""),
        fault.hits,
        getattr(status, "chunks", None),
    )


def _settle(server: Any, fault: Any) -> None:
    """Wait until the server is done with every call, and let it work again."""
    deadline = time.monotonic() + 30
    while fault.over < fault.hits and time.monotonic() < deadline:
        time.sleep(0.005)
    server.faults.clear()


def _ended(server: Any, pool_id: str) -> list[dict[str, Any]]:
    """The pool's jobs, oldest first, once none of them runs any more."""
    deadline = time.monotonic() + 30
    while True:
        jobs = list(reversed(server._catalog.jobs(pool_id)))
        running = [job for job in jobs if job["status"] in ("QUEUED", "RUNNING")]
        if not running or time.monotonic() > deadline:
            return jobs
        time.sleep(0.005)


def _after(error: Exception | None, jobs: list[dict[str, Any]]) -> Jobs:
    states = [job["status"] for job in jobs]
    if "NEW" in states:
        return "open"
    if "DONE" in states:
        return "DONE" if error is None else "runs on"
    created = getattr(error, "job_id", None) is not None
    return "CANCELED" if created and "CANCELED" in states else "none"


def _judge(
    server: Any, pool: str, table: pa.Table, error: Exception | None, jobs: list[dict[str, Any]]
) -> Iterator[str]:
    """What no client may do."""
    try:
        there = server.table(pool, TABLE)
    except KeyError:
        there = table.slice(0, 0)
    done = [job for job in jobs if job["status"] == "DONE"]
    distinct = len(there.group_by("ROW").aggregate([]))
    if there.num_rows > distinct:
        yield f"{there.num_rows - distinct} rows are there twice"
    if error is None and distinct != table.num_rows:
        yield f"{table.num_rows - distinct} rows are lost, but the push says it is done"
    if error is not None and distinct not in (0, table.num_rows):
        yield f"{distinct} of {table.num_rows} rows are there"
    if error is not None and distinct and not done:
        yield "rows are there, but no job is DONE"
    if not set(there["ROW"].to_pylist()) <= set(table["ROW"].to_pylist()):
        yield "rows are there that were never pushed"
    if there.num_rows == distinct == table.num_rows and there.sort_by("ROW") != table:
        yield "the rows have other values"
    if len(done) > 1:
        yield f"{len(done)} jobs were executed"
