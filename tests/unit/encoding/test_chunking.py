"""Batches become chunks of the target size, and no row is lost."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames._encoding.chunking import encode
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames.local._sample_data import purchase_to_pay


@settings(max_examples=25)
@given(st.integers(1, 400), st.integers(1, 5_000), st.integers(1, 700))
def test_encoding_loses_no_row(rows: int, chunk_bytes: int, batch_rows: int) -> None:
    """Whatever the sizes, the chunks hold all rows in order, and none is empty."""
    table = pa.table({"A": range(rows), "S": [f"text {i}" for i in range(rows)]})
    chunks = list(
        encode(table.to_batches(max_chunksize=batch_rows), table.schema, chunk_bytes=chunk_bytes)
    )
    back = [
        row
        for c in chunks
        for row in pq.read_table(pa.BufferReader(b"".join(c.blocks())))["A"].to_pylist()
    ]
    assert back == list(range(rows))
    assert all(chunk.rows for chunk in chunks)


def test_chunks_meet_their_target_size() -> None:
    """All chunks but the last are within 20 % of chunk_bytes on an event log."""
    log = purchase_to_pay(8_000).drop(["DUE_DATE"])
    log = pa.concat_tables([log] * 4)
    for wish in (100_000, 500_000):
        chunks = list(encode(log.to_batches(max_chunksize=9_999), log.schema, chunk_bytes=wish))
        assert len(chunks) > 3
        assert all(0.8 * wish <= chunk.size <= 1.2 * wish for chunk in chunks[:-1])


def test_a_frame_that_certainly_fits_is_one_row_group() -> None:
    """Row groups are tried out only where the file could become too large."""
    log = pl.DataFrame({"A": range(15_000), "S": [f"{n:060d}" for n in range(15_000)]})
    for wish, alone in ((None, True), ("500 KB", False)):
        prepared = prepare(log, "T", PushOptions.parse(upload={"chunk_bytes": wish}))
        prepared.begin()
        files = [pq.read_metadata(pa.BufferReader(b"".join(c.blocks()))) for c in prepared.chunks()]
        assert (len(files) == 1 and files[0].num_row_groups == 1) is alone
        assert sum(file.num_rows for file in files) == 15_000
