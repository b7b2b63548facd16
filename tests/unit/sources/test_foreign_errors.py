"""What another library raises while a frame is read is a FrameError with its cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from celonis_frames import exceptions, plan
from celonis_frames._sources.reader import read
from celonis_frames._sources.source import ReadOptions

SECRET = "canary-4711"
ONE = pa.schema({"A": pa.int64()})


def _failing() -> Iterator[pa.RecordBatch]:
    yield pa.record_batch({"A": [1]})
    raise ZeroDivisionError(SECRET)


class _Capsule:
    columns = ("A",)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        raise AssertionError(SECRET)


class _Delta:
    def to_pyarrow_dataset(self) -> Any:
        raise RuntimeError(SECRET)


def _lazy(_: pl.DataFrame) -> pl.DataFrame:
    raise ValueError(SECRET)


FRAMES: list[tuple[str, Any, str]] = [
    ("DuckDB, midway", lambda: duckdb.sql(
        f"SELECT CAST(CASE WHEN range = 250000 THEN '{SECRET}' ELSE '1' END AS INT) c "
        "FROM range(300000)"), "DuckDBPyRelation"),
    ("polars, midway", lambda: pl.LazyFrame({"A": ["1", SECRET]}).select(pl.col("A").cast(pl.Int8)),
     "polars LazyFrame"),
    ("polars, a function", lambda: pl.LazyFrame({"A": [1]}).map_batches(_lazy), "polars LazyFrame"),
    ("polars, no column", lambda: pl.LazyFrame({"A": [1]}).select("B"), "LazyFrame.*B"),
    ("a reader", lambda: pa.RecordBatchReader.from_batches(ONE, _failing()),
     "pyarrow RecordBatchReader"),
    ("a capsule", _Capsule, "_Capsule"),
    ("a Delta table", _Delta, "_Delta"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "named"), [f[1:] for f in FRAMES], ids=[f[0] for f in FRAMES])
def test_the_kind_of_the_frame_is_named(make: Any, named: str) -> None:
    """The message names the frame's kind and shows no cell; the cause is the library's error."""
    with pytest.raises(exceptions.FrameError, match=f"{named}") as caught:
        list(read(make()).batches())
    assert SECRET not in str(caught.value)
    cause = caught.value.__cause__
    assert cause is not None
    assert not isinstance(cause, exceptions.CelonisFramesError)


def test_a_dataset_names_the_column_and_the_file(tmp_path: Path) -> None:
    """A file whose column has another type is named with both types."""
    for number, values in enumerate(([1], [2.5])):
        pq.write_table(pa.table({"K": [1], "A": values}), tmp_path / f"{number}.parquet")
    dataset = ds.dataset(tmp_path)
    with pytest.raises(
        exceptions.ColumnTypeError, match=r"'A' is double in .*1\.parquet"
    ) as caught:
        plan(dataset, "P", "T")
    assert caught.value.column == "A"
    assert isinstance(caught.value.__cause__, pa.ArrowInvalid)
    # Columns that are not read cannot fail.
    rows = list(read(dataset, ReadOptions(choose=lambda names: names[:1])).batches())
    assert sum(batch.num_rows for batch in rows) == 2


def test_a_series_of_another_library_is_named() -> None:
    """An extension type of pandas that fails is an error of its column."""

    class Broken(pd.api.extensions.ExtensionArray):  # type: ignore[misc]
        _dtype = pd.Int64Dtype()
        dtype = property(lambda self: self._dtype)

        def __len__(self) -> int:
            return 1

        def __arrow_array__(self, type: Any = None) -> Any:  # noqa: A002
            raise RuntimeError(SECRET)

        def __getitem__(self, item: Any) -> Any:
            return self

        def copy(self) -> Any:
            return self

        def isna(self) -> Any:
            raise RuntimeError(SECRET)

    frame = pd.DataFrame({"A": [1]})
    frame["B"] = pd.Series(Broken(), copy=False)
    with pytest.raises(exceptions.ColumnTypeError, match="'B'") as caught:
        list(read(frame).batches())
    assert SECRET not in str(caught.value)


def test_a_lack_of_memory_is_no_error_of_the_frame() -> None:
    """MemoryError is raised unchanged."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"A": [1]})
        raise MemoryError

    reader = pa.RecordBatchReader.from_batches(ONE, batches())
    with pytest.raises(MemoryError):
        list(read(reader).batches())
