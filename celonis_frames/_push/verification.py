"""Compare the number of rows sent with those of the table, before the push and after its job."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence

from celonis_frames._api.client import DataPushApi
from celonis_frames._formatting import counted
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._options.push_options import PushOptions
from celonis_frames._reporting.current import warn
from celonis_frames._schema.names import name_key
from celonis_frames.exceptions import ApiError, JobError

NOT_WAITED = "The table's rows were not counted, because the job was not waited for."
"""The warning of a push that returns before its job has ended."""

_log = logging.getLogger("celonis_frames")


class Verification:
    """Compares the rows of one push with those of its table (``verify="rows"``)."""

    def __init__(
        self,
        api: DataPushApi,
        pool_id: str,
        table: str,  # as it is stored
        connection_id: str | None,
        options: PushOptions,
        *,
        can_count: bool = True,  # the pool is known
    ) -> None:
        self._api, self._pool_id = api, pool_id
        self._table, self._connection_id = table, connection_id
        self._options, self._can_count = options, can_count
        self._rows_before: int | None = 0
        self._upserted = self._deleted = self._different = 0

    def check_before(self, frames: Sequence[PreparedFrame]) -> None:
        """Count the table's rows before the push, unless it is replaced, and tell the frames.

        Raises:
            FrameError: The table would have too many rows.
        """
        if not self._options.replaces:
            self._rows_before = self._count(absent=0)
            for frame in frames:
                frame.table_rows = self._rows_before or 0
                frame.check_rows(frame.source.rows or 0)

    def check_after(self, job_id: str, state: str) -> tuple[str, ...]:
        """Compare the table's rows with those sent; returns warnings, which are logged.

        Raises:
            JobError: The table has more or fewer rows than possible.
        """
        return self._logged(*self._compare_rows(job_id, state))

    def within(self, api: DataPushApi) -> Verification:
        """The same comparison by other calls, such as those of another timeout."""
        other = copy.copy(self)
        other._api = api  # noqa: SLF001  # of this class
        return other

    def wait_for_rows(self, seconds: float) -> tuple[bool | None, tuple[str, ...]]:
        """Wait until the table has the rows of stored objects.

        Returns:
            Whether it has them after `seconds` at most; None if that cannot be seen. And warnings,
            which are logged.
        """
        before, keyed = self._rows_before, bool(self._options.keys)
        # Rows with keys may replace others, so only more rows than before prove something.
        wanted = self._different if keyed else (before or 0) + self._upserted
        if before is None or (keyed and before >= wanted):
            found = "Whether the rows are in the table was not seen: their number does not show it."
            return None, self._logged(found)
        end, rows, pause = time.monotonic() + seconds, before, 0.05
        while (left := end - time.monotonic()) > 0 and not self._api.token.expired:
            found_rows = self._count(absent=0)
            if found_rows is None and not self._api.token.expired:
                return None, ()
            rows = rows if found_rows is None else found_rows
            if rows >= wanted:
                return True, ()
            self._api.token.sleep(min(left, pause))
            pause = min(2 * pause, 5.0)
        return False, self._logged(
            f"Table {self._table!r} had {counted(rows, 'row')} instead of {wanted:,} or more after "
            f"{seconds:,.0f} s: the connection's monitoring in Celonis lists objects that failed."
        )

    def _logged(self, *warnings: str) -> tuple[str, ...]:
        for warning in warnings:
            warn("%s: %s", self._table, warning)
        return warnings

    def _compare_rows(self, job_id: str, state: str) -> tuple[str, ...]:
        if state != "DONE":
            return (NOT_WAITED,)
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

    def count(self, frames: Sequence[PreparedFrame]) -> None:
        """Note how many rows were sent, once all were read."""
        for frame in frames:
            rows = frame.measure.rows
            if frame.deleted:
                self._deleted += rows
                continue
            self._upserted += rows
            keys = frame.measure.different_keys
            self._different = max(self._different, min(rows, 1) if keys is None else keys)

    def _count(self, *, absent: int | None = None) -> int | None:
        """Rows of the table; `absent` if there is no such table, None if the count is unknown."""
        if not self._can_count:
            return None
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


def begin_verification(
    api: DataPushApi,
    pool_id: str,
    table: str,
    connection_id: str | None,
    options: PushOptions,
    frames: Sequence[PreparedFrame],
    *,
    can_count: bool = True,
) -> Verification:
    """A `Verification` that has counted the table's rows.

    Raises:
        FrameError: The table would have too many rows.
    """
    verification = Verification(api, pool_id, table, connection_id, options, can_count=can_count)
    verification.check_before(frames)
    return verification
