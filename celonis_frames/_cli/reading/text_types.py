"""Which types the text columns of a file get: those from which no value comes back changed.

How it works: the first rows say which types a column may have; then all rows are read once and each
of these types is checked against each value. A column gets the first type that all of its values
have, else it stays text. So a number may not begin with 0, have a plus sign, or have more digits
than the type holds: 0045 and long identifiers stay what they are. Which zeros end a number a FLOAT
does not hold, so the column must: all have two decimals, or none ends in 0. The checks are
expressions of polars, which use all cores.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import polars as pl

from celonis_frames._cli.reading.time_limit import collected
from celonis_frames._formatting import counted, verb

SAMPLE_ROWS = 10_000
"""Rows by which the possible types are found."""

Expr = Any  # an expression; types of polars are not followed
Unit = Literal["us", "ns"]
_DATES = r"^[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{4}( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?$"
_INFINITE = r"(?i)^[+-]?inf(inity)?$"
_MISSING = ("NA", "N/A", "n/a", "#N/A", "NULL", "null", "Null", "NaN", "nan", "None", "-", "?")
"""What other programs write for a missing value."""
_EXACT_DIGITS = 15
"""Digits that every FLOAT holds exactly; of more, some values do and others do not."""
_LEAST_EXACT = sys.float_info.min
"""From here on: smaller ones have fewer digits, and at last none."""
_MIN_SHARE = 0.9
"""Share of the values that look like something from which on a note says why they stay text."""


@dataclass(frozen=True)
class TextType:
    """A type that a text column may get.

    Attributes:
        name: For messages: "whole numbers".
        column_type: The type in Celonis.
        fits: Whether a value, a string, has this type and comes back unchanged.
        convert: The values.
        doubt: Why a column stays text although each of its values fits; null if it does not. An
            aggregate; None if values alone decide.
    """

    name: str
    column_type: str
    fits: Callable[[Expr], Expr]
    convert: Callable[[Expr], Expr]
    doubt: Callable[[Expr], Expr] | None = None


_INTEGER = r"^(0|-?[1-9][0-9]*)$"
_FLOAT = r"^-?(0|[1-9][0-9]*)(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?$"
GROUPED = r"^[+-]?([0-9]+|[0-9]{1,3}(\.[0-9]{3})+)(,[0-9]+)?$"
"""Numbers with a decimal comma, whose digits may be grouped by points."""
_IN_GROUPS = r"^[+-]?([1-9][0-9]{0,2}(\.[0-9]{3})*|0)$"
"""Whole numbers of up to three digits, or more that points group."""
_GROUPS = (
    "its points may group thousands. If they do: --read-option decimal_comma=true. If they are "
    "decimal points: --column {name}=FLOAT."
)
_POINTS = (
    "Column {name!r} is FLOAT in the table, so that its points are read as decimal points. If they "
    "group thousands: --read-option decimal_comma=true."
)
_DECIMALS = (
    "its numbers differ in their decimals, and some end in 0, which FLOAT would lose. As FLOAT: "
    "--column {name}=FLOAT."
)
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,%d})?)?"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})"


def with_point(text: Expr) -> Expr:
    """Numbers with a decimal comma as those with a point."""
    return text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)


def _same(text: Expr) -> Expr:
    return text


def _digits(text: Expr) -> Expr:
    """The digits of a number without the zeros around them, its point, sign and exponent."""
    bare = text.str.replace(r"[eE].*$", "").str.replace_all(r"[-.]", "")
    return bare.str.strip_chars_start("0").str.strip_chars_end("0")


def _is_float(text: Expr) -> Expr:
    value = text.cast(pl.Float64, strict=False)
    digits = _digits(text)
    exact = (digits.str.len_bytes() <= _EXACT_DIGITS) & (
        (digits == "") | (value.abs() >= _LEAST_EXACT)
    )
    return (
        text.str.contains(_FLOAT)
        & value.is_not_null()
        & value.is_finite()
        & (exact | (_digits(value.cast(pl.String)) == digits))
    )


def _float_doubt(text: Expr, *, decimal_comma: bool) -> Expr:
    """Why numbers stay text: their points may group thousands, or forms differ as 1.10 and 1.1 do.

    Each form comes back if all have as many decimals, or none ends in 0 but as 1.0, and if whole
    ones are written in one way.
    """
    plain = with_point(text) if decimal_comma else text
    end = pl.coalesce(plain.str.find("[eE]"), plain.str.len_bytes()).cast(pl.Int64)
    count = end - plain.str.find(".", literal=True) - 1
    varies = (count.min() < count.max()) & plain.str.contains(r"\.[0-9]+0([eE]|$)").any()
    is_bare = ~plain.str.contains("[.eE]")
    two_forms = is_bare.any() & plain.str.contains(r"\.0+$").any()
    may_group = (text.str.contains(_IN_GROUPS) | count.is_null()).all() & (count.max() == 3)
    return (
        pl.when(pl.lit(not decimal_comma) & may_group)
        .then(pl.lit(_GROUPS))
        .when(varies | two_forms)
        .then(pl.lit(_DECIMALS))
    )


def numbers(*, decimal_comma: bool) -> tuple[TextType, TextType]:
    """Whole numbers, and numbers; with a decimal comma points group their digits."""
    plain = with_point if decimal_comma else _same

    def fits_grouping(text: Expr) -> Expr:
        return text.str.contains(GROUPED) if decimal_comma else pl.lit(True)

    return (
        TextType(
            "whole numbers", "INTEGER",
            lambda text: fits_grouping(text) & plain(text).str.contains(_INTEGER)
            & plain(text).cast(pl.Int64, strict=False).is_not_null(),
            lambda text: plain(text).cast(pl.Int64),
        ),
        TextType(
            "numbers", "FLOAT",
            lambda text: fits_grouping(text) & _is_float(plain(text)),
            lambda text: plain(text).cast(pl.Float64),
            partial(_float_doubt, decimal_comma=decimal_comma),
        ),
    )  # fmt: skip


def parse_date(text: Expr) -> Expr:
    """Dates of the form 2024-12-31; null for other texts."""
    return text.str.strptime(pl.Date, "%Y-%m-%d", strict=False)


def parse_datetime(text: Expr, unit: Unit = "us") -> Expr:
    """Times of the form 2024-12-31 23:59:59.123, with T or a blank; null for other texts."""
    spaced = text.str.replace("T", " ", literal=True)
    kind = pl.Datetime(unit)
    forms = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")
    return pl.coalesce(
        *(spaced.str.strptime(kind, form, strict=False) for form in forms),
        parse_date(text).cast(kind, strict=False),
    )


def parse_zoned(text: Expr, unit: Unit = "us") -> Expr:
    """The same with Z or an offset at the end, as UTC."""
    spaced = text.str.replace("T", " ", literal=True).str.replace(r"Z$", "+00:00")
    colon = spaced.str.replace(r"([+-][0-9]{2})([0-9]{2})$", "${1}:${2}")
    kind = pl.Datetime(unit, "UTC")
    forms = ("%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M%:z")
    return pl.coalesce(*(colon.str.strptime(kind, form, strict=False) for form in forms))


def _times(unit: Unit, *, zone: bool) -> TextType:
    """Times of ISO 8601 in microseconds, or in nanoseconds, which reach from 1677 to 2262."""
    clock = _CLOCK % {"us": 6, "ns": 9}[unit]
    pattern = f"{_DAY}{clock}{_ZONE}" if zone else f"{_DAY}({clock})?"
    parse = parse_zoned if zone else parse_datetime
    return TextType(
        "times with a zone" if zone else "times", "DATETIME",
        lambda text: text.str.contains(f"^{pattern}$") & parse(text, unit).is_not_null(),
        lambda text: parse(text, unit),
    )  # fmt: skip


_TRUE_FALSE = TextType(
    "true or false", "BOOLEAN",
    lambda text: text.str.to_lowercase().is_in(["true", "false"]),
    lambda text: text.str.to_lowercase() == "true",
)  # fmt: skip
DATES = (
    TextType(
        "dates", "DATE",
        lambda text: text.str.contains(f"^{_DAY}$") & parse_date(text).is_not_null(), parse_date,
    ),
    _times("us", zone=False), _times("ns", zone=False),
    _times("us", zone=True), _times("ns", zone=True),
)  # fmt: skip
"""Dates and times as ISO 8601 has them."""


def all_types(*, decimal_comma: bool, dates: bool) -> tuple[TextType, ...]:
    """The types that a text column may get, in the order in which they are tried."""
    return (_TRUE_FALSE, *numbers(decimal_comma=decimal_comma), *(DATES if dates else ()))


@dataclass(frozen=True)
class Finding:
    """What the rows say of a text column: its type, and what the user should know.

    Attributes:
        type: The type; None if it stays text.
        note: Why it stays text although it looks like something else, or how its points are read;
            else "".
        empty: Whether no row has a value.
    """

    type: TextType | None = None
    note: str = ""
    empty: bool = False


def find_types(
    frame: pl.LazyFrame,
    names: Sequence[str],
    types: Sequence[TextType],
    blank: Expr,
    first_row: Callable[[str, TextType], str],
    floats: Sequence[str] = (),
) -> tuple[dict[str, Finding], int]:
    """The types of some text columns, and the number of blank rows, by one reading of all rows.

    Args:
        frame: The rows.
        names: The text columns.
        types: Those that they may get, in order.
        blank: Whether a row is blank.
        first_row: Returns where the first value is that does not fit.
        floats: Columns that are FLOAT in the table, which keeps no zeros and has decimal points.
    """
    head = frame.select(names).head(SAMPLE_ROWS).collect()
    likely = {name: _likely(head.get_column(name), types) for name in names}
    looks = {name: _look(head.get_column(name), types) for name in names}
    checks = [blank.sum().alias("blank")]
    for place, name in enumerate(names):
        column = pl.col(name)
        checks.append(column.count().alias(f"{place}"))
        checks += [
            misfits(column, one).sum().alias(f"{place} {types.index(one)}") for one in likely[name]
        ]
        checks += [one.doubt(column).alias(f"{place} doubt") for one in likely[name] if one.doubt]
        if looks[name] is _DIGITS:
            checks.append(column.str.contains(_ZERO_FIRST).sum().alias(f"{place} zeros"))
            checks.append((~column.str.contains(_ALL_DIGITS)).sum().alias(f"{place} others"))
    row = collected(frame.select(checks)).row(0, named=True)
    found: dict[str, Finding] = {}
    for place, name in enumerate(names):
        counts = {one: row[f"{place} {types.index(one)}"] for one in likely[name]}
        fitting = next((one for one, number in counts.items() if not number), None)
        doubt = row[f"{place} doubt"] if fitting is not None and fitting.doubt else None
        note = ""
        if doubt and name in floats:
            note = _POINTS.format(name=name) if doubt == _GROUPS else ""
            doubt = None
        if row[f"{place}"] == 0:
            found[name] = Finding(empty=True)
        elif fitting is not None and doubt is None:
            found[name] = Finding(fitting, note)
        else:
            reason = doubt.format(name=shlex.quote(name)) if doubt else looks[name]
            if reason is _DIGITS:
                reason = _digits_reason(name, row[f"{place} zeros"], row[f"{place} others"])
            if not reason and counts:
                close = min(counts, key=lambda one: counts[one])
                reason = _misfit_reason(name, close, counts[close], row[f"{place}"], first_row)
            found[name] = Finding(note=reason and f"Column {name!r} is sent as text: {reason}")
    return found, row["blank"]


def misfits(text: Expr, kind: TextType) -> Expr:
    """Whether a value is there and does not have this type."""
    return text.is_not_null() & ~kind.fits(text)


def _likely(values: pl.Series, types: Sequence[TextType]) -> list[TextType]:
    """The types that nearly all of the first values have."""
    column = pl.col(values.name)
    frame, bound = values.to_frame(), values.count() * (1 - _MIN_SHARE)
    return [one for one in types if frame.select(misfits(column, one).sum()).item() <= bound]


_DIGITS = "digits"
"""What a column of nothing but digits looks like: all rows say why it is no number."""
_ALL_DIGITS, _ZERO_FIRST = r"^[+-]?[0-9]+$", r"^[+-]?0[0-9]"


def _look(values: pl.Series, types: Sequence[TextType]) -> str:
    """Why the first values are text although they look like something else; "" if they do not."""
    present = values.drop_nulls()
    if not len(present):
        return ""

    def all_match(pattern: str) -> bool:
        return bool(present.str.contains(pattern).all())

    if all_match(_ALL_DIGITS):
        return _DIGITS
    if present.str.contains(",").any() and all_match(
        r"^-?[0-9]{1,3}(\.?[0-9]{3})*(,[0-9]+)?$|^-?[0-9]+,[0-9]+$"
    ):
        return "its numbers have decimal commas. As FLOAT: --read-option decimal_comma=true."
    if all_match(_IN_GROUPS):
        return _GROUPS.format(name=shlex.quote(values.name))
    kept = present.filter(~present.is_in(_MISSING))
    words = sorted(present.filter(present.is_in(_MISSING)).unique().to_list())
    if words and len(kept) and any(_all_fit(kept, one) for one in types):
        return (
            f"besides its other values it has {' and '.join(map(repr, words))}. If that means no "
            f"value: --read-option {shlex.quote('null_values=' + ','.join(words))}."
        )
    infinite = present.str.contains(_INFINITE)
    if infinite.any() and any(_all_fit(present.filter(~infinite), one) for one in types):
        return (
            "besides its numbers it has infinite ones. As FLOAT, with NULL for those: --column "
            f"{shlex.quote(values.name)}=FLOAT --infinity null."
        )
    if found := date_formats(present):
        option = shlex.quote(f"{values.name}=DATETIME:{found[0]}")
        advice = f"it looks like dates. As DATETIME: --column {option}"
        return f"{advice}, or {found[1]} if the month is first." if found[1:] else f"{advice}."
    return ""


def _all_fit(values: pl.Series, kind: TextType) -> bool:
    return bool(values.to_frame("v").select(kind.fits(pl.col("v")).all()).item())


def date_formats(values: pl.Series) -> tuple[str, ...]:
    """The formats that dates such as 31.12.2024 may have: two if the month may be first.

    None if not all values look so.
    """
    values = values.drop_nulls()
    if not len(values) or not values.str.contains(_DATES).all():
        return ()
    sign = str(values.str.extract(r"([./-])").mode()[0])
    first, second = (
        int(values.str.extract(pattern).cast(pl.Int64).max() or 0)
        for pattern in (r"^([0-9]+)", r"^[0-9]+[./-]([0-9]+)")
    )
    time = values.str.extract(r" ([0-9:]+)$").drop_nulls()
    clock = "" if not len(time) else (" %H:%M:%S" if time.str.len_bytes().max() > 5 else " %H:%M")
    day_first, month_first = f"%d{sign}%m{sign}%Y{clock}", f"%m{sign}%d{sign}%Y{clock}"
    if second > 12:
        return (month_first,)
    return (day_first, month_first) if sign != "." and first <= 12 else (day_first,)


def _digits_reason(name: str, zeros: int, others: int) -> str:
    """Why a column of digits is no number; "" if it is because of other values."""
    if others:
        return ""
    if zeros:
        return (
            f"{counted(zeros, 'value')} {verb(zeros, 'begin')} with 0, which a number would lose. "
            f"As INTEGER: --column {shlex.quote(name)}=INTEGER."
        )
    return (
        "it has a plus sign, or more digits than INTEGER holds (18). As FLOAT, which keeps 15 "
        f"digits: --column {shlex.quote(name)}=FLOAT."
    )


def _misfit_reason(
    name: str,
    kind: TextType,
    number: int,
    count: int,
    first_row: Callable[[str, TextType], str],
) -> str:
    return (
        f"{number:,} of {counted(count, 'value')} {verb(number, 'are', 'is')} not "
        f"{kind.name}, the first in {first_row(name, kind)}. As {kind.column_type}, with an error "
        f"for those: --column {shlex.quote(name)}={kind.column_type}."
    )
