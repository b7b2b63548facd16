"""One file in the making, Parquet or CSV, and what it becomes: a chunk.

What is certain about the server decides the defaults: INT96 timestamps, SNAPPY, data pages v1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from celonis_frames._arrow import casts
from celonis_frames._arrow.batching import weight
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._encoding.chunk_sizer import MAX_CHUNK_BYTES, MORE, MOST_BYTES, ChunkSizer
from celonis_frames._encoding.csv_writer import CsvWriter
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._filesystem import BLOCK_BYTES
from celonis_frames.exceptions import FrameError

__all__ = ["PROBE_BYTES", "ChunkWriter"]


PROBE_BYTES = 1_000_000
"""Arrow bytes of the first row group of all, by which the others are sized."""

_BUFFER_BYTES = 4 * BLOCK_BYTES
_GROUP_BYTES = 16_000_000


class _Sink:
    """Takes a file's bytes as they are written, in blocks.

    One growing buffer would be clone_filesystem, and for a moment held twice, each time it grows.
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


class ChunkWriter:
    """One file in the making: rows wait until they make a row group.

    Attributes:
        rows: Rows written.
    """

    def __init__(self, style: FileFormat, sizes: ChunkSizer, first: pa.RecordBatch | None) -> None:
        if first is not None:
            style.see(first)
        self._sizes, self._style = sizes, style
        self._wish, self._reserved = sizes.begin()
        self._sink = _Sink()
        self._groups = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0.0
        self.rows = 0
        self._full = False
        # Few large blocks go from Arrow to Python, since each of them has to wait for the GIL.
        self._out = pa.BufferedOutputStream(pa.PythonFile(self._sink, mode="w"), _BUFFER_BYTES)
        self._writer = _writer(self._out, style)

    def full(self, rest: int) -> bool:
        """Whether the file ends here, and leaves `rest` rows of the last batch to others."""
        if self._waiting or not self.rows:
            return False
        left = self._wish - self._size()
        if left >= max(self._sizes.weight or 0, 0.04 * self._wish, self._style.overhead):
            return False
        over = self._size() > min(MORE * max(self._wish, self._sizes.wish), MOST_BYTES)
        self._full = self._sizes.full(self._reserved, self.rows, rest, over=over)
        return self._full

    def take(self, batch: pa.RecordBatch, start: int, width: float) -> int:
        """Take rows of a batch, as many as fit the row group in the making; how many those are.

        Args:
            batch: The batch.
            start: Its first row that is to be taken.
            width: Arrow bytes that a row of it has on the whole.
        """
        width += self._style.widening
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
        room = self._sizes.most - size
        most = min(max(room, self._wish / 10), _GROUP_BYTES)
        value = self._sizes.value or self._sizes.weight
        if value is None:
            most = min(most, PROBE_BYTES, self._wish / 4)
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

    def finish(
        self,
        number: int,
        *,
        deleted: bool = False,
        on_release: Callable[[], None] | None = None,
    ) -> MemoryChunk:
        """Close the file and return it as a chunk.

        Args:
            number: Number of the chunk.
            deleted: Whether its rows are keys of rows to delete.
            on_release: As for `MemoryChunk`.

        Raises:
            FrameError: It came out larger than the API takes.
        """
        if self._waiting:
            self._flush()
        self._writer.close()
        self._out.flush()
        self._sink.flush()
        size = self._sink.tell()
        self._sizes.add(size)
        if not self._full:
            self._sizes.end(self._reserved, self.rows)
        if size > MAX_CHUNK_BYTES:
            raise FrameError(
                f"Chunk {number} ({self.rows:,} rows) came out at {size:,} bytes, more than "
                f"the {MAX_CHUNK_BYTES:,} that the API takes: give a smaller chunk_bytes."
            )
        return MemoryChunk(
            number, self.rows, tuple(self._sink.pieces), self._style.file_type,
            deleted=deleted, on_release=on_release,
        )  # fmt: skip


def _writer(sink: Any, style: FileFormat) -> Any:
    if style.file_type == "CSV":
        return CsvWriter(sink, style.schema)
    return pq.ParquetWriter(
        sink,
        style.schema,
        compression=style.compression,
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
