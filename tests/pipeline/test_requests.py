"""How many requests a push makes: as few as its chunks allow."""

from __future__ import annotations

import logging
import re

import polars as pl
import pytest

from celonis_frames import Celonis

FRAME = pl.DataFrame({"A": range(100_000), "B": [f"text {n * 7919}" for n in range(100_000)]})
POLL = re.compile(r'"GET [^ ]*/jobs/[^/ ]+ HTTP')


@pytest.mark.parametrize(("mode", "by_name"), [("REPLACE", True), ("DELTA", False)])
def test_four_besides_chunks_and_polls(
    connection: Celonis,
    table: str,
    caplog: pytest.LogCaptureFixture,
    mode: str,
    *,
    by_name: bool,
) -> None:
    """Create, count and execute; and the pool's id, where it is not given, or a DELTA's table."""
    connection.push(FRAME.head(1), "Tests", table)
    (pool,) = [pool for pool in connection.pools() if pool.name == "Tests"]
    caplog.set_level(logging.DEBUG, logger="urllib3.connectionpool")
    status = connection.push(
        FRAME, "Tests" if by_name else pool.id, table, mode=mode, chunk_bytes="100 KB"
    )
    calls = [r.getMessage() for r in caplog.records if r.name == "urllib3.connectionpool"]
    calls = [call for call in calls if " HTTP/1.1" in call]
    polls = [call for call in calls if POLL.search(call)]
    assert status.chunks > 5
    assert polls
    assert len(calls) == 4 + status.chunks + len(polls), calls
