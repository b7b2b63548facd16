"""The footers of Parquet files: their rows, schema, and how the columns are stored."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from celonis_frames._filesystem import translate_filesystem_errors
from celonis_frames.exceptions import FrameError


class LeafColumn(NamedTuple):
    """One column as a file stores it, in the terms of Parquet."""

    path: str
    physical: str
    logical: str
    definition: int
    repetition: int


@dataclass(frozen=True)
class ParquetFile:
    """What the footer of a file says.

    Attributes:
        path: Path in its filesystem.
        size: Bytes; 0 if the filesystem does not report it.
        rows: Number of rows.
        schema: Arrow schema of its rows.
        leaves: Its columns as they are stored.
        codecs: Codecs of its column chunks, by Parquet's names.
        encodings: Encodings of its pages.
        row_bytes: Uncompressed bytes of a row in the row group with the widest rows.
    """

    path: str
    size: int
    rows: int
    schema: pa.Schema
    leaves: tuple[LeafColumn, ...]
    codecs: frozenset[str]
    encodings: frozenset[str]
    row_bytes: float


def translate_errors(file: str) -> contextlib.AbstractContextManager[None]:
    """Raises what reading a file raises as a `FrameError`.

    Args:
        file: Name of the file, for the message.
    """
    return translate_filesystem_errors(
        f"The Parquet file {file} cannot be read",
        "If it is damaged, write it again.",
        kind=FrameError,
    )


def read_footer(opened: Any, path: str, size: int, previous: ParquetFile | None) -> ParquetFile:
    """What the footer of an opened file says.

    Args:
        opened: A ``pyarrow.parquet.ParquetFile``.
        path: Its path.
        size: Its bytes.
        previous: Another file, whose schema is shared if it is equal: there may be thousands.
    """
    metadata, schema = opened.metadata, opened.schema_arrow
    columns = range(metadata.num_columns)
    leaves = tuple(_leaf_column(metadata.schema.column(place)) for place in columns)
    codecs, encodings, row_bytes = set(), set(), 0.0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        row_bytes = max(row_bytes, group.total_byte_size / max(group.num_rows, 1))
        for place in columns:
            column = group.column(place)
            codecs.add(str(column.compression))
            encodings.update(column.encodings)
    if previous is not None and previous.schema.equals(schema) and previous.leaves == leaves:
        schema, leaves = previous.schema, previous.leaves
    return ParquetFile(
        path,
        size,
        int(metadata.num_rows),
        schema,
        leaves,
        _interned(frozenset(codecs)),
        _interned(frozenset(encodings)),
        row_bytes,
    )


def read_footers(filesystem: Any, paths: Sequence[str], int96_unit: str) -> list[ParquetFile]:
    """The footers of some files.

    Args:
        filesystem: Where they are.
        paths: Their paths.
        int96_unit: Unit of INT96 columns in their schemas.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415  # imports pandas if that is installed

    files: list[ParquetFile] = []
    for path in paths:
        with pq.ParquetFile(
            path, filesystem=filesystem, coerce_int96_timestamp_unit=int96_unit
        ) as opened:
            previous = files[-1] if files else None
            files.append(read_footer(opened, path, filesystem.size(path) or 0, previous))
    return files


def page_offsets(metadata: Any) -> list[int]:
    """Offset of the first data page of each column chunk."""
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return [
        column.data_page_offset
        for group in groups
        for place in range(metadata.num_columns)
        if (column := group.column(place)).num_values
    ]


def _leaf_column(column: Any) -> LeafColumn:
    return LeafColumn(
        column.path,
        column.physical_type,
        str(column.logical_type),
        column.max_definition_level,
        column.max_repetition_level,
    )


@functools.lru_cache(maxsize=64)
def _interned(words: frozenset[str]) -> frozenset[str]:
    return words
