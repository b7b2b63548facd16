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
    head = list(islice(batches, 2))
    if len(head) < 2:  # most frames are small: a thread costs more
        for batch in head:
            validator.convert(batch)
        return
    lock = threading.Lock()

    def work(items: _Batches) -> None:
        split = validator.split()
        for batch in items:
            split.convert(batch)
        with lock:
            validator.merge(split)

    feed(chain(head, batches), WorkerPool(work, threads=cpu_count(), queue_size=QUEUE_SIZE))
