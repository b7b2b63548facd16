"""Two keys have one digest exactly if Celonis takes them for one."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames._validation.key_digest import key_digests

TEXT = st.one_of(
    st.text("a\0", max_size=20), st.text(max_size=9), st.binary(max_size=33).map(bytes.hex)
)
FLOATS = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, math.nan, -math.nan, 1.0, 5e-324]))
NANOSECONDS = st.one_of(st.integers(-5_000, 5_000), st.integers(-(2**62), 2**62))
COLUMNS: dict[str, tuple[Any, pa.DataType]] = {
    "string": (TEXT, pa.string()),
    "large_string": (TEXT, pa.large_string()),
    "string_view": (TEXT, pa.string_view()),
    "integer": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "short": (st.integers(-128, 127), pa.int8()),
    "unsigned": (st.integers(0, 2**32 - 1), pa.uint32()),
    "float": (FLOATS, pa.float64()),
    "flag": (st.booleans(), pa.bool_()),
    "time": (NANOSECONDS, pa.timestamp("ns")),
    "micro": (NANOSECONDS, pa.timestamp("us")),
}


def _canonical(value: Any, kind: pa.DataType) -> Any:
    """What the database compares."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    return value // 1_000 if kind == pa.timestamp("ns") else value


def _packed(array: Any, kind: str, before: int) -> Any:
    """The array in one of the forms in which a batch may hold it."""
    if kind == "dictionary":
        return array.dictionary_encode()
    if kind == "slice":
        longer = pa.concat_arrays([array.take(pa.array([0] * before, pa.int64())), array])
        return longer.slice(before)
    return array


@settings(max_examples=300)
@given(st.data())
def test_digests_are_equal_exactly_if_the_keys_are(data: st.DataObject) -> None:
    """Whatever the types, the number of columns and the form of the arrays."""
    rows = data.draw(st.integers(1, 12))
    arrays, canonical = [], []
    for name in data.draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=3)):
        values, kind = COLUMNS[name]
        pool = data.draw(st.lists(values, min_size=1, max_size=4))
        column = data.draw(st.lists(st.sampled_from(pool), min_size=rows, max_size=rows))
        form = data.draw(st.sampled_from(["plain", "dictionary", "slice"]))
        form = "plain" if name == "string_view" else form  # pyarrow 18 neither encodes nor takes it
        arrays.append(_packed(pa.array(column, kind), form, data.draw(st.integers(0, 3))))
        canonical.append([_canonical(value, kind) for value in column])
    digests = list(zip(*(numbers.to_pylist() for numbers in key_digests(arrays)), strict=True))
    keys = list(zip(*canonical, strict=True))
    for one in range(rows):
        for other in range(rows):
            assert (digests[one] == digests[other]) == (keys[one] == keys[other])


SIMILAR: list[list[Any]] = [
    [pa.array([f"ORDER-{number:09d}" for number in range(200_000)])],
    [pa.array(["x" * number for number in range(1_500)])],
    [pa.array(["\0" * number for number in range(1_500)])],
    [pa.array([number % 500 for number in range(200_000)]),
     pa.array([number // 500 for number in range(200_000)])],
    [pa.array([float(number) for number in range(200_000)])],
    [pa.array([2**place for place in range(63)] * 2), pa.array([0] * 63 + [1] * 63)],
]  # fmt: skip


@pytest.mark.parametrize("keys", SIMILAR, ids=range(len(SIMILAR)))
def test_similar_keys_differ_in_each_number(keys: list[Any]) -> None:
    """Each of the two numbers alone tells keys apart that differ by a digit or in length."""
    for numbers in key_digests(keys):
        assert len(numbers.unique()) == len(keys[0])


def test_the_order_of_columns_and_words_counts() -> None:
    """The keys (1, 2) and (2, 1) are two, and so are strings of the same words."""
    one, two = key_digests([pa.array([1, 2]), pa.array([2, 1])])
    assert one[0] != one[1]
    assert two[0] != two[1]
    first, second = "a" * 8, "b" * 8
    for numbers in key_digests([pa.array([first + second, second + first])]):
        assert numbers[0] != numbers[1]
