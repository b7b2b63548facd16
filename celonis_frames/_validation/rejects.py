"""The values that are not sent because of `on_bad=`: how many, why, and where they are."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._schema.table_layout import ColumnPlan

MAX_POSITIONS = 100_000
"""Values whose positions are kept, those of the first rows; all are counted."""

_MAX_TABLES = 1_000
"""Tables of positions that are kept apart. Each takes 2 KB, though it may have one position: of a
batch of a wide frame there are as many as columns with bad values."""

SCHEMA = pa.schema(
    [("row", pa.int64()), ("file", pa.string()), ("column", pa.string()), ("reason", pa.string())]
)
"""Of `PushStatus.rejects`."""

_POSITIONS = pa.schema([("row", pa.int64()), ("column", pa.int32()), ("reason", pa.int8())])


class Reason(Enum):
    """Why Celonis cannot hold a value, and which values that are, for the documentation.

    The first one counts.
    """

    NOT_FITTING = (
        "does not fit",
        "a value that the column's type cannot hold: a fraction in an INTEGER column, a time that "
        "is not midnight in a DATE column, a date that has no text",
    )
    INFINITE = ("infinite", "an infinite number, unless `infinity=` is given")
    NOT_UTF8 = ("not UTF-8", "a string of another encoding")
    TOO_LONG = (
        "too long",
        "a string longer than the length in `columns=`, than the column of the table that is "
        "there, or than 16,250 characters",
    )
    NUL = ("NUL character", "a string with a NUL character")
    OUT_OF_RANGE = (
        "time out of range",
        "a time that the file cannot hold: in Parquet before the year -4713, in CSV outside the "
        "years 1 to 9999",
    )
    EARLY = (
        "time before 1970",
        "a time of day before 1970, with a pyarrow older than 23, which writes it in a form that "
        "some readers take for another time",
    )
    NULL_KEY = ("null key", 'a null in a key column (`on_bad="drop"` only)')

    @property
    def place(self) -> int:
        """Its place in the order of reasons."""
        return list(Reason).index(self)

    def words(self, column: ColumnPlan) -> str:
        """As users read it."""
        word = self.value[0]
        fitting = self is Reason.NOT_FITTING
        return f"{word} {column.conversion.column_type}" if fitting else word


@dataclass
class Rejects:
    """Values of one frame that are not sent. Columns are named by their places."""

    rows: int = 0  # left out
    counts: Counter[tuple[int, Reason]] = field(default_factory=Counter)
    _found: list[pa.Table] = field(default_factory=list)
    _kept: int = 0  # positions in these

    def add(self, column: int, reason: Reason, bad: Any, start: int) -> None:
        """Add the values of a column where a mask is true; `start` is the number of the first."""
        count = casts.trues(bad)
        if not count:
            return
        self.counts[column, reason] += count
        rows = pc.add(pc.indices_nonzero(bad).cast(pa.int64()), start)
        places = pa.repeat(pa.scalar(column, pa.int32()), count)
        reasons = pa.repeat(pa.scalar(reason.place, pa.int8()), count)
        self._keep([pa.table([rows, places, reasons], schema=_POSITIONS)])

    def merge(self, other: Rejects) -> None:
        """Add those of other rows of the same frame."""
        self.rows += other.rows
        self.counts.update(other.counts)
        self._keep(other._found)

    def moved(self, start: int) -> Rejects:
        """The same if `start` rows come before the first one."""
        if not (start and self._found):
            return self
        found = [table.set_column(0, "row", pc.add(table["row"], start)) for table in self._found]
        return Rejects(self.rows, self.counts, found, self._kept)

    def may_be_part_of(self, whole: Rejects) -> bool:
        """Whether these can be those of some of the rows that others are of."""
        return self.rows <= whole.rows and self.counts <= whole.counts

    def counted_by(self, columns: Sequence[ColumnPlan]) -> dict[str, dict[str, int]]:
        """The numbers of values by column and reason."""
        counts: dict[str, dict[str, int]] = {}
        for (place, reason), count in sorted(
            self.counts.items(), key=lambda item: (item[0][0], item[0][1].place)
        ):
            counts.setdefault(columns[place].source, {})[reason.words(columns[place])] = count
        return counts

    def table(self, columns: Sequence[ColumnPlan], files: Iterable[tuple[str, int]]) -> pa.Table:
        """Their positions, in the order of the rows; `files` are the names and rows of files."""
        first = self._first()
        names = pa.array([column.source for column in columns], pa.string())
        words = pa.array(
            [reason.words(column) for column in columns for reason in Reason], pa.string()
        )
        of_column = pc.multiply(first["column"], len(Reason))
        rows, shown = _by_file(first["row"], files)
        return pa.table(
            [
                rows,
                shown,
                names.take(first["column"]),
                words.take(pc.add(of_column, first["reason"].cast(pa.int32()))),
            ],
            schema=SCHEMA,
        )

    def _keep(self, found: Sequence[pa.Table]) -> None:
        """Keep more positions; those of later rows are dropped now and then."""
        self._found += found
        self._kept += sum(table.num_rows for table in found)
        if self._kept > 2 * MAX_POSITIONS:
            self._found = [self._first()]
            self._kept = self._found[0].num_rows
        elif len(self._found) > _MAX_TABLES:
            self._found = [pa.concat_tables(self._found).combine_chunks()]

    def _first(self) -> pa.Table:
        """The positions of the first rows, sorted."""
        found = pa.concat_tables([_POSITIONS.empty_table(), *self._found])
        order = [(name, "ascending") for name in _POSITIONS.names]
        return found.sort_by(order).slice(0, MAX_POSITIONS).combine_chunks()


@dataclass(frozen=True)
class RejectReport:
    """The rejects of a push for its status: positions, and counts by column and reason."""

    table: pa.Table = field(default_factory=SCHEMA.empty_table)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, rejects: Rejects, columns: Sequence[ColumnPlan], files: Any = ()) -> RejectReport:
        """The report on one frame."""
        if not rejects.counts:
            return cls()
        return cls(rejects.table(columns, files), rejects.counted_by(columns))

    @classmethod
    def joined(cls, reports: Iterable[RejectReport]) -> RejectReport:
        """One report on several frames, in their order."""
        counts: dict[str, Counter[str]] = {}
        tables = [SCHEMA.empty_table()]
        for report in reports:
            tables.append(report.table)
            for column, by_reason in report.counts.items():
                counts.setdefault(column, Counter()).update(by_reason)
        return cls(
            pa.concat_tables(tables).slice(0, MAX_POSITIONS).combine_chunks(),
            {column: dict(found) for column, found in counts.items()},
        )


def _by_file(rows: Any, files: Iterable[tuple[str, int]]) -> tuple[Any, Any]:
    """Sorted positions in all files as positions in each, and the names of the files."""
    numbers = rows.to_pylist()
    parts, names, first, done = [], [], 0, 0
    for name, count in files:
        end = bisect_left(numbers, first + count, done)
        if end > done:
            parts.append(pc.subtract(rows.slice(done, end - done), first))
            names.append(pa.repeat(pa.scalar(name, pa.string()), end - done))
        first, done = first + count, end
    if not names:
        return rows, pa.nulls(len(rows), pa.string())
    return pa.chunked_array([chunk for part in parts for chunk in part.chunks]), pa.chunked_array(
        names
    )
