"""Arrow batches in, sized files out: Parquet (or CSV) chunks of one schema.

What is certain about the server decides the defaults: INT96 timestamps, SNAPPY, data pages v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from celonis_frames._csvfile import CSV_OPTIONS, CsvWriter
from celonis_frames.exceptions import FrameError

MAX_CHUNK_BYTES = 1_000_000_000
"""Most bytes the API takes in one chunk."""

DEFAULT_CHUNK_BYTES = 64_000_000
"""Large enough that chunks are few, small enough that upload and encoding overlap."""

COMPRESSIONS = ("snappy", "none", "zstd", "gzip", "lz4")

BLOCK_BYTES = 1_048_576
"""Bytes of the blocks that a file is kept in: what a socket or a file takes well at a time."""

_PROBE_BYTES = 1_000_000
_GROUP_BYTES = 16_000_000
_DICTIONARY_SAMPLE = 20_000
_DICTIONARY_SHARE = 0.3


@dataclass(frozen=True)
class EncodedChunk:
    """One finished file.

    Attributes:
        number: Its place, from 1.
        rows: Rows in it.
        size: Bytes.
        pieces: The file's bytes, in blocks of about `BLOCK_BYTES`.
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
    chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    file_type: str = "PARQUET",
    compression: str = "snappy",
    first: int = 1,
    deleted: bool = False,
) -> Iterator[EncodedChunk]:
    """Finished files of about `chunk_bytes` each, the last one smaller.

    A file grows by row groups; how many rows the next one takes follows from what the last one
    weighed in the file, so the size wished for is met whatever the data do.

    Args:
        batches: Rows of `schema`, in batches of bounded size.
        schema: Arrow schema of the wire; the same for all files.
        chunk_bytes: Wished size of a finished file, in bytes.
        file_type: ``"PARQUET"`` or ``"CSV"``.
        compression: Parquet codec.
        first: Number of the first file.
        deleted: Whether the rows are keys of rows to delete.

    Raises:
        FrameError: A file came out larger than the API takes.
    """
    file: _File | None = None
    number = first - 1
    weight: float | None = None
    dictionary: list[str] | None = None
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            if file is None:
                number += 1
                if dictionary is None:
                    dictionary = _dictionary_columns(batch)
                file = _File(schema, file_type, compression, dictionary, chunk_bytes, weight)
            part = batch.slice(start, file.room(batch.nbytes / batch.num_rows))
            start += part.num_rows
            file.add(part)
            if file.full:
                yield file.finish(number, deleted=deleted)
                weight, file = file.weight, None
    if number < first:  # an empty frame is one file of no rows: it says what the columns are
        file, number = _File(schema, file_type, compression, [], chunk_bytes, None), first
    if file is not None:
        yield file.finish(number, deleted=deleted)


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
        self._tail += data
        self._size += len(data)
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


class _File:
    """One file in the making: rows wait until they make a row group."""

    def __init__(
        self,
        schema: pa.Schema,
        file_type: str,
        compression: str,
        dictionary: list[str],
        wish: int,
        weight: float | None,
    ) -> None:
        self._sink = _Sink()
        self._file_type = file_type
        self._wish = wish
        self._footer = 100 * len(schema) if file_type == "PARQUET" else 0
        self._groups = 0
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0
        self.rows = 0
        self.weight = weight
        self._out = pa.PythonFile(self._sink, mode="w")
        self._writer = _writer(self._out, schema, file_type, compression, dictionary)

    @property
    def full(self) -> bool:
        """Whether another row group would overshoot the wish."""
        remaining = self._wish - self._size()
        return (
            not self._waiting
            and self.rows > 0
            and remaining < max(self.weight or 0, 0.04 * self._wish)
        )

    def _size(self) -> int:
        return self._sink.tell() + self._footer * (self._groups + 1)

    def _group_rows(self, width: float) -> int:
        """Rows that the row group in the making should have."""
        if self.weight is None:
            return max(1, int(min(_PROBE_BYTES, self._wish / 4) / max(width, 1)))
        goal = min(max(self._wish / 4, 1), _GROUP_BYTES, max(self._wish - self._size(), 1))
        by_file = goal / max(self.weight, 0.01)
        by_memory = _GROUP_BYTES / max(width, 0.01)
        return max(1, int(min(by_file, by_memory)))

    def room(self, width: float) -> int:
        """How many rows, each of `width` Arrow bytes, still fit the row group in the making."""
        return max(1, self._group_rows(width) - self._waiting_rows)

    def add(self, part: pa.RecordBatch) -> None:
        """Take rows; write the row group when it is complete."""
        self._waiting.append(part)
        self._waiting_rows += part.num_rows
        self._waiting_bytes += part.nbytes
        width = self._waiting_bytes / self._waiting_rows
        if self._waiting_rows >= self._group_rows(width):
            self._flush()

    def _flush(self) -> None:
        before = self._sink.tell()
        table = pa.Table.from_batches(self._waiting)
        if self._file_type == "PARQUET":
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        else:
            self._writer.write_table(table)
        self._groups += 1
        self.rows += self._waiting_rows
        grown = self._sink.tell() - before + self._footer
        self.weight = max(grown / self._waiting_rows, 1e-6)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0

    def finish(self, number: int, *, deleted: bool) -> EncodedChunk:
        """Close the file and hand it over."""
        if self._waiting:
            self._flush()
        self._writer.close()
        self._sink.flush()
        size = self._sink.tell()
        if size > MAX_CHUNK_BYTES:
            raise FrameError(
                f"Chunk {number} ({self.rows:,} rows) came out at {size:,} bytes, more than "
                f"the {MAX_CHUNK_BYTES:,} that the API takes: give a smaller chunk_bytes."
            )
        pieces = tuple(self._sink.pieces)
        return EncodedChunk(number, self.rows, size, pieces, self._file_type, deleted)


def _writer(
    sink: Any, schema: pa.Schema, file_type: str, compression: str, dictionary: list[str]
) -> Any:
    if file_type == "CSV":
        return CsvWriter(sink, schema)
    return pq.ParquetWriter(
        sink,
        schema,
        compression=compression,
        use_dictionary=dictionary or False,
        use_deprecated_int96_timestamps=True,
        data_page_version="1.0",
        store_schema=False,
        write_statistics=False,
    )


def _dictionary_columns(batch: pa.RecordBatch) -> list[str]:
    """Columns whose values repeat enough for a dictionary to pay, judged by the first rows."""
    sample = batch.slice(0, _DICTIONARY_SAMPLE)
    names = []
    for field, column in zip(sample.schema, sample.columns, strict=True):
        if pa.types.is_dictionary(field.type):
            names.append(field.name)
        elif not pa.types.is_boolean(field.type):
            distinct = pc.count_distinct(column).as_py()
            if distinct <= _DICTIONARY_SHARE * sample.num_rows:
                names.append(field.name)
    return names


__all__ = [
    "COMPRESSIONS",
    "CSV_OPTIONS",
    "DEFAULT_CHUNK_BYTES",
    "MAX_CHUNK_BYTES",
    "EncodedChunk",
    "encode",
]
