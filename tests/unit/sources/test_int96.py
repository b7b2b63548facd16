"""INT96 times of a pyarrow Dataset: read in its unit, or rejected; never another time."""

from __future__ import annotations

import datetime as dt
import struct
from collections import Counter
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


def _read(frame: Any) -> dict[str, list[Any]]:
    source = read(frame)
    return pa.Table.from_batches(list(source.batches()), source.schema).to_pydict()


@pytest.mark.parametrize(
    "column",
    [FAR, pa.array([{"t": moment} for moment in FAR.to_pylist()])],
    ids=["plain", "struct"],
)
@pytest.mark.parametrize("how", ["folder", "filtered", "union", "row group", "own schema", "hive"])
def test_a_dataset_reads_far_times_as_the_path_does(how: str, column: Any, tmp_path: Path) -> None:
    """Arrow itself reads the year 9999 as 1816; filters, partitions and schemas are kept."""
    table = pa.table({"A": column, "K": [1, 2]})
    pq.write_to_dataset(
        table, tmp_path, partition_cols=["K"] if how == "hive" else None,
        use_deprecated_int96_timestamps=True, row_group_size=1,
    )  # fmt: skip
    rows = {"A": column.to_pylist(), "K": [1, 2]}
    assert _read(tmp_path) == rows
    dataset = ds.dataset(tmp_path, partitioning="hive")
    if how == "filtered":
        dataset = dataset.filter(ds.field("K") == 2)
        rows = {"A": column.to_pylist()[1:], "K": [2]}
    elif how == "union":
        dataset, rows = (
            ds.dataset([dataset, dataset]),
            {"A": column.to_pylist() * 2, "K": [1, 2] * 2},
        )
    elif how == "row group":
        part = next(dataset.get_fragments()).subset(row_group_ids=[0])
        dataset = ds.FileSystemDataset([part], dataset.schema, part.format, part.filesystem)
        rows = {"A": column.to_pylist()[:1], "K": [1]}
    elif how == "own schema":
        schema = table.schema.set(1, pa.field("K", pa.int8()))
        dataset = ds.dataset(tmp_path, schema=schema)
    assert _read(dataset) == rows


def test_a_dataset_of_more_than_files_that_would_shift_a_time_is_rejected(tmp_path: Path) -> None:
    """Its files cannot be read anew; as paths they can."""
    both = ds.dataset([_dataset(tmp_path, {"A": FAR}), ds.dataset(pa.table({"A": FINE}))])
    with pytest.raises(exceptions.ColumnTypeError, match="push the paths"):
        read(both)


def test_a_filtered_dataset_is_a_frame(tmp_path: Path) -> None:
    """Pyarrow gives no fragments of it."""
    dataset = _dataset(tmp_path, {"A": FINE, "K": [1, 2]})
    assert _read(dataset.filter(ds.field("K") == 2)) == {"A": [None], "K": [2]}


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


def test_a_file_of_a_filtered_dataset_with_another_type_is_named(tmp_path: Path) -> None:
    """Also though pyarrow gives no fragments of the Dataset."""
    for name, values in (("a", [1, 2]), ("b", [1.5, 2.5])):
        pq.write_table(pa.table({"A": values}), tmp_path / f"{name}.parquet")
    with pytest.raises(exceptions.ColumnTypeError, match=r"'A' is double in .*b\.parquet"):
        _read(ds.dataset(tmp_path).filter(ds.field("A") > 0))


def test_times_of_old_versions_are_read_as_nanoseconds_only() -> None:
    """As microseconds they would be 584 years later; nanoseconds hold no far times."""
    times = Int96Times(Counter({"A": 1}), negative={"A": "a.parquet"})
    assert times.best_unit == "ns"
    assert times.notes("ns") == ()
    times.far.add("B")
    with pytest.raises(exceptions.ColumnTypeError, match=r"'A' of a.parquet.*'B' has times"):
        times.notes("us")


def _write_as_arrow_22(path: Path, moments: list[dt.datetime]) -> None:
    """Write a file in which the times of day before 1970 are negative parts of the next day."""
    table = pa.table({"A": pa.array(moments, pa.timestamp("us"))})
    pq.write_table(
        table, path, use_deprecated_int96_timestamps=True, compression="none", use_dictionary=False
    )
    content = path.read_bytes()
    for moment in moments:
        days, rest = divmod(moment - dt.datetime(1970, 1, 1), dt.timedelta(1))
        nanos, day = rest // dt.timedelta(microseconds=1) * 1_000, days + 2_440_588
        if days < 0 and nanos:
            old = struct.pack("<qi", nanos - 86_400_000_000_000, day + 1)
            content = content.replace(struct.pack("<qi", nanos, day), old)
    path.write_bytes(content)


def test_negative_parts_of_a_day_are_read_or_rejected(tmp_path: Path) -> None:
    """Nanoseconds hold those from 1677 on; others look like times 584 years later."""
    path = tmp_path / "a.parquet"
    near = [dt.datetime(1960, 1, 2, 12), dt.datetime(2024, 2, 29)]
    _write_as_arrow_22(path, near)
    assert _read(path) == _read(ds.dataset(path)) == {"A": near}
    for early in (dt.datetime(1500, 1, 1, 12), dt.datetime(900, 1, 1, 12)):
        _write_as_arrow_22(path, [early, *near])
        for frame in (path, ds.dataset(path)):
            with pytest.raises(exceptions.ColumnTypeError, match=r"'A' of .*a\.parquet has times"):
                read(frame)


def test_other_datasets_are_not_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files without INT96 are read once."""
    pq.write_table(pa.table({"A": FAR}), tmp_path / "a.parquet")
    monkeypatch.setattr("celonis_frames._sources.int96.find_times", None)
    assert not read(ds.dataset(tmp_path)).notes
