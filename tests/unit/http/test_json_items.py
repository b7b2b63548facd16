"""Lists that are read item by item as they arrive."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._http import json_items
from celonis_frames._http.json_items import ItemReader

SECRET = "eyJhbGciOi.abc-def_4711"  # for tests
STRINGS = st.sampled_from(["", "x", '"]},', "\\", "é\u2028", "\U0001f600", SECRET, f"a {SECRET} b"])
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, STRINGS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(STRINGS, inner, max_size=4)
    ),
    max_leaves=12,
)


def _read(content: bytes, sizes: list[int]) -> tuple[list[Any], str | None]:
    """The items of a text that arrives in parts of these sizes, and then in one."""
    found: list[Any] = []
    reader = ItemReader(found.append, [SECRET])
    at, more = 0, True
    for size in sizes:
        more = more and reader.feed(content[at : at + size])
        at += size
    if more and reader.feed(content[at:]):
        reader.feed(b"", last=True)
    assert SECRET not in repr(found)
    assert SECRET.encode() not in reader.start
    return found, reader.problem


@given(
    value=st.lists(VALUES, max_size=6),
    sizes=st.lists(st.integers(0, 9), max_size=60),
    indent=st.sampled_from([None, 0, 2]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le"]),
    ascii_only=st.booleans(),
)
def test_items_are_the_same_wherever_the_text_is_cut(
    value: list[Any], sizes: list[int], indent: int | None, encoding: str, ascii_only: bool
) -> None:
    """Also within a number, an escape or a character; secrets are masked wherever they are cut."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    found, problem = _read(text.encode(encoding), sizes)
    assert problem is None
    assert repr(found) == repr(json.loads(text.replace(SECRET, "********")))


@given(
    value=st.lists(VALUES, max_size=3), sizes=st.lists(st.integers(0, 9)), cut=st.integers(1, 30)
)
def test_a_cut_list_is_an_error(value: list[Any], sizes: list[int], cut: int) -> None:
    """Items that came before are no list."""
    text = json.dumps(value)
    assert _read(text[: max(0, len(text) - cut)].encode(), sizes)[1] == "the response is not JSON"
    assert _read(f"{text},".encode(), sizes)[1] == "the response is not JSON"


@given(value=VALUES, indent=st.sampled_from([None, 0, 2]), cut=st.integers(0, 30))
def test_only_a_whole_list_is_read(value: Any, indent: int | None, cut: int) -> None:
    """With any white space around it; whatever else is JSON for Python is a problem."""
    whole = json.dumps(value, indent=indent)
    for text in (whole, f" {whole}\n", whole[: len(whole) - cut], f"{whole},", f"[{whole}]"):
        try:
            expected = json.loads(text.replace(SECRET, "********"))
        except ValueError:
            expected = None
        found, problem = _read(text.encode(), [])
        assert (problem is None) == isinstance(expected, list)
        if problem is None:
            assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [('{"a": []}', "list"), ("7", "list"), ("null", "list"), ('"x"', "list"), ("", "JSON"),
     ("<html>", "JSON"), ("[1 2]", "JSON"), ("[,]", "JSON"), ("[1,]", "JSON"),
     ("[" * 99_999, "JSON")],
)  # fmt: skip
def test_what_is_no_list_is_named(text: str, problem: str) -> None:
    """Other JSON is not a list; anything else is not JSON."""
    assert (
        _read(text.encode(), [1, 1])[1]
        == f"the response is not {'a ' * (problem == 'list')}{problem}"
    )


def test_a_list_without_an_end_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one item nor the whole list may be longer than the limits."""
    monkeypatch.setattr(json_items, "MAX_ITEM_BYTES", 1_000)
    monkeypatch.setattr(json_items, "MAX_LIST_BYTES", 10_000)
    assert "items is longer" in str(_read(b'["' + b"x" * 20_000, [100] * 20)[1])
    found, problem = _read(b"[" + b"7," * 20_000, [100] * 300)
    assert "the response is longer" in str(problem)
    assert len(found) < 6_000


def test_a_very_long_item_is_searched_for_its_end_a_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not with each part, which would take time with the square of its length."""
    searches = []

    class Decoder(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            searches.append(len(s))
            return super().raw_decode(s, idx)

    monkeypatch.setattr(json_items, "_DECODER", Decoder())
    content = json.dumps(["x" * 1_000_000, 7]).encode()
    found, problem = _read(content, [1_000] * 1_010)
    assert problem is None
    assert found == ["x" * 1_000_000, 7]
    assert sum(searches) < 5_000_000
