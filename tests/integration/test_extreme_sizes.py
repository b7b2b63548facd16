"""Frames of extreme shapes are pushed completely, in few chunks. More: pytest -n 3 -m slow."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from celonis_frames import Celonis
from celonis_frames.exceptions import TruncationError

slow = pytest.mark.slow


def _push(connection: Celonis, frame: Any, table: str, **options: Any) -> Any:
    return connection.push(frame, "Unkind", table, mode="REPLACE", **options)


def _stored(server: Any, table: str) -> Any:
    return server.table("Unkind", table)


@pytest.mark.parametrize("rows", [1_200, pytest.param(64_000, marks=slow)])
@pytest.mark.parametrize("kind", ["objects", "arrow", "polars"])
def test_one_column_of_very_long_strings(
    rows: int, kind: str, connection: Celonis, server: Any, table: str
) -> None:
    """Strings of the maximum length."""
    noise = random.Random(1)  # noqa: S311  # the same each time
    words = [noise.randbytes(8_125).hex() for _ in range(1_000)]
    texts = [f"{n:05d}{words[n % 1_000]}"[:16_250] for n in range(rows)]
    frame = {
        "objects": lambda: pd.DataFrame({"T": pd.Series(texts, dtype=object)}),
        "arrow": lambda: pa.table({"T": texts}),
        "polars": lambda: pl.DataFrame({"T": texts}),
    }[kind]()
    status = _push(connection, frame, table)
    assert status.rows == rows
    assert status.chunks <= 40
    assert _stored(server, table).num_rows == rows


@pytest.mark.parametrize("rows", [100, pytest.param(10_000, marks=slow)])
def test_two_thousand_narrow_columns(
    rows: int, connection: Celonis, server: Any, table: str
) -> None:
    """Files do not consist mostly of headers and footers, and row groups have many rows."""
    noise = np.random.default_rng(1)
    frame = pa.table({f"C{n}": noise.integers(0, 2**40, rows) for n in range(2_000)})
    status = _push(connection, frame, table)
    assert status.bytes_sent <= 1.6 * frame.nbytes
    assert status.chunks <= 1 + frame.nbytes // 6_000_000
    assert _stored(server, table).num_rows == rows


@pytest.mark.parametrize("size", [20_000_000, pytest.param(900_000_000, marks=slow)])
@pytest.mark.parametrize("how", ["text", "hex", "json"])
def test_a_value_of_hundreds_of_megabytes_is_rejected(
    size: int, how: str, connection: Celonis, server: Any, table: str
) -> None:
    """Nothing is executed; the error names the column, not the value."""
    frame, options = {
        "text": lambda: (pa.table({"HUGE": ["x" * size]}), {}),
        "hex": lambda: (pa.table({"HUGE": [b"x" * (size // 2)]}), {"binary": "hex"}),
        "json": lambda: (pa.table({"HUGE": [["x" * size]]}), {"nested": "json"}),
    }[how]()
    with pytest.raises(TruncationError, match="'HUGE'") as caught:
        _push(connection, frame, table, **options)
    assert len(str(caught.value)) < 1_000
    assert {job["status"] for job in server.jobs if job["targetName"] == table} <= {"CANCELED"}


def test_rows_of_many_megabytes(connection: Celonis, table: str) -> None:
    """A row larger than the target size is a batch and a row group of its own."""
    value = random.Random(1).randbytes(7_500).hex()  # noqa: S311  # the same each time
    row = pa.table({f"C{n}": [f"{n}{value}"] for n in range(300)})
    status = _push(
        connection, pa.concat_tables([row] * 6), table, upload={"chunk_bytes": 9_000_000}
    )
    assert status.rows == 6
    assert 2 <= status.chunks <= 6


@pytest.mark.parametrize("how", ["hex", "base64"])
def test_incompressible_bytes(how: Any, connection: Celonis, server: Any, table: str) -> None:
    """Random bytes, which no codec compresses."""
    noise = random.Random(1)  # noqa: S311  # the same each time
    frame = pa.table({"B": [noise.randbytes(1_000) for _ in range(20_000)]})
    status = _push(connection, frame, table, binary=how, upload={"chunk_bytes": 4_000_000})
    assert status.bytes_sent // 4_800_000 <= status.chunks <= status.bytes_sent // 3_000_000 + 1
    assert _stored(server, table).num_rows == 20_000


@pytest.mark.parametrize("rows", [300_000, pytest.param(10_000_000, marks=slow)])
@pytest.mark.parametrize("kind", ["arrow", "polars", "objects"])
def test_millions_of_empty_strings(
    rows: int, kind: str, connection: Celonis, server: Any, table: str
) -> None:
    """Rows of almost no bytes make few chunks."""
    frame = {
        "arrow": lambda: pa.table({"E": pa.array([""]).take(pa.array(np.zeros(rows, "int32")))}),
        "polars": lambda: pl.select(pl.repeat("", rows).alias("E")),
        "objects": lambda: pd.DataFrame({"E": np.full(rows, "", dtype=object)}),
    }[kind]()
    status = _push(connection, frame, table)
    assert status.chunks <= 4
    assert _stored(server, table).num_rows == rows


@pytest.mark.parametrize("rows", [5_000, pytest.param(100_000, marks=slow)])
@pytest.mark.parametrize("kind", ["batches", "reader", "table"])
def test_a_generator_of_one_row_batches(
    rows: int, kind: str, connection: Celonis, server: Any, table: str
) -> None:
    """Small batches are merged before they are encoded."""
    one = [pa.record_batch({"A": [n], "B": ["x"]}) for n in range(rows)]
    frame = {
        "batches": lambda: iter(one),
        "reader": lambda: pa.RecordBatchReader.from_batches(one[0].schema, iter(one)),
        "table": lambda: pa.Table.from_batches(one),
    }[kind]()
    status = _push(connection, frame, table)
    assert status.chunks <= 2
    assert sorted(_stored(server, table)["A"].to_pylist()) == list(range(rows))


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_a_generator_of_one_row_frames(
    kind: Any, connection: Celonis, server: Any, table: str
) -> None:
    """Frames of one row, as a loop over records yields them."""
    status = _push(connection, (kind({"A": [n], "B": ["x"]}) for n in range(300)), table)
    assert (status.rows, status.chunks) == (300, 1)
    assert sorted(_stored(server, table)["A"].to_pylist()) == list(range(300))


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize(
    "kind",
    [pd.DataFrame, pl.DataFrame, pa.table, "batches"],
    ids=["pandas", "polars", "arrow", "batches"],
)
def test_no_rows_and_one_row(
    rows: int, kind: Any, connection: Celonis, server: Any, table: str
) -> None:
    """One chunk, which has the columns; also for batches without rows."""
    data = {"A": pa.array([1] * rows, pa.int64()), "B": pa.array(["x"] * rows, pa.string())}
    if kind == "batches":
        frame: Any = (
            iter([pa.record_batch(data)] * 2) if not rows else iter([pa.record_batch(data)])
        )
    elif kind is pa.table:
        frame = pa.table(data)
    else:
        frame = pl.DataFrame(data) if kind is pl.DataFrame else pa.table(data).to_pandas()
    status = _push(connection, frame, table)
    assert (status.rows, status.chunks) == (rows, 1)
    assert _stored(server, table).num_rows == rows
