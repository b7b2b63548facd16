"""What is kept between validation and upload: chunks or batches.

Chunks are kept of frames that can be read only once, and of Python objects, which are expensive to
convert: the first chunks in memory, the others in a temporary folder. Batches are kept in memory,
if all of them fit, of frames that are not free to read again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from celonis_frames._encoding.chunk import Chunk
from celonis_frames._staging.stage import write_chunk
from celonis_frames._temporary import temporary_folder_errors
from celonis_frames.exceptions import FrameError

_RESERVED_SHARE = 1 / 3
"""Share of the memory budget that spooled chunks leave to the chunks being written."""


class SpoolFull(FrameError):
    """The temporary folder cannot be written."""


class MemoryBudget:
    """Bytes that the frames of one job may hold in memory while they are read."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size
        self._lock = threading.Lock()

    def take(self, size: int, *, leaving: float = 0.0) -> bool:
        """Take bytes if there are enough; `leaving` is the share of the budget to be left."""
        with self._lock:
            if self._left - size < leaving * self._size:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Return bytes that were taken."""
        with self._lock:
            self._left += size


class BatchCache:
    """Keeps all batches of a frame in memory until they are sent, or none if they do not fit."""

    def __init__(self, budget: MemoryBudget) -> None:
        self.batches: list[pa.RecordBatch] | None = []  # None once they did not fit
        self._budget, self._taken = budget, 0
        self._buffer_bytes: dict[int, int] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep a batch too, or drop all."""
        if self.batches is None:
            return
        size = self._new_bytes(batch)
        if self._budget.take(size):
            self._taken += size
            self.batches.append(batch)
        else:
            self.batches = None
            self._budget.give_back(self._taken)

    def _new_bytes(self, batch: pa.RecordBatch) -> int:
        """Bytes that this batch keeps alive and those before it do not."""
        size = 0
        for column in batch.columns:
            kind = column.type
            if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
                size += column.get_total_buffer_size()  # with dictionaries at any depth
                continue
            for array in (column, column.dictionary) if pa.types.is_dictionary(kind) else (column,):
                # A view, or a slice, keeps the whole buffer alive. Of buffers of other libraries
                # only the size of the slice is known.
                for buffer in filter(None, array.buffers()):
                    known = self._buffer_bytes.get(buffer.address, 0)
                    size += max(0, buffer.size - known)
                    self._buffer_bytes[buffer.address] = max(buffer.size, known)
        return size


class ChunkSpool:
    """Keeps chunks until the push ends: in memory, then in a temporary folder."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget, self._folder = budget, ""
        self._pid = os.getpid()

    def put(self, chunk: Chunk) -> Chunk:
        """Keep a chunk; returns it, or the file it was written to.

        Raises:
            SpoolFull: The disk is full, the folder is gone, or there is none.
        """
        if self._budget.take(chunk.size, leaving=_RESERVED_SHARE):
            return chunk
        with temporary_folder_errors(
            "The chunks wait", kind=SpoolFull, folder=self._folder, instead=", or give staging="
        ):
            self._folder = self._folder or tempfile.mkdtemp(prefix="celonis_frames-")
            return write_chunk(LocalFileSystem(), self._folder, chunk, durable=False)

    def close(self) -> None:
        """Remove the temporary folder. Not in a forked child, whose parent uses it."""
        if self._folder and os.getpid() == self._pid:
            shutil.rmtree(self._folder, ignore_errors=True)
