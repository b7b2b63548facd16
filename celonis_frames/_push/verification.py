"""A push compared with the table it goes into: before it is sent, and after its job is done."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import TableColumn
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._push.options import PushOptions
from celonis_frames._push.prepared_frame import PreparedFrame
from celonis_frames._schema.names import CHANGE_DATE
from celonis_frames.exceptions import (
    ApiError,
    ColumnTypeError,
    JobError,
    KeyColumnError,
    NotFound,
    TruncationError,
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
"""As what the columns call may show a column of each type (it knows STRING, DATE, FLOAT and
INTEGER; the official client)."""

BYTES_A_CHARACTER = 4
"""The columns call tells lengths in bytes, four for a character (the official client)."""


class Verification:
    """What is compared, for one push.

    A DELTA is always compared with the lengths of the table's text columns, where the server tells
    them: a table keeps the lengths it was made with, and longer texts would be cut in silence.

    Args:
        api: The calls.
        pool_id: The pool.
        table: Name of the table.
        connection_id: The data connection, or None.
        options: Of the push.

    Attributes:
        notes: What could not be compared, for the user.
    """

    def __init__(
        self,
        api: DataPushApi,
        pool_id: str,
        table: str,
        connection_id: str | None,
        options: PushOptions,
    ) -> None:
        self._api, self._pool_id = api, pool_id
        self._table, self._connection_id = table, connection_id
        self._options = options
        self._before: int | None = 0
        self._upserted = self._deleted = self._different = 0
        self.notes: tuple[str, ...] = ()

    def before(self, frames: Sequence[PreparedFrame]) -> None:
        """Compare the frames with the table as it is, if there is one that stays.

        Raises:
            TruncationError: A text is longer than the table's column.
            ColumnTypeError: A column has another type in the table (``verify="schema"``).
            KeyColumnError: The table lacks a key column (``verify="schema"``).
        """
        if "rows" in self._options.verified:
            self._expect(frames)
        if self._options.mode != "DELTA" or "none" in self._options.verified:
            return
        asked = "schema" in self._options.verified
        try:
            # Without being asked for, it must cost a moment only when the server has trouble.
            there = self._api.columns(
                self._pool_id,
                self._table,
                self._connection_id,
                patience=None if asked else RetryPolicy(tries=1),
            )
        except NotFound:
            self._tell_absent(frames)
            return
        except ApiError as error:
            _log.info("table %s cannot be looked at: %s", self._table, type(error).__name__)
            if asked:
                self._note(
                    f"The table could not be compared before the push ({error.message}): whether "
                    "its columns fit is seen only by the job."
                )
            return
        columns = {column.name.casefold(): column for column in there}
        if not columns:
            self._tell_absent(frames)
            return
        self._tell_different(frames, columns)
        for frame in frames:
            # Keys to delete that are too long match no row, and cut none.
            if asked or not frame.deleted:
                self._compare(frame, columns, asked)

    def _tell_absent(self, frames: Sequence[PreparedFrame]) -> None:
        if all(frame.deleted for frame in frames):
            self._note(f"There is no table {self._table!r}: nothing is deleted.")

    def _tell_different(
        self, frames: Sequence[PreparedFrame], columns: dict[str, TableColumn]
    ) -> None:
        """Say which columns the rows that are written lack, and which the table gets."""
        for frame in frames:
            if frame.deleted:
                continue
            mine = {column.name.casefold() for column in frame.layout.columns}
            missing = [
                column.name
                for name, column in columns.items()
                if name not in mine and name != CHANGE_DATE.casefold()
            ]
            new = [c.name for c in frame.layout.columns if c.name.casefold() not in columns]
            if missing:
                self._note(
                    f"Table {self._table!r} has columns that the frame lacks: {missing}. The rows "
                    "that are written get NULL there, also those that had a value."
                )
            if new:
                self._note(f"Table {self._table!r} gets new columns: {new}.")
            return

    def after(self, job_id: str, state: str) -> tuple[str, ...]:
        """Count the table's rows, once the job is done; what could not be compared.

        Raises:
            JobError: There are more or fewer than there can be.
        """
        if "rows" not in self._options.verified:
            return ()
        if state != "DONE":
            return ("The table's rows were not counted, since the job was not waited for.",)
        there = self._count()
        if there is None:
            return ("The table's rows were not counted: this server does not tell how many.",)
        keyed = bool(self._options.keys)
        # With keys a row may take the place of another, but every key that is sent has one after.
        least = self._different if keyed else self._upserted
        least = max(least + (0 if keyed else self._before or 0) - self._deleted, 0)
        if self._before is None:
            if there < least:
                raise self._wrong(job_id, there, f"{least:,} or more")
            return (
                "The table's rows were counted after the job only: before it this server did not "
                f"tell how many, so that no more is known than that there are {least:,} or more.",
            )
        most = self._before + self._upserted
        if not least <= there <= most:
            expected = f"{most:,}" if least == most else f"{least:,} to {most:,}"
            raise self._wrong(job_id, there, expected)
        if there < self._before - self._deleted:
            # An upsert or a delete takes all rows with its key.
            return (
                f"Table {self._table!r} has {there:,} rows and had {self._before:,}: that is right "
                "only if it held rows that share a key.",
            )
        return ()

    def _wrong(self, job_id: str, there: int, expected: str) -> JobError:
        before = "an unknown number" if self._before is None else f"{self._before:,}"
        return JobError(
            f"The job {job_id} is DONE, but table {self._table!r} has {there:,} rows where "
            f"{expected} were expected ({before} before, {self._upserted:,} sent"
            f"{f', {self._deleted:,} keys deleted' if self._deleted else ''}). Look at the table, "
            "and whether somebody else wrote to it meanwhile.",
            job_id=job_id,
        )

    def _compare(self, frame: PreparedFrame, columns: dict[str, TableColumn], asked: bool) -> None:
        for column in frame.layout.columns:
            mine = columns.get(column.name.casefold())
            if mine is None:
                if column.key and asked:
                    raise KeyColumnError(
                        f"Key column {column.source!r} is not in table {self._table!r}, which has "
                        f"{[found.name for found in columns.values()]}.",
                        column=column.source,
                    )
                continue
            kind = column.conversion.column_type
            if asked and mine.type not in _SHOWN[kind]:
                raise ColumnTypeError(
                    f"Column {column.source!r} would be sent as {kind}, but is {mine.type} in "
                    f"table {self._table!r}: convert it, give another type in columns=, or make "
                    'the table anew with mode="REPLACE".',
                    column=column.source,
                )
            if kind == "STRING" and mine.type == "STRING" and mine.length:
                self._fit(frame, column.name, column.source, mine.length // BYTES_A_CHARACTER)

    def _fit(self, frame: PreparedFrame, name: str, source: str, room: int) -> None:
        longest = frame.measure.longest(name)[0]
        if longest > room:
            raise TruncationError(
                f"Column {source!r} has a text of {longest:,} characters, but in table "
                f"{self._table!r} it holds {room:,}, the length it was made with: longer texts "
                'would be cut in silence. Make the table anew with mode="REPLACE" (a length in '
                "columns= leaves room for later), or shorten them.",
                column=source,
                longest=longest,
            )

    def _expect(self, frames: Sequence[PreparedFrame]) -> None:
        for frame in frames:
            rows = frame.measure.rows
            if frame.deleted:
                self._deleted += rows
                continue
            self._upserted += rows
            keys = frame.measure.different_keys
            self._different = max(self._different, min(rows, 1) if keys is None else keys)
        if self._options.mode != "REPLACE":
            self._before = self._count(absent=0)

    def _count(self, *, absent: int | None = None) -> int | None:
        """Rows of the table; `absent` when the server lists it not, None when it does not tell."""
        try:
            tables = self._api.tables(self._pool_id)
        except ApiError as error:
            _log.info("the tables cannot be listed: %s", type(error).__name__)
            return None
        for table in tables:
            same = table.name.casefold() == self._table.casefold()
            if same and table.connection_id == self._connection_id:
                return table.rows
        return absent

    def _note(self, text: str) -> None:
        self.notes += (text,)
