"""Batches of a useful size: what comes in crumbs is gathered, what is too large is cut.

Each batch costs every later step some time for each column, however few its rows are, and as much
memory as it holds, however few it needs at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

BATCH_BYTES = 8_000_000
"""Arrow bytes of a batch: enough to keep a thread busy, few enough to hold several."""

BATCH_ROWS = 131_072
"""Most rows of one batch."""

_CRUMB_ROWS, _CRUMB_BYTES = 4_096, 1_000_000
_GATHERED_ROWS, _GATHERED_BYTES = 32_768, 4_000_000
_TOO_LARGE = 2
"""How many times the size wished for is let through: a guess at the source is often a bit low."""

Batches = Iterator[pa.RecordBatch]


def evened(batches: Batches) -> Batches:
    """The same rows in batches of a useful size; those without rows are left out.

    Slices of what is too large, not copies; only crumbs are copied.
    """
    crumbs: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        weight = nbytes(batch) if 0 < batch.num_rows < _CRUMB_ROWS else 0
        if not batch.num_rows:
            continue
        if 0 < weight < _CRUMB_BYTES:
            crumbs.append(batch)
            rows += batch.num_rows
            size += weight
            if rows < _GATHERED_ROWS and size < _GATHERED_BYTES:
                continue
            gathered, crumbs, rows, size = crumbs, [], 0, 0
            yield from _joined(gathered)
            continue
        if crumbs:
            gathered, crumbs, rows, size = crumbs, [], 0, 0
            yield from _joined(gathered)
        yield from _cut(batch)
    yield from _joined(crumbs)


def nbytes(data: Any) -> int:
    """Arrow bytes of a table or batch, a dictionary counted whole."""
    try:
        return int(data.nbytes)
    except pa.ArrowTypeError:  # views, in older versions: their buffers are counted whole
        return int(data.get_total_buffer_size())


def weight(batch: pa.RecordBatch) -> float:
    """Arrow bytes of a batch's rows, of a dictionary only as many values as there can be rows."""
    size = float(nbytes(batch))
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and len(column.dictionary) > batch.num_rows:
            spare = 1 - batch.num_rows / len(column.dictionary)
            size -= spare * nbytes(column.dictionary)
    return max(size, 1.0)


def fitting(rows: int, width: float) -> int:
    """How many of so many rows, each of `width` Arrow bytes, one batch should have."""
    return max(1, min(rows, BATCH_ROWS, int(BATCH_BYTES / max(width, 1))))


def _cut(batch: pa.RecordBatch) -> Batches:
    size = weight(batch)
    parts = max(size / BATCH_BYTES, batch.num_rows / BATCH_ROWS)
    if parts <= _TOO_LARGE or batch.num_rows == 1:
        yield batch
        return
    step = max(1, int(batch.num_rows / parts))
    for start in range(0, batch.num_rows, step):
        yield from _cut(batch.slice(start, step))  # whose rows may be wider than the others'


def _joined(crumbs: list[pa.RecordBatch]) -> Batches:
    if len(crumbs) < 2:
        yield from crumbs
        return
    try:
        yield from pa.Table.from_batches(crumbs).combine_chunks().to_batches()
    except pa.ArrowException:  # types that this pyarrow cannot join; dictionaries too large
        yield from crumbs
