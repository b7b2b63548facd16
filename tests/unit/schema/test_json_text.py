"""Nested Arrow values as JSON: what the value says, nothing less and nothing more."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import uuid
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._arrow.casts import ConversionError
from celonis_frames._arrow.extension_types import WideInteger
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.json_text import json_text

OPTIONS = ConversionOptions(nested="json", binary="hex", infinity="null")
STRICT = ConversionOptions(nested="json")
D = decimal.Decimal
Kind = tuple[pa.DataType, st.SearchStrategy[Any]]


def _float(value: float) -> Any:
    return D(repr(value)) if math.isfinite(value) else None


def _seconds(value: dt.timedelta) -> D:
    return D(value // dt.timedelta(microseconds=1)).scaleb(-6, decimal.Context(prec=40))


EXPECTED = {
    float: _float, dt.timedelta: _seconds, D: lambda value: format(value, "f"),
    bytes: bytes.hex, dt.date: dt.date.isoformat, dt.time: dt.time.isoformat,
}  # fmt: skip
SPAN = st.integers(-(2**62), 2**62).map(lambda n: dt.timedelta(microseconds=n))
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(['"\\', "\0\x1f\x7f", "\n\r\t\b\f", "é\u2028"]),
)
LEAVES: list[Kind] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)), (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.int8(), st.integers(-128, 127)), (pa.bool_(), st.booleans()),
    (pa.float64(), st.floats()), (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.one_of(st.integers(-(10**16), 10**16).map(float), st.floats(-1, 1))),
    (pa.string(), TEXT), (pa.large_string(), TEXT), (pa.string_view(), TEXT),
    (pa.dictionary(pa.int8(), pa.string()), TEXT), (pa.binary(), st.binary(max_size=3)),
    (pa.decimal128(20, 5), st.integers(-(10**20) + 1, 10**20 - 1).map(lambda n: D(n).scaleb(-5))),
    (pa.date32(), st.dates()), (pa.time64("us"), st.times()), (pa.timestamp("us"), st.datetimes()),
    (pa.duration("us"), SPAN), (pa.null(), st.none()),
]  # fmt: skip


def _nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


def _containers(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    def lists(kind: Kind) -> st.SearchStrategy[Kind]:
        made = [pa.list_, pa.large_list, pa.list_view]
        if pa.types.is_list_view(kind[0]) or pa.types.is_dictionary(kind[0]):
            made = made[:2]
        values = st.lists(_nullable(kind[1]), max_size=3)
        fixed = st.lists(_nullable(kind[1]), min_size=2, max_size=2)
        some = st.sampled_from(made).map(lambda make: (make(kind[0]), values))
        return st.one_of(some, st.just((pa.list_(kind[0], 2), fixed)))

    def structs(kinds: list[Kind]) -> Kind:
        names = ['k"', "b", "c"][: len(kinds)]
        fields = [pa.field(name, kind) for name, (kind, _) in zip(names, kinds, strict=True)]
        values = {name: _nullable(kind[1]) for name, kind in zip(names, kinds, strict=True)}
        return pa.struct(fields), st.fixed_dictionaries(values)

    def maps(kind: Kind) -> Kind:
        pairs = st.lists(st.tuples(TEXT, _nullable(kind[1])), max_size=3)
        return pa.map_(pa.string(), kind[0]), pairs

    return st.one_of(
        inner.flatmap(lists), st.lists(inner, min_size=1, max_size=3).map(structs), inner.map(maps)
    )


KINDS = st.recursive(st.sampled_from(LEAVES), _containers, max_leaves=6)


def _said(value: Any) -> Any:
    """The value as JSON must say it, with structs as pairs."""
    if isinstance(value, dict):
        return {
            "pairs": sorted(((k, _said(v)) for k, v in value.items()), key=lambda pair: pair[0])
        }
    if isinstance(value, list | tuple):
        return [_said(inner) for inner in value]
    kind = dt.date if isinstance(value, dt.date) else type(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return EXPECTED.get(kind, lambda same: same)(value)


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object as sorted pairs, in which a key that stands there twice is not lost."""
    return {"pairs": sorted(pairs, key=lambda pair: pair[0])}


def _read(text: str | None) -> Any:
    if text is None:
        return None
    assert "\n" not in text
    return json.loads(text, parse_float=D, object_pairs_hook=_pairs)


@given(st.data(), st.integers(0, 3), st.integers(0, 3))
def test_json_says_what_the_value_says(data: st.DataObject, before: int, rows: int) -> None:
    """Any nested value, also in a slice of something longer, is read back from its JSON."""
    kind, values = data.draw(KINDS)
    drawn = data.draw(st.lists(_nullable(values), min_size=before + rows, max_size=before + rows))
    array = pa.array(drawn, kind).slice(before)
    texts = json_text(array, OPTIONS).to_pylist()
    assert [_read(text) for text in texts] == [_said(value) for value in drawn[before:]]


def test_floats_are_written_as_python_writes_them() -> None:
    """The same number has the same text from every library."""
    values = [1.0, 0.1, 1e10, 123456789012.5, 1e-5, 1e-4, 1e16, -0.0, 5e-324, -1e300, 123456.75]
    (text,) = json_text(pa.array([values]), STRICT).to_pylist()
    assert text == json.dumps(values)


def test_wide_integers_are_numbers() -> None:
    """Integers of more than 64 bits have all their digits, without quotes."""
    digits = pa.array([[str(2**100), None]]).cast(pa.list_(WideInteger()))
    assert json_text(digits, STRICT).to_pylist() == [f"[{2**100}, null]"]


def test_nanoseconds_are_kept() -> None:
    """Times, timestamps and durations keep their last digit."""
    for kind, text in (
        (pa.time64("ns"), '"00:00:00.000000001"'),
        (pa.timestamp("ns"), '"1970-01-01T00:00:00.000000001"'),
        (pa.timestamp("ns", "Asia/Kolkata"), '"1970-01-01T05:30:00.000000001+05:30"'),
        (pa.duration("ns"), "0.000000001"),
    ):
        array = pa.ListArray.from_arrays(pa.array([0, 1]), pa.array([1]).cast(kind))
        assert json_text(array, STRICT).to_pylist() == [f"[{text}]"]


@pytest.mark.parametrize("dense", [True, False])
def test_unions(dense: bool) -> None:
    """The value that the union has, also behind a null of a struct and in a slice."""
    codes, children = (
        pa.array([0, 1, 0], pa.int8()),
        [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])],
    )
    union = pa.UnionArray.from_sparse(codes, children)
    expected = ["1", '"b"', "3"]
    if dense:
        union = pa.UnionArray.from_dense(codes, pa.array([2, 0, 1], pa.int32()), children)
        expected = ["3", '"a"', "2"]
    assert json_text(union, STRICT).to_pylist() == expected
    assert json_text(union.slice(1), STRICT).to_pylist() == expected[1:]
    struct = pa.StructArray.from_arrays([union], ["u"], mask=pa.array([False, True, False]))
    texts = [f'{{"u": {value}}}' for value in expected]
    assert json_text(struct, STRICT).to_pylist() == [texts[0], None, texts[2]]


def test_other_types() -> None:
    """UUIDs are strings, intervals lists; a struct without fields is an empty object."""
    assert json_text(pa.array([{}, None], pa.struct([])), STRICT).to_pylist() == ["{}", None]
    interval = pa.array([[pa.MonthDayNano([1, 2, 3]), None]])
    assert json_text(interval, STRICT).to_pylist() == ["[[1, 2, 3], null]"]
    if hasattr(pa, "uuid"):
        one = uuid.uuid4()
        stored = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([one.bytes], pa.binary(16)))
        array = pa.StructArray.from_arrays([stored], ["id"])
        assert json_text(array, STRICT).to_pylist() == [f'{{"id": "{one}"}}']


def test_what_json_cannot_hold_is_rejected_where_it_is() -> None:
    """Bytes, infinities and far years are errors, but not behind a null."""
    for values, message in (
        (pa.array([b"x", None]), "bytes"),
        (pa.array([math.inf, None]), "infinities"),
        (pa.array([10_957 + 365 * 20_000, None], pa.date32()), "years 1 to 9999"),
    ):
        struct = pa.StructArray.from_arrays([values], ["a"], mask=pa.array([False, True]))
        with pytest.raises(ConversionError, match=message):
            json_text(struct, STRICT)
        hidden = pa.StructArray.from_arrays([values], ["a"], mask=pa.array([True, False]))
        assert json_text(hidden, STRICT).to_pylist() == [None, '{"a": null}']
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pytest.raises(ConversionError, match="two fields of one name"):
        json_text(twice, STRICT)
