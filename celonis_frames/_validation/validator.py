"""Converts a frame's rows and validates them: lengths, nulls in keys, what cannot be stored."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow import casts
from celonis_frames._formatting import counted
from celonis_frames._schema.conversion_options import OnBad
from celonis_frames._schema.table_layout import (
    VALUE_ERRORS,
    ColumnPlan,
    TableLayout,
    conversion_error,
    convert_column,
)
from celonis_frames._validation.bad_values import FoundBad, either, find_bad, without
from celonis_frames._validation.column_stats import ColumnStats
from celonis_frames._validation.key_counter import DuplicateKeyCounter
from celonis_frames._validation.part_findings import PartFindings
from celonis_frames._validation.rejects import Reason, Rejects
from celonis_frames._validation.text_lengths import TextWatch, length_to_declare
from celonis_frames.exceptions import ColumnTypeError, FrameError, KeyColumnError, TruncationError

_EXACT_TYPES = frozenset({"STRING", "INTEGER", "DATE", "DATETIME"})
"""Column types whose distinct values stay distinct in Celonis."""


@dataclass
class FrameValidator:
    """Converts batches and collects statistics; `check` then raises an error or returns warnings.

    Unless `on_bad` is ``"error"``, bad values are nulled or their rows left out, and noted in
    `rejects`: the statistics are those of the rows that are sent.
    """

    layout: TableLayout
    empty: bool = False  # a frame without rows is allowed: it makes an empty table
    unique: bool = False  # rows with duplicate keys are counted, for a warning
    ordered: bool = True  # the last of these rows is kept, as the warning says
    on_bad: OnBad = "error"
    limits: Mapping[str, int] = field(default_factory=dict)  # most characters of texts, by name
    rows: int = 0  # to send
    watch: TextWatch | None = None  # told of the longest strings after each batch
    checked: frozenset[str] = frozenset()  # names of columns that were checked before
    rejects: Rejects = field(default_factory=Rejects)
    _columns: dict[str, ColumnStats] = field(default_factory=partial(defaultdict, ColumnStats))
    _keys: DuplicateKeyCounter = field(default_factory=DuplicateKeyCounter)
    _empty_lines: int = 0

    def split(self) -> FrameValidator:
        """A validator for one thread, for some of the rows; `merge` adds its statistics."""
        return replace(self.restarted(), watch=self.watch, _keys=self._keys)

    def restarted(self) -> FrameValidator:
        """A validator of the same frame that has read no rows."""
        return FrameValidator(
            self.layout, self.empty, self.unique, self.ordered, self.on_bad, self.limits,
            checked=self.checked,
        )  # fmt: skip

    def copied(self) -> FrameValidator:
        """The same statistics, to which other rows are added."""
        found = replace(self.restarted(), _keys=self._keys.copied())
        found.merge(self)
        return found

    def merge(self, split: FrameValidator) -> None:
        """Add the statistics of a `split`."""
        self.rows += split.rows
        self._empty_lines += split._empty_lines
        self.rejects.merge(split.rejects)
        for name, stats in split._columns.items():
            self._columns[name].merge(stats)

    def findings(self) -> PartFindings:
        """The statistics in a form that can go to another process."""
        counts = self.unique and bool(self.layout.keys)
        return PartFindings(
            self.rows, dict(self._columns), self._empty_lines, self.rejects,
            self._keys.repeated if counts else 0, all_counted=self._keys.complete,
        )  # fmt: skip

    def add_findings(self, part: PartFindings, start: int) -> None:
        """Add the statistics of a part that another process has read.

        `start` is the number of its first row. Keys of different parts are not compared.
        """
        self.rows += part.rows
        self._empty_lines += part.empty_lines
        self.rejects.merge(part.rejects.moved(start))
        self._keys.add_part(part.rows, part.repeated_keys, complete=part.all_counted)
        for name, stats in part.columns.items():
            self._columns[name].merge(stats)

    def may_be_part_of(self, whole: FrameValidator) -> bool:
        """Whether these can be the statistics of some of the rows that another one has read."""
        return (
            self.rows <= whole.rows
            and self.rejects.may_be_part_of(whole.rejects)
            and all(
                name in whole._columns and stats.may_be_part_of(whole._columns[name])
                for name, stats in self._columns.items()
            )
        )

    def convert(self, batch: pa.RecordBatch, start: int = 0) -> pa.RecordBatch:
        """The batch, as the frame yields it, in the form of the table; its statistics are added.

        `start` is the number of its first row.

        Raises:
            ColumnTypeError: A value does not fit its column's type; the error names the row.
        """
        if self.on_bad == "error":
            arrays = self.layout.convert(batch, start).columns
            for column, array in zip(self.layout.columns, arrays, strict=True):
                source = batch.column(column.position)
                self._update_column(self._columns[column.name], column, source, array)
        else:
            arrays = self._convert_good(batch, start)
        self.rows += len(arrays[0])
        if self.layout.options.csv and len(arrays) == 1:
            self._empty_lines += casts.nulls(arrays[0])
        if self.unique and self.layout.keys:
            pairs = zip(self.layout.columns, arrays, strict=True)
            self._keys.update([array for column, array in pairs if column.key])
        if self.watch is not None:
            self.watch.update(
                (column.name, self._columns[column.name].longest)
                for column in self.layout.text_columns
            )
        return pa.RecordBatch.from_arrays(arrays, schema=self.layout.encoded_schema)

    def _convert_good(self, batch: pa.RecordBatch, start: int) -> Sequence[Any]:
        """The converted columns without bad values, whose statistics are added."""
        sources = [batch.column(column.position) for column in self.layout.columns]
        arrays: list[Any] = []
        measured: dict[str, ColumnStats] = {}
        bad: dict[int, FoundBad] = {}
        # 1. Convert and measure; mostly, that is all.
        for place, (column, source) in enumerate(zip(self.layout.columns, sources, strict=True)):
            stats = measured[column.name] = copy.copy(self._columns[column.name])
            try:
                array = convert_column(column, batch)
            except ColumnTypeError as error:
                if not self.cleans(column):
                    raise self.layout.with_row(error, batch, start) from error.__cause__
                array = None
            else:
                self._update_column(stats, column, source, array)
            if array is None or (self.cleans(column) and self._has_bad(column, stats)):
                bad[place] = found = self._find_bad(column, source, batch, start)
                array = found.array
            arrays.append(array)
        if not bad:
            self._columns = measured
            return arrays
        # 2. Leave out the rows; measure again what differs from what was measured.
        keep = None
        if self.on_bad == "drop":
            keep = self._keep(bad, batch.num_rows)
        for place, (column, source) in enumerate(zip(self.layout.columns, sources, strict=True)):
            if keep is None and place not in bad:
                self._columns[column.name] = measured[column.name]
                continue
            stats, array = self._columns[column.name], arrays[place]
            values = casts.decoded(source) if _is_number(column) else array
            if place in bad:
                values = self._note(place, bad[place], values, start)
            if keep is not None:
                values, array = values.filter(keep), array.filter(keep)
            self._update_column(stats, column, values, array)
            arrays[place] = array
        return arrays

    def cleans(self, column: ColumnPlan) -> bool:
        """Whether bad values of a column are left out; a key is not nulled."""
        return self.on_bad == "drop" or (self.on_bad == "null" and not column.key)

    def leaves_out(self, column: ColumnPlan, error: ColumnTypeError) -> bool:
        """Whether only the values are left out by which a conversion failed."""
        return self.cleans(column) and not getattr(error.__cause__, "of_type", False)

    def _has_bad(self, column: ColumnPlan, stats: ColumnStats) -> bool:
        infinity = self.layout.options.infinity
        lost = stats.infinite if infinity is None or (infinity == "null" and column.key) else 0
        return bool(stats.has_bad or lost or (column.key and stats.nulls))

    def _find_bad(
        self, column: ColumnPlan, source: Any, batch: pa.RecordBatch, start: int
    ) -> FoundBad:
        try:
            return find_bad(
                column, source,
                limit=self._limit(column), options=self.layout.options, no_nulls=column.key,
            )  # fmt: skip
        except VALUE_ERRORS as failed:  # no value of this type can be converted
            error = conversion_error(column, failed, None)
            error.__cause__ = failed
            raise self.layout.with_row(error, batch, start) from failed

    def _keep(self, bad: Mapping[int, FoundBad], rows: int) -> Any:
        """Which rows are sent."""
        left_out = either(
            (mask for found in bad.values() for reason, mask in found.masks.items()
             if self._rejects(reason)),
            rows,
        )  # fmt: skip
        self.rejects.rows += casts.trues(left_out)
        return pc.invert(left_out)

    def _rejects(self, reason: Reason) -> bool:
        """Whether values are left out for a reason, and do not make an error."""
        return reason is not Reason.INFINITE or self.layout.options.infinity is None

    def _note(self, place: int, found: FoundBad, values: Any, start: int) -> Any:
        """Note the bad values of a column; returns its `values` without them."""
        for reason, mask in found.masks.items():
            if self._rejects(reason):
                self.rejects.add(place, reason, mask, start)
            else:
                self._columns[self.layout.columns[place].name].infinite += casts.trues(mask)
            if reason is not Reason.NULL_KEY:
                values = without(values, mask)
        return values

    def _limit(self, column: ColumnPlan) -> int:
        """The most characters that a string of a column may have."""
        limit = column.max_length
        if column.pseudonymised or not self.cleans(column):  # no pseudonym is longer than others
            return limit
        return min(limit, self.limits.get(column.name, limit))

    def _update_column(
        self, stats: ColumnStats, column: ColumnPlan, source: Any, array: Any
    ) -> None:
        """Add values of a column, as in the frame and as converted, to its statistics."""
        if column.key:
            stats.add_keys(source, array)
        elif column.age:
            stats.nulls += casts.nulls(source)
        if _needs_no_check(column) or column.name in self.checked:
            return
        kind, to = casts.storage_type(column.arrow_type), column.conversion.column_type
        is_float = pa.types.is_floating(kind)
        if to == "STRING":
            stats.add_strings(array, self._limit(column))
        elif pa.types.is_timestamp(array.type):
            stats.add_times(array, csv=self.layout.options.csv)
        elif to == "FLOAT" and not is_float:
            stats.add_converted(source, array)
        if is_float and (to == "FLOAT" or self.layout.options.infinity == "null"):
            stats.add_floats(source)

    def lengths(self) -> dict[str, int]:
        """Length in characters of every text column, by name."""
        found = {}
        for column in self.layout.text_columns:
            longest = self._columns[column.name].longest
            found[column.name] = length_to_declare(column, longest)
        return found

    def longest(self, name: str) -> tuple[int, int]:
        """Length of the longest string of a column, in characters and in UTF-8 bytes."""
        stats = self._columns[name]
        return stats.longest, stats.longest_bytes

    @property
    def different_keys(self) -> int | None:
        """Number of distinct keys; None if it is not known exactly.

        It is not known if Celonis may store distinct keys as equal ones: floats, or times that are
        finer than the milliseconds that it is known to keep.
        """
        keys = [column for column in self.layout.columns if column.key]
        if not self.unique or not keys:
            return None
        repeated = self._keys.repeated  # may set `complete` to False
        if (
            not self._keys.complete
            or self._keys.in_parts > 1
            or any(
                column.conversion.column_type not in _EXACT_TYPES
                or self._columns[column.name].sub_millisecond
                for column in keys
            )
        ):
            return None
        return self.rows - repeated

    def check(self) -> tuple[str, ...]:
        """Warnings about values that will differ in Celonis.

        Raises:
            FrameError: There are no rows, or rows that are empty lines in CSV.
            KeyColumnError: A key column has nulls.
            TruncationError: Strings would be truncated.
            ColumnTypeError: Values are infinite, not UTF-8 or have NUL characters, or are times
                that the file cannot hold.
        """
        if self.rows == 0 and self.rejects.rows and not self.empty:
            raise FrameError(
                f"All rows of the frame ({self.rejects.rows:,}) were left out, so there is nothing "
                f"to push. {' '.join(self._rejected())}"
            )
        if self.rows == 0 and not self.empty:
            raise FrameError(
                "The frame has no rows: there is nothing to push. (If an empty result is normal "
                'in your pipeline, test for it before the push; mode="REPLACE" makes an empty '
                "table.)"
            )
        if self._empty_lines:
            raise FrameError(
                f"The only column {self.layout.columns[0].source!r} has "
                f"{counted(self._empty_lines, 'null')}, which would be empty lines in CSV, and many "
                "readers skip those: push as Parquet, or with another column."
            )
        warnings = []
        for column in self.layout.columns:
            found = self._columns[column.name]
            if column.key or column.age:
                self._check_key(column, found)
            if not _needs_no_check(column):
                self._check_values(column, found)
                warnings += self._warnings(column, found)
        if self.on_bad != "error":
            warnings = [*self._rows_left_out(), *self._rejected(), *warnings]
        if self.unique and self.layout.keys:
            warnings += self._repeated_keys()
        return tuple(warnings)

    def check_table_lengths(self, table: str, lengths: Mapping[str, int]) -> None:
        """Compare with the lengths of text columns of the existing table.

        Raises:
            TruncationError: Strings would be truncated.
        """
        for column in self.layout.columns:
            longest, limit = self._columns[column.name].longest, lengths.get(column.name)
            if limit is not None and longest > limit:
                what = "pseudonym" if column.pseudonymised else "string"
                start = (
                    f"Column {column.source!r} has a {what} of {counted(longest, 'character')}, but "
                    f"in table {table!r} its length is {limit:,}"
                )
                others = "" if column.pseudonymised else ", or shorten the strings"
                room = (
                    "" if column.pseudonymised
                    else " (a length in columns= allows longer strings later)"
                )  # fmt: skip
                rest = (
                    f', which schema_mode="freeze" keeps: leave that out{others}.'
                    if self.empty  # the table is replaced
                    else ", set when the table was created: Celonis would cut longer strings without "
                    f'an error. Recreate the table with mode="REPLACE"{room}{others}.'
                )
                raise TruncationError(
                    start + rest,
                    column=column.source,
                    longest=longest,
                )

    def _check_key(self, column: ColumnPlan, found: ColumnStats) -> None:
        nulls = found.nulls + (found.infinite if self.layout.options.infinity == "null" else 0)
        if not nulls:
            return
        count = f"{counted(nulls, 'null')} in {counted(self.rows, 'row')}"
        if column.key:
            raise KeyColumnError(
                f"Key column {column.source!r} has {count}: fill or drop them, since a null never "
                "equals the key of an existing row.",
                column=column.source,
            )
        raise KeyColumnError(
            f"Column {column.source!r} of order_by= has {count}: fill them, or choose another age "
            "column where the connection is set up (Data Pool → Data Connections), since a row "
            "without an age cannot be compared.",
            column=column.source,
        )

    def _check_values(self, column: ColumnPlan, found: ColumnStats) -> None:
        name = column.source
        if found.not_utf8:
            raise ColumnTypeError(
                f"Column {name!r} has strings that are not UTF-8, such as bytes of another encoding: "
                "read its source with the right encoding.",
                column=name,
            )
        if found.too_long:
            limit, given = column.max_length, bool(column.length)
            whose = "the length given in columns=" if given else "the most that Celonis stores"
            other = "split the column, or give a greater length" if given else "or split the column"
            raise TruncationError(
                f"Column {name!r} has {counted(found.too_long, 'string')} longer than {limit:,} "
                f"characters, {whose}; the longest has {found.longest:,}. Celonis would truncate "
                f"them: shorten them, {other}.",
                column=name,
                longest=found.longest,
                rows=found.too_long,
            )
        if found.nul_characters:
            raise ColumnTypeError(
                f"Column {name!r} has {counted(found.nul_characters, 'string')} with a NUL character, "
                "which databases reject or truncate at: remove it, for example "
                "with .str.replace('\\x00', '').",
                column=name,
            )
        if found.infinite and self.layout.options.infinity != "null":
            raise ColumnTypeError(
                f"Column {name!r} has {counted(found.infinite, 'infinite value')}, which Celonis "
                'cannot store: replace them, or push with infinity="null" to send them as null.',
                column=name,
            )
        if found.early:
            raise ColumnTypeError(
                f"Column {name!r} has {counted(found.early, 'time')} of day before 1970, which pyarrow "
                f"{pa.__version__} does not write to Parquet files as all readers expect: install "
                'pyarrow 23 or later, or push with upload={"file_type": "CSV"}.',
                column=name,
            )
        if found.not_storable:
            csv = self.layout.options.csv
            holds = "years 1 to 9999 of a CSV file" if csv else "range of Parquet's times (INT96)"
            raise ColumnTypeError(
                f"Column {name!r} has {counted(found.not_storable, 'time')} outside the {holds}: "
                "replace them, for example by null.",
                column=name,
            )

    def _warnings(self, column: ColumnPlan, found: ColumnStats) -> list[str]:
        name, warnings = column.source, []
        if found.inexact:
            warnings.append(
                f"Column {name!r} ({column.arrow_type}): {counted(found.inexact, 'value')} not "
                f'exact as 64-bit floats; columns={{{name!r}: "STRING"}} keeps every digit.'
            )
        if found.out_of_range:
            warnings.append(
                f"Column {name!r}: {counted(found.out_of_range, 'date')} outside the years 1400 to "
                "9999; Celonis stores them, but analyses show NULL."
            )
        if found.nanoseconds:
            warnings.append(
                f"Column {name!r}: {counted(found.nanoseconds, 'time')} with nanoseconds; the file "
                "holds them, but Celonis analyses milliseconds, and the local Celonis keeps microseconds."
            )
        if found.infinite:
            warnings.append(
                f"Column {name!r}: {counted(found.infinite, 'infinite value')} sent as null."
            )
        if pa.types.is_null(column.arrow_type) and not column.aligned:
            warnings.append(
                f"Column {name!r} has only nulls and no type: it becomes "
                f"{column.conversion.column_type}; columns= sets another type."
            )
        return warnings

    def _rows_left_out(self) -> list[str]:
        if not self.rejects.rows:
            return []
        text = (
            f"{self.rejects.rows:,} of {counted(self.rows + self.rejects.rows, 'row')} left out, for "
            "values that Celonis cannot hold; status.rejects names them."
        )
        if self.layout.keys and not self.empty:
            text += " If the table has rows with their keys, these old rows stay as they are."
        return [text]

    def _rejected(self) -> list[str]:
        """A sentence on each column and reason."""
        return [
            f"Column {column!r}: {counted(count, 'value')} {self._done_with(count)}: {reason}."
            for column, by_reason in self.rejects.counted_by(self.layout.columns).items()
            for reason, count in by_reason.items()
        ]

    def _done_with(self, count: int) -> str:
        if self.on_bad == "null":
            return "sent as null"
        return f"left out with {'its row' if count == 1 else 'their rows'}"

    def _repeated_keys(self) -> list[str]:
        repeated = self._keys.repeated
        if not repeated and self._keys.complete:
            return []
        some = "" if self._keys.complete else f"the first {self._keys.rows:,} of "
        more = self._keys.in_parts > 1
        text = (
            f"Key {', '.join(self.layout.keys)}: in {some}{counted(self.rows, 'row')}, {repeated:,} "
            f"{'or more ' * more}{'has' if repeated == 1 and not more else 'have'} the key of "
            "another row"
        )
        if not self._keys.complete:
            text += "; the others were not counted, to limit memory"
        elif more:
            text += "; keys of different partitions were not compared"
        if repeated:
            any_kept = "any may be kept, since parallel uploads arrive in any order"
            kept = "most likely the last is kept" if self.ordered else any_kept
            other = "deduplicate_by= chooses another"
            if any(column.age for column in self.layout.columns):
                kept, other = "the newest by its age is kept", "of equal ages the last"
            text += f". Of rows with one key {kept}; {other}, and unique keys keep all"
        return [f"{text}."]


def _is_number(column: ColumnPlan) -> bool:
    """Whether the statistics of a column need its values as they are in the frame."""
    kind, to = casts.storage_type(column.arrow_type), column.conversion.column_type
    return to in ("INTEGER", "FLOAT") or bool(pa.types.is_floating(kind))


def _needs_no_check(column: ColumnPlan) -> bool:
    """Whether every value of the column's type can be stored, without a warning."""
    kind, to = column.arrow_type, column.conversion.column_type
    if to == "BOOLEAN":
        return not pa.types.is_null(kind)
    return to == "INTEGER" and bool(pa.types.is_integer(kind)) and kind != pa.uint64()
