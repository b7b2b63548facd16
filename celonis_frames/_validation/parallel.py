"""Validate a source with all cores."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain, islice

import pyarrow as pa

from celonis_frames._concurrency.worker_pool import QUEUE_SIZE, WorkerPool, cpu_count, feed
from celonis_frames._validation.validator import FrameValidator

__all__ = ["validate_parallel"]

_Batches = Iterator[pa.RecordBatch]


def validate_parallel(batches: _Batches, measure: FrameValidator) -> None:
    """Look at all rows, in as many threads as there are cores.

    Args:
        batches: They are read in this thread.
        measure: Where the findings are brought together.

    Raises:
        ColumnTypeError: A value does not fit its column's type.
    """
    head = list(islice(batches, 2))
    if len(head) < 2:  # most frames are small: no thread is worth its start
        for batch in head:
            measure.update(batch)
        return
    lock = threading.Lock()

    def look(items: _Batches) -> None:
        part = measure.part()
        for batch in items:
            part.update(batch)
        with lock:
            measure.add(part)

    feed(chain(head, batches), WorkerPool(look, threads=cpu_count(), queue_size=QUEUE_SIZE))
