"""A frame that fits into one row group: one chunk, converted, validated and encoded in this thread.

Most frames are small. Threads, a queue and estimated sizes would take longer than the encoding.
"""

from __future__ import annotations

import pyarrow as pa

from celonis_frames._arrow.batching import arrow_bytes, batch_bytes
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._encoding.chunk_writer import PROBE_BYTES, file_writer
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._validation.validator import FrameValidator

MAX_CELLS = 100_000
"""Largest number of values of a small frame: even as CSV text they are far smaller than a chunk."""


def is_small(batch: pa.RecordBatch, target_bytes: int | None) -> bool:
    """Whether these rows can be a chunk of their own, if there are no others.

    `target_bytes` are those of a chunk, if the user gave them.
    """
    room = PROBE_BYTES if target_bytes is None else min(PROBE_BYTES, target_bytes // 4)
    if batch.num_rows * batch.num_columns > MAX_CELLS:
        return False
    # The bytes of whole buffers are known at once; of a slice they can be far too many.
    return arrow_bytes(batch) <= room or batch_bytes(batch) <= room


def encode_small(
    batch: pa.RecordBatch | None,
    file_format: FileFormat,
    validator: FrameValidator,
    *,
    target_bytes: int | None,
    number: int,
    deleted: bool,
) -> MemoryChunk | None:
    """All rows of a frame as one chunk; None if they are not small once converted.

    No `batch`: there are no rows. The `validator` has their statistics then, also if there is no
    chunk.

    Raises:
        ColumnTypeError: A value does not fit its column's type.
    """
    converted = None
    if batch is not None:
        converted = validator.convert(batch)
        if not is_small(converted, target_bytes):
            return None
    return encode_rows(converted, file_format, number=number, deleted=deleted)


def encode_rows(
    rows: pa.RecordBatch | None, file_format: FileFormat, *, number: int = 1, deleted: bool = False
) -> MemoryChunk:
    """One chunk of converted rows. Without any its schema alone makes the columns of the table."""
    table = None if not rows else pa.Table.from_batches([rows])
    if table is not None:
        file_format.choose_encodings(table)
    sink = pa.BufferOutputStream()
    writer = file_writer(sink, file_format)
    if table is not None:
        writer.write_table(table)
    writer.close()
    return MemoryChunk(
        number,
        0 if rows is None else rows.num_rows,
        (sink.getvalue().to_pybytes(),),
        file_format.file_type,
        deleted=deleted,
    )
