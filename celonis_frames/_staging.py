"""Where finished chunks wait for their upload: in memory, or under an fsspec URL."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import fsspec

from celonis_frames._chunks import BLOCK_BYTES, EncodedChunk
from celonis_frames.exceptions import ConfigError, FrameError


class StoredChunk(Protocol):
    """A chunk at rest; its bytes can be read again and again."""

    @property
    def name(self) -> str:
        """File name."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def rows(self) -> int:
        """Rows."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks."""


class Store(Protocol):
    """A place for chunks."""

    def put(self, chunk: EncodedChunk) -> StoredChunk:
        """Keep a chunk."""

    def close(self) -> None:
        """Give all that is kept free."""


class MemoryStore:
    """Chunks stay where they were encoded, until their upload lets go of them."""

    def put(self, chunk: EncodedChunk) -> StoredChunk:
        """Keep a chunk."""
        return chunk

    def close(self) -> None:
        """Nothing to do: memory goes with the last reference."""


@dataclass(frozen=True)
class _InFile:
    name: str
    size: int
    rows: int
    filesystem: Any
    path: str

    def blocks(self) -> Iterator[bytes]:
        try:
            with self.filesystem.open(self.path, "rb") as file:
                while block := file.read(BLOCK_BYTES):
                    yield block
        except OSError as error:
            raise FrameError(f"The staged chunk {self.path} cannot be read: {error}") from error


class FileStore:
    """Chunks are files under an fsspec URL, in a folder of their own.

    Args:
        url: An fsspec URL, such as ``"file:///var/tmp/celonis"`` or ``"s3://bucket/celonis"``.

    Raises:
        ConfigError: No such filesystem, or it cannot be written.
    """

    def __init__(self, url: str) -> None:
        try:
            self._filesystem, root = fsspec.core.url_to_fs(url)
            self._folder = f"{root.rstrip('/')}/push-{uuid.uuid4().hex}"
            self._filesystem.makedirs(self._folder)
        except (ImportError, ValueError, OSError) as error:
            raise ConfigError(f"staging={url!r} cannot be used: {error}") from error

    def put(self, chunk: EncodedChunk) -> StoredChunk:
        """Write a chunk."""
        path = f"{self._folder}/{chunk.name}"
        try:
            with self._filesystem.open(path, "wb") as file:
                for block in chunk.blocks():
                    file.write(block)
        except OSError as error:
            raise FrameError(f"A chunk cannot be staged at {path}: {error}") from error
        return _InFile(chunk.name, chunk.size, chunk.rows, self._filesystem, path)

    def close(self) -> None:
        """Remove the chunks."""
        if self._filesystem.exists(self._folder):
            self._filesystem.rm(self._folder, recursive=True)


class SpoolStore(FileStore):
    """Chunks of a source that can be read only once, in a temporary folder of this machine."""

    def __init__(self) -> None:
        self._temporary = tempfile.mkdtemp(prefix="celonis_frames-")
        super().__init__(f"file://{self._temporary}")

    def close(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self._temporary, ignore_errors=True)
