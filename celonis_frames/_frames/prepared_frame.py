"""A frame with its table layout: checked, encoded to chunks, and read no more often than necessary.

`PreparedFrame.begin` learns what must be known before the job is created; `chunks` then returns the
chunks, mostly while the frame is still being read. See `celonis_frames._frames.reading`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

import pyarrow as pa

from celonis_frames._concurrency.background import call_in_background
from celonis_frames._concurrency.worker_pool import PoolStopped
from celonis_frames._encoding.chunk import Chunk, ChunkStore
from celonis_frames._encoding.encoder import ChunkEncoder, Converter
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._encoding.passthrough import PassthroughChunk, PassthroughFiles
from celonis_frames._encoding.small_frame import encode_small, is_small
from celonis_frames._formatting import counted
from celonis_frames._frames.chunk_feed import Check, ChunkFeed
from celonis_frames._frames.declared_lengths import (
    estimated_lengths,
    longest_allowed,
    refutable,
)
from celonis_frames._frames.failing_rows import locate_errors
from celonis_frames._frames.reading import Facts, Reading, choose_reading
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.table_layout import ColumnPlan, TableLayout, convert_column
from celonis_frames._schema.text_length import MIN_TEXT_LENGTH
from celonis_frames._sources.local_times import repeated_notes
from celonis_frames._sources.source import Source
from celonis_frames._staging.spool import ChunkSpool, MemoryBudget
from celonis_frames._validation.parallel import validate_parallel
from celonis_frames._validation.rejects import RejectReport
from celonis_frames._validation.row_limits import check_table_rows
from celonis_frames._validation.second_reading import SecondReading
from celonis_frames._validation.text_lengths import TextWatch, known_lengths, texts_to_look_at
from celonis_frames._validation.validator import FrameValidator
from celonis_frames.exceptions import ColumnTypeError, FrameError

_Batches = Iterator[pa.RecordBatch]
_T = TypeVar("_T")


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
    measure: FrameValidator  # statistics of its rows, complete once all were read
    options: PushOptions
    deleted: bool  # its rows are keys of rows to delete
    warnings: tuple[str, ...]  # for the user; those about values once all rows were read
    spare: MemoryBudget | None  # for chunks that are kept; None: one of its own
    passing: PassthroughFiles | None = None  # Parquet files that are sent unchanged
    table_lengths: Mapping[str, int] = field(default_factory=dict)  # of the table that is there
    table_rows: int = 0  # of the table that is there, as far as they are known
    existing: Any = None  # the table that it was fitted to, as `celonis_frames._tables` knows it
    staged: int = 0  # chunks that were made before the job
    worker_parts: int | None = None  # partitions whose chunks workers have made
    _first: int = 1
    _check_reading: Check = lambda: None
    _kept: list[Chunk] | None = None  # all chunks, if they were made before the job
    _feed: ChunkFeed | None = None
    _spool: ChunkSpool | None = None  # of the feed
    _watch: TextWatch | None = None
    _lengths: dict[str, int] | None = None  # declared to the server
    _of_files: FrameValidator | None = None  # statistics of the files that are sent unchanged
    _again: SecondReading | None = None  # if all rows were checked, and are read again to be sent
    _checked: bool = False
    _head: pa.RecordBatch | None = None  # the first rows, until the lengths are known

    def begin(
        self,
        store: ChunkStore | None = None,
        *,
        checked_first: bool = False,
        first: int = 1,
        check: Check = lambda: None,
    ) -> None:
        """Learn what must be known before the job is created.

        With a `store`, such as a stage, all rows are checked and their chunks, which count from
        `first`, are put there; but if they need only be `checked_first`, a frame that is cheap to
        read is read again for its chunks. A small frame becomes one chunk. Of others the text
        columns are read for their lengths, or the first batch to estimate them. Parquet files that
        are sent unchanged are read here. `check` is called before each batch, here and later, and
        raises to end the reading.

        Raises:
            FrameError: The frame cannot be sent as it is.
        """
        self._first, self._check_reading = first, check
        with self._located():
            if self.passing is not None:
                self._measure_files()
            batches = None
            if self.passing is None or not self.passing.unchanged:
                batches = self._unless_small(self.source.batches(), store)
            small = self._kept is not None
            converts = not small and texts_to_look_at(self.layout) is None
            facts = Facts(
                one_chunk=small,
                stored_first=store is not None and not checked_first,
                checked_first=checked_first,
                cheap_lengths=not converts and self.source.longest_texts is not None,
                cheap_rows=not (small or converts)
                and self.source.immutable
                and not self.source.expensive
                and not any(column.pseudonymised for column in self.layout.columns),
                ordered=self.options.ordered,
            )
            choice = choose_reading(facts)
            if choice.reading is Reading.ALL_FIRST:
                if store is not None and not small:
                    kept = self._kept = list[Chunk]()
                    put = lambda chunk: kept.append(store.put(chunk))  # noqa: E731
                    self._encode(self._parts(batches), self._while_read, self.measure, put)
                self._conclude()
                self.staged, self._lengths = len(self._kept or ()), self.measure.lengths()
                return
            if choice.reading is Reading.CHECKED_FIRST:
                validate_parallel(self._while_read(batches or self.source.batches()), self.measure)
                self._conclude()
                self._lengths, batches = self.measure.lengths(), None
                self._again = SecondReading(self.measure, self.source.kind)
            if choice.reading is Reading.LENGTHS_FIRST:
                self._lengths = self._look_at_lengths()
            if self._lengths is None:
                choice = choose_reading(facts._replace(cheap_lengths=False))
                self._watch, self._lengths = TextWatch(), self._estimated_by_head()
                self._watch.declare(refutable(self.layout, self.table_lengths, self._lengths))
        self._head = None
        self._feed = self._new_feed(self._parts(batches), keeps=choice.keeps)

    def adopt(self, chunks: Sequence[Chunk], parts: int) -> None:
        """Take the chunks that workers have made of all rows, instead of `begin`.

        `measure` has the statistics of these rows.

        Raises:
            FrameError: The frame cannot be sent as it is.
        """
        self._kept, self.worker_parts = list(chunks), parts
        self._conclude(sum(chunk.rows for chunk in chunks))
        self.staged, self._lengths = len(chunks), self.measure.lengths()

    def lengths(self, check: Check = lambda: None) -> dict[str, int]:
        """The length of each text column to declare for the next job.

        Estimated by the first batch, if a frame is read once; after a string was longer than that
        they are measured, which waits until all rows were read.

        Raises:
            FrameError: The frame cannot be sent as it is.
        """
        feed, watch = self._feed, self._watch
        if feed is not None and watch is not None and self._refuted:
            self._take(partial(feed.wait_for_end, check))
            self._conclude()
            self._lengths = self.measure.lengths()
            watch.declare(refutable(self.layout, self.table_lengths, self._lengths))
            if not feed.keeps:
                self._end_reading()
                self._watch = None  # what is declared now is certain
        assert self._lengths is not None  # noqa: S101  # `begin` was called
        return self._lengths

    @property
    def reads_here(self) -> bool:
        """Whether its rows come from the caller's own code: `read` must be called for them."""
        return self._feed is not None and not self.source.replayable

    def read(self) -> None:
        """Read all rows in this thread, while another one calls `lengths` and `chunks`."""
        if self._feed is not None:
            self._feed.run()

    def stop_reading(self, error: BaseException) -> None:
        """End `read`, and what waits for it, with an error."""
        if self._feed is not None:
            self._feed.fail(error)

    def warnings_of_rows(self) -> tuple[str, ...]:
        """The warnings that count values, once all rows were read.

        Raises:
            FrameError: The frame cannot be sent as it is.
        """
        found = self.measure.check() + self.check_rows(self.measure.rows) + self.source.conclude()
        if self.options.times == "local":
            found += repeated_notes(self.source)
        return found

    def check_rows(self, sent: int) -> tuple[str, ...]:
        """Warnings about the rows that the table will have once so many are sent.

        Raises:
            FrameError: They are too many.
        """
        if self.deleted:
            return ()
        keyed = bool(self.options.keys)
        return check_table_rows(self.table, sent, before=self.table_rows, keyed=keyed)

    @property
    def rejects(self) -> RejectReport:
        """The values that are not sent, once all rows were read."""
        files = self.source.files.files if self.source.files is not None else ()
        return RejectReport.of(
            self.measure.rejects,
            self.layout.columns,
            ((str(file.location), file.rows) for file in files),
        )

    @property
    def rows_to_send(self) -> int | None:
        """Its rows, as far as they are known by now; those left out are known at the end only."""
        if self._kept is not None:
            return sum(chunk.rows for chunk in self._kept)
        if self._feed is not None and self._feed.ended:
            return self.measure.rows
        return self.source.rows

    @property
    def ordered(self) -> bool:
        """Whether chunks must be sent in the order of the rows, as far as it is known by now."""
        partitions = self.source.partitions
        if not self.options.ordered or (partitions is not None and not partitions.ordered):
            return False
        all_read = self._feed is None or self._again is not None or self._feed.ended
        return not (all_read and self.measure.different_keys == self.measure.rows)

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
            else Rows(passing.rows(run), partial(passing.rewritten, run))
            for run in passing.runs(ordered=ordered)
        ]

    def chunks(self, check: Check = lambda: None) -> Generator[Chunk]:
        """The chunks from the first, each time it is called; made while they are sent.

        `check` is called repeatedly while the next chunk is awaited, and raises to end the
        iteration.

        Raises:
            TextsOutgrown: A string is longer than `lengths` said.
            FrameError: The frame cannot be sent as it is: known at the last chunk.
        """
        if self._kept is not None:
            yield from self._kept
            return
        if self._feed is not None and not self._refuted and not self._feed.rewind():
            self._end_reading()
        if self._feed is None:  # its chunks were not kept
            if self._spool is not None:
                self._spool.close()  # nothing sends them any more
            if self._again is None:
                self.measure = self._fresh_measure()
            self._feed = self._new_feed(self.parts(ordered=self.options.ordered), keeps=False)
        feed, made, place = self._feed, 0, 0
        # Not earlier: while threads contend for the GIL, the main thread may miss a signal in a
        # blocking call, such as the creation of the job.
        self._start()
        try:
            while (chunk := self._take(partial(feed.take, place, check))) is not None:
                place += 1
                made += chunk.rows
                yield chunk
                del chunk  # its memory is freed after its upload
            if self._again is None:
                self._conclude(made)
            else:
                self._again.check_rows(made)
        finally:
            if not feed.keeps and not self._refuted:
                self._end_reading()

    def close(self) -> None:
        """End the reading, and free the chunks."""
        if self._feed is not None:
            self._feed.close()
        if self._spool is not None:
            self._spool.close()

    def _end_reading(self) -> None:
        """Forget a reading whose chunks are not kept: the next one begins anew."""
        if self._feed is not None:
            self._feed.close()
        self._feed = None

    @property
    def _refuted(self) -> bool:
        """Whether a string is longer than it was declared to the job."""
        return self._watch is not None and self._watch.outgrown

    def _located(self) -> AbstractContextManager[None]:
        again = None
        if self.source.replayable:
            again = lambda: self._while_read(self.source.batches())  # noqa: E731
        return locate_errors(self.layout, again)

    @property
    def _sent(self) -> bool:
        """Whether files are sent unchanged."""
        return self.passing is not None and bool(self.passing.unchanged)

    def _rows(self, batches: Callable[[], _Batches]) -> Rows:
        count = self.source.rows if self.source.rows is not None else self.measure.rows
        return Rows(count or None, batches)

    def _parts(self, batches: _Batches | None) -> list[PassthroughChunk | Rows]:
        """What to send; of `batches`, if given, the reading has begun."""
        if batches is None:
            return self.parts(ordered=self.options.ordered)
        return [self._rows(lambda: batches)]

    def _measure_files(self) -> None:
        """Read the files that could be sent unchanged; decides which ones are."""
        if self.passing:
            batches = self.passing.batches(first=self._first)
            validate_parallel(self._while_read(batches), self.measure)
            if self._sent:
                self.measure.check()
            self.measure.check_table_lengths(self.table, self.table_lengths)
            self._of_files = self.measure.copied()

    def _measure_rest(self) -> None:
        """Read all other rows."""
        for part in self.parts(ordered=False):
            if isinstance(part, Rows):
                validate_parallel(self._while_read(part.batches()), self.measure)

    @property
    def _uploads(self) -> int:
        """Parallel uploads, as far as it is known when the reading begins."""
        return self.options.uploads(
            ordered=self.options.ordered if self._again is None else self.ordered
        )

    @property
    def _slots(self) -> int:
        """Chunks that may be open or not released, if they are not kept."""
        # If all rows were checked, one upload at a time must not leave all cores but one idle.
        uploads = self._uploads if self._again is None else self.options.uploads(ordered=False)
        return uploads + 1

    def _fresh_measure(self) -> FrameValidator:
        """Statistics for another reading, those of files that are sent unchanged included."""
        return self.measure.restarted() if self._of_files is None else self._of_files.copied()

    def _unless_small(self, batches: _Batches, store: ChunkStore | None) -> _Batches | None:
        """All batches; None if they are few, and their chunk is made."""
        size = self.options.upload.chunk_bytes

        def first() -> list[pa.RecordBatch]:
            head = list(islice(batches, 1))
            return [*head, *islice(batches, 1)] if head and is_small(head[0], size) else head

        self._check_reading()
        if self.source.immutable or not self.source.replayable:
            head = first()
        else:  # a query may take long for its first rows, or hang
            head = call_in_background(first, self._check_reading, name="celonis-read")
        if not head or (len(head) < 2 and is_small(head[0], size)):
            rows = head[0] if head else None
            chunk = encode_small(
                rows, self.file_format(), self.measure,
                target_bytes=size, number=self._first, deleted=self.deleted,
            )  # fmt: skip
            if chunk is not None:
                self._kept = [chunk if store is None else store.put(chunk)]
                return None
            self.measure = self._fresh_measure()  # these rows are read again
        self._head = head[0]
        for column in self.layout.columns:
            if column.aligned:  # most that do not fit show before the job is created
                self._check_aligned(column, head[0])
        return chain(head, batches)

    def _check_aligned(self, column: ColumnPlan, rows: pa.RecordBatch) -> None:
        try:
            convert_column(column, rows)
        except ColumnTypeError as error:
            if not self.measure.leaves_out(column, error):
                raise

    def _estimated_by_head(self) -> dict[str, int]:
        """Lengths by the first batch."""
        watch = TextWatch()
        if self._head is not None:
            sample = self.measure.restarted()
            sample.watch = watch
            sample.convert(self._head)
        return estimated_lengths(self.layout, self.table_lengths, watch.estimate())

    def _look_at_lengths(self) -> dict[str, int] | None:
        """The length of each text column, by reading these columns only.

        None if some strings are too long and are not sent: the others may be much shorter.

        Raises:
            FrameError: A string is too long; or another error, if one is found on the way.
        """
        columns, look = texts_to_look_at(self.layout), self.source.longest_texts
        assert columns is not None  # noqa: S101  # the choice of reading
        assert look is not None  # noqa: S101
        names = {column.source: column.name for column in columns}
        limits = longest_allowed(columns, self.table_lengths)
        enough = {name: min(limit, MIN_TEXT_LENGTH) for name, limit in limits.items()}
        found = look(enough) if names else {}
        if any(found[name] > limit for name, limit in limits.items()):
            if self.measure.on_bad != "error":
                return None
            measure, self.measure = self.measure, self._fresh_measure()
            self._measure_rest()  # counts the strings that are too long
            self._conclude()
            self.measure = measure
        return known_lengths(self.layout, {names[name]: found[name] for name in found})

    def _new_feed(self, parts: Sequence[PassthroughChunk | Rows], *, keeps: bool) -> ChunkFeed:
        """A reading of the frame, to be begun by `_start`."""
        stopped = threading.Event()
        self.measure.watch = self._watch
        measure: Converter = self.measure
        if self._again is not None:
            measure = self._again.restarted()
        self._spool = None
        if keeps:
            self._spool = ChunkSpool(self.spare or MemoryBudget(self.options.spool_memory))

        def rows(batches: _Batches) -> _Batches:
            for batch in self._while_read(batches):
                if stopped.is_set():
                    raise PoolStopped
                yield batch
                del batch

        def encode(
            on_chunk: Callable[[Chunk], None],
            acquire_slot: Callable[[], None],
            release_slot: Callable[[], None],
        ) -> None:
            self._encode(
                parts, rows, measure, on_chunk, acquire_slot, release_slot, stopped=stopped
            )

        return ChunkFeed(
            encode,
            stopped,
            slots=self._slots,
            spool=self._spool,
            again=self.source.replayable,
            watch=self._watch,
        )

    def _start(self) -> None:
        """Begin to read in a thread, unless `read` does it in the caller's."""
        if self._feed is not None and self.source.replayable:
            self._feed.start()

    def _take(self, wait: Callable[[], _T]) -> _T:
        """What the feed returns; the error for a value names its row."""
        try:
            return wait()
        except ColumnTypeError:
            if self._feed is not None:
                self._feed.close()  # its threads do not need the frame any more
            with self._located():
                raise

    def _conclude(self, made: int | None = None) -> None:
        """Check the statistics of all rows, of which `made` are in the chunks.

        Raises:
            FrameError: The frame cannot be sent as it is, or has changed between two readings.
        """
        found = self.warnings_of_rows()
        if self.table_lengths:
            self.measure.check_table_lengths(self.table, self.table_lengths)
        if not self._checked:
            self._checked, self.warnings = True, self.warnings + found
        if (
            self._lengths
            and self._watch is None
            and any(
                self.measure.longest(name)[0] > length for name, length in self._lengths.items()
            )
        ):
            raise FrameError(
                f"The {self.source.kind} changed between two readings: it has longer strings now. "
                "Nothing was executed. Set staging= to read it only once."
            )
        if made is not None and made != self.measure.rows:  # the last check; never expected
            raise FrameError(
                f"The chunks have {counted(made, 'row')}, the {self.source.kind} has "
                f"{self.measure.rows:,}. Nothing was executed. This is a bug in celonis_frames; "
                "please report it."
            )

    def _encode(
        self,
        parts: Sequence[PassthroughChunk | Rows],
        reading: Callable[[_Batches], _Batches],
        measure: Converter,
        on_chunk: Callable[[Chunk], None],
        *slots: Callable[[], None],
        stopped: threading.Event | None = None,
    ) -> None:
        """Check and encode all rows, as `reading` returns them; files are passed on unchanged.

        `slots` and `stopped` are those of `ChunkEncoder` and its `run`.
        """
        number = self._first + sum(isinstance(part, PassthroughChunk) for part in parts)
        for part in parts:
            if isinstance(part, PassthroughChunk):
                on_chunk(part)
                continue
            encoder = self._encoder(part.count, number, stopped)
            encoder.run(reading(part.batches()), on_chunk, measure, *slots)
            number = encoder.next_number

    def _while_read(self, batches: _Batches) -> _Batches:
        """The batches, with a call of `check` before each."""
        for batch in batches:
            self._check_reading()
            yield batch
            del batch

    def file_format(self) -> FileFormat:
        """How its rows are written."""
        options, layout = self.options, self.layout if self._again is None else self._again.layout
        return FileFormat(layout.encoded_schema, options.upload.file_type, options.codec)

    def _encoder(
        self, rows: int | None, first: int, stopped: threading.Event | None
    ) -> ChunkEncoder:
        """An encoder of some rows; `stopped` is given if their chunks are sent meanwhile."""
        ordered = self.options.ordered
        return ChunkEncoder(
            self.file_format(),
            rows=rows,
            target_bytes=self.options.upload.chunk_bytes,
            memory_limit=self.options.encoding_memory,
            uploads=self._uploads,
            first_number=first,
            deleted=self.deleted,
            ordered=ordered,
            holds_gil=self.source.expensive,
            # Unchanged files need no encoding: their upload starts at once.
            small_first=stopped is not None and not self._sent,
            hashes=self.options.by_objects and self.options.staging is None,
            stopped=stopped or threading.Event(),
        )
