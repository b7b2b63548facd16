"""The code that repairs a column, in the library of its frame: dates as text, ids as floats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from celonis_frames._event_log.time_formats import TimeFormat

Dialect = Literal["pandas", "polars", "arrow", "files"]
"""The library of a frame. Of Arrow and of Parquet files polars makes a frame that it can change."""

_POLARS = {
    "polars": "df",
    "arrow": "pl.from_arrow(df)",
    "files": "pl.scan_parquet(path)",
}
_PER_UNIT = {"s": 1_000_000, "ms": 1_000}
"""Microseconds of the units that polars does not count in floats."""


def dialect_of(kind: str) -> Dialect:
    """The library for a frame, by the kind that its source has."""
    if "pandas" in kind:
        return "pandas"
    if "polars" in kind:
        return "polars"
    return "files" if kind == "Parquet files" else "arrow"


def parse_times(
    name: str,
    formats: Sequence[TimeFormat],
    dialect: Dialect,
    *,
    gaps: bool,
    numbers: bool,
    categories: bool,
) -> str | None:
    """The code that makes timestamps of a column; None if no format is known.

    Args:
        name: The column.
        formats: Its formats, the most frequent first; those that are not known are left out.
        dialect: The library of the frame.
        gaps: Whether there are values without a time, which become nulls.
        numbers: Whether the values are numbers, not text.
        categories: Whether the text is in dictionaries.
    """
    known = [one for one in formats if one.parse is not None]
    if not known:
        return None
    if dialect == "pandas":
        return f"df[{_quoted(name)}] = {_pandas(name, known, gaps=gaps, numbers=numbers)}"
    column = f"pl.col({_quoted(name)}){_as_text(categories)}"
    expression = _polars(name, column, known, gaps=gaps, numbers=numbers)
    return f"df = {_POLARS[dialect]}.with_columns({expression})"


def whole_numbers(name: str, dialect: Dialect) -> str:
    """The code that makes integers of whole floats."""
    if dialect == "pandas":
        return _assigned(name, '.astype("Int64")')
    return _with_column(name, ".cast(pl.Int64)", dialect)


def without_suffix(name: str, dialect: Dialect, *, categories: bool) -> str:
    """The code that cuts the ``.0`` that ids got as floats."""
    if dialect == "pandas":
        return _assigned(name, '.str.removesuffix(".0")')
    return _with_column(name, f'{_as_text(categories)}.str.strip_suffix(".0")', dialect)


def stripped(name: str, dialect: Dialect, *, categories: bool) -> str:
    """The code that cuts the blanks at the ends."""
    if dialect == "pandas":
        return _assigned(name, ".str.strip()")
    return _with_column(name, f"{_as_text(categories)}.str.strip_chars()", dialect)


def _as_text(categories: bool) -> str:
    """What makes text of the categories of polars, which have no methods of text."""
    return ".cast(pl.String)" if categories else ""


def _assigned(name: str, call: str) -> str:
    column = f"df[{_quoted(name)}]"
    return f"{column} = {column}{call}"


def _with_column(name: str, call: str, dialect: Dialect) -> str:
    return f"df = {_POLARS[dialect]}.with_columns(pl.col({_quoted(name)}){call})"


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _pandas(name: str, formats: Sequence[TimeFormat], *, gaps: bool, numbers: bool) -> str:
    """The expression for pandas."""
    column = f"df[{_quoted(name)}]"
    offset = any(one.offset for one in formats)
    iso = all(one.iso for one in formats)
    if iso:
        words = ['format="ISO8601"', *["utc=True"] * offset, *['errors="coerce"'] * gaps]
        return f"pd.to_datetime({column}, {', '.join(words)})"
    parsed = []
    for one in formats:
        coerce = ['errors="coerce"'] * (gaps or len(formats) > 1)
        assert one.parse is not None  # noqa: S101  # `parse_times` leaves the others out
        digits = not one.parse.startswith("%")
        if digits and one.parse == "excel":
            words, values = ['unit="D"', 'origin="1899-12-30"'], column
        elif digits:
            words, values = [f'unit="{one.parse}"'], column
        else:
            directive = one.parse + ".%f" * one.fraction
            words = [f'format="{directive}"', *["utc=True"] * one.offset]
            values = f'{column}.astype("Int64").astype("string")' if numbers else column
        if digits and not numbers:
            values = f"pd.to_numeric({', '.join([column, *coerce])})"
        words += coerce
        naive = ".dt.tz_localize(None)" * (one.offset and len(formats) > 1)
        parsed.append(f"pd.to_datetime({values}, {', '.join(words)}){naive}")
    return parsed[0] + "".join(f".fillna({one})" for one in parsed[1:])


def _polars(
    name: str, column: str, formats: Sequence[TimeFormat], *, gaps: bool, numbers: bool
) -> str:
    """The expression for polars, which has the name of the column."""
    parsed: dict[str, None] = {}
    several = len({(one.parse, one.offset) for one in formats}) > 1
    strict = ", strict=False" * (gaps or several)
    text_column = f"{column}.cast(pl.Int64).cast(pl.String)" if numbers else column
    for one in formats:
        if one.parse is None or not one.parse.startswith("%"):
            parsed[_polars_number(name, column, one.parse, strict, numbers=numbers)] = None
            continue
        # %.f takes no fraction, too.
        fraction = "%.f" * (one.parse.endswith(":%S"))
        naive = ".dt.replace_time_zone(None)" * (one.offset and several)
        text = f'"{one.parse}{fraction}{"%#z" * one.offset}"'
        parsed[f"{text_column}.str.to_datetime({text}{strict}){naive}"] = None
    return next(iter(parsed)) if len(parsed) == 1 else f"pl.coalesce({', '.join(parsed)})"


def _polars_number(name: str, column: str, unit: str | None, strict: str, *, numbers: bool) -> str:
    if not numbers:
        column += f".cast(pl.Int64{strict})"
    if unit == "excel":
        days = f"({column} * 86_400_000_000).round().cast(pl.Int64)"
        return (
            f"(pl.datetime(1899, 12, 30) + pl.duration(microseconds={days})).alias({_quoted(name)})"
        )
    if unit in _PER_UNIT:
        counts = f"({column} * {_PER_UNIT[unit]:_}).cast(pl.Int64)"
        return f'pl.from_epoch({counts}, time_unit="us")'
    return f'pl.from_epoch({column}.cast(pl.Int64), time_unit="{unit}")'
