"""A frame's rows become files in several threads: converted, measured where asked, written.

Each thread takes the next batch of the source and writes it into a file of its own, so the rows
of several files are interleaved. Where their order matters, one thread does it all.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
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
from celonis_frames._encoding.chunking import empty, estimate_row_bytes, fill
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._schema.table_layout import TableLayout
from celonis_frames._validation.validator import FrameValidator

__all__ = ["ChunkEncoder", "sample_row_bytes"]

_PIECES, _LEAST_ROWS = 8, 1_000
"""How small the last batches are: so many for a file, but of no fewer rows."""
_SAMPLE_ROWS = 20_000
"""Rows by which it is judged what suits the whole."""

_Batches = Iterator[pa.RecordBatch]


@dataclass(frozen=True)
class _Wire:
    """Rows that are converted and looked at already."""

    batch: pa.RecordBatch


_Rows: TypeAlias = "pa.RecordBatch | _Wire"


def sample_row_bytes(batch: pa.RecordBatch, layout: TableLayout, style: FileFormat) -> float | None:
    """Bytes of a row in a file, from the first rows; chooses the file's dictionary columns too.

    Raises:
        FrameError: A value does not fit its column's type.
    """
    return estimate_row_bytes(layout.convert(batch.slice(0, _SAMPLE_ROWS)), style)


class ChunkEncoder:
    """Makes the files of one frame.

    Args:
        layout: What the rows become.
        style: What files are written.
        rows: How many rows there are; None: not known.
        weight: Bytes that a row has in the files, where that was judged before; else None.
        wish: Bytes of a file; None: what suits the whole.
        room: Bytes that the files in the making may have.
        uploads: Uploads at a time.
        first: Number of the first file.
        deleted: Whether the rows are keys of rows to delete.
        ordered: Whether the files must hold the rows in the frame's order.
        busy: Whether reading the source keeps hold of the GIL, as that of Python objects does.
            Whatever else needs it is then done by the thread that reads, instead of waiting for it.
        eager: Whether the first files are made small, so that sending soon begins.
    """

    def __init__(
        self,
        layout: TableLayout,
        style: FileFormat,
        *,
        rows: int | None,
        weight: float | None = None,
        wish: int | None,
        room: int,
        uploads: int = 1,
        first: int = 1,
        deleted: bool = False,
        ordered: bool = False,
        busy: bool = False,
        eager: bool = False,
    ) -> None:
        self._layout, self._style = layout, style
        self._rows, self._weight = rows, weight
        self._wish, self._room = wish, room
        self._uploads = uploads
        self._first, self._deleted, self._ordered = first, deleted, ordered
        self._busy, self._eager = busy, eager
        self._made = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def run(
        self,
        batches: _Batches,
        keep: Callable[[MemoryChunk], object],
        measure: FrameValidator | None,
        admit: Callable[[], None] = lambda: None,
        dismiss: Callable[[], None] | None = None,
    ) -> None:
        """Make all files.

        Args:
            batches: Rows as the frame gives them; they are read in this thread.
            keep: Takes each file, one at a time.
            measure: Where the values' findings are brought together; None: not looked at.
            admit: Called before rows for a file are taken; it may wait.
            dismiss: Called when there were none for a file that was admitted, or the file's
                chunk was released.

        Raises:
            FrameError: A value does not fit, or a file came out too large.
        """
        # Where the rows tell whether there is more, the second batch is read beside the first.
        head = list(islice(batches, 1 if self._rows else 2))
        if not head:
            keep(empty(self._style, number=self._first, deleted=self._deleted))
            return
        alone = head[0].num_rows >= self._rows if self._rows else len(head) < 2
        few = alone and head[0].num_rows <= _SAMPLE_ROWS  # too little to be encoded twice
        weight = (
            None if few else self._weight or sample_row_bytes(head[0], self._layout, self._style)
        )
        sizes = ChunkSizer(self._wish, self._rows, weight, uploads=self._uploads)
        most = min(cpu_count(), max(1, self._room // sizes.wish))
        if self._ordered or alone:
            most = 1
        threads = most if sizes.count is None else min(most, sizes.count)
        sizes.bound(self._room // threads)
        if self._eager:
            sizes.hasten(self._uploads)

        def work(items: WorkItems[_Rows]) -> None:
            part = None if measure is None or self._busy else measure.part()
            try:
                for file in self._files(items, sizes, part, admit, dismiss):
                    with self._lock:
                        number = self._first + self._made
                        self._made += 1
                    chunk = file.finish(number, deleted=self._deleted, on_release=dismiss)
                    with self._lock:
                        keep(chunk)
                    del file, chunk  # the memory of a file goes with its upload
            except BaseException:
                self._stopped.set()  # those that wait to begin a file wait for nothing
                raise
            if measure is not None and part is not None:
                with self._lock:
                    measure.add(part)

        source: Iterator[_Rows] = chain(head, batches)
        del head
        if self._rows and weight is not None and threads > 1:
            piece = max(_LEAST_ROWS, int(sizes.wish / _PIECES / weight))
            source = taper(source, self._rows, threads, piece)
        if self._busy:
            source = map(_Wire, self._converted(source, measure))
        # One who holds the GIL while it reads is not to wait for those who compress meanwhile.
        queue_size = 2 * QUEUE_SIZE if self._busy else QUEUE_SIZE
        feed(source, WorkerPool(work, threads=threads, queue_size=queue_size))

    def stream(
        self,
        batches: Callable[[], _Batches],
        room: threading.Semaphore,
        measure: FrameValidator | None,
        check: Callable[[], None] = lambda: None,
    ) -> Generator[MemoryChunk]:
        """All files as they are made, at most as many at a time as there is room for.

        Args:
            batches: Gives the rows; they are read in a thread.
            room: Counts the files that may be in the making or not released yet; more than are
                ever held unreleased by whoever takes the next one, or waits for the end.
            measure: As for `run`.
            check: Called now and then while the next file is waited for; what it raises ends all.

        Raises:
            FrameError: As `run`.
        """
        done: queue.SimpleQueue[MemoryChunk | BaseException | None] = queue.SimpleQueue()
        stopped = self._stopped = threading.Event()

        def admit() -> None:
            while not room.acquire(timeout=0.1):
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

        def feed() -> None:
            end: BaseException | None = None
            try:
                self.run(rows(), done.put, measure, admit, room.release)
            except BaseException as error:  # it is raised again in the thread that takes
                end = error
            done.put(end)
            del end

        feeder = threading.Thread(target=feed, name="celonis-read", daemon=True)
        feeder.start()
        try:
            while True:
                try:
                    found = done.get(timeout=0.5)  # in turns: `check` tells when all is over
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
            feeder.join(JOIN_SECONDS)

    def _files(
        self,
        items: WorkItems[_Rows],
        sizes: ChunkSizer,
        measure: FrameValidator | None,
        admit: Callable[[], None],
        dismiss: Callable[[], None] | None,
    ) -> Iterator[ChunkWriter]:
        """The files of one thread, to be finished. What none of them takes is given back.

        So nobody holds rows, while it waits to begin a file, that another one's file has room for.
        """
        while True:
            admit()
            file, rest = fill(self._converted(items, measure), self._style, sizes)
            items.return_rest(None if rest is None else _Wire(rest))
            del rest
            if file is None:
                # Whoever has a file open comes back for what was given back here.
                if dismiss is not None:
                    dismiss()
                return
            yield file
            del file

    def _converted(self, rows: Iterable[_Rows], measure: FrameValidator | None) -> _Batches:
        for batch in rows:
            if isinstance(batch, _Wire):
                yield batch.batch
                continue
            wire = self._layout.convert(batch)
            if measure is not None:
                measure.update(batch, wire)
            del batch
            yield wire
            del wire
