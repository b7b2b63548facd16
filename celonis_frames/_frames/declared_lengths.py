"""The length of each text column that a job declares, by its name in the table.

A length is given by the user in `columns=`, or that of a table that is there, or follows from the
longest string: known (`known_lengths`), or estimated by the first rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from celonis_frames._schema.table_layout import ColumnPlan, TableLayout
from celonis_frames._schema.text_length import MAX_TEXT_LENGTH, text_length


def longest_allowed(
    columns: Iterable[ColumnPlan], table_lengths: Mapping[str, int]
) -> dict[str, int]:
    """The most characters that a string of each column may have, by its name in the frame."""
    return {
        column.source: min(column.max_length, table_lengths.get(column.name, MAX_TEXT_LENGTH))
        for column in columns
    }


def estimated_lengths(
    layout: TableLayout, table_lengths: Mapping[str, int], estimate: Mapping[str, int]
) -> dict[str, int]:
    """Lengths by the first rows; a column of a table has that, but at most what always fits."""
    return {
        column.name: column.length
        or min(table_lengths.get(column.name, 0), MAX_TEXT_LENGTH)
        or max(estimate.get(column.name, text_length(0)), column.least_length)
        for column in layout.text_columns
    }


def refutable(
    layout: TableLayout, table_lengths: Mapping[str, int], lengths: Mapping[str, int]
) -> dict[str, int]:
    """The lengths that a longer string would refute; elsewhere it would be an error."""
    return {
        column.name: lengths[column.name]
        for column in layout.text_columns
        if column.length is None and column.name not in table_lengths
    }
