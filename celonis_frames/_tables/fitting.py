"""A frame is fitted to the table that is there: types are aligned, differences reported."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from celonis_frames._formatting import counted, listed
from celonis_frames._frames.preparation import with_layout
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.names import name_key
from celonis_frames._schema.table_layout import (
    ColumnPlan,
    TableLayout,
    conversion_error,
    convert_column,
    first_failing,
)
from celonis_frames._tables.alignment import Follow, align, follows, with_existing
from celonis_frames._tables.differences import (
    TO_TEXT,
    TableDifference,
    becomes_text,
    is_frozen,
    length_differences,
    schema_differences,
)
from celonis_frames._tables.existing_table import ExistingTable
from celonis_frames.exceptions import ColumnTypeError, ConfigError, FrameError, KeyColumnError

Check = Callable[[], None]
_SHOWN_DIFFERENCES = 5
"""Differences that an error names."""


def fit(
    prepared: PreparedFrame, table: ExistingTable, check: Check = lambda: None
) -> PreparedFrame:
    """The frame with the types of the table where its options say so.

    Reads no rows, except for a REPLACE with ``schema_mode="align"``: whether all values fit the old
    types must be known before. `check` is called before each batch, and raises to end that.

    Raises:
        FrameError: The frame does not fit the table.
        ConfigError: ``mode="CREATE"``, and there is such a table.
    """
    options, layout, prepared.existing = prepared.options, prepared.layout, table
    if not table.exists:
        prepared.warnings += _notes_of_absent(prepared, table)
        return prepared
    if options.mode == "CREATE":
        raise _exists_error(table)
    # 1. What the schemas show.
    if "schema" in options.verify and not options.replaces:
        _check_schema(layout, table)
    differences = schema_differences(layout, table, options)
    if prepared.deleted:  # keys only, of which no row gets a value
        differences = tuple(one for one in differences if one.kind == "type")
    elif not differences and not options.replaces:  # only its lengths matter
        prepared.table_lengths = prepared.measure.limits = _text_lengths(layout, table)
        return prepared
    _raise_for(differences, prepared, table)
    notes = _notes_on(differences, table, options)
    # 2. The types of the table.
    aligned = layout
    if options.schema != "evolve":
        aligned = align(layout, table, replaces=options.replaces)
        notes += _text_notes(layout, table, options)
    # 3. Its lengths.
    lengths: dict[str, int] = {}
    if options.replaces and options.schema != "evolve":
        aligned = _with_least_lengths(aligned, table)
    # Keys to delete that are too long match no row, so nothing is cut.
    if _keeps_lengths(options) and (not prepared.deleted or "schema" in options.verify):
        lengths = _text_lengths(aligned, table)
    # 4. A REPLACE keeps the old types only where all values fit them.
    if options.replaces and options.schema == "align" and prepared.source.replayable:
        misfits = first_misfits(prepared, aligned, check)
        aligned = without_misfits(aligned, layout, misfits)
        notes += _notes_on_misfits(layout, table, misfits)
    elif options.replaces and options.schema == "evolve":
        notes += _notes_on_text(layout, table, [column.source for column in layout.columns])
    return with_layout(prepared, aligned, table_lengths=lengths, warnings=notes)


def planned_fit(
    prepared: PreparedFrame, table: ExistingTable
) -> tuple[PreparedFrame, tuple[TableDifference, ...]]:
    """As `fit`, but what would be an error for the table's sake is a difference.

    Columns that do not fit the table stay as the frame has them.

    Raises:
        FrameError, ConfigError: The table must not be there, or must be there.
    """
    options, layout = prepared.options, prepared.layout
    if not table.exists:
        _notes_of_absent(prepared, table)  # raises, if there must be a table
        return prepared, ()
    if options.mode == "CREATE":
        raise _exists_error(table)
    differences = schema_differences(layout, table, options)
    if options.schema == "evolve":
        return prepared, differences
    aligned = align(layout, table, replaces=options.replaces)
    notes = _text_notes(layout, table, options)
    if options.replaces:
        aligned = _with_least_lengths(aligned, table)
    if prepared.source.replayable:
        misfits = first_misfits(prepared, aligned)
        left_out = {} if options.replaces else _left_out(misfits, aligned, prepared)
        differences = tuple(
            _with_misfit(one, layout, misfits, table, options, left_out) for one in differences
        )
        aligned = without_misfits(aligned, layout, misfits.keys() - left_out.keys())
    # Strings that are too long are differences, unless they are not sent.
    rejects = prepared.measure.on_bad != "error" and _keeps_lengths(options)
    lengths = _text_lengths(aligned, table) if rejects else {}
    return with_layout(prepared, aligned, table_lengths=lengths, warnings=notes), differences


def _keeps_lengths(options: PushOptions) -> bool:
    """Whether the lengths of the table's text columns stay as they are."""
    return not options.replaces or options.schema == "freeze"


def _left_out(
    misfits: Mapping[str, ColumnTypeError], aligned: TableLayout, prepared: PreparedFrame
) -> dict[str, str]:
    """Columns of which only the values that do not fit are not sent, and what becomes of these."""
    measure = prepared.measure
    found = {}
    for column in aligned.columns:
        error = misfits.get(column.source)
        if error is not None and measure.leaves_out(column, error):
            then = (
                "are sent as null" if measure.on_bad == "null" else "are left out with their rows"
            )
            found[column.source] = f"Values that do not fit {column.conversion.column_type} {then}."
    return found


def planned_lengths(prepared: PreparedFrame, table: ExistingTable) -> tuple[TableDifference, ...]:
    """The differences of string lengths, once all rows were measured."""
    measure = prepared.measure
    longest = {c.name: measure.longest(c.name)[0] for c in prepared.layout.text_columns}
    return length_differences(prepared.layout, table, prepared.options, longest, measure.lengths())


def _with_misfit(
    difference: TableDifference,
    layout: TableLayout,
    misfits: Mapping[str, ColumnTypeError],
    table: ExistingTable,
    options: PushOptions,
    left_out: Mapping[str, str],
) -> TableDifference:
    """The difference of a column, given the values that do not fit."""
    column = next((c for c in layout.columns if c.name == difference.column), None)
    error = None if column is None else misfits.get(column.source)
    if error is None or difference.kind != "type":
        return difference
    if column is not None and column.source in left_out:
        return replace(difference, level="lossy", consequence=left_out[column.source])
    if options.replaces:
        if column is not None and becomes_text(column, table.known[name_key(column.name)]):
            return replace(difference, level="lossy", consequence=TO_TEXT)
        text = f"REPLACE changes the type to {difference.frame}, since some values do not fit."
        return replace(difference, consequence=text)
    return replace(difference, level="fatal", consequence=error.message)


def first_misfits(
    prepared: PreparedFrame, aligned: TableLayout, check: Check = lambda: None
) -> dict[str, ColumnTypeError]:
    """The error of the first value of each column that does not fit the table's type, by name.

    Reads the frame until every aligned column has one.
    """
    open_columns = [column for column in aligned.columns if column.aligned]
    errors: dict[str, ColumnTypeError] = {}
    start = 0
    for batch in prepared.source.batches() if open_columns else ():
        check()
        for column in tuple(open_columns):
            try:
                convert_column(column, batch)
            except ColumnTypeError as error:
                errors[column.source] = _located(column, error, batch, start)
                open_columns.remove(column)
        if not open_columns:
            break
        start += batch.num_rows
    return errors


def _located(
    column: ColumnPlan, error: ColumnTypeError, batch: object, start: int
) -> ColumnTypeError:
    row, cause = first_failing(column, batch), error.__cause__
    if row is None or not isinstance(cause, Exception):
        return error
    found = conversion_error(column, cause, None, start + row)
    found.__cause__ = cause
    return found


def _exists_error(table: ExistingTable) -> ConfigError:
    return ConfigError(
        f"Table {table.name!r} exists, with {counted(len(table.known), 'column')}, and "
        'mode="CREATE" only makes new tables: use another name, or mode="REPLACE" to drop it.'
    )


def _raise_for(
    differences: Sequence[TableDifference], prepared: PreparedFrame, table: ExistingTable
) -> None:
    """Raise if the differences are not to be sent."""
    options = prepared.options
    fatal = [difference for difference in differences if difference.level == "fatal"]
    frozen = options.schema == "freeze"
    kept = [one for one in fatal if frozen or one.kind != "type"]
    if kept and is_frozen(options):
        why = 'schema_mode="freeze"' if frozen else "UPSERT_WITH_UNCHANGED_METADATA in job_options="
        more = len(kept) - _SHOWN_DIFFERENCES
        raise FrameError(
            f"The frame differs from table {table.name!r}, which {why} rejects: "
            f"{'; '.join(map(_brief, kept[:_SHOWN_DIFFERENCES]))}"
            f"{f'; and {more:,} more' if more > 0 else ''}. Change the frame, or recreate the "
            "table."
        )
    pseudonyms = {column.name for column in prepared.layout.columns if column.pseudonymised}
    for difference in fatal if not kept else ():
        # Who leaves that out of columns= would send the values themselves.
        leave = "" if difference.column in pseudonyms else "leave it out of columns=, or "
        raise ColumnTypeError(
            f"Column {difference.column!r} is to be {difference.frame}, as columns= says, but is "
            f"{difference.table} in table {table.name!r}: {leave}recreate "
            'the table with mode="REPLACE".',
            column=difference.column,
        )
    missing = [one.column for one in differences if one.kind == "missing"]
    wiped = bool(options.keys) and options.missing_columns != "null"
    if missing and not options.replaces and (wiped or options.missing_columns == "error"):
        raise FrameError(_missing_text(missing, prepared, table))


def _missing_text(missing: list[str], prepared: PreparedFrame, table: ExistingTable) -> str:
    start = f"The frame lacks columns of table {table.name!r}: {listed(missing)}"
    if not prepared.options.keys:
        return (
            f'{start}, and missing_columns="error" rejects that: the new rows would get NULL '
            "there. Add the columns, or leave missing_columns= out."
        )
    rows = prepared.source.rows
    who = f"up to {counted(rows, 'row')}" if rows else "rows"
    return (
        f"{start}. An upsert sets what is not sent to NULL, so {who} of the table would lose "
        'the values there. Add the columns to the frame, or push with missing_columns="null" if '
        "NULL is right. Columns that are updated on their own belong in a table of their own."
    )


def _brief(difference: TableDifference) -> str:
    name = repr(difference.column)
    if difference.kind == "new":
        return f"{name} is not in the table"
    if difference.kind == "missing":
        return f"{name} is not in the frame"
    return f"{name} is {difference.frame} instead of {difference.table}"


def _notes_on(
    differences: Sequence[TableDifference], table: ExistingTable, options: PushOptions
) -> tuple[str, ...]:
    """Warnings about columns that are added, set to NULL or dropped."""
    notes = []
    missing = [one.column for one in differences if one.kind == "missing"]
    new = [one.column for one in differences if one.kind == "new"]
    if missing and options.replaces:
        notes.append(f"Table {table.name!r} loses columns that the frame lacks: {listed(missing)}.")
    elif missing:
        also = ", also those that had a value" if options.keys else ""
        notes.append(
            f"Table {table.name!r} has columns that the frame lacks: {listed(missing)}. The rows "
            f"that are written get NULL there{also}."
        )
    if new and not options.replaces:
        notes.append(f"Table {table.name!r} gets new columns: {listed(new)}.")
    return tuple(notes)


def _notes_on_misfits(
    layout: TableLayout, table: ExistingTable, misfits: Mapping[str, ColumnTypeError]
) -> tuple[str, ...]:
    """Warnings about columns whose types a REPLACE changes although it is to keep them."""
    changed = [column.source for column in layout.columns if column.source in misfits]
    if not changed:
        return ()
    note = (
        f"Columns {listed(changed)} have values that do not fit their types in table "
        f"{table.name!r}, which the REPLACE changes."
    )
    return (note, *_notes_on_text(layout, table, changed))


def _notes_on_text(
    layout: TableLayout, table: ExistingTable, sources: Container[str]
) -> tuple[str, ...]:
    """The warning about columns that a REPLACE makes text, among those of these names."""
    texts = [
        f"{column.source} ({found.type} to STRING)"
        for column, found in with_existing(layout, table)
        if found is not None and column.source in sources and becomes_text(column, found)
    ]
    if not texts:
        return ()
    return (
        f"REPLACE makes columns of table {table.name!r} text: {listed(texts)}. Convert their "
        "values in the frame, or set their types in columns=, STRING if text is right.",
    )


def _notes_of_absent(prepared: PreparedFrame, table: ExistingTable) -> tuple[str, ...]:
    if prepared.options.schema_mode == "freeze" and table.absent:
        raise FrameError(
            f'Table {table.name!r} does not exist, and schema_mode="freeze" makes none: create it '
            'with mode="CREATE" first.',
            parameter="table",
        )
    if prepared.deleted and table.absent:
        return (f"Table {table.name!r} does not exist: nothing is deleted.",)
    asked = "schema" in prepared.options.verify or prepared.options.schema_mode == "align"
    if table.error is not None and asked:
        return (
            f"The frame could not be compared with the table: {table.reason} Only the job will "
            "show whether the columns fit.",
        )
    return ()


def _text_notes(layout: TableLayout, table: ExistingTable, options: PushOptions) -> tuple[str, ...]:
    texts = [
        column.source
        for column, found in with_existing(layout, table)
        if found is not None and follows(column, found) is Follow.TEXT
    ]
    if not texts:
        return ()
    way_out = 'schema_mode="evolve"' if options.replaces else 'mode="REPLACE"'
    return (
        f"Table {table.name!r} has STRING for the integers of {listed(texts)}: they are sent as "
        f"text. {way_out} makes them INTEGER.",
    )


def _check_schema(layout: TableLayout, table: ExistingTable) -> None:
    """What ``verify="schema"`` adds."""
    for column, found in with_existing(layout, table):
        own = column.conversion.column_type
        if found is None and column.key:
            raise KeyColumnError(
                f"Key column {column.source!r} is not in table {table.name!r}, which has "
                f"{listed([known.name for known in table.known.values()])}.",
                column=column.source,
                parameter="keys",
            )
        if found is None or pa.types.is_null(column.arrow_type):
            continue
        if follows(column, found) is Follow.ONLY_NULLS:
            raise ColumnTypeError(
                f"Column {column.source!r} would be sent as {own}, but is {found.type} in table "
                f"{table.name!r}. Convert it, set another type in columns=, or recreate the table "
                'with mode="REPLACE".',
                column=column.source,
            )


def _text_lengths(layout: TableLayout, table: ExistingTable) -> dict[str, int]:
    """The lengths of the table's text columns that are sent as text."""
    lengths = {}
    for column in layout.text_columns:
        found = table.known.get(name_key(column.name))
        if found is not None and found.length:
            lengths[column.name] = found.length
    return lengths


def _with_least_lengths(layout: TableLayout, table: ExistingTable) -> TableLayout:
    """The layout with no text column shorter than the table's."""
    least = _text_lengths(layout, table)
    return layout.with_columns(
        tuple(replace(column, least_length=least.get(column.name, 0)) for column in layout.columns)
    )


def without_misfits(aligned: TableLayout, own: TableLayout, names: Container[str]) -> TableLayout:
    """The aligned layout, with these columns as they were in the frame's own."""
    columns = tuple(
        before if column.source in names else column
        for column, before in zip(aligned.columns, own.columns, strict=True)
    )
    return aligned.with_columns(columns)
