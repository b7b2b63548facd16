"""Counts rows with duplicate keys, exactly and in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.casts import decoded

LIMIT_BYTES = 32_000_000
"""Arrow bytes of distinct keys that are kept: about two million keys of two numbers."""

_MIN_MERGED_ROWS = 262_144
"""Rows that are merged into the keys at a time, at least: a merge reads all keys."""


class DuplicateKeyCounter:
    """Counts rows whose key an earlier row has.

    New rows are merged into the distinct keys each time they are as many as these: that reads every
    key about twice. If the keys outgrow `LIMIT_BYTES`, counting stops and the memory is freed.
    Several threads may call `update`.
    """

    def __init__(self) -> None:
        self.rows = 0  # counted
        self.complete = True  # whether all rows were counted
        self._known: pa.Table | None = None
        self._waiting: list[pa.Table] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._repeated = 0
        self._lock = threading.Lock()

    def update(self, keys: Sequence[Any]) -> None:
        """Count rows, given as the arrays of their key columns."""
        part = pa.table([_groupable(array) for array in keys], list(map(str, range(len(keys)))))
        with self._lock:
            if not self.complete:
                return
            self._waiting.append(part)
            self._waiting_rows += part.num_rows
            self._waiting_bytes += part.nbytes
            known = 0 if self._known is None else self._known.num_rows
            enough = self._waiting_rows >= max(known, _MIN_MERGED_ROWS)
            if enough or self._waiting_bytes > LIMIT_BYTES:
                self._merge()

    @property
    def repeated(self) -> int:
        """Number of rows counted whose key an earlier row has."""
        with self._lock:
            if self._waiting:
                self._merge()
            return self._repeated

    def _merge(self) -> None:
        parts = self._waiting if self._known is None else [self._known, *self._waiting]
        together = pa.concat_tables(parts)
        self._known = together.group_by(together.column_names, use_threads=False).aggregate([])
        self._repeated += together.num_rows - self._known.num_rows
        self.rows += self._waiting_rows
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
        if self._known.nbytes > LIMIT_BYTES:
            self._known, self.complete = None, False


def _groupable(array: Any) -> Any:
    array = decoded(array)
    if pa.types.is_string(array.type):  # a later batch may have narrower offsets
        array = array.cast(pa.large_string())
    # A copy, so that a key does not keep its whole batch in memory.
    return pa.concat_arrays([array.slice(0, 0), array])
