"""Probes of files: which codecs, encodings, types, page versions and lengths a pool reads."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa

from celonis_frames._doctor.probe import NO_COLUMNS, Probe, Seen, by_rows, ended, unknown
from celonis_frames._doctor.scratch import PREFIX, K, Scratch, V, parquet, texts
from celonis_frames._schema.text_length import MAX_TEXT_LENGTH

TIMES = frozenset({"DATE", "DATETIME", "TIMESTAMP"})
"""Types that a column of timestamps may be shown as."""

_ROWS = pa.table({K: pa.array([1, 2, 3], pa.int64()), V: ["a", "b", "c"]})
_MOMENT = dt.datetime(2024, 2, 29, 13, 14, 15, 123_000)
_LONGEST = 65_000
"""Most characters that any source names (the official Kafka sink)."""


def _codec(name: str, scratch: Scratch) -> Seen:
    """Accepted if the job ends in DONE and, where rows are counted, the values are the right ones.

    That shows by an upsert of the same rows with all columns as keys: it adds rows if they differ.
    """
    result = scratch.run(parquet(_ROWS, compression=name))
    if not result.done:
        return ended(result)
    rows = scratch.rows()
    if rows is None:
        return Seen("accepted", "job")
    again = scratch.run(parquet(_ROWS), mode="DELTA", keys=[K, V])
    if not again.done:
        return Seen("accepted" if rows == _ROWS.num_rows else "other values", "rows")
    return by_rows(scratch, {_ROWS.num_rows: "accepted"})


def _typed(
    name: str, values: pa.Array, kinds: frozenset[str], scratch: Scratch, **options: Any
) -> Seen:
    """How a column of a type is read: rejected, an error, accepted, or as another type.

    Each has a name of its own: a pool may show for a moment the columns that the table had.
    """
    column = f"{PREFIX}{name}"
    table = _ROWS.append_column(column, values)
    result = scratch.run(parquet(table, **{"version": "2.6", **options}))
    if not result.done:
        return ended(result)
    columns = scratch.columns()
    if columns is None or column not in columns:
        return Seen("accepted", "job", "the pool does not show as which type")
    kind = columns[column][0]
    return Seen("accepted" if kind in kinds else f"as {kind}", "columns", f"shown as {kind}")


def _timestamps(unit: str, scratch: Scratch) -> Seen:
    values = pa.array([_MOMENT] * 3, pa.timestamp("us" if unit == "int96" else unit))
    return _typed(
        unit.upper(), values, TIMES, scratch, use_deprecated_int96_timestamps=unit == "int96"
    )


def _dates(scratch: Scratch) -> Seen:
    return _typed("DATE", pa.array([_MOMENT.date()] * 3, pa.date32()), TIMES, scratch)


def _decimals(scratch: Scratch) -> Seen:
    values = pa.array([decimal.Decimal("12.34")] * 3, pa.decimal128(10, 2))
    return _typed("DECIMAL", values, frozenset({"FLOAT", "DECIMAL"}), scratch)


def _page_v2(scratch: Scratch) -> Seen:
    result = scratch.run(parquet(_ROWS, data_page_version="2.0", version="2.6"))
    return Seen("accepted", "job") if result.done else ended(result)


def _precision(scratch: Scratch) -> Seen:
    """Four times that differ by a nanosecond, a microsecond and a millisecond are as many keys."""
    start = 1_709_212_455_000_000_000
    moments = pa.array([start, start + 1, start + 1_000, start + 1_000_000], pa.timestamp("ns"))
    moment = f"{PREFIX}MOMENT"
    table = pa.table({K: pa.array([1, 2, 3, 4], pa.int64()), moment: moments})
    result = scratch.run(parquet(table), keys=[moment])
    if not result.done:
        return unknown(result, "rows with equal keys")
    return by_rows(scratch, {4: "ns", 3: "us", 2: "ms", 1: "s"})


def _length(characters: int, character: str, scratch: Scratch) -> Seen:
    """Two strings that differ in their last character are two keys, unless they are cut."""
    longest = character * (characters - 1)
    file = texts((1, f"{longest}x"), (2, f"{longest}y"))
    result = scratch.run(file, keys=[V], lengths={V: characters})
    if not result.done:
        return ended(result)
    seen = by_rows(scratch, {2: "accepted", 1: "cut"})
    return seen if seen.evidence else Seen("accepted", "job", "whether it is cut is not known")


def _shown_length(scratch: Scratch) -> Seen:
    result = scratch.run(texts((1, "a")), lengths={V: 12})
    if not result.done:
        return unknown(result, "a text of 12 characters")
    columns = scratch.columns()
    if columns is None or V not in columns:
        return NO_COLUMNS
    length = columns[V][1]
    # It was read as bytes, four per character.
    return Seen({3: "characters", 12: "bytes"}.get(length or 0, str(length)), "columns")


def _shown_types(scratch: Scratch) -> Seen:
    flags = f"{PREFIX}FLAG"
    table = _ROWS.append_column(flags, pa.array([True, False, None]))
    result = scratch.run(parquet(table))
    if not result.done:
        return unknown(result, "a column of booleans")
    columns = scratch.columns()
    if columns is None or flags not in columns:
        return NO_COLUMNS
    kind = columns[flags][0]
    value = {"INTEGER": "merged", "BOOLEAN": "own"}.get(kind, kind)
    return Seen(value, "columns", f"a boolean is shown as {kind}")


def _probe(name: str, ours: str, setting: str, run: Callable[..., Seen], *given: Any) -> Probe:
    return Probe(name, ours, setting, partial(run, *given) if given else run)


FILE_PROBES: tuple[Probe, ...] = (
    *(
        _probe(f"codec {name}", "accepted" if name in ("none", "snappy") else "rejected",
               "codecs", _codec, name)
        for name in ("none", "snappy", "zstd", "gzip", "lz4", "brotli")
    ),
    *(
        _probe(f"timestamps {unit}", "accepted" if unit in ("int96", "ms") else "rejected",
               "timestamps", _timestamps, unit)
        for unit in ("int96", "ms", "us", "ns")
    ),
    _probe("timestamps are cut to", "us", "precision", _precision),
    _probe("dates", "rejected", "dates", _dates),
    _probe("decimals", "rejected", "decimals", _decimals),
    _probe("data pages v2", "rejected", "page_v2", _page_v2),
    _probe(f"text of {MAX_TEXT_LENGTH:,}", "accepted", "", _length, MAX_TEXT_LENGTH, "a"),
    _probe(f"text of {MAX_TEXT_LENGTH + 1:,}", "accepted", "max_length", _length,
           MAX_TEXT_LENGTH + 1, "a"),
    _probe(f"text of {MAX_TEXT_LENGTH + 1:,}, 4 bytes each", "accepted", "max_length", _length,
           MAX_TEXT_LENGTH + 1, "\N{GRINNING FACE}"),
    _probe(f"text of {_LONGEST:,}", "accepted", "max_length", _length, _LONGEST, "a"),
    _probe("lengths are shown in", "bytes", "shown_lengths", _shown_length),
    _probe("types are shown", "merged", "shown_types", _shown_types),
)  # fmt: skip
