"""Python objects as JSON: what the value says, or an error; nothing is invented or rounded."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celonis_frames._arrow.casts import ConversionError
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.json_objects import object_encoder
from celonis_frames._schema.json_text import json_text

STRICT = ConversionOptions(nested="json")
LOOSE = ConversionOptions(nested="json", binary="hex", infinity="null")
encode_all, encode_all_loosely = object_encoder(STRICT), object_encoder(LOOSE)
D = decimal.Decimal


def encode(value: Any) -> str:
    """The JSON of one value."""
    (text,) = encode_all([value])
    return text


def encode_loosely(value: Any) -> str:
    """The same with bytes in hex, and infinities as null."""
    (text,) = encode_all_loosely([value])
    return text


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**200), 2**200), st.floats(allow_nan=False), TEXT
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=20,
)


@given(VALUES)
def test_plain_values_are_read_back(value: Any) -> None:
    """Values that JSON has are read back equal; infinities are null if the options say so."""

    def finite(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {key: finite(one) for key, one in inner.items()}
        if isinstance(inner, list):
            return [finite(one) for one in inner]
        return None if isinstance(inner, float) and math.isinf(inner) else inner

    assert json.loads(encode_loosely([value])) == [finite(value)]


@given(st.lists(st.one_of(VALUES, st.floats()), max_size=5), st.integers(1, 100))
def test_many_rows_are_written_as_each_alone(values: list[Any], times: int) -> None:
    """Rows that are written together are written as each by itself."""
    rows = [[value] for value in values] * times
    assert object_encoder(LOOSE)(rows) == [object_encoder(LOOSE)([row])[0] for row in rows]


SCALARS: list[tuple[Any, str]] = [
    (np.int8(-1), "-1"), (np.uint64(2**64 - 1), str(2**64 - 1)), (np.float32(0.5), "0.5"),
    (np.float64("nan"), "null"), (np.float32("nan"), "null"), (np.bool_(False), "false"),
    (np.str_("x"), '"x"'), (pd.NaT, "null"), (pd.NA, "null"), (math.nan, "null"),
    (10**5000, "1" + "0" * 5000), (D("1.50"), '"1.50"'), (D("1E+3"), '"1000"'),
    (D("NaN"), "null"), (D("sNaN"), "null"), (uuid.UUID(int=1), f'"{uuid.UUID(int=1)}"'),
    (dt.timedelta(days=-1, microseconds=1), "-86399.999999"), (dt.timedelta(90), "7776000.0"),
    (dt.timedelta.max, "86399999999999.999999"), (pd.Timedelta(1), "0.000000001"),
    (np.timedelta64(3, "ms"), "0.003"), (np.timedelta64("NaT", "ms"), "null"),
    (np.datetime64("2024-02-29"), '"2024-02-29"'), (np.datetime64("NaT", "D"), "null"),
    (np.datetime64(1, "ns"), '"1970-01-01T00:00:00.000000001"'),
    (dt.time(9, 30, tzinfo=dt.UTC), '"09:30:00+00:00"'), (dt.date(1, 1, 1), '"0001-01-01"'),
    (pd.Timestamp("2024-01-01", tz="Asia/Tokyo"), '"2024-01-01T00:00:00+09:00"'),
    (np.array(["2024-01-01"], "datetime64[ns]"), '["2024-01-01T00:00:00"]'),
    (np.array([[1], [2]]), "[[1], [2]]"), (np.array([None, "x"], dtype=object), '[null, "x"]'),
    (pa.scalar(5), "5"), ({b"k": 1}, '{"k": 1}'), ((1, "é\n"), r'[1, "é\n"]'),
]  # fmt: skip


def test_each_kind_of_value() -> None:
    """Each is written in the same way alone, and beside what Python's encoder cannot write."""
    for value, text in SCALARS:
        assert encode([value]) == f"[{text}]"
        beside = [math.nan, dt.timedelta(1), value]
        assert encode({"a": beside}) == f'{{"a": [null, 86400.0, {text}]}}'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1}, "set objects"), (frozenset(), "frozenset"), (1j, "complex"), (object(), "object"),
        (b"x", "binary="), (math.inf, "infinity="), (D("-Infinity"), "infinity="),
        (np.float32("inf"), "infinity="), (np.longdouble(1), "NumPy"), (np.complex64(1), "NumPy"),
        (np.datetime64(1, "ps"), "NumPy"), (np.datetime64("20000-01-01"), "NumPy"),
        (pd.Timestamp(np.datetime64("20000-01-01T00")), "years 1 to 9999"),
        ({1: 2}, "key of type int"), ({None: 2}, "key of type NoneType"),
        ({b"a": 1, "a": 2}, "as str and as bytes"), (D("1E+999999999"), "exponents"),
        (pd.Period("2024"), "Period"), (pd.Series([1]), "Series"),
        (np.array([{1: 2}], dtype=object), "key of type int"),
    ],
    ids=lambda given: f"{type(given).__module__} {re.sub(' at 0x[0-9a-f]+', '', repr(given))}",
)  # fmt: skip
def test_what_json_cannot_hold_is_rejected(value: Any, message: str) -> None:
    """The error says what the value contains, also beside NaN, and shows no value."""
    for nested in ([value], {"a": [math.nan, {"b": value}]}):
        with pytest.raises(ConversionError, match=message):
            encode(nested)


def test_nesting_without_end() -> None:
    """A list that contains itself, or is nested ten thousand times, is an error of ours."""
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    for value in (endless, deep, [math.nan, deep]):
        with pytest.raises(ConversionError, match="nested too deeply"):
            encode(value)


@given(st.lists(st.fixed_dictionaries({
    "f": st.floats(allow_infinity=False), "t": st.datetimes(), "d": st.timedeltas(),
    "n": st.integers(-(10**9), 10**9).map(lambda n: D(n).scaleb(-3)),
    "s": TEXT, "b": st.binary(max_size=3),
}), max_size=3))  # fmt: skip
def test_arrow_and_python_write_alike(rows: list[dict[str, Any]]) -> None:
    """The same values have the same JSON, whether they come from pandas objects or from Arrow."""
    spans = [row for row in rows if abs(row["d"]) < dt.timedelta(10**8)]
    if spans:
        kind = pa.struct(
            {"f": pa.float64(), "t": pa.timestamp("us"), "d": pa.duration("us"),
             "n": pa.decimal128(20, 3), "s": pa.string(), "b": pa.binary()}
        )  # fmt: skip
        texts = json_text(pa.array(spans, kind), LOOSE).to_pylist()
        assert texts == [encode_loosely({f.name: row[f.name] for f in kind}) for row in spans]


def test_work_is_linear_in_the_values() -> None:
    """Each value is visited once, also if all dicts have other keys."""

    class Counted(dict[str, int]):
        visits = 0

        def values(self) -> Any:
            Counted.visits += 1
            return super().values()

    rows = [Counted({f"k{row}": row}) for row in range(1_000)]
    assert sum(map(len, encode_all(rows))) < 20 * len(rows)
    assert Counted.visits <= len(rows)
