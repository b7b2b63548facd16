"""Faults that need more bytes than the sockets between client and server hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from celonis_frames import ApiKey, Celonis

ROWS = 3_000_000


@pytest.fixture(scope="module")
def large() -> pa.Table:
    """Rows of which chunks of 12 MB are made, which compress badly."""
    values = np.random.default_rng(5).permutation(2**40 // 400 * np.arange(ROWS, dtype="int64"))
    return pa.table({"ROW": values})


@pytest.mark.parametrize(("times", "staging"), [(1, True), (2, False)])
def test_a_connection_reset_within_a_large_chunk(
    times: int, staging: bool, large: pa.Table, faulty: Any, tmp_path: Path, table: str
) -> None:
    """A chunk that was not received completely is sent again; its rows are in the table once."""
    fault = faulty.faults.drop("upload", when="body", at_byte=1_000_000, reset=True, times=times)
    try:
        with Celonis(faulty.url, auth=ApiKey(faulty.token)) as client:
            status = client.push(
                large, "Large", table, upload={"chunk_bytes": "12 MB", "workers": 1},
                staging=f"file://{tmp_path}" if staging else None,
            )  # fmt: skip
    finally:
        faulty.faults.clear()
        for job in faulty.jobs:
            if job["status"] == "NEW":
                faulty._catalog.set_job(job["id"], "CANCELED")
    assert fault.hits == times
    assert status.chunks is not None
    assert status.chunks >= 2
    assert faulty.table("Large", table).sort_by("ROW") == large.sort_by("ROW")
