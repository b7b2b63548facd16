"""What is found in texts at the speed of memory is what a look at each of them finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames import exceptions
from celonis_frames._frames.preparation import prepare
from celonis_frames._options.push_options import PushOptions
from celonis_frames._validation.column_stats import ColumnStats
from celonis_frames._validation.validator import FrameValidator

LIMIT = 4
TEXT = st.one_of(
    st.text("ab", max_size=6),
    st.text("aä€😀\0", max_size=6),
    st.sampled_from(["", "\0", "x\0", "\x7f", "\x80", "äää", "aaaaa"]),
)
BYTES = st.one_of(TEXT.map(str.encode), st.sampled_from([b"\xff", b"a\xc3", b"\xed\xa0\x80"]))


def _array(values: list[bytes | None], nulls: list[bool], before: int, after: int) -> Any:
    """A slice of texts of which some are null with their bytes still in the buffer."""
    plain = pa.array([value or b"" for value in values], pa.large_binary())
    mask = pa.array([not null for null in nulls], pa.bool_())
    _, offsets, data = plain.buffers()
    valid = mask.buffers()[1]
    whole = pa.Array.from_buffers(
        pa.large_string(), len(values), [valid, offsets, data or pa.py_buffer(b"")]
    )
    return whole.slice(before, max(0, len(values) - before - after))


def _expected(values: list[bytes], found: ColumnStats) -> ColumnStats:
    try:
        texts = [value.decode() for value in values]
    except UnicodeDecodeError:
        return ColumnStats(not_utf8=True, longest=found.longest, longest_bytes=found.longest_bytes)
    return ColumnStats(
        longest=max(map(len, texts), default=0),
        longest_bytes=max(map(len, values), default=0),
        too_long=sum(len(text) > LIMIT for text in texts),
        nul_characters=sum("\0" in text for text in texts),
    )


@settings(max_examples=200)
@given(st.data())
def test_texts(data: st.DataObject) -> None:
    """Plain texts: slices, nulls with garbage behind them, NUL, what is not UTF-8."""
    values = data.draw(st.lists(st.one_of(BYTES, st.just(b"abc")), max_size=8))
    nulls = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    before, after = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    array = _array(values, nulls, before, after)
    stop = max(before, len(values) - after)
    there, gone = [value or b"" for value in values][before:stop], nulls[before:stop]
    live = [v for v, null in zip(there, gone, strict=True) if not null]
    found = ColumnStats()
    found.add_strings(array, LIMIT)
    expected = _expected(live, found)
    if found.not_utf8 and not expected.not_utf8:
        # Arrow validates what is behind nulls as well: such a column is refused needlessly.
        assert _expected(there, found).not_utf8
        return
    assert found == expected


@settings(max_examples=120)
@given(st.data())
def test_dictionaries(data: st.DataObject) -> None:
    """Dictionaries with values that no row has, twice the same, and with nulls on either side."""
    values = data.draw(st.lists(TEXT, min_size=1, max_size=6))
    index = st.one_of(st.none(), st.integers(0, len(values) - 1))
    rows = data.draw(st.lists(index, max_size=12))
    array = pa.DictionaryArray.from_arrays(
        pa.array(rows, pa.int32()), pa.array(values, pa.large_string())
    )
    found = ColumnStats()
    found.add_strings(array, LIMIT)
    live = [values[row].encode() for row in rows if row is not None]
    assert found == _expected(live, found)


@settings(max_examples=60)
@given(st.data())
def test_parts_added_are_the_whole(data: st.DataObject) -> None:
    """Whichever thread sees which rows, what is found is the same."""
    texts = data.draw(st.lists(st.one_of(st.none(), TEXT), min_size=1, max_size=20))
    floats = data.draw(st.lists(st.floats(), min_size=len(texts), max_size=len(texts)))
    keys = data.draw(st.lists(st.integers(0, 5), min_size=len(texts), max_size=len(texts)))
    table = pa.table({"T": pa.array(texts, pa.string()), "F": floats, "K": keys})
    measure = prepare(table, "T", PushOptions.parse(keys="K", infinity="null")).measure
    parts: list[FrameValidator] = [measure.split() for _ in range(3)]
    whole = measure.restarted()
    for batch in table.to_batches(max_chunksize=data.draw(st.integers(1, 7))):
        whole.convert(batch)
        data.draw(st.sampled_from(parts)).convert(batch)
    for part in data.draw(st.permutations(parts)):
        measure.merge(part)
    assert measure.rows == whole.rows == len(texts)
    assert measure._columns == whole._columns
    assert measure.lengths() == whole.lengths()
    assert measure.different_keys == whole.different_keys == len(set(keys))


def test_an_unused_value_after_longer_bytes_counts_for_nothing() -> None:
    """Bytes of other letters say nothing of characters: what no row has is not measured."""
    found = ColumnStats()
    found.add_strings(pa.array(["ä" * 17]), 100)
    values = pa.array(["x", "y" * 25], pa.large_string())
    found.add_strings(pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), values), 100)
    assert (found.longest, found.longest_bytes) == (17, 34)


def test_every_text_beyond_the_limit_is_counted() -> None:
    """Also those that have no more bytes than the longest so far has characters."""
    found = ColumnStats()
    for text in ("x" * 50, "ä" * 20, "x" * 15, "ä" * 5):
        found.add_strings(pa.array([text]), 10)
    assert found.too_long == 3


def test_what_stands_behind_nulls_may_be_anything() -> None:
    """Bytes that are no UTF-8 where there is no value are not sent, and no reason to refuse."""
    offsets = pa.py_buffer(np.array([0, 2, 3], "int32").tobytes())
    valid = pa.py_buffer(bytes([0b10]))
    array = pa.Array.from_buffers(pa.string(), 2, [valid, offsets, pa.py_buffer(b"\xff\xfea")])
    found = ColumnStats()
    found.add_strings(array, 10)
    assert (found.not_utf8, found.longest, found.nul_characters) == (False, 1, 0)


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_times_that_old_versions_of_arrow_write_wrongly(
    unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times of day before 1970 are rejected with pyarrow below 23, but for midnights and in CSV."""
    day = 86_400 * 10 ** {"us": 6, "ns": 9}[unit]
    times = pa.array([-day // 24, 1000 - day, -day, 0, 1000, None], pa.timestamp(unit))
    early = pa.table({"A": times, "B": [0] * 6})
    midnights = early.slice(2)
    monkeypatch.setattr("celonis_frames._validation.column_stats.WRITES_EARLY_TIMES", False)
    with pytest.raises(
        exceptions.ColumnTypeError, match=r"'A' has 2 times of day before 1970.*CSV"
    ):
        prepare(early, "T", PushOptions()).begin()
    prepare(midnights, "T", PushOptions()).begin()
    prepare(early, "T", PushOptions.parse(upload={"file_type": "CSV"})).begin()
