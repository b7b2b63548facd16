"""Frames are read once, while they are sent: lengths, restarts, the order of rows, late errors."""

from __future__ import annotations

import collections
import io
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from celonis_frames import Celonis, exceptions, push_many
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import TableColumn
from celonis_frames._arrow import batching
from celonis_frames._frames.chunk_feed import TextsOutgrown
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.text_length import MAX_TEXT_LENGTH
from celonis_frames._staging import spool

POOL, ROWS = "Reading", 60_000
UPLOAD = {"chunk_bytes": "300 kB"}

Make = Callable[[pl.DataFrame, Path], Any]


@pytest.fixture(autouse=True)
def several_batches(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:  # noqa: ARG001
    """Batches are so small that these frames have several."""
    monkeypatch.setattr(batching, "BATCH_ROWS", 9_000)


def _fill_disk(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Let every chunk go to the disk, which has this many bytes left for a file."""
    append = spool._SpoolFile.append

    def limited(self: Any, chunk: Any) -> Any:
        if self.size + chunk.size > room:
            raise OSError(28, "No space left on device")
        return append(self, chunk)

    monkeypatch.setattr(spool._SpoolFile, "append", limited)
    monkeypatch.setattr(spool.MemoryBudget, "take", lambda *_: False)


def _pieces(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return iter([frame[start : start + 7_000] for start in range(0, frame.height, 7_000)])


def _file(frame: pl.DataFrame, folder: Path) -> Path:
    frame.write_parquet(folder / "rows.parquet", compression="zstd", row_group_size=9_000)
    return folder / "rows.parquet"


def _objects(frame: pl.DataFrame) -> pd.DataFrame:
    return frame.to_pandas().astype({"T": object})


ONCE: dict[str, Make] = {
    "objects": lambda frame, _: _objects(frame),
    "lazy": lambda frame, _: frame.lazy(),
    "dataset": lambda frame, folder: ds.dataset(_file(frame, folder)),
    "reader": lambda frame, _: frame.to_arrow().to_reader(7_000),
    "generator": lambda frame, _: _pieces(frame),
}
"""Frames whose text lengths only a whole reading shows."""

KINDS: dict[str, Make] = ONCE | {
    "polars": lambda frame, _: frame,
    "pandas": lambda frame, _: frame.to_pandas(use_pyarrow_extension_array=True),
    "arrow": lambda frame, _: frame.to_arrow(),
    "category": lambda frame, _: frame.with_columns(pl.col("T").cast(pl.Categorical)),
    "file": lambda frame, folder: str(_file(frame, folder)),
}


def _frame(rows: int = ROWS, last: str = "the last") -> pl.DataFrame:
    noise = random.Random(rows)  # noqa: S311  # the same each time
    texts = [f"{noise.randbytes(8).hex()} ä" for _ in range(rows - 1)]
    return pl.DataFrame({"N": range(rows), "T": [*texts, last], "V": [n / 7 for n in range(rows)]})


def _jobs(server: Any, table: str) -> list[Any]:
    """The jobs of a table, in the order of their creation."""
    return [job for job in reversed(server.jobs) if job["targetName"] == table]


def _length(job: Any, name: str) -> int:
    columns = job["tableSchema"]["columns"]
    return int(next(c["fieldLength"] for c in columns if c["columnName"] == name))


def _same_rows(server: Any, table: str, frame: pl.DataFrame) -> bool:
    stored = pl.from_arrow(server.table(POOL, table))
    assert isinstance(stored, pl.DataFrame)
    return stored.sort("N").equals(frame.sort("N"))


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("kind", "keys"), [*((kind, None) for kind in KINDS), ("lazy", "N"), ("polars", "N")]
)
def test_a_longest_string_in_the_last_row(
    kind: str, keys: str | None, connection: Celonis, server: Any, table: str, tmp_path: Path
) -> None:
    """It is stored whole, whatever was declared for the first rows; one job is made again."""
    frame = _frame(last="ö" * 5_000)
    made = KINDS[kind](frame, tmp_path)
    status = connection.push(made, POOL, table, mode="REPLACE", keys=keys, upload=UPLOAD)
    assert _same_rows(server, table, frame)
    assert status.rows == ROWS
    assert status.restarts == (kind in ONCE)
    assert f'"restarts": {status.restarts}' in str(status.to_dict()).replace("'", '"')
    jobs = _jobs(server, table)
    assert [job["status"] for job in jobs] == ["CANCELED"] * status.restarts + ["DONE"]
    assert _length(jobs[-1], "T") == 5_120
    assert _length(jobs[0], "T") == (320 if status.restarts else 5_120)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", ["objects", "lazy", "generator"])
@pytest.mark.parametrize("fault", ["500", "drop", "lost"])
def test_a_restart_under_faults(
    kind: str, fault: str, connection: Celonis, server: Any, table: str, tmp_path: Path
) -> None:
    """Every row is there once, and no job is left open."""
    frame = _frame(last="x" * 400)
    if fault == "500":
        server.faults.answer("upload", 503, times=4)
        server.faults.answer("create", 503, times=2, skip=1)
    else:
        server.faults.drop("upload", when="body" if fault == "drop" else "after", times=2, skip=1)
    try:
        made = ONCE[kind](frame, tmp_path)
        status = connection.push(made, POOL, table, mode="REPLACE", upload=UPLOAD)
    finally:
        server.faults.clear()
    assert status.restarts == 1
    assert _same_rows(server, table, frame)
    assert [job["status"] for job in _jobs(server, table)].count("DONE") == 1


def test_restarts_of_several_tables(connection: Celonis, server: Any) -> None:
    """Each table has its own."""
    frames = {f"many_{last}": _frame(30_000, "x" * last) for last in (10, 500, 3_000)}
    lazy = {table: frame.lazy() for table, frame in frames.items()}
    done = push_many(lazy, POOL, mode="REPLACE", upload=UPLOAD, client=connection)
    assert [done[table].restarts for table in frames] == [0, 1, 1]
    assert all(_same_rows(server, table, frame) for table, frame in frames.items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_in_the_last_row_that_cannot_be_stored(
    kind: str, connection: Celonis, server: Any, table: str, tmp_path: Path
) -> None:
    """Nothing is executed, the table is untouched, and the error counts over all rows."""
    frame = _frame(last="NUL \0")
    with pytest.raises(exceptions.ColumnTypeError, match="'T' has 1 string with a NUL"):
        connection.push(KINDS[kind](frame, tmp_path), POOL, table, upload=UPLOAD)
    assert {job["status"] for job in _jobs(server, table)} <= {"CANCELED"}
    with pytest.raises(KeyError):
        server.table(POOL, table)


def test_a_generator_that_fails_at_the_end(connection: Celonis, server: Any, table: str) -> None:
    """Its own error is raised; the job is cancelled."""

    def rows() -> Iterator[pl.DataFrame]:
        yield from _pieces(_frame())
        raise LookupError("the source is gone")

    with pytest.raises(LookupError, match="the source is gone"):
        connection.push(rows(), POOL, table, upload=UPLOAD)
    assert {job["status"] for job in _jobs(server, table)} <= {"CANCELED"}


def test_bytes_leave_before_the_last_row_is_read(
    connection: Celonis, server: Any, table: str
) -> None:
    """The first chunk is in the job while the frame still yields rows."""
    arrived: list[int] = []

    def rows() -> Iterator[pl.DataFrame]:
        yield from _pieces(_frame())
        end = time.monotonic() + 20
        while not arrived and time.monotonic() < end:
            time.sleep(0.01)
            for job in _jobs(server, table):
                arrived.extend([1] * len(connection._api.checksums(job["dataPoolId"], job["id"])))
        yield _frame(100)

    assert connection.push(rows(), POOL, table, upload=UPLOAD).rows == ROWS + 100
    assert arrived


def test_a_query_is_run_once(connection: Celonis, server: Any, table: str) -> None:
    """Also with keys, whose order is only known at the end, and after a restart."""
    runs: list[int] = []

    def rows(_: pl.DataFrame) -> pl.DataFrame:
        runs.append(1)
        return _frame(last="x" * 500)

    frame = pl.LazyFrame({"A": [0]}).map_batches(rows, schema=_frame(2).schema)
    status = connection.push(frame, POOL, table, mode="REPLACE", keys="N", upload=UPLOAD)
    assert (status.rows, status.restarts, len(runs)) == (ROWS, 1, 1)
    assert server.table(POOL, table).num_rows == ROWS


def test_rows_of_a_database_cursor(connection: Celonis, table: str) -> None:
    """Which insists on the thread that made it: the caller's."""
    with sqlite3.connect(":memory:") as database:
        cursor = database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) "
            "SELECT i, 'text ' || i FROM n"
        )

        def rows() -> Iterator[pa.Table]:
            while found := cursor.fetchmany(5_000):
                yield pa.table({"I": [row[0] for row in found], "S": [row[1] for row in found]})

        assert connection.push(rows(), POOL, table, upload=UPLOAD).rows == 50_000
    database.close()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("characters", "fits"), [(80, True), (81, False)])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_bound_characters(
    kind: str, characters: int, fits: bool, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """A text of fewer characters than its column has, but more bytes, is no error."""
    connection.push(_frame(10), POOL, table, keys="N")
    made = KINDS[kind](_frame(50_000, "ä" * characters), tmp_path)
    if fits:
        assert connection.push(made, POOL, table, keys="N", upload=UPLOAD).restarts == 0
        return
    with pytest.raises(exceptions.TruncationError, match=r"81 characters.*its length is 80"):
        connection.push(made, POOL, table, keys="N", upload=UPLOAD)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("kind", "upload"),
    [*((kind, UPLOAD) for kind in KINDS), *((k, {}) for k in ("lazy", "polars"))],
)
def test_the_last_row_with_a_key_wins(
    kind: str, upload: Any, connection: Celonis, server: Any, table: str, tmp_path: Path
) -> None:
    """In the order of the frame, whatever it is, and however its chunks are made."""
    frame = _frame(120_000).with_columns(pl.col("N") // 40 * 7 % 1_000, ROW=pl.int_range(120_000))
    expected = frame.group_by("N").agg(pl.col("ROW").max()).sort("N")
    made = KINDS[kind](frame, tmp_path)
    status = connection.push(made, POOL, table, mode="REPLACE", keys="N", upload=upload)
    found = server.sql(f'SELECT "N", "ROW" FROM "{POOL}"."{table}" ORDER BY "N"')
    assert pl.from_arrow(found).equals(expected)  # type: ignore[union-attr]
    assert any("the last is kept" in warning for warning in status.warnings)


@pytest.mark.parametrize("last", [10, 1_000])
@pytest.mark.parametrize("kind", ["objects", "lazy", "dataset"])
def test_a_full_disk_only_costs_time(
    kind: str,
    last: int,
    connection: Celonis,
    server: Any,
    table: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A frame that can be read again goes on without the spool, and is read again if need be."""
    _fill_disk(monkeypatch, 700_000)
    frame = _frame(last="x" * last)
    made = ONCE[kind](frame, tmp_path)
    status = connection.push(made, POOL, table, mode="REPLACE", upload=UPLOAD)
    assert status.restarts == (last > 320)
    assert _same_rows(server, table, frame)


def test_a_full_disk_and_a_job_that_was_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lengths stay estimates, so a string that is longer is no change of the frame."""
    _fill_disk(monkeypatch, 0)
    prepared = prepare(_frame(last="x" * 1_000).lazy(), "T", PushOptions.parse(upload=UPLOAD))
    prepared.begin()
    assert prepared.lengths() == {"T": 320}
    first = prepared.chunks()
    next(first).release()
    first.close()  # the job is replaced
    assert prepared.lengths() == {"T": 320}
    with pytest.raises(TextsOutgrown):
        collections.deque((chunk.release() for chunk in prepared.chunks()), maxlen=0)
    assert prepared.lengths() == {"T": 1_280}
    rows = 0
    for chunk in prepared.chunks():
        rows += chunk.rows
        chunk.release()
    assert rows == ROWS
    prepared.close()


def test_chunks_stay_until_they_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the disk was full, and the last one is taken before the first one is stored."""
    _fill_disk(monkeypatch, 700_000)
    frame = _frame()
    prepared = prepare(frame.lazy(), "T", PushOptions.parse(upload=UPLOAD | {"workers": 4}))
    prepared.begin()
    prepared.lengths()
    taken = list(prepared.chunks())
    read = [pq.read_table(io.BytesIO(b"".join(chunk.blocks()))) for chunk in taken]
    assert pl.from_arrow(pa.concat_tables(read).select(["N"])).sort("N").equals(frame.select("N"))  # type: ignore[union-attr]
    prepared.close()


@pytest.mark.parametrize("kind", ["reader", "generator"])
def test_a_full_disk_ends_a_stream(
    kind: str, connection: Celonis, server: Any, table: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It can be read only once: nothing is executed, and the error says where room is needed."""
    _fill_disk(monkeypatch, 0)
    with pytest.raises(exceptions.FrameError, match=r"No space left.*TMPDIR.*staging="):
        connection.push(ONCE[kind](_frame(), tmp_path), POOL, table, upload=UPLOAD)
    assert {job["status"] for job in _jobs(server, table)} <= {"CANCELED"}


@pytest.mark.parametrize("kind", ONCE)
def test_what_is_declared_is_at_most_four_times_what_plan_says(
    kind: str, connection: Celonis, server: Any, table: str, tmp_path: Path
) -> None:
    """The estimate by the first rows leaves room for two more steps, no more."""
    connection.push(ONCE[kind](_frame(), tmp_path), POOL, table, mode="REPLACE", upload=UPLOAD)
    (job,) = _jobs(server, table)
    assert 80 <= _length(job, "T") <= 4 * 80


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", KINDS)
def test_a_table_with_longer_texts_than_a_job_can_declare(
    kind: str, connection: Celonis, server: Any, table: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As one that another tool has made: what is declared is what a job may have."""
    columns = [TableColumn("N", "INTEGER", None), TableColumn("T", "STRING", 8_000_000)]
    monkeypatch.setattr(DataPushApi, "columns", lambda *_, **__: columns)
    connection.push(KINDS[kind](_frame(), tmp_path), POOL, table, upload=UPLOAD)
    (job,) = _jobs(server, table)
    assert _length(job, "T") in (80, MAX_TEXT_LENGTH)


@pytest.mark.parametrize("mixed", [False, True])
def test_strings_of_files_that_are_sent_unchanged_are_too_long_for_the_table(
    mixed: bool, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """The error is about them, although no other rows are read."""
    connection.push(_frame(10), POOL, table, keys="N")
    sent = _frame(50_000, "x" * 200).select("N", "T", "V").to_arrow()
    for name in "ab":
        pq.write_table(  # as Spark does
            sent.cast(pa.schema([("N", pa.int64()), ("T", pa.string()), ("V", pa.float64())])),
            tmp_path / f"{name}.parquet",
            compression="snappy",
        )
    if mixed:
        pq.write_table(_frame(50_000).to_arrow(), tmp_path / "c.parquet", compression="zstd")
    with pytest.raises(exceptions.TruncationError, match=r"200 characters.*its length is 80"):
        connection.push(tmp_path, POOL, table, keys="N")


def test_files_that_change_between_the_two_readings(tmp_path: Path) -> None:
    """Strings longer than the text columns had are an error that says so."""
    prepared = prepare(str(_file(_frame(), tmp_path)), "T", PushOptions.parse(upload=UPLOAD))
    prepared.begin()
    assert prepared.lengths() == {"T": 80}
    prepared._lengths = {"T": 10}
    with pytest.raises(exceptions.FrameError, match="changed between two readings"):
        collections.deque((chunk.release() for chunk in prepared.chunks()), maxlen=0)
    prepared.close()
