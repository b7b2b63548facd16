"""Where chunks wait: filesystems that fail, leases that expire, secrets that are not shown."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import filelock
import fsspec
import polars as pl
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations
from waiting import until

import celonis_frames
from celonis_frames import Celonis, exceptions
from celonis_frames._concurrency import cancellation
from celonis_frames._filesystem.masking import mask_url
from celonis_frames._options.push_options import PushOptions
from celonis_frames._staging import lease
from celonis_frames._staging.lease import StageLease
from celonis_frames._staging.manifest import Manifest, ObjectRecord, read_manifest
from celonis_frames._staging.stage import Stage

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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("folder/a?b@c", "folder/a?b@c"),
        ("s3://host:80/folder", "s3://host:80/folder"),
        ("s3://bucket/folder@x", "s3://bucket/folder@x"),
        (f"s3://key:{CANARY}/folder", "s3://********/folder"),
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
    assert mask_url(url) == shown


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
    with pytest.raises(
        ImportError, match=r'driver is missing: pip install "absent_library"'
    ) as caught:
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
    assert not [t for t in threading.enumerate() if t.name == "celonis-lease"]
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
    """The lease is removed, its thread ends, no half stage stays."""

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


@pytest.mark.parametrize("what", ["chunk-", "manifest"])
def test_a_stage_that_cannot_be_removed_is_no_failure(
    own: Any,
    client: Celonis,
    remote: type[Remote],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    """The push has succeeded: what stays is told, and the next `resume` only removes it.

    The manifest is removed last: without the chunks it still says that the job was submitted.
    """
    monkeypatch.setattr(remote, "fails", _once("rm_file", what, LibraryError("reset")))
    assert client.push(FRAME, "P", "T", staging="remote://stage").ok
    assert "remote:///stage/push-" in caplog.text
    assert client.resume("remote://stage")[0].ok
    assert len(own.jobs) == 1
    assert not remote.store


def test_a_lease_is_renewed_after_a_failure(
    remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the filesystem's library raises, the thread that renews goes on."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.05)
    filesystem = remote()
    filesystem.makedirs("/stage")
    held = StageLease(filesystem, "/stage")
    monkeypatch.setattr(remote, "fails", _once("wb", "lease-", LibraryError("reset")))
    try:
        until(lambda: remote.opened.count(("wb", held._path)) > 4)
    finally:
        held.release()
    assert not remote.store


@pytest.mark.parametrize("staging", ["local", "remote"])
@pytest.mark.parametrize("content", [b"", b'{"host": "a', b"[]", b'{"host": "a"}'])
@pytest.mark.parametrize("lapsed", [True, False])
def test_a_lease_that_cannot_be_read_lapses(
    own: Any,
    client: Celonis,
    remote: type[Remote],
    tmp_path: Path,
    staging: str,
    content: bytes,
    *,
    lapsed: bool,
) -> None:
    """Half a file holds as long as a lease would, counted from when it was written."""
    url = str(tmp_path) if staging == "local" else "remote://stage"
    _left(client, own, url)
    old = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=lease.LEASE_SECONDS + 1)
    if staging == "local":
        path = next(tmp_path.glob("push-*")) / f"lease-{uuid.uuid4().hex}"
        path.write_bytes(content)
        if lapsed:
            os.utime(path, (old.timestamp(), old.timestamp()))
    else:
        folder = remote().ls("/stage", detail=False)[0]
        name = f"{folder}/lease-{uuid.uuid4().hex}"
        remote().pipe_file(name, content)
        if lapsed:
            remote.store[name].modified = old
    if lapsed:
        assert client.resume(url)[0].ok
    else:
        with pytest.raises(exceptions.ConfigError, match=r"another process.*5 minutes"):
            client.resume(url)


def test_a_lease_without_a_time_holds(
    own: Any, client: Celonis, remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the filesystem tells no time, an unreadable lease is not taken for an expired one."""

    def untold(_self: object, _path: str) -> None:
        raise NotImplementedError

    _left(client, own, "remote://stage")
    remote().pipe_file(f"{remote().ls('/stage', detail=False)[0]}/lease-1", b"")
    for name in ("modified", "created"):
        monkeypatch.setattr(remote, name, untold)
    with pytest.raises(exceptions.ConfigError, match="another process"):
        client.resume("remote://stage")


def _foreign_lease(folder: Path, **changes: Any) -> Path:
    """A lease as a process of this machine writes it, changed."""
    held = StageLease(LocalFileSystem(), str(folder))
    record = json.loads(Path(held._path).read_text())
    held.release()
    path = folder / f"lease-{uuid.uuid4().hex}"
    path.write_text(json.dumps(record | {"process": "another"} | changes))
    return path


HOLDER = """
import os, sys
from fsspec.implementations.local import LocalFileSystem
from celonis_frames._staging.lease import StageLease
from celonis_frames.exceptions import ConfigError
try:
    lease = StageLease(LocalFileSystem(), sys.argv[1])
except ConfigError as error:
    print("rejected", error, flush=True)
    sys.exit()
print("held", flush=True)
if sys.argv[2] == "fork" and os.fork() == 0:
    lease.release()
    print("forked", os.getpid(), flush=True)
sys.stdin.readline()
lease.release()
"""


@contextlib.contextmanager
def _holder(folder: Path, how: str = "plain") -> Iterator[subprocess.Popen[str]]:
    """A process that takes the stage, if it can, until it is given a line."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), how],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield process
        process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _no_lock(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    class NoLock:
        def __init__(self, *_: Any, **_options: Any) -> None:
            pass

        def acquire(self, **_: Any) -> None:
            raise error

    monkeypatch.setattr("filelock.FileLock", NoLock)


@pytest.mark.parametrize(
    ("place", "locked", "seconds", "holds"),
    [
        ("here", True, 100, False),
        ("here", False, 100, True),
        ("here", False, -100, False),
        ("another machine", True, 100, True),
        ("another machine", True, -100, False),
        ("older version", True, 100, True),
    ],
)
def test_a_holder_is_dead_only_if_its_lock_is_free(
    tmp_path: Path, place: str, seconds: int, *, locked: bool, holds: bool
) -> None:
    """On this machine, and if it had locked; else its lease counts."""
    changes: dict[str, Any] = {"until": time.time() + seconds, "pid": 1, "locked": locked}
    if place == "another machine":
        changes["machine"] = "other"
    path = _foreign_lease(tmp_path, **changes)
    if place == "older version":
        record = json.loads(path.read_text())
        del record["locked"], record["machine"], record["process"]
        path.write_text(json.dumps(record))
    taken = pytest.raises(exceptions.ConfigError, match=r"process 1 on .*5 minutes")
    with taken if holds else contextlib.nullcontext():
        StageLease(LocalFileSystem(), str(tmp_path)).release()
    assert path.exists() is holds
    assert [p for p in tmp_path.iterdir() if p != path and p.name != "lock"] == []


def test_a_stage_is_free_as_soon_as_its_process_is_killed(tmp_path: Path) -> None:
    """The kernel frees the lock: no lease has to expire, and the process is not looked up."""
    with _holder(tmp_path) as process:
        assert _line(process) == "held"
        with pytest.raises(exceptions.ConfigError, match=rf"process {process.pid} on "):
            StageLease(LocalFileSystem(), str(tmp_path))
        assert len(list(tmp_path.glob("lease-*"))) == 1
        process.kill()
        process.wait()
        StageLease(LocalFileSystem(), str(tmp_path)).release()
    assert not list(tmp_path.glob("lease-*"))


def test_a_lock_outlives_its_lease(tmp_path: Path) -> None:
    """A process that lives but renewed nothing, as after a long sleep, still has the stage."""
    with _holder(tmp_path) as process:
        assert _line(process) == "held"
        (path,) = tmp_path.glob("lease-*")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"until": 0}))
        with pytest.raises(exceptions.ConfigError, match="another process"):
            StageLease(LocalFileSystem(), str(tmp_path))
        assert path.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_neither_keeps_nor_frees_the_stage(tmp_path: Path) -> None:
    """It may release what its parent holds, or outlive it: only the parent counts."""
    with _holder(tmp_path, "fork") as process:
        assert _line(process) == "held"
        forked, child = _line(process).split()
        assert forked == "forked"
        try:
            with pytest.raises(exceptions.ConfigError, match="another process"):
                StageLease(LocalFileSystem(), str(tmp_path))
            process.kill()
            process.wait()
            StageLease(LocalFileSystem(), str(tmp_path)).release()
            os.kill(int(child), 0)  # it is still there
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), 9)


def test_of_two_processes_one_has_the_stage(tmp_path: Path) -> None:
    """Started at the same time, whichever comes first."""
    with _holder(tmp_path) as one, _holder(tmp_path) as other:
        said = sorted(_line(process).split()[0] for process in (one, other))
    assert said == ["held", "rejected"]
    assert [path.name for path in tmp_path.glob("lease-*")] != []


@pytest.mark.parametrize("error", [OSError(37, "No locks available"), NotImplementedError()])
def test_without_locks_the_leases_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """As on some network mounts: a lease outlives its process until it expires."""
    _no_lock(monkeypatch, error)
    with _holder(tmp_path) as process:
        assert _line(process) == "held"
        (path,) = tmp_path.glob("lease-*")
        process.kill()
    with pytest.raises(exceptions.ConfigError, match="5 minutes"):
        StageLease(LocalFileSystem(), str(tmp_path))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"until": 0}))
    held = StageLease(LocalFileSystem(), str(tmp_path))
    assert json.loads(Path(held._path).read_text())["locked"] is False
    held.release()
    assert [p.name for p in tmp_path.iterdir() if p.name != "lock"] == []


def test_a_removed_stage_is_not_made_again(tmp_path: Path) -> None:
    """A lock would create the folder of a stage that another process has just removed."""
    with pytest.raises(FileNotFoundError):
        StageLease(LocalFileSystem(), str(tmp_path / "push-gone"))
    assert not list(tmp_path.iterdir())


def test_a_finished_push_leaves_nothing(own: Any, client: Celonis, tmp_path: Path) -> None:
    """Neither lock nor lease, after a push that succeeds and after a resume."""
    client.push(FRAME, "P", "T", staging=str(tmp_path))
    assert not list(tmp_path.iterdir())
    _left(client, own, str(tmp_path))
    assert client.resume(str(tmp_path))[0].ok
    assert not list(tmp_path.iterdir())


def test_a_lease_that_could_not_be_removed_holds_no_longer(
    own: Any, client: Celonis, remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that lives on can resume what it left, though its old lease is still there."""
    monkeypatch.setattr(remote, "fails", _once("rm_file", "lease-", LibraryError("reset")))
    _left(client, own, "remote://stage")
    assert [name for name in remote.store if "/lease-" in name]
    assert client.resume("remote://stage")[0].ok
    assert not remote.store


def test_a_lease_is_never_seen_half(tmp_path: Path) -> None:
    """While it is renewed, whoever reads it sees the old one or the new one."""
    held = StageLease(LocalFileSystem(), str(tmp_path))
    done = threading.Event()

    def renew() -> None:
        while not done.is_set():
            held._renew(held.filesystem)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        for _ in range(3_000):
            assert json.loads(Path(held._path).read_bytes())["pid"] == os.getpid()
    finally:
        done.set()
        thread.join()
        held.release()
    assert [p.name for p in tmp_path.iterdir() if p.name != "lock"] == []


def test_a_lease_taken_over_is_not_submitted(
    own: Any, client: Celonis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A push whose lease is gone at the last moment does not execute."""

    def pause(_seconds: float, _token: object) -> None:
        if own.jobs[0]["status"] == "NEW":
            for path in tmp_path.rglob("lease-*"):
                path.unlink()

    monkeypatch.setattr(cancellation, "_sleep", pause)
    own.faults.answer("upload", 503)  # in the pause after it the lease is taken
    with pytest.raises(exceptions.UploadUncertain, match="taken over"):
        client.push(pl.DataFrame({"A": [1]}), "P", "T", staging=str(tmp_path))
    assert [job["status"] for job in own.jobs] == ["NEW"]


class Clock:
    """The clock of the leases, which is put forward while the machine sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept = 0.0
        monkeypatch.setattr(lease, "time", self)

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.slept


RESUMER = """
import sys
from celonis_frames import ApiKey, Celonis
from celonis_frames._concurrency import cancellation
cancellation._sleep = lambda _seconds, _token: None
with Celonis(sys.argv[1], auth=ApiKey(sys.argv[2])) as celonis:
    (status,) = celonis.resume(sys.argv[3])
    assert status.ok
"""


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "faults",
    [
        [("create", 503)],
        [("upload", 503)],
        [("upload", 429)],
        [("execute", 429)],
        [("upload", 400), ("cancel", 503)],
    ],
    ids=str,
)
def test_a_push_that_wakes_up_leaves_its_jobs_to_the_resume(
    own: Any,
    client: Celonis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    faults: list[tuple[str, int]],
) -> None:
    """It sleeps in the pause after a fault, while another process finishes the push.

    After that it neither creates, fills, submits nor cancels a job.
    """
    _no_lock(monkeypatch, NotImplementedError())  # else no other process could take the stage
    clock = Clock(monkeypatch)

    def sleep(_seconds: float, _token: object) -> None:
        if clock.slept:
            return
        clock.slept = 2 * lease.LEASE_SECONDS
        (path,) = tmp_path.rglob("lease-*")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"until": 0}))
        command = [sys.executable, "-c", RESUMER, own.url, own.token, str(tmp_path)]
        subprocess.run(command, check=True, timeout=60)

    monkeypatch.setattr(cancellation, "_sleep", sleep)
    for route, status in faults:
        own.faults.answer(route, status)
    with pytest.raises(exceptions.UploadUncertain, match="taken over"):
        client.push(FRAME, "P", "T", staging=str(tmp_path))
    assert clock.slept
    states = [job["status"] for job in own.jobs]
    assert [state for state in states if state != "CANCELED"] == ["DONE"]
    assert own.table("P", "T").num_rows == len(FRAME)


def test_a_push_that_wakes_up_goes_on_if_nobody_has_resumed_it(
    own: Any, client: Celonis, remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease has expired, but nobody has taken the stage: it is renewed."""
    clock, written = Clock(monkeypatch), []

    def sleep(_seconds: float, _token: object) -> None:
        clock.slept = 2 * lease.LEASE_SECONDS
        written.append(len(remote.opened))

    monkeypatch.setattr(cancellation, "_sleep", sleep)
    own.faults.answer("upload", 429)
    assert client.push(FRAME, "P", "T", staging="remote://stage").ok
    after = [path for mode, path in remote.opened[written[0] :] if mode == "wb"]
    assert "/lease-" in after[0]
    assert not remote.store


def test_a_push_that_cannot_see_its_lease_changes_nothing(
    own: Any, client: Celonis, remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage is gone for longer than the lease holds: another process may have the stage."""
    clock = Clock(monkeypatch)

    def sleep(_seconds: float, _token: object) -> None:
        if not clock.slept:
            clock.slept = 2 * lease.LEASE_SECONDS
            monkeypatch.setattr(remote, "fails", lambda *_: LibraryError("reset"))

    monkeypatch.setattr(cancellation, "_sleep", sleep)
    own.faults.answer("upload", 429)
    with pytest.raises(exceptions.ConfigError, match=r"lease .* cannot be renewed") as caught:
        client.push(FRAME, "P", "T", staging="remote://stage")
    assert "could not be cancelled" in _told(caught.value)
    assert [job["status"] for job in own.jobs] == ["NEW"]
    monkeypatch.setattr(remote, "fails", lambda *_: None)
    assert client.resume("remote://stage")[0].ok
    assert own.table("P", "T").num_rows == len(FRAME)


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
        where = note.removeprefix("The chunks stay at ").partition(": celonis_frames")[0]
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
        client.push(FRAME, "P", "T", staging=str(staging), upload={"chunk_bytes": "1 KB"})
    folder = next(staging.glob("push-*"))
    chunks = list(folder.glob("chunk-*"))
    assert len(chunks) > 1
    places = [*chunks, folder / "manifest.json", folder, staging, staging.parent, tmp_path]
    assert [place for place in places if place.stat().st_ino not in synced] == []


def test_a_stage_that_is_removed_while_it_is_locked_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locking makes the folder again: the push was finished, and must not be taken for unsent."""
    folder = tmp_path / f"push-{uuid.uuid4().hex}"
    folder.mkdir()
    acquire = filelock.FileLock.acquire

    def removed_first(lock: Any, *args: Any, **options: Any) -> Any:
        shutil.rmtree(folder)
        return acquire(lock, *args, **options)

    monkeypatch.setattr(filelock.FileLock, "acquire", removed_first)
    with pytest.raises(exceptions.ConfigError, match="another process has finished"):
        Stage.reopen(LocalFileSystem(), str(folder))
    assert not folder.exists()


@pytest.mark.skipif(os.name == "nt", reason="there are no such permissions")
def test_a_local_stage_is_for_its_owner_only(client: Celonis, own: Any, tmp_path: Path) -> None:
    """The folder and each file in it, whatever the umask."""
    before = os.umask(0)
    try:
        _left(client, own, str(tmp_path))
    finally:
        os.umask(before)
    (folder,) = tmp_path.glob("push-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert client.resume(str(tmp_path))[0].ok


def test_options_are_in_no_file_and_no_message(
    client: Celonis, own: Any, remote: type[Remote], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`storage_options=` reach the filesystem; a `Secret` is masked whatever its option's name."""
    options = {"word": celonis_frames.Secret(CANARY), "remote": {"other": 1}, "sftp": {"port": 1}}
    own.faults.answer("create", 400)
    with pytest.raises(exceptions.BadRequest):
        client.push(FRAME, "P", "T", staging="remote://stage", storage_options=options)
    own.faults.clear()
    assert CANARY not in repr(PushOptions(storage_options=options))
    for file in remote.store.values():
        assert CANARY.encode() not in file.getvalue()
    error = LibraryError(f"word {CANARY} is wrong")
    monkeypatch.setattr(remote, "fails", _once("ls", "/stage", error))
    with pytest.raises(exceptions.ConfigError, match=r"word \*+ is wrong") as caught:
        client.resume("remote://stage", storage_options=options)
    assert CANARY not in _told(caught.value)
    assert client.resume("remote://stage", storage_options=options)[0].ok
    with pytest.raises(exceptions.ConfigError, match="must be a mapping") as caught:
        client.resume("remote://stage", storage_options=CANARY)  # type: ignore[arg-type]
    assert CANARY not in _told(caught.value)


def test_a_stage_without_a_manifest_is_doubtful(
    own: Any, client: Celonis, remote: type[Remote]
) -> None:
    """Its push may have been finished just now: nobody is told to push again."""
    _left(client, own, "remote://stage")
    (folder,) = remote().ls("/stage", detail=False)
    remote().rm_file(f"{folder}/manifest.json")
    with pytest.raises(exceptions.ConfigError, match="either another process has just finished"):
        client.resume("remote://stage")


def test_threads_that_store_objects_record_all_of_them(tmp_path: Path) -> None:
    """No record of one thread is lost to another's: a lost one would be stored again unasked."""
    record = ObjectRecord("c", "b", "p", repeatable=False, consequence="")
    stage = Stage.begin(f"file://{tmp_path}", Manifest("u", "", objects=vars(record)))
    names = [f"object-{number}" for number in range(24)]

    def store(name: str) -> None:
        stage.record_object(name, stored=None)
        stage.record_object(name, stored=name != names[0])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store, names))
    written = read_manifest(LocalFileSystem(), stage.folder).objects or {}
    assert set(written["begun"]) == set(written["stored"]) == set(names[1:])
    stage.finished = True
    stage.close()
