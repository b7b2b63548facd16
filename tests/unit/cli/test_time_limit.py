"""Queries of files: in bounded memory, and given up when the time is up."""

from __future__ import annotations

import time

import polars as pl
import pytest

from celonis_frames._cli.reading.time_limit import collected, reading_until
from celonis_frames.exceptions import JobTimeout


def test_rows_are_taken_in_batches() -> None:
    """By the streaming engine: a file is not in memory as a whole."""
    sizes = list[int]()

    def size(batch: pl.DataFrame) -> pl.DataFrame:
        sizes.append(batch.height)
        return batch

    rows = pl.LazyFrame({"N": range(1_000_000)})
    counted = rows.map_batches(size, streamable=True, schema={"N": pl.Int64})
    assert collected(counted.select(pl.col("N").sum())).item() == sum(range(1_000_000))
    assert max(sizes) < 1_000_000
    assert sum(sizes) == 1_000_000


def test_a_query_that_takes_too_long() -> None:
    """It is left to itself."""

    def wait(batch: pl.DataFrame) -> pl.DataFrame:
        time.sleep(1)
        return batch

    slow = pl.LazyFrame({"N": [1]}).map_batches(wait)
    begin = time.monotonic()
    with reading_until(begin + 0.1), pytest.raises(JobTimeout, match="while the files were read"):
        collected(slow)
    assert time.monotonic() - begin < 0.9


def test_what_a_query_raises_is_raised() -> None:
    """As polars raises it."""
    with pytest.raises(pl.exceptions.InvalidOperationError):
        collected(pl.LazyFrame({"N": ["x"]}).select(pl.col("N").cast(pl.Int64)))
