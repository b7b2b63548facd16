"""Probes of rows: what jobs do with keys, columns, types, orders and failures.

Rows cannot be read by the API. What is in the table shows by its columns and, where the pool shows
them, numbers of rows: an upsert with all columns as keys adds a row unless the same one is there.
"""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from celonis_frames._doctor.probe import NO_COLUMNS, NO_COUNTS, Probe, Seen, by_rows, ended, unknown
from celonis_frames._doctor.scratch import (
    CHANGE_DATE,
    PREFIX,
    K,
    Result,
    Scratch,
    V,
    keys_of,
    parquet,
    texts,
)

N = f"{PREFIX}N"
"""A column that is new to the table."""
_START = texts((1, "a"))
_UNCHANGED = {"upsertStrategy": "UPSERT_WITH_UNCHANGED_METADATA"}


def _begun(scratch: Scratch) -> Result:
    """The table with one row."""
    return scratch.run(_START)


def _adds(scratch: Scratch, file: bytes) -> Result:
    """An upsert with all columns as keys: it adds the rows that are not there."""
    return scratch.run(file, mode="DELTA", keys=[K, V])


def _duplicate_keys(scratch: Scratch) -> Seen:
    result = scratch.run(texts((1, "a"), (1, "b")), mode="REPLACE", keys=[K])
    if not result.done:
        return ended(result)
    rows = scratch.rows()
    if rows is None:
        return NO_COUNTS
    if rows == 2:
        return Seen("both", "rows")
    added = _adds(scratch, texts((1, "b")))
    return by_rows(scratch, {1: "last", 2: "first"}) if added.done else unknown(added, "an upsert")


def _null_keys(scratch: Scratch) -> Seen:
    begun = scratch.run(texts((1, "a"), (None, "b")), keys=[K])
    if not begun.done:
        return ended(begun)
    result = scratch.run(texts((None, "c")), mode="DELTA", keys=[K])
    if not result.done:
        return ended(result)
    return by_rows(scratch, {3: "append", 2: "match", 1: "dropped"})


def _missing_columns(scratch: Scratch) -> Seen:
    begun = _begun(scratch)
    if not begun.done:
        return unknown(begun, "a job")
    result = scratch.run(keys_of(1), mode="DELTA", keys=[K])
    if not result.done:
        return ended(result)
    added = _adds(scratch, _START)
    if not added.done:
        return unknown(added, "an upsert")
    seen = by_rows(scratch, {1: "keep", 2: "null"})
    return seen if seen.evidence else Seen("accepted", "job", "whether as null is not known")


def _new_columns(scratch: Scratch) -> Seen:
    return _extended(scratch, None)


def _unchanged_metadata(scratch: Scratch) -> Seen:
    return _extended(scratch, _UNCHANGED)


def _extended(scratch: Scratch, options: dict[str, str] | None) -> Seen:
    begun = _begun(scratch)
    if not begun.done:
        return unknown(begun, "a job")
    file = texts((2, "b"), columns={N: pa.array([7], pa.int64())})
    result = scratch.run(file, mode="DELTA", keys=[K], options=options)
    if not result.done:
        return ended(result)
    columns = scratch.columns()
    if columns is None:
        return Seen("accepted", "job", NO_COLUMNS.detail)
    return Seen("add" if N in columns else "ignore", "columns")


def _changed_types(scratch: Scratch) -> Seen:
    begun = _begun(scratch)
    if not begun.done:
        return unknown(begun, "a job")
    before = (scratch.columns() or {}).get(V)
    table = pa.table({K: pa.array([2], pa.int64()), V: pa.array([5], pa.int64())})
    result = scratch.run(parquet(table), mode="DELTA", keys=[K])
    if not result.done:
        return ended(result)
    after = (scratch.columns() or {}).get(V)
    if before is None or after is None:
        return Seen("accepted", "job", NO_COLUMNS.detail)
    return Seen("convert" if after[0] == before[0] else "replace", "columns")


def _declared_types(scratch: Scratch) -> Seen:
    result = scratch.run(_START, types={K: "FLOAT", V: "STRING"})
    if not result.done:
        return ended(result)
    columns = scratch.columns()
    if columns is None or K not in columns:
        return Seen("accepted", "job", NO_COLUMNS.detail)
    return Seen({"FLOAT": "convert"}.get(columns[K][0], "ignore"), "columns")


def _order(scratch: Scratch) -> Seen:
    begun = _begun(scratch)
    if not begun.done:
        return unknown(begun, "a job")
    result = scratch.run(texts((1, "b")), keys_of(1), mode="DELTA", keys=[K], deleted=(1,))
    if not result.done:
        return ended(result)
    return by_rows(scratch, {0: "upload", 1: "deletes_first"})


def _failing_jobs(scratch: Scratch) -> Seen:
    """A job deletes a row, and then fails by a declared type that the next file does not have."""
    begun = _begun(scratch)
    if not begun.done:
        return unknown(begun, "a job")
    result = scratch.run(
        keys_of(1), texts((2, "b")), mode="DELTA", keys=[K], types={K: "INTEGER", V: "INTEGER"},
        deleted=(0,),
    )  # fmt: skip
    if result.end != "ERROR":
        return Seen("unknown", detail=f"the job did not fail: {result.end}")
    return by_rows(scratch, {1: "unchanged", 0: "partial"})


def _delta_lengths(scratch: Scratch) -> Seen:
    begun = scratch.run(_START, lengths={V: 10})
    if not begun.done:
        return unknown(begun, "a job")
    before = (scratch.columns() or {}).get(V)
    result = scratch.run(texts((2, "b")), mode="DELTA", keys=[K], lengths={V: 20})
    if not result.done:
        return ended(result)
    after = (scratch.columns() or {}).get(V)
    if before is None or after is None:
        return NO_COLUMNS
    return Seen("keep" if after[1] == before[1] else "grow", "columns")


def _sent_change_dates(scratch: Scratch) -> Seen:
    moment = pa.array([dt.datetime(2024, 2, 29)], pa.timestamp("us"))
    result = scratch.run(texts((1, "a"), columns={CHANGE_DATE: moment}))
    return Seen("ignore", "job") if result.done else ended(result)


def _csv_quoted_empty(scratch: Scratch) -> Seen:
    begun = scratch.run(f'{K},{V}\n1,""\n'.encode(), types={K: "INTEGER", V: "STRING"}, csv=True)
    if not begun.done:
        return ended(begun)
    added = _adds(scratch, texts((1, "")))
    if not added.done:
        return unknown(added, "an upsert")
    return by_rows(scratch, {1: "string", 2: "null"})


def _csv_undeclared(scratch: Scratch) -> Seen:
    result = scratch.run(f"{K},{V}\n1,2\n".encode(), types={K: "INTEGER"}, csv=True)
    if not result.done:
        return ended(result)
    columns = scratch.columns()
    if columns is None or V not in columns:
        return Seen("accepted", "job", NO_COLUMNS.detail)
    return Seen(columns[V][0].lower(), "columns")


ROW_PROBES: tuple[Probe, ...] = (
    Probe("rows with one key in a job", "last", "duplicate_keys", _duplicate_keys),
    Probe("null in a key", "append", "null_keys", _null_keys),
    Probe("a column that a DELTA lacks", "null", "missing_columns", _missing_columns),
    Probe("a new column", "add", "new_columns", _new_columns),
    Probe("the same, UNCHANGED_METADATA", "error", "unchanged_metadata", _unchanged_metadata),
    Probe("a column of another type", "error", "changed_types", _changed_types),
    Probe("INTEGER declared as FLOAT", "convert", "declared_types", _declared_types),
    Probe("order of upserts and deletes", "upload", "order", _order),
    Probe("a failing job leaves the table", "unchanged", "failing_jobs", _failing_jobs),
    Probe("a longer length in a DELTA", "keep", "delta_lengths", _delta_lengths),
    Probe(f"a column {CHANGE_DATE}", "error", "sent_change_dates", _sent_change_dates),
    Probe("a quoted empty field of CSV", "string", "csv_quoted_empty", _csv_quoted_empty),
    Probe("an undeclared column of CSV", "string", "csv_undeclared", _csv_undeclared),
)
