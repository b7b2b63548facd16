"""Batches into chunks, in one thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

import pyarrow as pa

from celonis_frames._arrow.batching import batch_bytes
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._encoding.chunk_sizer import DEFAULT_CHUNK_BYTES, ChunkSizer
from celonis_frames._encoding.chunk_writer import PROBE_BYTES, ChunkWriter
from celonis_frames._encoding.column_encodings import WORTH_ROWS
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._encoding.small_frame import encode_rows


def encode(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    *,
    chunk_bytes: int | None = None,
    file_type: str = "PARQUET",
    compression: str = "snappy",
    deleted: bool = False,
) -> Iterator[MemoryChunk]:
    """Chunks of about `chunk_bytes` (None: 24 MB), the last one smaller, encoded in this thread.

    `deleted`: the rows are keys of rows to delete.

    Raises:
        FrameError: A chunk came out larger than the API accepts.
    """
    file_format = FileFormat(schema, file_type, compression)
    sizer = ChunkSizer(chunk_bytes, None, None)
    source, number = iter(batches), 0
    while True:
        writer, rest = fill_chunk(source, file_format, sizer)
        if writer is None:
            break
        number += 1
        yield writer.finish(number, deleted=deleted)
        source = source if rest is None else chain([rest], source)
    if not number:
        yield encode_rows(None, file_format, deleted=deleted)


def fill_chunk(
    batches: Iterable[pa.RecordBatch], file_format: FileFormat, sizer: ChunkSizer
) -> tuple[ChunkWriter | None, pa.RecordBatch | None]:
    """Write rows until a chunk has its size.

    A file grows by row groups. The size of the next one follows from the bytes of the last one in
    the file, so the target is met whatever the values are. Several threads may share the sizer.

    Returns:
        The writer, to be finished, and the rest of the batch that was read last. No writer if there
        are no rows, or the open chunks of other threads take them.
    """
    writer: ChunkWriter | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        if writer is None:
            if sizer.all_rows_reserved:
                return None, batch
            writer = ChunkWriter(file_format, sizer)
        sizer.take(batch.num_rows)
        start, row_bytes = 0, batch_bytes(batch) / batch.num_rows
        while start < batch.num_rows:
            start += writer.write(batch, start, row_bytes)
            rest = batch.num_rows - start
            if writer.is_full(rest):
                return writer, batch.slice(start) if rest else None
    return writer, None


def estimate_row_bytes(batch: pa.RecordBatch, file_format: FileFormat) -> float | None:
    """Bytes of a row in a file, from the first row group of a batch."""
    row_bytes = batch_bytes(batch) / max(batch.num_rows, 1)
    rows = min(batch.num_rows, max(1, int(PROBE_BYTES / max(row_bytes, 1))))
    sizer = ChunkSizer(DEFAULT_CHUNK_BYTES, None, None)
    if batch.num_rows >= WORTH_ROWS:  # of fewer, the first row group shows more
        file_format.choose_encodings(pa.Table.from_batches([batch]))
    writer = ChunkWriter(replace(file_format), sizer)
    writer.write(batch.slice(0, rows), 0, row_bytes)
    writer.finish(1)
    return sizer.bytes_per_row
