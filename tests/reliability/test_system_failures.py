"""A full disk, Ctrl-C, no more threads: an error is raised and nothing is left behind."""

from __future__ import annotations

import _thread
import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from leaks import push_threads

from celonis_frames import Celonis
from celonis_frames.exceptions import FrameError, JobTimeout, PermissionDenied


def _rows(count: int) -> Any:
    return pa.table({"N": range(count), "T": [f"{n * n * n:030d}" for n in range(count)]})


@pytest.fixture
def no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder that is not writable."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))


@pytest.mark.usefixtures("no_disk")
def test_a_pandas_object_frame_is_sent_if_the_disk_is_full(
    connection: Celonis, server: Any, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no room for its chunks, so it is read no faster than they are sent."""
    frame = pd.DataFrame({"T": pd.Series([f"{n:040d}" for n in range(30_000)], dtype=object)})
    status = connection.push(
        frame, "Trouble", table, mode="REPLACE", upload={"chunk_bytes": 20_000, "workers": 1}
    )
    assert status.rows == server.table("Trouble", table).num_rows == 30_000
    assert any("reading waits" in record.message for record in caplog.records)


@pytest.mark.usefixtures("no_disk")
def test_a_stream_is_rejected_if_the_disk_is_full(
    connection: Celonis, server: Any, table: str
) -> None:
    """A stream can be read only once: the error names TMPDIR, and no job is executed."""
    with pytest.raises(FrameError, match="TMPDIR"):
        connection.push(
            _rows(50_000).to_reader(),
            "Trouble",
            table,
            upload={"chunk_bytes": 20_000, "workers": 1},
        )
    assert {job["status"] for job in server.jobs if job["targetName"] == table} <= {"CANCELED"}


@pytest.mark.parametrize("at", [1, 3, 7])
@pytest.mark.parametrize("workers", [1, 3])
def test_ctrl_c_while_rows_are_read(
    at: int, workers: int, connection: Celonis, server: Any, table: str
) -> None:
    """KeyboardInterrupt is raised; no thread stays and no job is executed."""

    def rows() -> Iterator[Any]:
        for number in range(10):
            if number == at:
                _thread.interrupt_main()
            yield _rows(5_000)

    with pytest.raises(KeyboardInterrupt):
        connection.push(
            rows(), "Trouble", table, upload={"chunk_bytes": 50_000, "workers": workers}
        )
    assert push_threads() == []
    assert {job["status"] for job in server.jobs if job["targetName"] == table} <= {"CANCELED"}


def test_ctrl_c_while_chunks_are_encoded_and_uploaded(
    connection: Celonis, server: Any, table: str
) -> None:
    """The job is cancelled."""
    whole = _rows(60_000)
    interrupting = threading.Timer(0.3, _thread.interrupt_main)
    server.faults.delay("upload", 0.1)
    try:
        interrupting.start()
        with pytest.raises(KeyboardInterrupt):
            connection.push(whole, "Trouble", table, upload={"chunk_bytes": 20_000, "workers": 2})
        assert push_threads() == []
    finally:
        interrupting.join()
        server.faults.clear()
    assert [job["status"] for job in server.jobs if job["targetName"] == table] == ["CANCELED"]


def test_a_system_without_threads(
    connection: Celonis, server: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error is raised and no job stays open."""
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("celonis-"):
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError):
        connection.push(_rows(1_000), "Trouble", table)
    states = [job["status"] for job in server.jobs if job["targetName"] == table]
    assert states in ([], ["CANCELED"])


def test_a_rejected_upload_ends_all_threads_at_once(server: Any, table: str) -> None:
    """Threads end at once, although a notebook keeps the error."""
    server.faults.answer("upload", 403, times=None)
    gc.disable()
    try:
        with server.connect() as own:
            with pytest.raises(PermissionDenied) as caught:
                own.push(
                    _rows(200_000),
                    "Trouble",
                    table,
                    mode="REPLACE",
                    upload={"chunk_bytes": 100_000},
                )
            assert push_threads() == []
            assert caught.value.__traceback__ is not None
    finally:
        gc.enable()
        server.faults.clear()


def test_timeout_ends_a_push_whose_query_hangs(connection: Celonis, table: str) -> None:
    """The timeout is checked while the first rows are awaited."""
    runs: list[int] = []
    go_on, finished = threading.Event(), threading.Event()

    def rows(_: pl.DataFrame) -> pl.DataFrame:
        runs.append(1)
        go_on.wait(60)
        finished.set()
        return pl.DataFrame({"A": pl.int_range(1_000_000, eager=True)})

    frame = pl.LazyFrame({"A": [0]}).map_batches(rows, schema={"A": pl.Int64})
    try:
        with pytest.raises(JobTimeout):
            connection.push(
                frame,
                "Trouble",
                table,
                mode="REPLACE",
                upload={"chunk_bytes": "500 KB"},
                timeout=2.0,
            )
        assert len(runs) == 1
        assert not finished.is_set()
    finally:
        go_on.set()
        for thread in threading.enumerate():
            if thread.name.startswith("celonis-"):
                thread.join(10)
