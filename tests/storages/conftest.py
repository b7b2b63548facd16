"""Storages with real servers, one server of each kind for all tests."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import pytest
from leaks import Leaks
from servers import PASSWORD, USER

from celonis_frames import Secret
from celonis_frames._filesystem.filesystems import close_filesystem, open_filesystem

LIBRARIES = (
    "aiohttp", "asyncssh", "cheroot", "gcp_storage_emulator", "gcsfs", "moto", "paramiko",
    "pyftpdlib", "s3fs", "webdav4", "wsgidav",
)  # fmt: skip
# Other sessions have not these libraries, and do not run these tests.
collect_ignore_glob = [] if all(map(importlib.util.find_spec, LIBRARIES)) else ["test_*.py"]

KINDS = ("memory", "ftp", "sftp", "s3", "gcs", "webdav")
BUCKET = "bucket"


@dataclass(frozen=True)
class Storage:
    """A folder that does not exist yet, by its URL and fsspec's options for it."""

    kind: str
    url: str
    options: dict[str, Any] = field(repr=False)
    requests: Path | None = None  # what S3 was asked

    def open(self) -> tuple[Any, str]:
        """The filesystem and the path of the folder."""
        options = {name: _revealed(value) for name, value in self.options.items()}
        return open_filesystem(self.url, options)

    def left(self) -> list[str]:
        """All files and folders below the folder."""
        filesystem, path = self.open()
        filesystem.invalidate_cache()
        try:
            found = filesystem.find(path, withdirs=True)
        except FileNotFoundError:
            return []
        finally:
            close_filesystem(filesystem)
        return [name for name in map(str, found) if name.strip("/") != path.strip("/")]


def _revealed(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """No test leaves a thread, an open file or a connection behind, but for fsspec's own.

    fsspec keeps the filesystems of frames, with their connections, for the next use of their URLs.
    Those are ended here: what is open then, nobody would end.
    """
    leaks = Leaks(sockets=False)  # the storages are other processes: all of their sockets count
    yield
    for kind in list(fsspec.spec._registered_classes):
        for filesystem in list(kind._cache.values()):
            close_filesystem(filesystem)
        kind.clear_instance_cache()
    # gcsfs has one thread for the whole process.
    assert [one for one in leaks.left() if one != "thread gcsfs-deferred-close"] == []


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The port and the folder of the server of a kind, which is started when it is asked for."""
    started: dict[str, tuple[subprocess.Popen[str], int, Path]] = {}

    def server(kind: str) -> tuple[int, Path]:
        if kind not in started:
            folder = tmp_path_factory.mktemp(kind)
            program = [sys.executable, str(Path(__file__).with_name("servers.py")), kind]
            process = subprocess.Popen(
                [*program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            started[kind] = process, int(process.stdout.readline()), folder
        return started[kind][1:]

    yield server
    for process, _, _ in started.values():
        process.communicate()


@pytest.fixture
def at(servers: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that returns a storage of a kind."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)

    def storage(kind: str) -> Storage:
        folder = f"folder-{uuid.uuid4().hex}"
        if kind == "memory":
            return Storage(kind, f"memory://{folder}", {})
        port, place = servers(kind)
        login: dict[str, Any] = {"username": USER, "password": Secret(PASSWORD)}
        if kind in ("ftp", "sftp"):
            return Storage(kind, f"{kind}://127.0.0.1:{port}/{folder}", login)
        url = f"http://127.0.0.1:{port}"
        if kind == "webdav":
            # httpx takes a pair, which may hold secrets too.
            options = {"base_url": url, "auth": (USER, PASSWORD)}
            return Storage(kind, f"webdav://{folder}", options)
        if kind == "gcs":
            # gcsfs asks for the kind of a bucket by another protocol than HTTP, and waits for it.
            monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
            options = {"token": "anon", "endpoint_url": url, "project": "project"}
            found = Storage(kind, f"gs://{BUCKET}/{folder}", options)
            filesystem, _ = found.open()
            if f"{BUCKET}/" not in filesystem.ls(""):
                filesystem.mkdir(BUCKET)
            return found
        keys = {"key": USER, "secret": Secret(PASSWORD), "endpoint_url": url}
        found = Storage(kind, f"s3://{BUCKET}/{folder}", keys, place / "requests")
        filesystem, _ = found.open()
        if not filesystem.exists(BUCKET):
            filesystem.mkdir(BUCKET)
        return found

    return storage


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, at: Any) -> Storage:
    """A folder on a storage of each kind."""
    found: Storage = at(request.param)
    return found
