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
from celonis_frames._concurrency import cancellation
from celonis_frames._concurrency.cancellation import CLEANUP_SECONDS

FRAME = pl.DataFrame({"A": [1, 2]})
SECONDS = 0.5
"""``timeout=`` of these tests, twice as long each time if a busy machine does not get as far."""
PATIENCE_SECONDS = 30.0
SLACK_SECONDS = 4.0
"""On an idle machine none is needed."""


@contextmanager
def _bounded(seconds: float = SECONDS) -> Iterator[None]:
    """Ends soon after so many seconds. The faults last a minute."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds + SLACK_SECONDS


def _error(
    call: Callable[[float], Any], reached: Callable[[exceptions.JobTimeout], Any], more: float = 0.0
) -> exceptions.JobTimeout:
    """The error of a call with a timeout, which is long enough for it to get as far as intended."""
    seconds = SECONDS
    while True:
        with _bounded(seconds + more), pytest.raises(exceptions.JobTimeout) as caught:
            call(seconds)
        if reached(caught.value) or seconds > PATIENCE_SECONDS:
            return caught.value
        seconds *= 2


def _push(client: Celonis, table: str, seconds: float = SECONDS) -> Any:
    return client.push(FRAME, "P", table, timeout=seconds)


def _delete(client: Celonis, table: str, seconds: float) -> Any:
    return client.delete(FRAME, "P", table, keys="A", timeout=seconds)


def _push_many(client: Celonis, table: str, seconds: float) -> Any:
    return client.push_many({table: FRAME, f"{table}_2": FRAME}, "P", timeout=seconds)


def _changes(client: Celonis, table: str, seconds: float) -> Any:
    with client.changes("P", table, keys="A", timeout=seconds) as changes:
        changes.upsert(FRAME)
    return changes.status


WAYS = [_push, _delete, _push_many, _changes]


@pytest.mark.sampled(6)
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
    way: Callable[[Celonis, str, float], Any],
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
    fault = (
        own.faults.drip(route, 60, times=None)
        if drips
        else own.faults.stall(route, when="before" if route == "execute" else "after", times=None)
    )
    if route == "execute" and drips:
        with _bounded(PATIENCE_SECONDS):
            way(client, table, PATIENCE_SECONDS)  # its status has arrived
        assert fault.hits
        return
    before: set[str] = set()

    def call(seconds: float) -> None:
        before.update(job["id"] for job in own.jobs)
        way(client, table, seconds)

    error = _error(call, lambda error: fault.hits and doing in str(error))
    assert fault.hits
    assert doing in str(error)
    jobs = {job["id"]: job["status"] for job in own.jobs if job["id"] not in before}
    assert set(jobs.values()) <= set(left)
    if route in ("upload", "chunks"):
        assert error.job_id in jobs
        assert f"Job {error.job_id} was cancelled" in str(error.__notes__)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("way", WAYS)
def test_cleaning_up_has_a_limit_of_its_own(
    way: Callable[[Celonis, str, float], Any],
    own: Any,
    client: Celonis,
    table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cancelling the job and looking for lost ones; the error names what stays open."""
    monkeypatch.setattr(cancellation, "CLEANUP_SECONDS", 1.0)
    if way is _delete:
        client.push(FRAME, "P", table, keys="A")
    for route in ("create", "cancel", "jobs"):
        own.faults.stall(route, when="before", times=None, skip=int(route == "create"))
    own.faults.stall("upload_deleted" if way is _delete else "upload", times=None)

    def left() -> list[Any]:
        return [job for job in own.jobs if job["status"] == "NEW"]

    error = _error(lambda seconds: way(client, table, seconds), lambda _: left(), more=1.0)
    (job,) = left()
    notes = str(error.__notes__)
    assert "could not be cancelled" in notes or "was not begun" in notes or "created" in notes
    own.faults.clear()
    own._catalog.set_job(job["id"], "CANCELED")


def test_an_error_before_the_timeout_is_cleaned_up_until_then(
    own: Any, client: Celonis, table: str
) -> None:
    """And five seconds more, while without a timeout the connection's retries decide."""
    own.faults.answer("upload", 400)
    own.faults.drip("cancel", 60, times=None)
    with _bounded(SECONDS + CLEANUP_SECONDS), pytest.raises(exceptions.BadRequest, match="400"):
        _push(client, table)


def test_the_frame_is_not_read_further(client: Celonis, own: Any, table: str) -> None:
    """Between two batches of a frame that takes long; what was sent is not executed."""
    read: list[int] = []

    def slow() -> Iterator[pl.DataFrame]:
        for number in range(100):
            yield pl.DataFrame({"A": range(200_000)})
            read.append(number)
            time.sleep(0.1)

    with (
        _bounded(),
        pytest.raises(exceptions.JobTimeout, match="was cancelled; the table is unchanged"),
    ):
        client.push(slow(), "P", table, timeout=SECONDS)
    assert len(read) < 30
    assert [job["status"] for job in own.jobs] == ["CANCELED"]


def test_the_error_says_that_the_frame_was_read(client: Celonis, table: str) -> None:
    """If its first rows come so late that its job is not created."""

    def slow() -> Iterator[pl.DataFrame]:
        for _ in range(4):
            yield pl.DataFrame({"A": range(1_000)})
            time.sleep(SECONDS)

    with pytest.raises(exceptions.JobTimeout, match="while the frame was read; nothing was"):
        client.push(slow(), "P", table, timeout=SECONDS)


def test_a_frame_without_rows_does_not_hold_push_many(
    client: Celonis, own: Any, table: str
) -> None:
    """Its thread cannot be ended; the error names the table, and nothing of it is submitted."""
    released = threading.Event()

    def hanging() -> Iterator[pl.DataFrame]:
        yield FRAME
        released.wait(60)

    def call(seconds: float) -> None:
        client.push_many({f"{table}_hangs": hanging(), table: FRAME}, "P", timeout=seconds)

    try:
        error = _error(call, lambda error: "not finished within" in str(error), more=5.0)
    finally:
        released.set()
        for thread in threading.enumerate():
            if thread.name == "celonis-push":
                thread.join(10)
    assert "not finished within" in str(error)
    assert f"{table}_hangs" in str(error)
    assert {job["targetName"] for job in own.jobs} == {table}


def test_a_timeout_while_rows_are_counted_is_a_warning(
    own: Any, client: Celonis, table: str
) -> None:
    """The job is done; only the comparison is missing."""
    fault = own.faults.stall("tables", times=None, skip=1)
    seconds = 4 * SECONDS  # until then the job must be done
    with _bounded(seconds):
        status = client.push(FRAME, "P", table, verify="rows", timeout=seconds)
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
    _error(lambda seconds: client.resume(str(tmp_path), timeout=seconds), lambda _: fault.hits)
    assert fault.hits
    own.faults.clear()
    (status,) = client.resume(str(tmp_path))
    assert status.ok
    assert own.table("P", table).num_rows == 2
