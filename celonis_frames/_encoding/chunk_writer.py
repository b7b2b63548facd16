"""Writes one chunk, a Parquet or CSV file, in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from celonis_frames._arrow import casts
from celonis_frames._arrow.batching import batch_bytes
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._encoding.chunk_sizer import (
    MAX_CHUNK_BYTES,
    MAX_PLANNED_BYTES,
    REST_GROWTH,
    ChunkSizer,
)
from celonis_frames._encoding.column_encodings import GROUP_BYTES, ColumnEncodings, parquet_writer
from celonis_frames._encoding.csv_writer import CsvWriter
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._filesystem.files import BLOCK_BYTES
from celonis_frames.exceptions import FrameError

PROBE_BYTES = 1_000_000
"""Arrow bytes of the first row group of a push, whose size in the file decides that of the next."""

_BUFFER_BYTES = 8 * BLOCK_BYTES
"""Bytes that Arrow collects before it calls Python, which has to wait for the GIL. The memory of
smaller blocks goes back to the system and is taken anew, which costs a tenth of a push's CPU."""

_FULL_TOLERANCE = 0.04
"""Share of the target that may be missing in a full chunk: a row group for it costs more."""

_SMALL_GROUP_SHARE = 0.1
"""Share of the target of a row group that takes in the last rows of a chunk that is full."""

_MIN_GROUP_OVERHEADS, _MIN_LAST_OVERHEADS = 20, 2
"""Smallest row group, and smallest last one, as multiples of the overhead of a row group."""


class _Sink:
    """Collects the bytes of a file in blocks.

    One growing buffer would be copied, and held twice for a moment, each time it grows.
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

    def close(self) -> None:
        """Called by the file's writer; the bytes stay."""
        self.flush()


class ChunkWriter:
    """Writes one chunk; rows are buffered until they make a row group."""

    def __init__(self, file_format: FileFormat, sizer: ChunkSizer) -> None:
        self._sizer, self._file_format = sizer, file_format
        self._target_bytes, self._reserved_rows = sizer.begin()
        self._sink = _Sink()
        self._groups = 0
        self._buffer: list[pa.RecordBatch] = []
        self._buffered_rows = 0
        self._buffered_bytes = 0.0
        self.rows = 0
        self._is_closed = False
        self._out = pa.BufferedOutputStream(pa.PythonFile(self._sink, mode="w"), _BUFFER_BYTES)
        self._writer: Any = None  # from the first row group on, by which encodings are chosen

    def is_full(self, rest: int) -> bool:
        """Whether the chunk ends here; the last `rest` rows of the batch are then for another."""
        if self._buffer or not self.rows:
            return False
        sizer, size = self._sizer, self._size()
        tolerance = max(
            sizer.bytes_per_row or 0,
            _FULL_TOLERANCE * self._target_bytes,
            self._file_format.overhead_bytes,
        )
        if self._target_bytes - size >= tolerance:
            return False
        limit = min(REST_GROWTH * max(self._target_bytes, sizer.target_bytes), MAX_PLANNED_BYTES)
        self._is_closed = sizer.close_full(
            self._reserved_rows, self.rows, rest, oversized=size > limit
        )
        return self._is_closed

    def write(self, batch: pa.RecordBatch, start: int, row_bytes: float) -> int:
        """Write rows of a batch from `start` on, as many as fit into the row group; their number.

        `row_bytes` are the Arrow bytes of its average row.
        """
        row_bytes += self._file_format.extra_row_bytes
        part: Any = batch.slice(start, max(1, self._rows_that_fit(row_bytes)))
        whole = part.num_rows == batch.num_rows
        found = row_bytes if whole else self._max_row_bytes(part)
        while found > 2 * row_bytes and part.num_rows > 1:  # wider rows than the batch's average
            row_bytes = found
            part = part.slice(0, max(1, self._rows_that_fit(row_bytes)))
            found = self._max_row_bytes(part)
        if self._file_format.dictionary_positions:
            part = _compact_dictionaries(part, self._file_format.dictionary_positions)
        self._buffer.append(part)
        self._buffered_rows += part.num_rows
        self._buffered_bytes += found * part.num_rows
        if self._rows_that_fit(found) < 1:
            self._flush()
        return int(part.num_rows)

    def _max_row_bytes(self, batch: pa.RecordBatch) -> float:
        """Bytes of an average row in the file if nothing compresses."""
        return float(batch_bytes(batch) / batch.num_rows) + self._file_format.extra_row_bytes

    def _size(self) -> int:
        return int(self._out.tell()) + self._file_format.footer_bytes * (self._groups + 1)

    def _group_bytes(self) -> float:
        """Target size of a row group in the file."""
        least = _MIN_GROUP_OVERHEADS * self._file_format.overhead_bytes
        return min(max(self._target_bytes / 2, least), GROUP_BYTES)

    def _rows_that_fit(self, row_bytes: float) -> int:
        """Rows that the row group still takes, each of `row_bytes` if nothing compresses.

        Estimated by the rows written last, but never so many that the file gets too large if these
        compress worse.
        """
        overhead, size = self._file_format.overhead_bytes, self._size()
        room = self._sizer.max_bytes - size
        limit = min(max(room, _SMALL_GROUP_SHARE * self._target_bytes), GROUP_BYTES)
        value_bytes = self._sizer.value_bytes_per_row or self._sizer.bytes_per_row
        if value_bytes is None:
            if not self._sizer.all_fit(row_bytes):
                limit = min(limit, PROBE_BYTES, self._target_bytes / 4)
            return int((limit - self._buffered_bytes) / row_bytes)
        group, left = self._group_bytes(), float(self._target_bytes - size)
        if left < _FULL_TOLERANCE * self._target_bytes:
            left = _SMALL_GROUP_SHARE * self._target_bytes  # it takes in the last rows
        # No small row group comes last.
        goal = max(left if left < 1.5 * group else group, _MIN_LAST_OVERHEADS * overhead)
        by_value = (goal - overhead) / max(value_bytes, 0.01) - self._buffered_rows
        return int(min(by_value, (limit - self._buffered_bytes) / row_bytes))

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._buffer)
        if self._writer is None:
            self._file_format.choose_encodings(table)
            self._writer = file_writer(self._out, self._file_format)
        before = self._out.tell()
        if self._file_format.file_type == "PARQUET":
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        else:
            self._writer.write_table(table)
        self._groups += 1
        self.rows += self._buffered_rows
        rows, overhead = self._buffered_rows, self._file_format.overhead_bytes
        written = self._out.tell() - before + self._file_format.footer_bytes
        value_bytes = max((written - overhead) / rows, 1e-6)
        usual_rows = min(
            self._group_bytes() / value_bytes, GROUP_BYTES * rows / max(self._buffered_bytes, 1)
        )
        self._sizer.value_bytes_per_row = value_bytes
        self._sizer.bytes_per_row = value_bytes + overhead / max(rows, usual_rows)
        self._buffer, self._buffered_rows, self._buffered_bytes = [], 0, 0.0

    def finish(
        self, number: int, *, deleted: bool = False, on_release: Callable[[], None] | None = None
    ) -> MemoryChunk:
        """Close the file and return it as a chunk; `on_release` as for `MemoryChunk`.

        Raises:
            FrameError: It came out larger than the API accepts.
        """
        if self._buffer:
            self._flush()
        self._writer.close()
        self._out.flush()
        self._sink.flush()
        size = self._sink.tell()
        self._sizer.record_size(size)
        if not self._is_closed:
            self._sizer.close(self._reserved_rows, self.rows)
        if size > MAX_CHUNK_BYTES:
            raise FrameError(
                f"Chunk {number} ({self.rows:,} rows) came out at {size:,} bytes, more than "
                f"the {MAX_CHUNK_BYTES:,} that the API accepts: give a smaller chunk_bytes."
            )
        return MemoryChunk(
            number, self.rows, tuple(self._sink.pieces), self._file_format.file_type,
            deleted=deleted, on_release=on_release,
        )  # fmt: skip


def file_writer(sink: Any, file_format: FileFormat) -> Any:
    """What writes tables into a file: ``write_table``, then ``close``."""
    if file_format.file_type == "CSV":
        return CsvWriter(sink, file_format.schema)
    encodings = file_format.encodings or ColumnEncodings()
    return parquet_writer(sink, file_format.schema, file_format.compression, encodings)


def _compact_dictionaries(batch: pa.RecordBatch, positions: tuple[int, ...]) -> pa.RecordBatch:
    """The batch without dictionary values that only other rows use."""
    columns = batch.columns
    for position in positions:
        columns[position] = casts.compact_dictionary(columns[position])
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
