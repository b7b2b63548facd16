"""Frames of every shape: names, sizes, views, slices, threads, several frames in one push."""

from __future__ import annotations

import datetime as dt
import decimal
import threading
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from celonis_frames import Celonis, exceptions, plan

pytestmark = pytest.mark.usefixtures("impatient")
POOL = "Frames"
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 5)
D = decimal.Decimal

RICH = pa.table(
    {
        "N": pa.array(range(6)),
        "INT": pa.array([2**53 + 1, None, -(2**63), 0, 1, 10**17]),
        "UINT": pa.array([0, None, 2**63 - 1, 1, 2, 3], pa.uint64()),
        "FLOAT": pa.array([0.1, None, -0.0, 1e300, 5e-324, 1e17]),
        "BOOL": pa.array([True, None, False, True, False, None]),
        "TEXT": ["0045", None, "", 'say "a,b"', "line\r\nline", "<NA>"],
        "KIND": pa.array(["a", None, "b", "a", "a", "ä" * 100]).dictionary_encode(),
        "DAY": pa.array(
            [dt.date(1, 1, 1), None, dt.date(9999, 12, 31), *[dt.date(2024, 2, 29)] * 3]
        ),
        "AT": pa.array([NOON, None, dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31), NOON, NOON]),
        "ZONED": pa.array([NOON, None, *[NOON] * 4], pa.timestamp("us", "UTC")),
        "TIME": pa.array([dt.time(9, 30, 0, 1), None, dt.time(0), *[dt.time(23, 59, 59)] * 3]),
        "PRICE": pa.array([D("0.57"), None, D("-1.10"), D("0.29"), D("1.00"), D("9.99")]),
        "RAW": pa.array([b"", None, b"\x00\xff", b"a", b"b", b"c"]),
    }
)
STORED = RICH.set_column(
    RICH.schema.get_field_index("TIME"), "TIME", RICH["TIME"].cast(pa.string())
).to_pydict() | {
    "DAY": [v and dt.datetime(v.year, v.month, v.day) for v in RICH["DAY"].to_pylist()],
    "ZONED": [v and v.replace(tzinfo=None) for v in RICH["ZONED"].to_pylist()],
    "PRICE": [v and float(v) for v in RICH["PRICE"].to_pylist()],
    "RAW": [v if v is None else v.hex() for v in RICH["RAW"].to_pylist()],
}

NULLABLE = {
    pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype(), pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype(),
}  # fmt: skip


def _rich(kind: str, folder: Path) -> Any:
    if kind == "Parquet file":
        pq.write_table(RICH, folder / "rich.parquet")
        return folder / "rich.parquet"
    frame = pl.from_arrow(RICH)
    assert isinstance(frame, pl.DataFrame)
    return {
        "pandas": lambda: RICH.to_pandas(types_mapper=NULLABLE.get),
        "pandas Arrow": lambda: RICH.to_pandas(types_mapper=pd.ArrowDtype),
        "polars": lambda: frame,
        "LazyFrame": frame.lazy,
        "Arrow": lambda: RICH.slice(0),
        "chunked": lambda: pa.concat_tables([RICH.slice(0, 1), RICH.slice(1, 3), RICH.slice(4)]),
        "sliced": lambda: pa.concat_tables([RICH, RICH.slice(0, 2)]).slice(0, 6),
        "DuckDB": lambda: duckdb.sql("FROM RICH"),
        "generator": lambda: (RICH.slice(row, 1) for row in range(6)),
        "frames of two libraries": lambda: [frame.head(2), RICH.slice(2)],
    }[kind]()


@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
@pytest.mark.parametrize(
    "kind",
    ["pandas", "pandas Arrow", "polars", "LazyFrame", "Arrow", "chunked", "sliced", "DuckDB",
     "generator", "frames of two libraries", "Parquet file"],
)  # fmt: skip
def test_the_same_frame_gives_the_same_table(
    kind: str, file_type: Any, tmp_path: Path, server: Any, connection: Celonis, table: str
) -> None:
    """The table is the same for every library, source and file type."""
    connection.push(
        _rich(kind, tmp_path),
        POOL,
        table,
        mode="REPLACE",
        upload={"file_type": file_type},
        binary="hex",
    )
    assert server.table(POOL, table).sort_by("N").to_pydict() == STORED


def _pandas_frames() -> dict[str, pd.DataFrame]:
    wide = pd.DataFrame({f"C{n}": range(20) for n in range(8)})
    fragmented = pd.DataFrame({"A": range(20)})
    for number in range(30):
        fragmented.insert(number + 1, f"B{number}", number)
    return {
        "a view of rows": wide.iloc[3:9],
        "every other row, backwards": wide.iloc[::-2],
        "every other column": wide.iloc[:, ::2],
        "columns of a matrix": pd.DataFrame(np.arange(60.0).reshape(3, 20).T, columns=list("ABC")),
        "fragmented": fragmented,
        "read-only": _locked(wide.copy()),
        "one row": wide.head(1),
        "an index with repeated labels": wide.head(4).set_axis([0, 0, 0, 0], axis=0),
        "a sorted MultiIndex": wide.head(4).set_index(["C0", "C1"]),
    }


def _locked(frame: pd.DataFrame) -> pd.DataFrame:
    for block in frame._mgr.blocks:
        block.values.flags.writeable = False  # noqa: PD011
    return frame


@pytest.mark.parametrize("name", _pandas_frames())
def test_pandas_frames_of_any_layout(
    name: str, server: Any, connection: Celonis, table: str
) -> None:
    """Views and fragmented frames are stored as they print, and are unchanged."""
    frame = _pandas_frames()[name]
    before, parts = frame.copy(deep=True), [id(frame.index), id(frame.columns)]
    connection.push(frame, POOL, table, mode="REPLACE")
    pd.testing.assert_frame_equal(frame, before)
    assert [id(frame.index), id(frame.columns)] == parts
    sent = frame.reset_index() if frame.index.names != [None] else frame
    back = server.table(POOL, table).to_pandas()
    order = list(sent.columns)
    expected = sent.sort_values(order).reset_index(drop=True)
    pd.testing.assert_frame_equal(
        back.sort_values(order).reset_index(drop=True), expected, check_dtype=False
    )


def test_arrow_and_polars_frames_are_the_same_after(connection: Celonis, table: str) -> None:
    """A push changes no byte of the caller's frame, for both file types."""
    frame = pl.from_arrow(RICH)
    arrow = pa.concat_tables([RICH])
    copies = frame.clone(), pa.Table.from_pydict(RICH.to_pydict(), RICH.schema)
    addresses = [b.address for c in arrow.columns for k in c.chunks for b in k.buffers() if b]
    for file_type in ("PARQUET", "CSV"):
        connection.push(
            frame, POOL, table, binary="hex", mode="REPLACE", upload={"file_type": file_type}
        )
        connection.push(
            arrow, POOL, table, binary="hex", mode="REPLACE", upload={"file_type": file_type}
        )
    assert frame.equals(copies[0])
    assert arrow.equals(copies[1])
    assert addresses == [
        b.address for c in arrow.columns for k in c.chunks for b in k.buffers() if b
    ]


def test_a_frame_that_other_threads_read(server: Any, connection: Celonis, table: str) -> None:
    """The same frame is pushed from several threads into several tables at once."""
    frame = RICH.to_pandas(types_mapper=NULLABLE.get)
    problems: list[BaseException] = []

    def push(number: int) -> None:
        try:
            connection.push(frame, POOL, f"{table}_{number}", mode="REPLACE", binary="hex")
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    for number in range(4):
        assert server.table(POOL, f"{table}_{number}").sort_by("N").to_pydict() == STORED


@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
def test_two_thousand_columns(file_type: Any, server: Any, connection: Celonis, table: str) -> None:
    """All columns of a very wide frame are stored."""
    frame = pa.table({f"C{n}": pa.array([n, None]) for n in range(2_000)})
    connection.push(frame, POOL, table, mode="REPLACE", upload={"file_type": file_type})
    back = server.table(POOL, table)
    assert back.num_columns == 2_000
    assert sorted(back["C1999"].to_pylist(), key=str) == [1999, None]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
@pytest.mark.parametrize("kind", ["pandas", "polars", "LazyFrame", "Arrow", "DuckDB", "generator"])
def test_an_empty_frame_makes_an_empty_table(
    kind: str, file_type: Any, tmp_path: Path, server: Any, connection: Celonis, table: str
) -> None:
    """REPLACE without rows leaves a table of the frame's columns and no rows; DELTA is rejected."""
    full = _rich(kind, tmp_path)
    empty = {
        "pandas": lambda: full.head(0),
        "polars": lambda: full.head(0),
        "LazyFrame": lambda: full.head(0),
        "Arrow": lambda: full.slice(0, 0),
        "DuckDB": lambda: duckdb.sql("FROM RICH LIMIT 0"),
        "generator": lambda: (RICH.slice(0, 0) for _ in range(2)),
    }[kind]()
    connection.push(RICH, POOL, table, mode="REPLACE", binary="hex")
    status = connection.push(
        empty, POOL, table, mode="REPLACE", upload={"file_type": file_type}, binary="hex"
    )
    assert (status.rows, status.chunks) == (0, 1)
    back = server.table(POOL, table)
    assert (back.num_rows, back.schema.names) == (0, RICH.schema.names)
    assert plan(RICH.slice(0, 0), POOL, table, mode="REPLACE", binary="hex").rows == 0
    with pytest.raises(exceptions.FrameError, match=r"no rows.*REPLACE"):
        connection.push(RICH.slice(0, 0), POOL, table, binary="hex")
    with pytest.raises(exceptions.FrameError, match="no rows"):
        connection.delete(RICH.slice(0, 0), POOL, table, keys="N")
