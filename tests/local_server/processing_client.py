"""Plain calls on data models and data jobs, for the tests of the local Celonis."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import requests

OLD = "/integration/api/pools/{pool}/data-models/{model}"
NEW = "/integration/api/v1/data-pools/{pool}/data-models/{model}"
RUN = "/integration/api/v2/data-pools/{pool}/data-jobs/{job}/execute"
JOBS = "/integration/api/pools/{pool}/jobs"


class ProcessingClient:
    """Calls one pool of a local Celonis.

    Args:
        celonis: The local Celonis.
        pool: The pool.
        token: The key or access token; None: the user API key.
    """

    def __init__(self, celonis: Any, pool: str = "P", token: str | None = None) -> None:
        self.celonis, self.pool = celonis, pool
        self._headers = {"Authorization": f"Bearer {token or celonis.token}"}

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        path = path.format(pool=self.pool, model="M", job="J")
        return requests.request(
            method, self.celonis.url + path, headers=self._headers, timeout=30, **options
        )

    def json(self, path: str) -> Any:
        response = self.call("GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    def sql(self, *statements: str, name: str = "SQL") -> dict[str, Any]:
        """Run SQL as a data job, which must end in SUCCESS."""
        self.celonis.add_data_job(self.pool, name, statements)
        job = self.run(name)
        assert job["status"] == "SUCCESS", job["message"]
        return job

    def run(self, job: str, mode: str = "FULL") -> dict[str, Any]:
        response = self.call("POST", RUN.replace("{job}", job), params={"mode": mode})
        assert response.status_code == 200, response.text
        return self.job_end(job)

    def job_end(self, job: str) -> dict[str, Any]:
        for _ in range(3_000):
            found: dict[str, Any] = self.json(f"{JOBS}/{job}")
            if found["status"] not in ("QUEUED", "RUNNING"):
                return found
            time.sleep(0.01)
        raise AssertionError("the data job does not end")

    def load(self, model: str = "M", tables: list[str] | None = None) -> dict[str, Any]:
        """Load a data model, or tables of it by their ids; returns the load when it has ended."""
        path = NEW.replace("{model}", model) + "/load"
        if tables is None:
            response = self.call("POST", path)
        else:
            response = self.call("POST", f"{path}/partial-sync", json=tables)
        assert response.status_code == 200, response.text
        return self.load_end(model)

    def load_end(self, model: str = "M") -> dict[str, Any]:
        for _ in range(3_000):
            found: dict[str, Any] = self.json(NEW.replace("{model}", model) + "/last-load")
            if found["loadStatus"] != "RUNNING":
                return found
            time.sleep(0.01)
        raise AssertionError("the load does not end")

    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json(f"{OLD}/load-history/load-info-sync")
        return found

    def tables(self, model: str = "M") -> dict[str, dict[str, Any]]:
        """The tables of a data model, by their names in it."""
        found = self.json(NEW.replace("{model}", model) + "/tables")
        return {table["aliasOrName"]: table for table in found}

    def rows(self, table: str, model: str = "M") -> pa.Table:
        return self.celonis.model_table(self.pool, model, table)


def counts(load: dict[str, Any]) -> dict[str, Any]:
    """The number of rows of each table of a load; None: it is not loaded."""
    return {table["tableName"]: table["tableRowCount"] for table in load["tableLoads"]}
