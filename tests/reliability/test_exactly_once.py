"""Exactly-once delivery: combined faults, lost responses, orphans, cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from celonis_frames import ApiKey, Celonis, Timeouts, exceptions
from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency import cancellation
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.once import open_job_once
from celonis_frames._push.pipeline import push_frame
from celonis_frames._push.progress import in_progress
from celonis_frames._staging import manifest

ROWS = 20_000
FRAME = pl.DataFrame({"A": range(ROWS), "B": np.random.default_rng(1).random(ROWS)})


@pytest.fixture
def client(own: Any) -> Iterator[Celonis]:
    """A connection with a short read timeout."""
    with Celonis(own.url, auth=ApiKey(own.token), timeouts=Timeouts(read=0.5)) as celonis:
        yield celonis


def _states(own: Any) -> list[str]:
    return [str(job["status"]) for job in reversed(own.jobs)]


def _repeated_and_lost(faults: Any) -> None:
    faults.repeat("upload")
    faults.answer("upload", 502, skip=1)


def _repeated_and_closed(faults: Any) -> None:
    faults.repeat("upload")
    faults.drop("upload", skip=1)


def _late_and_lost(faults: Any) -> None:
    faults.stall("upload", when="late", late_seconds=0.3)
    faults.delay("upload", 0.2)
    faults.drop("upload", skip=2)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("keys", [None, "A"])
@pytest.mark.parametrize("arm", [_repeated_and_lost, _repeated_and_closed, _late_and_lost])
def test_a_duplicate_chunk_never_replaces_a_missing_one(
    arm: Callable[[Any], None], keys: str | None, own: Any, client: Celonis, table: str
) -> None:
    """The number of chunks proves nothing: chunks are identified by their checksums."""
    arm(own.faults)
    try:
        status = client.push(FRAME, "P", table, keys=keys, upload={"chunk_bytes": 60_000})
    except exceptions.UploadUncertain:
        with pytest.raises(KeyError):
            own.table("P", table)
        return
    assert status.rows == ROWS
    there = own.table("P", table)
    assert there.num_rows == ROWS
    assert there.sort_by("A")["A"].to_pylist() == list(range(ROWS))


def test_a_chunk_received_during_the_wait_for_the_quota_is_detected(
    own: Any, client: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job's chunks are counted again before a delayed submission."""
    late = own.faults.stall("upload", when="late", late_seconds=1.0)
    own.faults.answer("execute", 429, headers={"Retry-After": "17"})
    waited = []

    def sleep(seconds: float, _: object) -> None:
        if 16 < seconds <= 17:
            while not late.over:
                threading.Event().wait(0.01)
        waited.append(seconds)
        time.sleep(min(seconds, 0.01))

    monkeypatch.setattr(cancellation, "_sleep", sleep)
    status = client.push(FRAME.head(10), "P", table)
    assert any(16 < seconds <= 17 for seconds in waited)
    assert status.rows == 10
    assert own.table("P", table).num_rows == 10
    assert _states(own) == ["CANCELED", "DONE"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_journal_that_cannot_be_written_leaves_no_job(
    error: BaseException, own: Any, client: Celonis, table: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """A job is cancelled if anything fails right after its creation."""
    real = manifest.write_manifest

    def write(filesystem: Any, folder: str, manifest: Any) -> None:
        if manifest.state == "uploading":
            raise error
        real(filesystem, folder, manifest)

    monkeypatch.setattr("celonis_frames._staging.stage.write_manifest", write)
    with pytest.raises((OSError, KeyboardInterrupt, exceptions.ConfigError)):
        client.push(FRAME, "P", table, staging=str(tmp_path))
    assert _states(own) == ["CANCELED"]


def test_an_interrupt_during_job_creation_leaves_no_job(
    own: Any, client: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job created by an interrupted call is found and cancelled."""
    real = client._api.create_job

    def create(*given: Any) -> Any:
        real(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "celonis_frames._api.client.DataPushApi.create_job", lambda _, *given: create(*given)
    )
    with pytest.raises(KeyboardInterrupt):
        client.push(FRAME, "P", table)
    assert _states(own) == ["CANCELED"]


def test_only_own_orphans_are_cancelled(own: Any, client: Celonis, table: str) -> None:
    """Only the job whose response was lost is cancelled, not another client's similar job."""
    with Celonis(own.url, auth=ApiKey(own.token)) as other:
        fault = own.faults.garble("create", "cut")
        status = client.push(FRAME, "P", table)
        assert fault.hits == 1
        pool_id = other.pool_id("P")
        body = own.jobs[0] | {"fallbackVarcharLength": 50_000}
        living = other._api.create_job(pool_id, body).id
        own.faults.garble("create", "cut")
        client.push(FRAME, "P", table)
    assert status.ok
    found = {job["id"]: job["status"] for job in own.jobs}
    assert found.pop(living) == "NEW"
    assert sorted(found.values()) == ["CANCELED", "CANCELED", "DONE", "DONE"]
    own._catalog.set_job(living, "CANCELED")


@pytest.mark.parametrize(
    ("missing", "states"), [("celonis-read", ["CANCELED"]), ("celonis-upload", ["CANCELED"])]
)
def test_a_system_without_threads_leaves_no_job(
    own: Any,
    client: Celonis,
    table: str,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    states: Any,
) -> None:
    """If a thread cannot be started, that error is raised and no job stays open."""
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == missing:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    large = pl.DataFrame({"A": range(200_000)})  # a small one has no thread that reads it
    with pytest.raises(RuntimeError, match="can't start new thread"):
        client.push(large, "P", table)
    assert _states(own) == states


def test_a_failed_submission_can_be_resumed(
    own: Any, client: Celonis, table: str, tmp_path: Path
) -> None:
    """After a failed submission the stage stays, and resume creates a new job."""
    own.faults.answer("execute", 500, times=None)
    with pytest.raises(exceptions.ServerError):
        client.push(FRAME, "P", table, staging=str(tmp_path))
    own.faults.clear()
    assert client.resume(str(tmp_path))[0].ok
    assert _states(own) == ["CANCELED"] * 3 + ["DONE"]
    assert own.table("P", table).num_rows == ROWS
    assert not list(tmp_path.iterdir())


def test_a_stale_manifest_does_not_push_twice(
    own: Any, client: Celonis, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the manifest's last state was lost, an executed job is only polled."""
    real = manifest.write_manifest
    monkeypatch.setattr(
        "celonis_frames._staging.stage.write_manifest",
        lambda filesystem, folder, manifest: (
            None if manifest.state == "submitting" else real(filesystem, folder, manifest)
        ),
    )
    own.faults.answer("job", 403, times=None)
    with pytest.raises(exceptions.PermissionDenied) as caught:
        client.push(FRAME, "P", table, staging=str(tmp_path))
    assert any("continues on the server" in note for note in caught.value.__notes__)
    assert caught.value.job_id == own.jobs[0]["id"]
    own.faults.clear()
    assert client.resume(str(tmp_path))[0].ok
    assert _states(own) == ["DONE"]
    assert own.table("P", table).num_rows == ROWS


@pytest.mark.parametrize("status", [408, 425])
def test_408_and_425_are_retried(status: int, own: Any, client: Celonis, table: str) -> None:
    """408 and 425 leave the outcome of an upload unknown; polls are repeated."""
    own.faults.answer("upload", status)
    own.faults.answer("job", status)
    assert client.push(FRAME, "P", table).ok
    assert own.table("P", table).num_rows == ROWS


@pytest.mark.parametrize("route", ["create", "upload", "execute"])
def test_timeout_limits_retries(
    route: str, own: Any, client: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No retry begins after the timeout."""
    waited: list[float] = []
    monkeypatch.setattr(cancellation, "_sleep", lambda seconds, _: waited.append(seconds))
    fault = own.faults.answer(route, 503, times=None, headers={"Retry-After": "60"})
    with pytest.raises((exceptions.ServerError, exceptions.JobTimeout)):
        client.push(FRAME, "P", table, timeout=50)
    assert fault.hits == 1
    assert not [seconds for seconds in waited if seconds > 50]


def test_a_job_that_cannot_be_cancelled_is_reported_as_such(
    own: Any, client: Celonis, table: str
) -> None:
    """The error's notes say that the job could not be cancelled."""
    own.faults.answer("upload", 400)
    own.faults.answer("cancel", 404, times=None)
    with pytest.raises(exceptions.BadRequest) as caught:
        client.push(FRAME, "P", table)
    assert any("could not be cancelled" in note for note in caught.value.__notes__)
    own._catalog.set_job(own.jobs[0]["id"], "CANCELED")


def test_nothing_is_submitted_after_a_cancellation(
    own: Any, client: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that waits for the quota cancels its job when its token is cancelled."""
    token = cancellation.CancelToken()
    own.faults.answer("execute", 429, times=None, headers={"Retry-After": "30"})

    def sleep(seconds: float, _: object) -> None:
        if seconds > 10:
            token.cancel()

    monkeypatch.setattr(cancellation, "_sleep", sleep)
    options = PushOptions()
    with (
        pytest.raises(cancellation.Cancelled),
        in_progress("push", table, client.url, options) as call,
    ):
        push_frame(
            client._api, FRAME, "P", table, options, progress=call, open_once=open_job_once,
            token=token,
        )  # fmt: skip
    assert _states(own) == ["CANCELED"]


@pytest.mark.parametrize(("queued", "ending"), [(0.0, "in the table twice"), (5.0, "unchanged")])
def test_an_upload_stored_after_the_last_count_is_never_done(
    queued: float,
    ending: str,
    own: Any,
    client: Celonis,
    table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lost upload that the server stores right before the execution is UploadUncertain.

    If the job can still be cancelled, nothing is executed.
    """
    own.faults.answer("upload", 500)
    own.faults.slow_jobs(queued=queued)
    sent: list[Any] = []
    upload, execute = DataPushApi.upload_chunk, DataPushApi.execute_job

    def uploading(api: Any, pool_id: str, job_id: str, payload: Any, **options: Any) -> None:
        sent.append(b"".join(bytes(block) for block in payload.blocks()))
        upload(api, pool_id, job_id, payload, **options)

    def executing(api: Any, pool_id: str, job_id: str, **options: Any) -> None:
        late = MemoryChunk(2, 10, (sent[0],), "PARQUET")
        upload(api, pool_id, job_id, late)
        execute(api, pool_id, job_id, **options)
        while not queued and _states(own) != ["DONE"]:
            threading.Event().wait(0.01)

    monkeypatch.setattr(DataPushApi, "upload_chunk", uploading)
    monkeypatch.setattr(DataPushApi, "execute_job", executing)
    with pytest.raises(
        exceptions.UploadUncertain, match=r"more chunks than were sent \(1\)"
    ) as caught:
        client.push(FRAME.head(10), "P", table)
    assert ending in str(caught.value)
    assert _states(own) == ["CANCELED" if queued else "DONE"]
