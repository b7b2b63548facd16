"""Chunks that are made while they are taken, with a spool that gets full at any moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celonis_frames._encoding.chunk import Chunk, MemoryChunk
from celonis_frames._frames.chunk_feed import ChunkFeed, TextsOutgrown
from celonis_frames._staging.spool import ChunkSpool, MemoryBudget, SpoolFull
from celonis_frames._validation.text_lengths import TextWatch

CHUNKS = 8


def _bytes(number: int) -> bytes:
    return bytes([number]) * 100


class _Reading:
    """A feed of `CHUNKS` chunks, whose spool is full from the chunk `full` on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, full: int) -> None:
        self.spool, put = ChunkSpool(MemoryBudget(10_000)), ChunkSpool.put

        def limited(self: ChunkSpool, chunk: Chunk) -> Chunk:
            if chunk.rows >= full:
                raise SpoolFull("no room")
            return put(self, chunk)

        monkeypatch.setattr(ChunkSpool, "put", limited)
        self.watch, self.stopped = TextWatch(), threading.Event()
        self.may_make = threading.Semaphore(0)
        self.made = threading.Semaphore(0)
        self.feed = ChunkFeed(
            self._encode, self.stopped, slots=2, spool=self.spool, again=True, watch=self.watch
        )

    def _encode(
        self,
        on_chunk: Callable[[Chunk], None],
        acquire_slot: Callable[[], None],
        release_slot: Callable[[], None],
    ) -> None:
        for number in range(1, CHUNKS + 1):
            self.may_make.acquire()
            acquire_slot()
            chunk = (_bytes(number),)
            on_chunk(MemoryChunk(number, number, chunk, "PARQUET", on_release=release_slot))
            self.made.release()

    def make(self, count: int) -> None:
        """Let it make so many chunks more."""
        for _ in range(count):
            self.may_make.release()
            self.made.acquire(timeout=10)

    def take(self, place: int) -> Any:
        return self.feed.take(place, lambda: None)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], _Reading]]:
    """Makes feeds, and closes them."""
    made: list[_Reading] = []

    def make(full: int) -> _Reading:
        made.append(_Reading(monkeypatch, full))
        made[-1].feed.start()
        return made[-1]

    yield make
    for reading in made:
        reading.stopped.set()
        reading.may_make.release(100)
        reading.feed.close()
        reading.spool.close()


def test_chunks_of_a_job_before_stay_for_the_next(readings: Callable[[int], _Reading]) -> None:
    """What another job stored is not freed, if the spool gets full, before this one has it."""
    reading = readings(6)
    reading.make(4)
    for place in range(4):
        reading.take(place).release()
    assert reading.feed.rewind()  # another job
    reading.take(0).release()
    reading.make(2)
    for place in range(1, 6):
        chunk = reading.take(place)
        assert b"".join(chunk.blocks()) == _bytes(place + 1)
        chunk.release()
    assert not reading.feed.rewind()


def test_a_spool_that_gets_full_between_two_jobs(readings: Callable[[int], _Reading]) -> None:
    """The chunks that are gone are made again, not sent without their bytes."""
    reading = readings(4)
    reading.make(2)
    reading.take(0).release()
    reading.make(2)
    assert not reading.feed.keeps
    assert not reading.feed.rewind()


def test_a_spool_that_is_full_before_a_chunk_was_taken(
    readings: Callable[[int], _Reading],
) -> None:
    """Nothing was freed."""
    reading = readings(2)
    reading.make(2)
    assert reading.feed.rewind()
    assert [b"".join(reading.take(place).blocks()) for place in (0, 1)] == [_bytes(1), _bytes(2)]


def test_a_spool_that_gets_full_while_the_rest_is_only_read(
    readings: Callable[[int], _Reading],
) -> None:
    """Nobody takes a chunk then: reading waits for none."""
    reading = readings(3)
    reading.make(1)
    reading.watch.declare({"T": 80})
    reading.watch.update([("T", 90)])
    with pytest.raises(TextsOutgrown):
        reading.take(0)
    reading.may_make.release(CHUNKS)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        assert calls < 20, "it waits for ever"

    reading.feed.wait_for_end(check)
    assert reading.feed.ended
    assert not reading.feed.keeps
