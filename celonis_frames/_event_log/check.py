"""`check_event_log`, and the same check of a frame while it is pushed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from celonis_frames._event_log.checker import EventLogChecker
from celonis_frames._event_log.columns import LogColumns
from celonis_frames._event_log.repair_code import dialect_of
from celonis_frames._event_log.report import EventLogReport
from celonis_frames._options.push_options import optional_flag, parse_storage_options
from celonis_frames._schema.names import Rename, new_names
from celonis_frames._sources.reader import read
from celonis_frames._sources.source import ReadOptions, Source
from celonis_frames._tracebacks import short_traceback
from celonis_frames.exceptions import FrameError


@short_traceback
def check_event_log(
    frame: Any,
    *,
    case: str,
    activity: str,
    timestamp: str,
    end: str | None = None,
    order: str | None = None,
    index: bool | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> EventLogReport:
    """Reports whether a frame is an event log for Celonis, and what to do if it is not.

    Only the columns named are read, once, batch by batch; nothing is sent, and no connection is
    needed. Memory grows with the cases (about 200 bytes for each) and the activities, not with the
    rows. Events that are equal, or of one case at one time, are counted among the first rows until
    two million of these differ; the finding says so if there are more.

    Args:
        frame: As for `push`. A stream or an iterator is read to its end, and cannot be pushed
            afterwards: `push_event_log` checks it while it is pushed.
        case: Name of the column with the case id.
        activity: Name of the column with the activity.
        timestamp: Name of the column with the time at which the activity happened, or began.
        end: Name of the column with the time at which it ended.
        order: Name of a column of numbers that orders events of one case at one time.
        index: As for `push`.
        storage_options: As for `push`.

    Returns:
        The figures of the log, and findings: errors, warnings and hints.

    Raises:
        ColumnNameError: The frame lacks a column; the message suggests others.
        ConfigError: A name is no string, two roles have the same column, or another value makes no
            sense.
        FrameError: The object is no frame, or cannot be read.
    """
    named = LogColumns.parse(
        case=case, activity=activity, timestamp=timestamp, end=end, order=order
    )

    def choose(names: list[str]) -> list[str]:
        needed = {name for _, name in named.found_in(names).roles()}
        return [name for name in names if name in needed]

    options = ReadOptions(
        index=optional_flag("index", index),
        storage_options=parse_storage_options("storage_options", storage_options),
        choose=choose,
    )
    source = read(frame, options)
    checker = _checker(source, named.found_in(source.schema.names))
    for batch in source.batches():
        checker.update(batch)
    return checker.report()


def watch_event_log(
    columns: LogColumns, *, lenient: bool, rename: Rename | None
) -> Callable[[Source], Source]:
    """A function that has the rows of a source checked while they are read, whoever reads them.

    Its source returns the same rows. Once all were read, `Source.conclude` returns the warnings of
    the report, or raises its errors. Files are not sent unchanged, and no workers read the rows:
    that would bypass the check.

    Args:
        columns: The columns as the user names them: as in the frame, or after `rename`.
        lenient: Whether errors are only warnings.
        rename: The user's new names.
    """

    def watch(source: Source) -> Source:
        names = source.schema.names
        rows = _WatchedRows(source, columns.found_in(names, new_names(names, rename)), lenient)
        return replace(
            source, batches=rows.batches, conclude=rows.conclude, files=None, partitions=None
        )

    return watch


class _WatchedRows:
    """The rows of a source, with a checker for each time that they may be others."""

    def __init__(self, source: Source, columns: LogColumns, lenient: bool) -> None:
        self._source, self._columns, self._lenient = source, columns, lenient
        self._complete: EventLogChecker | None = None  # of a reading that came to its end

    def batches(self) -> Iterator[pa.RecordBatch]:
        if self._complete is not None and self._source.immutable:  # the same rows once more
            yield from self._source.batches()
            return
        checker = _checker(self._source, self._columns)
        for batch in self._source.batches():
            checker.update(batch)
            yield batch
            del batch
        self._complete = checker

    def conclude(self) -> tuple[str, ...]:
        if self._complete is None:  # the last check; never expected
            raise FrameError(
                "Not all rows were checked to be an event log. Nothing was executed. This is a bug "
                "in celonis_frames; please report it."
            )
        report = self._complete.report()
        if not self._lenient:
            report.raise_for_errors()
        found = [one.message for one in report.findings if one.severity != "hint"]
        return (*self._source.conclude(), *found)


def _checker(source: Source, columns: LogColumns) -> EventLogChecker:
    return EventLogChecker(columns, source.schema, dialect_of(source.kind))
