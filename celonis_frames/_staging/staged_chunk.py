"""A chunk in a file of a stage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from celonis_frames._encoding.chunk import Chunk, FileChunk
from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import (
    join_path,
    open_new,
    read_verified_blocks,
    sync_file,
)
from celonis_frames._filesystem.filesystems import borrowed_filesystem, display_url
from celonis_frames._filesystem.masking import secrets_of


@dataclass(frozen=True)
class StagedChunk(FileChunk):
    """A chunk in a file of a stage."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes in blocks, the last one only if the file is as it was written.

        Raises:
            ConfigError: The file cannot be read now.
            FrameError: It was changed.
        """
        shown = display_url(self.filesystem, self.path)
        reading = translate_filesystem_errors(
            f"The staged chunk {shown} cannot be read",
            "It stays: resume when it can be read again. If it is gone for good, delete its "
            "folder and push the frame again.",
            secrets=secrets_of(self.filesystem),
        )
        with reading, borrowed_filesystem(self.filesystem) as filesystem:
            yield from read_verified_blocks(
                filesystem,  # each upload has its own thread
                self.path,
                self.size,
                self.sha256,
                f"The chunk {shown} is not as it was written: it was changed or truncated. Push "
                "the frame again.",
            )


def write_chunk(filesystem: Any, folder: str, chunk: Chunk, name: str | None = None) -> StagedChunk:
    """Write a chunk into a file that survives this process and a power failure.

    Without a `name` the file has that of the chunk.
    """
    name = name or chunk.name
    path, digest = join_path(folder, name), hashlib.sha256()
    with open_new(filesystem, path) as file:
        for block in chunk.blocks():
            file.write(block)
            digest.update(block)
        if isinstance(filesystem, LocalFileSystem):
            sync_file(file)
    return StagedChunk(
        name, chunk.size, chunk.rows, chunk.deleted, digest.hexdigest(), filesystem, path
    )
