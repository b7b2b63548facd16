"""Files and folders of any filesystem: listed, read, written, removed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.local import LocalFileSystem

from celonis_frames.exceptions import FrameError

BLOCK_BYTES = 1_048_576
"""Bytes of a block when files are read or kept in memory: larger ones are no faster."""

PRIVATE = 0o600
"""The permissions of a file for its owner only."""


def list_names(filesystem: Any, folder: str) -> list[str]:
    """The names of what is in a folder, as they are now.

    Some filesystems list paths and others bare names, some also the folder itself.
    """
    filesystem.invalidate_cache()
    paths = (str(path).rstrip("/") for path in filesystem.ls(folder, detail=False))
    names = {path.rpartition("/")[2] for path in paths if path.strip("/") != folder.strip("/")}
    return sorted(names - {""})


def list_sizes(filesystem: Any, folder: str) -> dict[str, int]:
    """The bytes of each file in a folder by its name, as they are now."""
    filesystem.invalidate_cache()
    found = filesystem.ls(folder, detail=True)
    return {
        str(one["name"]).rstrip("/").rpartition("/")[2]: one["size"]
        for one in found
        if one["type"] == "file"
    }


def join_path(folder: str, name: str) -> str:
    """The path of what has this name in a folder."""
    return f"{folder.rstrip('/')}/{name}" if folder else name


def make_folder(filesystem: Any, folder: str) -> None:
    """Make a folder with those above it; on a local filesystem it is for its owner only."""
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.makedirs(folder)
        return
    Path(folder).parent.mkdir(parents=True, exist_ok=True)
    Path(folder).mkdir(mode=0o700)


def make_shared_folder(filesystem: Any, folder: str) -> None:
    """Make a folder as `make_folder` does, which another process may have made."""
    if isinstance(filesystem, LocalFileSystem):
        Path(folder).parent.mkdir(parents=True, exist_ok=True)
        Path(folder).mkdir(mode=0o700, exist_ok=True)
        return
    with contextlib.suppress(FileExistsError):
        filesystem.makedirs(folder, exist_ok=True)


def remove_files(filesystem: Any, paths: Sequence[str]) -> None:
    """Remove files; stores that can take many in one request get them so."""
    if isinstance(filesystem, AsyncFileSystem):
        if paths:
            filesystem.rm(list(paths))
        return
    for path in paths:
        filesystem.rm_file(path)


def open_new(filesystem: Any, path: str) -> Any:
    """A new file; on a local filesystem it is for its owner only."""
    if isinstance(filesystem, LocalFileSystem):
        return open(path, "wb", opener=_open_private)  # Path.open has no opener
    return filesystem.open(path, "wb")


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)


def write_atomically(
    filesystem: Any, path: str, data: bytes, *, durable: bool = False, drafts: str | None = None
) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it.

    If `durable`, it returns only when the content would survive a power failure. On a local
    filesystem the file is written in the folder `drafts` first; None is its own.
    """
    if not isinstance(filesystem, LocalFileSystem):
        filesystem.pipe_file(path, data)  # an object appears whole
        return
    new = Path(path).parent / (drafts or "") / f"new-{uuid.uuid4().hex}"
    try:
        with open_new(filesystem, str(new)) as file:
            file.write(data)
            if durable:
                sync_file(file)
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    if durable:
        sync_folder(Path(path).parent)


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


def sync_parents(filesystem: Any, folder: str) -> None:
    """Wait until a local folder's parents, some of which may be new, are on disk."""
    if isinstance(filesystem, LocalFileSystem):
        for parent in Path(folder).parents:
            sync_folder(parent)


def read_verified_blocks(
    filesystem: Any, path: str, size: int, sha256: str, changed: str
) -> Iterator[bytes]:
    """A file's bytes in blocks; the last one only if the whole file has the digest.

    `size` is what the file should have.

    Raises:
        FrameError: The file has another digest; `changed` is its message.
    """
    digest, held = hashlib.sha256(), b""
    # S3 would be asked for the size first.
    known = {"size": size} if "s3" in filesystem.protocol else {}
    with filesystem.open(path, "rb", **known) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            if held:
                yield held
            held = block
    if digest.hexdigest() != sha256:
        raise FrameError(changed)
    yield held
