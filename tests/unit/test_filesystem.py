"""What is shown of URLs and of the errors of filesystems, and how URLs are spelled."""

from __future__ import annotations

import io
import logging
import os
import ssl
import sys
import traceback
from collections.abc import Iterator
from ftplib import error_perm as FtpError  # noqa: N812
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trustme
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import known_implementations
from fsspec.spec import AbstractFileSystem

from celonis_frames import exceptions, plan
from celonis_frames._filesystem.drivers import install_line
from celonis_frames._filesystem.filesystems import open_filesystem
from celonis_frames._filesystem.masking import mask_url
from celonis_frames._sources.reader import read

CANARY = "SECRETPW"
USER = "joe.user"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"s3://AKIA{'X' * 16}/x", "s3://********/x"),
        (f"s3://AKIA{'X' * 16}:{CANARY}/x", "s3://********/x"),
        (f"https://AKIA{'X' * 16}.s3.amazonaws.com/x", "https://********.s3.amazonaws.com/x"),
        (f"https://host/x#access_token={CANARY}", "https://host/x"),
        ("s3://bucket/a#b", "s3://bucket/a#b"),
        (
            f"filecache::zip://a::https://joe:{CANARY}@host/x?y",
            "filecache::zip://a::https://host/x",
        ),
        (f"{USER}:{CANARY}@host/x", "host/x"),
        (f"data:application/octet-stream;base64,{CANARY}", "data:…"),
        ("C:/Users/joe@host/x", "C:/Users/joe@host/x"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    """No user, password, key, query or content."""
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("dbfs:/mnt/x", "'/dbfs/mnt/x'"),
        ("s3:/bucket/x", "'s3://bucket/x'"),
        ("s3:bucket/x", "'s3://bucket/x'"),
        ("GS:/bucket/x", "'gs://bucket/x'"),
        ("https:/host/x", "'https://host/x'"),
        ("S3://bucket/x", "s3://"),
        ("htps://host/x", "https?://"),
        ("simplecache::s4://bucket/x", "knows no protocol 's4'"),
        (r"C:\data\x.parquet", "'/mnt/c/data/x.parquet'"),
        ("C:/data/x.parquet", "'/mnt/c/data/x.parquet'"),
        (r"\\server\share\x", "'//server/share/x'"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="there these paths are right")
def test_paths_of_other_systems_are_no_local_folders(
    path: str, right: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is read, as a frame or as a stage, nor made; the error suggests what is right."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(exceptions.FrameError, match=right):
        read(path)
    with pytest.raises(exceptions.ConfigError, match=f"staging=.*{right}"):
        open_filesystem(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["s3:", "file:", "C:", "a:b@c", "~"])
def test_what_is_there_by_an_odd_name_is_meant(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spelling is only corrected if nothing is found."""
    monkeypatch.chdir(tmp_path)
    folder = Path(tmp_path, "." if name == "file:" else name, "d")
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"A": [1]}), folder / "a.parquet")
    path = f"{folder}/a.parquet" if name == "~" else f"{name}/d/a.parquet"
    assert read(f"file:{folder}/a.parquet" if name == "file:" else path).rows == 1


class _Driver(Exception):  # named as drivers name theirs
    """An error of a library that this one does not know."""


class AuthenticationException(_Driver):
    """As paramiko names it."""


class _Response(_Driver):
    def __init__(self, status: Any) -> None:
        super().__init__("rejected")
        self.response = status


class _Leaky(MemoryFileSystem):
    """A filesystem whose driver fails, and quotes what it was given."""

    protocol = "leaky"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    error: Any = None
    where = "info"

    @staticmethod
    def _get_kwargs_from_urls(url: str) -> dict[str, str]:
        user, _, password = url.partition("://")[2].rpartition("@")[0].partition(":")
        return {"username": user, "password": password, "host": "the.host"}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        inner = "/" + path.partition("://")[2].partition("/")[2] if "://" in path else path
        return inner.rstrip("/")

    def __init__(self, username: str = "", password: str = "", host: str = "", **more: Any) -> None:
        super().__init__(username=username, password=password, host=host, **more)

    def _fail(self, where: str) -> None:
        if self.error is not None and self.where == where:
            raise self.error

    def info(self, path: str, **options: Any) -> Any:
        self._fail("info")
        return super().info(path, **options)

    def find(self, path: str, **options: Any) -> Any:
        self._fail("find")
        return super().find(path, **options)

    def _open(self, path: str, *args: Any, **options: Any) -> Any:
        self._fail("open")
        file = super()._open(path, *args, **options)
        if self.where != "read" or self.error is None:
            return file
        return _Failing(file.getvalue(), self.error)


class _Failing(io.BytesIO):
    """Fails once the footer was read."""

    def __init__(self, content: bytes, error: Exception) -> None:
        super().__init__(content)
        self._error, self.size = error, len(content)

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() < 100:
            raise self._error
        return super().read(size)


@pytest.fixture
def leaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Leaky]]:
    """A filesystem with two files."""
    fsspec.register_implementation("leaky", _Leaky, clobber=True)
    content = io.BytesIO()
    pq.write_table(pa.table({"A": list(range(100_000))}), content, compression="none")
    for name in ("/d/a.parquet", "/d/b.parquet"):
        _Leaky(skip_instance_cache=True).pipe_file(name, content.getvalue())
    yield _Leaky
    monkeypatch.undo()
    _Leaky.store.clear()


@pytest.mark.parametrize(
    ("path", "where"),
    [("d", "info"), *((path, where) for path in ("d", "d/*.parquet")
                      for where in ("find", "open", "read"))],
)  # fmt: skip
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (_Driver(f"{USER}:{CANARY} at leaky://{USER}:{CANARY}@x/?sig={CANARY}"), "_Driver"),
        (TypeError(f"unexpected {CANARY}"), "TypeError"),
        (OSError(5, f"no {CANARY}"), "Errno 5"),
        (FtpError("530 Login incorrect"), "the login was rejected"),  # noqa: S321  # only the error
        (AuthenticationException(USER), "the login was rejected"),
        (_Response({"Error": {"Code": "InvalidAccessKeyId"}}), "the login was rejected"),
        (_Response({"Error": {"Code": "SlowDown"}}), "_Response: rejected"),
    ],
    ids=["quotes", "TypeError", "OSError", "FTP", "SSH", "S3 key", "S3"],
)
def test_errors_of_drivers_are_translated(
    path: str,
    where: str,
    error: Exception,
    said: str,
    leaky: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While files are looked for, opened and read; the host is named, and no secret shown."""
    caplog.set_level(logging.DEBUG, "celonis_frames")
    monkeypatch.setattr(leaky, "error", error)
    monkeypatch.setattr(leaky, "where", where)
    with pytest.raises(exceptions.FrameError, match=said) as caught:
        plan(f"leaky://{USER}:{CANARY}@the.host/{path}", "P", "T")
    assert "the.host" in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert CANARY not in shown
    assert USER not in shown


@pytest.mark.parametrize("protocol", ["zip", "simplecache", "tar"])
def test_a_chain_shows_no_login(protocol: str) -> None:
    """Whatever the filesystem inside makes of it."""
    inner = f"memory://{USER}:{CANARY}@host/x?sig={CANARY}"
    with pytest.raises(exceptions.FrameError, match="memory://host/x") as caught:
        read(f"{protocol}://x::{inner}" if protocol != "simplecache" else f"{protocol}::{inner}")
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert USER not in shown


def test_a_glob_in_a_folder_that_cannot_be_listed(leaky: Any) -> None:
    """Fsspec would say that it matches nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaky, "ls", _deny)
        patch.setattr(leaky, "find", AbstractFileSystem.find)
        with pytest.raises(exceptions.FrameError, match="Permission denied"):
            read("leaky://the.host/d/*.parquet")


def _deny(*_: Any, **__: Any) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_rejected_login_anywhere_in_the_chain_is_named(leaky: Any) -> None:
    """s3fs raises a PermissionError from the error of botocore."""
    error = PermissionError("no")
    error.__cause__ = _Response({"Error": {"Code": "SignatureDoesNotMatch"}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaky, "error", error)
        with pytest.raises(exceptions.FrameError, match="the login was rejected"):
            read("leaky://the.host/d")


class _WebError(_Driver):
    def __init__(self, status: int) -> None:
        super().__init__(f"{status}, url='https://host/x?sig={CANARY}'")
        self.status = status


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "the login was rejected"), (403, "403"), (404, "No Parquet file"), (500, "500")],
)
def test_a_web_server_that_rejects_is_not_one_without_the_file(
    status: int, said: str, leaky: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fsspec's HTTP reports both as a file that is not found."""
    error = FileNotFoundError(f"https://host/x?sig={CANARY}")
    error.__cause__ = _WebError(status)
    monkeypatch.setattr(leaky, "error", error)
    monkeypatch.setattr(leaky, "protocol", ("leaky", "http", "https"))
    with pytest.raises(exceptions.FrameError, match=said) as caught:
        read("leaky://the.host/x.parquet")
    assert CANARY not in "".join(traceback.format_exception(caught.value))


class Web(MemoryFileSystem):
    """A filesystem in the place of that for https, which needs aiohttp."""

    protocol = "https"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_ca_file_of_the_environment_counts_for_every_https_url(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """URLs of frames and stages trust what the API's URL trusts; other filesystems get nothing."""
    monkeypatch.setitem(sys.modules["fsspec.registry"].__dict__["_registry"], "https", Web)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    url = "https://files.example/stage"
    assert "ssl" not in open_filesystem(url)[0].storage_options
    authority, bundle = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv(variable, str(bundle))
    context = open_filesystem(url)[0].storage_options["ssl"]
    assert len(context.get_ca_certs()) == 1
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert open_filesystem(url)[0].storage_options["ssl"] is context
    chained = open_filesystem(f"simplecache::{url}")[0]
    assert chained.fs.storage_options["ssl"] is context
    assert "https" not in open_filesystem("memory://stage")[0].storage_options
    with pytest.raises(exceptions.FrameError, match="No Parquet file"):
        read(f"{url}/x.parquet")
    monkeypatch.setenv(variable, str(tmp_path / "none.pem"))
    for call in (open_filesystem, read):
        with pytest.raises(exceptions.ConfigError, match=rf"^{variable}=.*no such CA file"):
            call(url)


@pytest.mark.parametrize(
    ("protocol", "extra"),
    [("s3", "s3"), ("gs", "gcs"), ("abfs", "azure"), ("sftp", "sftp"), ("webdav", "webdav"),
     ("https", "http")],
)  # fmt: skip
def test_an_extra_brings_the_driver_of_a_storage(protocol: str, extra: str) -> None:
    """What fsspec says of a missing driver leads to the extra that docs/storages.md names."""
    message = known_implementations[protocol]["err"]
    assert install_line(message) == f'pip install "celonis-frames[{extra}]"'
    page = (Path(__file__).parents[2] / "docs" / "storages.md").read_text("utf-8")
    [row] = [line for line in page.splitlines() if f"| `{protocol}://" in line]
    assert f"| `{extra}` |" in row


class _Listed(MemoryFileSystem):
    """A filesystem that keeps what it has listed, as those of object stores do."""

    protocol = "listed"
    store: ClassVar[dict[str, Any]] = {}
    seen: ClassVar[dict[str, Any]] = {}

    @classmethod
    def _strip_protocol(cls, path: str) -> Any:
        return super()._strip_protocol(path.replace("listed://", "memory://"))

    def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
        key = f"{path} {detail}"
        if key not in self.seen:
            self.seen[key] = super().ls(path, detail=detail, **options)
        return self.seen[key]

    def info(self, path: str, **_: Any) -> Any:
        path = self._strip_protocol(path)
        for entry in self.ls(self._parent(path)):
            if entry["name"] == path:
                return entry
        raise FileNotFoundError(path)

    def invalidate_cache(self, path: str | None = None) -> None:  # noqa: ARG002
        self.seen.clear()


def test_a_folder_that_came_after_a_listing_is_found(tmp_path: Path) -> None:
    """A process that has looked at a bucket before sees what another one has written since."""
    fsspec.register_implementation("listed", _Listed, clobber=True)
    pq.write_table(pa.table({"A": [1]}), tmp_path / "0.parquet")
    _Listed().pipe_file("/bucket/old/0.parquet", (tmp_path / "0.parquet").read_bytes())
    assert plan("listed://bucket/old", "P", "T").rows == 1
    _Listed.store["/bucket/new/0.parquet"] = _Listed.store["/bucket/old/0.parquet"]
    assert plan("listed://bucket/new", "P", "T").rows == 1
