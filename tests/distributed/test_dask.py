"""Dask DataFrames on two worker processes: rows, types and options, staged and streamed."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.dataframe as dd
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from clusters import frame_of, make_rows

import celonis_frames
from celonis_frames import ApiKey, Celonis, exceptions

FOLDER = Path(
    os.environ.get("CELONIS_FRAMES_EVENT_LOGS")
    or Path(__file__).resolve().parents[3] / "shared" / "data"
)
LOGS = {
    "sepsis": lambda: pd.read_csv(FOLDER / "sepsis.csv", sep=";", dtype_backend="pyarrow"),
    "receipt": lambda: pd.read_csv(FOLDER / "receipt.csv", dtype_backend="pyarrow"),
    "bpic2012": lambda: pd.read_parquet(FOLDER / "bpic2012.parquet"),
}
WAYS = pytest.mark.parametrize("staged", [True, False], ids=["staged", "streamed"])

pytestmark = [
    pytest.mark.usefixtures("cluster"),
    pytest.mark.filterwarnings("ignore:Sending large graph:UserWarning"),
]


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Dask keeps threads and connections of its own, as long as there is a client."""
    return


@pytest.fixture
def where(staged: bool, tmp_path: Path) -> dict[str, Any]:
    """The options that choose the way."""
    return (
        {"staging": str(tmp_path / "stage"), "progress": False} if staged else {"progress": False}
    )


def _differences(sent: pa.Table, stored: pa.Table) -> list[int]:
    """Rows that are in one and not in the other, repeated rows counted, in both directions."""
    names = ", ".join(f'"{name}"' for name in sent.column_names)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.register("sent", sent)
        database.register("stored", stored)
        found = []
        for one, other in (("sent", "stored"), ("stored", "sent")):
            query = f"SELECT {names} FROM {one} EXCEPT ALL SELECT {names} FROM {other}"
            query = f"SELECT count(*) FROM ({query})"
            found.append(database.execute(query).fetchone()[0])
    return found


@WAYS
@pytest.mark.parametrize("name", LOGS)
def test_a_real_log_arrives_row_by_row(
    server: Any, connection: Celonis, table: str, name: str, where: dict[str, Any]
) -> None:
    """EXCEPT ALL finds no difference in either direction."""
    log = LOGS[name]()
    for column in log.columns:
        if "imestamp" in column or "time" in column.lower():
            log[column] = pd.to_datetime(log[column], utc=True, format="ISO8601")
    ddf = dd.from_pandas(log, npartitions=5)
    status = ddf.celonis.push("Logs", table, client=connection, index=False, **where)
    assert (status.state, status.rows) == ("DONE", len(log))
    assert status.parts == (ddf.npartitions if "staging" in where else None)
    for column, kind in log.dtypes.items():
        if isinstance(kind, pd.DatetimeTZDtype):
            log[column] = log[column].dt.tz_convert("UTC").dt.tz_localize(None)
    sent = pa.Table.from_pandas(log, preserve_index=False)
    assert _differences(sent, server.table("Logs", table)) == [0, 0]


TYPES = pd.DataFrame(
    {
        "INT": pd.array([1, None, 3, 2**40], "Int64"),
        "SMALL": np.array([1, 2, 3, 4], "int8"),
        "FLOAT": [0.5, np.nan, 2.0, -1.0],
        "BOOL": pd.array([True, None, False, True], "boolean"),
        "TEXT": pd.array(["a", None, "Größe", ""], "string[pyarrow]"),
        "CATEGORY": pd.Categorical(["x", "y", None, "x"]),
        "TIME": pd.to_datetime(["2024-01-01 12:00:00.250", None, "1970-01-01 00:00:00.000", None]),
        "ZONED": pd.to_datetime(["2024-07-01 12:00"] * 4).tz_localize("Europe/Berlin"),
        "DATE": pd.array([dt.date(2024, 2, 29)] * 4, pd.ArrowDtype(pa.date32())),
        "DECIMAL": pd.array([decimal.Decimal("1.25")] * 4, pd.ArrowDtype(pa.decimal128(9, 2))),
    },
    index=pd.Index([10, 11, 12, 13], name="KEY"),
)


@WAYS
def test_types_are_those_of_the_same_pandas_frame(
    server: Any, connection: Celonis, table: str, where: dict[str, Any]
) -> None:
    """Columns, types and values, the named index included; lengths are those of all partitions."""
    connection.push(TYPES, "P", f"{table}_PANDAS", progress=False)
    dd.from_pandas(TYPES, npartitions=3).celonis.push("P", table, client=connection, **where)
    one, other = (server.table("P", name).sort_by("KEY") for name in (table, f"{table}_PANDAS"))
    assert one.column_names == ["KEY", *TYPES.columns]
    assert one.equals(other)


@WAYS
def test_columns_of_python_objects_have_the_type_of_their_first_value(
    server: Any, connection: Celonis, table: str, where: dict[str, Any]
) -> None:
    """Whatever partition it is in; the others are cast, or the error names the partition."""
    with dask.config.set({"dataframe.convert-string": False}):
        values = pd.DataFrame(
            {
                "NONE_FIRST": pd.Series(
                    [None, None, dt.date(2024, 1, 1), dt.date(2024, 1, 2)], dtype=object
                ),
                "WIDER": pd.Series([1, 2, 3, 2**40], dtype=object),
                "DICTS": pd.Series([{"a": 1}, None, {"b": [2]}, {}], dtype=object),
            }
        )
        ddf = dd.from_pandas(values, npartitions=4)
        status = ddf.celonis.push("P", table, client=connection, nested="json", **where)
        assert status.rows == 4
        stored = server.table("P", table).sort_by("WIDER")
        assert stored["NONE_FIRST"].to_pylist()[1:3] == [None, dt.datetime(2024, 1, 1)]
        assert stored["DICTS"].to_pylist() == ['{"a": 1}', None, '{"b": [2]}', "{}"]
        mixed = pd.DataFrame({"O": pd.Series(["a", "b", 3, 4], dtype=object)})
        with pytest.raises(
            exceptions.ColumnTypeError,
            match=r"Column 'O' is int64 in partition 1 and (large_)?string in the schema of",
        ):
            dd.from_pandas(mixed, npartitions=2).celonis.push(
                "P", f"{table}_2", client=connection, **where
            )


@WAYS
def test_delete_plan_and_index(
    server: Any, connection: Celonis, table: str, where: dict[str, Any]
) -> None:
    """A delete reads the keys only; a plan no rows; index= is as for pandas."""
    ddf = frame_of(4_000, 4)
    plan = ddf.celonis.plan("P", table, client=connection, keys="ID")
    assert [(column.name, column.type, column.key) for column in plan.columns] == [
        ("ID", "INTEGER", True), ("T", "STRING", False),
    ]  # fmt: skip
    status = celonis_frames.push(ddf, "P", table, client=connection, keys="ID", **where)
    assert status.rows == 4_000
    odd = ddf[ddf["ID"] % 2 == 1].assign(OTHER=1j)
    status = odd.celonis.delete("P", table, client=connection, keys="ID", **where)
    assert (status.mode, status.rows) == ("DELETE", 2_000)
    assert sorted(server.table("P", table)["ID"].to_pylist()) == list(range(0, 4_000, 2))
    indexed = dd.from_pandas(TYPES[["SMALL"]], npartitions=2)
    for index, names in ((None, ["KEY", "SMALL"]), (False, ["SMALL"])):
        indexed.celonis.push("P", f"{table}_{index}", client=connection, index=index, **where)
        assert server.table("P", f"{table}_{index}").column_names == names


def test_rows_stay_in_order(server: Any, connection: Celonis, tmp_path: Path, table: str) -> None:
    """Partition order is row order: of rows with one key the last is kept."""
    frame = pd.DataFrame({"K": [1, 2] * 50, "N": range(100)})
    status = dd.from_pandas(frame, npartitions=10).celonis.push(
        "P", table, client=connection, keys="K", staging=tmp_path, progress=False
    )
    assert sorted(server.table("P", table)["N"].to_pylist()) == [98, 99]
    assert any("or more have the key" in warning for warning in status.warnings)


def test_options_of_any_push(server: Any, connection: Celonis, tmp_path: Path, table: str) -> None:
    """push_id=, verify=, a table that is there, on_bad=, push_many and changes."""
    ddf, options = frame_of(2_000, 4), {"client": connection, "progress": False}
    first = ddf.celonis.push(
        "P", table, staging=tmp_path, push_id="day 1", verify="rows", **options
    )
    again = ddf.celonis.push("P", table, staging=tmp_path, push_id="day 1", **options)
    assert (first.repeated, again.repeated, again.rows) == (False, True, 2_000)
    with celonis_frames.changes("P", table, keys="ID", staging=tmp_path, **options) as changes:
        changes.upsert(frame_of(1_000, 2).assign(T="new"))
        changes.delete(ddf[ddf["ID"] >= 1_500])
    assert (changes.status.rows, changes.status.parts) == (1_500, 6)
    found = server.table("P", table).to_pydict()
    assert (len(found["ID"]), found["T"].count("new")) == (1_500, 1_000)
    statuses = celonis_frames.push_many(
        {f"{table}_A": ddf, f"{table}_B": ddf}, "P", staging=tmp_path, **options
    )
    assert [one.parts for one in statuses.values()] == [4, 4]
    bad = ddf.assign(T=ddf["T"].where(ddf["ID"] % 500 != 0, "x" * 100))
    status = bad.celonis.push(
        "P", f"{table}_C", staging=tmp_path, columns={"T": 10}, on_bad="null", **options
    )
    assert status.rejects["row"].to_pylist() == [0, 500, 1_000, 1_500]
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_objects_of_the_data_ingestion_api(own: Any, tmp_path: Path) -> None:
    """Staged by the workers, stored by this process."""
    keys = own.ingestion("P", tables={"T": {"keys": ["ID"]}})
    with Celonis(own.url, auth=ApiKey(own.token), ingestion=keys) as celonis:
        status = frame_of(2_000, 4).celonis.push(
            "P", "T", via="ingestion", keys="ID", staging=tmp_path, client=celonis, progress=False
        )
        assert (status.state, status.rows, status.parts) == ("ACCEPTED", 2_000, 4)
        own.wait_ingested(30)
        assert own.table("P", "T", connection=keys.connection).num_rows == 2_000


def test_an_event_log_is_checked_while_it_is_streamed(
    connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Also with staging=: the check sees every row, which passes through this process."""
    frame = pd.DataFrame(
        {"CASE": ["1", "1", "2"], "ACT": ["a", None, "a"], "AT": pd.to_datetime(["2024-01-01"] * 3)}
    )
    ddf = dd.from_pandas(frame, npartitions=2)
    columns = {"case": "CASE", "activity": "ACT", "timestamp": "AT"}
    assert celonis_frames.check_event_log(ddf, **columns).events == 3
    with pytest.raises(exceptions.FrameError, match="ACT"):
        ddf.celonis.push_event_log("P", table, client=connection, staging=tmp_path, **columns)


def test_pseudonyms_are_made_where_the_key_is(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Streamed by this process; workers get no key, and the error says what makes them there."""
    ddf = frame_of(100, 2)
    columns = {"T": celonis_frames.Column(pseudonymise="CANARY")}
    ddf.celonis.push("P", table, client=connection, columns=columns, progress=False)
    assert {len(one) for one in server.table("P", table)["T"].to_pylist()} == {32}
    with pytest.raises(exceptions.ConfigError, match=r"'T'.*Dask get no secret key.*map_part"):
        ddf.celonis.push(
            "P", table, client=connection, columns=columns, staging=tmp_path, progress=False
        )


def slow(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, later."""
    time.sleep(3)
    return rows


def test_timeout_ends_the_work(connection: Celonis, tmp_path: Path, table: str) -> None:
    """Tasks that are not begun are cancelled, and nothing stays in the stage."""
    ddf = frame_of(100, 4).map_partitions(slow, meta=make_rows(0, 0))
    with pytest.raises(exceptions.JobTimeout, match="timeout"):
        ddf.celonis.push("P", table, client=connection, staging=tmp_path, timeout=1, progress=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Running on a single-machine scheduler:UserWarning")
def test_threads_of_this_process_do_without_a_cluster(
    connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Dask's own schedulers, chosen by its configuration, while there is a cluster or not."""
    with dask.config.set(scheduler="threads"):
        for number, where in enumerate(({"staging": tmp_path}, {})):
            status = frame_of(1_000, 4).celonis.push(
                "P", f"{table}_{number}", client=connection, progress=False, **where
            )
            assert (status.rows, status.parts) == (1_000, 4 if where else None)


def test_the_progress_names_the_partitions(
    connection: Celonis, tmp_path: Path, table: str, capfd: Any
) -> None:
    """How many of how many are done."""
    frame_of(100, 2).celonis.push("P", table, client=connection, staging=tmp_path, progress=True)
    assert "in Dask: 2 of 2 partitions" in capfd.readouterr().err


@pytest.mark.parametrize(
    "order", ["celonis_frames, dask.dataframe", "dask.dataframe, celonis_frames"]
)
def test_the_accessor_is_there_whichever_is_imported_first(order: str) -> None:
    """And importing celonis_frames imports no engine."""
    code = (
        f"import {order}; import pandas as pd; ddf = dask.dataframe.from_pandas("
        "pd.DataFrame({'a': [1]}), npartitions=1); print(ddf.celonis.plan('', 'T').columns[0].type)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "INTEGER"
    code = "import celonis_frames, sys; print({'dask', 'distributed', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
@WAYS
def test_ten_million_rows(
    server: Any,
    connection: Celonis,
    table: str,
    where: dict[str, Any],
    tmp_path: Path,
) -> None:
    """EXCEPT ALL against Parquet files that the same cluster wrote."""
    ddf = frame_of(10_000_000, 40)
    status = ddf.celonis.push("P", table, client=connection, mode="REPLACE", **where)
    assert (status.state, status.rows) == ("DONE", 10_000_000)
    ddf.to_parquet(tmp_path / "parquet", write_index=False)
    sent = pa.parquet.read_table(tmp_path / "parquet")
    assert _differences(sent, server.table("P", table)) == [0, 0]
