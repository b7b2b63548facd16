"""Data jobs: recorded SQL of a pool, with how it ran last."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

from celonis_frames.local._database.catalog import Catalog, now
from celonis_frames.local._database.database import Row

MODES = ("FULL", "DELTA")
"""How a data job is executed; recorded, and the same for SQL."""
ACTIVE = ("QUEUED", "RUNNING")
"""States of a data job that is to be executed and has not ended."""

_TABLES = """
CREATE TABLE IF NOT EXISTS _celonis.data_jobs (
    id VARCHAR, pool_id VARCHAR, name VARCHAR, statements VARCHAR, status VARCHAR,
    execution_id VARCHAR, mode VARCHAR, message VARCHAR, started BIGINT, ended BIGINT,
    number BIGINT);
"""


class DataJobs:
    """The data jobs of a catalog. All methods may be called by any thread.

    Args:
        catalog: Where they are kept. Those that are RUNNING in it, which an earlier server did not
            finish, are set to FAIL.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        catalog.run(_TABLES)
        catalog.run(
            "UPDATE _celonis.data_jobs SET status = 'FAIL', ended = ?, message = "
            "'The server stopped while the data job was running; the tables are unchanged' "
            "WHERE status = 'RUNNING'",
            now(),
        )

    def add(self, pool_id: str, name: str, statements: Sequence[str]) -> Row:
        """Add a data job, or give the one of this name other statements."""
        with self._catalog.locked():
            found = self.job(pool_id, name)
            if found is None:
                found = {"id": str(uuid.uuid4())}
                self._catalog.run(
                    "INSERT INTO _celonis.data_jobs (id, pool_id, name, status) "
                    "VALUES (?, ?, ?, 'NEW')",
                    found["id"], pool_id, name,
                )  # fmt: skip
            self._catalog.run(
                "UPDATE _celonis.data_jobs SET statements = ? WHERE id = ?",
                json.dumps(list(statements)), found["id"],
            )  # fmt: skip
            return self.job(pool_id, found["id"]) or {}

    def jobs(self, pool_id: str | None = None) -> list[Row]:
        """All data jobs, or those of a pool, by name."""
        found = self._catalog.rows(
            "SELECT * FROM _celonis.data_jobs WHERE ?1 IS NULL OR pool_id = ?1 "
            "ORDER BY lower(name)",
            pool_id,
        )
        return [row | {"statements": json.loads(row["statements"])} for row in found]

    def job(self, pool_id: str, key: str) -> Row | None:
        """The data job with this id, else with this name; case does not matter."""
        jobs = self.jobs(pool_id)
        for field in ("id", "name"):
            for job in jobs:
                if job[field].lower() == key.lower():
                    return job
        return None

    def queued(self) -> list[Row]:
        """The data jobs that are QUEUED, in the order in which they were."""
        queued = [job for job in self.jobs() if job["status"] == "QUEUED"]
        return sorted(queued, key=lambda job: int(job["number"]))

    def queue(self, job: Row, mode: str) -> Row:
        """Set a data job to QUEUED, with a new execution."""
        execution_id = str(uuid.uuid4())
        with self._catalog.locked():
            self._catalog.run(
                "UPDATE _celonis.data_jobs SET status = 'QUEUED', execution_id = ?, mode = ?, "
                "message = NULL, started = NULL, ended = NULL, number = "
                "(SELECT coalesce(max(number), 0) + 1 FROM _celonis.data_jobs) WHERE id = ?",
                execution_id, mode, job["id"],
            )  # fmt: skip
            return self.job(job["pool_id"], job["id"]) or {}

    def set_running(self, job_id: str) -> None:
        """Set a data job to RUNNING."""
        self._catalog.run(
            "UPDATE _celonis.data_jobs SET status = 'RUNNING', started = ? WHERE id = ?",
            now(), job_id,
        )  # fmt: skip

    def end(self, job_id: str, status: str, message: str | None, cursor: Any = None) -> None:
        """Record how a data job ended, in the transaction of `cursor` if given."""
        statement = "UPDATE _celonis.data_jobs SET status = ?, message = ?, ended = ? WHERE id = ?"
        values = (status, message, now(), job_id)
        if cursor is None:
            self._catalog.run(statement, *values)
        else:
            cursor.execute(statement, values)
