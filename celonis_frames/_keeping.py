"""Chunks that are kept until they are sent: the first in memory, the others in a temporary folder.

For frames that can be read only once, and for those of Python objects, whose conversion is dear.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator

from fsspec.implementations.local import LocalFileSystem

from celonis_frames._chunks import EncodedChunk
from celonis_frames._staging import StoredChunk, write_chunk
from celonis_frames.exceptions import FrameError

__all__ = ["HeldChunk", "Keep", "NoRoom"]


class NoRoom(FrameError):
    """The temporary folder cannot be written."""


class HeldChunk:
    """A chunk in memory for as long as the push lasts."""

    def __init__(self, chunk: EncodedChunk | StoredChunk) -> None:
        self._chunk = chunk
        self.name, self.size = chunk.name, chunk.size
        self.rows, self.deleted = chunk.rows, chunk.deleted

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks."""
        return self._chunk.blocks()

    def release(self) -> None:
        """It stays: a second job may need it."""


class Keep:
    """Where chunks are kept.

    Args:
        memory: Bytes of chunks that are held in memory.
    """

    def __init__(self, memory: int) -> None:
        self._left = memory
        self._folder: str | None = None

    def put(self, chunk: EncodedChunk | StoredChunk) -> StoredChunk:
        """Keep a chunk.

        Raises:
            NoRoom: The disk is full, or the folder is gone.
        """
        if chunk.size <= self._left:
            self._left -= chunk.size
            return HeldChunk(chunk)
        folder = self._folder or tempfile.gettempdir()
        try:
            if self._folder is None:
                self._folder = folder = tempfile.mkdtemp(prefix="celonis_frames-")
            return write_chunk(LocalFileSystem(), folder, chunk, stays=False)
        except OSError as error:
            raise NoRoom(
                f"The chunks wait in {folder}, which cannot be written: {error}. Make room there, "
                "set TMPDIR to another folder, or give staging=."
            ) from error

    def close(self) -> None:
        """Remove the temporary folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
