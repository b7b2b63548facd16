"""The chunks of a frame, made by one thread and taken by another.

How it works: `run` reads and encodes the frame; it is called in the thread of the caller if the
frame's rows come from the caller's own code, else in a thread, ``celonis-read`` (`start`). Each
finished chunk is put at the next place, and `take` waits for the place it wants.

With a spool every chunk is kept, so that reading is never slower than the frame, and a second job
gets the same chunks. Without one a chunk is freed once it is released, and a semaphore of slots
bounds those that are open or not released. If the spool is full, a frame that can be read again
goes on without it.

Whatever ends `run` early is raised in `take`. `close` ends both, and waits for the reading thread
`JOIN_SECONDS` at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol

from celonis_frames._concurrency.worker_pool import JOIN_SECONDS, PoolStopped
from celonis_frames._encoding.chunk import Chunk
from celonis_frames._reporting.current import warn
from celonis_frames._staging.spool import ChunkSpool, SpoolFull
from celonis_frames._validation.text_lengths import TextWatch

_CHECK_SECONDS = 0.5
"""How often a thread that waits for a chunk calls `check`."""

_SLOT_POLL_SECONDS = 0.1
"""How often a worker that waits for a slot checks whether the feed was stopped."""

Check = Callable[[], None]


class Encode(Protocol):
    """Encodes all rows: see `ChunkEncoder.run`."""

    def __call__(
        self,
        on_chunk: Callable[[Chunk], None],
        acquire_slot: Callable[[], None],
        release_slot: Callable[[], None],
    ) -> None:
        """Pass each chunk to `on_chunk`, one at a time."""


class TextsOutgrown(Exception):  # no error: the push goes on with another job
    """A string is longer than its column was declared."""


class ChunkFeed:
    """The chunks of one reading of a frame.

    Args:
        encode: Reads and encodes the rows; raises `PoolStopped` once `stopped` is set.
        stopped: Set here once no more rows are needed, and by a worker that fails.
        slots: Chunks that may be open or not released, if they are not kept.
        spool: Keeps the chunks; None: they are freed as they are released.
        again: Whether the frame can be read again.
        watch: Compares the lengths of texts with those declared; None: they are certain.

    Attributes:
        keeps: Whether all chunks so far are kept.
    """

    def __init__(
        self,
        encode: Encode,
        stopped: threading.Event,
        *,
        slots: int,
        spool: ChunkSpool | None,
        again: bool,
        watch: TextWatch | None = None,
    ) -> None:
        self.keeps = spool is not None
        self._encode, self._stopped = encode, stopped
        self._spool, self._again, self._watch = spool, again, watch
        self._slots = threading.Semaphore(slots)
        self._changed = threading.Condition()
        self._made: dict[int, Chunk] = {}
        self._count = 0
        self._ended = self._taken = self._only_read = False
        self._error: BaseException | None = None
        self._reader: threading.Thread | None = None
        if watch is not None:
            watch.on_change = self._notify

    def start(self) -> None:
        """Begin to read in a thread, unless it has begun."""
        if self._reader is not None:
            return
        reader = threading.Thread(
            target=copy_context().run, args=(self.run,), name="celonis-read", daemon=True
        )
        reader.start()
        self._reader = reader

    def run(self) -> None:
        """Read and encode all rows in this thread; an error is raised in `take`."""
        try:
            self._encode(self._put, self._acquire_slot, self._release_slot)
        except BaseException as error:
            self.fail(error)
            return
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """End with an error, unless there is one already."""
        self._stopped.set()
        with self._changed:
            self._error, self._ended = self._error or error, True
            self._changed.notify_all()

    def take(self, place: int, check: Check) -> Chunk | None:
        """The chunk at a place, which counts from 0; None if there are no more.

        `check` is called now and then while it is awaited, and may raise.

        Raises:
            TextsOutgrown: A string is longer than its column was declared.
            BaseException: What ended `run`.
        """
        self._wait(lambda: place in self._made or self._outgrown, check)
        with self._changed:
            if self._outgrown:
                raise TextsOutgrown
            self._taken = True
            return self._made.get(place) if self.keeps else self._made.pop(place, None)

    def rewind(self) -> bool:
        """Keep all chunks for another job; returns whether the first can still be taken."""
        with self._changed:
            if self.keeps and self._spool is not None:
                self._spool.keep_released()
                self._taken = False
            return not self._taken

    def wait_for_end(self, check: Check) -> None:
        """Wait until all rows were read; raises as `take`.

        If their chunks are not kept, they are not made any more.
        """
        with self._changed:
            self._only_read = True
            if self._discards:
                self._made.clear()
        self._wait(lambda: False, check)

    def close(self) -> None:
        """End the reading; what the spool has stays, since it may still be sent."""
        self._stopped.set()
        if self._reader is not None:
            self._reader.join(JOIN_SECONDS)
        self._error = None  # its traceback refers to this feed
        self._made.clear()

    @property
    def ended(self) -> bool:
        """Whether all rows were read, without an error."""
        return self._ended and self._error is None

    @property
    def _outgrown(self) -> bool:
        return self._watch is not None and self._watch.outgrown

    @property
    def _discards(self) -> bool:
        """Whether rows are read, but their chunks are neither kept nor taken."""
        return self._only_read and not self.keeps

    def _wait(self, condition: Callable[[], bool], check: Check) -> None:
        while True:
            with self._changed:
                found = condition()
                if not found and self._error is not None:
                    raise self._error
                if found or self._ended:
                    return
                self._changed.wait(_CHECK_SECONDS)
            check()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _acquire_slot(self) -> None:
        while not (self.keeps or self._discards or self._slots.acquire(timeout=_SLOT_POLL_SECONDS)):
            if self._stopped.is_set():
                raise PoolStopped

    def _release_slot(self) -> None:
        if not self.keeps:
            self._slots.release()

    def _stop_keeping(self, spool: ChunkSpool) -> None:
        with self._changed:
            self.keeps = False
            spool.stop_keeping()
            if self._discards:
                self._made.clear()
        then = "the frame is read again" if self._discards else "reading waits for sending"
        warn("no room for all chunks in the temporary folder: %s", then)

    def _put(self, chunk: Chunk) -> None:
        if self._discards:
            return
        kept = chunk
        if self.keeps and self._spool is not None:
            try:
                kept = self._spool.put(chunk)
                chunk.release()
            except SpoolFull:
                if not self._again:
                    raise
                self._stop_keeping(self._spool)
        with self._changed:
            if self._discards:
                return
            self._made[self._count] = kept
            self._count += 1
            self._changed.notify_all()
