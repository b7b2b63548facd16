"""Jobs of the local Celonis do not disturb each other, whatever happens to one of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from test_server import Client, _file

from celonis_frames import local
from celonis_frames.local._database import job_runner, loading_thread
from celonis_frames.local._database.errors import JobError

TABLE = pa.table({"A": [1]})


@pytest.fixture
def celonis() -> Iterator[Any]:
    """A local Celonis of its own."""
    with local.start(limits=False) as running:
        yield running


@pytest.mark.parametrize(
    "error",
    [
        JobError("no"), duckdb.IOException("no"), duckdb.Error(""), TypeError("no"),
        MemoryError(), OSError(28, "No space left on device"), UnicodeError("no"),
    ],
    ids=repr,
)  # fmt: skip
def test_a_job_that_fails_fails_alone(
    celonis: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whatever ends a job after it has written rows: its table is unchanged, the next job runs."""
    client = Client(celonis)
    real, broken = job_runner.execute, []

    def execute(*call: Any) -> Iterator[str]:
        yield from real(*call)
        if not broken:
            broken.append(error)
            raise error

    assert client.push("P", TABLE, targetName="T", type="REPLACE")["status"] == "DONE"
    monkeypatch.setattr(job_runner, "execute", execute)
    ends = [client.push("P", pa.table({"A": [2, 3]}), targetName="T", type="DELTA", keys=["A"])
            for _ in range(3)]  # fmt: skip
    assert [end["status"] for end in ends] == ["ERROR", "DONE", "DONE"]
    assert ends[0]["logs"][-1].partition(" - ")[2].startswith("Job failed: ")
    assert sorted(celonis.table("P", "T")["A"].to_pylist()) == [1, 2, 3]
    assert list(celonis._catalog.folder.iterdir()) == []


def test_a_state_that_cannot_be_stored_is_stored_later(
    celonis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the end of a job is stored once there is space, and the next job runs."""
    client, catalog = Client(celonis), celonis._catalog
    real, failures = catalog.set_job, []

    def set_job(job_id: str, status: str, *lines: str, cursor: Any = None) -> None:
        if status != "QUEUED" and len(failures) < 4:
            failures.append(status)
            raise duckdb.TransactionException("Failed to commit: No space left on device")
        real(job_id, status, *lines, cursor=cursor)

    monkeypatch.setattr(catalog, "set_job", set_job)
    monkeypatch.setattr(loading_thread, "RETRY_SECONDS", 0.01)
    ends = [client.push("P", TABLE, targetName="T", type="DELTA") for _ in range(2)]
    assert [end["status"] for end in ends] == ["ERROR", "DONE"]
    assert failures == ["RUNNING", "ERROR", "ERROR", "ERROR"]


def test_cancelling_a_job_interrupts_no_other(celonis: Any) -> None:
    """A cancellation that comes when its job has just ended reaches no job that runs then."""
    client = Client(celonis)
    first = client.push("P", TABLE, targetName="T", type="DELTA")["id"]
    runner = celonis._state.job_runner
    celonis.faults.slow_jobs(running=0.3)
    second = client.job("P", targetName="T", type="DELTA")
    assert client.chunk("P", second, _file(TABLE)).status_code == 200
    assert client.call("POST", f"/P/jobs/{second}").status_code == 200
    while client.call("GET", f"/P/jobs/{second}").json()["status"] != "RUNNING":
        time.sleep(0.005)
    for _ in range(100):
        runner.cancel(first)
        runner._cursors.interrupt(first)
    assert client.call("POST", f"/P/jobs/{first}/cancel").status_code == 400
    assert client.end("P", second)["status"] == "DONE"


def test_a_queued_job_keeps_its_parameters_over_a_restart(tmp_path: Path) -> None:
    """`duplicateRemovalColumn` comes with the submission, and holds after a restart too."""
    path = tmp_path / "x.duckdb"
    rows = pa.table({"K": [1, 1], "V": [9, 2]})
    with local.start(path, limits=False) as celonis:
        client = Client(celonis)
        celonis.faults.slow_jobs(queued=60)
        job = client.job("P", targetName="T", type="DELTA", keys=["K"])
        assert client.chunk("P", job, _file(rows)).status_code == 200
        by = {"duplicateRemovalColumn": "V"}
        assert client.call("POST", f"/P/jobs/{job}", params=by).status_code == 200
        assert "duplicate_removal" not in client.call("GET", f"/P/jobs/{job}").json()
    with local.start(path, limits=False) as celonis:
        assert Client(celonis).end("P", job)["status"] == "DONE"
        assert celonis.table("P", "T").to_pylist() == [{"K": 1, "V": 9}]


@pytest.mark.parametrize("options", [
    {"additionalColumnOptions": "x"}, {"additionalColumnOptions": ["x"]},
    {"additionalColumnOptions": [{"columnName": 1}]},
    {"additionalColumnOptions": [{"columnName": "A", "dateFormat": 5}]},
    {"decimalSeparator": 1}, {"thousandSeparator": ["."]}, {"charSet": {}},
], ids=str)  # fmt: skip
def test_options_of_the_wrong_kind_are_rejected(celonis: Any, options: Any) -> None:
    """They are an error of the call that creates the job, not of the job."""
    body = {"targetName": "T", "type": "DELTA", "fileType": "CSV", "csvParsingOptions": options}
    response = Client(celonis).call("POST", "/P/jobs", json=body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["attribute"].startswith("csvParsingOptions.")
