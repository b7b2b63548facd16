"""Compare a push with its table: columns before it is sent, rows after its job is done."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import TableColumn
from celonis_frames._formatting import counted
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._options.push_options import PushOptions
from celonis_frames._schema.names import CHANGE_DATE, name_key
from celonis_frames.exceptions import (
    ApiError,
    ColumnTypeError,
    JobError,
    KeyColumnError,
    NotFound,
)

_log = logging.getLogger("celonis_frames")

_SHOWN = {
    "STRING": ("STRING",),
    "INTEGER": ("INTEGER",),
    "FLOAT": ("FLOAT",),
    "BOOLEAN": ("BOOLEAN", "INTEGER"),
    "DATE": ("DATE", "DATETIME"),
    "DATETIME": ("DATE", "DATETIME"),
    "TIME": ("TIME", "STRING"),
}
"""The types that the columns call may return for a column of each type (it knows STRING, DATE,
FLOAT and INTEGER; the official client)."""

BYTES_PER_CHARACTER = 4
"""The columns call returns lengths in bytes, four per character (the official client)."""


class Verification:
    """Compares one push with its table.

    A DELTA is always compared with the lengths of the table's text columns, if the server returns
    them: a table keeps the lengths it was created with, and cuts longer strings without an error.

    Attributes:
        notes: Warnings for the user: differences, and what could not be compared.
    """

    def __init__(
        self,
        api: DataPushApi,
        pool_id: str,
        table: str,  # as it is stored
        connection_id: str | None,
        options: PushOptions,
    ) -> None:
        self._api, self._pool_id = api, pool_id
        self._table, self._connection_id = table, connection_id
        self._options = options
        self._rows_before: int | None = 0
        self._upserted = self._deleted = self._different = 0
        self.notes: tuple[str, ...] = ()

    def check_before(self, frames: Sequence[PreparedFrame]) -> None:
        """Compare the frames with the existing table, unless it is replaced.

        Gives each frame the lengths of the table's text columns.

        Raises:
            ColumnTypeError: A column has another type in the table (``verify="schema"``).
            KeyColumnError: The table lacks a key column (``verify="schema"``).
            FrameError: The table would have too many rows (``verify="rows"``).
        """
        if "rows" in self._options.verify and self._options.mode != "REPLACE":
            self._rows_before = self._count(absent=0)
            for frame in frames:
                frame.table_rows = self._rows_before or 0
                frame.check_rows(frame.source.rows or 0)
        if self._options.mode != "DELTA" or "none" in self._options.verify:
            return
        asked = "schema" in self._options.verify
        try:
            # One try, unless the user asked for the comparison: it must not delay the push.
            found = self._api.columns(
                self._pool_id,
                self._table,
                self._connection_id,
                policy=None if asked else RetryPolicy(max_tries=1),
            )
        except NotFound:
            self._note_missing_table(frames)
            return
        except ApiError as error:
            _log.info(
                "table %s: its columns cannot be read (%s)", self._table, type(error).__name__
            )
            if asked:
                self._note(
                    f"The table could not be compared before the push ({error.message}) Only the "
                    "job will show whether the columns fit."
                )
            return
        columns = {name_key(column.name): column for column in found}
        if not columns:
            self._note_missing_table(frames)
            return
        for frame in frames:
            if not frame.deleted:  # all frames to upsert have the same columns
                self._note_differences(frame, columns)
                break
        for frame in frames:
            # Keys to delete that are too long match no row, so nothing is cut.
            if asked or not frame.deleted:
                self._compare(frame, columns, asked)

    def _note_missing_table(self, frames: Sequence[PreparedFrame]) -> None:
        if all(frame.deleted for frame in frames):
            self._note(f"Table {self._table!r} does not exist: nothing is deleted.")

    def _note_differences(self, frame: PreparedFrame, columns: dict[str, TableColumn]) -> None:
        """Note which columns the rows to write lack, and which the table gets."""
        lacking = dict(columns)
        lacking.pop(name_key(CHANGE_DATE), None)
        for column in frame.layout.columns:
            lacking.pop(name_key(column.name), None)
        new = [c.name for c in frame.layout.columns if name_key(c.name) not in columns]
        if lacking:
            missing = [column.name for column in lacking.values()]
            self._note(
                f"Table {self._table!r} has columns that the frame lacks: {missing}. The rows "
                "that are written get NULL there, also those that had a value."
            )
        if new:
            self._note(f"Table {self._table!r} gets new columns: {new}.")

    def check_after(self, job_id: str, state: str) -> tuple[str, ...]:
        """Compare the table's rows with those sent; returns warnings, which are logged.

        Raises:
            JobError: The table has more or fewer rows than possible.
        """
        if "rows" not in self._options.verify:
            return ()
        warnings = self._compare_rows(job_id, state)
        for warning in warnings:
            _log.warning("%s: %s", self._table, warning)
        return warnings

    def _compare_rows(self, job_id: str, state: str) -> tuple[str, ...]:
        if state != "DONE":
            return ("The table's rows were not counted, because the job was not waited for.",)
        rows = self._count()
        if rows is None and self._api.token.expired:
            return ("The table's rows were not counted, because timeout= had passed.",)
        if rows is None:
            return (
                "The table's rows were not counted: this server does not report them. No call of a "
                "Celonis team is known that does; the local Celonis reports them.",
            )
        keyed = bool(self._options.keys)
        # With keys a row may replace another, but every key that was sent has a row afterwards.
        least = self._different if keyed else self._upserted
        least = max(least + (0 if keyed else self._rows_before or 0) - self._deleted, 0)
        if self._rows_before is None:
            if rows < least:
                raise self._wrong(job_id, rows, f"{least:,} or more")
            return (
                "The table's rows were counted only after the job, because this server did not "
                f"report them before it: the check only shows that there are {least:,} or more.",
            )
        most = self._rows_before + self._upserted
        if not least <= rows <= most:
            expected = f"{most:,}" if least == most else f"{least:,} to {most:,}"
            raise self._wrong(job_id, rows, expected)
        if rows < self._rows_before - self._deleted:
            # An upsert or a delete replaces or deletes all rows with its key.
            return (
                f"Table {self._table!r} has {counted(rows, 'row')} and had "
                f"{self._rows_before:,}: that is correct only if several rows had the same key.",
            )
        return ()

    def _wrong(self, job_id: str, rows: int, expected: str) -> JobError:
        before = "an unknown number" if self._rows_before is None else f"{self._rows_before:,}"
        deleted = f", {counted(self._deleted, 'key')} deleted" if self._deleted else ""
        return JobError(
            f"Job {job_id} is DONE, but table {self._table!r} has {counted(rows, 'row')} instead "
            f"of {expected} ({before} before, {self._upserted:,} sent{deleted}). Check the table, "
            "and whether another client wrote to it meanwhile.",
            job_id=job_id,
        )

    def _compare(self, frame: PreparedFrame, columns: dict[str, TableColumn], asked: bool) -> None:
        lengths: dict[str, int] = {}
        for column in frame.layout.columns:
            existing = columns.get(name_key(column.name))
            if existing is None:
                if column.key and asked:
                    raise KeyColumnError(
                        f"Key column {column.source!r} is not in table {self._table!r}, which has "
                        f"{[found.name for found in columns.values()]}.",
                        column=column.source,
                    )
                continue
            kind = column.conversion.column_type
            if asked and existing.type not in _SHOWN[kind]:
                raise ColumnTypeError(
                    f"Column {column.source!r} would be sent as {kind}, but is {existing.type} in "
                    f"table {self._table!r}. Convert it, set another type in columns=, or "
                    'recreate the table with mode="REPLACE".',
                    column=column.source,
                )
            if kind == "STRING" and existing.type == "STRING" and existing.length:
                lengths[column.name] = existing.length // BYTES_PER_CHARACTER
        frame.table_lengths = lengths

    def count(self, frames: Sequence[PreparedFrame]) -> None:
        """Note how many rows were sent, once all were read, if the table's are to be counted."""
        for frame in frames if "rows" in self._options.verify else ():
            rows = frame.measure.rows
            if frame.deleted:
                self._deleted += rows
                continue
            self._upserted += rows
            keys = frame.measure.different_keys
            self._different = max(self._different, min(rows, 1) if keys is None else keys)

    def _count(self, *, absent: int | None = None) -> int | None:
        """Rows of the table; `absent` if there is no such table, None if the count is unknown."""
        try:
            tables = self._api.tables(self._pool_id)
        except ApiError as error:
            _log.info("the tables cannot be listed: %s", type(error).__name__)
            return None
        for table in tables:
            same = name_key(table.name) == name_key(self._table)
            if same and table.connection_id == self._connection_id:
                return table.rows
        return absent

    def _note(self, text: str) -> None:
        self.notes += (text,)
        _log.warning("%s: %s", self._table, text)
