"""Rows become files in several threads: each row once, whoever is slow and whatever fails."""

from __future__ import annotations

import collections
import io
import itertools
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leaks import push_threads

from celonis_frames import Celonis
from celonis_frames._encoding import encoder
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._encoding.column_encodings import ColumnEncodings
from celonis_frames._encoding.encoder import ChunkEncoder, sample_row_bytes
from celonis_frames._encoding.file_format import FileFormat
from celonis_frames._frames.chunk_feed import ChunkFeed
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.table_layout import TableLayout
from celonis_frames._validation.parallel import validate_parallel
from celonis_frames.exceptions import ColumnTypeError, FrameError

ROOM = 1_000_000_000


@pytest.fixture(params=[1, 4])
def some_cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """As many threads as this machine might allow."""
    monkeypatch.setattr(encoder, "cpu_count", lambda: request.param)
    return int(request.param)


def _rows(chunk: MemoryChunk) -> list[int]:
    data = pq.read_table(io.BytesIO(b"".join(chunk.blocks())))
    assert data.num_rows == chunk.rows
    return [int(n) for n in data["N"].to_pylist()]


def _batches(sizes: list[int], *, noisy: bool) -> list[pa.RecordBatch]:
    noise = random.Random(1)  # noqa: S311  # the same each time
    found, start = [], 0
    for size in sizes:
        texts = [noise.randbytes(60).hex() if noisy else "x" for _ in range(size)]
        found.append(pa.record_batch({"N": range(start, start + size), "T": texts}))
        start += size
    return [batch.cast(pa.schema({"N": pa.int64(), "T": pa.string()})) for batch in found]


def _encoding_of(batches: list[pa.RecordBatch], **options: Any) -> tuple[ChunkEncoder, Any]:
    prepared = prepare(batches[0], "T", PushOptions.parse(mode="REPLACE"))
    return ChunkEncoder(
        FileFormat(prepared.layout.encoded_schema), memory_limit=ROOM, **options
    ), prepared.measure


def _stream(
    encoding: ChunkEncoder, source: Callable[[], Iterator[Any]], slots: int, measure: Any
) -> Generator[Any]:
    """The chunks as a thread makes them, none of which is kept."""

    def encode(*passed: Any) -> None:
        encoding.run(source(), passed[0], measure, *passed[1:])

    feed = ChunkFeed(encode, encoding.stopped, slots=slots, spool=None, again=True)
    feed.start()
    place = itertools.count()
    try:
        while (chunk := feed.take(next(place), lambda: None)) is not None:
            yield chunk
    finally:
        feed.close()


CUT = st.lists(st.integers(1, 3_000), min_size=1, max_size=12)


@settings(max_examples=12)
@given(sizes=CUT, wish=st.sampled_from([None, 1, 20_000, 100_000]), noisy=st.booleans(),
       known=st.booleans(), ordered=st.booleans(), busy=st.booleans())  # fmt: skip
def _check_run(
    sizes: list[int], wish: int | None, noisy: bool, known: bool, ordered: bool, busy: bool
) -> None:
    if wish == 1:
        sizes = [size // 100 + 1 for size in sizes]
    batches, rows = _batches(sizes, noisy=noisy), sum(sizes)
    encoding, measure = _encoding_of(
        batches,
        rows=rows if known else None,
        target_bytes=wish,
        ordered=ordered,
        holds_gil=busy,
        first_number=7,
    )
    chunks: list[MemoryChunk] = []
    encoding.run(iter(batches), chunks.append, measure)
    assert sorted(chunk.number for chunk in chunks) == list(range(7, 7 + len(chunks)))
    chunks.sort(key=lambda chunk: chunk.number)
    got = [n for chunk in chunks for n in _rows(chunk)]
    assert (got if ordered else sorted(got)) == list(range(rows))
    assert measure.rows == rows
    assert measure.longest("T")[0] == (120 if noisy else 1)


@pytest.mark.usefixtures("some_cores")
def test_run_makes_every_row_once() -> None:
    """With whatever sizes of batches and files; in order where it is asked for."""
    _check_run()
    assert push_threads(seconds=5) == []


@settings(max_examples=10)
@given(sizes=CUT, slots=st.integers(1, 4), data=st.data())
def _check_stream(sizes: list[int], slots: int, data: st.DataObject) -> None:
    batches, rows = _batches(sizes, noisy=True), sum(sizes)
    ordered, stop_after = data.draw(st.booleans()), data.draw(st.integers(0, 40))
    seed = data.draw(st.integers(0, 99))
    order = random.Random(seed)  # noqa: S311  # the same each time
    encoding, measure = _encoding_of(batches, rows=rows, target_bytes=20_000, ordered=ordered)
    stream = _stream(encoding, lambda: iter(batches), slots, measure)
    unreleased: list[MemoryChunk] = []
    got: list[int] = []
    for number, chunk in enumerate(stream, start=1):
        got += _rows(chunk)
        unreleased.append(chunk)
        assert len(unreleased) <= slots
        order.shuffle(unreleased)
        # All but one may be held when the next one is asked for.
        while len(unreleased) > order.randrange(slots):
            unreleased.pop().release()
        if number == stop_after:
            stream.close()
            assert len(got) == len(set(got))
            break
    else:
        assert (got if ordered else sorted(got)) == list(range(rows))
        assert measure.rows == rows
    for chunk in unreleased:
        chunk.release()
    assert push_threads(seconds=5) == []


@pytest.mark.usefixtures("some_cores")
def test_stream_yields_every_row_once_in_its_slots() -> None:
    """The consumer may release chunks late and in any order, or stop half-way."""
    _check_stream()


def test_open_and_unreleased_chunks_never_exceed_the_slots(
    some_cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted where they begin and where they are released, with a slow consumer."""
    lock, now, most = threading.Lock(), 0, 0
    begun = encoder.fill_chunk.__globals__["ChunkWriter"]

    def change(by: int) -> None:
        nonlocal now, most
        with lock:
            now += by
            most = max(most, now)

    class Counted(begun):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any) -> None:
            change(1)
            super().__init__(*args)

    batches = _batches([3_000] * 12, noisy=True)
    encoding, measure = _encoding_of(batches, rows=36_000, target_bytes=40_000)
    stream = _stream(encoding, lambda: iter(batches), 3, measure)
    probes = 1  # the sample is weighed in a file of its own
    monkeypatch.setitem(encoder.fill_chunk.__globals__, "ChunkWriter", Counted)
    held: list[MemoryChunk] = []
    count = 0
    for chunk in stream:
        count += 1
        held.append(chunk)
        time.sleep(0.002)
        if len(held) == 2:
            change(-1)
            held.pop(0).release()
    for chunk in held:
        chunk.release()
    assert count > 20
    assert min(3, some_cores + 1) <= most <= 3 + probes


@pytest.mark.usefixtures("some_cores")
@pytest.mark.parametrize("at", [0, 1, 2, 5, 9])
def test_what_the_source_raises_comes_out(at: int) -> None:
    """Of run, stream and the measuring pass alike, and no thread stays."""

    class Broken(Exception):
        pass

    batches = _batches([500] * 10, noisy=True)

    def source() -> Iterator[pa.RecordBatch]:
        yield from batches[:at]
        raise Broken

    encoding, measure = _encoding_of(batches, rows=None, target_bytes=20_000)
    with pytest.raises(Broken):
        encoding.run(source(), lambda _: None, measure)
    with pytest.raises(Broken):  # noqa: PT012  # what is taken is given free
        for chunk in _stream(encoding, source, 2, measure.restarted()):
            chunk.release()
    with pytest.raises(Broken):
        validate_parallel(source(), measure.restarted())
    assert push_threads(seconds=5) == []


def test_a_sample_shows_what_a_row_takes() -> None:
    """And which columns get a dictionary; a value that does not fit is an error."""
    batch = pa.record_batch({"N": pa.array(range(50_000), pa.uint64())})
    measure = prepare(batch, "T", PushOptions()).measure
    file_format = FileFormat(measure.layout.encoded_schema)
    row_bytes = sample_row_bytes(batch, measure, file_format)
    assert row_bytes is not None
    assert 1 < row_bytes <= 12  # of a whole number of 8 bytes, with Snappy
    assert file_format.encodings == ColumnEncodings()
    wrong = pa.record_batch({"N": pa.array([2**64 - 1], pa.uint64())})
    with pytest.raises(ColumnTypeError):
        sample_row_bytes(wrong, measure, file_format)


@pytest.mark.usefixtures("some_cores")
@pytest.mark.parametrize("bad", [{0}, {3}, {7, 4, 9}])
def test_a_value_that_does_not_fit_is_an_error_of_its_column(bad: set[int]) -> None:
    """Whichever thread meets it."""
    top = pa.array([2**64 - 1], pa.uint64())
    small = pa.array([1], pa.uint64())
    batches = [pa.record_batch({"N": top if n in bad else small}) for n in range(12)]
    prepared = prepare(batches[0], "T", PushOptions())
    file_format = FileFormat(prepared.layout.encoded_schema)
    for busy in (False, True):
        encoding = ChunkEncoder(
            file_format,
            rows=None,
            target_bytes=None,
            memory_limit=ROOM,
            holds_gil=busy,
        )
        with pytest.raises(ColumnTypeError, match="'N'"):
            encoding.run(iter(batches), lambda _: None, prepared.measure.restarted())
        with pytest.raises(ColumnTypeError, match="'N'"):
            list(_stream(encoding, lambda: iter(batches), 2, prepared.measure.restarted()))
    with pytest.raises(ColumnTypeError, match="'N'"):
        validate_parallel(iter(batches), prepared.measure)
    assert push_threads(seconds=5) == []


def test_a_stream_is_closed_while_its_threads_wait_for_a_slot() -> None:
    """Nobody takes files any more: the threads that wait for room end."""
    batches = _batches([3_000] * 8, noisy=True)
    encoding, measure = _encoding_of(batches, rows=None, target_bytes=20_000)
    stream = _stream(encoding, lambda: itertools.cycle(batches), 1, measure)
    held = next(stream)
    time.sleep(0.05)
    stream.close()
    assert push_threads(seconds=5) == []
    held.release()


@pytest.mark.parametrize("pause", [0.0, 0.02])
def test_what_a_thread_raises_comes_out_whatever_the_reader_is_at(
    some_cores: int,  # noqa: ARG001  # sets them
    pause: float,
) -> None:
    """Also when the reader waits for its source meanwhile: no end that looks like a good one."""
    top, small = pa.array([2**64 - 1], pa.uint64()), pa.array([1] * 5, pa.uint64())
    prepared = prepare(pa.record_batch({"N": small}), "T", PushOptions())

    def source() -> Iterator[Any]:
        for number in range(12):
            time.sleep(pause)
            yield pa.record_batch({"N": top if number == 5 else small})

    for _ in range(5):
        encoding = ChunkEncoder(
            FileFormat(prepared.layout.encoded_schema),
            rows=None,
            target_bytes=None,
            memory_limit=10**9,
        )
        made = _stream(encoding, source, 5, prepared.measure)
        with pytest.raises(ColumnTypeError):
            collections.deque((chunk.release() for chunk in made), maxlen=0)


def test_a_thread_without_memory_ends_the_push_with_its_error(
    connection: Celonis, server: Any, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch cannot be converted: whenever that happens, no job is executed."""
    frame = pl.DataFrame({"A": range(600_000), "T": [f"text {n}" for n in range(600_000)]})
    convert = TableLayout.convert
    for fatal in range(2, 8):
        calls = itertools.count(1)

        def failing(*given: Any, calls: Any = calls, fatal: int = fatal) -> Any:
            if next(calls) == fatal:
                raise MemoryError
            return convert(*given)

        monkeypatch.setattr(TableLayout, "convert", failing)
        with pytest.raises(MemoryError):
            connection.push(frame, "Tests", table, upload={"chunk_bytes": "200 kB"})
    with pytest.raises(KeyError):
        server.table("Tests", table)


def test_chunks_that_lack_a_row_are_not_executed() -> None:
    """Whatever loses one: their rows are counted against those that were checked."""
    prepared = prepare(pa.table({"A": range(300_000)}), "T", PushOptions.parse(mode="REPLACE"))
    prepared.begin()
    prepared.measure.rows += 1
    with pytest.raises(FrameError, match=r"have 300,000 rows, .* has 300,001"):
        list(prepared.chunks())
    prepared.close()


@pytest.mark.parametrize("ends", [False, True])
def test_runs_whose_rows_are_all_left_out(ends: bool) -> None:
    """Chunks stay in order, and every slot is released."""
    texts = ["\0" if (50 <= n < 150 or (ends and n >= 300)) else "x" for n in range(400)]
    batch = pa.record_batch({"N": range(400), "T": texts})
    prepared = prepare(batch, "T", PushOptions.parse(on_bad="drop", mode="REPLACE"))
    encoding = ChunkEncoder(
        FileFormat(prepared.layout.encoded_schema),
        rows=400,
        target_bytes=None,
        memory_limit=ROOM,
        ordered=True,
    )
    slots = threading.Semaphore(20)
    chunks: list[MemoryChunk] = []
    encoding._encode_runs(
        iter([batch]), 50, 3, chunks.append, prepared.measure, slots.acquire, slots.release
    )
    assert [n for chunk in chunks for n in _rows(chunk)] == [
        n for n, text in enumerate(texts) if text == "x"
    ]
    for chunk in chunks:
        chunk.release()
    assert slots._value == 20
    assert prepared.measure.rejects.rows == texts.count("\0")
    assert push_threads(seconds=5) == []
