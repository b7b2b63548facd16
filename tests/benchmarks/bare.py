"""The fewest and plainest calls that push files: what any client must at least do.

`http.client`, blocks of a mebibyte from memory, as many connections as asked for, no retries.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

POOL = "5f0c1d3a-2b7e-4c52-9a41-0d6c3f5e8b17"
"""An id, so that no pool is looked up by name."""
BLOCK_BYTES = 1_048_576
_IDLE_SECONDS = 2.0
_PATH = f"/data-ingestion/api/v1/data-push/{POOL}/jobs/"
_BOUNDARY = "one-part-of-a-form"
_PREFIX = (
    f"--{_BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="file"; filename="chunk.parquet"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
_SUFFIX = f"\r\n--{_BOUNDARY}--\r\n".encode()


class Bare:
    """Calls of the API over connections of its own.

    Args:
        url: The server's address.
        token: An API key that it takes.
        connections: Uploads at a time.
        ca_file: Whom to trust.
    """

    def __init__(
        self, url: str, token: str, *, connections: int = 2, ca_file: str | None = None
    ) -> None:
        self._parts = urlsplit(url)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._context = ssl.create_default_context(cafile=ca_file)
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []
        self._pool = ThreadPoolExecutor(connections)

    def create(self, table: str, mode: str, columns: Sequence[dict[str, Any]], **more: Any) -> str:
        """The id of a new job."""
        job = {
            "targetName": table,
            "type": mode,
            "fileType": "PARQUET",
            "dataPoolId": POOL,
            "tableSchema": {"tableName": table, "columns": columns},
            **more,
        }
        made = self._call("POST", "", json.dumps(job).encode(), "application/json")
        return str(json.loads(made)["id"])

    def upload(self, job_id: str, files: Iterable[memoryview]) -> None:
        """Send files into a job, several at a time, each as soon as there is one."""
        list(self._pool.map(lambda file: self._send(job_id, file), files))

    def chunks(self, job_id: str) -> int:
        """How many files a job has."""
        return len(json.loads(self._call("GET", f"{job_id}/chunks")))

    def execute(self, job_id: str, *, every: float = 0.05) -> float:
        """Submit a job; seconds until it was seen to be done.

        Args:
            job_id: The job.
            every: Seconds between two looks.

        Raises:
            RuntimeError: It ended otherwise.
        """
        begin = time.perf_counter()
        self._call("POST", job_id)
        while True:
            job = json.loads(self._call("GET", job_id))
            if job["status"] == "DONE":
                return time.perf_counter() - begin
            if job["status"] in ("ERROR", "CANCELED"):
                raise RuntimeError("\n".join(job["logs"]))
            time.sleep(every)

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown()
        for connection in self._opened:
            connection.close()

    def _send(self, job_id: str, file: memoryview) -> None:
        def body() -> Any:
            yield _PREFIX
            for start in range(0, len(file), BLOCK_BYTES):
                yield file[start : start + BLOCK_BYTES]
            yield _SUFFIX

        size = len(_PREFIX) + len(file) + len(_SUFFIX)
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        self._call("POST", f"{job_id}/chunks/upserted", body(), kind, size)

    def _call(
        self, method: str, path: str, body: Any = None, kind: str = "", size: int | None = None
    ) -> bytes:
        # Servers close what was idle for some seconds.
        fresh = time.monotonic() - getattr(self._local, "used", 0.0) < _IDLE_SECONDS
        connection = self._local.connection if fresh else self._open()
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = kind
        if size is not None:
            headers["Content-Length"] = str(size)
        connection.request(method, _PATH + path, body, headers)
        answer = connection.getresponse()
        data: bytes = answer.read()
        self._local.used = time.monotonic()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} was answered {answer.status}: {data[:500]!r}")
        return data

    def _open(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        connection = (
            http.client.HTTPSConnection(host, port, context=self._context)
            if self._parts.scheme == "https"
            else http.client.HTTPConnection(host, port)
        )
        self._local.connection = connection
        self._opened.append(connection)
        return connection
