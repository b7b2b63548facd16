"""The findings about the values of a column of cases or activities."""

from __future__ import annotations

from collections.abc import Iterator

from celonis_frames._event_log import repair_code
from celonis_frames._event_log.names import NameStats
from celonis_frames._event_log.repair_code import Dialect
from celonis_frames._event_log.report import EventLogFinding
from celonis_frames._formatting import counted, verb

_Findings = Iterator[EventLogFinding]


def name_findings(role: str, name: str, names: NameStats, dialect: Dialect) -> _Findings:
    """What may be wrong with the values of the column with this role."""
    numbers = "decimals, which are stored as floats" if names.decimals else "floats"
    if names.fractions:
        are = "is not whole: it names" if names.fractions == 1 else "are not whole: they name"
        yield EventLogFinding(
            "warning", f"{role}_is_float", name, names.floats,
            f"Column {name!r} is {numbers}, and {names.fractions:,} of them {are} no {role}. Take "
            "them from the source as text.",
        )  # fmt: skip
    elif names.floats:
        yield EventLogFinding(
            "warning", f"{role}_is_float", name, names.floats,
            f"Column {name!r} is {numbers}, all of them whole: {_cause(names)}ids of more than 15 "
            "digits lose some. They match no ids of other tables. Read the column as text, or make "
            "integers of it.",
            repair_code.whole_numbers(name, dialect),
        )  # fmt: skip
    if names.float_text:
        yield EventLogFinding(
            "warning", f"{role}_ends_in_point_zero", name, names.float_text,
            f"Column {name!r} has {counted(names.float_text, 'value')} of digits that "
            f"{verb(names.float_text, 'end')} in .0: they were floats before, and match no ids of "
            "other tables. Cut it.",
            repair_code.without_suffix(name, dialect, categories=names.categories),
        )  # fmt: skip
    if role == "case" and names.digits and names.shortest != names.longest:
        yield from _leading_zeros(name, names)
    if names.empty:
        yield EventLogFinding(
            "warning", f"{role}_is_empty", name, names.empty,
            f"Column {name!r} has {counted(names.empty, 'empty text')}: they count as one {role}. "
            "Make nulls of them, and filter these rows out.",
        )  # fmt: skip
    if names.blank_ends:
        yield EventLogFinding(
            "hint", f"{role}_has_blanks", name, names.blank_ends,
            f"Column {name!r} has {counted(names.blank_ends, 'value')} with blanks at the ends, "
            "which make different values. Strip them.",
            repair_code.stripped(name, dialect, categories=names.categories),
        )  # fmt: skip
    if names.damaged:
        yield EventLogFinding(
            "hint", f"{role}_is_misread", name, names.damaged,
            f"Column {name!r} has {counted(names.damaged, 'value')} such as 'Ã¤' in the place of "
            "'ä': UTF-8 that was read as cp1252 or Latin-1. Read the file again with "
            'encoding="utf-8".',
        )  # fmt: skip
    if names.lost:
        yield EventLogFinding(
            "hint", f"{role}_has_lost_characters", name, names.lost,
            f"Column {name!r} has {counted(names.lost, 'value')} with the character U+FFFD, which "
            "stands for one that was lost: a file in cp1252 was read as UTF-8. Read it again with "
            'encoding="cp1252".',
        )  # fmt: skip


def _cause(names: NameStats) -> str:
    cause = "integers become floats where a null is among them, and "
    return "" if names.decimals else cause


def _leading_zeros(name: str, names: NameStats) -> _Findings:
    sizes = f"{names.shortest} to {names.longest} digits"
    if names.leading_zeros:
        message = (
            f"Column {name!r} has {counted(names.digits, 'value')} of {sizes}, of which "
            f"{names.leading_zeros:,} begin with 0: if the source fills its ids up to one length, "
            "some have lost their zeros, and one case may have two ids."
        )
    else:
        message = (
            f"Column {name!r} has {counted(names.digits, 'value')} of {sizes}, and none begins "
            "with 0: if the source fills its ids up to one length, as SAP does, the zeros were "
            "lost, and they match no ids of other tables."
        )
    yield EventLogFinding(
        "hint", "case_lengths_differ", name, names.digits, f"{message} Then read them as text."
    )
