"""Which types the text of a file gets: no value may come back changed."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from celonis_frames._cli.reading.text_types import Finding, all_types, find_types


def _found(values: list[str | None], *, comma: bool = False) -> Finding:
    frame = pl.LazyFrame({"C": pl.Series(values, dtype=pl.String)})
    types = all_types(decimal_comma=comma, dates=True)
    found, _ = find_types(frame, ["C"], types, pl.lit(False), lambda *_: "row 7 of x.csv")
    return found["C"]


def _typed(values: list[str | None], *, comma: bool = False) -> tuple[str, list[Any]]:
    found = _found(values, comma=comma)
    if found.type is None:
        return "STRING", values
    column = found.type.convert(pl.col("C"))
    frame = pl.DataFrame({"C": pl.Series(values, dtype=pl.String)})
    return found.type.column_type, frame.select(column).to_series().to_list()


@pytest.mark.parametrize(
    ("values", "kind", "typed"),
    [
        (["1", "-2", None, "0"], "INTEGER", [1, -2, None, 0]),
        (["9223372036854775807", "1"], "INTEGER", [2**63 - 1, 1]),
        (["1.50", "2", "-0.25"], "FLOAT", [1.5, 2.0, -0.25]),
        (["10.50", "10.00", "9.99"], "FLOAT", [10.5, 10.0, 9.99]),
        (["1.0", "2.25", "1e-05"], "FLOAT", [1.0, 2.25, 1e-05]),
        (["10.5", "10", "9.99"], "FLOAT", [10.5, 10.0, 9.99]),
        (["12.500", "0.250"], "FLOAT", [12.5, 0.25]),
        (["1.234", "1.5"], "FLOAT", [1.234, 1.5]),
        (["1.5e-05", "1e+16"], "FLOAT", [1.5e-05, 1e16]),
        (["0.30000000000000004"], "FLOAT", [0.30000000000000004]),
        (["true", "False", None], "BOOLEAN", [True, False, None]),
        (["2024-02-29", None], "DATE", [dt.date(2024, 2, 29), None]),
        (["9999-12-31"], "DATE", [dt.date(9999, 12, 31)]),
        (["2024-01-02 03:04", "2024-01-02T03:04:05.5"], "DATETIME",
         [dt.datetime(2024, 1, 2, 3, 4), dt.datetime(2024, 1, 2, 3, 4, 5, 500_000)]),
        (["2024-01-02 03:04:05", "2024-01-03"], "DATETIME",
         [dt.datetime(2024, 1, 2, 3, 4, 5), dt.datetime(2024, 1, 3)]),
        (["2024-01-02T03:04:05+02:00", "2024-01-02T03:04Z"], "DATETIME",
         [dt.datetime(2024, 1, 2, 1, 4, 5, tzinfo=dt.UTC),
          dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.UTC)]),
    ],
)  # fmt: skip
def test_values_that_have_a_type(values: list[Any], kind: str, typed: list[Any]) -> None:
    """Numbers, true and false, and dates of ISO 8601."""
    assert _typed(values) == (kind, typed)


@pytest.mark.parametrize(
    "values",
    [
        ["0045", "45"], ["00"], ["+49"], ["1_000"], ["1,5"], [" 1"], ["1E5", "2E7"],
        ["12345678901234567890"], ["9223372036854775808"], ["123456789012345678.5"],
        ["9007199254740993", "0.5"], ["1", "x"], ["NaN", "1.5"], ["inf"], ["0x10"], ["1."], [".5"],
        ["yes", "no"], ["2024-13-01"], ["2023-02-29"], ["24-01-02"], ["2024-01-02 25:00"],
        ["31.12.2024"], ["2024-01-02 03:04:05", "2024-01-02T03:04:05Z"], ["01.5"], ["1.2.3"],
        ["1.10", "1.1"], ["1.0", "1"], ["1.00", "1.50", "2"], ["1.234", "12.500"], ["1.234", "7"],
    ],
)  # fmt: skip
def test_values_that_stay_text(values: list[Any]) -> None:
    """Each would lose something as another type, or is none of it."""
    assert _typed(values) == ("STRING", values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["01067", "10115"], "1 value begins with 0"),
        (["+49", "12"], "a plus sign"),
        (["1,5", "2"], "decimal_comma=true"),
        (["1.234,50", "2"], "decimal_comma=true"),
        (["1.234", "12.500"], "its points may group thousands. If they do: --read-option decimal"),
        (["1.234", "1.234.567"], "its points may group thousands"),
        (["1.10", "1.1"], "some end in 0, which FLOAT would lose. As FLOAT: --column C=FLOAT"),
        (["1", "NA", "n/a"], "null_values=NA,n/a"),
        (["1", "#N/A", "?"], "--read-option 'null_values=#N/A,?'."),
        (["31.12.2024", "01.02.2024"], "C=DATETIME:%d.%m.%Y."),
        (["12/31/2024 10:00"], "'C=DATETIME:%m/%d/%Y %H:%M'."),
        (["1/2/2024"], "or %m/%d/%Y if the month is first"),
        (["1"] * 30 + ["x"], "1 of 31 values is not whole numbers, the first in row 7 of x.csv"),
    ],
)
def test_what_stays_text_although_it_looks_like_something_else(
    values: list[Any], words: str
) -> None:
    """A note says why, and names the option that changes it."""
    note = _found(values).note
    assert words in note
    assert "Column 'C' is sent as text" in note


@pytest.mark.parametrize("values", [["x", "y"], ["Create", "1"], ["a,b", "c"], ["2024", "x", "y"]])
def test_nothing_is_said_of_plain_text(values: list[Any]) -> None:
    """A note for each column would be read by nobody."""
    assert _found(values).note == ""


def test_a_decimal_comma_groups_with_points() -> None:
    """If the user says that there is one."""
    values = ["1.234,50", "-7", "0,25"]
    assert _typed(values, comma=True) == ("FLOAT", [1234.5, -7.0, 0.25])
    assert _typed(["1.234", "5"], comma=True) == ("INTEGER", [1234, 5])
    assert _typed(["1.5", "2"], comma=True)[0] == "STRING"


def test_a_value_far_below_the_first_rows_decides() -> None:
    """All rows are read: the last one makes the column text, and is named."""
    values = [str(number) for number in range(30_000)]
    assert _found(values).type is not None
    found = _found([*values, "x"])
    assert found.type is None
    assert "1 of 30,001 values is not whole numbers" in found.note
    assert _found([*values, "0045"]).type is None


def test_a_column_without_values_is_empty() -> None:
    """It takes whatever type the table has."""
    assert _found([None, None]) == Finding(empty=True)


def _same(text: str, value: Any) -> bool:
    """Whether a value is exactly what the text says."""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int):
        return str(value) == text
    if isinstance(value, float):
        return (
            math.isfinite(value) and float(text) == value and _digits(text) == _digits(repr(value))
        )
    return True  # dates: see the table above


def _digits(text: str) -> str:
    return text.lower().partition("e")[0].replace("-", "").replace(".", "").strip("0")


NUMBERS = st.one_of(
    st.from_regex(r"-?[0-9]{1,22}", fullmatch=True),
    st.from_regex(r"-?[0-9]{1,19}\.[0-9]{1,19}", fullmatch=True),
    st.from_regex(r"[0-9](\.[0-9]{1,4})?[eE][+-]?[0-9]{1,3}", fullmatch=True),
    st.floats().map(repr),
    st.integers().map(str),
)


@given(st.lists(NUMBERS, min_size=1, max_size=5))
@example(["1e400"])
@example(["1E-400", "0"])
@example(["1.2345e-320"])
@example(["0.1", "12345678901234567"])
def test_no_number_comes_back_changed(texts: list[str]) -> None:
    """Whatever stands in the file: it is a number with all its digits, or stays text."""
    kind, values = _typed(list(texts))
    if kind != "STRING":
        assert all(_same(text, value) for text, value in zip(texts, values, strict=True))


@given(st.lists(st.from_regex(r"(0|[1-9][0-9]{0,4})(\.[0-9]{1,3})?", fullmatch=True), min_size=1))
@example(["1.10", "1.1"])
@example(["1.0", "1"])
@example(["1.00", "1.0"])
def test_the_decimals_of_a_column_come_back_by_its_rule(texts: list[str]) -> None:
    """All have as many decimals, or as few as they need; whole ones are written in one way."""
    kind, values = _typed(list(texts))
    decimals = {len(text.partition(".")[2]) for text in texts if "." in text}
    places = decimals.pop() if len(decimals) == 1 else None
    bare = any("." not in text for text in texts)

    def written(value: float) -> str:
        shortest = repr(value).removesuffix(".0")
        if bare and shortest.isdecimal():
            return shortest
        return f"{value:.{places}f}" if places else repr(value)

    if kind == "FLOAT":
        assert [written(value) for value in values] == texts
        assert len(set(values)) == len(set(texts))
