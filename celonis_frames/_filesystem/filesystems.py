"""Filesystems: opened by their URL, cloned for threads, shown without secrets."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
import pyarrow.fs as pafs
from fsspec.implementations.local import LocalFileSystem

from celonis_frames._ca_bundle import https_options
from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.masking import mask_url, secrets_of
from celonis_frames._filesystem.spelling import check_spelling
from celonis_frames.exceptions import ConfigError


def open_filesystem(url: str) -> tuple[Any, str]:
    """The filesystem of a staging URL, and the path there.

    Raises:
        ConfigError: There is no such filesystem, or it cannot be reached.
    """
    check_spelling(url, ConfigError, "staging=")
    shown = mask_url(url)
    with translate_filesystem_errors(
        f"staging={shown!r} cannot be used",
        secrets=secrets_of(None, url),
        quotes_url=shown != str(url),
    ):
        filesystem, path = fsspec.core.url_to_fs(url, **https_options(url))
    return filesystem, str(path)


def clone_filesystem(filesystem: Any) -> Any:
    """The same filesystem with connections of its own, for another thread."""
    return type(filesystem)(
        *filesystem.storage_args, **filesystem.storage_options, skip_instance_cache=True
    )


def filesystem_for_thread(filesystem: Any) -> Any:
    """The filesystem for one more thread: a clone, unless it is local."""
    return filesystem if isinstance(filesystem, LocalFileSystem) else clone_filesystem(filesystem)


class _ArrowHandler(pafs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """Opens files for pyarrow, which would first ask the server whether each is a file."""

    def open_input_file(self, path: str) -> Any:
        """The file, for random access."""
        return pa.PythonFile(self.fs.open(path, "rb"), mode="r")


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
