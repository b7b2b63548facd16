"""What the values say before they are sent: text lengths, nulls in keys, what would be lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from celonis_frames._arrow import casts
from celonis_frames._schema.table_layout import ColumnPlan, TableLayout, convert_column
from celonis_frames._schema.text_length import MAX_TEXT_LENGTH, text_length
from celonis_frames._validation.column_stats import ColumnStats
from celonis_frames._validation.key_counter import DuplicateKeyCounter
from celonis_frames.exceptions import ColumnTypeError, FrameError, KeyColumnError, TruncationError

_EXACT = frozenset({"STRING", "INTEGER", "DATE", "DATETIME"})
"""Types of which two values that are different when they are counted stay so at the server."""


@dataclass
class FrameValidator:
    """Reads batches and remembers what matters; `check` then says whether they may be sent.

    Attributes:
        layout: The table to be.
        empty: Whether a frame without rows may be sent: it makes an empty table.
        unique: Whether rows that share a key are counted and warned about.
        ordered: Whether the last of these is kept, for the warning.
        rows: Rows seen.
    """

    layout: TableLayout
    empty: bool = False
    unique: bool = False
    ordered: bool = True
    rows: int = 0
    _columns: dict[str, ColumnStats] = field(default_factory=dict)
    _keys: DuplicateKeyCounter = field(default_factory=DuplicateKeyCounter)
    _empty_lines: int = 0

    def __post_init__(self) -> None:
        self._columns = {column.name: ColumnStats() for column in self.layout.columns}

    def part(self) -> FrameValidator:
        """A measure of its own for some of the rows, to be taken in by `add`; for one thread."""
        return FrameValidator(self.layout, self.empty, self.unique, self.ordered, _keys=self._keys)

    def anew(self) -> FrameValidator:
        """A measure of the same that has seen nothing."""
        return FrameValidator(self.layout, self.empty, self.unique, self.ordered)

    def add(self, part: FrameValidator) -> None:
        """Take in what a `part` has seen."""
        self.rows += part.rows
        self._empty_lines += part._empty_lines
        for name, found in part._columns.items():
            self._columns[name].add(found)

    def update(self, batch: pa.RecordBatch, wire: pa.RecordBatch | None = None) -> None:
        """Look at a batch of the frame.

        Args:
            batch: Rows as the frame gives them.
            wire: The same rows converted, where they are at hand.

        Raises:
            ColumnTypeError: A value does not fit its column's type.
        """
        self.rows += batch.num_rows
        keys = []
        for position, column in enumerate(self.layout.columns):
            source = batch.column(column.position)
            array = source
            if not _tells_nothing(column):
                if wire is not None:
                    array = wire.column(position)
                elif not _is_text(source):  # texts are looked at as they are
                    array = convert_column(column, batch)
                self._look(column, source, array)
            if column.key:
                self._columns[column.name].key(source, array)
                keys.append(array)
        if self.layout.options.csv and len(self.layout.columns) == 1:
            self._empty_lines += casts.nulls(array)
        if self.unique and keys:
            self._keys.update(keys)

    def _look(self, column: ColumnPlan, source: Any, array: Any) -> None:
        found, kind = self._columns[column.name], casts.storage_type(column.arrow_type)
        if column.conversion.column_type == "STRING":
            found.texts(array, column.length or MAX_TEXT_LENGTH)
        elif pa.types.is_timestamp(array.type):
            found.times(array, csv=self.layout.options.csv)
        elif column.conversion.column_type == "FLOAT" and not pa.types.is_floating(kind):
            found.numbers(source, array)
        if pa.types.is_floating(kind) and (
            column.conversion.column_type == "FLOAT" or self.layout.options.infinity == "null"
        ):
            found.infinities(source)

    def lengths(self) -> dict[str, int]:
        """Length in characters of every text column, by name."""
        return {
            column.name: column.length or text_length(self._columns[column.name].longest)
            for column in self.layout.columns
            if column.conversion.column_type == "STRING"
        }

    def longest(self, name: str) -> tuple[int, int]:
        """Longest text of a column, in characters and in UTF-8 bytes."""
        findings = self._columns[name]
        return findings.longest, findings.longest_bytes

    @property
    def different_keys(self) -> int | None:
        """How many keys there are; None where that is not known exactly.

        Where a server may take two for one, as floats or times finer than the milliseconds that
        Celonis is known to keep, it is not known.
        """
        keys = [column for column in self.layout.columns if column.key]
        if not self.unique or not keys:
            return None
        repeated = self._keys.repeated  # which may be when the keys outgrow their room
        if not self._keys.complete or any(
            column.conversion.column_type not in _EXACT or self._columns[column.name].finer
            for column in keys
        ):
            return None
        return self.rows - repeated

    def check(self) -> tuple[str, ...]:
        """Warnings about what will be seen differently in Celonis.

        Raises:
            FrameError: No rows, or rows of nothing that CSV cannot show.
            KeyColumnError: Nulls in a key column.
            TruncationError: Texts that would be cut.
            ColumnTypeError: Infinities, texts that are not UTF-8 or have NUL characters, times
                that the file cannot hold.
        """
        if self.rows == 0 and not self.empty:
            raise FrameError(
                "The frame has no rows: there is nothing to push. (If an empty result is normal "
                'in your pipeline, test for it before the push; mode="REPLACE" makes an empty '
                "table.)"
            )
        if self._empty_lines:
            raise FrameError(
                f"The only column {self.layout.columns[0].source!r} has {self._empty_lines:,} "
                "nulls, and a null alone in its row is an empty line of a CSV file, which many "
                "readers skip: push as Parquet, or with another column."
            )
        warnings = []
        for column in self.layout.columns:
            found = self._columns[column.name]
            self._check_key(column, found)
            self._check_values(column, found)
            warnings += self._warnings(column, found)
        return (*warnings, *self._repeated_keys())

    def _check_key(self, column: ColumnPlan, found: ColumnStats) -> None:
        lost = found.infinite if self.layout.options.infinity == "null" else 0
        if column.key and (found.nulls or lost):
            raise KeyColumnError(
                f"Key column {column.source!r} has {found.nulls + lost:,} nulls in {self.rows:,} "
                "rows: fill or drop them, since a null never equals the key of an existing row.",
                column=column.source,
            )

    def _check_values(self, column: ColumnPlan, found: ColumnStats) -> None:
        name = column.source
        if found.not_utf8:
            raise ColumnTypeError(
                f"Column {name!r} has text that is not UTF-8, such as bytes of another encoding: "
                "read its source with the encoding it has.",
                column=name,
            )
        if found.too_long:
            limit = column.length or MAX_TEXT_LENGTH
            whose = "the length given in columns=" if column.length else "what Celonis can store"
            raise TruncationError(
                f"Column {name!r} has {found.too_long:,} texts longer than {limit:,} characters, "
                f"{whose}; the longest has {found.longest:,}. They would be cut: shorten them, "
                "split the column" + (", or give a greater length." if column.length else "."),
                column=name,
                longest=found.longest,
                rows=found.too_long,
            )
        if found.nul_characters:
            raise ColumnTypeError(
                f"Column {name!r} has {found.nul_characters:,} texts with a NUL character, which "
                "databases refuse or cut at: remove it, for example "
                "with .str.replace('\\x00', '').",
                column=name,
            )
        if found.infinite and self.layout.options.infinity == "error":
            raise ColumnTypeError(
                f"Column {name!r} has {found.infinite:,} infinite values, which Celonis cannot "
                'store: replace them, or push with infinity="null" to send them as null.',
                column=name,
            )
        if found.unwritable:
            csv = self.layout.options.csv
            holds = "years 1 to 9999 of a CSV file" if csv else "range of Parquet's times (INT96)"
            raise ColumnTypeError(
                f"Column {name!r} has {found.unwritable:,} times outside the {holds}: replace "
                "them, for example by null.",
                column=name,
            )

    def _warnings(self, column: ColumnPlan, found: ColumnStats) -> list[str]:
        name = column.source
        warnings = []
        if found.inexact:
            warnings.append(
                f"Column {name!r} ({column.arrow_type}): {found.inexact:,} values are not exact as "
                f'64-bit floats; columns={{{name!r}: "STRING"}} keeps every digit.'
            )
        if found.out_of_range:
            warnings.append(
                f"Column {name!r}: {found.out_of_range:,} dates lie outside the years 1400 to "
                "9999; Celonis stores them, but analyses show NULL."
            )
        if found.nanoseconds:
            warnings.append(
                f"Column {name!r}: {found.nanoseconds:,} times have nanoseconds; the file holds "
                "them, but Celonis analyses milliseconds, and the local Celonis keeps microseconds."
            )
        if found.infinite:
            warnings.append(
                f"Column {name!r}: {found.infinite:,} infinite values were sent as null."
            )
        if pa.types.is_null(column.arrow_type):
            warnings.append(
                f"Column {name!r} has only nulls and no type: it becomes "
                f"{column.conversion.column_type}; columns= can say another."
            )
        return warnings

    def _repeated_keys(self) -> list[str]:
        if not self.unique or not self.layout.keys:
            return []
        repeated = self._keys.repeated
        if not repeated and self._keys.complete:
            return []
        some = "" if self._keys.complete else f"the first {self._keys.rows:,} of "
        text = (
            f"Key {', '.join(self.layout.keys)}: in {some}{self.rows:,} rows, {repeated:,} have "
            "the key of another row"
        )
        if not self._keys.complete:
            text += "; the others were not counted, to keep the memory bounded"
        if repeated:
            kept = (
                "the last is kept"
                if self.ordered
                else "any may be kept, since workers= lets chunks arrive in any order"
            )
            text += (
                f". Of rows with one key {kept}; deduplicate_by= chooses another, and unique keys "
                "keep all"
            )
        return [f"{text}."]


def _is_text(array: Any) -> bool:
    """Whether these are texts, plain or in a dictionary, that need no converting to be looked at."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _plain_text(kind.value_type) and not array.dictionary.null_count
    return _plain_text(kind)


def _plain_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _tells_nothing(column: ColumnPlan) -> bool:
    """Whether every value is known to fit unseen, so that it need not be read to be checked."""
    kind = column.arrow_type
    return column.conversion.column_type == "BOOLEAN" or (
        column.conversion.column_type == "INTEGER"
        and pa.types.is_integer(kind)
        and kind != pa.uint64()
    )
