"""A frame with its table layout: read and checked once, then encoded to chunks."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from itertools import chain, islice

import pyarrow as pa

from celonis_frames._encoding.chunk import Chunk, ChunkStore, MemoryChunk
from celonis_frames._encoding.encoder import ChunkEncoder, sample_row_bytes
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._encoding.passthrough import PassthroughChunk, PassthroughFiles
from celonis_frames._encoding.small_frame import encode_small, is_small
from celonis_frames._formatting import counted
from celonis_frames._push.failing_rows import locate_errors
from celonis_frames._push.options import PushOptions
from celonis_frames._schema.table_layout import TableLayout
from celonis_frames._sources.local_times import repeated_notes
from celonis_frames._sources.source import Source
from celonis_frames._staging.spool import BatchCache, ChunkSpool, MemoryBudget, SpoolFull
from celonis_frames._staging.stage import Stage
from celonis_frames._validation.parallel import validate_parallel
from celonis_frames._validation.validator import FrameValidator
from celonis_frames.exceptions import FrameError

SLOW_SECONDS = 1.0
"""A query whose first rows take longer is not run a second time for the upload."""

_Batches = Iterator[pa.RecordBatch]

logger = logging.getLogger("celonis_frames")


@dataclass(frozen=True)
class Rows:
    """Rows to encode; `count` is None if it is not known before reading."""

    count: int | None
    batches: Callable[[], _Batches]


@dataclass
class PreparedFrame:
    """A frame to send."""

    table: str  # as it is stored
    source: Source
    layout: TableLayout  # of its table
    measure: FrameValidator  # statistics of its rows
    options: PushOptions
    deleted: bool  # its rows are keys of rows to delete
    warnings: tuple[str, ...]  # for the user
    spare: MemoryBudget  # for chunks or batches that are kept while the frame is read
    passing: PassthroughFiles | None = None  # Parquet files that are sent unchanged
    _keep: ChunkSpool | None = None
    _held: list[pa.RecordBatch] | None = None
    _sampled: tuple[FileFormat, float | None] | None = None
    _first: int = 1
    _kept: list[Chunk] | None = None
    _check_reading: Callable[[], None] = lambda: None

    def check(
        self,
        stage: Stage | None = None,
        *,
        first: int = 1,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Read every row once and check it.

        A frame that is cheap to read is read again for the upload, which then begins at once. With
        a stage, or if a second reading is expensive or impossible, this reading also makes the
        chunks, which count from `first`; without a stage they are stored in memory, or in a
        temporary folder. A small frame becomes one chunk here. Parquet files that are sent
        unchanged are only read here. `check` is called before each batch, and raises to end the
        reading.

        Raises:
            FrameError: The frame cannot be sent as it is.
        """
        self._first, self._check_reading = first, check
        with self._located():
            if self.passing is None:
                self._check_rows(stage)
            else:
                self._check_files(stage)
        self.warnings += self.warnings_of_rows()

    def warnings_of_rows(self) -> tuple[str, ...]:
        """The warnings that count values, once all rows were read.

        Raises:
            FrameError: The frame cannot be sent as it is.
        """
        return (*self.measure.check(), *repeated_notes(self.source))

    @property
    def staged(self) -> int:
        """Number of stored chunks."""
        return len(self._kept or ())

    @property
    def ordered(self) -> bool:
        """Whether chunks must be sent in the order of the rows; known after `check`."""
        return self.options.ordered and self.measure.different_keys != self.measure.rows

    def measure_rows(self) -> None:
        """Read every row once for the statistics; keeps nothing for the upload.

        Raises:
            ColumnTypeError: A value does not fit its column's type.
            FrameError: A file changes while it is read.
        """
        with self._located():
            self._measure_files()
            self._measure_rest()

    def parts(self, *, ordered: bool) -> list[PassthroughChunk | Rows]:
        """What to send, in order, `ordered` as the rows: unchanged files, and rows to encode."""
        passing = self.passing
        if passing is None or not passing.unchanged:
            return [self._rows(self.source.batches)]
        return [
            run
            if isinstance(run, PassthroughChunk)
            else Rows(passing.rows(run), functools.partial(passing.rewritten, run))
            for run in passing.runs(ordered=ordered)
        ]

    def chunks(self, check: Callable[[], None] = lambda: None) -> Iterator[Chunk]:
        """The chunks from the first, each time it is called; encoded while they are sent.

        A source outside memory (a query, files) may return other rows at the second reading. That
        is detected here, before the job is executed. `check` is called repeatedly while the next
        chunk is awaited, and raises to end the iteration.

        Raises:
            FrameError: The source has changed between two readings.
        """
        made = 0
        with closing(self._chunks(check)) as chunks:
            for chunk in chunks:
                made += chunk.rows
                yield chunk
                del chunk  # its memory is freed after its upload
        if made != self.measure.rows:  # the last check; never expected
            raise FrameError(
                f"The chunks have {counted(made, 'row')}, the {self.source.kind} has "
                f"{self.measure.rows:,}. Nothing was executed. This is a bug in celonis_frames; "
                "please report it."
            )

    def _chunks(self, check: Callable[[], None]) -> Generator[Chunk]:
        if self._kept is not None:
            yield from self._kept
            return
        room = threading.Semaphore(self.options.uploads(ordered=self.ordered) + 1)
        again, parts = None, self.parts(ordered=self.ordered)
        if self._held is not None:
            held, self._held = self._held, None  # freed while sent; a second job reads again
            parts = [self._rows(lambda: _consumed(held))]
        elif not self.source.immutable:
            unique = self.options.ordered and not self.ordered
            again = FrameValidator(self.layout, self.measure.empty, unique)
        passed = [part for part in parts if isinstance(part, PassthroughChunk)]
        number = self._first + len(passed)
        for part in parts:
            if isinstance(part, PassthroughChunk):
                yield part
                continue
            encoder = self._encoder(part.count, number, ordered=self.ordered)
            with closing(encoder.stream(part.batches, room, again, check)) as made:
                for chunk in made:
                    number += 1
                    yield chunk
                    del chunk  # its memory is freed after its upload
        if again is not None and len(passed) < len(parts):
            again.check()
            count = self.measure.rows - sum(part.rows for part in passed)
            repeated = again.unique and again.different_keys != again.rows
            lengths = self.measure.lengths().items()
            grown = any(again.longest(name)[0] > length for name, length in lengths)
            if again.rows != count or repeated or grown:
                raise FrameError(
                    f"The {self.source.kind} changed between two readings ({counted(count, 'row')} "
                    f"first, {again.rows:,} then, or longer strings, or repeated keys). Nothing "
                    "was executed. Set staging= to read it only once."
                )

    def close(self) -> None:
        """Free the stored chunks."""
        if self._keep is not None:
            self._keep.close()

    def _located(self) -> AbstractContextManager[None]:
        again = (lambda: self._checked(self.source.batches())) if self.source.replayable else None
        return locate_errors(self.layout, again)

    @property
    def _sent(self) -> bool:
        """Whether files are sent unchanged."""
        return self.passing is not None and bool(self.passing.unchanged)

    def _rows(self, batches: Callable[[], _Batches]) -> Rows:
        count = self.source.rows if self.source.rows is not None else self.measure.rows
        return Rows(count or None, batches)

    def _measure_files(self) -> None:
        """Read the files that could be sent unchanged; decides which ones are."""
        if self.passing:
            batches = self.passing.batches(first=self._first)
            validate_parallel(self._checked(batches), self.measure)

    def _check_files(self, stage: Stage | None) -> None:
        """Read and check the rows of files, some of which may be sent unchanged."""
        self._measure_files()
        if not self._sent:
            self._check_rows(stage)
        elif stage is not None:
            self._kept = self._encoded(self.parts(ordered=self.options.ordered), stage)
        else:
            self._measure_rest()

    def _check_rows(self, stage: Stage | None) -> None:
        """Read and check the rows of a frame of which all are encoded."""
        begin = time.monotonic()
        batches = self.source.batches()
        head = list(islice(batches, 1))
        # A query that has to join or group before it returns rows is not run twice.
        slow = not self.source.immutable and time.monotonic() - begin > SLOW_SECONDS
        size = self.options.upload.chunk_bytes
        if small := not head or is_small(head[0], size):
            self._check_reading()
            head += islice(batches, 1)
        if small and len(head) < 2:
            rows = head[0] if head else None
            chunk = encode_small(
                rows, self.layout, self._file_format(), self.measure,
                target_bytes=size, number=self._first, deleted=self.deleted,
            )  # fmt: skip
            if chunk is not None:
                self._kept = [chunk if stage is None else stage.put(chunk)]
                return
        batches = chain(head, batches)
        if stage is not None:
            self._kept = self._encoded([self._rows(lambda: batches)], stage)
        elif slow or self.source.expensive or not self.source.replayable:
            self._keep_chunks(batches)
        else:
            self._measure(batches)

    def _measure_rest(self) -> None:
        """Read all other rows."""
        for part in self.parts(ordered=False):
            if isinstance(part, Rows):
                validate_parallel(self._checked(part.batches()), self.measure)

    def _keep_chunks(self, batches: _Batches) -> None:
        """Check and encode the rows in one reading, and store the chunks.

        Raises:
            FrameError: The disk has no room for them, and the rows can be read only once.
        """
        self._keep = ChunkSpool(self.spare)
        try:
            self._kept = self._encoded([self._rows(lambda: batches)], self._keep)
        except SpoolFull:
            self._keep.close()
            if not self.source.replayable:
                raise
            logger.warning("no room on disk for the chunks: the %s is read twice", self.source.kind)
            self.measure = self.measure.restarted()
            self._measure(self.source.batches())

    def _encoded(self, parts: Sequence[PassthroughChunk | Rows], store: ChunkStore) -> list[Chunk]:
        """Check and encode the rows in one reading; copy unchanged files."""
        kept: list[Chunk] = []
        number = self._first + sum(isinstance(part, PassthroughChunk) for part in parts)
        for part in parts:
            if isinstance(part, PassthroughChunk):
                kept.append(store.put(part))
                continue
            made: dict[int, Chunk] = {}

            def keep(chunk: MemoryChunk, made: dict[int, Chunk] = made) -> None:
                made[chunk.number] = store.put(chunk)

            ordered = self.options.ordered
            encoder = self._encoder(part.count, number, ordered=ordered, while_uploading=False)
            encoder.run(self._checked(part.batches()), keep, self.measure)
            number += len(made)
            kept += [made[place] for place in sorted(made)]
        return kept

    def _measure(self, batches: _Batches) -> None:
        """Read all rows; keep them in memory, if they fit and reading them copies."""
        held = BatchCache(self.spare) if self.source.copies else None
        file_format = self._file_format()
        estimate: Future[float | None] | None = None

        def watched() -> _Batches:
            nonlocal estimate
            checked = self._checked(batches)
            head = list(islice(checked, 2))
            if len(head) > 1:
                with suppress(RuntimeError):  # no thread: the encoder takes its own sample
                    estimate = executor.submit(sample_row_bytes, head[0], self.layout, file_format)
            for batch in chain(head, checked):
                if held is not None:
                    held.add(batch)
                yield batch

        # A row is measured in a file of its own while all rows are read.
        with ThreadPoolExecutor(1, thread_name_prefix="celonis-sample") as executor:
            validate_parallel(watched(), self.measure)
            if estimate is not None and estimate.exception() is None:
                self._sampled = file_format, estimate.result()
        self._held = held.batches if held is not None else None

    def _checked(self, batches: _Batches) -> _Batches:
        """The batches, with a call of `check` before each."""
        for batch in batches:
            self._check_reading()
            yield batch
            del batch

    def _file_format(self) -> FileFormat:
        options = self.options
        return FileFormat(self.layout.encoded_schema, options.upload.file_type, options.codec)

    def _encoder(
        self, rows: int | None, first: int, *, ordered: bool, while_uploading: bool = True
    ) -> ChunkEncoder:
        file_format, bytes_per_row = self._sampled or (self._file_format(), None)
        return ChunkEncoder(
            self.layout,
            file_format,
            rows=rows,
            bytes_per_row=bytes_per_row,
            target_bytes=self.options.upload.chunk_bytes,
            memory_limit=self.options.memory // 2,
            uploads=self.options.uploads(ordered=ordered),
            first_number=first,
            deleted=self.deleted,
            ordered=ordered,
            holds_gil=self.source.expensive,
            # Unchanged files need no encoding: their upload starts at once.
            small_first=while_uploading and not self._sent,
        )


def _consumed(held: list[pa.RecordBatch]) -> _Batches:
    held.reverse()
    while held:
        yield held.pop()
