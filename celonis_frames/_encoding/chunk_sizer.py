"""The size of each chunk: few requests, an early first upload, and even sizes after that."""

from __future__ import annotations

import math
import threading

MAX_CHUNK_BYTES = 1_000_000_000
"""Largest chunk that the API accepts."""

DEFAULT_CHUNK_BYTES = 64_000_000
"""Memory planned for a chunk if `chunk_bytes` is not given: more than twice the largest, since the
bytes of a file are estimated."""

MAX_AUTO_BYTES = 24_000_000
"""Size up to which chunks are planned unless `chunk_bytes` is given: cheap to send again."""

MIN_AUTO_BYTES = 8_000_000
"""Smallest chunk of a larger frame unless `chunk_bytes` is given, the first ones aside: a request
then costs little beside its bytes."""

MAX_PLANNED_BYTES = 0.95 * MAX_CHUNK_BYTES
"""Largest chunk that is aimed at: the size of a file is known only after each row group."""

REST_GROWTH = 1.08
"""Growth of a chunk over its target to take in the last rows."""

_AUTO_CHUNKS = 32
"""Chunks that a frame is cut into between `MIN_AUTO_BYTES` and `MAX_AUTO_BYTES`: the first is sent
early, and at the end no connection has much to send when the others are done. For the same reason
a chunk of a stream, whose length is not known, is a part of what was made before it, if several are
sent at a time."""

_MAX_GROWTH = 1.15
"""Growth over the target if rows compress worse than those before them."""

_PLANNED_GROWTH, _PLANNED_LIMIT = 1.07, 0.87 * MAX_CHUNK_BYTES
"""Growth over the target, and bytes, up to which larger chunks are planned to save one."""

_ROUNDING_GROWTH, _ROUNDING_LIMIT = 1.1, 0.9 * MAX_CHUNK_BYTES
"""The same for one chunk less than planned: the rows that each chunk leaves over by rounding would
else make two small ones of the last."""

_MIN_PLANNED_SHARE = 0.25
"""Share of the target below which rows that are left are not planned: the estimate is coarser."""

_SMALL_REST_SHARE = 0.2
"""Share of the target that is too little for a chunk of its own."""

_FIRST_SHARE = 0.25
"""Size of the small first chunks, as a share of the others."""


class ChunkSizer:
    """Decides the size of the next chunk, for the threads that write chunks at the same time.

    If the number of rows is known, all chunks get the same size, the last one too, except for small
    first ones (`start_small`). If no `target_bytes` are given, they are chosen by the bytes of the
    frame and may grow, and the number of chunks, small first ones aside, is a multiple of the
    parallel `uploads`, so that all uploads end at the same time. If the number of rows is not
    known, chunks grow with what was made; with one upload at a time, where each costs a round trip,
    they are as large as they may be.

    Attributes:
        bytes_per_row: Bytes of a row in a file, from a sample, then from the rows written last;
            None: not known yet.
        value_bytes_per_row: The same without the overhead of a row group.
        expected_chunks: Number of chunks by the sample, small first ones aside; None: not known.
    """

    def __init__(
        self,
        target_bytes: int | None,
        rows: int | None,
        bytes_per_row: float | None,
        *,
        uploads: int = 1,
    ) -> None:
        self.bytes_per_row = bytes_per_row
        self.value_bytes_per_row: float | None = None
        self._rows = rows
        self._lock = threading.Lock()
        self._rows_taken = self._rows_done = self._rows_reserved = 0
        self._begun = self._open = self._bytes = self._planned = 0
        self._is_auto = target_bytes is None
        self._max_auto_bytes = MAX_AUTO_BYTES
        self._uploads = uploads
        total = None if rows is None or bytes_per_row is None else rows * bytes_per_row
        if target_bytes is None:
            target_bytes = MAX_AUTO_BYTES
            if total is not None or (rows is None and uploads > 1):
                target_bytes = _auto_bytes(total or 0, MIN_AUTO_BYTES)
        self.target_bytes = target_bytes
        self.expected_chunks = None if total is None else self._plan(total)
        self._small_first = 0

    def begin(self) -> tuple[int, int]:
        """Begin a chunk: its target size in bytes, and its number of rows by the estimate."""
        with self._lock:
            self._grow()
            target = float(self.target_bytes)
            small = self._small_first > 0
            if small:
                self._small_first -= 1
                target *= _FIRST_SHARE
            elif self._rows is not None and self.bytes_per_row:
                left = self._bytes_left()
                if left > _MIN_PLANNED_SHARE * self.target_bytes:
                    target = left / self._plan(left)
            rows = int(target / self.bytes_per_row) if self.bytes_per_row else 0
            self._rows_reserved += rows
            self._begun += not small  # small ones come on top of the plan
            self._open += 1
            return max(1, int(target)), rows

    @property
    def max_bytes(self) -> float:
        """Largest size of a chunk whose rows compress worse than those before them."""
        limit = self._max_auto_bytes if self._is_auto else 0
        return min(max(_MAX_GROWTH * self.target_bytes, limit), MAX_PLANNED_BYTES)

    def all_fit(self, row_bytes: float) -> bool:
        """Whether one chunk has room for all rows, each of `row_bytes` if nothing compresses."""
        return self._rows is not None and self._rows * row_bytes <= self.target_bytes

    def cap(self, max_bytes: int) -> None:
        """Limit the target size, if none was given."""
        self._max_auto_bytes = max(MIN_AUTO_BYTES, min(max_bytes, MAX_AUTO_BYTES))

    def start_small(self, chunks: int) -> None:
        """Make the first chunks small, so that uploading starts early.

        Not if a size was given, or if there will be no more chunks than these.
        """
        expected = math.inf if self._rows is None else self.expected_chunks or 1
        if self._is_auto and expected > chunks:
            self._small_first = chunks

    def take(self, rows: int) -> None:
        """Count rows that a thread has taken for its chunk."""
        with self._lock:
            self._rows_taken += rows

    def close_full(self, reserved: int, rows: int, rest: int, *, oversized: bool) -> bool:
        """Close a chunk that has reached its target; False if it takes in the last rows first.

        It does so if they are too few for a chunk of their own, no other chunk is open and this one
        is not `oversized` already. It has `rows` of those that `begin` `reserved`; `rest` were
        taken and are not in it.
        """
        with self._lock:
            if not oversized and self._open == 1 and self._is_small_rest(rest):
                return False
            self._rows_taken -= rest
            self._close(reserved, rows)
            return True

    def close(self, reserved: int, rows: int) -> None:
        """Close a chunk because there are no more rows."""
        with self._lock:
            self._close(reserved, rows)

    def record_size(self, size: int) -> None:
        """Count the bytes of a finished chunk."""
        with self._lock:
            self._bytes += size

    @property
    def all_rows_reserved(self) -> bool:
        """Whether the open chunks take all rows that are left."""
        with self._lock:
            return self._open > 0 and self._bytes_left() <= (REST_GROWTH - 1) * self.target_bytes

    def _grow(self) -> None:
        """Raise the target, if none was given, with what was made of a stream.

        Or if the frame is larger than the sample suggested: else one that begins with rows of
        hardly any bytes would be cut into countless chunks.
        """
        if not self._is_auto:
            return
        total: float = self._bytes
        if self._rows is not None and self.bytes_per_row:
            total += max(0, self._rows - self._rows_done) * self.bytes_per_row
        limit = max(self.target_bytes, self._max_auto_bytes)
        self.target_bytes = min(_auto_bytes(total, self.target_bytes), limit)

    def _close(self, reserved: int, rows: int) -> None:
        self._rows_reserved -= reserved
        self._rows_done += rows
        self._open -= 1

    def _is_small_rest(self, rest: int) -> bool:
        if self._rows is None or self.bytes_per_row is None:
            return False
        size = (self._rows - self._rows_taken + rest) * self.bytes_per_row
        return size <= _SMALL_REST_SHARE * self.target_bytes

    def _bytes_left(self) -> float:
        """Bytes of the rows that are in no chunk and reserved for none."""
        if self._rows is None or self.bytes_per_row is None:
            return math.inf
        return (self._rows - self._rows_done - self._rows_reserved) * self.bytes_per_row

    def _plan(self, size: float) -> int:
        """How many chunks to begin for these bytes."""
        planned = max(1.0, min(_PLANNED_GROWTH * self.target_bytes, _PLANNED_LIMIT))
        rounded = max(1.0, min(_ROUNDING_GROWTH * self.target_bytes, _ROUNDING_LIMIT))
        chunks = max(1, math.ceil(size / planned))
        if chunks == self._planned - self._begun + 1 and size <= (chunks - 1) * rounded:
            chunks -= 1
        total = self._begun + chunks
        if self._is_auto and total > self._uploads:
            chunks += -total % self._uploads
        self._planned = self._begun + chunks
        return chunks


def stream_chunks(total: float, *, uploads: int) -> int:
    """How many chunks a stream of so many bytes becomes, small first ones aside."""
    sizer, made, chunks = ChunkSizer(None, None, None, uploads=uploads), 0, 0
    while made < total:
        size, _ = sizer.begin()
        sizer.record_size(size)
        made, chunks = made + size, chunks + 1
    return chunks


def _auto_bytes(total: float, least: int) -> int:
    """Target size for a frame of this many bytes."""
    return int(max(least, min(total / _AUTO_CHUNKS, MAX_AUTO_BYTES)))
