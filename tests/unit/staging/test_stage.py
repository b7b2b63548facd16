"""Where chunks wait: filesystems that fail, claims that lapse, secrets that are not told."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import polars as pl
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations

import celonis_frames
from celonis_frames import Celonis, _filesystem, exceptions
from celonis_frames._encoding.chunking import encode
from celonis_frames._push.options import PushOptions
from celonis_frames._staging import lease
from celonis_frames._staging.lease import StageLease
from celonis_frames._staging.spool import ChunkSpool, MemoryBudget

CANARY = "SECRETPW"
FRAME = pl.DataFrame({"A": range(1_000)})


class LibraryError(Exception):
    """As botocore and aiohttp have them: no OSError."""


class Remote(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A filesystem that is not this machine's, and fails when told to."""

    protocol = "remote"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    fails: ClassVar[Callable[[str, str], BaseException | None]]
    opened: ClassVar[list[tuple[str, str]]] = []

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return str(MemoryFileSystem._strip_protocol(str(path).replace("remote://", "memory://")))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        self._try(mode, path)
        return super()._open(path, mode, **options)

    def ls(self, path: str, *arguments: Any, **options: Any) -> Any:
        """List a folder."""
        self._try("ls", path)
        return super().ls(path, *arguments, **options)

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        self._try("rm_file", path)
        super().rm_file(path)

    def rm(self, path: str, *arguments: Any, **options: Any) -> None:
        """Remove a folder."""
        self._try("rm", path)
        super().rm(path, *arguments, **options)

    def _try(self, what: str, path: str) -> None:
        self.opened.append((what, path))
        error = type(self).fails(what, path)
        if error is not None:
            raise error


def _once(what: str, part: str, error: BaseException, *, skip: int = 0) -> Any:
    """Fail one time, at an operation on a path that holds a text."""
    left = [None] * skip + [error]

    def fails(done: str, path: str) -> BaseException | None:
        return left.pop(0) if left and done == what and part in path else None

    return staticmethod(fails)


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> type[Remote]:
    """A remote filesystem, empty and in good health."""
    fsspec.register_implementation("remote", Remote, clobber=True)
    monkeypatch.setattr(Remote, "store", {})
    monkeypatch.setattr(Remote, "pseudo_dirs", [""])
    monkeypatch.setattr(Remote, "opened", [])
    monkeypatch.setattr(Remote, "fails", lambda _what, _path: None, raising=False)
    return Remote


def _told(error: BaseException) -> str:
    """All that a traceback shows of an error."""
    return "".join(traceback.format_exception(error))


def _left(client: Celonis, own: Any, staging: str) -> None:
    """Leave a stage behind: the server refuses the job."""
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        client.push(FRAME, "P", "T", staging=staging)
    own.faults.clear()


def _until(true: Callable[[], Any]) -> None:
    for _ in range(1_000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("folder/a?b@c", "folder/a?b@c"),
        ("s3://host:80/folder", "s3://host:80/folder"),
        ("s3://bucket/folder@x", "s3://bucket/folder@x"),
        (f"s3://key:{CANARY}/folder", "s3://key/folder"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        (f"ftp://joe:{CANARY}@host/x", "ftp://host/x"),
        (f"ftp://joe:a/{CANARY}@host:1/x", "ftp://host:1/x"),
        (f"ftp://joe:a?{CANARY}@host/x", "ftp://host/x"),
        (f"ftp://joe:a@{CANARY}@host/x", "ftp://host/x"),
        (f"https://{CANARY}@host/x@y", "https://host/x@y"),
        (f"https://host/x?sig={CANARY}", "https://host/x"),
        (f"https://host?sig={CANARY}/x", "https://host"),
        (f"simplecache::ftp://joe:{CANARY}@host/x", "simplecache::ftp://host/x"),
        (f"zip://a::ftp://joe:{CANARY}@[::1]/x", "zip://a::ftp://[::1]/x"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    """User, password and query go, also where they are not escaped; the rest stays."""
    assert _filesystem.masked(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://joe:{CANARY}@127.0.0.1:1/x",
        f"ftp://joe:a/{CANARY}@127.0.0.1:1/x",
        f"ftp://{CANARY}/b:{CANARY}@127.0.0.1:1/x",
        f"ftp://joe:{CANARY}/x",
        f"nosuch://joe:{CANARY}@host/x",
        f"nosuch://host/x?sig={CANARY}",
    ],
)
def test_a_staging_url_with_a_password_is_not_told(client: Celonis, url: str) -> None:
    """Neither the message nor the traceback of a refused `staging=` holds its secrets."""
    for call in (lambda: client.push(FRAME, "P", "T", staging=url), lambda: client.resume(url)):
        with pytest.raises(exceptions.ConfigError, match="staging=") as caught:
            call()
        assert CANARY not in str(caught.value)
        assert CANARY not in _told(caught.value)
    assert CANARY not in repr(PushOptions(staging=url))


def test_a_missing_library_is_named_though_the_url_has_a_password(
    client: Celonis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to install is told also where nothing else of the error is."""
    known = {"class": "absent_library.FS", "err": "Install absent_library to use it"}
    monkeypatch.setitem(known_implementations, "absent", known)
    with pytest.raises(exceptions.ConfigError, match="Install absent_library") as caught:
        client.push(FRAME, "P", "T", staging=f"absent://joe:{CANARY}@host/x")
    assert CANARY not in _told(caught.value)


def test_a_filesystem_s_error_with_a_secret_is_not_told(
    client: Celonis, remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries quote the URL that they asked for, with its signature."""
    error = LibraryError(f"403 for https://joe:{CANARY}@host/x?sig={CANARY}, refused")
    monkeypatch.setattr(remote, "fails", _once("wb", "manifest", error))
    with pytest.raises(exceptions.ConfigError, match="LibraryError: 403 for https://host/x") as e:
        client.push(FRAME, "P", "T", staging="remote://stage")
    assert CANARY not in _told(e.value)


@pytest.mark.parametrize("error", [TimeoutError("timed out"), LibraryError("reset"), OSError(5)])
def test_a_chunk_that_cannot_be_read_for_a_moment_stays(
    own: Any,
    client: Celonis,
    remote: type[Remote],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """Nothing is executed, the stage stays, and `resume` finishes the push."""
    monkeypatch.setattr(remote, "fails", _once("rb", "chunk-", error))
    with pytest.raises(exceptions.ConfigError, match=r"cannot be read.*It stays") as caught:
        client.push(FRAME, "P", "T", staging="remote://stage")
    notes = " ".join(caught.value.__notes__)
    assert "stay at remote:///stage/push-" in notes
    assert "was cancelled" in notes
    assert client.resume("remote://stage")[0].ok
    assert own.table("P", "T").num_rows == FRAME.height
    assert sorted(job["status"] for job in own.jobs) == ["CANCELED", "DONE"]
    assert not remote.store


def test_a_local_chunk_that_is_gone_keeps_the_stage(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """A folder that is not mounted at this moment is not taken for a broken stage."""
    _left(client, own, str(tmp_path))
    chunk = next(tmp_path.rglob("chunk-*"))
    away = chunk.rename(tmp_path / "away")
    with pytest.raises(exceptions.ConfigError, match=r"chunk-.*cannot be read.*It stays"):
        client.resume(str(tmp_path))
    away.rename(chunk)
    assert client.resume(str(tmp_path))[0].ok


def test_a_kept_chunk_that_is_gone_is_final() -> None:
    """What waits only for this process cannot be resumed: the advice is another."""
    store = ChunkSpool(MemoryBudget(0))
    table = FRAME.to_arrow()
    (chunk,) = encode(iter(table.to_batches()), table.schema)
    stored = store.put(chunk)
    assert b"".join(stored.blocks())[:4] == b"PAR1"
    store.close()
    with pytest.raises(exceptions.FrameError, match=r"kept chunk.*Push the frame again"):
        list(stored.blocks())


@pytest.mark.parametrize("error", [OSError(28, "No space left"), LibraryError("reset")])
@pytest.mark.parametrize(
    ("nth", "says", "stays"),
    [
        (0, "staging='remote://stage' cannot be written", False),
        (1, "Nothing was sent", False),
        (2, "Nothing was executed", True),
        (3, "Nothing was executed", True),
    ],
)
def test_a_manifest_that_cannot_be_written(
    own: Any,
    client: Celonis,
    remote: type[Remote],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    nth: int,
    says: str,
    *,
    stays: bool,
) -> None:
    """At the begin, when sealed, with a job, before its submission: an error that says so."""
    monkeypatch.setattr(remote, "fails", _once("wb", "manifest", error, skip=nth))
    with pytest.raises(exceptions.ConfigError, match=says):
        client.push(FRAME, "P", "T", staging="remote://stage")
    assert not [job for job in own.jobs if job["status"] not in ("NEW", "CANCELED")]
    assert not [t for t in threading.enumerate() if t.name == "celonis-claim"]
    assert bool(remote.store) is stays
    if stays:
        assert client.resume("remote://stage")[0].ok
        assert own.table("P", "T").num_rows == FRAME.height
        assert [job["status"] for job in own.jobs].count("DONE") == 1
        assert not [job for job in own.jobs if job["status"] == "NEW"]
        assert not remote.store


def test_a_local_folder_that_cannot_be_written_is_removed(
    client: Celonis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is given back, its thread ends, no half stage stays."""

    def full(_path: Path, _target: Path) -> None:
        raise OSError(28, "No space left")

    real = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda p, t: full(p, t) if "manifest" in str(t) else real(p, t)
    )
    with pytest.raises(exceptions.ConfigError, match=r"cannot be written.*No space left"):
        client.push(FRAME, "P", "T", staging=str(tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["ls", "rb"])
def test_a_stage_that_cannot_be_looked_at_stays(
    own: Any, client: Celonis, remote: type[Remote], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A listing or a manifest that fails is an error of this library, and the next time works."""
    _left(client, own, "remote://stage")
    for skip in range(2 if what == "ls" else 1):
        error = LibraryError("reset")
        monkeypatch.setattr(remote, "fails", _once(what, "/stage", error, skip=skip))
        with pytest.raises(exceptions.ConfigError, match="LibraryError: reset"):
            client.resume("remote://stage")
    assert client.resume("remote://stage")[0].ok


def test_a_stage_that_cannot_be_removed_is_no_failure(
    own: Any,
    client: Celonis,
    remote: type[Remote],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The push has succeeded: what stays is told, and the next `resume` only removes it."""
    monkeypatch.setattr(remote, "fails", _once("rm", "push-", LibraryError("reset")))
    assert client.push(FRAME, "P", "T", staging="remote://stage").ok
    assert "remote:///stage/push-" in caplog.text
    assert client.resume("remote://stage")[0].ok
    assert len(own.jobs) == 1
    assert not remote.store


def test_a_claim_is_renewed_after_a_failure(
    remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the filesystem's library raises, the thread that renews goes on."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.05)
    filesystem = remote()
    filesystem.makedirs("/stage")
    claim = StageLease(filesystem, "/stage")
    monkeypatch.setattr(remote, "fails", _once("wb", "claim-", LibraryError("reset")))
    try:
        _until(lambda: remote.opened.count(("wb", claim._path)) > 4)
    finally:
        claim.release()
    assert not remote.store


@pytest.mark.parametrize("staging", ["local", "remote"])
@pytest.mark.parametrize("content", [b"", b'{"host": "a', b"[]", b'{"host": "a"}'])
@pytest.mark.parametrize("lapsed", [True, False])
def test_a_claim_that_cannot_be_read_lapses(
    own: Any,
    client: Celonis,
    remote: type[Remote],
    tmp_path: Path,
    staging: str,
    content: bytes,
    *,
    lapsed: bool,
) -> None:
    """Half a file holds as long as a claim would, counted from when it was written."""
    url = str(tmp_path) if staging == "local" else "remote://stage"
    _left(client, own, url)
    old = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=lease.LEASE_SECONDS + 1)
    if staging == "local":
        path = next(tmp_path.glob("push-*")) / f"claim-{uuid.uuid4().hex}"
        path.write_bytes(content)
        if lapsed:
            os.utime(path, (old.timestamp(), old.timestamp()))
    else:
        folder = remote().ls("/stage", detail=False)[0]
        name = f"{folder}/claim-{uuid.uuid4().hex}"
        remote().pipe_file(name, content)
        if lapsed:
            remote.store[name].modified = old
    if lapsed:
        assert client.resume(url)[0].ok
    else:
        with pytest.raises(exceptions.ConfigError, match=r"another process.*5 minutes"):
            client.resume(url)


def test_a_claim_without_a_time_holds(
    own: Any, client: Celonis, remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the filesystem tells no time, an unreadable claim is not taken for a lapsed one."""

    def untold(_self: object, _path: str) -> None:
        raise NotImplementedError

    _left(client, own, "remote://stage")
    remote().pipe_file(f"{remote().ls('/stage', detail=False)[0]}/claim-1", b"")
    for name in ("modified", "created"):
        monkeypatch.setattr(remote, name, untold)
    with pytest.raises(exceptions.ConfigError, match="another process"):
        client.resume("remote://stage")


def _foreign_claim(folder: Path, **changes: Any) -> Path:
    """A claim as a process of this machine writes it, changed."""
    claim = StageLease(LocalFileSystem(), str(folder))
    said = json.loads(Path(claim._path).read_text())
    claim.release()
    path = folder / f"claim-{uuid.uuid4().hex}"
    path.write_text(json.dumps(said | changes))
    return path


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up under /proc")
@pytest.mark.parametrize(
    ("state", "place", "seconds", "holds"),
    [
        ("ended", "here", 100, False),
        ("alive", "here", -100, True),
        ("reused", "here", 100, False),
        ("zombie", "here", 100, False),
        ("ended", "boot", 100, True),
        ("ended", "boot", -100, False),
        ("ended", "container", 100, True),
        ("ended", "container", -100, False),
        ("ended", "user", 100, True),
        ("ended", "older version", 100, True),
        ("alive", "boot", -100, False),
    ],
)
def test_a_process_is_dead_only_where_it_can_be_looked_up(
    tmp_path: Path,
    process: subprocess.Popen[bytes],
    state: str,
    place: str,
    seconds: int,
    *,
    holds: bool,
) -> None:
    """Another boot, container or user of the same host name: its lease counts, not /proc."""
    changes: dict[str, Any] = {"until": time.time() + seconds, "pid": process.pid}
    changes["begin"] = lease._begin(process.pid)
    assert changes["begin"] is not None
    if state == "ended":
        process.kill()
        process.wait()
    elif state == "zombie":
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    elif state == "reused":
        changes["begin"] = "1"
    here = lease._seen_from()
    assert here is not None
    index = {"boot": 0, "container": 1, "user": 2}.get(place)
    if index is not None:
        here[index] += "0"
    changes["seen_from"] = None if place == "older version" else here
    path = _foreign_claim(tmp_path, **changes)
    taken = pytest.raises(exceptions.ConfigError, match="where it cannot be looked up")
    with taken if holds else contextlib.nullcontext():
        StageLease(LocalFileSystem(), str(tmp_path)).release()
    assert path.exists() is holds
    assert [p for p in tmp_path.iterdir() if p != path] == []


def test_a_claim_that_could_not_be_removed_holds_no_longer(
    own: Any, client: Celonis, remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that lives on can resume what it left, though its old claim is still there."""
    monkeypatch.setattr(remote, "fails", _once("rm_file", "claim-", LibraryError("reset")))
    _left(client, own, "remote://stage")
    assert [name for name in remote.store if "/claim-" in name]
    assert client.resume("remote://stage")[0].ok
    assert not remote.store


def test_a_claim_is_never_seen_half(tmp_path: Path) -> None:
    """While it is renewed, whoever reads it sees the old one or the new one."""
    claim = StageLease(LocalFileSystem(), str(tmp_path))
    done = threading.Event()

    def renew() -> None:
        while not done.is_set():
            claim._renew()

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        for _ in range(3_000):
            assert json.loads(Path(claim._path).read_bytes())["pid"] == os.getpid()
    finally:
        done.set()
        thread.join()
        claim.release()
    assert not list(tmp_path.iterdir())


def test_a_claim_taken_over_is_not_submitted(own: Any, client: Celonis, tmp_path: Path) -> None:
    """Whose claim is gone at the last moment does not execute."""
    fault = own.faults.stall("upload", seconds=0.5)
    frame = pl.DataFrame({"A": [1]})
    failed: list[BaseException] = []

    def push() -> None:
        try:
            client.push(frame, "P", "T", staging=str(tmp_path))
        except exceptions.UploadUncertain as error:
            failed.append(error)

    thread = threading.Thread(target=push)
    thread.start()
    _until(lambda: fault.hits)
    next(tmp_path.rglob("claim-*")).unlink()
    own.faults.clear()
    thread.join()
    assert [error for error in failed if "taken over" in str(error)]
    with pytest.raises(KeyError):
        own.table("P", "T")


@pytest.mark.parametrize("name", ["push-40wk", "push-", f"push-{'0' * 31}g"])
def test_a_folder_named_like_a_stage(own: Any, client: Celonis, tmp_path: Path, name: str) -> None:
    """A user's folder whose name begins as a stage's does is no stage."""
    _left(client, own, str(tmp_path / name))
    assert client.resume(str(tmp_path / name))[0].ok


def test_the_notes_say_where_in_full(
    own: Any, client: Celonis, remote: type[Remote], tmp_path: Path
) -> None:
    """What is told can be given to `resume`: with the protocol, or as a path of this machine."""
    for staging in ("remote://stage", str(tmp_path)):
        own.faults.answer("create", 400)
        with pytest.raises(exceptions.BadRequest) as caught:
            client.push(FRAME, "P", "T", staging=staging)
        own.faults.clear()
        note = next(n for n in caught.value.__notes__ if "stay at" in n)
        where = note.removeprefix("Its chunks stay at ").partition(": celonis_frames")[0]
        assert celonis_frames.resume(where, client=client)[0].ok
    assert not remote.store


def test_what_is_staged_outlives_a_power_failure(
    own: Any, client: Celonis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the server hears of a job, all chunks, the manifest and their folders are on disk."""
    synced: set[int] = set()
    real = os.fsync

    def fsync(number: int) -> None:
        real(number)
        synced.add(os.fstat(number).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    staging = tmp_path / "new" / "deep"
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        client.push(FRAME, "P", "T", staging=str(staging), chunk_bytes="1 KB")
    folder = next(staging.glob("push-*"))
    chunks = list(folder.glob("chunk-*"))
    assert len(chunks) > 1
    places = [*chunks, folder / "manifest.json", folder, staging, staging.parent, tmp_path]
    assert [place for place in places if place.stat().st_ino not in synced] == []
