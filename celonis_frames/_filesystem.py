"""The border to fsspec: files of any filesystem, whose errors and secrets stay here.

A filesystem raises whatever its library raises (of botocore, aiohttp, ftplib), and its URL may hold
a password. From here come only this library's errors, with addresses that can be shown.
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
"""Bytes of the least blocks that a file is kept in."""
_LINK = re.compile(r"::(?=[A-Za-z][\w+.-]*://)")
_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")


def masked(url: object) -> str:
    """A URL without user, password and query, to be shown."""
    # The links of a chain, as in simplecache::s3://…, one by one.
    return "::".join(map(_masked_link, _LINK.split(str(url))))


def _masked_link(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    before, _, after = rest.rpartition("@")
    if ":" in before:
        rest = after  # a password may hold what must be escaped there: "/", "@", "?"
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    name, _, port = host.partition(":")
    if not host.startswith("[") and port.strip("0123456789"):
        host = name  # no port: the "@" was forgotten
    return f"{scheme}://{host}{slash}{path}".partition("?")[0]


def open_filesystem(url: str) -> tuple[Any, str]:
    """The filesystem that a staging URL names, and the path there.

    Raises:
        ConfigError: There is no such filesystem, or it cannot be reached.
    """
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except Exception as error:  # each filesystem has its own
        shown = masked(url)
        if shown == str(url):
            problem, cause = _problem(error), _cause(error)
        else:  # what cannot be parsed is quoted in parts: a piece of a password for a port
            problem, cause = _bare_problem(error), None
        raise ConfigError(f"staging={shown!r} cannot be used: {problem}") from cause
    return filesystem, str(path)


def copied(filesystem: Any) -> Any:
    """The same filesystem with connections of its own, for another thread."""
    return type(filesystem)(
        *filesystem.storage_args, **filesystem.storage_options, skip_instance_cache=True
    )


def own(filesystem: Any) -> Any:
    """The filesystem as one more thread may use it: a copy, unless it is this machine's."""
    return filesystem if isinstance(filesystem, LocalFileSystem) else copied(filesystem)


def address(filesystem: Any, path: str) -> str:
    """Where a path is, to be shown: with the protocol, unless it is on this machine."""
    if isinstance(filesystem, LocalFileSystem):
        return path
    return masked(filesystem.unstrip_protocol(path))


@contextlib.contextmanager
def translated(
    message: str, advice: str = "", *, kind: type[CelonisFramesError] = ConfigError
) -> Iterator[None]:
    """Turns whatever a filesystem raises into an error of this library.

    Args:
        message: What cannot be done, and where; the filesystem's own words follow.
        advice: What then comes of it, and what to do.
        kind: The error.
    """
    try:
        yield
    except CelonisFramesError:
        raise
    except Exception as error:  # each filesystem has its own
        text = f"{message}: {_problem(error)}" + (f". {advice}" if advice else "")
        raise kind(text) from _cause(error)


def _problem(error: BaseException) -> str:
    text = _URL.sub(lambda found: masked(found[0]), str(error)).rstrip(".")
    if isinstance(error, OSError | ImportError | ValueError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _bare_problem(error: BaseException) -> str:
    """What went wrong, in no words that could quote a part of a URL."""
    if isinstance(error, ImportError):
        return str(error)  # which library to install
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"its protocol or address is not understood ({type(error).__name__})"


def _cause(error: BaseException) -> BaseException | None:
    """The error, unless a traceback that shows it and those behind it would show a secret."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        if any(masked(found) != found for found in _URL.findall(str(link))):
            return None
        seen.append(link)
        link = link.__cause__ or link.__context__
    return error


def write_whole(filesystem: Any, path: str, data: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it.

    Args:
        filesystem: Where.
        path: The file.
        data: All of it.
        durable: Return only when it would outlive a power failure.
    """
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.pipe_file(path, data)  # an object appears whole
        return
    new = Path(path).with_name(f"new-{uuid.uuid4().hex}")
    try:
        with new.open("wb") as file:
            file.write(data)
            if durable:
                sync(file)
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    if durable:
        sync_folder(new.parent)


def sync(file: Any) -> None:
    """Wait until what was written to a file of this machine is on its disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: str | Path) -> None:
    """Wait until the names in a folder of this machine are on its disk, where that can be had."""
    with contextlib.suppress(OSError):  # Windows opens no folders; some may be entered, not read
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def checked_blocks(filesystem: Any, path: str, sha256: str, changed: str) -> Iterator[bytes]:
    """A file's bytes in blocks; the last only if all together have the digest.

    Args:
        filesystem: Where.
        path: The file.
        sha256: The digest.
        changed: What to say if they do not have it.

    Raises:
        FrameError: They do not.
    """
    digest = hashlib.sha256()
    held = b""
    with filesystem.open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            if held:
                yield held
            held = block
    if digest.hexdigest() != sha256:
        raise FrameError(changed)
    yield held
