"""push and delete against the local server: every kind of frame, every mode."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import celonis_frames
from celonis_frames import ApiKey, Celonis, Column, Upload, exceptions
from celonis_frames.exceptions import JobFailed

POOL = "Tests"

SMALL = pa.table(
    {
        "ID": pa.array([1, 2, 3], pa.int64()),
        "TEXT": ["a", None, "ä" * 100],
        "AT": pa.array([dt.datetime(2024, 2, 29, 1, 2, 3, 4), None, dt.datetime(9999, 12, 31)]),
        "AMOUNT": [1.5, None, -0.25],
        "FLAG": [True, None, False],
    }
)


def _frames(folder: Path) -> dict[str, Any]:
    pq.write_table(SMALL.slice(0, 2), folder / "part-0.parquet")
    pq.write_table(SMALL.slice(2), folder / "part-1.parquet")
    polars_frame = pl.from_arrow(SMALL)
    assert isinstance(polars_frame, pl.DataFrame)
    return {
        "pandas": SMALL.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get),
        "pandas arrow": SMALL.to_pandas(types_mapper=pd.ArrowDtype),
        "polars": polars_frame,
        "lazy": polars_frame.lazy(),
        "table": SMALL,
        "batch": SMALL.to_batches()[0],
        "reader": SMALL.to_reader(),
        "dataset": ds.dataset(SMALL),
        "duckdb": duckdb.sql("FROM SMALL"),
        "generator": (SMALL.slice(row, 1) for row in range(3)),
        "list of frames": [polars_frame.head(1), SMALL.slice(1)],
        "folder": folder,
        "glob": str(folder / "*.parquet"),
        "url": f"file://{folder}/*.parquet",
        "files": [str(folder / "part-0.parquet"), folder / "part-1.parquet"],
    }


KINDS = (
    "pandas", "pandas arrow", "polars", "lazy", "table", "batch", "reader", "dataset", "duckdb",
    "generator", "list of frames", "folder", "glob", "url", "files",
)  # fmt: skip


@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_frame_gives_the_same_table(
    kind: str, file_type: Any, tmp_path: Path, server: Any, connection: Celonis, table: str
) -> None:
    """Every kind of frame, as Parquet and as CSV, gives a table with the same values."""
    frame = _frames(tmp_path)[kind]
    status = connection.push(frame, POOL, table, mode="REPLACE", upload={"file_type": file_type})
    assert (status.state, status.ok, status.done, status.rows) == ("DONE", True, True, 3)
    back = server.table(POOL, table)
    assert back.schema.names == SMALL.schema.names
    assert back.sort_by("ID").to_pylist() == SMALL.to_pylist()


def test_delta_upserts_on_keys_and_appends_without(
    server: Any, connection: Celonis, table: str
) -> None:
    """DELTA with keys replaces rows with equal keys and adds others; without keys it appends."""
    first = pl.DataFrame({"K": [1, 2], "V": ["old", "old"]})
    second = pl.DataFrame({"K": [2, 3], "V": ["new", "new"]})
    connection.push(first, POOL, table, mode="REPLACE", keys="K")
    connection.push(second, POOL, table, mode="delta", keys=["K"])
    rows = server.table(POOL, table).sort_by("K").to_pydict()
    assert rows == {"K": [1, 2, 3], "V": ["old", "new", "new"]}
    connection.push(second, POOL, table)
    assert server.table(POOL, table).num_rows == 5


def test_delete_sends_only_the_keys(server: Any, connection: Celonis, table: str) -> None:
    """`delete` removes the rows with these keys; other columns need not be storable."""
    connection.push(pd.DataFrame({"K": [1, 2, 3], "V": list("abc")}), POOL, table, keys="K")
    gone = pl.DataFrame({"K": [1, 3, 9], "NESTED": [[1], [2], [3]]})
    status = connection.delete(gone, POOL, table, keys="K")
    assert status.rows == 3
    assert server.table(POOL, table).to_pydict() == {"K": [2], "V": ["b"]}


def _junk() -> dict[str, Any]:
    """Frames with a key column K and others that could not be pushed."""
    good = pd.DataFrame({"K": [1], "k": [2]})
    broken = pl.LazyFrame({"K": [1], "V": ["x"]}).with_columns(pl.col("V").cast(pl.Int8))
    return {
        "objects": pd.DataFrame({"K": [1], "X": [object()]}),
        "mixed": pd.DataFrame({"K": [1], "X": pd.Series([[1, "x"]], dtype=object)}),
        "a name that is no string": pd.DataFrame({"K": [1], 0: [1]}),
        "one name twice": pd.DataFrame([[1, 2, 3]], columns=["K", "a", "a"]),
        "names equal but for case": good.rename(columns={"k": "v"}).assign(V=1),
        "an index as the key": pd.DataFrame({0: [object()]}, index=pd.Index([1], name="K")),
        "polars objects": pl.DataFrame({"K": [1], "X": pl.Series([object()], dtype=pl.Object)}),
        "a query that fails elsewhere": broken,
        "several frames": iter([pd.DataFrame({"K": [1], "X": [1]}), pl.DataFrame({"K": [9]})]),
        "DuckDB": duckdb.sql("SELECT 1 K, '09:30:00+02'::TIMETZ t"),
        "Arrow": pa.table({"K": [1], "X": pa.array([[b"x"]])}),
    }


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", _junk())
def test_delete_reads_the_keys_only(
    kind: str, server: Any, connection: Celonis, table: str
) -> None:
    """Columns other than the keys need neither be readable nor have a name that can be stored."""
    connection.push(pd.DataFrame({"K": [1, 2], "V": list("ab")}), POOL, table, keys="K")
    connection.delete(
        _junk()[kind], POOL, table, keys="K", rename={"X": "Y"} if kind == "Arrow" else None
    )
    assert server.table(POOL, table).to_pydict() == {"K": [2], "V": ["b"]}
    with connection.changes(POOL, table, keys="K") as changes:
        changes.delete(pd.DataFrame({"K": [2], 0: [object()]}))
    assert server.table(POOL, table).num_rows == 0


def test_delete_reads_no_pages_of_other_columns(
    server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """Of Parquet files only the keys are read: damage elsewhere is not met."""
    connection.push(pd.DataFrame({"K": [1, 2, 3], "V": list("abc")}), POOL, table, keys="K")
    marked = b"only the pages of V hold this"
    for number, kind in enumerate((pa.int64(), pa.int32()), start=1):
        frame = pa.table({"V": [marked.decode() * 99], "K": pa.array([number], kind)})
        file = tmp_path / f"{number}.parquet"
        # Without statistics, which are part of the footer.
        pq.write_table(
            frame, file, compression="none", use_dictionary=False, write_statistics=False,
            data_page_version="1.0", write_page_checksum=True,
        )  # fmt: skip
        file.write_bytes(file.read_bytes().replace(marked, b"\xff" * len(marked)))
    first, both = str(tmp_path / "1.parquet"), str(tmp_path / "*.parquet")
    with pytest.raises(exceptions.FrameError):
        connection.push(first, POOL, f"{table}_2")
    assert connection.delete(first, POOL, table, keys="K").rows == 1
    assert connection.delete(both, POOL, table, keys="K").rows == 2
    assert server.table(POOL, table).to_pydict() == {"K": [3], "V": ["c"]}


def test_delete_names_the_columns_of_the_frame(connection: Celonis, table: str) -> None:
    """A key or an override that is in no column is an error, also of a delete."""
    frame = pd.DataFrame({"K": [1], "V": ["a"]})
    with pytest.raises(exceptions.KeyColumnError, match=r"'N' is not in the frame.*'K', 'V'"):
        connection.delete(frame, POOL, table, keys="N")
    with pytest.raises(exceptions.ConfigError, match="'N', which is not in the frame"):
        connection.delete(frame, POOL, table, keys="K", columns={"N": "STRING", "V": "STRING"})


@pytest.mark.parametrize("keys", [None, "K"])
@pytest.mark.parametrize("staging", [None, "file", "memory"])
def test_chunks_of_any_size_give_the_same_table(
    keys: str | None,
    staging: str | None,
    tmp_path: Path,
    server: Any,
    connection: Celonis,
    table: str,
) -> None:
    """Many chunks, staged or not, give the same table, and no file stays."""
    url = {None: None, "file": f"file://{tmp_path}", "memory": "memory://stage"}[staging]
    frame = pl.DataFrame(
        {"K": range(50_000), "V": [f"text {i * 7919 % 104729}" for i in range(50_000)]}
    )
    status = connection.push(
        frame, POOL, table, mode="REPLACE", keys=keys, upload={"chunk_bytes": 100_000}, staging=url
    )
    assert status.chunks is not None
    assert status.chunks > 3
    assert status.rows == 50_000
    back = server.table(POOL, table).sort_by("K")
    assert back.to_pydict() == frame.to_dict(as_series=False)
    assert not list(tmp_path.rglob("*.parquet"))


def test_columns_override_types_and_lengths(server: Any, connection: Celonis, table: str) -> None:
    """columns= sets a Celonis type or a text length, as a Column or in short form."""
    frame = pd.DataFrame(
        {
            "N": [decimal.Decimal("12345678901234567890.5")],
            "I": [7],
            "T": ["x"],
            "D": [dt.date(2024, 2, 29)],
        }
    )
    status = connection.push(
        frame, POOL, table, columns={"N": "STRING", "I": Column("FLOAT"), "T": 500}
    )
    assert status.warnings == ()
    assert server.table(POOL, table).to_pylist() == [
        {"N": "12345678901234567890.5", "I": 7.0, "T": "x", "D": dt.datetime(2024, 2, 29)}
    ]


def test_text_lengths_are_measured_and_sent(connection: Celonis, table: str) -> None:
    """A text column gets a length that holds its longest string, so nothing is cut at 80."""
    connection.push(pd.DataFrame({"S": ["x" * 16_250], "T": ["y" * 81]}), POOL, table)
    pool_id = connection.pool_id(POOL)
    (found,) = (one for one in connection.tables(pool_id, columns=True) if one.name == table)
    lengths = {c.name: c.length for c in found.columns or ()}
    assert (lengths["S"], lengths["T"]) == (16_250, 160)  # characters, as elsewhere


def test_wait_false_returns_at_once_and_the_status_follows(
    server: Any, connection: Celonis, table: str
) -> None:
    """wait=False returns a status that can be waited for, refreshed and displayed."""
    server.faults.slow_jobs(running=0.3)
    try:
        status = connection.push(SMALL, POOL, table, wait=False)
        assert not status.done
        assert status.wait(timeout=30) is status
        assert status.refresh().ok
    finally:
        server.faults.clear()
    status.raise_for_status()
    assert table in repr(status)
    assert table in status._repr_html_()
    assert status.to_dict()["rows"] == 3
    assert connection.job(POOL, status.job_id).state == "DONE"
    assert status.job_id in [job.job_id for job in connection.jobs(POOL)]
    connection.delete_job(POOL, status.job_id)
    with pytest.raises(exceptions.NotFound):
        connection.job(POOL, status.job_id)


def test_a_running_job_can_be_cancelled(server: Any, connection: Celonis, table: str) -> None:
    """cancel() ends a job; the table is unchanged, and raise_for_status raises."""
    server.faults.slow_jobs(running=20)
    try:
        status = connection.push(SMALL, POOL, table, wait=False)
        status.cancel()
        assert status.wait(timeout=30).state == "CANCELED"
    finally:
        server.faults.clear()
    with pytest.raises(JobFailed, match=status.job_id):
        status.raise_for_status()
    with pytest.raises(KeyError):
        server.table(POOL, table)


def test_a_failing_job_raises_with_the_servers_log(
    server: Any, connection: Celonis, table: str
) -> None:
    """`push` raises JobFailed with the server's log; the table is unchanged."""
    connection.push(pl.DataFrame({"A": [1]}), POOL, table)
    with pytest.raises(JobFailed) as caught:
        # The columns call shows BOOLEAN as INTEGER.
        connection.push(pl.DataFrame({"A": [True]}), POOL, table)
    assert caught.value.logs
    assert caught.value.job_id in str(caught.value)
    assert server.table(POOL, table).to_pylist() == [{"A": 1}]


def test_timeout_while_waiting_leaves_the_job(server: Any, connection: Celonis, table: str) -> None:
    """After submission, timeout= ends the polling and names the job, which continues."""
    server.faults.slow_jobs(running=2.5)
    try:
        with pytest.raises(exceptions.JobTimeout) as caught:
            connection.push(SMALL, POOL, table, timeout=1.5)
        assert connection.job(POOL, caught.value.job_id).wait(30).ok
    finally:
        server.faults.clear()


def test_connection_is_taken_by_name(server: Any, connection: Celonis, table: str) -> None:
    """connection= finds a data connection by name; its tables are separate from the pool's."""
    server.add_connection(POOL, f"ERP {table}")
    connection.push(SMALL, POOL, table, connection=f"erp {table}")
    assert server.table(POOL, table, connection=f"ERP {table}").num_rows == 3
    with pytest.raises(KeyError):
        server.table(POOL, table)


def test_rename_and_upsert_strategy_and_deduplicate(
    server: Any, connection: Celonis, table: str
) -> None:
    """rename= changes names; deduplicate_by= keeps the row with the highest value per key."""
    frame = pl.DataFrame({"Case ID": [1, 1], "the Version": [2, 1]})
    connection.push(
        frame, POOL, table, rename="upper_snake", keys="CASE_ID", deduplicate_by="THE_VERSION"
    )
    assert server.table(POOL, table).to_pylist() == [{"CASE_ID": 1, "THE_VERSION": 2}]
    with pytest.raises(exceptions.FrameError, match=r"UNCHANGED_METADATA.*'THE_VERSION' is not in"):
        connection.push(
            pl.DataFrame({"CASE_ID": [1]}),
            POOL,
            table,
            keys="CASE_ID",
            upload={"job_options": {"upsertStrategy": "UPSERT_WITH_UNCHANGED_METADATA"}},
        )


@pytest.mark.usefixtures("alone")
def test_the_accessor_and_the_function_use_the_default_connection(server: Any, table: str) -> None:
    """df.celonis.push and celonis_frames.push use the connection of the last connect()."""
    with celonis_frames.connect(server.url, auth=celonis_frames.ApiKey(server.token)):
        pd.DataFrame({"A": [1]}).celonis.push(POOL, table)
        pl.DataFrame({"A": [2]}).celonis.push(POOL, table)
        pl.LazyFrame({"A": [3]}).celonis.push(POOL, table)
        celonis_frames.push(pa.table({"A": [4]}), POOL, table)
        pl.DataFrame({"A": [4]}).celonis.delete(POOL, table, keys="A")
    assert sorted(server.table(POOL, table)["A"].to_pylist()) == [1, 2, 3]


def test_the_frame_is_never_changed(connection: Celonis, table: str) -> None:
    """The caller's frame has the same labels, types and values after a push."""
    frame = pd.DataFrame({"A": [1, 2], "B": ["x", None]}, index=pd.Index([5, 6], name="IDX"))
    before = frame.copy(deep=True)
    connection.push(frame, POOL, table, rename="upper_snake", nested="json")
    pd.testing.assert_frame_equal(frame, before)
    assert frame.attrs == {}


def test_a_connection_has_its_own_upload_settings(server: Any, table: str) -> None:
    """Pushes use them; a dict changes some, an Upload all of them."""
    frame = pl.DataFrame({"N": range(50_000), "T": [str(n * n * n) for n in range(50_000)]})
    small, auth = {"chunk_bytes": "100 KB", "workers": 2}, ApiKey(server.token)
    with Celonis(server.url, auth=auth, upload=small, progress=False) as celonis:
        pushed = celonis.push(frame, "Tests", table, mode="REPLACE")
        one = celonis.push(frame, "Tests", table, mode="REPLACE", upload={"chunk_bytes": "50 MB"})
        default = celonis.push(frame, "Tests", table, mode="REPLACE", upload=Upload())
        planned = celonis.plan(frame, "Tests", table)
    assert pushed.chunks is not None
    assert pushed.chunks > 3
    assert (one.chunks, default.chunks) == (1, 1)
    assert planned.chunks is not None
    assert planned.chunks > 3


def test_changes_is_a_function_too(server: Any, connection: Celonis, table: str) -> None:
    """Over the connection given, or the default one."""
    celonis_frames.push(pl.DataFrame({"K": [1, 2]}), "Tests", table, keys="K", client=connection)
    with celonis_frames.changes("Tests", table, keys="K", client=connection) as changes:
        changes.upsert(pl.DataFrame({"K": [3]}))
        changes.delete(pl.DataFrame({"K": [1]}))
    assert changes.status.ok
    assert sorted(server.table("Tests", table)["K"].to_pylist()) == [2, 3]


def test_every_warning_is_logged(
    connection: Celonis, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever does not look at the status finds them in the log: before the push and after it."""
    connection.push(pl.DataFrame({"K": [1], "V": ["a"]}), "Tests", table, keys="K")
    caplog.clear()
    frame = pl.DataFrame({"K": [1, 1], "N": [1, 2]})
    status = connection.push(
        frame, "Tests", table, keys="K", missing_columns="null", verify="rows", wait=False
    )
    assert len(status.warnings) >= 3  # one more unless the job has ended already
    logged = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sorted(text for text in logged if text.startswith(f"{table}: ")) == sorted(
        f"{table}: {warning}" for warning in status.warnings
    )
    status.wait()


def test_looking_at_a_pool_never_creates_it(client: Celonis, own: Any) -> None:
    """Every call but a push is strict, and says that a push creates the pool."""
    looks: list[Callable[[], Any]] = [
        lambda: client.pool("Purchasing"),
        lambda: client.pool_id("Purchasing"),
        lambda: client.connections("Purchasing"),
        lambda: client.jobs("Purchasing"),
        lambda: client.job("Purchasing", "j"),
        lambda: client.delete_job("Purchasing", "j"),
        lambda: client.delete(SMALL, "Purchasing", "T", keys="ID"),
    ]
    for look in looks:
        with pytest.raises(exceptions.NotFound, match=r"no pool 'Purchasing'.*A push creates it"):
            look()
    assert client.pools() == []
    with pytest.raises(exceptions.NotFound):
        client.push(SMALL, "Purchasing", "T", connection="ERP")
    assert client.pools() == []
    status = client.push(SMALL, "Purchasing", "T")
    assert [pool.id for pool in client.pools()] == [status.pool_id]
    assert client.pool_id("purchasing") == status.pool_id
    assert client.push_many({"T": SMALL}, "Sales")["T"].ok
    assert {pool.name for pool in client.pools()} == {"Purchasing", "Sales"}
    assert len(own.jobs) == 2


def test_the_status_of_a_delete_says_so(connection: Celonis, table: str) -> None:
    """DELETE instead of DELTA, keys instead of rows, and the rows that the log says it deleted."""
    frame = pd.DataFrame({"K": range(2_000), "V": "x"})
    assert connection.push(frame, POOL, table, keys="K").deleted is None
    status = connection.delete(pd.DataFrame({"K": range(500, 3_000)}), POOL, table, keys="K")
    assert (status.mode, status.rows, status.deleted) == ("DELETE", 2_500, 1_500)
    assert f"DONE · {table} (DELETE) · 2,500 keys · 1,500 rows deleted · 1 chunk" in repr(status)
    assert "(DELETE)" in status._repr_html_()
    assert status.to_dict()["mode"] == "DELETE"
    assert status.to_dict()["deleted"] == 1_500
    later = connection.delete(frame.head(1), POOL, table, keys="K", wait=False)
    assert (later.mode, later.wait(30).deleted) == ("DELETE", 1)
    assert connection.job(POOL, status.job_id).deleted == 1_500


def test_an_ended_job_has_nothing_to_cancel(connection: Celonis, table: str) -> None:
    """The error names the state in which the job ended, which the status then has too."""
    status = connection.push(SMALL, POOL, table, wait=False)
    connection.job(POOL, status.job_id).wait(30)
    with pytest.raises(exceptions.BadRequest, match=r"ended \(DONE\): there is nothing to cancel"):
        status.cancel()
    assert status.state == "DONE"
