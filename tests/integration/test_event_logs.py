"""Three real event logs, from pandas and from polars, with their real column names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from celonis_frames import ApiKey, Celonis, OAuth2
from celonis_frames._auth.oauth2 import DATA_PUSH
from celonis_frames.exceptions import JobFailed

FOLDER = Path(
    os.environ.get("CELONIS_FRAMES_EVENT_LOGS")
    or Path(__file__).resolve().parents[3] / "shared" / "data"
)
LOGS = {"sepsis": "sepsis.csv", "receipt": "receipt.csv", "bpic2012": "bpic2012.parquet"}


def _read(name: str) -> pl.DataFrame:
    path = FOLDER / LOGS[name]
    if not path.exists():
        message = f"{path} is absent: set CELONIS_FRAMES_EVENT_LOGS to the folder with it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
    else:
        frame = pl.read_csv(
            path, separator=";" if name == "sepsis" else ",", try_parse_dates=True,
            infer_schema_length=None,
        )  # fmt: skip
    return frame.with_row_index("#row").with_columns(pl.col("#row").cast(pl.Int64))


def _as_stored(frame: pl.DataFrame) -> pl.DataFrame:
    """What Celonis stores of a frame: UTC instants without a zone, dates as midnights."""
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
            utc = pl.col(name).dt.convert_time_zone("UTC").dt.replace_time_zone(None)
            frame = frame.with_columns(utc)
        elif kind == pl.Date:
            frame = frame.with_columns(pl.col(name).cast(pl.Datetime("us")))
    return frame


@pytest.mark.sampled(3)
@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("name", LOGS)
def test_a_real_log_arrives_cell_by_cell(
    name: str, library: str, server: Any, connection: Celonis, table: str
) -> None:
    """REPLACE, then a DELTA with keys of changed and new rows; every cell is what was sent."""
    log = _read(name)
    half = log.height // 2
    first, second = log.head(half + 100), log.tail(log.height - half)
    text = next(n for n, t in log.schema.items() if t == pl.String and n != "#row")
    second = second.with_columns(pl.col(text) + " changed")
    for frame, mode in ((first, "REPLACE"), (second, "DELTA")):
        sent: Any = frame
        if library == "pandas":
            sent = frame.to_arrow().to_pandas(
                types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get
            )
        status = connection.push(sent, "Logs", table, mode=mode, keys=["#row"])
        assert (status.ok, status.rows) == (True, frame.height)
    expected = pl.concat([log.head(half), second])
    back = pl.from_arrow(server.table("Logs", table).sort_by("#row"))
    assert isinstance(back, pl.DataFrame)
    assert_frame_equal(back, _as_stored(expected), check_dtypes=False, check_exact=True)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("name", LOGS)
def test_parts_of_a_log_sent_again_and_out_of_order_end_the_same(
    name: str, library: str, server: Any, table: str
) -> None:
    """With keys and an age column, objects may come twice and late: every cell is the newest."""
    log = _read(name)
    age = next(
        n for n, t in log.schema.items() if isinstance(t, pl.Datetime) and not log[n].null_count()
    )
    text = next(n for n, t in log.schema.items() if t == pl.String and n != age)
    third = log.height // 3
    newer = log.tail(2 * third).with_columns(
        pl.col(text) + " changed", pl.col(age) + pl.duration(days=1)
    )
    parts = [
        newer.tail(third), log.tail(third), log.head(log.height - third), newer.tail(third),
        newer.head(third + 7), log.slice(third // 2, third),
    ]  # fmt: skip
    pool = f"Logs of {table}"
    keys = server.ingestion(pool, tables={table: {"keys": ["#row"], "age": age}})
    with Celonis(server.url, auth=ApiKey(server.token), ingestion=keys) as celonis:
        for part in parts:
            sent: Any = part.to_pandas() if library == "pandas" else part
            status = celonis.push(
                sent, pool, table, keys="#row", order_by=age, via="ingestion",
                upload={"chunk_bytes": "500 KB"},
            )  # fmt: skip
            assert status.rows == part.height
    server.wait_ingested(120)
    expected = pl.concat([log.head(log.height - newer.height), newer])
    back = pl.from_arrow(server.table(pool, table, connection=keys.connection).sort_by("#row"))
    assert isinstance(back, pl.DataFrame)
    assert_frame_equal(back, _as_stored(expected), check_dtypes=False, check_exact=True)


def _days(name: str, library: str) -> Iterator[Any]:
    """The log as two days: the second changes 100 rows of the first."""
    log = _read(name)
    half = log.height // 2
    text = next(n for n, t in log.schema.items() if t == pl.String)
    second = log.tail(log.height - half).with_columns(pl.col(text) + " changed")
    for day in (log.head(half + 100), second):
        yield day.to_pandas() if library == "pandas" else day


def _outcome(celonis: Celonis, day: Any, pool: str, **options: Any) -> tuple[Any, ...]:
    """What a push ends with: its status and warnings, or its error."""
    try:
        status = celonis.push(day, pool, "LOG", keys="#row", **options)
    except JobFailed as error:
        return (type(error), re.sub(r"[0-9a-f-]{36}", "id", str(error)))
    return (status.state, status.rows, status.chunks, status.warnings)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("name", LOGS)
def test_two_days_of_a_log_with_a_key_that_may_only_push(
    name: str, library: str, own: Any, client: Celonis
) -> None:
    """Nothing differs from a push that compares nothing; a key that sees the table does well."""
    pools = [str(own.add_pool(pool)) for pool in ("compared", "not compared", "seen")]
    blind = OAuth2(*own.oauth_client, scopes=DATA_PUSH)
    with Celonis(own.url, auth=blind) as celonis:
        for day in _days(name, library):
            compared = _outcome(celonis, day, pools[0])
            assert compared == _outcome(celonis, day, pools[1], verify="none")
            assert _outcome(client, day, pools[2])[0] == "DONE"
    first, second = (
        pl.from_arrow(own.table(pool, "LOG").sort_by("#row"))
        for pool in ("compared", "not compared")
    )
    assert first.equals(second)
