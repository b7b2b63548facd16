"""Batches into chunks, in several threads.

How it works: the rows of a frame are read in one thread, converted and written in a `WorkerPool`.
Each worker takes the next batch and writes it into a chunk of its own, so the rows of several
chunks are interleaved; if their order matters, there is one worker. A worker that waits for a slot
holds no rows: what its last chunk did not take, another worker may write into its open chunk.

`run` reads in the calling thread and passes each chunk to a callback, one at a time. `stream`
yields chunks: it starts a thread, ``celonis-read``, that calls `run` and puts each chunk into a
queue, then the error or None. A semaphore of slots bounds the chunks that are open or not released.

Whatever a worker or the source raises sets `_stopped`, which ends the wait for a slot; the pool
then stops its workers. The consumer of `stream` that closes it sets `_stopped` too, which ends the
source, and waits for the reading thread `JOIN_SECONDS` at most.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from itertools import chain, islice
from typing import TypeAlias

import pyarrow as pa

from celonis_frames._arrow.batching import taper
from celonis_frames._concurrency.worker_pool import (
    JOIN_SECONDS,
    QUEUE_SIZE,
    PoolStopped,
    WorkerPool,
    WorkItems,
    cpu_count,
    feed,
)
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._encoding.chunk_sizer import ChunkSizer
from celonis_frames._encoding.chunk_writer import ChunkWriter
from celonis_frames._encoding.chunking import estimate_row_bytes, fill_chunk
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._encoding.small_frame import encode_rows
from celonis_frames._schema.table_layout import TableLayout
from celonis_frames._validation.validator import FrameValidator

_LAST_BATCHES, _MIN_BATCH_ROWS = 8, 1_000
"""The last batches are cut into this many for a chunk, of no fewer rows."""

_SAMPLE_ROWS = 20_000
"""First rows that decide the format and the size of the chunks."""

_SLOT_POLL_SECONDS = 0.1
"""How often a worker that waits for a slot checks whether the encoder was stopped."""

_CHECK_SECONDS = 0.5
"""How often a consumer that waits for a chunk calls `check`."""

_Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class _Converted:
    """Rows that are converted and validated already."""

    batch: pa.RecordBatch


@dataclass(frozen=True)
class _Read:
    """Rows as the frame yields them, and the number of the first."""

    batch: pa.RecordBatch
    start: int


_Rows: TypeAlias = "_Read | _Converted"


def sample_row_bytes(
    batch: pa.RecordBatch, layout: TableLayout, file_format: FileFormat
) -> float | None:
    """Bytes of a row in a file, from the first rows; chooses the encodings of its columns too.

    Raises:
        FrameError: A value does not fit its column's type.
    """
    return estimate_row_bytes(layout.convert(batch.slice(0, _SAMPLE_ROWS)), file_format)


@dataclass(eq=False)
class ChunkEncoder:
    """Encodes the rows of one frame.

    If reading the source holds the GIL, as with Python objects, the reading thread converts and
    validates too, instead of waiting for the GIL.
    """

    layout: TableLayout
    file_format: FileFormat
    _: KW_ONLY
    rows: int | None  # None: not known
    bytes_per_row: float | None = None  # of a sample, in a file; None: `run` takes one
    target_bytes: int | None  # of a chunk; None: chosen by the bytes of the frame
    memory_limit: int  # bytes of all chunks that are being written
    uploads: int = 1  # parallel ones
    first_number: int = 1
    deleted: bool = False  # the rows are keys of rows to delete
    ordered: bool = False  # the chunks must hold the rows in the frame's order
    holds_gil: bool = False
    small_first: bool = False  # so that uploading starts early

    def __post_init__(self) -> None:
        self._next_number = self.first_number
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def run(
        self,
        batches: _Batches,
        on_chunk: Callable[[MemoryChunk], object],
        validator: FrameValidator | None,
        acquire_slot: Callable[[], None] = lambda: None,
        release_slot: Callable[[], None] | None = None,
    ) -> None:
        """Encode all rows, which are read in this thread; `on_chunk` gets one chunk at a time.

        `acquire_slot` is called before rows are taken for a chunk, and may wait; `release_slot` if
        there were no rows for the chunk, or when it is released. Without a `validator` the rows are
        not validated.

        Raises:
            FrameError: A value does not fit, or a chunk came out too large.
        """
        # If the number of rows shows whether there is more, the workers start before the second
        # batch is read.
        head = list(islice(batches, 1 if self.rows else 2))
        if not head:
            on_chunk(
                encode_rows(None, self.file_format, number=self.first_number, deleted=self.deleted)
            )
            return
        # 1. Decide the size of the chunks and the number of threads.
        alone = head[0].num_rows >= self.rows if self.rows else len(head) < 2
        bytes_per_row = None
        if not alone or head[0].num_rows > _SAMPLE_ROWS:  # fewer are not worth encoding twice
            bytes_per_row = self.bytes_per_row or sample_row_bytes(
                head[0], self.layout, self.file_format
            )
        sizer = ChunkSizer(self.target_bytes, self.rows, bytes_per_row, uploads=self.uploads)
        threads = min(cpu_count(), max(1, self.memory_limit // sizer.target_bytes))
        if self.ordered or alone:
            threads = 1
        if sizer.expected_chunks is not None:
            threads = min(threads, sizer.expected_chunks)
        sizer.cap(self.memory_limit // threads)
        if self.small_first:
            sizer.start_small(self.uploads)

        # 2. Each thread converts, validates and writes.
        def work(items: WorkItems[_Rows]) -> None:
            split = None if validator is None or self.holds_gil else validator.split()
            try:
                for writer in self._written(items, sizer, split, acquire_slot, release_slot):
                    with self._lock:
                        number = self._next_number
                        self._next_number += 1
                    chunk = writer.finish(number, deleted=self.deleted, on_release=release_slot)
                    with self._lock:
                        on_chunk(chunk)
                    del writer, chunk  # the memory of a chunk is freed with its upload
            except BaseException:
                self._stopped.set()  # no slot is released any more
                raise
            if validator is not None and split is not None:
                with self._lock:
                    validator.merge(split)

        # 3. Feed them; the last batches are small, so that all end at the same time.
        read: _Batches = chain(head, batches)
        del head
        if self.rows and bytes_per_row is not None and threads > 1:
            rows = int(sizer.target_bytes / _LAST_BATCHES / bytes_per_row)
            read = taper(read, self.rows, threads, max(_MIN_BATCH_ROWS, rows))
        source: Iterator[_Rows] = map(_numbering(), read)
        del read
        if self.holds_gil:
            source = map(_Converted, self._converted(source, validator))
        # A reading thread that holds the GIL must not wait for the workers besides.
        queue_size = 2 * QUEUE_SIZE if self.holds_gil else QUEUE_SIZE
        feed(source, WorkerPool(work, threads=threads, queue_size=queue_size))

    def stream(
        self,
        batches: Callable[[], _Batches],
        slots: threading.Semaphore,
        validator: FrameValidator | None,
        check: Callable[[], None] = lambda: None,
    ) -> Generator[MemoryChunk]:
        """All chunks as they are encoded; `check` is called now and then between, and may raise.

        There are as many slots as chunks that may be open or not released: more than the consumer
        keeps unreleased while it waits for the next one, or for the end.

        Raises:
            FrameError: As `run`.
        """
        done: queue.SimpleQueue[MemoryChunk | BaseException | None] = queue.SimpleQueue()
        stopped = self._stopped = threading.Event()

        def acquire_slot() -> None:
            while not slots.acquire(timeout=_SLOT_POLL_SECONDS):
                if stopped.is_set():
                    raise PoolStopped

        def rows() -> _Batches:
            try:
                for batch in batches():
                    if stopped.is_set():
                        raise PoolStopped
                    yield batch
            except BaseException:
                stopped.set()
                raise

        def read() -> None:
            end: BaseException | None = None
            try:
                self.run(rows(), done.put, validator, acquire_slot, slots.release)
            except BaseException as error:  # raised again in the consumer's thread
                end = error
            done.put(end)
            del end

        reader = threading.Thread(target=read, name="celonis-read", daemon=True)
        reader.start()
        try:
            while True:
                try:
                    found = done.get(timeout=_CHECK_SECONDS)
                except queue.Empty:
                    check()
                    continue
                if found is None:
                    return
                if isinstance(found, BaseException):
                    raise found
                yield found
                del found
        finally:
            found = None  # an error in its own traceback's frame would keep all this alive
            stopped.set()
            reader.join(JOIN_SECONDS)

    def _written(
        self,
        items: WorkItems[_Rows],
        sizer: ChunkSizer,
        validator: FrameValidator | None,
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

    def _converted(self, rows: Iterable[_Rows], validator: FrameValidator | None) -> _Batches:
        for found in rows:
            batch = found.batch
            if isinstance(found, _Converted):
                del found
                yield batch
                del batch
                continue
            converted = self.layout.convert(batch, found.start)
            if validator is not None:
                validator.update(batch, converted)
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
