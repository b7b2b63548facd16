"""Event logs are checked while they are pushed: every kind of frame, read once, all or nothing."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from celonis_frames import Celonis, Column, ReloadStatus, Secret, check_event_log, push_event_log
from celonis_frames._arrow import batching
from celonis_frames.exceptions import (
    ColumnNameError,
    ColumnTypeError,
    ConfigError,
    FrameError,
)

POOL, ROWS = "Event logs", 30_000
LOG: dict[str, Any] = {"case": "CASE", "activity": "ACTIVITY", "timestamp": "TIME"}
START = dt.datetime(2024, 2, 29, 9, 5)

Make = Callable[[pl.DataFrame, Path], Any]


@pytest.fixture(autouse=True)
def several_batches(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:  # noqa: ARG001
    """Batches are so small that these frames have several."""
    monkeypatch.setattr(batching, "BATCH_ROWS", 9_000)


def _log(rows: int = ROWS, last: str | None = "the last") -> pl.DataFrame:
    """An event log whose last row has another case, and of which 10 events are ties."""
    numbers = range(rows)
    return pl.DataFrame(
        {
            "CASE": [*(f"C-{n // 7}" for n in numbers[:-1]), last],
            "ACTIVITY": [f"Activity {n % 7}" for n in numbers],
            "TIME": [START + dt.timedelta(minutes=n) for n in numbers],
            "N": numbers,
        }
    ).with_columns(
        pl.when((pl.col("N") % 7 == 1) & (pl.col("N") < 70))
        .then(pl.col("TIME") - pl.duration(minutes=1))
        .otherwise("TIME")
        .alias("TIME")
    )


def _pieces(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return iter([frame[start : start + 7_000] for start in range(0, frame.height, 7_000)])


def _file(frame: pl.DataFrame, folder: Path) -> Path:
    frame.write_parquet(folder / "log.parquet", row_group_size=9_000)
    return folder / "log.parquet"


KINDS: dict[str, Make] = {
    "pandas": lambda frame, _: frame.to_pandas(),
    "objects": lambda frame, _: frame.to_pandas().astype({"CASE": object}),
    "polars": lambda frame, _: frame,
    "lazy": lambda frame, _: frame.lazy(),
    "arrow": lambda frame, _: frame.to_arrow(),
    "reader": lambda frame, _: frame.to_arrow().to_reader(7_000),
    "dataset": lambda frame, folder: ds.dataset(_file(frame, folder)),
    "generator": lambda frame, _: _pieces(frame),
    "file": lambda frame, folder: str(_file(frame, folder)),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("rows", [ROWS, 70])
@pytest.mark.parametrize("kind", KINDS)
def test_a_log_arrives_with_the_warnings_of_its_report(
    kind: str, rows: int, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """All rows are stored once, and the status counts what `check_event_log` counts."""
    log = _log(rows)
    status = connection.push_event_log(KINDS[kind](log, tmp_path), POOL, table, **LOG)
    assert (status.ok, status.rows) == (True, rows)
    stored = pl.from_arrow(server.table(POOL, table))
    assert isinstance(stored, pl.DataFrame)
    assert stored.sort("N").equals(log.sort("N"))
    report = check_event_log(log, **LOG)
    (ties,) = [one for one in report.findings if one.severity == "warning"]
    assert ties.count == 10
    assert [one for one in status.warnings if "10 have the case and the time" in one] == [
        ties.message
    ]


@pytest.mark.parametrize("rows", [ROWS, 70])
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_in_the_last_row_leaves_the_table_untouched(
    kind: str, rows: int, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """A frame that can be read only once is rejected before its job is executed, too."""
    frame = KINDS[kind](_log(rows, last=None), tmp_path)
    with pytest.raises(FrameError, match=rf"1 null \(in row {rows - 1:,}\)") as caught:
        connection.push_event_log(frame, POOL, table, **LOG)
    assert caught.value.column == "CASE"
    jobs = [job for job in server.jobs if job["targetName"] == table]
    assert {job["status"] for job in jobs} <= {"CANCELED"}


def test_errors_are_warnings_if_asked_for(
    connection: Celonis, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """check="warn" pushes what is not an event log; warnings are logged, hints are not."""
    log = _log(70, last=None).with_columns(pl.col("TIME").dt.replace_time_zone("UTC"))
    with caplog.at_level(logging.WARNING, "celonis_frames"):
        status = connection.push_event_log(log, POOL, table, check="warn", **LOG)
    assert status.ok
    assert sum("1 null (in row 69)" in one for one in status.warnings) == 1
    assert not [one for one in status.warnings if "UTC" in one]
    assert "1 null (in row 69)" in caplog.text


def test_a_query_is_run_once(connection: Celonis, table: str) -> None:
    """The check reads the rows of the push, and no others."""
    seen: list[int] = []

    def rows(frame: pl.DataFrame) -> pl.DataFrame:
        seen.append(frame.height)
        return frame

    query = _log().lazy().map_batches(rows, streamable=True)
    assert connection.push_event_log(query, POOL, table, **LOG).rows == ROWS
    assert sum(seen) == ROWS


def test_the_check_reads_a_query_and_a_generator_once() -> None:
    """A report alone neither collects a query nor runs it twice, and reads a stream to its end."""
    seen: list[int] = []

    def rows(frame: pl.DataFrame) -> pl.DataFrame:
        seen.append(frame.height)
        return frame

    report = check_event_log(_log().lazy().map_batches(rows, streamable=True), **LOG)
    assert (report.events, sum(seen)) == (ROWS, ROWS)
    pieces = _pieces(_log())
    assert check_event_log(pieces, **LOG) == report
    assert next(pieces, None) is None


def test_files_behind_a_url(tmp_path: Path) -> None:
    """storage_options= and index= are checked as those of `push`, and reach the reading."""
    url, secret = f"file://{_file(_log(70), tmp_path)}", Secret("key")
    report = check_event_log(url, storage_options={"auto_mkdir": False}, **LOG)
    assert report.events == 70
    with pytest.raises(ConfigError, match="storage_options= must be a mapping"):
        check_event_log(url, storage_options=secret, **LOG)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="index='yes' must be True or False"):
        check_event_log(_log(70).to_pandas(), index="yes", **LOG)  # type: ignore[arg-type]


def test_a_job_that_is_made_again(server: Any, connection: Celonis, table: str) -> None:
    """A string that outgrows its column restarts the job, and counts nothing twice."""
    log = _log(last="long " * 100)
    status = connection.push_event_log(_pieces(log), POOL, table, **LOG)
    assert (status.restarts, status.rows) == (1, ROWS)
    assert sum("10 have the case and the time" in one for one in status.warnings) == 1
    assert server.table(POOL, table).num_rows == ROWS


def test_all_options_of_a_push(server: Any, connection: Celonis, table: str) -> None:
    """Keys, renaming, a stage and types work as in `push`; columns may have their new names."""
    log = _log(700).rename({"TIME": " time "})
    status = connection.push_event_log(
        log, POOL, table, case="case", activity="ACTIVITY", timestamp="time", order="n",
        keys="n", rename="snake", columns={"case": 50, "n": "FLOAT"}, mode="REPLACE",
        staging="memory://event-logs",
    )  # fmt: skip
    assert (status.ok, status.mode) == (True, "REPLACE")
    assert not [one for one in status.warnings if "time of an earlier" in one]  # n decides
    assert set(server.table(POOL, table).column_names) >= {"case", "activity", "time", "n"}


def test_pseudonyms_and_local_times(connection: Celonis, table: str) -> None:
    """The check sees the ids before they are pseudonyms, and times as they are stored."""
    log = _log(70).with_columns(pl.col("TIME").dt.replace_time_zone("Europe/Berlin"))
    status = connection.push_event_log(
        log, POOL, table, times="local", columns={"CASE": Column(pseudonymise="key")}, **LOG
    )
    assert sum("10 have the case and the time" in one for one in status.warnings) == 1


def test_rows_that_are_left_out(connection: Celonis, table: str) -> None:
    """on_bad="drop" does not keep the check from seeing text that is no UTF-8."""
    log = _log(70).to_pandas().astype({"ACTIVITY": object})
    log.loc[0, "ACTIVITY"] = "\ud800"
    status = connection.push_event_log(log, POOL, table, on_bad="drop", **LOG)
    assert status.rows == 69


def test_objects_for_the_data_ingestion_api(own: Any, table: str) -> None:
    """By via="ingestion" an error is found before anything is stored."""
    keys = own.ingestion(POOL, tables={table: {"keys": ["N"]}})
    with Celonis(own.url, ingestion=keys) as celonis:
        with pytest.raises(FrameError, match="is not an event log"):
            celonis.push_event_log(_log(70, last=None), POOL, table, keys="N", **LOG)
        status = celonis.push_event_log(_log(70), POOL, table, keys="N", **LOG)
        assert (status.state, len(status.objects)) == ("ACCEPTED", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_is_missing(kind: str, connection: Celonis, tmp_path: Path) -> None:
    """The error names what is missing and what is near, before anything is sent."""
    frame = KINDS[kind](_log(70), tmp_path)
    with pytest.raises(ColumnNameError, match=r"case='CASES' .* Did you mean 'CASE'\?") as caught:
        connection.push_event_log(frame, POOL, "T", **LOG | {"case": "CASES"})
    assert caught.value.column == "CASES"
    frame = KINDS[kind](_log(70), tmp_path)
    with pytest.raises(ColumnNameError, match=r"end='UNTIL' is not.* It has \['CASE', 'ACTIVITY'"):
        check_event_log(frame, end="UNTIL", **LOG)


def test_wrong_arguments(connection: Celonis) -> None:
    """Each is a ConfigError before anything is sent."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"case": None}, "case=None must be the name of a column"),
        ({"timestamp": ""}, "timestamp='' must be the name of a column"),
        ({"end": 1}, "end=1 must be the name of a column"),
        ({"activity": "CASE"}, "case= and activity= both name column 'CASE'"),
    ]
    for changed, message in wrong:
        with pytest.raises(ConfigError, match=message):
            connection.push_event_log(_log(70), POOL, "T", **LOG | changed)
        with pytest.raises(ConfigError, match=message):
            check_event_log(_log(70), **LOG | changed)
    with pytest.raises(ConfigError, match="check='none' is unknown"):
        connection.push_event_log(_log(70), POOL, "T", check="none", **LOG)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"push_event_log\(frame, pool, table\)"):
        connection.push_event_log(POOL, _log(70), "T", **LOG)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="reload= needs wait=True"):
        connection.push_event_log(_log(70), POOL, "T", model="Model", wait=False, **LOG)


def test_a_column_of_lists() -> None:
    """Lists identify nothing: an error that names the column."""
    log = _log(70).with_columns(pl.concat_list("ACTIVITY").alias("ACTIVITY"))
    with pytest.raises(ColumnTypeError, match=r"'ACTIVITY' .* cannot be part of an event log"):
        check_event_log(log, **LOG)


@pytest.mark.parametrize("role", ["case", "activity", "timestamp", "end", "order"])
def test_a_column_of_lists_of_python(role: str) -> None:
    """Python's lists and dicts are no nulls, which the pandas reader makes of them unread."""
    columns: dict[str, Any] = {**LOG, "end": "END", "order": "STEP"}
    log = _log(3).to_pandas().assign(END=pd.Timestamp("2024-02-28"), STEP=1)
    for value in ([1], {"A": 1}):
        log[columns[role]] = pd.Series([value] * len(log), dtype=object)
        with pytest.raises(ColumnTypeError, match=rf"'{columns[role]}' \(object of dict or list\)"):
            check_event_log(log, **columns)


def test_functions_and_accessors(connection: Celonis, table: str) -> None:
    """The function and the accessors of all frames do the same; the check needs no connection."""
    log = _log(70)
    reports = [
        check_event_log(log, **LOG),
        log.celonis.check_event_log(**LOG),  # type: ignore[attr-defined]
        log.lazy().celonis.check_event_log(**LOG),  # type: ignore[attr-defined]
        log.to_pandas().set_index("CASE").celonis.check_event_log(**LOG),
    ]
    assert all(one == reports[0] for one in reports)
    assert push_event_log(log, POOL, table, client=connection, **LOG).ok
    assert isinstance(log.to_pandas(), pd.DataFrame)
    status = log.to_pandas().celonis.push_event_log(POOL, table, client=connection, **LOG)
    assert status.ok


def test_the_model_is_loaded_afterwards(connection: Celonis, table: str) -> None:
    """model= loads the data model once the rows are in the table."""
    status = connection.push_event_log(_log(70), POOL, table, model="Model", **LOG)
    assert isinstance(status.reload, ReloadStatus)
    assert status.reload.ok
