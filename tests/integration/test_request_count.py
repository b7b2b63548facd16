"""The number of requests of a push."""

from __future__ import annotations

import logging
import re
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from celonis_frames import Celonis

FRAME = pl.DataFrame({"A": range(100_000), "B": [f"text {n * 7919}" for n in range(100_000)]})
POLL = re.compile(r'"GET [^ ]*/jobs/[^/ ]+ HTTP')


@pytest.mark.parametrize(("mode", "by_name"), [("REPLACE", True), ("DELTA", False)])
def test_a_push_makes_four_or_five_requests_besides_chunks_and_polls(
    connection: Celonis,
    table: str,
    caplog: pytest.LogCaptureFixture,
    mode: str,
    *,
    by_name: bool,
) -> None:
    """Read the table's columns, create, list chunks and execute; look the pool up by name."""
    connection.push(FRAME.head(1), "Tests", table)
    (pool,) = [pool for pool in connection.pools() if pool.name == "Tests"]
    caplog.set_level(logging.DEBUG, logger="urllib3.connectionpool")
    status = connection.push(
        FRAME, "Tests" if by_name else pool.id, table, mode=mode, upload={"chunk_bytes": "100 KB"}
    )
    calls = [r.getMessage() for r in caplog.records if r.name == "urllib3.connectionpool"]
    calls = [call for call in calls if " HTTP/1.1" in call]
    polls = [call for call in calls if POLL.search(call)]
    assert status.chunks > 5
    assert polls
    assert len(calls) == 4 + by_name + status.chunks + len(polls), calls


def test_the_first_uploads_are_small(server: Any, connection: Celonis, table: str) -> None:
    """The first chunk of each of the four uploads is small, so that uploading starts early."""
    numbers = np.random.default_rng(1).integers(0, 2**62, 6_000_000)
    status = connection.push(pa.table({"A": numbers}), "Tests", table)
    sizes = [chunk["bytes"] for chunk in server._catalog.chunks(status.job_id)]
    assert len(sizes) == status.chunks > 8
    small = [size for size in sizes if size < max(sizes) / 2]
    assert len(small) == 4
    assert max(sizes.index(size) for size in small) < 8  # one that is larger may overtake


@pytest.mark.parametrize("chunk_bytes", ["5 MB", "3 MB"])
@pytest.mark.parametrize("library", ["arrow", "polars"])
def test_the_last_uploads_are_as_large_as_the_others(
    server: Any, connection: Celonis, table: str, chunk_bytes: str, library: str
) -> None:
    """Rows that one encoder thread has left over go into the chunk of another."""
    frame: Any = pa.table({"A": np.random.default_rng(1).integers(0, 2**62, 3_000_000)})
    if library == "polars":
        frame = pl.from_arrow(frame)
    status = connection.push(frame, "Tests", table, upload={"chunk_bytes": chunk_bytes})
    sizes = [chunk["bytes"] for chunk in server._catalog.chunks(status.job_id)]
    assert len(sizes) == status.chunks >= 5
    assert min(sizes) > 0.7 * max(sizes), sizes
