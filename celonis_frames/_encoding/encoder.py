"""Batches into chunks, in several threads.

How it works: the rows of a frame are read in one thread, converted and written in a `WorkerPool`.
Each worker takes the next batch and writes it into a chunk of its own, so the rows of several
chunks are interleaved. A worker that waits for a slot holds no rows: what its last chunk did not
take, another worker may write into its open chunk.

If the order of the rows matters, each worker takes a run of consecutive rows, which is one chunk,
and finished chunks wait for those before them. With a size given for the chunks, which the rows of
a run cannot be known to have, there is one worker.

`run` reads in the calling thread and passes each chunk to a callback, one at a time. Slots may
bound the chunks that are open or not released. Whatever a worker or the source raises sets
`stopped`, which ends the wait for a slot; the pool then stops its workers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from itertools import chain, islice
from typing import Protocol, Self, TypeAlias, TypeVar

import pyarrow as pa

from celonis_frames._arrow.batching import batch_bytes, taper
from celonis_frames._concurrency.worker_pool import (
    QUEUE_SIZE,
    WorkerPool,
    WorkItems,
    cpu_count,
    feed,
)
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._encoding.chunk_sizer import MAX_AUTO_BYTES, MAX_PLANNED_BYTES, ChunkSizer
from celonis_frames._encoding.chunk_writer import ChunkWriter
from celonis_frames._encoding.chunking import estimate_row_bytes, fill_chunk
from celonis_frames._encoding.column_encodings import SAMPLE_ROWS
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._encoding.small_frame import encode_rows

_LAST_BATCHES, _MIN_BATCH_ROWS = 8, 1_000
"""The last batches are cut into this many for a chunk, of no fewer rows."""

_FIRST_RUN = 4
"""Into how many parts the first run of rows is cut, so that uploading starts early."""

_Batches = Iterator[pa.RecordBatch]
_T = TypeVar("_T")


class Converter(Protocol):
    """Converts and checks rows, such as a `FrameValidator`."""

    def split(self) -> Self:
        """One for a thread; `merge` adds what it has found."""

    def restarted(self) -> Self:
        """One that has read no rows."""

    def merge(self, split: Self, /) -> None:
        """Add what a `split` has found."""

    def convert(self, batch: pa.RecordBatch, start: int = 0) -> pa.RecordBatch:
        """The batch in the form of the table; `start` is the number of its first row.

        Raises:
            FrameError: A value does not fit.
        """


@dataclass(frozen=True)
class _Converted:
    """Rows that are converted and validated already."""

    batch: pa.RecordBatch

    def slice(self, start: int, rows: int) -> _Converted:
        return _Converted(self.batch.slice(start, rows))


@dataclass(frozen=True)
class _Read:
    """Rows as the frame yields them, and the number of the first."""

    batch: pa.RecordBatch
    start: int

    def slice(self, start: int, rows: int) -> _Read:
        return _Read(self.batch.slice(start, rows), self.start + start)


_Rows: TypeAlias = "_Read | _Converted"


def sample_row_bytes(
    batch: pa.RecordBatch, validator: Converter, file_format: FileFormat
) -> float | None:
    """Bytes of a row in a file, from the first rows; chooses the encodings of its columns too.

    Raises:
        FrameError: A value does not fit its column's type.
    """
    sample = validator.restarted().convert(batch.slice(0, SAMPLE_ROWS))
    return estimate_row_bytes(sample, file_format) if sample.num_rows else None


@dataclass(eq=False)
class ChunkEncoder:
    """Encodes the rows of one frame.

    If reading the source holds the GIL, as with Python objects, the reading thread converts and
    validates too, instead of waiting for the GIL.
    """

    file_format: FileFormat
    _: KW_ONLY
    rows: int | None  # None: not known
    target_bytes: int | None  # of a chunk; None: chosen by the bytes of the frame
    memory_limit: int  # bytes of all chunks that are being written
    uploads: int = 1  # parallel ones
    first_number: int = 1
    deleted: bool = False  # the rows are keys of rows to delete
    ordered: bool = False  # the chunks must hold the rows in the frame's order
    holds_gil: bool = False
    small_first: bool = False  # so that uploading starts early
    hashes: bool = False  # the threads that write chunks also hash them
    stopped: threading.Event = field(default_factory=threading.Event)  # set by any failure

    def __post_init__(self) -> None:
        self.next_number, self._lock = self.first_number, threading.Lock()
        self._made = False  # whether there is a chunk

    def run(
        self,
        batches: _Batches,
        on_chunk: Callable[[MemoryChunk], object],
        validator: Converter,
        acquire_slot: Callable[[], None] = lambda: None,
        release_slot: Callable[[], None] | None = None,
    ) -> None:
        """Encode all rows, which are read in this thread; `on_chunk` gets one chunk at a time.

        `acquire_slot` is called before rows are taken for a chunk, and may wait; `release_slot` if
        there were no rows for the chunk, or when it is released.

        Raises:
            FrameError: A value does not fit, or a chunk came out too large.
        """

        def pass_on(chunk: MemoryChunk) -> None:
            self._made = True
            on_chunk(chunk)

        self._encode(batches, pass_on, validator, acquire_slot, release_slot)
        if not self._made:  # its schema makes the table
            number, self.next_number = self.next_number, self.next_number + 1
            on_chunk(encode_rows(None, self.file_format, number=number, deleted=self.deleted))

    def _encode(
        self,
        batches: _Batches,
        on_chunk: Callable[[MemoryChunk], object],
        validator: Converter,
        acquire_slot: Callable[[], None],
        release_slot: Callable[[], None] | None,
    ) -> None:
        # If the number of rows shows whether there is more, the workers start before the second
        # batch is read.
        head = list(islice(batches, 1 if self.rows else 2))
        if not head:
            return
        # 1. Decide the size of the chunks and the number of threads.
        alone = head[0].num_rows >= self.rows if self.rows else len(head) < 2
        bytes_per_row = None
        if not alone or head[0].num_rows > SAMPLE_ROWS:  # fewer are not worth encoding twice
            bytes_per_row = sample_row_bytes(head[0], validator, self.file_format)
        sizer = ChunkSizer(self.target_bytes, self.rows, bytes_per_row, uploads=self.uploads)
        runs = self.ordered and self.target_bytes is None
        # Chunks of a stream grow with it.
        largest = sizer.target_bytes if self.rows or self.target_bytes else MAX_AUTO_BYTES
        threads = min(cpu_count(), max(1, self.memory_limit // largest))
        if alone or bytes_per_row is None or (self.ordered and not runs):
            threads = 1
        if sizer.expected_chunks is not None:
            threads = min(threads, sizer.expected_chunks)
        sizer.cap(self.memory_limit // threads)
        if self.small_first:
            sizer.start_small(self.uploads)
        read: _Batches = chain(head, batches)
        del head
        if runs and threads > 1:
            size = int(sizer.target_bytes / (bytes_per_row or 1))
            self._encode_runs(read, size, threads, on_chunk, validator, acquire_slot, release_slot)
            return

        # 2. Each thread converts, validates and writes.
        def work(items: WorkItems[_Rows], split: Converter) -> None:
            for writer in self._written(items, sizer, split, acquire_slot, release_slot):
                with self._lock:
                    number = self.next_number
                    self.next_number += 1
                chunk = self._finished(writer, number, release_slot)
                with self._lock:
                    on_chunk(chunk)
                del writer, chunk  # the memory of a chunk is freed with its upload

        # 3. Feed them; the last batches are small, so that all end at the same time.
        if self.rows and bytes_per_row is not None and threads > 1:
            rows = int(sizer.target_bytes / _LAST_BATCHES / bytes_per_row)
            read = taper(read, self.rows, threads, max(_MIN_BATCH_ROWS, rows))
        source = self._source(read, validator)
        del read
        # A reading thread that holds the GIL must not wait for the workers besides.
        queue_size = 2 * QUEUE_SIZE if self.holds_gil else QUEUE_SIZE
        worker = self._worker(work, validator)
        feed(source, WorkerPool(worker, threads=threads, queue_size=queue_size))

    def _encode_runs(
        self,
        read: _Batches,
        rows: int,
        threads: int,
        on_chunk: Callable[[MemoryChunk], object],
        validator: Converter,
        acquire_slot: Callable[[], None],
        release_slot: Callable[[], None] | None,
    ) -> None:
        """Encode runs of consecutive `rows`, each as one chunk, and pass the chunks on in order."""
        if self.rows:
            rows = math.ceil(self.rows / math.ceil(self.rows / rows))
        # Each thread has a run, another waits, and one is being read.
        limit = self.memory_limit // (2 * threads + 1)
        sizer = ChunkSizer(int(MAX_PLANNED_BYTES), None, None)
        waiting: dict[int, MemoryChunk | None] = {}

        def work(items: WorkItems[tuple[int, list[_Rows]]], split: Converter) -> None:
            for number, run in items:
                converted = self._converted(_taken(run), split)
                writer, _ = fill_chunk(converted, self.file_format, sizer)
                chunk = None
                if writer is not None:
                    chunk = self._finished(writer, number, release_slot)
                elif release_slot is not None:  # all rows of the run were left out
                    release_slot()
                with self._lock:
                    waiting[number] = chunk
                    del writer, chunk  # the memory of a chunk is freed with its upload
                    while self.next_number in waiting:
                        following = waiting.pop(self.next_number)
                        if following is not None:
                            on_chunk(following)
                        del following
                        self.next_number += 1

        def runs() -> Iterator[tuple[int, list[_Rows]]]:
            source = self._source(read, validator)
            first = rows // _FIRST_RUN if self.small_first else rows
            cut = _cut_runs(source, max(1, first), max(1, rows), limit)
            for number, run in enumerate(cut, self.first_number):
                acquire_slot()  # in order, or a run might wait for one that is behind it
                yield number, run

        worker = self._worker(work, validator)
        feed(runs(), WorkerPool(worker, threads=threads, queue_size=1))

    def _finished(
        self, writer: ChunkWriter, number: int, release_slot: Callable[[], None] | None
    ) -> MemoryChunk:
        chunk = writer.finish(number, deleted=self.deleted, on_release=release_slot)
        if self.hashes:
            chunk.hash()
        return chunk

    def _worker(
        self,
        work: Callable[[WorkItems[_T], Converter], None],
        validator: Converter,
    ) -> Callable[[WorkItems[_T]], None]:
        """`work` with a validator of its thread."""

        def worker(items: WorkItems[_T]) -> None:
            split = validator.split()
            try:
                work(items, split)
            except BaseException:
                self.stopped.set()  # no slot is released any more
                raise
            with self._lock:
                validator.merge(split)

        return worker

    def _source(self, read: _Batches, validator: Converter) -> Iterator[_Rows]:
        """What the workers get."""
        source: Iterator[_Rows] = map(_numbering(), read)
        if self.holds_gil:
            source = map(_Converted, self._converted(source, validator))
        return source

    def _written(
        self,
        items: WorkItems[_Rows],
        sizer: ChunkSizer,
        validator: Converter,
        acquire_slot: Callable[[], None],
        release_slot: Callable[[], None] | None,
    ) -> Iterator[ChunkWriter]:
        """The written chunks of one worker, to be finished; returns the rest of each batch."""
        while True:
            acquire_slot()
            rows = self._converted(items, validator)
            writer, rest = fill_chunk(rows, self.file_format, sizer)
            items.return_rest(None if rest is None else _Converted(rest))
            del rest
            if writer is None:
                # A worker with an open chunk will take what was returned here.
                if release_slot is not None:
                    release_slot()
                return
            yield writer
            del writer

    def _converted(self, rows: Iterable[_Rows], validator: Converter) -> _Batches:
        for found in rows:
            batch = found.batch
            if isinstance(found, _Converted):
                del found
                yield batch
                del batch
                continue
            converted = validator.convert(batch, found.start)
            del batch, found
            yield converted
            del converted


def _numbering() -> Callable[[pa.RecordBatch], _Read]:
    """A function for `map`, which keeps no batch alive as a generator would."""
    start = 0

    def number(batch: pa.RecordBatch) -> _Read:
        nonlocal start
        found = _Read(batch, start)
        start += batch.num_rows
        return found

    return number


def _cut_runs(
    source: Iterator[_Rows], first: int, rows: int, max_bytes: int
) -> Iterator[list[_Rows]]:
    """Runs of consecutive rows: `first`, then `rows` in each, fewer if they have many bytes."""
    run: list[_Rows] = []
    room, size = first, 0.0
    for found in source:
        start, count = 0, found.batch.num_rows
        row_bytes = batch_bytes(found.batch) / max(count, 1)
        while start < count:
            part = found.slice(start, room)
            run.append(part)
            start += part.batch.num_rows
            room -= part.batch.num_rows
            size += part.batch.num_rows * row_bytes
            del part
            if not room or size >= max_bytes:
                yield run
                run, room, size = [], rows, 0.0
        del found
    if run:
        yield run


def _taken(run: list[_Rows]) -> Iterator[_Rows]:
    """The parts of a run, which holds each no longer once it is taken."""
    run.reverse()
    while run:
        yield run.pop()
