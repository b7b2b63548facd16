"""Three real event logs, from pandas and from polars, with their real column names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from celonis_frames import Celonis

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
