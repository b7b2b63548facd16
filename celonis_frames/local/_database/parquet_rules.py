"""The check of Parquet files: by default only types and codecs that Celonis most likely accepts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from celonis_frames._formatting import counted
from celonis_frames.local._assumptions import Assumptions


@dataclass(frozen=True)
class Rules:
    """What an API accepts.

    Attributes:
        codecs: The codecs.
        units: The units of timestamps that are no INT96.
        page_v2: Whether it accepts data pages v2.
        int96: Whether it accepts INT96.
        dates: Whether it accepts DATE.
        decimals: Whether it accepts decimals.
    """

    codecs: frozenset[str]
    units: frozenset[str]
    page_v2: bool
    int96: bool = True
    dates: bool = False
    decimals: bool = False


_CODECS = {
    "none": {"UNCOMPRESSED"}, "snappy": {"SNAPPY"}, "zstd": {"ZSTD"}, "gzip": {"GZIP"},
    "lz4": {"LZ4", "LZ4_RAW"}, "brotli": {"BROTLI"},
}  # fmt: skip
_UNITS = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def rules_of(assumptions: Assumptions) -> Rules | None:
    """The rules for files of jobs; None accepts every type and codec that DuckDB reads."""
    if assumptions.other_types:
        return None
    return Rules(
        codecs=frozenset().union(*(_CODECS[name] for name in assumptions.codecs)),
        units=frozenset(_UNITS[name] for name in assumptions.timestamps if name in _UNITS),
        page_v2=assumptions.page_v2,
        int96="int96" in assumptions.timestamps,
        dates=assumptions.dates,
        decimals=assumptions.decimals,
    )


INGESTION_RULES = Rules(
    frozenset({"UNCOMPRESSED"}), frozenset({"milliseconds", "microseconds"}), page_v2=True
)
_PLAIN = {"BOOLEAN", "FLOAT", "DOUBLE"}
_PAGE_V2 = b"\x15\x06"
"""First bytes of the header of a data page v2, in Thrift's compact protocol: field 1, type, is 3."""


def check(
    cursor: Any,
    path: Path,
    *,
    rules: Rules | None,
    keys: Sequence[str],
    age: str | None = None,
    empty: bool = True,
) -> str | None:
    """The reason to reject a file, or None.

    Args:
        cursor: A cursor of DuckDB.
        path: The file.
        rules: What is accepted; None accepts every type and codec that DuckDB reads.
        keys: The key columns, which the file must have.
        age: The age column, which it must have too.
        empty: Whether it may be without rows.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema
            names = {schema.column(i).path.partition(".")[0].lower() for i in range(len(schema))}
            if any("\x00" in name for name in names):
                return "A column name has a NUL character"
            missing = [key for key in keys if key.lower() not in names]
            if missing:
                return f"The file lacks {counted(len(missing), 'key column')}: {', '.join(missing)}"
            if age is not None and age.lower() not in names:
                return f"The file lacks the age column: {age}"
            if not empty and not file.metadata.num_rows:
                return "The file has no rows"
            return None if rules is None else _strict(cursor, path, schema, rules)
    except (pa.ArrowException, duckdb.Error, OSError, ValueError):
        return "The file is not a readable Parquet file"


def _strict(cursor: Any, path: Path, schema: Any, rules: Rules) -> str | None:
    for place in range(len(schema)):
        column = schema.column(place)
        problem = _type_problem(column, rules)
        if problem:
            return f"Column {column.path}: {problem} is not known to be accepted"
    # By DuckDB: pyarrow ends the whole process if this part of a file is damaged.
    chunks = cursor.execute(
        "SELECT path_in_schema, compression, data_page_offset, num_values FROM parquet_metadata(?)",
        (str(path),),
    ).fetchall()
    with path.open("rb") as file:
        for name, codec, offset, count in chunks:
            if codec not in rules.codecs:
                return f"Column {name}: codec {codec} is not known to be accepted"
            if count and not rules.page_v2:
                file.seek(offset)
                if file.read(2) == _PAGE_V2:
                    return f"Column {name}: data page v2 is not known to be accepted"
    return None


def _type_problem(column: Any, rules: Rules) -> str | None:
    physical, logical = column.physical_type, str(column.logical_type)
    if column.max_repetition_level or ("." in column.path and column.max_definition_level > 1):
        return "a nested type"
    if logical == "None" and (physical in _PLAIN or (physical == "INT96" and rules.int96)):
        return None
    if logical.startswith("Decimal(") and rules.decimals:
        return None
    if physical == "BYTE_ARRAY" and logical == "String":
        return None
    if physical in ("INT32", "INT64"):
        if logical == "None" or (logical.startswith("Int(") and "isSigned=true" in logical):
            return None
        if logical == "Date" and rules.dates:
            return None
        if logical.startswith("Timestamp(") and any(unit in logical for unit in rules.units):
            return None
    return physical if logical == "None" else f"{physical} as {logical}"
