"""Frames of every shape: names, sizes, views, slices, threads, several frames in one push."""

from __future__ import annotations

import datetime as dt
import decimal
import subprocess
import sys
import tempfile
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
from celonis_frames._arrow.extension_types import views_fit
from celonis_frames._push.options import PushOptions
from celonis_frames._push.prepared_frame import prepare
from celonis_frames._sources.reader import read
from celonis_frames._validation.key_counter import DuplicateKeyCounter

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
        _rich(kind, tmp_path), POOL, table, mode="REPLACE", file_type=file_type, binary="hex"
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
        connection.push(frame, POOL, table, binary="hex", mode="REPLACE", file_type=file_type)
        connection.push(arrow, POOL, table, binary="hex", mode="REPLACE", file_type=file_type)
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
    connection.push(frame, POOL, table, mode="REPLACE", file_type=file_type)
    back = server.table(POOL, table)
    assert back.num_columns == 2_000
    assert sorted(back["C1999"].to_pylist(), key=str) == [1999, None]


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
    status = connection.push(empty, POOL, table, mode="REPLACE", file_type=file_type, binary="hex")
    assert (status.rows, status.chunks) == (0, 1)
    back = server.table(POOL, table)
    assert (back.num_rows, back.schema.names) == (0, RICH.schema.names)
    assert plan(RICH.slice(0, 0), POOL, table, mode="REPLACE", binary="hex").rows == 0
    with pytest.raises(exceptions.FrameError, match=r"no rows.*REPLACE"):
        connection.push(RICH.slice(0, 0), POOL, table, binary="hex")
    with pytest.raises(exceptions.FrameError, match="no rows"):
        connection.delete(RICH.slice(0, 0), POOL, table, keys="N")


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


def test_repeated_keys_are_counted(connection: Celonis, table: str) -> None:
    """A warning counts the rows that share a key, of which one is kept."""
    frame = pl.DataFrame({"A": [1, 1, 2, 1], "B": ["x", "x", "x", "y"], "V": [1, 2, 3, 4]})
    status = connection.push(frame, POOL, table, keys=["A", "B"])
    assert [w for w in status.warnings if "4 rows, 1 have the key of another row" in w]
    assert connection.push(frame.unique(["A", "B"]), POOL, table, keys=["A", "B"]).warnings == ()
    assert connection.push(frame, POOL, table, keys="A", deduplicate_by="V").warnings == ()
    assert connection.delete(frame, POOL, table, keys="A").warnings == ()


@pytest.mark.parametrize("rows", [1, 1_000, 300_000])
def test_keys_are_counted_exactly_whatever_the_pieces(rows: int) -> None:
    """The counter finds every repeated key, however the rows are sliced."""
    numbers = pa.array(np.random.default_rng(rows).integers(0, 2 * rows, rows))
    texts = numbers.cast(pa.string()).dictionary_encode()
    counter = DuplicateKeyCounter()
    for start in range(0, rows, 65_536):
        counter.update([numbers.slice(start, 65_536), texts.slice(start, 65_536)])
    assert counter.repeated == rows - len(numbers.unique())
    assert counter.complete


def test_key_counting_ends_where_memory_would_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the warning says how many rows were counted."""
    monkeypatch.setattr("celonis_frames._validation.key_counter.LIMIT_BYTES", 1_000_000)
    frame = pa.table({"A": pa.array([*range(1_000_000), 0])})
    (warning,) = plan(frame, POOL, "T", keys="A").warnings
    assert "not counted" in warning
    assert "of 1,000,001 rows" in warning


NAMES: list[tuple[str, Any, str]] = [
    ("twice", pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), "'a'"),
    ("blank", pl.DataFrame({" ": [1]}), "empty name"),
    ("no text", pd.DataFrame({0: [1]}), r"named 0 \(int\)"),
    ("None", pd.DataFrame([[1]], columns=[None]), "NoneType"),
    ("levels", pd.DataFrame({("a", "b"): [1]}), "MultiIndex"),
    ("128 bytes", pl.DataFrame({"ä" * 65: [1]}), "130 bytes"),
    ("control", pl.DataFrame({"a\nb": [1]}), "control"),
    ("index and column", pd.DataFrame({"A": [1]}, index=pd.Index([1], name="A")), "'A'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "message"), [case[1:] for case in NAMES], ids=[case[0] for case in NAMES]
)
def test_names_that_celonis_cannot_hold(frame: Any, message: str) -> None:
    """A bad name is rejected, and the message says what is wrong."""
    with pytest.raises(exceptions.ColumnNameError, match=message):
        plan(frame, POOL, "T")


def test_odd_names_arrive(server: Any, connection: Celonis, table: str) -> None:
    """Names of real event logs, with quotes, commas and colons, are stored, for both file types."""
    names = ["case:concept:name", "(case)_Amount", 'say "x"', "a,b", "it's", "ä" * 64, "\ufeffB"]
    for file_type in ("PARQUET", "CSV"):
        frame = pl.DataFrame({name: ["x", "y"] for name in names})
        connection.push(frame, POOL, table, mode="REPLACE", file_type=file_type)
        assert server.table(POOL, table).schema.names == names


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
        with pytest.raises(exceptions.ColumnTypeError, match=r"'A'.*frame 2"):
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


@pytest.mark.parametrize("lazy", [False, True])
def test_names_that_look_like_patterns(lazy: bool) -> None:
    """Names that polars would take for patterns."""
    texts, numbers = {"*": ["x", "y"], "^a$": ["b", None]}, {"^.*$": [1, 2], "N": [0, 1]}
    wide = pl.Series("^.W$", [2**100, 1], pl.Int128)
    frame = pl.DataFrame([*(pl.Series(*one) for one in (texts | numbers).items()), wide])
    got = pa.Table.from_batches(list(read(frame.lazy() if lazy else frame).batches()))
    assert got.schema.names == frame.columns
    assert got.column("*").to_pylist() == ["x", "y"]
    assert got.column("^a$").to_pylist() == ["b", None]
    assert got.column("^.*$").to_pylist() == [1, 2]
    assert got.column("^.W$").to_pylist() == [str(2**100), "1"]


def _ranges(batches: Any) -> list[tuple[int, int]]:
    """Memory addresses of the values of these batches, without the validity bitmaps."""
    return [
        (buffer.address, buffer.address + buffer.size)
        for batch in batches
        for column in batch.columns
        for buffer in filter(None, column.buffers()[1:])
    ]


@pytest.mark.parametrize("kind", ["table", "pandas", *["polars"] * views_fit()])
def test_arrow_and_polars_are_never_copied(kind: str) -> None:
    """The batches are slices of the frame's own memory."""
    rows = 300_000
    table = pa.table(
        {
            "T": pa.array([f"a text of more than twelve characters {n}" for n in range(rows)]),
            "D": pa.array(["a", "b", None] * (rows // 3)).dictionary_encode(),
            "N": pa.array(range(rows), pa.int64()),
            "F": pa.array(range(rows), pa.float64()),
            "W": pa.array(range(rows), pa.timestamp("us")),
        }
    )
    if kind == "table":
        frame, own = table, _ranges(table.to_batches())
    elif kind == "polars":
        frame = pl.from_arrow(table.drop_columns(["D"]))
        own = _ranges(frame.to_arrow(compat_level=pl.CompatLevel.newest()).to_batches())
    else:
        frame = table.select(["T"]).to_pandas(types_mapper=pd.ArrowDtype)
        own = _ranges([table.select(["T"]).combine_chunks().to_batches()[0]])
    prepared = prepare(frame, "T", PushOptions())
    written = [prepared.layout.convert(batch) for batch in prepared.source.batches()]
    assert len(written) > 1
    assert sum(batch.num_rows for batch in written) == rows
    for begin, end in _ranges(written):
        assert any(first <= begin and end <= last for first, last in own)


def test_a_frame_of_one_library_does_not_import_the_other() -> None:
    """An import takes longer than a small push."""
    code = (
        "import sys, polars, celonis_frames\n"
        "from celonis_frames._push.options import PushOptions\n"
        "from celonis_frames._push.prepared_frame import prepare\n"
        "texts = {'A': ['x', None], 'B': ['a text of more than twelve characters', None]}\n"
        "frame = polars.DataFrame(texts | {'N': [1, 2], 'F': [0.5, 1]})\n"
        "for one in (frame, frame.lazy()):\n"
        "    prepared = prepare(one, 'T', PushOptions())\n"
        "    prepared.check()\n"
        "    [chunk.release() for chunk in prepared.chunks()]\n"
        "sys.exit('pandas' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
