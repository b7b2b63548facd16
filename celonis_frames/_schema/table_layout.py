"""What the table will look like: names, keys, types and lengths, checked before the first byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.casts import ConversionError, largest_magnitude
from celonis_frames._schema.names import Rename, column_names
from celonis_frames._schema.overrides import Column, ColumnOverride
from celonis_frames._schema.types import (
    ColumnType,
    Conversion,
    ConversionOptions,
    conversion_to,
    opted_conversion,
    rule_for,
)
from celonis_frames.exceptions import ColumnTypeError, ConfigError, FrameError, KeyColumnError


@dataclass(frozen=True)
class ColumnPlan:
    """One column on its way: where it comes from, what it will be, how it gets there."""

    position: int
    source: str
    name: str
    arrow_type: pa.DataType
    conversion: Conversion
    length: int | None
    key: bool


@dataclass(frozen=True)
class TableLayout:
    """The table to be: its columns, in the frame's order, and what the caller chose for them."""

    columns: tuple[ColumnPlan, ...]
    encoded_schema: pa.Schema
    options: ConversionOptions

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the key columns, as Celonis will see them."""
        return tuple(column.name for column in self.columns if column.key)

    def convert(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch in the encoded types, with the table's names.

        Raises:
            ColumnTypeError: A value does not fit.
        """
        return pa.RecordBatch.from_arrays(
            [convert_column(column, batch) for column in self.columns], schema=self.encoded_schema
        )

    def table_schema(self, table: str, lengths: Mapping[str, int]) -> dict[str, Any]:
        """The job's ``tableSchema``: every column with its type, texts with their length."""
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


def convert_column(column: ColumnPlan, batch: pa.RecordBatch) -> pa.Array:
    """The values of one column in its encoded type.

    Raises:
        ColumnTypeError: A value does not fit.
    """
    array = batch.column(column.position)
    try:
        return column.conversion.convert(array)
    except (pa.ArrowException, ValueError, OverflowError, TypeError) as error:
        raise conversion_error(column, error, largest_magnitude(array)) from error


def build_layout(
    schema: pa.Schema,
    *,
    keys: Sequence[str] | str | None = None,
    columns: Mapping[str, ColumnOverride] | None = None,
    rename: Rename | None = None,
    nested: str = "error",
    binary: str = "error",
    infinity: str = "error",
    csv: bool = False,
) -> TableLayout:
    """The table that a frame of this schema becomes.

    Args:
        schema: Arrow schema of the frame.
        keys: Names of the key columns, as in the frame or after `rename`.
        columns: Overrides by name: a `Column`, a Celonis type, or a text length in characters.
        rename: New names by old ones, or ``"snake"`` / ``"upper_snake"``.
        nested: ``"error"``, or ``"json"`` to send lists and structs as JSON text.
        binary: ``"error"``, or ``"hex"`` / ``"base64"`` to send bytes as text.
        infinity: ``"error"``, or ``"null"`` to send infinities as null.
        csv: The file will be CSV, which holds less than Parquet; see docs/types.md.

    Raises:
        FrameError: No columns.
        ColumnNameError, ColumnTypeError, KeyColumnError: As their names say.
        ConfigError: An override that makes no sense, or for a column that is not there.
    """
    if not schema.names:
        raise FrameError("The frame has no columns: nothing to push.")
    names = column_names(schema.names, rename)
    both = dict(zip(schema.names, names, strict=True))
    overrides = _overrides_by_position(columns or {}, schema.names, both)
    key_positions = _key_positions(keys, schema.names, both)
    options = ConversionOptions(nested, binary, infinity, csv)
    planned = []
    for position, field in enumerate(schema):
        override = overrides.get(position, Column())
        conversion = _choose_conversion(field, override, options)
        if override.length is not None and conversion.column_type != "STRING":
            raise ConfigError(
                f"columns= gives column {field.name!r} a length, but it becomes "
                f"{conversion.column_type}: only STRING columns have one."
            )
        planned.append(
            ColumnPlan(
                position,
                field.name,
                names[position],
                field.type,
                conversion,
                override.length,
                position in key_positions,
            )
        )
    encoded_schema = pa.schema(
        [pa.field(column.name, column.conversion.encoded_type) for column in planned]
    )
    return TableLayout(tuple(planned), encoded_schema, options)


def key_columns(schema: pa.Schema, keys: Sequence[str] | str, rename: Rename | None) -> list[str]:
    """The frame's own names of the key columns: all that a delete needs to send."""
    both = dict(zip(schema.names, column_names(schema.names, rename), strict=True))
    return [schema.names[position] for position in sorted(_key_positions(keys, schema.names, both))]


def _find_position(name: str, old: list[str], both: Mapping[str, str]) -> int | None:
    if name in both:
        return old.index(name)
    new = list(both.values())
    return new.index(name) if name in new else None


def _key_positions(
    keys: Sequence[str] | str | None, old: list[str], both: Mapping[str, str]
) -> set[int]:
    positions: set[int] = set()
    for key in [keys] if isinstance(keys, str) else list(keys or ()):
        position = _find_position(key, old, both)
        if position is None:
            raise KeyColumnError(
                f"Key column {key!r} is not in the frame. It has {list(both.values())}.",
                column=str(key),
            )
        if position in positions:
            raise KeyColumnError(f"Key column {key!r} is named twice in keys=.", column=key)
        positions.add(position)
    return positions


def _overrides_by_position(
    columns: Mapping[str, ColumnOverride], old: list[str], both: Mapping[str, str]
) -> dict[int, Column]:
    found: dict[int, Column] = {}
    for name, override in columns.items():
        position = _find_position(name, old, both)
        if position is None:
            raise ConfigError(f"columns= names {name!r}, which is not in the frame. It has {old}.")
        if isinstance(override, bool) or not isinstance(override, Column | str | int):
            raise ConfigError(
                f"columns= gives {override!r} for {name!r}: use a Column, a type name such as "
                '"STRING", or a text length.'
            )
        if isinstance(override, str):
            found[position] = Column(type=override.upper())  # type: ignore[arg-type]  # checked there
        elif isinstance(override, int):
            found[position] = Column(length=override)
        else:
            found[position] = override
    return found


def _choose_conversion(field: pa.Field, override: Column, options: ConversionOptions) -> Conversion:
    rule = rule_for(field.type)
    opted = None if rule is None else opted_conversion(field.type, rule, options)
    if rule is None or (rule.default is None and opted is None):
        advice = rule.advice if rule is not None else "convert it first"
        raise ColumnTypeError(
            f"Column {field.name!r} is {field.type}, which Celonis cannot store: {advice}.",
            column=field.name,
        )
    default: ColumnType = rule.default or "STRING"
    wanted = override.type or default
    if wanted == "TIME" and "TIME" in rule.others and not options.csv:
        raise ColumnTypeError(
            f"Column {field.name!r} is to be TIME, but Celonis is not known to take times of day "
            'from a Parquet file: push with file_type="CSV", or send it as STRING.',
            column=field.name,
        )
    if wanted != default and wanted not in rule.others:
        possible = ", ".join((default, *rule.others))
        raise ColumnTypeError(
            f"Column {field.name!r} is {field.type} and cannot be sent as {wanted}; possible: "
            f"{possible}. Convert it in the frame first.",
            column=field.name,
        )
    return opted or conversion_to(field.type, wanted, options)


def conversion_error(column: ColumnPlan, error: Exception, number: int | None) -> ColumnTypeError:
    """The error for values that cannot be converted.

    Args:
        column: Theirs.
        error: What converting them raised.
        number: The whole number among them that is furthest from zero, or None.
    """
    start = f"Column {column.source!r} ({column.arrow_type}) has values "
    if isinstance(error, ConversionError):
        return ColumnTypeError(f"{start}{error}.", column=column.source)
    hint = "" if number is None else f" (up to {number})"
    rule = rule_for(column.arrow_type)
    text = (
        rule is not None and "STRING" in rule.others and column.conversion.column_type != "STRING"
    )
    advice = f', or send it as text with columns={{{column.source!r}: "STRING"}}' if text else ""
    return ColumnTypeError(
        f"{start}that do not fit {column.conversion.column_type}{hint}: convert it in the frame"
        f"{advice}.",
        column=column.source,
    )
