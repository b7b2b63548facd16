"""The layout of the table: names, keys, types and lengths, checked before any row is read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.casts import ConversionError, is_text, largest_magnitude
from celonis_frames._arrow.wall_clock import is_utc, zone_of
from celonis_frames._formatting import did_you_mean, listed
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.names import (
    column_names,
    find_name,
    new_names,
    stripped_note,
)
from celonis_frames._schema.overrides import Column, ColumnType
from celonis_frames._schema.pseudonyms import PSEUDONYM_LENGTH, pseudonymised
from celonis_frames._schema.text_length import MAX_TEXT_LENGTH
from celonis_frames._schema.types import Conversion, conversion_to, opt_in_conversion, rule_for
from celonis_frames.exceptions import ColumnTypeError, ConfigError, FrameError, KeyColumnError

_NO_OVERRIDE = Column()

VALUE_ERRORS = (pa.ArrowException, ValueError, ArithmeticError, TypeError)
"""What a conversion raises for a value that does not fit."""


@dataclass(frozen=True)
class ColumnPlan:
    """One column: its place, name and type in the frame, and what it becomes in the table."""

    position: int
    source: str
    arrow_type: pa.DataType
    name: str
    conversion: Conversion
    length: int | None  # in characters, given in `columns=` or of pseudonyms; None measures it
    key: bool
    pseudonymised: bool = False  # its strings are pseudonyms, and no message says more of a value
    ranks: bool = False  # of rows with one key that with the highest value wins
    given: bool = False  # the type is that of `columns=`
    aligned: bool = False  # the type is that of the table's column; a value may not fit
    age: bool = False  # rows apply by its order, so that it must have no nulls
    least_length: int = 0  # in characters, that of the table's column to keep

    @property
    def max_length(self) -> int:
        """The most characters that a string of it may have."""
        return self.length or MAX_TEXT_LENGTH


@dataclass(frozen=True)
class TableLayout:
    """The columns of the table, in the frame's order."""

    columns: tuple[ColumnPlan, ...]
    encoded_schema: pa.Schema  # of the rows as they are written to a file
    options: ConversionOptions
    text_columns: tuple[ColumnPlan, ...]  # which have a length
    keys: tuple[str, ...]  # names of the key columns in the table
    notes: tuple[str, ...] = ()  # warnings about names and zones

    def ordered_like(self, other: TableLayout) -> TableLayout:
        """This layout with its columns in the order of `other`, if that has the same columns."""
        places = {column.name: place for place, column in enumerate(other.columns)}
        if places.keys() != {column.name for column in self.columns}:
            return self
        columns = sorted(self.columns, key=lambda column: places[column.name])
        return self.with_columns(columns)

    def with_columns(self, columns: Sequence[ColumnPlan]) -> TableLayout:
        """The same frame with other plans for its columns."""
        return layout_of(columns, self.options, self.notes)

    def convert(self, batch: pa.RecordBatch, start: int = 0) -> pa.RecordBatch:
        """The batch with the table's names and the encoded types.

        Raises:
            ColumnTypeError: A value does not fit; the error names the row, counted from `start`.
        """
        try:
            arrays = [convert_column(column, batch) for column in self.columns]
        except ColumnTypeError as error:
            raise self.with_row(error, batch, start) from error.__cause__
        return pa.RecordBatch.from_arrays(arrays, schema=self.encoded_schema)

    def with_row(self, error: ColumnTypeError, batch: pa.RecordBatch, start: int) -> Exception:
        """The error of `convert_column` with the first row that does not fit."""
        column = next((c for c in self.columns if c.source == error.column), None)
        cause = error.__cause__
        row = None if column is None else first_failing(column, batch)
        if column is None or row is None or not isinstance(cause, Exception):
            return error
        largest = largest_magnitude(batch.column(column.position))
        return conversion_error(column, cause, largest, start + row)

    def table_schema(self, table: str, lengths: Mapping[str, int]) -> dict[str, Any]:
        """The job's ``tableSchema``: every column with its type, string columns with a length."""
        return {
            "tableName": table,
            "columns": [
                {
                    "columnName": column.name,
                    "columnType": column.conversion.column_type,
                    "fieldLength": lengths.get(column.name),
                    "pkField": column.key,
                }
                for column in self.columns
            ],
        }


def build_layout(
    schema: pa.Schema, keys: Collection[str], options: ConversionOptions
) -> TableLayout:
    """The layout of the table for a frame of this schema.

    The keys are column names, as in the frame or after renaming.

    Raises:
        FrameError: No columns.
        ColumnNameError: A name that Celonis does not accept.
        ColumnTypeError: A type that Celonis cannot store, or cannot store as `columns=` says.
        KeyColumnError: A key that is no column of the frame, or is given twice.
        ConfigError: `columns=` names no column of the frame, or gives a length to a column that
            is not STRING.
    """
    if not schema.names:
        raise FrameError("The frame has no columns: nothing to push.")
    given = schema.names if options.rename is None else new_names(schema.names, options.rename)
    names = column_names(given, schema.names)
    overrides: dict[int, Column] = {}
    if options.columns:
        overrides = _overrides_by_position(options.columns, schema.names, names)
    key_positions = _key_positions(keys, schema.names, names) if keys else ()
    columns = list[ColumnPlan]()
    notes = () if names == given else stripped_note("column", given)
    for position, (field, name) in enumerate(zip(schema, names, strict=True)):
        override = overrides.get(position, _NO_OVERRIDE)
        conversion = _choose_conversion(field, override, options)
        hidden = override.pseudonymise is not None
        columns.append(
            ColumnPlan(
                position, field.name, field.type,
                name, conversion, PSEUDONYM_LENGTH if hidden else override.length,
                key=position in key_positions, pseudonymised=hidden,
                given=hidden or override.type is not None,
            )
        )  # fmt: skip
        zone = zone_of(field.type)
        if zone is not None and not is_utc(zone):
            notes += (
                f"Column {field.name!r}: stored as the UTC instant, not as the local time of "
                f'{zone}, which times="local" stores.',
            )
    return layout_of(columns, options, notes)


def layout_of(
    columns: Sequence[ColumnPlan], options: ConversionOptions, notes: tuple[str, ...]
) -> TableLayout:
    """The layout with these columns, in their order."""
    encoded, texts, keys = [], list[ColumnPlan](), list[str]()
    for column in columns:
        encoded.append(pa.field(column.name, column.conversion.encoded_type))
        if column.conversion.column_type == "STRING":
            texts.append(column)
        if column.key:
            keys.append(column.name)
    return TableLayout(
        tuple(columns), pa.schema(encoded), options, tuple(texts), tuple(keys), notes
    )


def key_columns(names: list[str], keys: Iterable[str], options: ConversionOptions) -> list[str]:
    """The key columns among the names of a frame, which are all that a delete reads.

    The other columns may have any names.

    Raises:
        ColumnNameError: `rename=` names a column that the frame does not have.
        KeyColumnError: As `build_layout`.
    """
    positions = _key_positions(keys, names, new_names(names, options.rename))
    return [names[position] for position in sorted(positions)]


def convert_column(column: ColumnPlan, batch: pa.RecordBatch) -> pa.Array:
    """The values of one column in its encoded type; `ColumnTypeError` if one does not fit."""
    array = batch.column(column.position)
    try:
        return column.conversion.convert(array)
    except MemoryError:
        raise
    except VALUE_ERRORS as error:
        raise conversion_error(column, error, largest_magnitude(array)) from error


def first_failing(column: ColumnPlan, batch: pa.RecordBatch) -> int | None:
    """The first row of a batch whose value cannot be converted; None if all can be."""
    array = batch.column(column.position)

    def fails(start: int, stop: int) -> bool:
        try:
            column.conversion.convert(array.slice(start, stop - start))
        except VALUE_ERRORS:
            return True
        return False

    start, stop = 0, len(array)
    if not fails(start, stop):
        return None
    while stop - start > 1:
        middle = (start + stop) // 2
        start, stop = (start, middle) if fails(start, middle) else (middle, stop)
    return start


def conversion_error(
    column: ColumnPlan, error: Exception, largest: int | None, row: int | None = None
) -> ColumnTypeError:
    """The error for values that cannot be converted.

    `largest` is the integer farthest from 0, `row` the first whose value does not fit.
    """
    kind = "string" if is_text(column.arrow_type) else column.arrow_type  # not string_view
    start = f"Column {column.source!r} ({kind}) has values "
    found = [] if largest is None or column.pseudonymised else [f"up to {largest}"]
    found += [] if row is None else [f"first in row {row:,}, counted from 0"]
    where = f" ({', '.join(found)})" if found else ""
    if isinstance(error, ConversionError):
        return ColumnTypeError(f"{start}{error.what}{where}: {error.advice}.", column=column.source)
    rule, column_type = rule_for(column.arrow_type), column.conversion.column_type
    advice = ""
    if column_type != "STRING" and rule is not None and "STRING" in rule.others:
        advice = f', or send them as strings with columns={{{column.source!r}: "STRING"}}'
    return ColumnTypeError(
        f"{start}that do not fit {column_type}{where}: convert them in the frame{advice}.",
        column=column.source,
    )


def _convert_first(field: pa.Field, wanted: ColumnType) -> str:
    """How to get values of another type, in pandas and polars."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    column = f"pl.col({field.name!r})"
    if is_text(kind):
        if wanted in ("DATETIME", "DATE", "TIME"):
            method = {"DATETIME": "to_datetime", "DATE": "to_date", "TIME": "to_time"}[wanted]
            return (
                f"Parse the strings in the frame first: pd.to_datetime(df[{field.name!r}], "
                f'format="%d.%m.%Y %H:%M") in pandas, {column}.str.{method}("…") in polars.'
            )
        if wanted in ("INTEGER", "FLOAT"):
            number = {"INTEGER": "pl.Int64", "FLOAT": "pl.Float64"}[wanted]
            return (
                f"Parse the strings in the frame first: pd.to_numeric(df[{field.name!r}]) in "
                f"pandas, {column}.cast({number}) in polars."
            )
    return "Convert it in the frame first."


def _key_positions(keys: Iterable[str], old: Sequence[str], new: Sequence[str]) -> set[int]:
    positions: set[int] = set()
    for key in keys:
        position = find_name(key, old, new)
        if position is None:
            raise KeyColumnError(
                f"Key column {key!r} is not in the frame.{_key_hint(key, new)} It has "
                f"{listed(new)}.",
                column=key,
                parameter="keys",
            )
        if position in positions:
            raise KeyColumnError(
                f"Key column {key!r} is given twice in keys=.", column=key, parameter="keys"
            )
        positions.add(position)
    return positions


def _key_hint(key: str, names: Sequence[str]) -> str:
    parts = [part.strip() for part in re.split("[,;]", key)]
    if len(parts) > 1 and all(find_name(part, names) is not None for part in parts):
        return f" Several keys are a list: keys={parts}."
    return did_you_mean(key, names)


def _overrides_by_position(
    columns: Mapping[str, Column], old: Sequence[str], new: Sequence[str]
) -> dict[int, Column]:
    overrides: dict[int, Column] = {}
    for name, override in columns.items():
        position = find_name(name, old, new)
        if position is None:
            raise ConfigError(
                f"columns= names {name!r}, which is not in the frame.{did_you_mean(name, old)} It "
                f"has {listed(old)}."
            )
        if overrides.setdefault(position, override) != override:
            raise ConfigError(f"columns= names column {old[position]!r} twice: leave out one.")
    return overrides


def _choose_conversion(field: pa.Field, override: Column, options: ConversionOptions) -> Conversion:
    rule = rule_for(field.type)
    opt_in = None
    if rule is not None and rule.option:
        opt_in = opt_in_conversion(field.type, rule, options)
    if rule is None or (rule.default is None and opt_in is None):
        advice = rule.advice if rule is not None else "convert it first"
        raise ColumnTypeError(
            f"Column {field.name!r} is {field.type}, which Celonis cannot store: {advice}.",
            column=field.name,
        )
    default: ColumnType = rule.default or "STRING"
    wanted = override.type or ("STRING" if override.pseudonymise is not None else default)
    if wanted == "TIME" and "TIME" in rule.others and not options.csv:
        raise ColumnTypeError(
            f"Column {field.name!r} cannot be sent as TIME in a Parquet file, from which Celonis "
            'is not known to read times of day: push with upload={"file_type": "CSV"}, or send it '
            "as STRING.",
            column=field.name,
        )
    if wanted not in (default, *rule.others):
        raise ColumnTypeError(
            f"Column {field.name!r} is {field.type} and cannot be sent as {wanted}; possible: "
            f"{', '.join((default, *rule.others))}. {_convert_first(field, wanted)}",
            column=field.name,
        )
    if override.length is not None and wanted != "STRING":
        raise ConfigError(
            f"columns= gives column {field.name!r} a length, but it becomes {wanted}: only STRING "
            "columns have one."
        )
    conversion = opt_in or conversion_to(field.type, wanted, options)
    if override.pseudonymise is not None:
        return pseudonymised(conversion, override.pseudonymise)
    return conversion
