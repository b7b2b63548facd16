"""Order of rows: of several rows with one key the last one wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from celonis_frames import Celonis
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._validation.validator import FrameValidator

ROWS = 800_000
POOL = "Order"


def _frame(keys: int) -> Any:
    """Rows with `keys` distinct keys; more than one chunk of the default size."""
    rows = np.arange(ROWS)
    noise = np.random.default_rng(8).integers(0, 2**62, (2, ROWS))
    return pa.table({"K": rows % keys, "ROW": rows, "X": noise[0], "Y": noise[1]})


@pytest.mark.parametrize("workers", [None, 1])
def test_chunks_hold_the_rows_in_order(workers: int | None) -> None:
    """With one upload at a time chunks are in row order, for any number of encoder threads."""
    prepared = prepare(_frame(1_000), "T", PushOptions.parse(keys="K", upload={"workers": workers}))
    prepared.begin()
    rows: list[int] = []
    chunks = 0
    for chunk in prepared.chunks():
        file = pa.BufferReader(b"".join(chunk.blocks()))
        rows += pq.read_table(file, columns=["ROW"])["ROW"].to_pylist()
        chunk.release()
        chunks += 1
    assert chunks > 1
    assert rows == list(range(ROWS))
    assert "the last is kept" in prepared.warnings[0]


def test_the_last_change_wins(connection: Celonis, server: Any, table: str) -> None:
    """All frames of one job, and all rows of each, take effect in their order."""
    with connection.changes(POOL, table, keys="K") as changes:
        changes.upsert(_frame(1_000))
        changes.delete(pa.table({"K": [7]}))
    found = server.sql(f'SELECT count(*), min("ROW"), max("ROW") FROM "{POOL}"."{table}"')
    assert [column[0].as_py() for column in found.columns] == [999, ROWS - 1_000, ROWS - 1]


def test_several_workers_with_duplicate_keys_give_a_warning() -> None:
    """With several workers the warning says that any of the rows may be kept."""
    prepared = prepare(
        pa.table({"K": [1, 1]}), "T", PushOptions.parse(keys="K", upload={"workers": 2})
    )
    prepared.begin()
    assert "any may be kept" in prepared.warnings[0]


@pytest.mark.parametrize(
    ("times", "known"), [([0, 1_000], True), ([0, 1], False), ([0, 1_500, 2_000], False)]
)
def test_keys_finer_than_milliseconds_are_not_known_to_be_unique(
    times: list[int], known: bool
) -> None:
    """Celonis keeps milliseconds: keys that differ by less may be equal there."""
    frame = pa.table({"K": pa.array(times, pa.timestamp("us"))})
    prepared = prepare(frame, "T", PushOptions.parse(keys="K"))
    prepared.begin()
    assert prepared.ordered is not known


def test_keys_of_files_of_which_one_is_rewritten(
    connection: Celonis, server: Any, table: str, tmp_path: Path
) -> None:
    """Strings with 32-bit and with 64-bit offsets are one column of keys."""
    for number, codec in enumerate(("snappy", "zstd")):
        keys = pa.table({"K": [f"{number}-{n}" for n in range(3)]})
        pq.write_table(keys, tmp_path / f"{number}.parquet", compression=codec)
    stage = f"file://{tmp_path}/stage"
    status = connection.push(f"{tmp_path}/*.parquet", POOL, table, keys="K", staging=stage)
    assert status.rows == server.table(POOL, table).num_rows == 6


def test_keys_in_dictionaries_of_which_one_has_a_null() -> None:
    """A null among the values of a dictionary does not change the count of distinct keys."""
    plain = pa.array(["a", "b"]).dictionary_encode()
    indices = pa.array([0, 1], pa.int32())
    odd = pa.DictionaryArray.from_arrays(indices, pa.array(["c", "a", None]))
    frame = pa.table({"K": pa.chunked_array([plain, odd])})
    measure: FrameValidator = prepare(frame, "T", PushOptions.parse(keys="K")).measure
    for batch in frame.to_batches():
        measure.convert(batch)
    assert measure.different_keys == 3
