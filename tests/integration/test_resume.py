"""resume(): staged pushes of a killed process, finished by another one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from waiting import until

import celonis_frames
from celonis_frames import Celonis, exceptions, local

ROWS = 100_000
PROGRAM = f"""
import os, sys
import polars as pl
from celonis_frames import ApiKey, Celonis
celonis = Celonis(os.environ["CELONIS_URL"], auth=ApiKey(os.environ["CELONIS_API_TOKEN"]))
frame = pl.DataFrame({{"A": range({ROWS})}})
celonis.push(frame, "P", "T", upload={{"chunk_bytes": 100_000}}, staging=sys.argv[1])
"""


def _killed(own: Any, folder: Path, when: Callable[[], Any]) -> None:
    """Push in a process, and send it SIGKILL when the condition is true."""
    environment = os.environ | {"CELONIS_URL": own.url, "CELONIS_API_TOKEN": own.token}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, f"file://{folder}"], env=environment)
    try:
        until(when)
    finally:
        process.kill()
        process.wait()
    own.faults.clear()


def _whole(own: Any) -> bool:
    return bool(own.table("P", "T").sort_by("A")["A"].to_pylist() == list(range(ROWS)))


def _manifest(folder: Path) -> dict[str, Any]:
    path = next(folder.glob("push-*/manifest.json"))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.mark.sampled(5)
@pytest.mark.parametrize("route", ["create", "upload", "chunks", "execute"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_push_is_finished(
    own: Any, client: Celonis, tmp_path: Path, route: str, when: Any
) -> None:
    """A push killed before or after any call was carried out delivers every row once."""
    skip = 3 if route == "upload" else 0
    fault = own.faults.stall(route, when=when, times=None, skip=skip)
    _killed(own, tmp_path, lambda: fault.hits)
    until(lambda: fault.over >= fault.hits)
    statuses = client.resume(f"file://{tmp_path}")
    assert [(status.state, status.rows) for status in statuses] == [("DONE", ROWS)]
    assert _whole(own)
    assert not list(tmp_path.iterdir())
    assert not [job for job in own.jobs if job["status"] == "NEW"]


def test_a_submitted_job_of_a_killed_push_is_only_polled(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """A job that was submitted is not submitted again."""
    own.faults.slow_jobs(running=1.0)
    _killed(own, tmp_path, lambda: own.jobs and own.jobs[0]["status"] == "RUNNING")
    assert [status.state for status in client.resume(str(tmp_path))] == ["DONE"]
    assert len(own.jobs) == 1
    assert _whole(own)
    with pytest.raises(exceptions.ConfigError, match="Nothing is staged"):
        client.resume(str(tmp_path))


def test_received_chunks_are_not_sent_again(
    own: Any, client: Celonis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Received chunks are identified by checksum; only the others are sent, to the same job.

    The wait for late calls of the killed process is logged.
    """
    caplog.set_level("INFO", "celonis_frames")
    fault = own.faults.stall("upload", times=None, skip=2)
    _killed(own, tmp_path, lambda: fault.hits >= 2)
    total = len(_manifest(tmp_path)["chunks"])
    status = client.resume(str(tmp_path))[0]
    assert status.chunks == total
    assert "waiting 15 s: an earlier call" in caplog.text
    assert "wait for earlier calls" in status._repr_html_()
    assert status.timings["wait_for_earlier_calls"] > 0  # no part of "create"
    assert len(own.jobs) == 1
    assert _whole(own)


def test_an_incomplete_stage_is_reported_and_removed(
    client: Celonis, tmp_path: Path, own: Any
) -> None:
    """A process that was killed while it read the frame has sent nothing."""
    program = PROGRAM.replace("celonis.push(frame,", "celonis.push(frames(),").replace(
        "celonis.push(",
        "def frames():\n    yield frame\n    print('half', flush=True)\n    sys.stdin.read()\n"
        "celonis.push(",
        1,
    )
    environment = os.environ | {"CELONIS_URL": own.url, "CELONIS_API_TOKEN": own.token}
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.communicate()
    with pytest.raises(exceptions.FrameError, match=r"not complete.*Push the frame again"):
        client.resume(str(tmp_path))
    assert not list(tmp_path.iterdir())
    assert not own.jobs


def test_only_one_of_several_resumes_executes(own: Any, client: Celonis, tmp_path: Path) -> None:
    """Of several concurrent resumes at most one works; the others raise."""
    fault = own.faults.stall("upload", times=None)
    _killed(own, tmp_path, lambda: fault.hits)
    outcomes: list[Any] = []

    def resume() -> None:
        try:
            outcomes.append(client.resume(str(tmp_path))[0].state)
        except exceptions.ConfigError as error:
            outcomes.append(error)

    own.faults.delay("create", 0.5)
    own.faults.delay("chunks", 0.5)
    threads = [threading.Thread(target=resume) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if "DONE" not in outcomes:  # all saw each other, and withdrew
        resume()
    assert outcomes.count("DONE") == 1
    assert all("another process" in str(e) or "Nothing is staged" in str(e)
               for e in outcomes if e != "DONE")  # fmt: skip
    assert _whole(own)


def test_a_running_push_cannot_be_resumed(own: Any, client: Celonis, tmp_path: Path) -> None:
    """The stage of a living process cannot be resumed by another."""
    fault = own.faults.stall("upload", seconds=1.0)
    frame = pl.DataFrame({"A": range(ROWS)})
    failed: list[BaseException] = []

    def push() -> None:
        try:
            client.push(frame, "P", "T", staging=str(tmp_path), upload={"chunk_bytes": 100_000})
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=push)
    thread.start()
    until(lambda: fault.hits)
    with pytest.raises(exceptions.ConfigError, match="another process"):
        client.resume(str(tmp_path))
    own.faults.clear()
    thread.join()
    assert not failed
    assert _whole(own)


def test_the_stage_stays_when_the_server_is_unreachable(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """If the server is unreachable, the error names the stage; resume sends its chunks."""
    frame = pl.DataFrame({"A": range(ROWS)})
    own.faults.drop("upload", times=None)
    with pytest.raises(exceptions.ApiConnectionError) as caught:
        client.push(frame, "P", "T", staging=str(tmp_path), upload={"chunk_bytes": 100_000})
    assert any("resume" in note for note in caught.value.__notes__)
    own.faults.clear()
    assert client.resume(str(tmp_path))[0].ok
    assert _whole(own)


def test_a_changed_chunk_is_rejected(own: Any, client: Celonis, tmp_path: Path) -> None:
    """A staged file whose content has changed is never executed."""
    own.faults.drop("upload", times=None)
    with pytest.raises(exceptions.ApiConnectionError):
        client.push(pl.DataFrame({"A": range(ROWS)}), "P", "T", staging=str(tmp_path))
    own.faults.clear()
    chunk = next(tmp_path.rglob("chunk-*"))
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(exceptions.FrameError, match="not as it was written"):
        client.resume(str(tmp_path))
    with pytest.raises(KeyError):
        own.table("P", "T")


def test_a_stage_for_another_team_is_rejected(own: Any, client: Celonis, tmp_path: Path) -> None:
    """Chunks are only sent to the host for which they were staged."""
    own.faults.drop("upload", times=None)
    with pytest.raises(exceptions.ApiConnectionError):
        client.push(pl.DataFrame({"A": [1]}), "P", "T", staging=str(tmp_path))
    with local.start() as other, other.connect() as connection:
        with pytest.raises(exceptions.ConfigError, match="Connect to that team"):
            celonis_frames.resume(str(tmp_path), client=connection)
        assert not other.jobs


def test_the_manifest_holds_no_secret(own: Any, client: Celonis, tmp_path: Path) -> None:
    """No staged file contains the API key."""
    own.faults.drop("upload", times=None)
    with pytest.raises(exceptions.ApiConnectionError):
        client.push(pl.DataFrame({"A": [1]}), "P", "T", staging=str(tmp_path))
    text = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert '"A"' in text
    assert own.token not in text


@pytest.mark.parametrize("name", ["../../private.txt", "/etc/hostname", "..", "a/b", ""])
def test_a_manifest_cannot_lead_to_files_outside_its_stage(
    own: Any, client: Celonis, tmp_path: Path, name: str
) -> None:
    """A chunk that is not a file of the stage makes the manifest invalid; nothing is sent."""
    fault = own.faults.answer("upload", 401, times=None)
    with pytest.raises(exceptions.AuthenticationError):
        client.push(pl.DataFrame({"A": [1]}), "P", "T", staging=str(tmp_path / "stage"))
    private = b"not for anyone"
    (tmp_path / "private.txt").write_bytes(private)
    path = next(tmp_path.glob("stage/push-*/manifest.json"))
    manifest = json.loads(path.read_text())
    digest = hashlib.sha256(private).hexdigest()
    manifest["chunks"][0] |= {"name": name, "size": len(private), "sha256": digest}
    path.write_text(json.dumps(manifest | {"job_id": "", "jobs": [], "state": "creating"}))
    own.faults.clear()
    uploads, jobs = fault.hits, len(own.jobs)
    with pytest.raises(exceptions.FrameError, match=r"manifest .* is damaged"):
        client.resume(str(tmp_path / "stage"))
    assert (fault.hits, len(own.jobs)) == (uploads, jobs)


def test_a_stage_is_for_its_owner_only(own: Any, client: Celonis, tmp_path: Path) -> None:
    """Other users of the machine can neither list nor read the rows that wait there."""
    own.faults.answer("upload", 401, times=None)
    with pytest.raises(exceptions.AuthenticationError):
        client.push(pl.DataFrame({"A": [1]}), "P", "T", staging=str(tmp_path / "stage"))
    (folder,) = (tmp_path / "stage").glob("push-*")
    assert folder.stat().st_mode & 0o077 == 0


def test_a_surplus_chunk_in_a_submitted_job_is_reported(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """The job of an earlier process holds more chunks than were staged: that is never DONE."""
    stage = str(tmp_path / "stage")
    own.faults.slow_jobs(running=600.0)
    with pytest.raises(exceptions.JobTimeout):
        client.push(pl.DataFrame({"A": [1]}), "P", "T", staging=stage, timeout=2.0)
    path = next(tmp_path.glob("stage/push-*/manifest.json"))
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"chunks": []}))
    with pytest.raises(exceptions.UploadUncertain, match=r"more chunks than were sent \(0\)"):
        client.resume(stage)
    assert client.job("P", manifest["job_id"]).state == "CANCELED"


def test_a_submitted_job_whose_chunks_cannot_be_listed_is_followed(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """The count after the submission is no condition: without it the job is followed to its end."""
    stage = str(tmp_path / "stage")
    own.faults.slow_jobs(running=2.5)
    with pytest.raises(exceptions.JobTimeout):
        client.push(pl.DataFrame({"A": [1]}), "P", "T", staging=stage, timeout=1.0)
    own.faults.answer("chunks", 404, times=None)
    (status,) = client.resume(stage)
    assert status.ok


def _left(client: Celonis, own: Any, folder: Path, call: str) -> dict[str, Any]:
    """The manifest of a push that failed, or lost its server, at a call."""
    own.faults.answer(call, 401, times=None)
    with pytest.raises(exceptions.AuthenticationError):
        client.push(pl.DataFrame({"A": [1, 2]}), "P", "T", staging=str(folder))
    own.faults.clear()
    return _manifest(folder)


def test_a_resumed_delete_is_one(own: Any, client: Celonis, tmp_path: Path) -> None:
    """Its status says DELETE, as that of the delete would have."""
    client.push(pl.DataFrame({"K": [1, 2, 3]}), "P", "T", keys="K")
    own.faults.answer("upload_deleted", 401, times=None)
    with pytest.raises(exceptions.AuthenticationError):
        client.delete(pl.DataFrame({"K": [2]}), "P", "T", keys="K", staging=str(tmp_path))
    own.faults.clear()
    (status,) = client.resume(str(tmp_path))
    assert (status.mode, status.rows, status.deleted) == ("DELETE", 1, 1)
    assert "T (DELETE) · 1 key · 1 row deleted" in repr(status)
    assert own.table("P", "T").to_pydict() == {"K": [1, 3]}


def _rewrite(folder: Path, **changes: Any) -> None:
    path = next(folder.glob("push-*/manifest.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("version", [3, 5, None])
def test_a_stage_of_another_format_is_rejected(
    own: Any, client: Celonis, tmp_path: Path, version: int | None
) -> None:
    """The error names the version that can finish it; the stage stays, and nothing is called."""
    _left(client, own, tmp_path, "upload")
    _rewrite(tmp_path, format=version, library="9.9.9")
    jobs = len(own.jobs)
    with pytest.raises(exceptions.ConfigError, match=r"version 9\.9\.9 .* with that version"):
        client.resume(str(tmp_path))
    assert len(own.jobs) == jobs
    _manifest(tmp_path)


def test_an_executed_job_that_is_not_in_the_manifest_is_found(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """On storage that shows the last writes late, the job is known by its mark and chunks."""
    _left(client, own, tmp_path, "job")  # it was submitted: its state cannot be read
    _rewrite(tmp_path, state="creating", job_id="", jobs=[])
    (status,) = client.resume(str(tmp_path))
    assert (status.job_id, status.state, status.rows) == (own.jobs[0]["id"], "DONE", 2)
    assert own.table("P", "T").num_rows == 2
    assert len(own.jobs) == 1


@pytest.mark.parametrize("change", [{"fallbackVarcharLength": 1}, {"targetName": "U"}])
def test_an_executed_job_with_another_mark_is_not_taken_over(
    own: Any, client: Celonis, tmp_path: Path, change: dict[str, Any]
) -> None:
    """The frame is pushed: the job was another push's."""
    manifest = _left(client, own, tmp_path, "job")
    _rewrite(tmp_path, state="creating", job_id="", jobs=[], job=manifest["job"] | change)
    (status,) = client.resume(str(tmp_path))
    assert status.ok
    assert len(own.jobs) == 2


def test_a_job_that_was_being_submitted_is_replaced(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """In NEW, its submission may be on its way: it is cancelled, and a new job is submitted."""
    manifest = _left(client, own, tmp_path, "upload")
    body = manifest["job"]
    job_id = client._api.create_job("P", body).id
    _rewrite(tmp_path, state="submitting", job_id=job_id, jobs=[job_id])
    (status,) = client.resume(str(tmp_path))
    assert status.job_id != job_id
    assert client.job("P", job_id).state == "CANCELED"
    assert own.table("P", "T").num_rows == 2


def test_jobs_of_a_killed_resume_are_cancelled(own: Any, client: Celonis, tmp_path: Path) -> None:
    """Recorded or known by the push's mark only, none is left in NEW."""
    body = _left(client, own, tmp_path, "upload")["job"]
    recorded, marked = (client._api.create_job("P", body).id for _ in range(2))
    _rewrite(tmp_path, state="creating", job_id="", jobs=[recorded])
    (status,) = client.resume(str(tmp_path))
    assert status.ok
    assert [client.job("P", job).state for job in (recorded, marked)] == ["CANCELED"] * 2


def test_a_job_that_was_deleted_after_its_submission_is_uncertain(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """It may have been executed: nothing is pushed, and the stage stays."""
    manifest = _left(client, own, tmp_path, "job")
    client.job("P", manifest["job_id"]).wait()
    client._api.delete_job("P", manifest["job_id"])
    with pytest.raises(exceptions.UploadUncertain, match="was deleted, and may have been executed"):
        client.resume(str(tmp_path))
    assert own.table("P", "T").num_rows == 2
    _manifest(tmp_path)
