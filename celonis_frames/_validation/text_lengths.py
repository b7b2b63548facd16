"""The longest strings of text columns, read before all else or watched while rows are read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa

from celonis_frames._arrow import casts
from celonis_frames._schema.table_layout import ColumnPlan, TableLayout
from celonis_frames._schema.text_length import MIN_TEXT_LENGTH, text_length

ESTIMATE_FACTOR = 4
"""How many times as long as the first strings, or as the shortest length of a column, a later one
may be before the job is made again: two steps of `text_length`."""


class TextWatch:
    """The longest strings that were read so far, against the lengths declared to the server.

    Several threads call `update`. `on_change` is called once a string is longer than its column was
    declared.
    """

    def __init__(self) -> None:
        self.outgrown = False  # whether a string is longer than its column was declared
        self.on_change: Callable[[], None] = lambda: None
        self._longest: dict[str, int] = {}
        self._declared: Mapping[str, int] = {}
        self._lock = threading.Lock()

    def update(self, longest: Iterable[tuple[str, int]]) -> None:
        """Note the longest string of each column, in characters, after some rows."""
        with self._lock:
            for name, length in longest:
                self._longest[name] = max(length, self._longest.get(name, 0))
            changed = self._compare()
        if changed:
            self.on_change()

    def declare(self, lengths: Mapping[str, int]) -> None:
        """Compare with these lengths from now on, and with what was read already."""
        with self._lock:
            self._declared, self.outgrown = lengths, False
            self._compare()

    def estimate(self) -> dict[str, int]:
        """Lengths to declare after the first rows, with room for strings to come."""
        with self._lock:
            return {
                name: text_length(ESTIMATE_FACTOR * max(length, MIN_TEXT_LENGTH))
                for name, length in self._longest.items()
            }

    def _compare(self) -> bool:
        before = self.outgrown
        self.outgrown |= any(
            self._longest.get(name, 0) > length for name, length in self._declared.items()
        )
        return self.outgrown and not before


def known_lengths(layout: TableLayout, longest: Mapping[str, int]) -> dict[str, int]:
    """Lengths by the longest strings; columns that `longest` lacks have short ones only."""
    return {
        column.name: length_to_declare(column, longest.get(column.name, 0))
        for column in layout.text_columns
    }


def length_to_declare(column: ColumnPlan, longest: int) -> int:
    """The length given; else one that holds the longest string, not less than the table's has."""
    if column.length:
        return column.length
    least = column.least_length
    return least if least and longest <= least else text_length(longest)


def texts_to_look_at(layout: TableLayout) -> list[ColumnPlan] | None:
    """The columns whose text lengths only their rows show, and show without a conversion.

    All pseudonyms have the same length.

    None if a column has to be converted for it: JSON, floats as text, bytes.
    """
    found = []
    for column in layout.text_columns:
        kind = casts.storage_type(column.arrow_type)
        if column.pseudonymised:
            continue
        if casts.is_text(kind) and not isinstance(column.arrow_type, pa.BaseExtensionType):
            found.append(column)
        elif not _is_short(column.arrow_type):
            return None
    return found


def _is_short(kind: pa.DataType) -> bool:
    """Whether every value of a type has a text within the shortest length of a column."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return bool(kind.extension_name == "arrow.uuid")
    if types.is_decimal(kind):
        return bool(0 <= kind.scale <= kind.precision)
    return bool(
        types.is_integer(kind) or types.is_boolean(kind) or types.is_temporal(kind)
        or types.is_null(kind)
    )  # fmt: skip
