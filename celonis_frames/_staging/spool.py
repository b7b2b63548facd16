"""What is kept until it is sent: chunks, or the rows as they were read.

Chunks are kept of frames that can be read only once, and of those of Python objects, whose
conversion is dear: the first in memory, the others in a temporary folder. Rows are held in memory,
while they fit, where reading them again would cost more than nothing.
"""

from __future__ import annotations

import shutil
import tempfile
import threading

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from celonis_frames._encoding.chunk import Chunk
from celonis_frames._staging.stage import write_chunk
from celonis_frames.exceptions import FrameError

__all__ = ["BatchCache", "ChunkSpool", "MemoryBudget", "SpoolFull"]


class SpoolFull(FrameError):
    """The temporary folder cannot be written."""


class MemoryBudget:
    """Bytes that the frames of one job may hold in memory while they are read.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._lock = threading.Lock()

    def take(self, size: int, *, leaving: float = 0.0) -> bool:
        """Take so many, if there are, and that share of all besides.

        Args:
            size: How many.
            leaving: Share of all that must be left.
        """
        with self._lock:
            if self._left - size < leaving * self._size:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """What was taken is held no longer."""
        with self._lock:
            self._left += size


class BatchCache:
    """What was read stays in memory until it is sent, as long as all of it finds room.

    Attributes:
        batches: The rows; None once they found no room.
    """

    def __init__(self, spare: MemoryBudget) -> None:
        self.batches: list[pa.RecordBatch] | None = []
        self._spare = spare
        self._taken = 0
        self._known: dict[int, int] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Hold a batch too, or none any more."""
        if self.batches is None:
            return
        size = self._more(batch)
        if self._spare.take(size):
            self._taken += size
            self.batches.append(batch)
        else:
            self.batches = None
            self._spare.give_back(self._taken)

    def _more(self, batch: pa.RecordBatch) -> int:
        """Bytes that this batch keeps alive and those before it do not."""
        size = 0
        for column in batch.columns:
            kind = column.type
            if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
                size += column.get_total_buffer_size()  # with dictionaries at any depth
                continue
            for array in (column, column.dictionary) if pa.types.is_dictionary(kind) else (column,):
                # What views point to, and what slices are slices of, is alive as a whole.
                # Buffers of other libraries are known as far as a slice reaches.
                for buffer in filter(None, array.buffers()):
                    known = self._known.get(buffer.address, 0)
                    size += max(0, buffer.size - known)
                    self._known[buffer.address] = max(buffer.size, known)
        return size


class ChunkSpool:
    """Where chunks are kept.

    Args:
        spare: What chunks in memory may take; a third is left to those in the making.
    """

    def __init__(self, spare: MemoryBudget) -> None:
        self._spare = spare
        self._folder: str | None = None

    def put(self, chunk: Chunk) -> Chunk:
        """Keep a chunk.

        Raises:
            NoRoom: The disk is full, or the folder is gone.
        """
        if self._spare.take(chunk.size, leaving=1 / 3):
            return chunk
        folder = self._folder or tempfile.gettempdir()
        try:
            if self._folder is None:
                self._folder = folder = tempfile.mkdtemp(prefix="celonis_frames-")
            return write_chunk(LocalFileSystem(), folder, chunk, stays=False)
        except OSError as error:
            raise SpoolFull(
                f"The chunks wait in {folder}, which cannot be written: {error}. Make room there, "
                "set TMPDIR to another folder, or give staging=."
            ) from error

    def close(self) -> None:
        """Remove the temporary folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
