"""Batches of a useful size: small ones are joined, large ones are cut.

Each batch costs every later step some time per column, however few its rows are, and as much memory
as it holds.
"""

from __future__ import annotations

import array
import functools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow.casts import is_view
from celonis_frames._concurrency.worker_pool import cpu_count

BATCH_BYTES = 8_000_000
"""Arrow bytes of a batch: enough to keep a thread busy, few enough to hold several."""

SLICE_BYTES = 16_000_000
"""The same for frames in memory, of which most columns are slices and no copies: every kernel that
is called for a batch takes the GIL, and threads lose more by it the smaller batches are."""

COLUMN_BYTES = 16_000
"""Arrow bytes that a batch may have for each column, if these are more: to call a kernel costs as
much as to process some thousand bytes, and batches that are short because rows are wide would be
called for with each column, so that the work would grow with the square of the columns."""

_FEW_CORES = 4
"""With more, batches of `BATCH_BYTES` are enough: each core has one in work."""

BATCH_ROWS = 131_072
"""Rows of a batch of narrow rows."""

_SMALL_ROWS, _SMALL_BYTES = 4_096, 1_000_000
"""A batch with fewer rows and fewer bytes is joined with the next ones."""

_JOINED_ROWS, _JOINED_BYTES = 32_768, 4_000_000
"""Rows or bytes at which joined batches are enough: to join copies them."""

_BUFFERS_OF_LONG_VIEWS = 3
"""Buffers of views that point to data: validity, views, data. Short values are in the views."""

_VIEW_BYTES = 16
"""Bytes of a view, whose first four are the length of its value."""

MAX_OVERSIZE = 2
"""How many times its target size a batch may have before it is cut: estimates are often low."""

Batches = Iterator[pa.RecordBatch]


def rebatch(batches: Batches, target_bytes: int = BATCH_BYTES) -> Batches:
    """The same rows in batches of a useful size; batches without rows are dropped.

    Batches of more than twice the target are sliced; only small ones are copied.
    """
    for batch in coalesce_small(batches):
        shared = sum(map(_shared_bytes, batch.columns))
        target = wide_target(target_bytes, batch.num_columns)
        yield from _cut(batch, target, shared, shared / batch.num_rows)


def coalesce_small(batches: Batches) -> Batches:
    """The same rows without small batches; batches without rows are dropped."""
    small: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        few = batch.num_rows < _SMALL_ROWS
        column_bytes = sum(map(_column_bytes, batch.columns)) if few else _SMALL_BYTES
        if is_small := column_bytes < _SMALL_BYTES:
            small.append(batch)
            rows += batch.num_rows
            size += column_bytes
        if small and (not is_small or rows >= _JOINED_ROWS or size >= _JOINED_BYTES):
            together, small, rows, size = small, [], 0, 0
            yield from _join(together)
        if not is_small:
            yield batch
    yield from _join(small)


def taper(batches: Batches, rows: int, threads: int, min_rows: int) -> Batches:
    """The same `rows`, the last ones in ever smaller batches, so that all threads end together."""
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            step = max(min_rows, rows // threads)
            part = batch.slice(start, step)
            start += step
            rows -= part.num_rows
            yield part


def arrow_bytes(data: Any) -> int:
    """Arrow bytes of a table, batch or array; data that its rows share is counted whole."""
    try:
        return int(data.nbytes)
    except pa.ArrowTypeError:  # views, in older versions: their buffers are counted whole
        if not hasattr(data, "get_total_buffer_size"):
            data = data.__arrow_array__()  # of a pandas array
        return int(data.get_total_buffer_size())


def batch_bytes(batch: pa.RecordBatch) -> float:
    """Arrow bytes of a batch, of a dictionary no more values than there are rows."""
    size = 0.0
    for column in batch.columns:
        size += _column_bytes(column)
        if pa.types.is_dictionary(column.type) and len(column.dictionary) > batch.num_rows:
            unused_share = 1 - batch.num_rows / len(column.dictionary)
            size -= unused_share * arrow_bytes(column.dictionary)
    return max(size, 1.0)


def _column_bytes(column: Any) -> int:
    """Arrow bytes of a column, of views only the data that its rows point to."""
    if not is_view(column.type):
        return arrow_bytes(column)
    size = _VIEW_BYTES * len(column)
    if len(column.buffers()) < _BUFFERS_OF_LONG_VIEWS:
        return size
    for start in range(0, len(column), BATCH_ROWS):
        size += pc.sum(_view_lengths(column.slice(start, BATCH_ROWS))).as_py() or 0
    return size


def longest_view(column: Any) -> int:
    """Bytes of the longest value of a column of views."""
    parts = (column.slice(start, BATCH_ROWS) for start in range(0, len(column), BATCH_ROWS))
    return max((pc.max(_view_lengths(part)).as_py() or 0 for part in parts), default=0)


def _view_lengths(column: Any) -> Any:
    """Bytes of each value of a column of views, of nulls 0."""
    # A view is four 32-bit numbers, of which the first is the length.
    numbers = pa.Array.from_buffers(
        pa.int32(), 4 * len(column), [None, column.buffers()[1]], offset=4 * column.offset
    )
    # Rounded up to a power of two, so that few arrays are cached.
    positions = _every_fourth(1 << (len(column) - 1).bit_length())
    lengths = numbers.take(positions.slice(0, len(column)))
    if column.null_count:
        lengths = pc.multiply(lengths, column.is_valid().cast(pa.int32()))
    return lengths


@functools.cache
def _every_fourth(count: int) -> Any:
    # Python's own array: making an Arrow scalar of a number imports pandas, if it is installed.
    positions = array.array("i", range(0, 4 * count, 4))
    return pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(positions)])


def _shared_bytes(column: Any) -> int:
    """Arrow bytes that are counted with every slice of a column, however few its rows.

    Such are a dictionary in a struct, the values of a dense union, the data of views in a list.
    """
    if is_view(column.type) or pa.types.is_dictionary(column.type):
        return 0  # `batch_bytes` counts a part of them
    return arrow_bytes(column.slice(0, 0))


def target_batch_bytes(*, in_memory: bool) -> int:
    """Arrow bytes that a batch of a frame should have, unless it has very many columns."""
    return SLICE_BYTES if in_memory and cpu_count() <= _FEW_CORES else BATCH_BYTES


def wide_target(target_bytes: int, columns: int) -> int:
    """Arrow bytes that a batch of so many columns should have."""
    return max(target_bytes, COLUMN_BYTES * columns)


def rows_per_batch(
    rows: int, row_bytes: float, target_bytes: int = BATCH_BYTES, *, columns: int
) -> int:
    """Rows of a batch of `target_bytes`, of `rows` with `row_bytes` Arrow bytes each."""
    target = wide_target(target_bytes, columns)
    return max(1, min(rows, BATCH_ROWS, int(target / max(row_bytes, 1))))


def _cut(batch: pa.RecordBatch, target_bytes: int, shared: int, share: float) -> Batches:
    """The batch in slices that are not too large.

    `shared` bytes are counted with each slice, whatever its rows; `share` are those of one row.
    """
    size = batch_bytes(batch) - shared + share * batch.num_rows
    parts = max(size / target_bytes, batch.num_rows / BATCH_ROWS)
    if parts <= MAX_OVERSIZE or batch.num_rows == 1:
        yield batch
        return
    step = max(1, int(batch.num_rows / parts))
    for start in range(0, batch.num_rows, step):
        # The rows of this slice may be wider than the others.
        yield from _cut(batch.slice(start, step), target_bytes, shared, share)


def _join(batches: list[pa.RecordBatch]) -> Batches:
    if len(batches) < 2:
        yield from batches
        return
    try:
        yield from pa.Table.from_batches(batches).combine_chunks().to_batches()
    except pa.ArrowException:  # types that this pyarrow cannot join; dictionaries too large
        yield from batches
