"""fsspec: its errors become this library's, its URLs are shown without secrets.

A filesystem raises what its library raises (botocore, aiohttp, ftplib), and its URL may hold a
password. What leaves this module is an error of this library with a URL that can be shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from celonis_frames.exceptions import CelonisFramesError, ConfigError, FrameError

BLOCK_BYTES = 1_048_576
"""Bytes of a block when files are read or kept in memory: larger ones are no faster."""

_CHAINED = re.compile(r"::(?=[A-Za-z][\w+.-]*://)")
_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")


def mask_url(url: object) -> str:
    """A URL without user, password and query."""
    # A chain such as simplecache::s3://… holds several URLs.
    return "::".join(map(_mask_one, _CHAINED.split(str(url))))


def _mask_one(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    before, _, after = rest.rpartition("@")
    if ":" in before:
        rest = after  # the password may hold "/", "@" or "?" unescaped
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    name, _, port = host.partition(":")
    if not host.startswith("[") and port.strip("0123456789"):
        host = name  # not a port but a password: the "@" was forgotten
    return f"{scheme}://{host}{slash}{path}".partition("?")[0]


def open_filesystem(url: str) -> tuple[Any, str]:
    """The filesystem of a staging URL, and the path there.

    Raises:
        ConfigError: There is no such filesystem, or it cannot be reached.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except Exception as error:  # each filesystem has its own
        shown = mask_url(url)
        if shown == str(url):
            description, cause = _describe(error), _safe_cause(error)
        else:  # a parser quotes parts of the URL: a piece of a password as the port
            description, cause = _describe_without_url(error), None
        raise ConfigError(f"staging={shown!r} cannot be used: {description}") from cause
    return filesystem, str(path)


def clone_filesystem(filesystem: Any) -> Any:
    """The same filesystem with connections of its own, for another thread."""
    return type(filesystem)(
        *filesystem.storage_args, **filesystem.storage_options, skip_instance_cache=True
    )


def filesystem_for_thread(filesystem: Any) -> Any:
    """The filesystem for one more thread: a clone, unless it is local."""
    return filesystem if isinstance(filesystem, LocalFileSystem) else clone_filesystem(filesystem)


def display_url(filesystem: Any, path: str) -> str:
    """The masked URL of a path, or the path itself on a local filesystem."""
    is_local = isinstance(filesystem, LocalFileSystem)
    return path if is_local else mask_url(filesystem.unstrip_protocol(path))


@contextlib.contextmanager
def translate_filesystem_errors(
    message: str, advice: str = "", *, kind: type[CelonisFramesError] = ConfigError
) -> Iterator[None]:
    """Translates any error of a filesystem into one of this library.

    `message` says what failed, and where; the filesystem's own message follows, then `advice`: the
    consequence, and what to do.
    """
    try:
        yield
    except CelonisFramesError:
        raise
    except Exception as error:  # each filesystem has its own
        text = f"{message}: {_describe(error)}" + (f". {advice}" if advice else "")
        raise kind(text) from _safe_cause(error)


def _describe(error: BaseException) -> str:
    text = _URL.sub(lambda found: mask_url(found[0]), str(error)).rstrip(".")
    if isinstance(error, OSError | ImportError | ValueError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _describe_without_url(error: BaseException) -> str:
    """A description that cannot quote a part of a URL."""
    if isinstance(error, ImportError):
        return str(error)  # names the library to install
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"its protocol or host cannot be parsed ({type(error).__name__})"


def _safe_cause(error: BaseException) -> BaseException | None:
    """The error, or None if its traceback, with those behind it, would show a secret."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        if any(mask_url(found) != found for found in _URL.findall(str(link))):
            return None
        seen.append(link)
        link = link.__cause__ or link.__context__
    return error


def write_atomically(filesystem: Any, path: str, data: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it.

    If `durable`, it returns only when the content would survive a power failure.
    """
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.pipe_file(path, data)  # an object appears whole
        return
    new = Path(path).with_name(f"new-{uuid.uuid4().hex}")
    try:
        with new.open("wb") as file:
            file.write(data)
            if durable:
                sync_file(file)
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    if durable:
        sync_folder(new.parent)


def sync_file(file: Any) -> None:
    """Wait until a local file's content is on disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: str | Path) -> None:
    """Wait until the names in a local folder are on disk, if the system can do that."""
    with contextlib.suppress(OSError):  # Windows opens no folders; some cannot be read
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def read_verified_blocks(filesystem: Any, path: str, sha256: str, changed: str) -> Iterator[bytes]:
    """A file's bytes in blocks; the last one only if the whole file has the digest.

    Raises:
        FrameError: The file has another digest; `changed` is its message.
    """
    digest, held = hashlib.sha256(), b""
    with filesystem.open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            if held:
                yield held
            held = block
    if digest.hexdigest() != sha256:
        raise FrameError(changed)
    yield held
