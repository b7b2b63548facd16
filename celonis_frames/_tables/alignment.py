"""Which type each column of a frame is sent as, given the table that is there.

`choose_type` decides. The columns call knows STRING, DATE, INTEGER and FLOAT only: what it shows as
DATE may be DATETIME, as INTEGER BOOLEAN, as STRING TIME. Nothing is converted between these.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from celonis_frames._schema.names import name_key
from celonis_frames._schema.overrides import ColumnType
from celonis_frames._schema.table_layout import ColumnPlan, TableLayout
from celonis_frames._schema.types import Conversion, conversion_to
from celonis_frames._tables import lossless
from celonis_frames._tables.existing_table import ExistingColumn, ExistingTable

SHOWN: Mapping[str, tuple[str, ...]] = {
    "STRING": ("STRING",),
    "INTEGER": ("INTEGER",),
    "FLOAT": ("FLOAT",),
    "BOOLEAN": ("BOOLEAN", "INTEGER"),
    "DATE": ("DATE", "DATETIME"),
    "DATETIME": ("DATE", "DATETIME"),
    "TIME": ("TIME", "STRING"),
}
"""The types that the columns call may return for a column of each type (the official client)."""

_TYPE_OF: Mapping[str, ColumnType] = {
    "STRING": "STRING", "INTEGER": "INTEGER", "FLOAT": "FLOAT", "DATE": "DATETIME",
    "DATETIME": "DATETIME", "BOOLEAN": "BOOLEAN",
}  # fmt: skip
"""The type of a column of nulls, by what the call shows: the more common one."""


class Follow(enum.Enum):
    """How the values of a column follow the table's type."""

    AS_IT_IS = "the types are the same, as far as the columns call shows"
    WHOLE_NUMBERS = "as INTEGER, if all values are whole numbers"
    EXACT_FLOATS = "as FLOAT, if all values are exact as 64-bit floats"
    TEXT = "as the text of the integer"
    ONLY_NULLS = "as the table's type, if there are only nulls"
    NOT = "an error: the type was given in columns="


def choose_type(
    own: ColumnType, shown: str, *, untyped: bool = False, given: bool = False, key: bool = False
) -> Follow:
    """How a column that would be sent as `own` follows a column that is shown as `shown`.

    `untyped`: it has the Arrow type null. `given`: the user has set its type. `key`: its values are
    compared, and texts compare otherwise.
    """
    if untyped and not given:
        return Follow.AS_IT_IS if shown == own else Follow.ONLY_NULLS
    if shown in SHOWN[own]:
        return Follow.AS_IT_IS
    if given:
        return Follow.NOT
    if (own, shown) == ("FLOAT", "INTEGER"):
        return Follow.WHOLE_NUMBERS
    if (own, shown) == ("INTEGER", "FLOAT"):
        return Follow.EXACT_FLOATS
    if (own, shown) == ("INTEGER", "STRING") and not key:
        return Follow.TEXT
    return Follow.ONLY_NULLS


def align(layout: TableLayout, table: ExistingTable, *, replaces: bool = False) -> TableLayout:
    """The layout with the types of the table, where nothing is lost by it.

    A value that would be changed is an error once it is converted; `replaces` says that a REPLACE
    sends it. Columns whose type was given, and those that the table does not have, stay as they
    are.
    """
    way_out = lossless.EVOLVE if replaces else lossless.RECREATE
    columns = tuple(
        column if found is None else _aligned(column, found, table.name, layout, way_out)
        for column, found in with_existing(layout, table)
    )
    return layout if columns == layout.columns else layout.with_columns(columns)


def with_existing(
    layout: TableLayout, table: ExistingTable
) -> list[tuple[ColumnPlan, ExistingColumn | None]]:
    """Each column of a layout with that of the table, if it has one."""
    return [(column, table.known.get(name_key(column.name))) for column in layout.columns]


def follows(column: ColumnPlan, found: ExistingColumn) -> Follow:
    """How a column, as its own type would be, follows the table's."""
    return choose_type(
        column.conversion.column_type,
        found.type,
        untyped=pa.types.is_null(column.arrow_type),
        given=column.given,
        key=column.key or column.ranks,
    )


def _aligned(
    column: ColumnPlan, found: ExistingColumn, table: str, layout: TableLayout, way_out: str
) -> ColumnPlan:
    follow, options = follows(column, found), layout.options
    conversion: Conversion
    if follow is Follow.WHOLE_NUMBERS:
        conversion = lossless.whole_numbers(column, table, options, way_out)
    elif follow is Follow.EXACT_FLOATS:
        conversion = lossless.exact_floats(column, table, options, way_out)
    elif follow is Follow.TEXT:
        conversion = conversion_to(column.arrow_type, "STRING", options)
    elif follow is Follow.ONLY_NULLS:
        wanted = _TYPE_OF.get(found.type)
        if wanted is None:  # a type that the call is not known to show
            return column
        conversion = lossless.only_nulls(column, wanted, table, options, way_out)
    else:
        return column
    return replace(column, conversion=conversion, aligned=True)
