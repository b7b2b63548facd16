"""Digests of keys: equal for keys that Celonis takes for one, different for others.

A digest has 128 bits in two numbers, so that two of a billion different keys have the same one with
a probability of about 10⁻²¹. Arrow offers no hash function, so this one is made of arithmetic on
whole columns, which wraps at 64 bits. Each word of a key, mixed with its position, is mapped to a
number by a bijection in which each bit changes about half of the others; the digest is the sum of
these numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts

_WORD = pa.uint64()
_MULTIPLIERS = (
    (0xBF58476D1CE4E5B9, 0x94D049BB133111EB),
    (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53),
)
"""Odd numbers of published mixing functions (splitmix64, murmur3), one pair for each number."""
_STEP = 0x9E3779B97F4A7C15
"""Odd number by which the positions of words are told apart: 2⁶⁴ divided by the golden ratio."""


def key_digests(keys: Sequence[Any]) -> list[Any]:
    """The digest of each row's key, given as the arrays of the key columns.

    If the key is one column of numbers, one number of 64 bits is enough, since it is a bijection;
    all other digests have two.
    """
    words = [_words(array) for array in keys]
    lanes = 1 if len(words) == 1 and len(words[0]) == 1 else 2
    return [_sum(words, lane) for lane in range(lanes)]


def _sum(words: Sequence[Sequence[Any]], lane: int) -> Any:
    # Of the two words of a string each number takes its own.
    mixed = (_mix(column[lane % len(column)], place, lane) for place, column in enumerate(words))
    return functools.reduce(pc.add, mixed)


def _mix(words: Any, place: Any, lane: int) -> Any:
    """The words, whose place is a number or an array, as numbers by a bijection for each place."""
    first, second = (pa.scalar(number, _WORD) for number in _MULTIPLIERS[lane])
    if isinstance(place, int):
        place = pa.scalar(place, _WORD)
    step = pc.multiply(pc.add(place, pa.scalar(1, _WORD)), pa.scalar(_STEP, _WORD))
    # The places go in between, or the words 1 and 2 at places 2 and 1 might have the same sum.
    mixed = pc.add(_scramble(words, first, second), step)
    return _scramble(mixed, second, first)


def _scramble(words: Any, first: Any, second: Any) -> Any:
    for shift, multiplier in ((30, first), (27, second), (31, None)):
        words = pc.bit_wise_xor(words, pc.shift_right(words, pa.scalar(shift, _WORD)))
        if multiplier is not None:
            words = pc.multiply(words, multiplier)
    return words


def _words(array: Any) -> list[Any]:
    """A key column as one word of 64 bits for each row, or as two for strings."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = casts.compact_dictionary(array)
        return [words.take(array.indices) for words in _words(array.dictionary)]
    if isinstance(kind, pa.BaseExtensionType) or casts.is_view(kind):
        return _words(casts.decoded(array))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _string_words(array)
    if pa.types.is_timestamp(kind):
        return [_microseconds(array).view(_WORD)]
    if pa.types.is_floating(kind):
        return [_one_zero(array.cast(pa.float64())).view(_WORD)]
    return [array.cast(pa.int64()).view(_WORD)]


def _one_zero(floats: Any) -> Any:
    """Floats with one zero and one NaN, as databases compare them."""
    floats = pc.add(floats, 0.0)  # -0.0 becomes 0.0
    return pc.if_else(pc.is_nan(floats), pa.scalar(float("nan")), floats)


def _microseconds(times: Any) -> Any:
    """Times as the microseconds that Celonis may keep; finer ones are cut, before 1970 as well."""
    if times.type.unit != "ns":
        return times.cast(pa.timestamp("us")).cast(pa.int64())
    counts = times.cast(pa.int64())
    cut = pc.divide(counts, 1_000)  # towards zero
    above = pc.greater(pc.multiply(cut, 1_000), counts)
    return pc.subtract(cut, above.cast(pa.int64()))


def _string_words(strings: Any) -> list[Any]:
    """Two digests of each string; nulls, which no key may have, count as empty strings."""
    data = strings.cast(pa.large_string()).cast(pa.large_binary())
    if data.null_count:
        data = pc.fill_null(data, b"")
    lengths = pc.binary_length(data)
    # Every value is filled up to whole words; its length tells "a" from "a" and a NUL.
    over = pc.bit_wise_and(lengths, 7)
    fill = pa.array([b"\0" * (-n % 8) for n in range(8)], pa.large_binary()).take(over)
    padded = pc.binary_join_element_wise(data, fill, pa.scalar(b"", pa.large_binary()))
    offsets, words = _aligned_words(padded)
    # The position of each word in its string.
    starts = pc.take(offsets, _parents(offsets, words))
    ones = pa.repeat(pa.scalar(1, pa.int64()), len(words))
    places = pc.subtract(pc.cumulative_sum(ones), starts).cast(_WORD)
    lengths = lengths.cast(_WORD)
    return [
        pc.add(_mix(lengths, 0, lane), _sums(_mix(words, places, lane), offsets)) for lane in (0, 1)
    ]


def _aligned_words(padded: Any) -> tuple[Any, Any]:
    """The offsets in words of values of whole words, from 0 on, and the words."""
    _, offset_buffer, data = padded.buffers()
    count = len(padded)
    offsets = pa.Array.from_buffers(pa.int64(), count + 1, [None, offset_buffer], 0, padded.offset)
    first, last = offsets[0].as_py(), offsets[count].as_py()
    size = (last - first) // 8
    words = pa.Array.from_buffers(_WORD, size, [None, data], 0, first // 8) if size else None
    if words is None:
        words = pa.array([], _WORD)
    return pc.divide(pc.subtract(offsets, first), 8), words


def _parents(offsets: Any, words: Any) -> Any:
    """The row of each word."""
    return pc.list_parent_indices(pa.LargeListArray.from_arrays(offsets, words))


def _sums(numbers: Any, offsets: Any) -> Any:
    """The sum of the numbers of each row, as the difference of two of all numbers until there."""
    until = pa.concat_arrays([pa.array([0], _WORD), pc.cumulative_sum(numbers)])
    count = len(offsets) - 1
    return pc.subtract(until.take(offsets.slice(1, count)), until.take(offsets.slice(0, count)))
