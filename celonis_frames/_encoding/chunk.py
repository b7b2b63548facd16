"""Finished chunks: what all kinds have in common, and those in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["EncodedChunk", "LentChunk", "StoredChunk"]


@dataclass(frozen=True)
class EncodedChunk:
    """One finished file.

    Attributes:
        number: Its place, from 1.
        rows: Rows in it.
        size: Bytes.
        pieces: The file's bytes, in blocks of a few MiB.
        file_type: ``"PARQUET"`` or ``"CSV"``.
        deleted: Whether its rows are keys of rows to delete.
    """

    number: int
    rows: int
    size: int
    pieces: tuple[bytes, ...]
    file_type: str
    deleted: bool = False

    @property
    def name(self) -> str:
        """File name, in upload order when sorted."""
        return f"chunk-{self.number:05d}.{self.file_type.lower()}"

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks."""
        return iter(self.pieces)


class LentChunk:
    """A chunk in memory that is given back when it has arrived, so that another can be made."""

    def __init__(self, chunk: EncodedChunk, give_back: Callable[[], None]) -> None:
        self._pieces: tuple[bytes, ...] | None = chunk.pieces
        self._give_back = give_back
        self.name, self.size = chunk.name, chunk.size
        self.rows, self.deleted = chunk.rows, chunk.deleted

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks; not after `release`."""
        assert self._pieces is not None  # noqa: S101  # what arrived is not sent again
        return iter(self._pieces)

    def release(self) -> None:
        """Let go of the bytes."""
        if self._pieces is not None:
            self._pieces = None
            self._give_back()


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

    @property
    def deleted(self) -> bool:
        """Whether its rows are keys of rows to delete."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks."""

    def release(self) -> None:
        """It has arrived."""


class Store(Protocol):
    """A place for chunks."""

    def put(self, chunk: EncodedChunk | StoredChunk) -> StoredChunk:
        """Keep a chunk."""
