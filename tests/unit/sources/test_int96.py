"""INT96 times of a pyarrow Dataset: read in its unit, or rejected; never another time."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from celonis_frames import exceptions
from celonis_frames._sources.int96 import Int96Times
from celonis_frames._sources.reader import read

FAR = pa.array([dt.datetime(9999, 12, 31), dt.datetime(2024, 2, 29)], pa.timestamp("us"))
FINE = pa.array([1_709_208_000_123_456_789, None], pa.timestamp("ns"))
COARSE = ds.ParquetFileFormat(coerce_int96_timestamp_unit="us")


def _dataset(folder: Path, columns: dict[str, Any], **options: Any) -> Any:
    pq.write_table(pa.table(columns), folder / "a.parquet", use_deprecated_int96_timestamps=True)
    return ds.dataset(folder, **({"format": "parquet"} | options))


@pytest.mark.parametrize(
    "column",
    [FAR, pa.array([{"t": moment} for moment in FAR.to_pylist()])],
    ids=["plain", "struct"],
)
def test_a_dataset_that_would_shift_a_time_is_rejected(column: Any, tmp_path: Path) -> None:
    """Arrow itself reads the year 9999 as 1816; the message says how to read it right."""
    with pytest.raises(
        exceptions.ColumnTypeError, match=r"'A'.*coerce_int96_timestamp_unit=\"us\""
    ):
        read(_dataset(tmp_path, {"A": column}))


def test_a_dataset_in_microseconds_keeps_far_times(tmp_path: Path) -> None:
    """Nothing is lost, and nothing is said."""
    source = read(_dataset(tmp_path, {"A": FAR}, format=COARSE))
    assert pa.Table.from_batches(list(source.batches()))["A"].to_pylist() == FAR.to_pylist()
    assert not source.notes


def test_a_dataset_in_microseconds_counts_nanoseconds(tmp_path: Path) -> None:
    """What the Dataset cuts is counted; in nanoseconds it cuts nothing."""
    (note,) = read(_dataset(tmp_path, {"A": FINE}, format=COARSE)).notes
    assert "'A': 1 INT96 time with nanoseconds" in note
    source = read(_dataset(tmp_path, {"A": FINE}))
    assert not source.notes
    assert pa.Table.from_batches(list(source.batches()))["A"].cast(pa.int64()).to_pylist() == (
        FINE.cast(pa.int64()).to_pylist()
    )


def test_times_of_old_versions_are_read_as_nanoseconds_only() -> None:
    """As microseconds they would be 584 years later."""
    times = Int96Times(negative={"A": "a.parquet"})
    assert times.notes("ns") == ()
    with pytest.raises(exceptions.ColumnTypeError, match=r"'A' of a.parquet.*unit=\"ns\""):
        times.notes("us")


def test_other_datasets_are_not_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files without INT96 are read once."""
    pq.write_table(pa.table({"A": FAR}), tmp_path / "a.parquet")
    monkeypatch.setattr("celonis_frames._sources.int96.find_times", None)
    assert not read(ds.dataset(tmp_path)).notes
