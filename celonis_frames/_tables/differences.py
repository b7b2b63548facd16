"""How a frame and its table differ, and what a push does about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.names import name_key
from celonis_frames._schema.table_layout import ColumnPlan, TableLayout
from celonis_frames._tables.alignment import SHOWN, Follow, follows, with_existing
from celonis_frames._tables.existing_table import ExistingColumn, ExistingTable

Level = Literal["safe", "lossy", "fatal"]
Kind = Literal["new", "missing", "type", "length"]


@dataclass(frozen=True)
class TableDifference:
    """A difference between a frame and the table that is there.

    Attributes:
        column: The column's name in the table.
        kind: ``"new"`` in the table, ``"missing"`` in the frame, ``"type"`` or ``"length"``.
        level: ``"safe"``: nothing is lost. ``"lossy"``: values of the table or of the frame, or
            the type of a column that becomes text, would be lost. ``"fatal"``: the job would fail,
            or the options reject it.
        frame: Type (and length) in the frame; None if it is missing there.
        table: Type (and length) in the table; None if it is new there.
        consequence: What a push does, in a sentence.
    """

    column: str
    kind: Kind
    level: Level
    frame: str | None
    table: str | None
    consequence: str

    def __str__(self) -> str:
        if self.frame is None:
            what = f"{self.table}, missing in the frame"
        elif self.table is None:
            what = f"{self.frame}, new"
        else:
            what = f"{self.frame} in the frame, {self.table} in the table"
        return f"{self.column}: {what}. {self.consequence}"


def schema_differences(
    layout: TableLayout, table: ExistingTable, options: PushOptions
) -> tuple[TableDifference, ...]:
    """The differences that schemas show, in the frame's order, then the table's.

    `layout` is that of the frame by itself, before it is aligned.
    """
    if not table.exists:
        return ()
    found, lacking = [], dict(table.known)
    for column in layout.columns:
        existing = lacking.pop(name_key(column.name), None)
        difference = _new(column, options) if existing is None else _type(column, existing, options)
        if difference is not None:
            found.append(difference)
    found += [_missing(column, options) for column in lacking.values()]
    return tuple(found)


def length_differences(
    layout: TableLayout,
    table: ExistingTable,
    options: PushOptions,
    longest: Mapping[str, int],
    lengths: Mapping[str, int],
) -> tuple[TableDifference, ...]:
    """The differences of string lengths.

    Args:
        layout: That of the rows sent.
        table: The table.
        options: The options of the push.
        longest: Characters of the longest string of each column.
        lengths: The lengths that its job declares.
    """
    found = []
    for column, existing in with_existing(layout, table):
        length = None if existing is None else existing.length
        if length is None or column.conversion.column_type != "STRING":
            continue
        most, declared = longest.get(column.name, 0), lengths.get(column.name, length)
        if options.replaces and options.schema != "freeze":
            if declared != length:
                text = f"REPLACE changes the length to {declared:,}."
                found.append(_length(column, "safe", declared, length, text))
        elif most > length:
            text = (
                f"Celonis would cut strings longer than {length:,} characters, so the push is "
                'rejected: recreate the table with mode="REPLACE", or shorten them.'
            )
            if options.replaces:
                text = 'schema_mode="freeze" keeps the length: leave that out, or shorten them.'
            level: Level = "fatal" if options.schema == "freeze" else "lossy"
            found.append(_length(column, level, most, length, text))
    return tuple(found)


def _length(column: ColumnPlan, level: Level, mine: int, theirs: int, text: str) -> TableDifference:
    return TableDifference(
        column.name, "length", level, f"STRING, {mine:,}", f"STRING, {theirs:,}", text
    )


def is_frozen(options: PushOptions) -> bool:
    """Whether no column may be added or be missing."""
    return options.schema == "freeze" or (
        options.upload.job_options.get("upsertStrategy") == "UPSERT_WITH_UNCHANGED_METADATA"
    )


def _new(column: ColumnPlan, options: PushOptions) -> TableDifference:
    level: Level = "safe"
    text = "The table gets this column, NULL in the rows that are there."
    if options.replaces:
        text = "The new table has this column."
    if is_frozen(options):
        level, text = "fatal", "No column may be added."
    return TableDifference(column.name, "new", level, column.conversion.column_type, None, text)


def _missing(column: ExistingColumn, options: PushOptions) -> TableDifference:
    level: Level = "lossy"
    text = "The rows that are written get NULL, also those that have a value."
    if options.replaces:
        text = "REPLACE drops this column."
    elif options.keys and options.missing_columns != "null":
        text = (
            "An upsert sets it to NULL in the rows that it writes, so the push is rejected: "
            'missing_columns="null" sends it.'
        )
    elif options.missing_columns == "error":
        level, text = "fatal", 'missing_columns="error" rejects the push.'
    elif not options.keys:
        level, text = "safe", "The new rows get NULL."
    if is_frozen(options):
        level, text = "fatal", "No column may be missing."
    return TableDifference(column.name, "missing", level, None, _described(column), text)


def _type(
    column: ColumnPlan, existing: ExistingColumn, options: PushOptions
) -> TableDifference | None:
    follow, own = follows(column, existing), column.conversion.column_type
    if follow is Follow.AS_IT_IS:
        return None
    level: Level = "safe"
    if options.schema == "freeze" and not pa.types.is_null(column.arrow_type):
        level, text = "fatal", "No type may change."
    elif options.schema == "evolve" and becomes_text(column, existing):
        level, text = "lossy", TO_TEXT
    elif options.schema == "evolve":
        text = f"REPLACE changes the type to {own}."
    elif follow is Follow.NOT:
        level = "safe" if options.replaces else "fatal"
        leave = "" if column.pseudonymised else "leave it out, or "
        text = (
            f"REPLACE changes the type to {own}, as columns= says." if options.replaces
            else f"columns= says {own}: {leave}recreate the table with REPLACE."
        )  # fmt: skip
    else:
        text = _TEXTS[follow].format(existing.type)
    return TableDifference(column.name, "type", level, own, _described(existing), text)


def becomes_text(column: ColumnPlan, existing: ExistingColumn) -> bool:
    """Whether a column that is sent as its own type loses that of the table, unasked.

    Text can hold every value, but does not say any more that all of them are dates or numbers.
    """
    own = column.conversion.column_type
    return own == "STRING" and existing.type not in SHOWN[own] and not column.given


TO_TEXT = (
    "REPLACE changes the type to STRING: convert the values in the frame, or set a type in "
    "columns=, STRING if text is right."
)
_TEXTS = {
    Follow.WHOLE_NUMBERS: "Sent as INTEGER if all values are whole numbers, else an error.",
    Follow.EXACT_FLOATS: "Sent as FLOAT if all values are exact as floats, else an error.",
    Follow.TEXT: "Sent as the text of the integer.",
    Follow.ONLY_NULLS: "Sent as {} if there are only nulls, else an error.",
}


def _described(column: ExistingColumn) -> str:
    return column.type if column.length is None else f"{column.type}, {column.length:,}"
