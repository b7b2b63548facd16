"""A small frame is encoded in the calling thread, with the same rows as by several threads."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames import Celonis
from celonis_frames._encoding.chunk_writer import PROBE_BYTES
from celonis_frames._encoding.small_frame import MAX_CELLS, is_small
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames.exceptions import ColumnTypeError

DATA: dict[str, list[Any]] = {"ID": [1, 2, None], "TEXT": ["a", "ä€", None]}
TABLE = pa.table(DATA)
KINDS: dict[str, Callable[[], Any]] = {
    "polars": lambda: pl.DataFrame(DATA),
    "lazy": lambda: pl.LazyFrame(DATA),
    "pandas": lambda: pd.DataFrame(DATA),
    "Arrow": lambda: TABLE,
    "stream": lambda: pa.RecordBatchReader.from_batches(TABLE.schema, TABLE.to_batches()),
    "frames": lambda: iter([pl.DataFrame(DATA), pl.DataFrame(DATA)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_frame_needs_one_thread(
    kind: str, client: Celonis, own: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread encodes it; one sends it, and one waits for the first rows of a query."""
    started: list[str] = []
    start = threading.Thread.start

    def noted(self: threading.Thread) -> None:
        started.append(self.name)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", noted)
    status = client.push(KINDS[kind](), "P", "T")
    expected = ["celonis-read"] * (kind == "lazy") + ["celonis-upload"]
    assert [name for name in started if name.startswith("celonis-")] == expected
    repeat = 2 if kind == "frames" else 1
    assert (status.rows, status.chunks) == (3 * repeat, 1)
    assert own.table("P", "T").select(list(DATA)).to_pydict() == {
        name: values * repeat for name, values in DATA.items()
    }


@settings(max_examples=25)
@given(
    rows=st.integers(0, 4_000),
    width=st.integers(1, 400),
    file_type=st.sampled_from(["PARQUET", "CSV"]),
    chunk_bytes=st.sampled_from([None, "5 KB", "1 MB"]),
)
def test_every_row_is_in_one_chunk_of_a_small_frame(
    rows: int, width: int, file_type: str, chunk_bytes: str | None
) -> None:
    """All sizes around the limits, with and without a size of chunks, make each row once."""
    texts = [f"{number:0{width}d}" for number in range(rows)]
    frame = pa.table({"N": pa.array(range(rows), pa.int64()), "T": pa.array(texts, pa.string())})
    upload = {"file_type": file_type, "chunk_bytes": chunk_bytes}
    prepared = prepare(frame, "T", PushOptions.parse(mode="REPLACE", upload=upload))
    prepared.begin()
    size = prepared.options.upload.chunk_bytes
    both = [(batch, prepared.layout.convert(batch)) for batch in frame.to_batches()]
    small = all(is_small(one, size) for batches in both for one in batches)  # CSV has longer ones
    assert prepared.staged == small
    found, made = [], 0
    for chunk in prepared.chunks():
        made += chunk.rows
        data = b"".join(chunk.blocks())
        assert len(data) == chunk.size
        if file_type == "CSV":
            found += [line.partition(",")[2].strip('"') for line in data.decode().splitlines()[1:]]
        else:
            found += pq.read_table(io.BytesIO(data))["T"].to_pylist()
        chunk.release()
    assert made == prepared.measure.rows == rows
    assert sorted(found) == sorted(texts)
    prepared.close()


def test_a_frame_is_not_small_by_its_bytes_nor_by_its_values() -> None:
    """Nulls take no bytes in Arrow, but do in a file."""
    assert is_small(pa.record_batch({"N": pa.nulls(MAX_CELLS)}), None)
    assert not is_small(pa.record_batch({"N": pa.nulls(MAX_CELLS + 1)}), None)
    assert not is_small(pa.record_batch({"N": ["x" * PROBE_BYTES]}), None)
    assert not is_small(pa.record_batch({"N": ["x" * 5_000]}), 10_000)


def test_rows_that_grow_by_their_conversion_are_not_small() -> None:
    """Structs of nulls take no bytes in Arrow, and become long JSON texts."""
    kind = pa.struct([pa.field(f"A_LONG_NAME_{number}", pa.null()) for number in range(50)])
    batch = pa.record_batch({"S": pa.array([{}] * 2_000, kind)})
    assert is_small(batch, None)
    prepared = prepare(batch, "T", PushOptions.parse(nested="json"))
    prepared.begin()
    assert prepared.staged == 0
    assert [chunk.rows for chunk in prepared.chunks()] == [2_000]
    assert prepared.measure.rows == 2_000
    prepared.close()


@pytest.mark.parametrize("kind", ["Arrow", "stream"])
def test_an_error_names_the_row(kind: str) -> None:
    """Also of a stream, which cannot be read again to look for it."""
    table = pa.table({"N": pa.array([1, 2**63], pa.uint64())})
    frame = table if kind == "Arrow" else table.to_reader()
    prepared = prepare(frame, "T", PushOptions.parse())
    with pytest.raises(ColumnTypeError, match=r"'N'.*row 1"):
        prepared.begin()
