"""Filesystems: opened by their URL, cloned for threads, shown without secrets."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from celonis_frames._ca_bundle import https_options
from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.masking import mask_url, secret_values, secrets_of
from celonis_frames._filesystem.spelling import LOCAL, check_spelling
from celonis_frames.exceptions import ConfigError


def open_filesystem(url: str, options: Mapping[str, Any] | None = None) -> tuple[Any, str]:
    """The filesystem of a staging URL, and the path there.

    `options` are those of fsspec for this URL.

    Raises:
        ConfigError: There is no such filesystem, or it cannot be reached.
        ImportError: Its driver is missing.
    """
    check_spelling(url, ConfigError, "staging=")
    shown = mask_url(url)
    with translate_filesystem_errors(
        f"staging={shown!r} cannot be used",
        secrets=secrets_of(None, url) | secret_values(options or {}),
        quotes_url=shown != str(url),
    ):
        filesystem, path = url_to_filesystem(url, options, own=True)
    return filesystem, path


def url_to_filesystem(
    url: str, options: Mapping[str, Any] | None, *, own: bool = False
) -> tuple[Any, str]:
    """The filesystem of a URL and the path there; `own` has connections of its own.

    Raises:
        Exception: Whatever the filesystem raises.
    """
    more = options_for(url, options or {})
    for protocol, given in https_options(url).items():
        more[protocol] = given | more.get(protocol, {})
    if own and not issubclass(_kind_of(url), LocalFileSystem | AsyncFileSystem):
        # fsspec gives all who ask in this thread the same one, also long after its server has
        # ended the connection.
        more["skip_instance_cache"] = True
    filesystem, path = fsspec.core.url_to_fs(url, **more)
    return filesystem, str(path)


def options_for(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a URL gets: none for local paths, none of another protocol.

    As fsspec has it for chained URLs, the options of one protocol may stand under its name.
    """
    protocols = [part.partition("://")[0] for part in url.split("::")] if "://" in url else []
    if not protocols or (len(protocols) == 1 and protocols[0] in LOCAL):
        return {}
    known = {*fsspec.available_protocols(), *fsspec.registry}
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
        if name in protocols or not (name in known and isinstance(value, Mapping))
    }


def _kind_of(url: str) -> Any:
    protocol = url.partition("::")[0].partition("://")[0] if "://" in url else "file"
    return fsspec.get_filesystem_class(protocol)


def is_shared_by_threads(filesystem: Any) -> bool:
    """Whether several threads may use it at a time.

    fsspec promises that of asynchronous ones. Others often have one connection for all calls: two
    threads at once fail over FTP and hang over SFTP.
    """
    if isinstance(filesystem, AsyncFileSystem):
        inner = _wrapped(filesystem)
        return inner is None or is_shared_by_threads(inner)
    return isinstance(filesystem, LocalFileSystem)


def clone_filesystem(filesystem: Any) -> Any:
    """The same filesystem with connections of its own."""
    args = [_cloned(value) for value in filesystem.storage_args]
    options = {name: _cloned(value) for name, value in filesystem.storage_options.items()}
    return type(filesystem)(*args, **options | {"skip_instance_cache": True})


def _cloned(value: Any) -> Any:
    """An argument of a filesystem; the one that it wraps is cloned too."""
    is_own = isinstance(value, AbstractFileSystem) and not is_shared_by_threads(value)
    return clone_filesystem(value) if is_own else value


def filesystem_for_thread(filesystem: Any) -> Any:
    """The filesystem for another thread, or after a pause: a clone, unless threads may share it.

    What threads may share also survives a connection that the server has ended meanwhile.
    """
    return filesystem if is_shared_by_threads(filesystem) else clone_filesystem(filesystem)


@contextlib.contextmanager
def borrowed_filesystem(filesystem: Any) -> Iterator[Any]:
    """The filesystem for this thread, whose connections end with the block."""
    own = filesystem_for_thread(filesystem)
    try:
        yield own
    finally:
        if own is not filesystem:
            close_filesystem(own)


def close_filesystem(filesystem: Any) -> None:
    """End the connection of a filesystem that is not used any more.

    fsspec has no word for that. SSH connections would last as long as the process.
    """
    if is_shared_by_threads(filesystem):
        return
    attributes = object.__getattribute__(filesystem, "__dict__")
    client = attributes.get("client")
    for connection in (client, getattr(client, "http", None), attributes.get("ftp")):
        close = getattr(connection, "close", None)  # of SFTP, WebDAV, FTP
        if close is not None:
            with contextlib.suppress(Exception):  # it may have ended already
                close()


def _wrapped(filesystem: Any) -> Any:
    """The filesystem inside a wrapper, such as a cache, or None."""
    return object.__getattribute__(filesystem, "__dict__").get("fs")


def has_buckets(filesystem: Any) -> bool:
    """Whether the first part of a path is a bucket, and folders need not be made.

    Such filesystems would make a missing bucket along with a folder. fsspec has no word for them,
    but they all split paths into bucket and key.
    """
    inner = _wrapped(filesystem)
    split = (getattr(type(filesystem), name, None) for name in ("split_path", "_split_path"))
    return any(split) or (inner is not None and has_buckets(inner))


class _ArrowHandler(pafs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """Opens files for pyarrow, which would first ask the server whether each is a file."""

    def open_input_file(self, path: str) -> Any:
        """The file, for random access; pyarrow opens the next one while it reads another."""
        own = filesystem_for_thread(self.fs)
        file = own.open(path, "rb")
        if own is not self.fs:
            weakref.finalize(file, close_filesystem, own)
        return pa.PythonFile(file, mode="r")


def arrow_filesystem(filesystem: Any) -> Any:
    """The filesystem as pyarrow's datasets take it."""
    if isinstance(filesystem, LocalFileSystem):
        return pafs.LocalFileSystem()  # reads without Python
    return pafs.PyFileSystem(_ArrowHandler(filesystem))


def display_url(filesystem: Any, path: str) -> str:
    """The masked URL of a path, or the path itself on a local filesystem."""
    if isinstance(filesystem, LocalFileSystem):
        return path
    scheme, _, rest = mask_url(filesystem.unstrip_protocol(path)).partition("://")
    options = getattr(filesystem, "storage_options", None) or {}
    # Those of FTP, SFTP, WebDAV and others do not name their host.
    host = options.get("host") or urlsplit(str(options.get("base_url") or "")).hostname
    return f"{scheme}://{host}{rest}" if host and rest.startswith("/") else f"{scheme}://{rest}"
