"""Pseudonyms: HMAC-SHA-256 of a value's text, whatever holds the value; the key shows nowhere."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import hashlib
import hmac
import pickle
import traceback
import uuid
from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from celonis_frames import Column, Secret
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.table_layout import TableLayout, build_layout, conversion_error
from celonis_frames._validation.validator import FrameValidator
from celonis_frames.exceptions import ColumnTypeError, ConfigError

KEY = "k4nary-of-the-pseudonyms"
BLOCK = 64  # bytes of a block of SHA-256


def defined(text: str, key: bytes = KEY.encode()) -> str:
    """The pseudonym by the definition of HMAC (RFC 2104), without Python's `hmac`."""
    padded = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + text.encode()).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).hexdigest()[:32]


def layout(kind: pa.DataType, key: Any = KEY, **options: Any) -> TableLayout:
    """The layout of a frame with one column that is pseudonymised, and another."""
    choices = ConversionOptions(columns={"C": Column(pseudonymise=key)}, **options)
    return build_layout(pa.schema({"C": kind, "N": pa.int64()}), [], choices)


def pseudonyms(array: pa.Array, key: Any = KEY, **options: Any) -> list[str | None]:
    """The pseudonyms of an array, after the validation that a push makes."""
    batch = pa.RecordBatch.from_arrays([array, pa.array(range(len(array)))], ["C", "N"])
    shape = layout(array.type, key, **options)
    measure = FrameValidator(shape, empty=True)
    converted = measure.convert(batch)
    assert measure.lengths() == {"C": 32}
    assert measure.longest("C")[0] in (0, 32)
    measure.check()
    return converted["C"].to_pylist()  # type: ignore[no-any-return]


def test_the_vector_of_the_standard() -> None:
    """RFC 4231, test case 5: the digest truncated to 128 bits."""
    found = pseudonyms(pa.array(["Test With Truncation"]), b"\x0c" * 20)
    assert found == ["a3b6167473100ee06e0c796c2955552b"]


@given(
    texts=st.lists(st.none() | st.text(max_size=60), max_size=30),
    key=st.binary(min_size=1, max_size=100),
)
@example(texts=["nul \0 within", "\0", "", None, "x" * 20_000, "ä€😀"], key=b"\0\xff")
@example(texts=[None, None], key=b"k" * 65)
@example(texts=[], key=b"k")
def test_each_text_gets_the_digits_of_its_bytes(texts: list[str | None], key: bytes) -> None:
    """Any text and any key, however the texts are held; nulls stay nulls."""
    expected = [None if text is None else defined(text, key) for text in texts]
    plain = pa.array(texts, pa.string())
    assert expected == [
        None if text is None else hmac.new(key, text.encode(), "sha256").hexdigest()[:32]
        for text in texts
    ]
    forms: list[Callable[[], pa.Array]] = [
        lambda: plain,
        lambda: plain.cast(pa.large_string()),
        lambda: plain.cast(pa.string_view()),
        plain.dictionary_encode,
        lambda: pc.run_end_encode(plain),
        lambda: pa.concat_arrays([pa.array(["before"]), plain])[1:],
        lambda: pl.Series(texts, dtype=pl.Categorical).to_arrow(),
    ]
    for form in forms:
        assert pseudonyms(form(), key) == expected
        assert pseudonyms(form(), key, csv=True) == expected


DAY, NOON = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12, 0, 0, 5)
D, ID = decimal.Decimal, uuid.UUID("12345678-1234-5678-1234-567812345678")
VALUES: list[tuple[pa.Array, str, dict[str, Any]]] = [
    *((pa.array([45, None], kind), "45", {}) for kind in
      (pa.int8(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(9, 0))),
    (pa.array([45, None]).dictionary_encode(), "45", {}),
    (pa.array([0.1, None]), "0.1", {}),
    (pa.array([float("inf"), None]), "inf", {}),
    (pa.array([D("45.00"), None], pa.decimal128(9, 2)), "45.00", {}),
    (pa.array([True, None]), "true", {}),
    (pa.array([DAY, None]), "2024-02-29", {}),
    *((pa.array([NOON, None], pa.timestamp(unit)), "2024-02-29 12:00:00.000005", {})
      for unit in ("us", "ns")),
    (pa.array([NOON, None], pa.timestamp("us", "UTC")), "2024-02-29 12:00:00.000005Z", {}),
    (pa.array([dt.time(9, 30), None]), "09:30:00.000000", {}),
    (pa.array([dt.timedelta(seconds=90), None], pa.duration("s")), "90", {}),
    (pa.array([ID.bytes, None], pa.uuid()), str(ID), {}),
    (pa.array([b"\0\xff", None]), "00ff", {"binary": "hex"}),
    (pa.array([b"\0\xff", None]), "AP8=", {"binary": "base64"}),
    (pa.array([[1, None], None]), "[1, null]", {"nested": "json"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("array", "text", "options"), VALUES, ids=[f"{v[0].type} {v[1]}" for v in VALUES]
)
def test_a_value_gets_the_digits_of_its_text(
    array: pa.Array, text: str, options: dict[str, Any]
) -> None:
    """The text is that of a STRING column, so that 45 and "45" get the same digits."""
    assert pseudonyms(array, **options) == [defined(text), None]
    assert pseudonyms(array, csv=True, **options) == [defined(text), None]


def test_infinities_that_become_null_are_null() -> None:
    """infinity="null" is about the value, before its pseudonym."""
    assert pseudonyms(pa.array([float("inf"), 1.0]), infinity="null") == [None, defined("1")]


def test_a_secret_a_string_and_bytes_are_one_key() -> None:
    """The same key gives the same pseudonyms and equal overrides, however it is written."""
    keys = ["käy", "käy".encode(), Secret("käy"), Secret("käy".encode())]  # type: ignore[arg-type]
    overrides = {Column(pseudonymise=key) for key in keys}
    assert len(overrides) == 1
    assert Column(pseudonymise="other") not in overrides
    assert Column() not in overrides
    found = {pseudonyms(pa.array(["x"]), key)[0] for key in keys}
    assert found == {defined("x", "käy".encode())}
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_an_override_shows_no_key() -> None:
    """Its repr, its copies, and the layout made with it; and it cannot be pickled."""
    override = Column("STRING", pseudonymise=KEY)
    assert repr(override) == "Column(type='STRING', length=None, pseudonymise=********)"
    for same in (copy.copy(override), copy.deepcopy(override), dataclasses.replace(override)):
        assert same == override
        assert KEY not in repr(same) + repr(vars(same)) + repr(dataclasses.asdict(same))
    assert KEY not in repr(layout(pa.string()))
    for thing in (override, {"A": override}):
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            pickle.dumps(thing)
        assert KEY not in str(caught.value)
    assert pickle.loads(pickle.dumps(Column("STRING", 9))) == Column("STRING", 9)  # noqa: S301


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pseudonymise": ""}, "empty key"),
        ({"pseudonymise": b""}, "empty key"),
        ({"pseudonymise": Secret("")}, "empty key"),
        ({"pseudonymise": "k4nary \ud800"}, "lone surrogate"),
        ({"pseudonymise": ["k4nary"]}, "not a list"),
        ({"pseudonymise": 45}, "not an int"),
        ({"pseudonymise": True}, "not a bool"),
        ({"pseudonymise": KEY, "type": "INTEGER"}, "leave out its type"),
        ({"pseudonymise": KEY, "length": 32}, "leave out its length"),
        ({"pseudonymise": KEY, "type": "TEXT"}, "Did you mean 'STRING'"),
    ],
)
def test_a_wrong_key_is_rejected_unseen(arguments: dict[str, Any], message: str) -> None:
    """Neither the message nor a traceback with locals shows what was given as a key."""
    with pytest.raises(ConfigError, match=message) as caught:
        Column(**arguments)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "celonis_frames/_schema" in frame.filename]
    assert ours
    assert "k4nary" not in str(caught.value) + repr([frame.locals for frame in ours])
    assert caught.value.__context__ is None


NOT_UTF8 = pa.array([b"good", b"B\xe4r k4nary"]).view(pa.string())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (NOT_UTF8, r"not UTF-8.*\(first in row 1, counted from 0\): read its source"),
        (NOT_UTF8.dictionary_encode(), r"not UTF-8.*\(first in row 1, counted from 0\)"),
        (
            pa.array([0, 45_678 * 10**9], pa.timestamp("s")),
            r"years -32767 .*\(first in row 1, counted from 0\)",
        ),
        (pa.array([[1.0], [float("inf")]]), r"infinities \(first in row 1, counted from 0\)"),
    ],
    ids=["text", "dictionary", "time", "json"],
)
def test_a_value_without_a_text_is_rejected_unseen(array: pa.Array, message: str) -> None:
    """The error names the column and the row; nothing in its chain shows a value or the key."""
    with pytest.raises(ColumnTypeError, match=message) as caught:
        pseudonyms(array, nested="json")
    error: BaseException | None = caught.value
    while error is not None:
        assert not any(part in str(error) for part in ("k4nary", "45678", KEY))
        error = error.__cause__ or error.__context__


def test_no_error_shows_a_number() -> None:
    """Not even the largest one, which the error of another column names."""
    column = layout(pa.int64()).columns[0]
    error = conversion_error(column, ValueError("4567"), 4567, 3)
    assert "4567" not in str(error)
    assert "row 3" in str(error)


def test_categories_that_no_row_has_are_no_error() -> None:
    """As without pseudonyms, only the categories of rows count."""
    array = pa.DictionaryArray.from_arrays(pa.array([0, None]), NOT_UTF8)
    assert pseudonyms(array) == [defined("good"), None]
