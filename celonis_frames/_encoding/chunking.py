"""Arrow batches in, sized files out: chunks of one schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import pyarrow as pa

from celonis_frames._arrow.batching import weight
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._encoding.chunk_sizer import DEFAULT_CHUNK_BYTES, ChunkSizer
from celonis_frames._encoding.chunk_writer import PROBE_BYTES, ChunkWriter
from celonis_frames._encoding.file_format import FileFormat

__all__ = ["empty", "encode", "estimate_row_bytes", "fill"]


def encode(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    *,
    chunk_bytes: int | None = None,
    file_type: str = "PARQUET",
    compression: str = "snappy",
) -> Iterator[MemoryChunk]:
    """Chunks of about `chunk_bytes` each, the last one smaller, encoded in this thread.

    Args:
        batches: Rows of `schema`, in batches of bounded size.
        schema: Arrow schema of the files.
        chunk_bytes: Bytes of a chunk; None: 32 MB.
        file_type: ``"PARQUET"`` or ``"CSV"``.
        compression: Name of a Parquet codec.

    Raises:
        FrameError: A chunk came out larger than the API takes.
    """
    file_format = FileFormat(schema, file_type, compression)
    sizer = ChunkSizer(chunk_bytes, None, None)
    source, number = iter(batches), 0
    while True:
        file, rest = fill(source, file_format, sizer)
        if file is None:
            break
        number += 1
        yield file.finish(number)
        source = source if rest is None else chain([rest], source)
    if not number:
        yield empty(file_format)


def fill(
    batches: Iterable[pa.RecordBatch], style: FileFormat, sizes: ChunkSizer
) -> tuple[ChunkWriter | None, pa.RecordBatch | None]:
    """The next file, to be finished, and what is left of the batch that was taken last.

    A file grows by row groups; how many rows the next one takes follows from what the last one
    weighed in the file, so the size wished for is met whatever the data do.

    Args:
        batches: Rows of the style's schema, in batches of bounded size.
        style: What the file is.
        sizes: How large it should be; several threads may share it.

    Returns:
        No file where there are no rows, or they fall to the files that other threads have begun.
    """
    file: ChunkWriter | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        if file is None:
            if sizes.spoken_for:
                return None, batch
            file = ChunkWriter(style, sizes, batch)
        sizes.take(batch.num_rows)
        start, width = 0, weight(batch) / batch.num_rows
        while start < batch.num_rows:
            start += file.take(batch, start, width)
            rest = batch.num_rows - start
            if file.full(rest):
                return file, batch.slice(start) if rest else None
    return file, None


def empty(style: FileFormat, *, number: int = 1, deleted: bool = False) -> MemoryChunk:
    """The file of a frame without rows: it says what the columns are."""
    return ChunkWriter(style, ChunkSizer(1, None, None), None).finish(number, deleted=deleted)


def estimate_row_bytes(batch: pa.RecordBatch, style: FileFormat) -> float | None:
    """Bytes that a row has in a file, from the first rows."""
    width = weight(batch) / max(batch.num_rows, 1)
    rows = min(batch.num_rows, max(1, int(PROBE_BYTES / max(width, 1))))
    sizes = ChunkSizer(DEFAULT_CHUNK_BYTES, None, None)
    file = ChunkWriter(style, sizes, batch)
    file.take(batch.slice(0, rows), 0, width)
    file.finish(1)
    return sizes.weight
