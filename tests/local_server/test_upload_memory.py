"""The memory that an upload takes in the local Celonis."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

BASE = "/data-ingestion/api/v1/data-push"
SERVE = """
import sys
from celonis_frames import local
with local.start(sys.argv[1], token="t") as celonis:
    print(celonis.url, flush=True)
    sys.stdin.read()
"""
ROWS, GROUPS = 1_250_000, 15


def _write(path: Path) -> None:
    """Write a Parquet file of 150 MB of random values, one row group at a time."""
    schema = pa.schema({"A": pa.int64()})
    with pq.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for _ in range(GROUPS):
            values = pa.Array.from_buffers(
                pa.int64(), ROWS, [None, pa.py_buffer(os.urandom(8 * ROWS))]
            )
            writer.write_table(pa.table([values], schema=schema))


class _Form:
    """A form with a file that is read from disk while it is sent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="c"\r\n\r\n'
        self._tail = b"\r\n--b--\r\n"

    def __len__(self) -> int:
        return len(self._head) + self._path.stat().st_size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        with self._path.open("rb") as file:
            while block := file.read(1 << 20):
                yield block
        yield self._tail


def _peak(pid: int) -> int:
    """The peak memory of a process, in bytes, as the kernel counts it."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_an_upload_is_never_held_in_memory(tmp_path: Path) -> None:
    """A chunk of 150 MB raises the peak memory of the server by less than 30 MB."""
    chunk = tmp_path / "chunk.parquet"
    _write(chunk)
    size = chunk.stat().st_size
    assert size >= 150_000_000
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path / "c.duckdb")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout
            url = server.stdout.readline().strip()
            with requests.Session() as session:
                session.headers["Authorization"] = "Bearer t"
                body = {"targetName": "T", "type": "REPLACE"}
                job = session.post(f"{url}{BASE}/P/jobs/", json=body, timeout=30).json()["id"]
                before = psutil.Process(server.pid).memory_info().rss
                response = session.post(
                    f"{url}{BASE}/P/jobs/{job}/chunks/upserted",
                    data=_Form(chunk),
                    headers={"Content-Type": "multipart/form-data; boundary=b"},
                    timeout=120,
                )
                assert response.status_code == 200, response.text
                held = _peak(server.pid) - before
                stored = sum(p.stat().st_size for p in tmp_path.rglob("c.duckdb.chunks/**/*"))
                assert stored >= size
                assert held < size / 5, f"{held:,} bytes for a chunk of {size:,}"
        finally:
            assert server.stdin
            server.stdin.close()
        assert server.wait(30) == 0
