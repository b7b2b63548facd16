"""What is kept until a push ends: chunks, the first ones in memory, the others on disk.

A spooled chunk is kept although the server has it, because a second job may need it. Its file is
unlinked as soon as it is open, so nothing is left of it if the process is killed.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from typing import IO

from celonis_frames._encoding.chunk import Chunk, FileChunk
from celonis_frames._filesystem.files import BLOCK_BYTES
from celonis_frames._temporary import temporary_folder_errors
from celonis_frames.exceptions import FrameError

SPOOL_FILE_BYTES = 256_000_000
"""Bytes after which the next chunk goes to a file of its own: few files are open, and the space of
chunks that are not needed any more is soon free."""


class SpoolFull(FrameError):
    """The temporary folder cannot be written."""


class MemoryBudget:
    """Bytes of chunks that the frames of one push may keep in memory."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take bytes if there are enough."""
        with self._lock:
            if self._left < size:
                return False
            self._left -= size
            return True

    def give_back(self, size: int) -> None:
        """Return bytes that were taken."""
        with self._lock:
            self._left += size


class ChunkSpool:
    """Keeps chunks until `close`, or those that were released until `stop_keeping`."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._lock = threading.Lock()
        self._keeps = True
        self._chunks: set[SpooledChunk] = set()
        self._file: _SpoolFile | None = None  # takes the next chunks

    def put(self, chunk: Chunk) -> Chunk:
        """Keep a chunk; returns it as it is kept. A file of the user's stays where it is.

        Raises:
            SpoolFull: The disk is full, the folder is gone, or there is none.
        """
        if isinstance(chunk, FileChunk):
            return chunk
        with self._lock:
            if self._budget.take(chunk.size):
                kept = SpooledChunk(self, chunk, _Pieces(tuple(chunk.blocks()), self._budget))
            else:
                kept = SpooledChunk(self, chunk, self._written(chunk))
            self._chunks.add(kept)
        return kept

    def keep_released(self) -> None:
        """Keep all chunks as if none was released: another job gets them."""
        with self._lock:
            for chunk in self._chunks:
                chunk.released = False

    def stop_keeping(self) -> None:
        """Free the chunks that were released; from now on those that are."""
        with self._lock:
            self._keeps = False
            for chunk in [chunk for chunk in self._chunks if chunk.released]:
                self._free(chunk)

    def release(self, chunk: SpooledChunk) -> None:
        """The server has the chunk."""
        with self._lock:
            chunk.released = True
            if not self._keeps and chunk in self._chunks:
                self._free(chunk)

    def close(self) -> None:
        """Free all chunks."""
        with self._lock:
            self._keeps = False
            for chunk in list(self._chunks):
                self._free(chunk)
            self._seal()

    def _free(self, chunk: SpooledChunk) -> None:
        self._chunks.discard(chunk)
        chunk.place.free()

    def _written(self, chunk: Chunk) -> _Range:
        with temporary_folder_errors(
            "The chunks wait", kind=SpoolFull, instead=", or give staging="
        ):
            if self._file is None:
                self._file = _SpoolFile()
            found = self._file.append(chunk)
        if self._file.size >= SPOOL_FILE_BYTES:
            self._seal()
        return found

    def _seal(self) -> None:
        if self._file is not None:
            self._file.seal()
            self._file = None


class SpooledChunk:
    """A chunk in memory or on disk."""

    def __init__(self, spool: ChunkSpool, chunk: Chunk, place: _Pieces | _Range) -> None:
        self.name, self.size, self.rows, self.deleted = (
            chunk.name, chunk.size, chunk.rows, chunk.deleted,
        )  # fmt: skip
        self.sha256: str | None = getattr(chunk, "sha256", None)
        self.place, self.released = place, False
        self._spool = spool

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks."""
        return self.place.blocks()

    def release(self) -> None:
        """The server has the chunk."""
        self._spool.release(self)


class _Pieces:
    """Bytes in memory."""

    def __init__(self, pieces: tuple[bytes, ...], budget: MemoryBudget) -> None:
        self._pieces, self._budget = pieces, budget

    def blocks(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def free(self) -> None:
        self._budget.give_back(sum(map(len, self._pieces)))
        self._pieces = ()


class _Range:
    """Bytes in a file."""

    def __init__(self, file: _SpoolFile, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size

    def blocks(self) -> Iterator[bytes]:
        for start in range(0, self._size, BLOCK_BYTES):
            yield self._file.read(self._start + start, min(BLOCK_BYTES, self._size - start))

    def free(self) -> None:
        self._file.drop()


class _SpoolFile:
    """An unlinked temporary file with several chunks; closed once none of them is needed."""

    def __init__(self) -> None:
        self.size = 0
        self._file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # see `drop`
        self._lock = threading.Lock()  # position and number of chunks
        self._chunks, self._sealed = 0, False

    def append(self, chunk: Chunk) -> _Range:
        with self._lock:
            start = self._file.seek(self.size)
            for block in chunk.blocks():
                rest = memoryview(block)
                while rest:
                    rest = rest[self._file.write(rest) :]
            self.size, self._chunks = start + chunk.size, self._chunks + 1
        return _Range(self, start, chunk.size)

    def read(self, start: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)

    def drop(self) -> None:
        with self._lock:
            self._chunks -= 1
            self._close_if_done()

    def seal(self) -> None:
        with self._lock:
            self._sealed = True
            self._close_if_done()

    def _close_if_done(self) -> None:
        if self._sealed and not self._chunks:
            self._file.close()
