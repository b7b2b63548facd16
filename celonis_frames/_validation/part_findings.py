"""What one process has found in the rows of a part, for the process that sends all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from celonis_frames._validation.column_stats import ColumnStats
from celonis_frames._validation.rejects import Rejects


@dataclass(frozen=True)
class PartFindings:
    """The statistics of a `FrameValidator`, which can be pickled; no value of the frame is in them.

    Attributes:
        rows: Rows to send.
        columns: Statistics by the column's name in the table.
        empty_lines: Rows that would be empty lines in CSV.
        rejects: Values that are not sent, their rows counted from the first of the part.
        repeated_keys: Rows whose key an earlier row of the part has.
        all_counted: Whether all keys of the part were counted.
    """

    rows: int
    columns: Mapping[str, ColumnStats]
    empty_lines: int
    rejects: Rejects
    repeated_keys: int
    all_counted: bool

    @property
    def rows_read(self) -> int:
        """Rows of the part, those that are left out included."""
        return self.rows + self.rejects.rows
