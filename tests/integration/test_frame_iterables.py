"""Several frames or files in one push: their common types, and the order of rows."""

from __future__ import annotations

import datetime as dt
import decimal
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from celonis_frames import Celonis, exceptions
from celonis_frames._sources.reader import read

pytestmark = pytest.mark.usefixtures("impatient")

D = decimal.Decimal


def _types(frames: list[Any]) -> tuple[str, list[Any]]:
    source = read(iter(frames))
    table = pa.Table.from_batches(list(source.batches()), source.schema)
    return str(table.schema.field(0).type), table.column(0).to_pylist()


FIRST: list[tuple[str, list[Any], str, list[Any]]] = [
    ("an empty frame", [pd.DataFrame({"A": []}), pd.DataFrame({"A": [1, 2]})], "int64", [1, 2]),
    ("nulls without a type", [pd.DataFrame({"A": [None]}), pl.DataFrame({"A": ["0045"]})],
     "large_string", [None, "0045"]),
    ("nulls of a wrong type", [pd.DataFrame({"A": [float("nan")]}), pl.DataFrame({"A": ["x"]})],
     "large_string", [None, "x"]),
    ("nothing but nulls", [pd.DataFrame({"A": [None]}), pd.DataFrame({"A": [None]})], "null",
     [None, None]),
    ("nulls of one type", [pl.DataFrame({"A": [None]}),
                           pl.DataFrame({"A": [None]}, {"A": pl.Int8})],
     "int64", [None, None]),
    ("whole floats after integers", [pd.DataFrame({"A": [1]}), pd.DataFrame({"A": [2, None]})],
     "int64", [1, 2, None]),
    ("texts of several sorts", [pl.DataFrame({"A": ["x"]}, {"A": pl.Categorical}),
                                pa.table({"A": ["y"]})], "dictionary", ["x", "y"]),
    ("wide integers", [pl.DataFrame({"A": [None]}, {"A": pl.Int128}),
                       pl.DataFrame({"A": [2**100]}, {"A": pl.Int128})],
     "integer of more", [None, str(2**100)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("frames", "kind", "values"), [case[1:] for case in FIRST], ids=[case[0] for case in FIRST]
)
def test_first_frames_without_values_decide_nothing(
    frames: list[Any], kind: str, values: list[Any]
) -> None:
    """A column of a stream of frames has the type of its first value."""
    found, rows = _types(frames)
    assert found.startswith(kind)
    assert rows == values


def test_frames_that_wait_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that come before their types are known are spooled, and keep their order."""
    monkeypatch.setattr("celonis_frames._sources.iterables.SPOOL_BYTES", 1_000)
    frames = [pl.DataFrame({"A": [None] * 999, "N": range(999)}) for _ in range(3)]
    source = read(iter([*frames, pl.DataFrame({"N": [5], "A": ["x"]})]))
    back = pa.Table.from_batches(list(source.batches()), source.schema)
    assert back["N"].to_pylist() == [*range(999)] * 3 + [5]
    assert back["A"].null_count == 2_997


@pytest.mark.parametrize(
    "frames",
    [
        [pd.DataFrame({"A": ["0045"]}), pd.DataFrame({"A": [45]})],
        [pd.DataFrame({"A": [45]}), pd.DataFrame({"A": ["0045"]})],
        [pd.DataFrame({"A": [1]}), pd.DataFrame({"A": [1.5]})],
        [pd.DataFrame({"A": [1.5]}), pd.DataFrame({"A": [2**53 + 1]})],
        [pa.table({"A": [1.5]}), pa.table({"A": [D("1.1")]})],
        [pa.table({"A": pa.array([1], pa.timestamp("us"))}),
         pa.table({"A": pa.array([1], pa.timestamp("us", "UTC"))})],
        [pa.table({"A": pa.array([1], pa.timestamp("us"))}),
         pa.table({"A": pa.array([1], pa.timestamp("ns"))})],
        [pa.table({"A": [True]}), pa.table({"A": [1]})],
    ],
    ids=["text, number", "number, text", "integer, float", "float, long integer", "float, decimal",
         "naive, zone", "micro, nano", "bool, int"],
)  # fmt: skip
def test_frames_of_types_that_do_not_fit_are_rejected(frames: list[Any]) -> None:
    """No value is parsed, rounded or shifted to fit the frames before."""
    with pytest.raises(exceptions.ColumnTypeError, match=r"'A'.*frame 2"):
        _types(frames)


FILES: list[tuple[str, Any, Any, list[Any] | None]] = [
    ("whole numbers and text", [1], ["0045"], None),
    ("flags and numbers", [True], [5], None),
    ("dates and times", [dt.date(2024, 1, 2)], [dt.datetime(2024, 1, 2, 13)], None),
    ("times without and with a zone", pa.array([0], pa.timestamp("us")),
     pa.array([0], pa.timestamp("us", "UTC")), None),
    ("short and long floats", pa.array([1.5], pa.float32()), [0.1], [1.5, 0.1]),
    ("whole and broken numbers", [1], [1.5], None),
    ("short and long integers", pa.array([1], pa.int32()), [2**40], [1, 2**40]),
    ("nothing and integers", pa.nulls(1), [7], [None, 7]),
    ("seconds and microseconds", pa.array([1], pa.timestamp("s")),
     pa.array([5], pa.timestamp("us")),
     [dt.datetime(1970, 1, 1, 0, 0, 1), dt.datetime(1970, 1, 1, 0, 0, 0, 5)]),
    ("two zones", pa.array([0], pa.timestamp("us", "Europe/Berlin")),
     pa.array([1], pa.timestamp("us", "UTC")),
     [dt.datetime(1970, 1, 1), dt.datetime(1970, 1, 1, 0, 0, 0, 1)]),
]  # fmt: skip


@pytest.mark.parametrize("as_files", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "stored"), [case[1:] for case in FILES], ids=[case[0] for case in FILES]
)
def test_parts_of_different_types_are_brought_together_or_rejected(
    first: Any, second: Any, stored: list[Any] | None, as_files: bool, tmp_path: Path,
    server: Any, connection: Celonis, table: str,
) -> None:  # fmt: skip
    """As with frames of an iterator, the types of the first file are not forced on the others."""
    parts: Any = [
        pa.table({"N": [place], "A": values}) for place, values in enumerate((first, second))
    ]
    if as_files:
        for place, part in enumerate(parts):
            pq.write_table(part, tmp_path / f"{place}.parquet")
        parts = str(tmp_path / "*.parquet")
    if stored is None:
        second_part = r"1\.parquet" if as_files else "frame 2"
        with pytest.raises(exceptions.ColumnTypeError, match=f"'A'.*{second_part}"):
            connection.push(parts, "Frames", table)
    else:
        connection.push(parts, "Frames", table, mode="REPLACE")
        assert server.table("Frames", table).sort_by("N")["A"].to_pylist() == stored


@pytest.mark.parametrize("second", [{"A": [1], "B": [2]}, {"B": [1]}, {"a": [1]}])
def test_files_of_other_columns_are_rejected(
    second: dict[str, Any], tmp_path: Path, connection: Celonis, table: str
) -> None:
    """No column of a file is silently dropped or filled with nulls."""
    pq.write_table(pa.table({"A": [1]}), tmp_path / "0.parquet")
    pq.write_table(pa.table(second), tmp_path / "1.parquet")
    with pytest.raises(exceptions.FrameError, match="other columns"):
        connection.push([tmp_path / "0.parquet", tmp_path / "1.parquet"], "Frames", table)


def test_slices_that_wait_bring_no_data_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A spooled view would take along all the data of its buffers."""
    written: list[int] = []

    class Watched(tempfile.SpooledTemporaryFile):  # type: ignore[type-arg]
        def seek(self, *args: int) -> int:
            written.append(self.tell())
            return super().seek(*args)

    monkeypatch.setattr("tempfile.SpooledTemporaryFile", Watched)
    rows = 20_000
    frame = pl.DataFrame({"A": [None] * rows, "T": [f"{n:0100d}" for n in range(rows)]})
    source = read(frame.iter_slices(1_000))
    back = pa.concat_tables(pa.Table.from_batches([batch]) for batch in source.batches())
    assert back["T"].to_pylist() == frame["T"].to_list()
    assert 100 * rows < max(written) < 4 * 100 * rows


def test_a_frame_that_waits_may_begin_with_an_empty_batch() -> None:
    """Its views are spooled as plain strings as well."""
    texts = pa.array(["x", None], pa.string_view())
    batch = pa.record_batch({"A": pa.nulls(2), "T": texts})
    frames = [
        pa.Table.from_batches([batch.slice(2), batch]),
        pa.table({"A": [1, 2], "T": texts}),
    ]
    batches = list(read(iter(frames)).batches())
    back = pa.Table.from_batches(batches).to_pydict()
    assert back == {"A": [None, None, 1, 2], "T": ["x", None] * 2}


WIDE = 2**100


@pytest.mark.parametrize("first", [pl.Int64, pl.Int128, pl.UInt64])
@pytest.mark.parametrize("rename", [None, "upper_snake"])
def test_wide_integers_in_a_later_frame(
    first: Any, rename: Any, server: Any, connection: Celonis, table: str
) -> None:
    """`columns=` decides what fits: any integer as STRING or FLOAT, 64 bits as INTEGER."""
    name = "c" if rename else "C"

    def frames(last: int) -> Any:
        return iter([pl.DataFrame({name: [7]}, schema={name: first}),
                     pl.DataFrame({name: [last]}, schema={name: pl.Int128})])  # fmt: skip

    stored = {"STRING": ["7", str(WIDE)], "FLOAT": [7.0, float(WIDE)]}
    for kind, values in stored.items():
        connection.push(
            frames(WIDE), "Frames", table, mode="REPLACE", columns={"C": kind}, rename=rename
        )  # type: ignore[call-overload,unused-ignore]
        assert server.table("Frames", table)["C"].to_pylist() == values
    connection.push(frames(-8), "Frames", table, mode="REPLACE", rename=rename)
    assert server.table("Frames", table)["C"].to_pylist() == [7, -8]
    with pytest.raises(exceptions.ColumnTypeError, match="STRING"):
        connection.push(frames(WIDE), "Frames", table, mode="REPLACE", rename=rename)
