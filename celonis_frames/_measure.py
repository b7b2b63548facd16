"""What the values say before they are sent: text lengths, nulls in keys, what would be lost."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._schema import MAX_TEXT, Layout, PlannedColumn, convert, text_length
from celonis_frames.exceptions import (
    ColumnTypeError,
    FrameError,
    KeyColumnError,
    TruncationError,
)

FIRST_DAY, LAST_DAY = dt.datetime(1400, 1, 1), dt.datetime(10000 - 1, 12, 31, 23, 59, 59, 999999)
"""Range of dates that Celonis analyses; others become NULL there."""


@dataclass
class Findings:
    """What one column's values have shown so far."""

    longest: int = 0
    longest_bytes: int = 0
    too_long: int = 0
    nulls: int = 0
    nul_characters: int = 0
    infinite: int = 0
    inexact: int = 0
    out_of_range: int = 0


@dataclass
class Measure:
    """Reads batches and remembers what matters; `check` then says whether they may be sent.

    Attributes:
        layout: The table to be.
        rows: Rows seen.
    """

    layout: Layout
    rows: int = 0
    _columns: dict[str, Findings] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._columns = {column.name: Findings() for column in self.layout.columns}

    def update(self, batch: pa.RecordBatch, wire: pa.RecordBatch | None = None) -> None:
        """Look at a batch of the frame.

        Args:
            batch: Rows as the frame gives them.
            wire: The same rows converted, where they are at hand.

        Raises:
            ColumnTypeError: A value does not fit its column's type.
        """
        self.rows += batch.num_rows
        for position, column in enumerate(self.layout.columns):
            findings = self._columns[column.name]
            if column.key:
                findings.nulls += _nulls(batch.column(column.position))
            if _tells_nothing(column):
                continue
            array = convert(column, batch) if wire is None else wire.column(position)
            if column.target.celonis == "STRING":
                _text(array, findings, column.length or MAX_TEXT)
            elif column.target.celonis in ("DATETIME", "DATE"):
                _dates(array, findings)
            elif column.target.celonis == "FLOAT":
                _floats(batch.column(column.position), array, findings)

    def lengths(self) -> dict[str, int]:
        """Length in characters of every text column, by name."""
        return {
            column.name: column.length or text_length(self._columns[column.name].longest)
            for column in self.layout.columns
            if column.target.celonis == "STRING"
        }

    def longest(self, name: str) -> tuple[int, int]:
        """Longest text of a column, in characters and in UTF-8 bytes."""
        findings = self._columns[name]
        return findings.longest, findings.longest_bytes

    def check(self) -> tuple[str, ...]:
        """Warnings about what will be seen differently in Celonis.

        Raises:
            FrameError: No rows.
            KeyColumnError: Nulls in a key column.
            TruncationError: Texts that would be cut.
            ColumnTypeError: Infinities, or NUL characters in texts.
        """
        if self.rows == 0:
            raise FrameError(
                "The frame has no rows: there is nothing to push. (If an empty result is normal "
                "in your pipeline, test for it before the push.)"
            )
        warnings = []
        for column in self.layout.columns:
            self._check_column(column, self._columns[column.name])
            warnings += _warnings(column, self._columns[column.name])
        return tuple(warnings)

    def _check_column(self, column: PlannedColumn, found: Findings) -> None:
        name = column.source
        if found.nulls and column.key:
            raise KeyColumnError(
                f"Key column {name!r} has {found.nulls:,} nulls in {self.rows:,} rows: fill or "
                "drop them, since a null never equals the key of an existing row.",
                column=name,
            )
        if found.too_long:
            limit = column.length or MAX_TEXT
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
        if found.infinite:
            raise ColumnTypeError(
                f"Column {name!r} has {found.infinite:,} infinite values, which Celonis cannot "
                "store: replace them, for example by null.",
                column=name,
            )


def _nulls(array: pa.Array) -> int:
    """Nulls as a reader sees them, also those among a dictionary's or a run's values."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    elif pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    return int(array.null_count)


def _tells_nothing(column: PlannedColumn) -> bool:
    """Whether every value is known to fit unseen, so that it need not be read to be checked."""
    kind = column.arrow
    return column.target.celonis == "BOOLEAN" or (
        column.target.celonis == "INTEGER" and pa.types.is_integer(kind) and kind != pa.uint64()
    )


def _text(array: pa.Array, found: Findings, limit: int) -> None:
    # A dictionary's values stand for all rows; only when one is too long are the rows counted.
    values = array.dictionary if pa.types.is_dictionary(array.type) else array
    size = pc.max(pc.binary_length(values)).as_py() or 0
    found.longest_bytes = max(found.longest_bytes, size)
    if size > found.longest:
        found.longest = max(found.longest, pc.max(pc.utf8_length(values)).as_py() or 0)
    if size > limit and (pc.max(pc.utf8_length(values)).as_py() or 0) > limit:
        rows = array.dictionary_decode() if values is not array else array
        found.too_long += pc.sum(pc.greater(pc.utf8_length(rows), limit)).as_py() or 0
    found.nul_characters += pc.sum(pc.match_substring(values, "\0")).as_py() or 0


def _dates(array: pa.Array, found: Findings) -> None:
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns":
        return  # 64 bits of nanoseconds reach from 1677 to 2262
    limits = pc.min_max(array)
    first, last = (pa.scalar(day, array.type) for day in (FIRST_DAY, LAST_DAY))
    if limits["min"].is_valid and (
        pc.less(limits["min"], first).as_py() or pc.greater(limits["max"], last).as_py()
    ):
        outside = pc.or_(pc.less(array, first), pc.greater(array, last))
        found.out_of_range += pc.sum(outside).as_py() or 0


def _floats(source: pa.Array, array: pa.Array, found: Findings) -> None:
    found.infinite += pc.sum(pc.is_inf(array)).as_py() or 0
    if pa.types.is_decimal(source.type):
        # The widest decimal of the same scale holds what the float says, digit by digit.
        exact = pa.decimal256(76, source.type.scale)
        back = array.cast(exact, safe=False)
        found.inexact += pc.sum(pc.not_equal(source.cast(exact), back)).as_py() or 0
    elif pa.types.is_integer(source.type):
        beyond = pc.greater(pc.abs(array), float(2**53))
        found.inexact += pc.sum(beyond).as_py() or 0


def _warnings(column: PlannedColumn, found: Findings) -> list[str]:
    warnings = []
    if found.inexact:
        warnings.append(
            f"Column {column.source!r} ({column.arrow}): {found.inexact:,} values are not exact as "
            f'64-bit floats; columns={{{column.source!r}: "STRING"}} keeps every digit.'
        )
    if found.out_of_range:
        warnings.append(
            f"Column {column.source!r}: {found.out_of_range:,} dates lie outside the years 1400 to "
            "9999; Celonis stores them, but analyses show NULL."
        )
    if pa.types.is_null(column.arrow):
        warnings.append(
            f"Column {column.source!r} has only nulls and no type: it becomes "
            f"{column.target.celonis}; columns= can say another."
        )
    return warnings
