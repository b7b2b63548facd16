"""The second reading of a frame of which all rows were checked before.

What was sent meanwhile cannot be recalled, so no batch may have anything that the first reading did
not find. A frame in memory can be changed by the caller's own code in spite of that, such as the
numpy arrays that a pandas DataFrame or a pyarrow Table refers to. So everything is checked again
but strings, since nothing writes into those of Arrow, and compared with what the first reading
found. Strings that are views are written to the file as they are, without the copy that a check
needs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import pyarrow as pa

from celonis_frames._arrow import casts
from celonis_frames._arrow.extension_types import views_fit
from celonis_frames._formatting import counted
from celonis_frames._schema.table_layout import ColumnPlan, TableLayout
from celonis_frames._validation.validator import FrameValidator
from celonis_frames.exceptions import ColumnTypeError, FrameError


class SecondReading:
    """Converts batches of a frame like its first validator, and raises if its rows have changed.

    `kind` names the frame in the error. Threads have a `split` each, as of a `FrameValidator`.

    Attributes:
        layout: Of the batches that `convert` returns.
    """

    def __init__(self, first: FrameValidator, kind: str) -> None:
        self._first, self._kind = first, kind
        self.layout, checked = first.layout, frozenset[str]()
        if not first.rejects.counts:  # else strings may be left out
            checked = _unchangeable(first.layout)
            self.layout = _keeping_views(first.layout, checked)
        # Keys were counted.
        self._found = replace(first.restarted(), layout=self.layout, unique=False, checked=checked)

    def split(self) -> Self:
        """A reading for one thread, for some of the rows."""
        return self.restarted()

    def restarted(self) -> Self:
        """A reading that has read no rows."""
        return type(self)(self._first, self._kind)

    def merge(self, split: Self) -> None:
        """Add the rows of a `split`."""
        self._found.merge(split._found)

    def convert(self, batch: pa.RecordBatch, start: int = 0) -> pa.RecordBatch:
        """The batch in the form of the table; `start` is the number of its first row.

        Raises:
            FrameError: It has values that the first reading did not find.
        """
        try:
            converted = self._found.convert(batch, start)
        except ColumnTypeError as error:
            raise self._changed() from error
        if not self._found.may_be_part_of(self._first):
            raise self._changed()
        return converted

    def check_rows(self, made: int) -> None:
        """Check that so many rows were encoded as the first reading found.

        Raises:
            FrameError: There were more or fewer.
        """
        if made != self._first.rows:
            raise self._changed(f" It had {counted(self._first.rows, 'row')}, and {made:,} now.")

    def _changed(self, how: str = "") -> FrameError:
        return FrameError(
            f"The {self._kind} changed while it was pushed: its rows are not those that were "
            f"checked.{how} No more of them are stored. Push it again when nothing changes it "
            "meanwhile, or set staging= to read it only once."
        )


def _unchangeable(layout: TableLayout) -> frozenset[str]:
    """The columns of strings as Arrow holds them, plain or as views."""
    return frozenset(
        column.name
        for column in layout.columns
        if casts.is_text(column.arrow_type)
        and casts.is_text(column.conversion.encoded_type)
        and not column.pseudonymised
    )


def _keeping_views(layout: TableLayout, names: frozenset[str]) -> TableLayout:
    """The layout with those of some columns unconverted that are strings as views."""
    if not views_fit():
        return layout
    return layout.with_columns(
        tuple(
            _unconverted(column)
            if column.name in names and casts.is_view(column.arrow_type)
            else column
            for column in layout.columns
        )
    )


def _unconverted(column: ColumnPlan) -> ColumnPlan:
    conversion = replace(
        column.conversion, encoded_type=column.arrow_type, convert=lambda array: array
    )
    return replace(column, conversion=conversion)
