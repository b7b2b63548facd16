"""Validates rows on all cores."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain, islice

import pyarrow as pa

from celonis_frames._concurrency.worker_pool import QUEUE_SIZE, WorkerPool, cpu_count, feed
from celonis_frames._validation.validator import FrameValidator

_Batches = Iterator[pa.RecordBatch]


def validate_parallel(batches: _Batches, validator: FrameValidator) -> None:
    """Validate all rows, read in this thread, in as many threads as there are cores.

    Raises:
        ColumnTypeError: A value does not fit its column's type.
    """
    numbered = _numbered(batches)
    head = list(islice(numbered, 2))
    if len(head) < 2:  # most frames are small: a thread costs more
        for start, batch in head:
            validator.convert(batch, start)
        return
    lock = threading.Lock()

    def work(items: Iterator[tuple[int, pa.RecordBatch]]) -> None:
        split = validator.split()
        for start, batch in items:
            split.convert(batch, start)
        with lock:
            validator.merge(split)

    feed(chain(head, numbered), WorkerPool(work, threads=cpu_count(), queue_size=QUEUE_SIZE))


def _numbered(batches: _Batches) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Each batch with the number of its first row."""
    start = 0
    for batch in batches:
        yield start, batch
        start += batch.num_rows
