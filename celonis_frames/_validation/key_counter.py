"""Counts rows with duplicate keys, exactly and in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._validation.key_digest import key_digests

LIMIT_BYTES = 32_000_000
"""Bytes of the digests of distinct keys that are kept: two million, or four of numbers."""

_MIN_MERGED_ROWS = 262_144
"""Rows that are merged into the keys at a time, at least: a merge reads all keys."""
_PART_ROWS = 131_072
"""Rows that are grouped at a time, about: Arrow's hash table takes some 100 bytes for each."""
_MAX_PARTS = 32
"""Parts into which the digests are divided by their first bits, at most."""


class DuplicateKeyCounter:
    """Counts rows whose key an earlier row has.

    Only digests of the keys are kept (see `key_digest`). New ones are merged into the distinct ones
    each time they are as many as these: that reads every digest about twice. If the digests outgrow
    `LIMIT_BYTES`, counting stops and the memory is freed; if they are not `bounded`, they grow with
    the distinct keys. Several threads may call `update`.
    """

    def __init__(self, *, bounded: bool = True) -> None:
        self._bounded = bounded
        self.rows = 0  # counted
        self.complete = True  # whether all rows were counted
        self.in_parts = 0  # parts with rows that other counters have counted, each by itself
        self._known: list[pa.Table] = []  # parts by the first bits of the digests, 2^n of them
        self._waiting: list[pa.Table] = []
        self._waiting_rows = self._waiting_bytes = 0
        self._repeated = 0
        self._lock = threading.Lock()

    def copied(self) -> DuplicateKeyCounter:
        """A counter that has counted the same rows."""
        found = DuplicateKeyCounter(bounded=self._bounded)
        with self._lock:
            for name, value in vars(self).items():
                if name != "_lock":
                    setattr(found, name, list(value) if isinstance(value, list) else value)
        return found

    def add_part(self, rows: int, repeated: int, *, complete: bool) -> None:
        """Add what another counter has counted, whose keys are not compared with others."""
        with self._lock:
            self.rows += rows
            self._repeated += repeated
            self.complete = self.complete and complete
            self.in_parts += rows > 0

    def update(self, keys: Sequence[Any]) -> None:
        """Count rows, given as the arrays of their key columns."""
        if not self.complete:
            return
        digests = key_digests(keys)
        part = pa.table(digests, list(map(str, range(len(digests)))))
        with self._lock:
            if not self.complete:
                return
            self._waiting.append(part)
            self._waiting_rows += part.num_rows
            self._waiting_bytes += part.nbytes
            known = sum(part.num_rows for part in self._known)
            enough = self._waiting_rows >= max(known, _MIN_MERGED_ROWS)
            if enough or self._outgrown(self._waiting_bytes):
                self._merge()

    @property
    def repeated(self) -> int:
        """Number of rows counted whose key an earlier row has."""
        with self._lock:
            if self._waiting:
                self._merge()
            return self._repeated

    @property
    def different(self) -> int:
        """Number of distinct keys of the rows counted."""
        repeated = self.repeated  # counts those that wait
        return self.rows - repeated

    def _merge(self) -> None:
        """Group part by part, so that Arrow's hash table stays small."""
        waiting = pa.concat_tables(self._waiting)
        known = sum(part.num_rows for part in self._known)
        bits = min((known + waiting.num_rows) // _PART_ROWS, _MAX_PARTS - 1).bit_length()
        if len(self._known) != 1 << bits:
            self._known = list(_parts(pa.concat_tables([waiting.slice(0, 0), *self._known]), bits))
        for place, part in enumerate(_parts(waiting, bits)):
            together = pa.concat_tables([self._known[place], part])
            distinct = together.group_by(together.column_names, use_threads=False).aggregate([])
            self._repeated += together.num_rows - distinct.num_rows
            self._known[place] = distinct
        self.rows += self._waiting_rows
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0
        if self._outgrown(sum(part.nbytes for part in self._known)):
            self._known, self.complete = [], False

    def _outgrown(self, size: int) -> bool:
        return self._bounded and size > LIMIT_BYTES


def _parts(digests: pa.Table, bits: int) -> Iterator[pa.Table]:
    """The rows by the first bits of their first numbers."""
    if not bits:
        yield digests
        return
    place = pc.shift_right(digests.column(0), pa.scalar(64 - bits, pa.uint64()))
    for number in range(1 << bits):
        yield digests.filter(pc.equal(place, pa.scalar(number, pa.uint64())))
