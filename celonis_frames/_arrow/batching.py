"""Batches of a useful size: what comes in crumbs is gathered, what is too large is cut.

Each batch costs every later step some time for each column, however few its rows are, and as much
memory as it holds, however few it needs at a time.
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
is called for a batch takes Python's lock, and threads lose more by it the smaller batches are."""

_FEW_CORES = 4
"""With more, batches of `BATCH_BYTES` are enough: each core has one in work."""

BATCH_ROWS = 131_072
"""Rows of a batch, if they are narrow."""

_CRUMB_ROWS, _CRUMB_BYTES = 4_096, 1_000_000
_GATHERED_ROWS, _GATHERED_BYTES = 32_768, 4_000_000
_VIEWED = 3
"""Buffers of views that point to some data: whether they are valid, the views, and the data."""
TOO_LARGE = 2
"""How many times the size wished for is let through: a guess at the source is often a bit low."""

Batches = Iterator[pa.RecordBatch]


def rebatch(batches: Batches, most: int = BATCH_BYTES) -> Batches:
    """The same rows in batches of a useful size; those without rows are left out.

    Slices of what is too large, not copies; only crumbs are copied.

    Args:
        batches: The rows.
        most: Arrow bytes that a batch should have; up to twice as many are let through.
    """
    for batch in coalesce_small(batches):
        yield from _cut(batch, most)


def coalesce_small(batches: Batches) -> Batches:
    """The same rows with no crumbs among the batches; those without rows are left out."""
    crumbs: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        crumb = batch.num_rows < _CRUMB_ROWS
        weight = sum(map(_held, batch.columns)) if crumb else _CRUMB_BYTES
        if weight < _CRUMB_BYTES:
            crumbs.append(batch)
            rows += batch.num_rows
            size += weight
        if crumbs and (weight >= _CRUMB_BYTES or rows >= _GATHERED_ROWS or size >= _GATHERED_BYTES):
            together, crumbs, rows, size = crumbs, [], 0, 0
            yield from _joined(together)
        if weight >= _CRUMB_BYTES:
            yield batch
    yield from _joined(crumbs)


def taper(batches: Batches, rows: int, threads: int, least: int) -> Batches:
    """The same rows, the last ones in ever smaller batches, so that all threads end together.

    Args:
        batches: The rows.
        rows: How many there are.
        threads: How many share them out.
        least: Rows that are too few to be cut.
    """
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            step = max(least, rows // threads)
            part = batch.slice(start, step)
            start += step
            rows -= part.num_rows
            yield part


def nbytes(data: Any) -> int:
    """Arrow bytes of a table, batch or array, what its rows share counted whole."""
    try:
        return int(data.nbytes)
    except pa.ArrowTypeError:  # views, in older versions: their buffers are counted whole
        if not hasattr(data, "get_total_buffer_size"):
            data = data.__arrow_array__()  # what a pandas array is made of
        return int(data.get_total_buffer_size())


def weight(batch: pa.RecordBatch) -> float:
    """Arrow bytes of a batch's rows, of a dictionary only as many values as there can be rows."""
    size = 0.0
    for column in batch.columns:
        size += _held(column)
        if pa.types.is_dictionary(column.type) and len(column.dictionary) > batch.num_rows:
            spare = 1 - batch.num_rows / len(column.dictionary)
            size -= spare * nbytes(column.dictionary)
    return max(size, 1.0)


def _held(column: Any) -> int:
    """Arrow bytes of a column, of a view's data only what its rows point to."""
    if not is_view(column.type):
        return nbytes(column)
    size = 16 * len(column)
    if len(column.buffers()) < _VIEWED:
        return size  # all are so short that the views hold them
    for start in range(0, len(column), BATCH_ROWS):
        size += _viewed(column.slice(start, BATCH_ROWS))
    return size


def _viewed(column: Any) -> int:
    """Bytes of the data that views point to, those of nulls not counted."""
    # A view is four 32-bit numbers, of which the first is the length.
    numbers = pa.Array.from_buffers(
        pa.int32(), 4 * len(column), [None, column.buffers()[1]], offset=4 * column.offset
    )
    places = _every_fourth(1 << (len(column) - 1).bit_length())  # of few lengths, and kept
    lengths = numbers.take(places.slice(0, len(column)))
    if column.null_count:
        lengths = pc.multiply(lengths, column.is_valid().cast(pa.int32()))
    return pc.sum(lengths).as_py() or 0


@functools.cache
def _every_fourth(count: int) -> Any:
    # Python's own array: what makes an Arrow scalar of a number imports pandas, if it is there.
    places = array.array("i", range(0, 4 * count, 4))
    return pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(places)])


def _shared(column: Any) -> int:
    """Arrow bytes that every slice of a column is counted with, however few its rows.

    Such are a dictionary in a struct, the values of a dense union, the data of views in a list.
    """
    kind = column.type
    if is_view(kind) or pa.types.is_dictionary(kind):
        return 0  # which `weight` sees to
    return nbytes(column.slice(0, 0))


def wished(*, in_memory: bool) -> int:
    """Arrow bytes that a batch of a frame should have."""
    return SLICE_BYTES if in_memory and cpu_count() <= _FEW_CORES else BATCH_BYTES


def rows_per_batch(rows: int, width: float, most: int = BATCH_BYTES) -> int:
    """How many of so many rows, of `width` Arrow bytes each, a batch of `most` should have."""
    return max(1, min(rows, BATCH_ROWS, int(most / max(width, 1))))


def _cut(batch: pa.RecordBatch, most: int) -> Batches:
    shared = sum(map(_shared, batch.columns))
    yield from _pieces(batch, most, shared, shared / batch.num_rows)


def _pieces(batch: pa.RecordBatch, most: int, shared: int, share: float) -> Batches:
    """The batch in pieces that are not too large.

    Args:
        batch: The batch, or a piece of it.
        most: Bytes that a piece should have.
        shared: Bytes that are counted with each piece, whatever its rows.
        share: How many of these are a row's.
    """
    size = weight(batch) - shared + share * batch.num_rows
    parts = max(size / most, batch.num_rows / BATCH_ROWS)
    if parts <= TOO_LARGE or batch.num_rows == 1:
        yield batch
        return
    step = max(1, int(batch.num_rows / parts))
    for start in range(0, batch.num_rows, step):
        # Its rows may be wider than the others'.
        yield from _pieces(batch.slice(start, step), most, shared, share)


def _joined(crumbs: list[pa.RecordBatch]) -> Batches:
    if len(crumbs) < 2:
        yield from crumbs
        return
    try:
        yield from pa.Table.from_batches(crumbs).combine_chunks().to_batches()
    except pa.ArrowException:  # types that this pyarrow cannot join; dictionaries too large
        yield from crumbs
