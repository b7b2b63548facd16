"""A client with blind retries, for comparison: every failed call is repeated.

It does what common clients of this API do, without their unrelated mistakes: requests with a retry
around every call, after connection errors, time-outs and 5xx responses, without checking what was
received.
"""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import requests
from expected_outcomes import CHUNKS
from matrix_cells import TABLE

TRIES = 5
PAUSE = 0.1


class NaiveClient:
    """A client with blind retries."""

    def __init__(self, url: str, token: str, pool: str, timeout: float) -> None:
        self._base = f"{url}/data-ingestion/api/v1/data-push/{pool}/jobs/"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout

    def push(self, table: pa.Table, name: str, chunks: int) -> None:
        """Push a table in so many chunks; returns when the job is done."""
        job = self._call("POST", "", json={"targetName": name, "type": "DELTA"}).json()["id"]
        size = -(-table.num_rows // chunks)
        for start in range(0, table.num_rows, size):
            file = io.BytesIO()
            table.slice(start, size).to_pandas().to_parquet(
                file, index=False, use_deprecated_int96_timestamps=True
            )
            self._call("POST", f"{job}/chunks/upserted", files={"file": file.getvalue()})
        self._call("POST", job)
        while True:
            state = self._call("GET", job).json()["status"]
            if state in ("DONE", "ERROR", "CANCELED"):
                break
            time.sleep(PAUSE)
        if state != "DONE":
            raise RuntimeError(f"the job ended in {state}")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        for left in reversed(range(TRIES)):
            try:
                answer = self._session.request(
                    method, self._base + path, timeout=self._timeout, **options
                )
            except (requests.RequestException, OSError):
                if not left:
                    raise
            else:
                if answer.status_code < 500 or not left:
                    answer.raise_for_status()
                    return answer
            time.sleep(PAUSE)
        raise AssertionError("unreachable")


def push(cell: Any, server: Any, pool: str, table: pa.Table, folder: Path) -> None:
    """The same push as `matrix_cells.push`, with blind retries."""
    del folder
    client = NaiveClient(server.url, server.token, pool, cell.timeouts.read)
    try:
        client.push(table, TABLE, CHUNKS)
    finally:
        client.close()
