"""The first row and the largest number in the error for a value that does not fit its column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from celonis_frames._arrow.casts import largest_magnitude
from celonis_frames._schema.table_layout import (
    ColumnPlan,
    TableLayout,
    conversion_error,
    first_failing,
)
from celonis_frames.exceptions import ColumnTypeError

Reading = Callable[[], Iterator[pa.RecordBatch]]


@contextmanager
def locate_errors(layout: TableLayout, again: Reading | None) -> Iterator[None]:
    """Completes the error for a value that does not fit, by a second reading of the rows.

    `again` reads the rows from the first on; None if that is impossible.
    """
    try:
        yield
    except ColumnTypeError as error:
        column = next((c for c in layout.columns if c.source == error.column), None)
        cause = error.__cause__
        if column is None or again is None or not isinstance(cause, Exception):
            raise
        raise _located(column, cause, again) or error from cause


def _located(column: ColumnPlan, cause: Exception, again: Reading) -> ColumnTypeError | None:
    row, rows, numbers = None, 0, set[int]()
    for batch in again():
        found = first_failing(column, batch) if row is None else None
        row = row if found is None else rows + found
        rows += batch.num_rows
        largest = largest_magnitude(batch.column(column.position))
        numbers |= {largest} if largest is not None else set()
    if row is None:
        return None
    return conversion_error(column, cause, max(numbers, key=abs, default=None), row)
