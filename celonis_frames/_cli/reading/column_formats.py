"""Columns of text that `--column` sends as another type: dates by their format, numbers as such."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from celonis_frames._cli.reading.reading import Wanted
from celonis_frames._cli.reading.text_types import (
    GROUPED,
    parse_date,
    parse_datetime,
    parse_zoned,
    with_point,
)
from celonis_frames._formatting import counted, did_you_mean, shown
from celonis_frames._schema.names import find_name, renamed
from celonis_frames.exceptions import ColumnTypeError, ConfigError

_TIMES: Mapping[str, Any] = {"DATE": pl.Date, "DATETIME": pl.Datetime("us"), "TIME": pl.Time}


@dataclass(frozen=True)
class Conversion:
    """What becomes of one column of text.

    Attributes:
        name: Its name in the file.
        type: Celonis column type.
        format: Of dates and times, as Python's `strptime` has it; None for ISO 8601.
    """

    name: str
    type: str
    format: str | None

    def convert(self, *, decimal_comma: bool) -> pl.Expr:
        """The values; null where a text is none of this type."""
        text = pl.col(self.name).str.strip_chars()
        if self.format is not None:
            kind = _TIMES[self.type]
            if self.type == "DATETIME" and "%z" in self.format.replace("%:z", "%z"):
                kind = pl.Datetime("us", "UTC")
            return text.str.strptime(kind, self.format, strict=False)
        if self.type == "DATE":
            return parse_date(text)
        if self.type == "DATETIME":
            return pl.coalesce(parse_datetime(text), parse_zoned(text).dt.replace_time_zone(None))
        if self.type == "TIME":
            return text.str.strptime(pl.Time, "%H:%M:%S%.f", strict=False)
        if self.type == "BOOLEAN":
            return text.str.to_lowercase().replace_strict(
                {"true": True, "false": False, "1": True, "0": False},
                default=None, return_dtype=pl.Boolean,
            )  # fmt: skip
        if decimal_comma:
            text = pl.when(text.str.contains(GROUPED)).then(with_point(text))
        return text.str.strip_chars_start("+").cast(
            pl.Int64 if self.type == "INTEGER" else pl.Float64, strict=False
        )


def conversions(
    names: Sequence[str],
    texts: Sequence[str],
    wanted: Wanted,
    *,
    all_texts: bool,
) -> list[Conversion]:
    """What `--column` asks for, for the columns of a file.

    Args:
        names: All columns of the file.
        texts: Those that are text.
        wanted: What the options say of the columns.
        all_texts: Whether the file has nothing but text, so that each type is made from it.

    Raises:
        ConfigError: A format is for a column that the file does not have.
        ColumnTypeError: A format is for a column that is no text.
    """
    new = [renamed(name, wanted.rename) for name in names]
    found = []
    for given, kind in wanted.types.items():
        place = find_name(given, list(names), new)
        form = wanted.formats.get(given)
        if place is None:
            if form is not None:
                raise ConfigError(
                    f"--column names {given!r}, which the file does not have."
                    f"{did_you_mean(given, names)}"
                )
            continue
        name = names[place]
        if form is not None and name not in texts:
            raise ColumnTypeError(
                f"Column {name!r} is no text, so that {shown(form)} is no format of its values: "
                f"leave it out (--column {shlex.quote(given)}={kind}).",
                column=name,
                parameter="columns",
            )
        if not isinstance(kind, str) or kind.upper() == "STRING" or name not in texts:
            continue
        if form is not None or all_texts:
            found.append(Conversion(name, kind.upper(), form))
    return found


def conversion_error(
    conversion: Conversion, file: str, lost: int, count: int, row: int, formats: Sequence[str]
) -> ColumnTypeError:
    """The error for a column of which `lost` of `count` values are none of its type.

    `row` is that of the first of them, from 1; `formats` are those that the first values may have.
    """
    form = "" if conversion.format is None else f" of the form {conversion.format}"
    advice = "Correct the values or the format, or send the column as text."
    if conversion.format in formats:
        advice = "Correct the values, or send the column as text."
    elif formats and conversion.type in ("DATE", "DATETIME"):
        options = (shlex.quote(f"{conversion.name}={conversion.type}:{one}") for one in formats)
        advice = f"Give the format of its dates: --column {' or --column '.join(options)}."
    return ColumnTypeError(
        f"Column {conversion.name!r} of {file}: {lost:,} of {counted(count, 'value')} cannot be "
        f"read as {conversion.type}{form}; the first is in row {row:,} (below the header, from 1). "
        f"{advice}",
        column=conversion.name,
    )
