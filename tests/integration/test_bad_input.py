"""Bad input and bad answers: one clear error each, nothing in the table, no job left open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import celonis_frames
from celonis_frames import Celonis, exceptions, local

GOOD = pd.DataFrame({"K": [1, 2], "V": ["a", "b"]})

Kwargs = dict[str, Any]

BEFORE: list[tuple[str, Any, Kwargs, type[Exception], str]] = [
    ("unknown mode", GOOD, {"mode": "APPEND"}, exceptions.ConfigError, "APPEND"),
    ("missing key", GOOD, {"keys": ["NOPE"]}, exceptions.KeyColumnError, "NOPE"),
    ("null key", pd.DataFrame({"K": [1, None]}), {"keys": "K"},
     exceptions.KeyColumnError, "1 null"),
    ("key named twice", GOOD, {"keys": ["K", "K"]}, exceptions.KeyColumnError, "twice"),
    ("names equal but for case", pd.DataFrame({"a": [1], "A": [2]}), {},
     exceptions.ColumnNameError, "case"),
    ("the same name twice", pd.DataFrame([[1, 2]], columns=["a", "a"]), {},
     exceptions.ColumnNameError, "'a'"),
    ("a name that is no text", pd.DataFrame({1: [1]}), {}, exceptions.ColumnNameError, "int"),
    ("two levels of names", pd.DataFrame({("a", "b"): [1]}), {},
     exceptions.ColumnNameError, "levels"),
    ("an empty name", pl.DataFrame({"": [1]}), {}, exceptions.ColumnNameError, "empty"),
    ("a name too long", pl.DataFrame({"ä" * 65: [1]}), {}, exceptions.ColumnNameError, "130 bytes"),
    ("Celonis' own column", pl.DataFrame({"_celonis_change_date": [1]}), {},
     exceptions.ColumnNameError, "Celonis adds"),
    ("nested", pl.DataFrame({"L": [[1]]}), {}, exceptions.ColumnTypeError, "nested="),
    ("binary", pa.table({"B": [b"x"]}), {}, exceptions.ColumnTypeError, "hex"),
    ("mixed", pd.DataFrame({"M": [1, "x"]}), {}, exceptions.ColumnTypeError, "row 1"),
    ("beyond 64 bits", pl.DataFrame({"U": [2**64 - 1]}, schema={"U": pl.UInt64}), {},
     exceptions.ColumnTypeError, "18446744073709551615"),
    ("infinite", pl.DataFrame({"F": [float("inf")]}), {}, exceptions.ColumnTypeError, "infinite"),
    ("half a character", pd.DataFrame({"S": pd.Series(["\ud800"], dtype=object)}), {},
     exceptions.ColumnTypeError, "surrogate"),
    ("NUL", pl.DataFrame({"S": ["a\0b"]}), {}, exceptions.ColumnTypeError, "NUL"),
    ("text too long", pd.DataFrame({"S": ["x" * 16_251, "y", "z" * 20_000]}), {},
     exceptions.TruncationError, "2 strings .* 20,000"),
    ("text longer than said", pd.DataFrame({"S": ["x" * 11]}), {"columns": {"S": 10}},
     exceptions.TruncationError, "columns="),
    ("no rows", pd.DataFrame({"A": []}), {}, exceptions.FrameError, "no rows"),
    ("no columns", pd.DataFrame(index=[1]), {}, exceptions.FrameError, "no columns"),
    ("no frame", 5, {}, exceptions.FrameError, "int"),
    ("a dict", {"a": [1]}, {}, exceptions.FrameError, "dict"),
    ("a Series", pl.Series("a", [1]), {}, exceptions.FrameError, "to_frame"),
    ("no file", "nowhere/*.parquet", {}, exceptions.FrameError, "nowhere"),
    ("a chunk beyond 1 GB", GOOD, {"upload": {"chunk_bytes": "2 GB"}},
     exceptions.ConfigError, "1 GB"),
    ("a chunk of 256 bytes", GOOD, {"upload": {"chunk_bytes": 256}},
     exceptions.ConfigError, "256 bytes,.*'256 MB'.*'256 B'"),
    ("a text without a unit", GOOD, {"upload": {"chunk_bytes": "64"}},
     exceptions.ConfigError, "'64 MB'"),
    ("an override for no column", GOOD, {"columns": {"X": "STRING"}},
     exceptions.ConfigError, "'X'"),
    ("an unknown type", GOOD, {"columns": {"V": "TEXT"}}, exceptions.ConfigError, "TEXT"),
    ("a boolean as an override", GOOD, {"columns": {"V": True}},
     exceptions.ConfigError, "column .V.: True is no override"),
    ("text as a number", GOOD, {"columns": {"V": "INTEGER"}},
     exceptions.ColumnTypeError, "cannot be sent as INTEGER"),
    ("a field that push sets", GOOD, {"upload": {"job_options": {"keys": []}}},
     exceptions.ConfigError, "keys="),
    ("index of polars", pl.DataFrame({"A": [1]}), {"index": True}, exceptions.ConfigError, "index"),
    ("deduplicate without keys", GOOD, {"deduplicate_by": "V"},
     exceptions.KeyColumnError, "keys="),
    ("unusable staging", GOOD, {"staging": "nosuch://x"}, exceptions.ConfigError, "nosuch"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "options", "kind", "message"),
    [case[1:] for case in BEFORE],
    ids=[case[0] for case in BEFORE],
)
def test_bad_input_is_rejected_before_anything_is_sent(
    frame: Any,
    options: Kwargs,
    kind: type[Exception],
    message: str,
    server: Any,
    connection: Celonis,
    table: str,
) -> None:
    """Each invalid frame or parameter raises its own error, and no job is created."""
    jobs = len(server.jobs)
    with pytest.raises(kind, match=message):
        connection.push(frame, "Tests", table, **options)
    assert len(server.jobs) == jobs


def test_an_error_never_shows_a_cells_value(connection: Celonis) -> None:
    """Messages contain columns, counts and types, but no cell value."""
    secret = "canary-4711"
    for frame in (
        pd.DataFrame({"M": [1, secret]}),
        pd.DataFrame({"S": [secret * 2_000]}),
        pl.DataFrame({"S": [secret + "\0"]}),
    ):
        with pytest.raises(exceptions.FrameError) as caught:
            connection.push(frame, "Tests", "T")
        assert secret not in str(caught.value)


@pytest.mark.usefixtures("alone")
def test_without_a_connection_the_error_says_what_to_set() -> None:
    """No client, no connect(), no environment: the message names all three ways."""
    with pytest.raises(exceptions.ConfigError, match=r"CELONIS_URL.*CELONIS_API_TOKEN.*connect"):
        GOOD.celonis.push("Pool", "T")


def test_http_is_for_loopback_only() -> None:
    """A key is never sent over plain HTTP."""
    with pytest.raises(exceptions.ConfigError, match="https"):
        celonis_frames.connect("http://dev.us-2.celonis.cloud", auth=celonis_frames.ApiKey("k"))


def test_a_pool_that_is_not_there(table: str) -> None:
    """An unknown pool is NotFound, with the names that are close."""
    with local.start(strict_pools=True) as server, server.connect() as connection:
        server.add_pool("Purchasing")
        with pytest.raises(exceptions.NotFound, match="Purchasing"):
            connection.push(GOOD, "Purchasin", table)
        assert server.jobs == []


HTML = {"body": b"<html>gateway</html>", "content_type": "text/html"}

AFTER: list[tuple[str, str, Callable[[Any, str], None], type[Exception]]] = [
    ("unreadable", "create", lambda f, r: f.answer(r, 200, times=99, body=b'{"id": '),
     exceptions.ApiStatusError),
    ("html", "upload", lambda f, r: f.answer(r, 502, times=99, **HTML), exceptions.ServerError),
    ("401", "upload", lambda f, r: f.answer(r, 401), exceptions.AuthenticationError),
    ("403", "create", lambda f, r: f.answer(r, 403), exceptions.PermissionDenied),
    ("403 later", "upload", lambda f, r: f.answer(r, 403), exceptions.PermissionDenied),
    ("404", "upload", lambda f, r: f.answer(r, 404), exceptions.NotFound),
    ("429", "execute", lambda f, r: f.answer(r, 429, times=99), exceptions.RateLimited),
    ("500", "execute", lambda f, r: f.answer(r, 500, times=99), exceptions.ServerError),
    ("gone", "upload", lambda f, r: f.drop(r, when="before", times=99),
     exceptions.ApiConnectionError),
]  # fmt: skip


@pytest.mark.parametrize(
    ("route", "fault", "kind"), [case[1:] for case in AFTER], ids=[case[0] for case in AFTER]
)
def test_what_breaks_after_sending_cancels_the_job(
    route: str,
    fault: Callable[[Any, str], None],
    kind: type[Exception],
    server: Any,
    connection: Celonis,
    table: str,
) -> None:
    """An error before execution leaves no table and no open job; it names what to do."""
    connection.push(GOOD, "Tests", f"{table}_before")
    fault(server.faults, route)
    try:
        with pytest.raises(kind) as caught:
            connection.push(GOOD, "Tests", table)
    finally:
        server.faults.clear()
    assert {job["status"] for job in server.jobs if job["targetName"] == table} <= {"CANCELED"}
    with pytest.raises(KeyError):
        server.table("Tests", table)
    if kind is exceptions.PermissionDenied:
        assert "Data Push API" in str(caught.value)
        assert "Permissions" in str(caught.value)


def test_a_server_that_is_gone(table: str) -> None:
    """No server: a connection error that names the host."""
    with local.start() as server:
        connection = server.connect()
    with connection, pytest.raises(exceptions.ApiConnectionError, match=r"127\.0\.0\.1"):
        connection.push(GOOD, "6f1ed002-ab5b-4a6a-9b6f-6d1b6c1f0a11", table)


@pytest.mark.parametrize("rows", [100, 1_000_000])
def test_a_query_is_run_once(rows: int, server: Any, connection: Celonis, table: str) -> None:
    """It may be expensive, or return other rows each time."""
    frame, calls = _growing(rows)
    assert connection.push(frame, "Tests", table).rows == rows + 1
    assert len(calls) == 1
    assert server.table("Tests", table).num_rows == rows + 1


def _growing(rows: int) -> tuple[pl.LazyFrame, list[int]]:
    """A query that returns one more row each time, and a list with an item for each run."""
    calls: list[int] = []

    def grow(_: pl.DataFrame) -> pl.DataFrame:
        calls.append(1)
        return pl.DataFrame({"A": pl.int_range(rows + len(calls), eager=True)})

    return pl.LazyFrame({"A": [0]}).map_batches(grow, schema={"A": pl.Int64}), calls


def test_an_exception_in_the_users_generator_surfaces(
    server: Any, connection: Celonis, table: str
) -> None:
    """The user's own exception is raised unchanged, and no job is created."""

    def frames() -> Any:
        yield GOOD
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connection.push(frames(), "Tests", table)
    assert not [j for j in server.jobs if j["targetName"] == table]


@pytest.mark.parametrize("kind", ["table", "polars", "lazy"])
def test_the_largest_number_of_all_rows_is_named(
    kind: str, connection: Celonis, table: str
) -> None:
    """The error for a number beyond 64 bits names the largest number of the whole frame."""
    numbers = pl.Series("U", [1] * 300_000 + [2**63], dtype=pl.UInt64)
    frame: Any = pl.DataFrame(
        {"U": pl.concat([numbers, numbers, pl.Series([2**64 - 2], dtype=pl.UInt64)])}
    )
    frame = {"table": frame.to_arrow, "polars": lambda: frame, "lazy": frame.lazy}[kind]()
    with pytest.raises(exceptions.ColumnTypeError, match=r"'U'.*18446744073709551614"):
        connection.push(frame, "Tests", table)


@pytest.mark.parametrize("kind", ["table", "reader", "frames", "file"])
@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
def test_the_first_row_that_does_not_fit_is_named(
    kind: str, file_type: str, tmp_path: Path, connection: Celonis, table: str
) -> None:
    """Rows count from 0 over all batches, whether the frame can be read again or not."""
    seconds = [86_399] * 300_000 + [86_401] * 3 + [0] * 200_000
    times = pa.table({"N": range(len(seconds)), "T": pa.array(seconds, pa.time32("s"))})
    pq.write_table(times, tmp_path / "times.parquet")
    frame: Any = {
        "table": lambda: times, "reader": times.to_reader,
        "frames": lambda: (times.slice(start, 100_000) for start in range(0, 500_003, 100_000)),
        "file": lambda: tmp_path / "times.parquet",
    }[kind]()  # fmt: skip
    with pytest.raises(exceptions.ColumnTypeError, match=r"'T'.*first in row 300,000") as caught:
        connection.push(frame, "Tests", table, upload={"file_type": file_type})
    assert caught.value.column == "T"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keys", 3), ("keys", [1]), ("columns", ["K"]), ("rename", 5), ("verify", True),
        ("timeout", "5"), ("upload", "x"), ("staging", 7),
        ("connection", 1),
    ],
)  # fmt: skip
def test_a_parameter_of_the_wrong_kind_is_named(
    name: str, value: Any, connection: Celonis, table: str
) -> None:
    """The error names the parameter and says what it takes."""
    with pytest.raises(exceptions.ConfigError, match=f"^{name}=.* must be"):
        connection.push(GOOD, "Tests", table, **{name: value})
