"""What arrives is what was sent: frames of every type, through HTTP into DuckDB and back.

`CELONIS_FRAMES_EXAMPLES` says how many columns, of which 20 make a frame: 1,260 are always run,
40,020 (2,001 frames) in CI, and more by hand:
`CELONIS_FRAMES_EXAMPLES=100000 pytest tests/integration/test_roundtrip.py -k every`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import equal, physical

from celonis_frames import ApiKey, Celonis, exceptions, plan
from celonis_frames._encoding.chunking import encode
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.table_layout import build_layout
from celonis_frames._sources.reader import read

COLUMNS = 20
EXAMPLES = int(os.environ.get("CELONIS_FRAMES_EXAMPLES", "1260"))
LIBRARIES = ("arrow", "polars", "pandas")
ROWS = 5

Store = Callable[[Any, dict[str, Any]], pa.Table]
"""Pushes a frame into an empty table; the table as it is stored then."""

PROPERTY = {
    "suppress_health_check": list(HealthCheck),
}


pytestmark = [
    pytest.mark.usefixtures("impatient"),
    # It would hide the failure that is being reported.
    pytest.mark.filterwarnings("ignore:Generating overly large repr"),
]


@pytest.fixture
def objects(server: Any, table: str) -> Iterator[tuple[Celonis, str]]:
    """A connection that stores objects, and the pool of its own in which they are loaded."""
    pool = f"Objects of {table}"
    keys = server.ingestion(pool, tables={table: {}})
    with Celonis(server.url, auth=ApiKey(server.token), ingestion=keys) as celonis:
        yield celonis, pool


def _by_job(server: Any, connection: Celonis, table: str) -> Store:
    def store(frame: Any, options: dict[str, Any]) -> pa.Table:
        connection.push(frame, "Roundtrip", table, mode="REPLACE", **options)
        return server.table("Roundtrip", table)

    return store


def _by_object(server: Any, celonis: Celonis, pool: str, table: str) -> Store:
    def store(frame: Any, options: dict[str, Any]) -> pa.Table:
        # This way only appends: each frame gets a table of its own.
        name = f"{table}_{uuid.uuid4().hex[:8]}"
        keys = server.ingestion(pool, tables={name: {}})
        celonis.push(frame, pool, name, via="ingestion", **options)
        server.wait_ingested()
        return server.table(pool, name, connection=keys.connection)

    return store


@pytest.mark.sampled(3)
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_type_of_every_library_arrives_as_documented(
    library: str, server: Any, connection: Celonis, table: str
) -> None:
    """Each column is stored as the oracle says, or rejected before anything is sent."""
    _check_every_type(
        library, table, ["PARQUET", "PARQUET", "CSV"], _by_job(server, connection, table)
    )


@pytest.mark.sampled(3)
@pytest.mark.parametrize("library", LIBRARIES)
def test_every_type_arrives_as_documented_in_objects(
    library: str, server: Any, objects: tuple[Celonis, str], table: str
) -> None:
    """The Data Ingestion API stores the same values, by the same oracle, however a frame is read.

    Frames in memory are read twice, unless they are a small chunk.
    """
    store = _by_object(server, *objects, table)
    _check_every_type(library, table, ["PARQUET"], store, sizes=[*[None] * 7, "400 B"])


def _check_every_type(
    library: str, table: str, file_types: list[str], store: Store, sizes: Sequence[str | None] = ()
) -> None:
    @settings(max_examples=max(1, EXAMPLES // COLUMNS // len(LIBRARIES)), **PROPERTY)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        file_type: Any = data.draw(st.sampled_from(file_types))
        upload = {"file_type": file_type}
        if sizes:
            upload["chunk_bytes"] = data.draw(st.sampled_from(sizes))
        options = {"binary": "hex", "upload": upload}
        drawn = data.draw(
            st.lists(strategies.any_column(library, ROWS), min_size=COLUMNS, max_size=COLUMNS)
        )
        number = strategies.numbers(library, ROWS)
        sent, expected = {"N": number}, {"N": list(range(ROWS))}
        for place, column in enumerate(drawn):
            name = f"C{place}"
            stored = column.stored(file_type)
            alone = strategies.frame(library, {"N": number, name: column.column})
            if stored is strategies.REJECTED:
                with pytest.raises(exceptions.FrameError, match=name):
                    plan(alone, "P", table, **options)
            else:
                assert plan(alone, "P", table, **options).rows == ROWS, column.kind
                values = column.column
                sent[name] = data.draw(strategies.cut(values)) if library == "arrow" else values
                expected[name] = stored
        whole = strategies.frame(library, sent)
        back = store(whole, options)
        assert back.schema.names == list(expected)
        order = back["N"].to_pylist()
        for name, values in expected.items():
            got = physical(back[name])
            kind = name if name == "N" else drawn[int(name[1:])].kind
            for row, place in enumerate(order):
                assert equal(got[row], values[place]), (kind, file_type, got[row], values[place])

    check()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("library", LIBRARIES)
def test_chunk_boundaries_change_nothing(
    library: str, server: Any, connection: Celonis, table: str
) -> None:
    """Whatever chunk_bytes is, from one row a chunk to all in one, the table is the same."""

    @settings(max_examples=6, **PROPERTY)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        rows = data.draw(st.integers(1, 8))
        file_type: Any = data.draw(st.sampled_from(["PARQUET", "CSV"]))
        drawn = data.draw(st.lists(strategies.any_column(library, rows), min_size=6, max_size=6))
        good = {f"C{i}": c.column for i, c in enumerate(drawn)
                if c.stored(file_type) is not strategies.REJECTED}  # fmt: skip
        frame = strategies.frame(library, {"N": strategies.numbers(library, rows)} | good)
        tables = []
        for chunk_bytes in ("1 B", f"{data.draw(st.integers(1, 2_000))} B", None):
            status = connection.push(
                frame,
                "Roundtrip",
                table,
                mode="REPLACE",
                upload={"chunk_bytes": chunk_bytes, "file_type": file_type},
                binary="hex",
            )
            if chunk_bytes == "1 B":
                assert status.chunks == rows
            back = server.table("Roundtrip", table).sort_by("N")
            tables.append({name: physical(back[name]) for name in back.schema.names})
        for other in tables[1:]:
            for name, values in other.items():
                assert all(map(equal, values, tables[0][name])), name

    check()


def _sent(frame: Any, unit: str) -> list[int | None]:
    """The times of column A in the chunks of a push, as they are in the file."""
    source = read(frame)
    shape = build_layout(source.schema, (), ConversionOptions())
    found = []
    for chunk in encode((shape.convert(batch) for batch in source.batches()), shape.encoded_schema):
        file = pq.read_table(
            pa.BufferReader(b"".join(chunk.blocks())), coerce_int96_timestamp_unit=unit
        )
        assert (
            pq.ParquetFile(pa.BufferReader(b"".join(chunk.blocks()))).schema.column(0).physical_type
            == "INT96"
        )
        found += file["A"].cast(pa.int64()).to_pylist()
    return found


NANOSECONDS = [*range(-3, 3), 2**63 - 1, -(2**63) + 1, 1_709_208_000_123_456_789]
WRITES_EARLY_TIMES = int(pa.__version__.split(".")[0]) >= 23
"""Older versions write times of day before 1970 as other readers do not expect: rejected."""


@pytest.mark.parametrize("zone", [None, "Asia/Kolkata"])
@pytest.mark.parametrize("library", ["arrow", "polars", "pandas", "pandas objects"])
def test_nanoseconds_are_in_the_file(library: str, zone: str | None) -> None:
    """INT96 holds every nanosecond of every library, and a warning counts them."""
    counts = NANOSECONDS[:5] + NANOSECONDS[-1:] if library == "pandas objects" else NANOSECONDS
    counts = [n for n in counts if n >= 0 or WRITES_EARLY_TIMES]
    array = pa.array(counts).cast(pa.timestamp("ns", zone))
    column = {
        "arrow": lambda: pa.table({"A": array}),
        "polars": lambda: pl.DataFrame({"A": pl.Series(counts).cast(pl.Datetime("ns", zone))}),
        "pandas": lambda: array.to_pandas().to_frame("A"),
        "pandas objects": lambda: pd.DataFrame(
            {"A": pd.Series([pd.Timestamp(n, tz=zone) for n in counts], dtype=object)}
        ),
    }[library]()
    assert _sent(column, "ns") == counts
    warnings = [text for text in plan(column, "P", "T").warnings if "UTC instant" not in text]
    (warning,) = warnings
    assert f"{len([n for n in counts if n % 1000])} times with nanoseconds" in warning


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_all_times_that_int96_holds(
    unit: str, server: Any, connection: Celonis, table: str
) -> None:
    """From the first day of INT96 to DuckDB's last microsecond, file and table hold them."""
    per = strategies.PER_SECOND[unit]
    edges = [strategies.INT96_FIRST, -62_135_596_800_000_000, 253_402_300_799_999_999,
             9_223_372_036_854_775_806]  # fmt: skip
    counts = [n * per // 10**6 for n in edges]
    frame = pa.table({"A": pa.array(counts).cast(pa.timestamp(unit))})
    micros = [n * 10**6 // per for n in counts]
    assert _sent(frame, "us") == micros
    connection.push(frame, "Roundtrip", table, mode="REPLACE")
    assert sorted(physical(server.table("Roundtrip", table)["A"])) == micros
    before = pa.table({"A": pa.array([counts[0] - 1]).cast(pa.timestamp(unit))})
    problem = "1 time outside" if WRITES_EARLY_TIMES else "1 time (outside|of day before 1970)"
    with pytest.raises(exceptions.ColumnTypeError, match=problem):
        plan(before, "P", "T")


def test_a_null_alone_in_its_row_is_not_lost_in_csv(connection: Celonis) -> None:
    """Nulls in a frame of one column would be empty lines, so it is rejected; others are not."""
    frame = pl.DataFrame({"A": ["x", None]})
    with pytest.raises(exceptions.FrameError, match=r"1 null,.*empty line"):
        connection.push(frame, "Roundtrip", "T", upload={"file_type": "CSV"})
    assert plan(frame, "P", "T").rows == 2
    assert plan(frame.drop_nulls(), "P", "T", upload={"file_type": "CSV"}).rows == 1
