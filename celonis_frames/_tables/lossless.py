"""Conversions to the type of the table's column, which reject values that they would change."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from celonis_frames._arrow import casts
from celonis_frames._arrow.casts import ConversionError
from celonis_frames._schema.conversion_options import ConversionOptions
from celonis_frames._schema.overrides import ColumnType
from celonis_frames._schema.table_layout import ColumnPlan
from celonis_frames._schema.types import Conversion, conversion_to

_is = pa.types

RECREATE = (
    'or recreate the table with mode="REPLACE", which drops all its rows and makes the column {}'
)
EVOLVE = 'or replace the table with schema_mode="evolve", which makes the column {}'
"""What else a user can do, with a place for the column's own type."""


def whole_numbers(
    column: ColumnPlan, table: str, options: ConversionOptions, way_out: str
) -> Conversion:
    """Floats, decimals and durations as INTEGER, which must be whole numbers.

    `way_out` is `RECREATE` or `EVOLVE`.
    """
    target = conversion_to(column.arrow_type, "INTEGER", options)

    def seconds(array: Any) -> Any:
        return casts.seconds_decimals(casts.decoded(array)).cast(pa.int64())

    is_duration = _is.is_duration(casts.storage_type(column.arrow_type))
    convert = seconds if is_duration else target.convert

    def checked(array: Any) -> Any:
        try:
            return convert(array)
        except (pa.ArrowException, ValueError, ArithmeticError) as error:
            raise ConversionError(
                "that are FLOAT, not whole 64-bit integers, but the column is INTEGER in table "
                f"{table!r}",
                f"round them in the frame, {way_out.format('FLOAT')}",
            ) from error

    return Conversion("INTEGER", target.encoded_type, checked)


def exact_floats(
    column: ColumnPlan, table: str, options: ConversionOptions, way_out: str
) -> Conversion:
    """Integers as FLOAT, which must be exact."""
    target = conversion_to(column.arrow_type, "FLOAT", options)

    def checked(array: Any) -> Any:
        floats = target.convert(array)
        if casts.inexact(casts.decoded(array), floats):
            raise ConversionError(
                "that are INTEGER and not exact as floats, but the column is FLOAT in table "
                f"{table!r}",
                f'send the nearest floats with columns={{{column.source!r}: "FLOAT"}}, '
                f"{way_out.format('INTEGER')}",
            )
        return floats

    return Conversion("FLOAT", target.encoded_type, checked)


def only_nulls(
    column: ColumnPlan, wanted: ColumnType, table: str, options: ConversionOptions, way_out: str
) -> Conversion:
    """A column of another type that has no values, so that nothing has to be converted."""
    target = conversion_to(pa.null(), wanted, options)
    own = column.conversion.column_type
    advice = "convert them in the frame"
    if wanted == "STRING" and own in ("INTEGER", "FLOAT", "BOOLEAN"):
        advice = f'send them as text with columns={{{column.source!r}: "STRING"}}'

    def checked(array: Any) -> Any:
        if casts.nulls(array) < len(array):
            raise ConversionError(
                f"that would be sent as {own}, but the column is {wanted} in table {table!r}",
                f"{advice}, {way_out.format(own)}",
                of_type=True,
            )
        return pa.nulls(len(array), target.encoded_type)

    return Conversion(wanted, target.encoded_type, checked)
