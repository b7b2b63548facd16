"""Arrow batches in, sized files out: Parquet (or CSV) chunks of one schema.

What is certain about the server decides the defaults: INT96 timestamps, SNAPPY, data pages v1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from celonis_frames import _casts as casts
from celonis_frames._batches import weight
from celonis_frames._codecs import ACCEPTED, AUTO, CERTAIN, Choice, Effort
from celonis_frames._csvfile import CSV_OPTIONS, CsvWriter
from celonis_frames._sizes import DEFAULT_CHUNK_BYTES, MAX_CHUNK_BYTES, Sizes
from celonis_frames.exceptions import FrameError

COMPRESSIONS = ("snappy", "none", "zstd", "gzip", "lz4")

BLOCK_BYTES = 1_048_576
"""Bytes of the least blocks that a file is kept in."""

_BUFFER_BYTES = 4 * BLOCK_BYTES
_PROBE_BYTES = 1_000_000
_EFFORT_BYTES = 2_000_000
_EFFORTS = 2
_GROUP_BYTES = 16_000_000
_GLANCE, _GLANCE_SHARE = 1_000, 0.8
_DICTIONARY_SAMPLE, _DICTIONARY_SHARE = 20_000, 0.1
_MORE, _OVER = 1.08, 1.15
"""How much larger than wished a file may be to take in what is left, and with a row group that
compresses worse than the last one."""
_INDEX = 3
"""Bytes that a value takes besides itself, if it turns out that a dictionary does not pay."""
_HEADER, _FOOTER = 50, 100
"""Bytes that each column of a row group takes besides its values, there and in the footer."""


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


def encode(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    *,
    chunk_bytes: int | None = None,
    file_type: str = "PARQUET",
    compression: str = "snappy",
) -> Iterator[EncodedChunk]:
    """Finished files of about `chunk_bytes` each, the last one smaller; in this thread.

    Args:
        batches: Rows of `schema`, in batches of bounded size.
        schema: Arrow schema of the wire; the same for all files.
        chunk_bytes: Wished size of a finished file, in bytes; None: 32 MB.
        file_type: ``"PARQUET"`` or ``"CSV"``.
        compression: Parquet codec.

    Raises:
        FrameError: A file came out larger than the API takes.
    """
    style = Style(schema, file_type, compression)
    sizes = Sizes(chunk_bytes, None, None)
    number = 0
    for file in write(batches, style, sizes):
        number += 1
        yield file.finish(number)
    if not number:
        yield empty(style)


def write(
    batches: Iterable[pa.RecordBatch],
    style: Style,
    sizes: Sizes,
    admit: Callable[[], None] = lambda: None,
) -> Iterator[ChunkFile]:
    """Written files, one after the other, for whoever takes them to finish.

    A file grows by row groups; how many rows the next one takes follows from what the last one
    weighed in the file, so the size wished for is met whatever the data do.

    Args:
        batches: Rows of the style's schema, in batches of bounded size.
        style: What the files are.
        sizes: How large they should be; several threads may share it.
        admit: Called before a file is begun; it may wait.
    """
    file: ChunkFile | None = None
    for batch in batches:
        sizes.take(batch.num_rows)  # all of it: no other thread can take what is left
        start = 0
        while start < batch.num_rows:
            if file is None:
                admit()
                file = ChunkFile(style, sizes, batch)
            start += file.take(batch, start)
            if file.full(batch.num_rows - start):
                done, file = file, None
                yield done
                if not done.more and start == batch.num_rows:
                    return
    if file is not None:
        yield file


def empty(style: Style, *, number: int = 1, deleted: bool = False) -> EncodedChunk:
    """The file of a frame without rows: it says what the columns are."""
    return ChunkFile(style, Sizes(1, None, None), None).finish(number, deleted=deleted)


def weigh(batch: pa.RecordBatch, style: Style) -> float | None:
    """Bytes that a row has in a file, from the first rows; None where they are few."""
    width = weight(batch) / max(batch.num_rows, 1)
    rows = int(_PROBE_BYTES / max(width, 1))
    if not 0 < rows < batch.num_rows:
        return None
    sizes = Sizes(DEFAULT_CHUNK_BYTES, None, None)
    file = ChunkFile(style, sizes, batch)
    file.take(batch.slice(0, rows), 0)
    file.finish(1)
    return sizes.weight


def efforts(batch: pa.RecordBatch, style: Style) -> dict[str, Effort]:
    """What a row costs with each codec that is accepted, from the first rows."""
    rows = int(min(batch.num_rows, max(1, _EFFORT_BYTES * batch.num_rows / max(batch.nbytes, 1))))
    sample = batch.slice(0, rows)
    found = {}
    for codec in ACCEPTED:
        plain = replace(style, compression=codec)
        times = []
        for _ in range(_EFFORTS):
            begin = _clock()
            (file,) = write([sample], plain, Sizes(MAX_CHUNK_BYTES, rows, None))
            size = file.finish(1).size
            times.append(_clock() - begin)
        found[codec] = Effort(size / rows, min(times) / rows)
    return found


# What other threads do meanwhile is not this one's effort; but some systems count it in ticks.
_fine = time.get_clock_info("thread_time").resolution <= 1e-4
_clock = time.thread_time if _fine else time.perf_counter


@dataclass
class Style:
    """What files are written, the same for all of one push.

    Attributes:
        schema: Arrow schema of the wire.
        file_type: ``"PARQUET"`` or ``"CSV"``.
        compression: Parquet codec; ``"auto"``: the one chosen, the certain one before that.
        choice: Chooses the codec of each file.
        dictionary: Columns that are written with a dictionary; None until rows are seen.
    """

    schema: pa.Schema
    file_type: str = "PARQUET"
    compression: str = CERTAIN
    choice: Choice | None = None
    dictionary: tuple[str, ...] | None = None

    @property
    def overhead(self) -> int:
        """Bytes that a row group takes besides its values: headers, and its part of the footer."""
        return self.footer + _HEADER * len(self.schema) if self.file_type == "PARQUET" else 0

    @property
    def footer(self) -> int:
        """Those of them that are written at the end of the file."""
        return _FOOTER * len(self.schema) if self.file_type == "PARQUET" else 0

    @cached_property
    def dictionaries(self) -> tuple[int, ...]:
        """Places of the columns that come as dictionaries."""
        kinds = enumerate(self.schema.types)
        return tuple(place for place, kind in kinds if pa.types.is_dictionary(kind))

    @property
    def widening(self) -> int:
        """Bytes that a row may take more in the file than in Arrow, if nothing compresses."""
        if self.file_type == "CSV":
            return 20 * len(self.schema)
        return self._times + _INDEX * len(self.dictionary or ())

    @cached_property
    def _times(self) -> int:
        return 4 * sum(bool(pa.types.is_timestamp(kind)) for kind in self.schema.types)  # INT96

    def codec(self) -> tuple[str, float]:
        """The codec of the next file, and how much larger than with the certain one it makes it."""
        if self.compression != AUTO:
            return self.compression, 1.0
        if self.choice is None:
            return CERTAIN, 1.0
        codec = self.choice.codec()
        return codec, self.choice.factor(codec)

    def see(self, batch: pa.RecordBatch) -> None:
        """Decide, by the first rows, what depends on the values."""
        if self.dictionary is None and self.file_type == "PARQUET":
            self.dictionary = tuple(_dictionary_columns(batch))


class _Sink:
    """Takes a file's bytes as they are written, in blocks.

    One growing buffer would be copied, and for a moment held twice, each time it grows.
    """

    closed = False

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self._tail = bytearray()
        self._size = 0

    def write(self, data: bytes) -> int:
        self._size += len(data)
        if not self._tail and len(data) >= BLOCK_BYTES:
            self.pieces.append(data)
            return len(data)
        self._tail += data
        if len(self._tail) >= BLOCK_BYTES:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._tail:
            self.pieces.append(bytes(self._tail))
            self._tail.clear()

    def tell(self) -> int:
        return self._size

    def readable(self) -> Literal[False]:
        return False

    def writable(self) -> Literal[True]:
        return True

    def seekable(self) -> Literal[False]:
        return False

    def close(self) -> None:
        """Writers close what they write to; the bytes stay."""
        self.flush()


class ChunkFile:
    """One file in the making: rows wait until they make a row group.

    Attributes:
        rows: Rows written.
        more: After `finish`, whether what is left needs another file.
    """

    def __init__(self, style: Style, sizes: Sizes, first: pa.RecordBatch | None) -> None:
        if first is not None:
            style.see(first)
        self._sizes, self._style = sizes, style
        codec, factor = style.codec()
        sizes.rescale(factor)
        self._wish, self._reserved = sizes.begin()
        self._sink = _Sink()
        self._groups = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0.0
        self.rows = 0
        self.more = True
        # Few large blocks go from Arrow to Python, since each of them has to wait for the GIL.
        self._out = pa.BufferedOutputStream(pa.PythonFile(self._sink, mode="w"), _BUFFER_BYTES)
        self._writer = _writer(self._out, style, codec)

    def full(self, rest: int) -> bool:
        """Whether the file should end here, with `rest` rows of the last batch still to come."""
        if self._waiting or not self.rows:
            return False
        left = self._wish - self._size()
        if left >= max(self._sizes.weight or 0, 0.04 * self._wish, self._style.overhead):
            return False
        over = self._size() > _MORE * self._sizes.wish
        return over or not self._sizes.nearly_done(rest)

    def take(self, batch: pa.RecordBatch, start: int) -> int:
        """Take rows of a batch, as many as fit the row group in the making; how many those are."""
        width = self._width(batch)
        part: Any = batch.slice(start, max(1, self._fitting(width)))
        found = self._width(part)
        while found > 2 * width and part.num_rows > 1:  # wider than the batch is on the whole
            width = found
            part = part.slice(0, max(1, self._fitting(width)))
            found = self._width(part)
        if self._style.dictionaries:
            part = _compacted(part, self._style.dictionaries)
        self._waiting.append(part)
        self._waiting_rows += part.num_rows
        self._waiting_bytes += found * part.num_rows
        if self._fitting(found) < 1:
            self._flush()
        return int(part.num_rows)

    def _width(self, batch: pa.RecordBatch) -> float:
        """Most bytes that a row can have in the file, as far as Arrow tells."""
        return float(weight(batch) / batch.num_rows) + self._style.widening

    def _size(self) -> int:
        return int(self._out.tell()) + self._style.footer * (self._groups + 1)

    def _group(self) -> float:
        """Bytes that a row group should have in the file where there is room for it."""
        return min(max(self._wish / 2, 20 * self._style.overhead), _GROUP_BYTES)

    def _fitting(self, width: float) -> int:
        """How many rows, each of `width` bytes at most, still fit the row group in the making.

        By what the last rows weighed, but never so many that the file gets too large if these do
        not compress as those did.
        """
        size = self._size()
        room = _OVER * self._sizes.wish - size
        most = min(max(room, self._wish / 10), _GROUP_BYTES)
        value = self._sizes.value or self._sizes.weight
        if value is None:
            most = min(most, _PROBE_BYTES, self._wish / 4)
            return int((most - self._waiting_bytes) / width)
        group, left = self._group(), float(self._wish - size)
        if left < 0.04 * self._wish:
            left = self._wish / 10  # it takes in what would be too little for another file
        goal = max(left if left < 1.5 * group else group, 2 * self._style.overhead)
        by_value = (goal - self._style.overhead) / max(value, 0.01) - self._waiting_rows
        return int(min(by_value, (most - self._waiting_bytes) / width))

    def _flush(self) -> None:
        before = self._out.tell()
        table = pa.Table.from_batches(self._waiting)
        if self._style.file_type == "PARQUET":
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        else:
            self._writer.write_table(table)
        self._groups += 1
        rows, overhead = self._waiting_rows, self._style.overhead
        self.rows += rows
        grown = self._out.tell() - before + self._style.footer
        value = max((grown - overhead) / rows, 1e-6)
        usual = min(self._group() / value, _GROUP_BYTES * rows / max(self._waiting_bytes, 1))
        self._sizes.value = value
        self._sizes.weight = value + overhead / max(rows, usual)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0.0

    def finish(self, number: int, *, deleted: bool = False) -> EncodedChunk:
        """Close the file and hand it over.

        Raises:
            FrameError: It came out larger than the API takes.
        """
        if self._waiting:
            self._flush()
        self._writer.close()
        self._out.flush()
        self._sink.flush()
        size = self._sink.tell()
        self.more = self._sizes.end(self._reserved, self.rows, size)
        if size > MAX_CHUNK_BYTES:
            raise FrameError(
                f"Chunk {number} ({self.rows:,} rows) came out at {size:,} bytes, more than "
                f"the {MAX_CHUNK_BYTES:,} that the API takes: give a smaller chunk_bytes."
            )
        pieces = tuple(self._sink.pieces)
        return EncodedChunk(number, self.rows, size, pieces, self._style.file_type, deleted)


def _writer(sink: Any, style: Style, codec: str) -> Any:
    if style.file_type == "CSV":
        return CsvWriter(sink, style.schema)
    return pq.ParquetWriter(
        sink,
        style.schema,
        compression=codec,
        use_dictionary=list(style.dictionary or ()) or False,
        use_deprecated_int96_timestamps=True,
        data_page_version="1.0",
        store_schema=False,
        write_statistics=False,
    )


def _compacted(batch: pa.RecordBatch, places: tuple[int, ...]) -> pa.RecordBatch:
    """The rows with no values in their dictionaries that belong to other rows."""
    columns = batch.columns
    for place in places:
        columns[place] = casts.compact(columns[place])
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _dictionary_columns(batch: pa.RecordBatch) -> list[str]:
    """Columns whose values repeat enough for a dictionary to pay, judged by the first rows."""
    return [
        field.name
        for field, column in zip(batch.schema, batch.columns, strict=True)
        if pa.types.is_dictionary(field.type)
        or not (pa.types.is_boolean(field.type) or _mostly_different(column))
    ]


def _mostly_different(column: Any) -> bool:
    # A few rows tell of most columns; the others are looked at for longer.
    for rows, share in ((_GLANCE, _GLANCE_SHARE), (_DICTIONARY_SAMPLE, _DICTIONARY_SHARE)):
        sample = column.slice(0, rows)
        if pc.count_distinct(sample).as_py() > share * len(sample):
            return True
    return False


__all__ = [
    "BLOCK_BYTES",
    "COMPRESSIONS",
    "CSV_OPTIONS",
    "ChunkFile",
    "EncodedChunk",
    "Style",
    "efforts",
    "empty",
    "encode",
    "weigh",
    "write",
]
