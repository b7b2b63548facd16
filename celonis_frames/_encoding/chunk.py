"""Finished chunks: their protocol, and the two kinds, in memory and in a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol


class Chunk(Protocol):
    """One finished file of a push."""

    @property
    def name(self) -> str:
        """File name; sorted by it, chunks are in the order of their rows."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def rows(self) -> int:
        """Rows."""

    @property
    def deleted(self) -> bool:
        """Whether the rows are keys of rows to delete."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks, each time it is called until `release`."""

    def release(self) -> None:
        """The server has the chunk: its bytes are not needed again."""


class ChunkStore(Protocol):
    """Keeps chunks until they are sent."""

    def put(self, chunk: Chunk) -> Chunk:
        """Store a chunk; returns the stored one."""


class MemoryChunk:
    """A chunk in memory, in `pieces` of a few MiB; its `number` counts from 1.

    `on_release` is called once, when the bytes are freed. None: `release` frees nothing, since a
    second job may need the chunk.

    Attributes:
        sha256: SHA-256 of the bytes in hex, once `hash` was called.
    """

    def __init__(
        self,
        number: int,
        rows: int,
        pieces: tuple[bytes, ...],
        file_type: str,
        *,
        deleted: bool = False,
        on_release: Callable[[], None] | None = None,
    ) -> None:
        self.number, self.rows, self.deleted = number, rows, deleted
        self.name = f"chunk-{number:05d}.{file_type.lower()}"
        self.size = sum(map(len, pieces))
        self.sha256: str | None = None
        self._pieces: tuple[bytes, ...] | None = pieces
        self._on_release = on_release

    def hash(self) -> None:
        """Compute `sha256`, so that the thread that sends the chunk need not."""
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        self.sha256 = digest.hexdigest()

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks."""
        assert self._pieces is not None  # noqa: S101  # the server has it: it is not sent again
        return iter(self._pieces)

    def release(self) -> None:
        """Free the bytes."""
        if self._pieces is not None and self._on_release is not None:
            self._pieces = None
            self._on_release()


@dataclass(frozen=True)
class FileChunk:
    """A chunk in a file, with a digest of what the file must hold."""

    name: str
    size: int
    rows: int
    deleted: bool
    sha256: str
    filesystem: Any = field(repr=False, compare=False)
    path: str = field(repr=False, compare=False)

    def release(self) -> None:
        """The file stays."""
