"""Files and folders of any filesystem: listed, read, written, removed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from celonis_frames.exceptions import FrameError

BLOCK_BYTES = 1_048_576
"""Bytes of a block when files are read or kept in memory: larger ones are no faster."""


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
