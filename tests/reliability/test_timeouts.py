"""``timeout=`` bounds everything: each call, answers byte by byte, the frame, what cleans up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from celonis_frames import Celonis, OAuth2, exceptions

FRAME = pl.DataFrame({"A": [1, 2]})
SECONDS = 0.7
"""``timeout=`` of these tests."""
SECONDS_OF_TWO = 2.5
"""The same for two pushes at once: on a busy machine both must get as far as the fault."""
SLACK_SECONDS = 4.0
"""On an idle machine none is needed."""


@contextmanager
def _bounded(more: float = 0.0, way: Any = None) -> Iterator[None]:
    """Ends soon after the timeout of a way, and so many seconds. The faults last a minute."""
    begin = time.monotonic()
    yield
    seconds = SECONDS_OF_TWO if way is _push_many else SECONDS
    assert time.monotonic() - begin < seconds + SLACK_SECONDS + more


def _push(client: Celonis, table: str) -> Any:
    return client.push(FRAME, "P", table, timeout=SECONDS)


def _delete(client: Celonis, table: str) -> Any:
    return client.delete(FRAME, "P", table, keys="A", timeout=SECONDS)


def _push_many(client: Celonis, table: str) -> Any:
    frames = {table: FRAME, f"{table}_2": FRAME}
    return client.push_many(frames, "P", timeout=SECONDS_OF_TWO)


def _changes(client: Celonis, table: str) -> Any:
    with client.changes("P", table, keys="A", timeout=SECONDS) as changes:
        changes.upsert(FRAME)
    return changes.status


WAYS = [_push, _delete, _push_many, _changes]


@pytest.mark.parametrize(("way", "drips"), [(_push, True), *((way, False) for way in WAYS)])
@pytest.mark.parametrize(
    ("route", "doing", "left"),
    [
        ("pools", "while the pool was looked up; nothing was executed", []),
        ("columns", "while the columns of table", []),
        ("create", "while the job was created; nothing was executed", ["CANCELED"]),
        ("upload", "job", ["CANCELED"]),
        ("chunks", "job", ["CANCELED"]),
        ("execute", "was submitted", ["CANCELED"]),
        ("job", "continues on the server", ["DONE"]),
    ],
)
def test_no_call_lasts_longer_than_the_timeout(
    way: Callable[[Celonis, str], Any],
    route: str,
    drips: bool,
    doing: str,
    left: list[str],
    own: Any,
    client: Celonis,
    table: str,
) -> None:
    """Without a response, or with one byte by byte: JobTimeout says what was being done."""
    if way is _push_many and route == "job":
        route = "jobs"
    if way is _delete:
        client.push(FRAME, "P", table, keys="A")
        route = "upload_deleted" if route == "upload" else route
    before = {job["id"] for job in own.jobs}
    fault = (
        own.faults.drip(route, 60, times=None)
        if drips
        else own.faults.stall(route, when="before" if route == "execute" else "after", times=None)
    )
    if route == "execute" and drips:
        with _bounded(way=way):
            way(client, table)  # its status has arrived
        assert fault.hits
        return
    with _bounded(way=way), pytest.raises(exceptions.JobTimeout, match=doing) as caught:
        way(client, table)
    assert fault.hits
    jobs = {job["id"]: job["status"] for job in own.jobs if job["id"] not in before}
    assert set(jobs.values()) <= set(left)
    if route in ("upload", "chunks"):
        assert caught.value.job_id in jobs
        assert f"Job {caught.value.job_id} was cancelled" in str(caught.value.__notes__)


@pytest.mark.parametrize("way", WAYS)
def test_cleaning_up_has_five_seconds_in_all(
    way: Callable[[Celonis, str], Any], own: Any, client: Celonis, table: str
) -> None:
    """Cancelling the job and looking for lost ones; the error names what stays open."""
    if way is _delete:
        client.push(FRAME, "P", table, keys="A")
    for route in ("create", "cancel", "jobs"):
        own.faults.stall(route, when="before", times=None, skip=int(route == "create"))
    own.faults.stall("upload_deleted" if way is _delete else "upload", times=None)
    with _bounded(5.0, way), pytest.raises(exceptions.JobTimeout) as caught:
        way(client, table)
    (left,) = (job for job in own.jobs if job["status"] == "NEW")
    notes = str(caught.value.__notes__)
    assert "could not be cancelled" in notes or "was not begun" in notes or "created" in notes
    own.faults.clear()
    own._catalog.set_job(left["id"], "CANCELED")


def test_an_error_before_the_timeout_is_cleaned_up_until_then(
    own: Any, client: Celonis, table: str
) -> None:
    """And five seconds more, while without a timeout the connection's retries decide."""
    own.faults.answer("upload", 400)
    own.faults.drip("cancel", 60, times=None)
    with _bounded(5.0), pytest.raises(exceptions.BadRequest, match="400"):
        _push(client, table)


def test_the_frame_is_not_read_further(client: Celonis, own: Any, table: str) -> None:
    """Between two batches of a frame that takes long; rows read so far are counted."""
    read: list[int] = []

    def slow() -> Iterator[pl.DataFrame]:
        for number in range(100):
            yield pl.DataFrame({"A": range(200_000)})
            read.append(number)
            time.sleep(0.1)

    with (
        _bounded(),
        pytest.raises(exceptions.JobTimeout, match=r"while the frame was read, after .* rows"),
    ):
        client.push(slow(), "P", table, timeout=SECONDS)
    assert len(read) < 30
    assert own.jobs == []


def test_a_frame_without_rows_does_not_hold_push_many(
    client: Celonis, own: Any, table: str
) -> None:
    """Its thread cannot be ended; the error names the table, and nothing of it is submitted."""
    end = time.monotonic() + 8

    def hanging() -> Iterator[pl.DataFrame]:
        yield FRAME
        while time.monotonic() < end:
            time.sleep(0.05)

    with _bounded(5.0), pytest.raises(exceptions.JobTimeout, match="not finished within") as caught:
        client.push_many({f"{table}_hangs": hanging(), table: FRAME}, "P", timeout=SECONDS)
    assert f"{table}_hangs" in str(caught.value)
    time.sleep(max(0.0, end - time.monotonic()))
    assert {job["targetName"] for job in own.jobs} == {table}


def test_a_timeout_while_rows_are_counted_is_a_warning(
    own: Any, client: Celonis, table: str
) -> None:
    """The job is done; only the comparison is missing."""
    fault = own.faults.stall("tables", times=None, skip=1)
    with _bounded():
        status = client.push(FRAME, "P", table, verify="rows", timeout=SECONDS)
    assert status.ok
    assert fault.hits
    assert any("timeout= had passed" in warning for warning in status.warnings)


@pytest.mark.parametrize("drips", [False, True])
def test_waiting_for_a_job_is_bounded(drips: bool, own: Any, client: Celonis, table: str) -> None:
    """A look without a response does not outlast the timeout; a short one allows one look."""
    own.faults.slow_jobs(running=30)
    status = client.push(FRAME, "P", table, wait=False)
    with _bounded(), pytest.raises(exceptions.JobTimeout, match=r"RUNNING after 0\.1 s"):
        status.wait(timeout=0.1)
    if drips:
        own.faults.drip("job", 60, times=None)
    else:
        own.faults.stall("job", times=None)
    with _bounded(), pytest.raises(exceptions.JobTimeout, match="continues on the server"):
        status.wait(timeout=SECONDS)
    own.faults.clear()
    status.cancel()


@pytest.mark.parametrize("drips", [False, True])
def test_a_token_request_is_bounded(drips: bool, own: Any, table: str) -> None:
    """Also that of another push, for which this one waits."""
    if drips:
        fault = own.faults.drip("token", 60, times=None)
    else:
        fault = own.faults.stall("token", seconds=8, times=None)
    ends: list[BaseException] = []
    with Celonis(own.url, auth=OAuth2(*own.oauth_client)) as client:

        def push(seconds: float) -> None:
            try:
                client.push(FRAME, "P", table, timeout=seconds)
            except exceptions.CelonisFramesError as error:
                ends.append(error)

        longer = threading.Thread(target=push, args=(SECONDS + SLACK_SECONDS + 2,))
        longer.start()
        while not fault.hits:
            time.sleep(0.01)
        with _bounded():
            push(SECONDS)
        assert isinstance(ends.pop(), exceptions.JobTimeout)
        assert longer.is_alive()
        with _bounded(SLACK_SECONDS + 2):
            longer.join()


@pytest.mark.parametrize("route", ["job", "create", "upload", "chunks"])
def test_resume_is_bounded(
    route: str, own: Any, client: Celonis, table: str, tmp_path: Path
) -> None:
    """The stage stays, and a later resume finishes the push."""
    own.faults.answer("upload" if route == "create" else "execute", 500, times=None)
    own.faults.answer("cancel", 404, times=None)
    with pytest.raises((exceptions.ServerError, exceptions.UploadUncertain)):
        client.push(FRAME, "P", table, staging=str(tmp_path))
    own.faults.clear()
    if route == "create":
        own._catalog.set_job(own.jobs[0]["id"], "CANCELED")
    if route == "upload":
        for job in own.jobs:
            own._catalog.set_job(job["id"], "CANCELED")
    fault = own.faults.drip(route, 60, times=None)
    with _bounded(), pytest.raises(exceptions.JobTimeout):
        client.resume(str(tmp_path), timeout=SECONDS)
    assert fault.hits
    own.faults.clear()
    (status,) = client.resume(str(tmp_path))
    assert status.ok
    assert own.table("P", table).num_rows == 2
