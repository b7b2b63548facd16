"""push_id=: once, also across processes; and status.result."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem
from push_under_id import FRAME, ID, Push, push_under_id

from celonis_frames import ApiKey, Celonis, ReloadStatus, exceptions
from celonis_frames._staging.receipt import stage_name


@pytest.fixture
def push(client: Celonis, tmp_path: Path) -> Push:
    """A function that pushes under one id."""
    return push_under_id(client, tmp_path)


def _rows(own: Any, table: str = "T") -> list[Any]:
    return sorted(own.table("P", table)["A"].to_pylist())


def _receipt(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("receipt-*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _unread() -> Iterator[pa.Table]:
    """A stream whose schema may be read, and whose later rows may not."""
    yield FRAME.to_arrow()
    raise AssertionError("the frame was read")


def test_a_repeated_push_sends_nothing(
    own: Any, push: Push, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It returns what the earlier one returned, and warns with its date and its rows."""
    first = push()
    again = push(_unread())
    assert (first.repeated, again.repeated) == (False, True)
    for name in ("state", "ok", "rows", "chunks", "bytes_sent", "job_id", "pool_id", "table"):
        assert getattr(again, name) == getattr(first, name)
    assert again.mode == first.mode == "DELTA"
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    (warning,) = again.warnings
    assert f"push_id='{ID}' was sent before: 3 rows on {today}" in warning
    assert warning in caplog.text
    assert "sent by an earlier push" in repr(again)
    assert again.to_dict()["repeated"] is True
    assert again.refresh().state == "DONE"
    assert len(own.jobs) == 1
    assert _rows(own) == [1, 2, 3]
    assert [path.name[:8] for path in tmp_path.iterdir()] == ["receipt-"]


def test_a_repeated_push_loads_the_data_model_again(own: Any, push: Push) -> None:
    """Whether the earlier one came to it is unknown: its rows may be in the table, and not seen."""
    push()
    again = push(_unread(), reload="Purchasing")
    assert again.repeated
    assert isinstance(again.reload, ReloadStatus)
    assert again.reload.ok
    assert own.model_table("P", "Purchasing", "T").num_rows == 3


@pytest.mark.parametrize("push_id", [ID, None])
def test_a_stage_that_cannot_be_made(
    push: Push, push_id: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error at once, also where the system says that the folder does not exist."""

    def refuse(_: object, path: str, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", path)

    monkeypatch.setattr(LocalFileSystem, "makedirs", refuse)
    monkeypatch.setattr(Path, "mkdir", lambda path, *_, **__: refuse(None, str(path)))
    monkeypatch.setattr("os.mkdir", lambda path, *_, **__: refuse(None, str(path)))
    with pytest.raises(exceptions.ConfigError, match="cannot be written"):
        push(push_id=push_id, staging=str(tmp_path / "no" / "stages"))


def test_what_a_receipt_holds(own: Any, push: Push, tmp_path: Path) -> None:
    """The target, the schema and the end of the push; no cell of the frame, no key."""
    status = push(pl.DataFrame({"A": [1], "SECRET": ["CELL-4711"]}), keys="A")
    found = _receipt(tmp_path)
    assert found["push_id"] == ID
    assert (found["url"], found["pool_id"]) == (own.url, status.pool_id)
    assert (found["table"], found["mode"], found["keys"]) == ("T", "DELTA", ["A"])
    assert found["columns"] == {"A": "INTEGER", "SECRET": "STRING"}
    assert (found["state"], found["rows"], found["chunks"]) == ("DONE", 1, 1)
    assert found["job_id"] == status.job_id
    text = next(tmp_path.glob("receipt-*")).read_text()
    assert "CELL-4711" not in text
    assert own.token not in text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"table": "OTHER"}, "table 'OTHER' instead of 'T'"),
        ({"mode": "REPLACE"}, "mode 'REPLACE' instead of 'DELTA'"),
        ({"keys": "A"}, r"keys \['A'\] instead of \[\]"),
        ({"frame": FRAME.with_columns(C=1)}, r"differs: with further columns \['C'\]\."),
        ({"columns": {"A": "FLOAT"}}, "column A as FLOAT instead of INTEGER"),
    ],
)
@pytest.mark.parametrize("state", ["DONE", "ERROR", "staged"])
def test_an_id_stands_for_one_target(
    own: Any, push: Push, state: str, change: dict[str, Any], named: str
) -> None:
    """Whatever became of the earlier push, the error says what differs and what to do."""
    if state == "staged":
        own.faults.answer("create", 400)
    if state == "ERROR":
        own.faults.fail_jobs("no")
    with contextlib.suppress(exceptions.JobFailed, exceptions.BadRequest):
        push()
    jobs = len(own.jobs)
    with pytest.raises(exceptions.ConfigError, match=f"{named}.*id of its own.*receipt-"):
        push(**change)
    assert len(own.jobs) == jobs


def test_an_id_stands_for_one_pool_and_data_connection(
    own: Any, client: Celonis, push: Push, tmp_path: Path
) -> None:
    """A pool may be given by its name, or its id."""
    status = push()
    options: Any = {"staging": str(tmp_path), "push_id": ID}
    assert client.push(FRAME, str(status.pool_id), "T", **options).repeated
    with pytest.raises(exceptions.ConfigError, match="pool 'Q' instead of"):
        client.push(FRAME, "Q", "T", **options)
    keys = own.ingestion("P", tables={"T": {}})
    with pytest.raises(exceptions.ConfigError, match=f"data connection '{keys.connection}'"):
        client.push(FRAME, "P", "T", connection=keys.connection, **options)


def test_the_table_decides_nothing_about_the_schema(own: Any, client: Celonis, push: Push) -> None:
    """The frame's own types are compared: another client may have replaced the table meanwhile."""
    push()
    client.push(pl.DataFrame({"A": [0.5], "B": [1]}), "P", "T", mode="REPLACE")
    assert push().repeated
    assert own.table("P", "T").num_rows == 1


def test_an_interrupted_push_is_finished_from_its_stage(
    own: Any, push: Push, tmp_path: Path
) -> None:
    """Without reading the frame again; the next one repeats it."""
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        push()
    assert _receipt(tmp_path)["state"] == "begun"
    status = push(_unread())
    assert (status.state, status.repeated, status.rows) == ("DONE", False, 3)
    assert "did not end: the chunks that were staged then were sent" in status.warnings[-1]
    assert push().repeated
    assert _rows(own) == [1, 2, 3]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_push_that_did_not_read_its_frame_leaves_nothing(
    own: Any, push: Push, tmp_path: Path
) -> None:
    """Nothing was sent: the id is free, also for another schema."""

    def broken() -> Iterator[pa.Table]:
        yield FRAME.to_arrow()
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError):
        push(broken())
    with pytest.raises(exceptions.FrameError):
        push(pl.DataFrame({"A": [1], "B": ["x" * 70_000]}))
    assert list(tmp_path.iterdir()) == []
    assert push(pl.DataFrame({"A": [7]})).state == "DONE"
    assert _rows(own) == [7]


@pytest.mark.parametrize("wait", [True, False])
def test_a_push_whose_job_failed_is_sent_again(own: Any, push: Push, wait: bool) -> None:
    """From the frame that is given now."""
    own.faults.fail_jobs("disk full")
    if wait:
        with pytest.raises(exceptions.JobFailed):
            push(wait=True)
    else:
        push(wait=False).wait()
    status = push(FRAME.with_columns(A=pl.col("A") + 10))
    assert (status.state, status.repeated) == ("DONE", False)
    assert _rows(own) == [11, 12, 13]
    assert sorted(job["status"] for job in own.jobs) == ["DONE", "ERROR"]


def test_a_push_that_was_canceled_is_sent_again(own: Any, push: Push) -> None:
    """Its rows are not in the table."""
    own.faults.slow_jobs(running=30.0)
    push(wait=False).cancel()
    own.faults.slow_jobs()
    assert push().ok
    assert _rows(own) == [1, 2, 3]


def test_a_submitted_job_is_looked_at(own: Any, push: Push, tmp_path: Path) -> None:
    """After wait=False the next push reads the state of the job, or waits for it."""
    own.faults.slow_jobs(running=1.0)
    first = push(wait=False)
    assert _receipt(tmp_path)["state"] == "submitted"
    assert len(list(tmp_path.iterdir())) == 1
    running = push(wait=False)
    assert (running.repeated, running.done, running.job_id) == (True, False, first.job_id)
    done = push()
    assert (done.repeated, done.state, done.job_id) == (True, "DONE", first.job_id)
    assert _receipt(tmp_path)["state"] == "DONE"
    assert len(own.jobs) == 1


def test_a_job_that_was_deleted_is_uncertain(client: Celonis, push: Push, tmp_path: Path) -> None:
    """It may have been executed: the push is not sent again until its receipt is removed."""
    status = push(wait=False).wait()
    path = next(tmp_path.glob("receipt-*"))
    path.write_text(json.dumps(_receipt(tmp_path) | {"state": "submitted"}))
    client.delete_job("P", str(status.job_id))
    with pytest.raises(exceptions.UploadUncertain, match=f"was deleted.*{path.name}"):
        push()
    path.unlink()
    assert push().ok


@pytest.mark.parametrize("way", ["push_many", "result", "result of a repeated push"])
def test_a_job_that_was_waited_for_may_be_deleted(
    own: Any, client: Celonis, push: Push, tmp_path: Path, way: str
) -> None:
    """Its end is in the receipt, also if the push itself did not wait for it."""
    own.faults.slow_jobs(running=0.5)
    many: Any = {"push_id": ID, "staging": str(tmp_path)}
    if way == "push_many":
        status = client.push_many({"T": FRAME}, "P", **many)["T"]
    else:
        status = push(wait=False)
        if way != "result":
            status = push(wait=False)
            assert status.repeated
        status.result()
    assert _receipt(tmp_path)["state"] == "DONE"
    client.delete_job("P", str(status.job_id))
    again = client.push_many({"T": FRAME}, "P", **many)["T"] if way == "push_many" else push()
    assert again.repeated
    assert len(list(tmp_path.iterdir())) == 1
    assert _rows(own) == [1, 2, 3]


def test_a_timeout_after_the_submission_is_no_reason_to_send_again(own: Any, push: Push) -> None:
    """The job goes on, and the next push waits for it."""
    own.faults.slow_jobs(running=2.0)
    with pytest.raises(exceptions.JobTimeout):
        push(timeout=1.2)
    assert push().ok
    assert len(own.jobs) == 1
    assert _rows(own) == [1, 2, 3]


def test_a_stage_that_was_deleted_is_no_leave_to_send_again(
    own: Any, push: Push, tmp_path: Path
) -> None:
    """The receipt says since just before the submission that there may be one."""
    own.faults.slow_jobs(running=2.0)
    with pytest.raises(exceptions.JobTimeout) as caught:
        push(timeout=1.2)
    (note,) = caught.value.__notes__
    assert "push again with the same push_id=" in note
    assert "Do not delete the folder" in note
    assert _receipt(tmp_path)["state"] == "sending"
    shutil.rmtree(tmp_path / stage_name(ID))
    for _ in range(2):
        with pytest.raises(exceptions.UploadUncertain, match=r"chunks of .* are gone") as refused:
            push()
        assert refused.value.job_id == own.jobs[0]["id"]
    assert len(own.jobs) == 1
    next(tmp_path.glob("receipt-*")).unlink()
    own.faults.slow_jobs()
    assert not push().repeated


def test_a_stage_that_was_deleted_before_the_submission_is_sent_again(
    own: Any, push: Push, tmp_path: Path
) -> None:
    """Nothing was executed."""
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        push()
    shutil.rmtree(tmp_path / stage_name(ID))
    assert not push().repeated
    assert _rows(own) == [1, 2, 3]


def test_an_uncertain_submission_is_looked_at_again(own: Any, push: Push) -> None:
    """Neither is it sent twice, nor given up."""
    own.faults.drop("execute", when="after", times=None)
    own.faults.answer("job", 503, times=None)
    own.faults.answer("cancel", 503, times=None)
    with pytest.raises((exceptions.UploadUncertain, exceptions.ApiError)):
        push(timeout=20)
    own.faults.clear()
    assert push().ok
    assert _rows(own) == [1, 2, 3]


def test_deletes_have_ids(own: Any, client: Celonis, push: Push, tmp_path: Path) -> None:
    """Keys are deleted once: rows that came back later stay."""
    client.push(FRAME, "P", "T", keys="A")
    options: Any = {"keys": "A", "push_id": ID, "staging": str(tmp_path)}
    gone = pl.DataFrame({"A": [1]})
    first = client.delete(gone, "P", "T", **options)
    client.push(FRAME, "P", "T", keys="A")
    again = client.delete(gone, "P", "T", **options)
    assert (first.mode, again.mode, again.repeated) == ("DELETE", "DELETE", True)
    assert _receipt(tmp_path)["mode"] == "DELETE"
    assert _rows(own) == [1, 2, 3]
    with pytest.raises(exceptions.ConfigError, match="mode 'DELTA' instead of 'DELETE'"):
        push(keys="A", frame=gone)


def test_tables_of_one_call_have_ids_of_their_own(
    own: Any, client: Celonis, push: Push, tmp_path: Path
) -> None:
    """That of the call with the table's name; what failed is sent again, what is done is not."""
    frames = {"T": FRAME, "U": FRAME}
    options: Any = {"push_id": ID, "staging": str(tmp_path)}
    own.faults.fail_jobs("no")
    with pytest.raises(exceptions.JobFailed):
        client.push_many(frames, "P", **options, at_once=1)
    statuses = client.push_many(frames, "P", **options)
    assert sorted(status.repeated for status in statuses.values()) == [False, True]
    assert all(status.ok for status in statuses.values())
    assert all(s.repeated for s in client.push_many(frames, "P", **options).values())
    assert push(table="U", push_id=f"{ID}/U").repeated
    assert _rows(own, "T") == _rows(own, "U") == [1, 2, 3]


def test_tables_whose_jobs_still_run_are_waited_for(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """push_many follows the jobs that an earlier call has submitted."""
    own.faults.slow_jobs(running=0.5)
    options: Any = {"push_id": ID, "staging": str(tmp_path)}
    client.push_many({"T": FRAME, "U": FRAME}, "P", **options, wait=False)
    statuses = client.push_many({"T": FRAME, "U": FRAME}, "P", **options)
    assert {status.state for status in statuses.values()} == {"DONE"}
    assert all(status.repeated for status in statuses.values())
    assert len(own.jobs) == 2


def test_a_failed_job_of_an_earlier_call_is_none_of_this_one(
    own: Any, client: Celonis, push: Push, tmp_path: Path
) -> None:
    """The error of a push that did not come to its own job does not say that one was submitted."""
    own.faults.slow_jobs(running=2.0)
    own.faults.fail_jobs("no")
    with pytest.raises(exceptions.JobTimeout):
        push(push_id=f"{ID}/T", timeout=1.2)
    assert client.job("P", own.jobs[0]["id"]).wait().state == "ERROR"
    broken = iter([FRAME.to_arrow(), FRAME.to_arrow().append_column("C", [[1, 2, 3]])])
    with pytest.raises(exceptions.FrameError) as caught:
        client.push_many({"T": broken}, "P", push_id=ID, staging=str(tmp_path))
    assert not any(own.jobs[0]["id"] in note for note in caught.value.__notes__)


def test_changes_have_ids(own: Any, client: Celonis, tmp_path: Path) -> None:
    """Upserts and deletes together are applied once."""
    client.push(FRAME, "P", "T", keys="A")
    for expected in (False, True):
        with client.changes("P", "T", keys="A", push_id=ID, staging=str(tmp_path)) as changes:
            changes.upsert(pl.DataFrame({"A": [4], "B": ["w"]}))
            changes.delete(pl.DataFrame({"A": [1]}))
        assert (changes.status.ok, changes.status.repeated) == (True, expected)
        assert len(own.jobs) == 2
    assert _rows(own) == [2, 3, 4]


def test_the_table_decides_nothing_about_the_schema_of_changes(
    client: Celonis, tmp_path: Path
) -> None:
    """Frames that were fitted to it, when they were added, have the types that they had before."""
    for number, expected in ((1.5, False), (1, True)):
        client.push(pl.DataFrame({"A": [1], "B": [number]}), "P", "T", keys="A", mode="REPLACE")
        with client.changes("P", "T", keys="A", push_id=ID, staging=str(tmp_path)) as changes:
            changes.delete(pl.DataFrame({"A": [1]}))
            changes.upsert(pl.DataFrame({"A": [2], "B": [3]}))
        assert changes.status.repeated is expected
        assert _receipt(tmp_path)["columns"] == {"A": "INTEGER", "B": "INTEGER"}


def _with_objects(own: Any, tables: Any) -> Celonis:
    keys = own.ingestion("P", tables=tables)
    return Celonis(own.url, auth=ApiKey(own.token), ingestion=keys)


def test_objects_have_the_names_of_the_id(own: Any, tmp_path: Path) -> None:
    """A repeated push stores nothing; from another folder it stores the same objects again."""
    with _with_objects(own, {"T": {"keys": ["A"]}}) as celonis:
        options: Any = {"via": "ingestion", "keys": "A", "push_id": ID}
        first = celonis.push(FRAME, "P", "T", staging=str(tmp_path / "a"), **options)
        stored = len(own.objects)
        again = celonis.push(_unread(), "P", "T", staging=str(tmp_path / "a"), **options)
        assert (again.state, again.repeated, again.rows) == ("ACCEPTED", True, 3)
        assert again.objects == first.objects
        assert len(own.objects) == stored == 1
        other = celonis.push(FRAME, "P", "T", staging=str(tmp_path / "b"), **options)
        assert other.objects == first.objects
        assert not other.repeated
        own.wait_ingested()
        assert len(own.table("P", "T", connection=celonis.connections("P")[0].id)) == 3
        with pytest.raises(exceptions.ConfigError, match="via 'push' instead of 'ingestion'"):
            celonis.push(
                FRAME, "P", "T", keys="A", push_id=ID, staging=str(tmp_path / "a"), via="push",
                connection=celonis.connections("P")[0].id,
            )  # fmt: skip


def test_interrupted_objects_are_finished(own: Any, tmp_path: Path) -> None:
    """The chunks that were not acknowledged are stored under the same names."""
    with _with_objects(own, {"T": {"keys": ["A"]}}) as celonis:
        options: Any = {"via": "ingestion", "keys": "A", "push_id": ID, "staging": str(tmp_path)}
        own.faults.answer("put", 403)
        with pytest.raises(exceptions.CelonisFramesError):
            celonis.push(FRAME, "P", "T", **options)
        own.faults.clear()
        status = celonis.push(FRAME, "P", "T", **options)
        assert (status.state, status.repeated) == ("ACCEPTED", False)
        assert celonis.push(FRAME, "P", "T", **options).repeated


def test_resume_finishes_and_leaves_the_receipt(
    own: Any, client: Celonis, push: Push, tmp_path: Path
) -> None:
    """A receipt alone is nothing that is staged."""
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        push()
    (status,) = client.resume(str(tmp_path))
    assert (status.state, status.rows) == ("DONE", 3)
    assert _receipt(tmp_path)["state"] == "DONE"
    with pytest.raises(exceptions.ConfigError, match="Nothing is staged"):
        client.resume(str(tmp_path))
    assert push().repeated
    assert _rows(own) == [1, 2, 3]


def test_resume_removes_what_a_killed_process_had_not_removed(
    own: Any, client: Celonis, push: Push, tmp_path: Path
) -> None:
    """The receipt says that the push is done, or that nothing was sent."""
    push()
    folder = tmp_path / stage_name(ID)
    folder.mkdir()
    (folder / "chunk-00001.parquet").write_bytes(b"")
    with pytest.raises(exceptions.ConfigError, match="Nothing is staged"):
        client.resume(str(tmp_path))
    assert not folder.exists()
    assert _receipt(tmp_path)["state"] == "DONE"
    path = next(tmp_path.glob("receipt-*"))
    path.write_text(json.dumps(_receipt(tmp_path) | {"state": "begun"}))
    folder.mkdir()
    with pytest.raises(exceptions.FrameError, match=r"Nothing was sent\. Push the frame again"):
        client.resume(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert len(own.jobs) == 1


def test_a_receipt_that_is_gone_is_no_leave_to_send_again(
    own: Any, client: Celonis, push: Push, tmp_path: Path
) -> None:
    """All is staged, and it is not known what became of it."""
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        push()
    next(tmp_path.glob("receipt-*")).unlink()
    for again in (push, lambda: client.resume(str(tmp_path))):
        with pytest.raises(exceptions.ConfigError, match=f"receipt of push_id='{ID}' is gone"):
            again()
    assert own.jobs == []


def test_a_receipt_of_another_version_is_refused(own: Any, push: Push, tmp_path: Path) -> None:
    """Nothing is sent, and nothing is changed."""
    push()
    path = next(tmp_path.glob("receipt-*"))
    path.write_text(json.dumps(_receipt(tmp_path) | {"format": 99, "library": "9.9.9"}))
    with pytest.raises(exceptions.ConfigError, match=r"written by version 9\.9\.9"):
        push()
    assert len(own.jobs) == 1


def test_another_process_is_waited_for(
    own: Any, push: Push, caplog: pytest.LogCaptureFixture
) -> None:
    """As long as it works on the push; then its status is returned."""
    caplog.set_level(logging.INFO, "celonis_frames")
    fault = own.faults.stall("create", when="before", seconds=1.5)
    first: list[Any] = []
    thread = threading.Thread(target=lambda: first.append(push()))
    thread.start()
    while not fault.hits:
        time.sleep(0.01)
    second = push(_unread())
    thread.join()
    assert "another process works on the push of push_id=" in caplog.text
    assert (first[0].repeated, second.repeated, second.job_id) == (False, True, first[0].job_id)
    assert _rows(own) == [1, 2, 3]


def test_waiting_for_another_process_ends_with_the_timeout(own: Any, push: Push) -> None:
    """The error says which push, and what to do."""
    fault = own.faults.stall("create", when="before", seconds=2.5)
    thread = threading.Thread(target=push)
    thread.start()
    while not fault.hits:
        time.sleep(0.01)
    with pytest.raises(exceptions.JobTimeout, match=r"another process .*push_id=.* sent nothing"):
        push(timeout=0.5)
    thread.join()
    assert _rows(own) == [1, 2, 3]


@pytest.mark.parametrize("push_id", ["", "x" * 1_001, 7, b"y", ["z"]])
def test_ids_that_make_no_sense(push: Push, push_id: Any) -> None:
    """An id is a string of 1 to 1,000 characters."""
    with pytest.raises(exceptions.ConfigError, match="push_id="):
        push(push_id=push_id)


def test_an_id_needs_a_stage(client: Celonis) -> None:
    """That is where processes find it."""
    with pytest.raises(exceptions.ConfigError, match="push_id= needs staging="):
        client.push(FRAME, "P", "T", push_id=ID)


@pytest.mark.parametrize("push_id", ["a/../b", "\n", "ö ⚠\x00", "\ud800", " ", "x" * 1_000])
def test_ids_of_any_characters(push: Push, push_id: str) -> None:
    """Blanks count, and nothing in an id leads out of the folder."""
    assert not push(push_id=push_id).repeated
    assert push(push_id=push_id).repeated
    assert not push(push_id=push_id[:-1] + "!").repeated
