"""`staging=` and `resume` on real servers: every row once, nothing left, no secret shown."""

from __future__ import annotations

import datetime as dt
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from servers import PASSWORD

import celonis_frames
from celonis_frames import Celonis, Secret, exceptions
from celonis_frames._filesystem.filesystems import close_filesystem
from celonis_frames._staging.stage import Stage
from celonis_frames._staging.stage_search import find_stages

ROWS = 20_000
FRAME = pl.DataFrame({"A": range(ROWS)})
SMALL = {"chunk_bytes": "10 KB", "workers": 4}
"""Several chunks, uploaded at the same time."""


def _whole(own: Any) -> bool:
    return bool(sorted(own.table("P", "T")["A"].to_pylist()) == list(range(ROWS)))


def _left(own: Any, client: Celonis, storage: Any) -> None:
    """Leave a stage behind: the server rejects the job."""
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        client.push(
            FRAME, "P", "T", upload=SMALL, staging=storage.url, storage_options=storage.options
        )
    own.faults.clear()
    assert storage.left()


def test_a_staged_push_is_whole_and_leaves_nothing(own: Any, client: Celonis, storage: Any) -> None:
    """Chunks are read by several threads at once, each with connections of its own."""
    status = client.push(
        FRAME, "P", "T", upload=SMALL, staging=storage.url, storage_options=storage.options
    )
    assert status.ok
    assert status.chunks > 4
    assert _whole(own)
    assert storage.left() == []


def test_a_stage_is_found_and_finished(own: Any, client: Celonis, storage: Any) -> None:
    """`resume` finds the stage by the URL of its root, and by its own; no file holds an option."""
    _left(own, client, storage)
    filesystem, folder = storage.open()
    for path in filesystem.find(folder):
        assert PASSWORD.encode() not in filesystem.cat_file(path)
    close_filesystem(filesystem)
    (status,) = client.resume(storage.url, storage_options=storage.options)
    assert status.ok
    assert _whole(own)
    assert storage.left() == []
    with pytest.raises(exceptions.ConfigError, match="Nothing is staged"):
        client.resume(storage.url, storage_options=storage.options)


def test_of_two_resumes_one_finishes_the_push(own: Any, client: Celonis, storage: Any) -> None:
    """The other one is told that a process works on it; no row is doubled."""
    _left(own, client, storage)
    fault = own.faults.stall("upload", seconds=0.5)
    results: list[Any] = []

    def resume() -> None:
        try:
            results.append(client.resume(storage.url, storage_options=storage.options)[0])
        except exceptions.ConfigError as error:
            results.append(error)

    first = threading.Thread(target=resume)
    first.start()
    for _ in range(1_000):
        if fault.hits or not first.is_alive():
            break
        first.join(0.01)
    resume()
    first.join()
    refused, done = results
    assert "by another process (process" in str(refused)
    assert done.ok
    assert _whole(own)
    assert storage.left() == []


def test_resumes_at_the_same_moment_double_nothing(own: Any, client: Celonis, storage: Any) -> None:
    """Whatever each sees of the others: the rows are there once, or a later one does it."""
    _left(own, client, storage)
    results: list[Any] = []
    start = threading.Barrier(4)

    def resume() -> None:
        start.wait()
        try:
            results.extend(client.resume(storage.url, storage_options=storage.options))
        except (exceptions.ConfigError, exceptions.UploadUncertain) as error:
            results.append(error)

    threads = [threading.Thread(target=resume) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [str(result) for result in results if isinstance(result, Exception)]
    assert not [text for text in errors if "othing was sent" in text]
    if len(errors) == 4:
        assert client.resume(storage.url, storage_options=storage.options)[0].ok
    assert _whole(own)
    assert storage.left() == []


@pytest.mark.parametrize("removed", ["all", "files"])
def test_a_late_resume_does_not_say_that_nothing_was_sent(
    own: Any, client: Celonis, storage: Any, removed: str
) -> None:
    """It saw the stage before another process finished the push: doubt is told as doubt.

    It leaves no folder behind, neither one that it made again nor one that the other has left.
    """
    _left(own, client, storage)
    options = {name: _plain(value) for name, value in storage.options.items()}
    filesystem, (folder,) = find_stages(storage.url, options)
    assert client.resume(storage.url, storage_options=storage.options)[0].ok
    if removed == "files" and storage.kind != "s3":
        filesystem.invalidate_cache()
        filesystem.makedirs(folder)
    with pytest.raises(exceptions.ConfigError, match="another process has") as caught:
        Stage.reopen(filesystem, folder)
    close_filesystem(filesystem)
    assert "othing was sent" not in str(caught.value)
    assert "push the frame again" not in str(caught.value).replace("before you push", "")
    assert storage.left() == []


def _plain(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def test_a_claim_that_cannot_be_read_counts(own: Any, client: Celonis, storage: Any) -> None:
    """A lease of another process is listed, and holds half a record."""
    _left(own, client, storage)
    options = {name: _plain(value) for name, value in storage.options.items()}
    filesystem, (folder,) = find_stages(storage.url, options)
    filesystem.pipe_file(f"{folder}/lease-1", b'{"host": "a')
    with pytest.raises(exceptions.ConfigError, match=r"by another process .its lease-1 cannot"):
        client.resume(storage.url, storage_options=storage.options)
    filesystem.rm_file(f"{folder}/lease-1")
    close_filesystem(filesystem)
    assert client.resume(storage.url, storage_options=storage.options)[0].ok


@pytest.mark.parametrize("call", ["push", "resume"])
@pytest.mark.parametrize("kind", ["ftp", "sftp", "webdav"])
def test_a_rejected_login_shows_no_password(client: Celonis, at: Any, kind: str, call: str) -> None:
    """It is told as what it is, wherever the library notices it."""
    storage = at(kind)
    wrong = "WRONGPW"
    login = {"auth": ("joe", wrong)} if kind == "webdav" else {"password": wrong}
    options = {"storage_options": storage.options | login}
    calls: dict[str, Callable[[], object]] = {
        "push": lambda: client.push(FRAME, "P", "T", staging=storage.url, **options),
        "resume": lambda: client.resume(storage.url, **options),
    }
    with pytest.raises(exceptions.ConfigError, match="login was rejected") as caught:
        calls[call]()
    assert wrong not in "".join(traceback.format_exception(caught.value))


def test_a_missing_bucket_is_an_error(client: Celonis, at: Any) -> None:
    """It is not made, neither by a push nor by `resume`."""
    storage = replace(at("s3"), url="s3://no-such-bucket/x")
    calls: list[Callable[[], object]] = [
        lambda: client.push(FRAME, "P", "T", staging=storage.url, storage_options=storage.options),
        lambda: client.resume(storage.url, storage_options=storage.options),
    ]
    for call in calls:
        with pytest.raises(exceptions.ConfigError, match=r"no-such-bucket.*bucket does not exist"):
            call()
    filesystem, _ = storage.open()
    assert "no-such-bucket" not in filesystem.ls("", refresh=True)


def test_a_connection_that_lay_idle_is_opened_again(own: Any, client: Celonis, at: Any) -> None:
    """FTP servers end connections that lie idle, as while a chunk is uploaded for long."""
    storage = at("ftp")
    own.faults.stall("upload", seconds=5.0, times=1)
    status = client.push(
        FRAME, "P", "T", upload={"workers": 2}, staging=storage.url,
        storage_options=storage.options,
    )  # fmt: skip
    assert status.ok
    assert storage.left() == []


def test_a_staged_chunk_costs_two_requests_besides_its_bytes(client: Celonis, at: Any) -> None:
    """On S3: what a push with more chunks asks for more, beyond one write and one read of each."""
    counts = []
    for size in ("100 KB", "10 KB"):
        storage = at("s3")
        assert storage.requests is not None
        before = len(storage.requests.read_text().splitlines())
        status = client.push(
            FRAME, "P", "T", upload={"chunk_bytes": size, "workers": 1}, staging=storage.url,
            storage_options=storage.options,
        )  # fmt: skip
        asked = storage.requests.read_text().splitlines()[before:]
        counts.append((status.chunks, len(asked)))
    (few, less), (many, more) = counts
    assert many > few + 4
    assert more - less <= (2 + 2) * (many - few), asked


def test_a_push_with_an_id_is_sent_once(own: Any, client: Celonis, storage: Any) -> None:
    """Its receipt is found, also after a push that was interrupted; it is all that stays."""
    options: Any = {
        "staging": storage.url, "storage_options": storage.options, "push_id": "rows/2026-11-28",
        "upload": SMALL,
    }  # fmt: skip
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        client.push(FRAME, "P", "T", **options)
    own.faults.clear()
    assert [client.push(FRAME, "P", "T", **options).repeated for _ in range(3)] == [
        False, True, True,
    ]  # fmt: skip
    assert _whole(own)
    with pytest.raises(exceptions.ConfigError, match="Nothing is staged"):
        client.resume(storage.url, storage_options=storage.options)
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    removed = celonis_frames.prune_receipts(storage.url, soon, storage_options=storage.options)
    assert removed == 1
    assert storage.left() == []


def test_of_two_pushes_with_an_id_one_sends(own: Any, client: Celonis, storage: Any) -> None:
    """The other one waits, and returns the status of the first."""
    fault = own.faults.stall("upload", seconds=0.5)
    statuses: list[Any] = []

    def push() -> None:
        statuses.append(
            client.push(
                FRAME, "P", "T", upload=SMALL, staging=storage.url, push_id="race",
                storage_options=storage.options,
            )
        )  # fmt: skip

    first = threading.Thread(target=push)
    first.start()
    for _ in range(2_000):
        if fault.hits or not first.is_alive():
            break
        first.join(0.01)
    push()
    first.join()
    assert sorted(status.repeated for status in statuses) == [False, True]
    assert _whole(own)
