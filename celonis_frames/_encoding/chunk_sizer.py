"""How large a push's files should be: few enough, soon on their way, and even after that."""

from __future__ import annotations

import math
import threading

MAX_CHUNK_BYTES = 1_000_000_000
"""Most bytes the API takes in one chunk."""

DEFAULT_CHUNK_BYTES = 64_000_000
"""What memory is planned for by the chunk where `chunk_bytes` does not say: twice the largest."""

LARGEST_BYTES = 32_000_000
"""Largest chunk that is made unless `chunk_bytes` says otherwise: cheap to send again."""

LEAST_BYTES = 8_000_000
"""Least chunk that is made of a larger frame unless `chunk_bytes` says otherwise, the first ones
aside."""

_PARTS = 32
"""A frame is cut into about so many chunks, if each has its least and most bytes: the first is
soon on its way, and no connection has long to send when the others are done."""
_OVER = 1.15
"""How much larger than wished a file may be with rows that compress worse than the last ones."""
MOST_BYTES = 0.95 * MAX_CHUNK_BYTES
"""But never larger than this."""
MORE = 1.08
"""How much larger than wished a file may become to take in what is left."""
_UNKNOWN_BYTES = 32_000_000
"""Size of the chunks of a stream whose length is not known."""
_PLANNED, _ROUNDED = 1.07, 1.1
"""How much larger than wished files may be planned, so that one fewer does, and may become, so that
the rows which rounding left over at the end of each do not make two small files of the last."""
_TAIL = 0.2
_SMALL = 0.25
"""How large files are that are made small, by the others."""


class ChunkSizer:
    """Says how large the next file should be; asked by several threads that write files.

    Where the number of rows is known, the files come out even, the last like all others, but for
    those that are to be small (`hasten`).

    Args:
        wish: Bytes of a finished file; None: what suits the whole.
        rows: Rows of the whole; None: not known.
        weight: Bytes of a row in the file, from a sample; None: not known yet.
        uploads: Uploads at a time: so that all end together, there are so many files or a multiple,
            besides small first ones, where no size was given.

    Attributes:
        wish: Bytes of a finished file; it may grow where none was given.
        weight: Bytes of a row, from the last rows written.
        value: The same without what a row group takes besides its values.
        count: How many files it will be by the sample, small first ones aside; None: not known.
    """

    def __init__(
        self, wish: int | None, rows: int | None, weight: float | None, *, uploads: int = 1
    ) -> None:
        self.weight = weight
        self.value: float | None = None
        self._rows = rows
        self._lock = threading.Lock()
        self._taken = self._done = self._reserved = 0
        self._begun = self._open = self._bytes = self._planned = 0
        self._free = wish is None
        self._largest = LARGEST_BYTES
        self._uploads = uploads
        whole = None if rows is None or weight is None else rows * weight
        if wish is None:
            wish = _UNKNOWN_BYTES if whole is None else _fair(whole, LEAST_BYTES)
        self.wish = wish
        self.count = None if whole is None else self._files(whole)
        self._small = 0

    def begin(self) -> tuple[int, int]:
        """Bytes that the next file should have, and how many of its rows that may be."""
        with self._lock:
            self._grow()
            share = float(self.wish)
            small = self._small > 0
            if small:
                self._small -= 1
                share *= _SMALL
            elif self._rows is not None and self.weight:
                left = self._left()
                if left > self.wish / 4:  # else what is left is less than could be told
                    share = left / self._files(left)
            rows = int(share / self.weight) if self.weight else 0
            self._reserved += rows
            self._begun += not small  # those come besides what is planned
            self._open += 1
            return max(1, int(share)), rows

    @property
    def most(self) -> float:
        """Bytes that a file may come to if its rows do not compress as those before them did."""
        return min(max(_OVER * self.wish, self._largest if self._free else 0), MOST_BYTES)

    def bound(self, most: int) -> None:
        """Let no file be wished larger than this, where no size was given."""
        self._largest = max(LEAST_BYTES, min(most, LARGEST_BYTES))

    def hasten(self, files: int) -> None:
        """Make so many of the first files small, so that sending soon begins.

        That is not done where a size was given, or there will be no more files than these.
        """
        if self._free and (self.count is None or self.count > files):
            self._small = files

    def take(self, rows: int) -> None:
        """So many rows more are in the hands of a thread that makes a file."""
        with self._lock:
            self._taken += rows

    def full(self, reserved: int, rows: int, rest: int, *, over: bool) -> bool:
        """Whether a file that has the size it should have ends here.

        It takes in what is too little for a file of its own, if no other file is there for it. Once
        it ends it is no longer open.

        Args:
            reserved: How many rows were foreseen for it.
            rows: How many it has.
            rest: How many of those in hand would be left.
            over: Whether it must end, since it is larger already.
        """
        with self._lock:
            if not over and self._open == 1 and self._little(rest):
                return False
            self._taken -= rest
            self._close(reserved, rows)
            return True

    def end(self, reserved: int, rows: int) -> None:
        """A file ends since there are no more rows, with `rows`, where `reserved` were foreseen."""
        with self._lock:
            self._close(reserved, rows)

    def add(self, size: int) -> None:
        """A file came out at so many bytes."""
        with self._lock:
            self._bytes += size

    @property
    def spoken_for(self) -> bool:
        """Whether the files that are being made take all that is left."""
        with self._lock:
            return self._open > 0 and self._left() <= (MORE - 1) * self.wish

    def _grow(self) -> None:
        """Wish for more where none was given and it comes to more than the sample told.

        Else a frame that begins with rows that weigh nothing would be cut into countless files.
        """
        if not self._free:
            return
        whole: float = self._bytes
        if self._rows is not None and self.weight:
            whole += max(0, self._rows - self._done) * self.weight
        self.wish = min(_fair(whole, self.wish), max(self.wish, self._largest))

    def _close(self, reserved: int, rows: int) -> None:
        self._reserved -= reserved
        self._done += rows
        self._open -= 1

    def _little(self, rest: int) -> bool:
        if self._rows is None or self.weight is None:
            return False
        return (self._rows - self._taken + rest) * self.weight <= _TAIL * self.wish

    def _left(self) -> float:
        """Bytes of the rows that no file has or is to have."""
        if self._rows is None or self.weight is None:
            return math.inf
        return (self._rows - self._done - self._reserved) * self.weight

    def _files(self, size: float) -> int:
        """How many files are still to be begun for so many bytes."""
        planned, rounded = (
            max(1.0, min(factor * self.wish, share * MAX_CHUNK_BYTES))
            for factor, share in ((_PLANNED, 0.87), (_ROUNDED, 0.9))
        )
        files = max(1, math.ceil(size / planned))
        if files == self._planned - self._begun + 1 and size <= (files - 1) * rounded:
            files -= 1
        together = self._begun + files
        if self._free and together > self._uploads:
            files += -together % self._uploads
        self._planned = self._begun + files
        return files


def _fair(whole: float, least: int) -> int:
    """Bytes of a file that suits so many in all."""
    return int(max(least, min(whole / _PARTS, LARGEST_BYTES)))
