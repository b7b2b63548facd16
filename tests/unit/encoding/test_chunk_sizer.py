"""The size of chunks, whatever the values are and however many threads write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames._encoding import encoder
from celonis_frames._encoding.chunk_sizer import (
    MAX_AUTO_BYTES,
    MAX_CHUNK_BYTES,
    ChunkSizer,
    stream_chunks,
)
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.plan import plan_frame

TARGET = 2_000_000
RANDOM = np.random.default_rng(1)


@settings(max_examples=25)
@given(st.data())
def test_files_that_several_threads_write_hold_all_rows(data: st.DataObject) -> None:
    """In any interleaving of what threads ask, with rows that change their weight at any time.

    The threads are played one step at a time. One goes home when there are no rows, or the files of
    others take them; there must always be one left that takes what is left.
    """
    rows = data.draw(st.integers(1, 5_000))
    known = data.draw(st.booleans())
    target = data.draw(st.one_of(st.none(), st.integers(1, 100_000)))
    sizer = ChunkSizer(
        target, rows if known else None, data.draw(st.sampled_from([None, 0.01, 1.0, 90.0]))
    )
    threads: dict[int, Any] = dict.fromkeys(range(data.draw(st.integers(1, 4))))
    left, covered = rows, 0
    while threads:
        n = data.draw(st.sampled_from(sorted(threads)))
        file = threads[n]
        if left:
            if file is None and sizer.all_rows_reserved:
                assert any(other is not None for other in threads.values())
                del threads[n]
                continue
            batch = min(left, data.draw(st.integers(1, 2_000)))
            sizer.take(batch)
            if file is None:
                share, reserved = sizer.begin()
                assert 1 <= share <= max(1.11 * sizer.target_bytes, 1)
                assert share <= MAX_CHUNK_BYTES
                file = threads[n] = [reserved, 0]
            sizer.bytes_per_row = data.draw(st.sampled_from([1e-6, 1.0, 10.0, 1_000.0]))
            rest = data.draw(st.integers(0, batch - 1))
            over, full = data.draw(st.booleans()), data.draw(st.booleans())
            took = batch - rest
            if full and sizer.close_full(file[0], file[1] + took, rest, oversized=over):
                threads[n] = None
                sizer.record_size(file[1] + took)
            else:
                took = batch
                file[1] += took
            covered += took
            left -= took
        elif file is None:
            del threads[n]  # the source is at its end
        else:
            threads[n] = None
            sizer.close(*file)
            sizer.record_size(file[1])
    assert covered == rows
    assert sizer.target_bytes == target if target else 0 < sizer.target_bytes <= MAX_AUTO_BYTES


@settings(max_examples=50)
@given(rows=st.integers(1, 10**9), weight=st.floats(0.01, 1e5), target=st.integers(100, 10**9))
def test_files_come_out_even(rows: int, weight: float, target: int) -> None:
    """Where weights hold, each file has its share of the whole: none is much smaller."""
    sizer = ChunkSizer(target, rows, weight)
    assert sizer.expected_chunks is not None
    if sizer.expected_chunks > 200:
        return
    made = []
    left = rows
    while left > 0:
        share, reserved = sizer.begin()
        took = min(left, max(1, round(share / weight)))
        sizer.take(took)
        left -= took
        sizer.close(reserved, took)
        sizer.record_size(int(took * weight))
        made.append(took * weight)
    limit = min(1.11 * target, 0.9 * MAX_CHUNK_BYTES)
    assert all(size <= limit + weight for size in made)
    if len(made) > 5 and target > 100 * weight:
        assert min(made[:-1]) >= 0.8 * min(target, 0.8 * MAX_CHUNK_BYTES)


@pytest.mark.parametrize("files", [6, 17, 44, 150])
@pytest.mark.parametrize("share", [1.07, 1.1])
def test_what_rounding_leaves_over_makes_no_two_small_files(files: int, share: float) -> None:
    """Rows are whole: what each file leaves over goes into the last ones, and into no other."""
    for more in range(-5, 6):
        target, weight = 1_000_000, 9_586.6
        rows = int(files * share * target / weight) + more
        sizer, made, left = ChunkSizer(target, rows, weight), [], rows
        while left > 0:
            goal, reserved = sizer.begin()
            took = min(left, round(goal / weight))
            sizer.take(took)
            sizer.close(reserved, took)
            sizer.record_size(int(took * weight))
            made.append(took * weight)
            left -= took
        assert min(made) >= 0.8 * target, made[-4:]
        assert max(made) <= 1.11 * target + weight


@pytest.mark.parametrize("uploads", [1, 2, 4])
def test_the_first_chunks_are_small_so_that_uploading_starts_early(uploads: int) -> None:
    """One for each upload, the others even; not where a size was given or few files do."""
    sizer = ChunkSizer(None, 1_000_000, 64.0, uploads=uploads)
    sizer.start_small(uploads)
    made: list[float] = []
    left = 1_000_000
    while left > 0:
        share, reserved = sizer.begin()
        took = min(left, round(share / 64))
        sizer.take(took)
        left -= took
        sizer.close(reserved, took)
        sizer.record_size(took * 64)
        made.append(took * 64)
    first, others = made[:uploads], made[uploads:]
    assert first == pytest.approx([2_000_000] * uploads, rel=0.01)
    assert len(others) % uploads == 0
    assert 7 <= len(others) <= 8
    assert min(others) >= 0.95 * max(others) > 3 * max(first)

    for given_size in (ChunkSizer(8_000_000, 1_000_000, 64.0), ChunkSizer(None, 1_000, 64.0)):
        plain = given_size.begin()
        given_size.start_small(uploads)
        assert given_size.begin()[0] == pytest.approx(plain[0], rel=0.2)


def _integers(rows: int) -> Any:
    return pa.array(RANDOM.integers(0, 2**62, rows))


def _zeros(rows: int) -> Any:
    return pa.array(np.zeros(rows, dtype="int64"))


def _hex(rows: int) -> Any:
    return pa.array([RANDOM.bytes(20).hex() for _ in range(rows)])


def _table(*parts: tuple[Callable[[int], Any], int], columns: int = 4) -> Any:
    return pa.concat_tables(
        [pa.table({f"C{n}": make(rows) for n in range(columns)}) for make, rows in parts]
    )


CHANGES: dict[str, Callable[[], Any]] = {
    "random": lambda: _table((_integers, 400_000)),
    "stops compressing half-way": lambda: _table((_zeros, 400_000), (_integers, 300_000)),
    "begins to compress half-way": lambda: _table((_integers, 300_000), (_zeros, 400_000)),
    "deceives with its first rows": lambda: _table((_zeros, 20_000), (_integers, 400_000)),
    "back and forth": lambda: _table(*[(_zeros, 100_000), (_integers, 50_000)] * 6),
    "times": lambda: _table(
        (lambda n: _zeros(n).cast(pa.timestamp("us")), 300_000),
        (lambda n: pa.array(RANDOM.integers(0, 2**50, n)).cast(pa.timestamp("us")), 200_000),
    ),
    "texts that grow": lambda: _table(
        (lambda n: pa.array(["x"] * n), 200_000), (_hex, 100_000), columns=2
    ),
}  # fmt: skip


def _chunks(frame: Any, **upload: Any) -> list[int]:
    sizes, rows = _pushed(frame, mode="REPLACE", upload=upload)
    assert rows == frame.num_rows
    return sizes


def _pushed(frame: Any, **options: Any) -> tuple[list[int], int]:
    """The sizes of the chunks, and their rows."""
    prepared = prepare(frame, "T", PushOptions.parse(**options))
    prepared.begin()
    made = []
    for chunk in prepared.chunks():
        made.append((chunk.size, chunk.rows))
        chunk.release()
    prepared.close()
    return [size for size, _ in made], sum(rows for _, rows in made)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("cpu_count", [2, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("change", CHANGES)
def test_chunks_have_their_target_size(
    change: str, cpu_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the data do: none is a fifth over, and few at the end are a fifth under.

    What an end looks like is only known when it comes: then each worker has a chunk begun, and one
    of them may get the rest of a batch besides.
    """
    monkeypatch.setattr(encoder, "cpu_count", lambda: cpu_count)
    sizes = _chunks(CHANGES[change](), chunk_bytes=TARGET)
    assert max(sizes) <= 1.2 * TARGET, sizes
    assert len([size for size in sizes if size < 0.8 * TARGET]) <= cpu_count + 1, sizes


def test_without_chunk_bytes_no_chunk_is_larger_than_the_largest() -> None:
    """Also where the first rows promise next to nothing, and the others do not compress."""
    sizes = _chunks(_table((_zeros, 200_000), (_integers, 2_000_000)))
    assert max(sizes) <= 1.05 * MAX_AUTO_BYTES
    assert sum(sizes) > 60_000_000


def test_chunks_of_a_stream_are_a_small_part_of_what_was_made() -> None:
    """Its end is not known: no connection may have much to send when the others are done."""
    sizer, made = ChunkSizer(None, None, 60.0, uploads=4), 0
    for _ in range(200):
        size, _ = sizer.begin()
        assert size == max(8_000_000, min(made // 32, MAX_AUTO_BYTES))
        sizer.record_size(size)
        made += size
    assert size == MAX_AUTO_BYTES


@pytest.mark.parametrize("cpu_count", [1, 2, 16])
def test_how_a_query_is_cut(cpu_count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of threads is, and though its rows are not counted before.

    In parallel: small first chunks, then the least size. With keys, one at a time: the largest.
    """
    monkeypatch.setattr(encoder, "cpu_count", lambda: cpu_count)
    whole = pl.DataFrame(_table((_integers, 2_000_000), columns=5)).lazy()
    parallel, rows = _pushed(whole, mode="DELTA")
    keyed, keyed_rows = _pushed(whole, mode="DELTA", keys=["C0"])
    assert rows == keyed_rows == 2_000_000
    assert max(parallel) <= 9_000_000
    # At the end each thread may have begun one.
    assert 11 <= len(parallel) <= 13 + cpu_count, parallel
    assert max(keyed) <= 1.05 * MAX_AUTO_BYTES
    assert len(keyed) < 10, keyed


def test_a_plan_counts_the_chunks_of_a_query_as_they_are_cut() -> None:
    """Those that are sent one at a time are larger; those of a long one grow."""
    whole = pl.DataFrame(_table((_integers, 2_000_000), columns=5)).lazy()
    parallel = plan_frame(whole, "T", PushOptions.parse(mode="DELTA"))
    keyed = plan_frame(whole, "T", PushOptions.parse(mode="DELTA", keys=["C0"]))
    small = PushOptions.parse(mode="DELTA", upload={"chunk_bytes": 1_000_000})
    given = plan_frame(whole, "T", small)
    assert (parallel.chunks, keyed.chunks) == (11, 4)
    assert given.chunks in range(75, 85)
    assert stream_chunks(256_000_000, uploads=4) == 32
    assert stream_chunks(512_000_000, uploads=4) in range(32 + 21, 32 + 24)  # 32 · ln 2 more


def test_a_wide_frame_in_one_batch_is_one_chunk() -> None:
    """It is not measured before, so its number of chunks is not known: it is no stream for that."""
    assert len(_chunks(_table((_integers, 15_000), columns=60))) == 1
    assert len(_chunks(_table((_integers, 5_000), columns=200))) == 1


def test_first_rows_of_hardly_any_bytes_do_not_make_countless_chunks() -> None:
    """The size that suits the whole is found anew when the sample turns out to deceive."""
    sizer = ChunkSizer(None, 100_000_000, 0.001)
    first = sizer.target_bytes
    sizer.begin()
    sizer.bytes_per_row = 40.0
    share, _ = sizer.begin()
    assert first == 8_000_000
    assert share >= 0.9 * MAX_AUTO_BYTES


def test_a_category_as_long_as_the_frame_is_not_sent_with_each_row_group() -> None:
    """A slice of a column of categories has the dictionary of the whole."""
    rows = 200_000
    values = [f"case {n:08d} {RANDOM.bytes(20).hex()}" for n in range(rows)]
    order = pa.array(RANDOM.permutation(rows).astype("int32"))
    plain = _chunks(pa.table({"A": values}), chunk_bytes=TARGET)
    category = pa.table({"A": pa.DictionaryArray.from_arrays(order, values)})
    sizes = _chunks(category, chunk_bytes=TARGET)
    assert sum(sizes) <= 1.2 * sum(plain)
    assert max(sizes) <= 1.2 * TARGET


@pytest.mark.parametrize("target", [2_000, 10_000, 1_000_000_000])
def test_the_smallest_and_the_largest_target(target: int) -> None:
    """Tiny files hold at least a row; a huge target with little data makes one file."""
    sizes = _chunks(_table((_integers, 3_000), columns=1), chunk_bytes=f"{target} B")
    assert max(sizes) <= 1.2 * target
    assert len(sizes) <= 3 * 24_000 // target + 1
