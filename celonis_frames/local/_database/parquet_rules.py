"""The check of Parquet chunks: by default only types and codecs that Celonis most likely accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from celonis_frames._formatting import counted

_CODECS = {"SNAPPY", "UNCOMPRESSED"}
_PLAIN = {"BOOLEAN", "FLOAT", "DOUBLE", "INT96"}
_PAGE_V2 = b"\x15\x06"
"""First bytes of the header of a data page v2, in Thrift's compact protocol: field 1, type, is 3."""


def check(cursor: Any, path: Path, *, keys: list[str], lenient: bool) -> str | None:
    """The reason to reject a file at upload, or None.

    Args:
        cursor: A cursor of DuckDB.
        path: The file.
        keys: The key columns of the job, which the file must have.
        lenient: Accept every type and codec that DuckDB reads.
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
            return None if lenient else _strict(cursor, path, schema)
    except (pa.ArrowException, duckdb.Error, OSError, ValueError):
        return "The file is not a readable Parquet file"


def _strict(cursor: Any, path: Path, schema: Any) -> str | None:
    for place in range(len(schema)):
        column = schema.column(place)
        problem = _type_problem(column)
        if problem:
            return f"Column {column.path}: {problem} is not known to be accepted"
    # By DuckDB: pyarrow ends the whole process if this part of a file is damaged.
    chunks = cursor.execute(
        "SELECT path_in_schema, compression, data_page_offset, num_values FROM parquet_metadata(?)",
        (str(path),),
    ).fetchall()
    with path.open("rb") as file:
        for name, codec, offset, count in chunks:
            if codec not in _CODECS:
                return f"Column {name}: codec {codec} is not known to be accepted"
            if count:
                file.seek(offset)
                if file.read(2) == _PAGE_V2:
                    return f"Column {name}: data page v2 is not known to be accepted"
    return None


def _type_problem(column: Any) -> str | None:
    physical, logical = column.physical_type, str(column.logical_type)
    if column.max_repetition_level or ("." in column.path and column.max_definition_level > 1):
        return "a nested type"
    if physical in _PLAIN and logical == "None":
        return None
    if physical == "BYTE_ARRAY" and logical == "String":
        return None
    if physical in ("INT32", "INT64"):
        if logical == "None" or (logical.startswith("Int(") and "isSigned=true" in logical):
            return None
        if logical.startswith("Timestamp(") and "milliseconds" in logical:
            return None
    return physical if logical == "None" else f"{physical} as {logical}"
