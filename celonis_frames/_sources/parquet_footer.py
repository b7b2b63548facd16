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
    """What the footer of a file says."""

    path: str
    size: int  # bytes; 0 if the filesystem does not report it
    rows: int
    schema: pa.Schema
    leaves: tuple[LeafColumn, ...]
    codecs: frozenset[str]  # of its column chunks, by Parquet's names
    encodings: frozenset[str]  # of its pages
    row_bytes: float  # uncompressed, in the row group with the widest rows


def translate_errors(file: str) -> contextlib.AbstractContextManager[None]:
    """Raises what reading the file raises as a `FrameError`."""
    what, advice = f"The Parquet file {file} cannot be read", "If it is damaged, write it again."
    return translate_filesystem_errors(what, advice, kind=FrameError)


def read_footer(opened: Any, path: str, size: int, previous: ParquetFile | None) -> ParquetFile:
    """What the footer of a ``pyarrow.parquet.ParquetFile`` says.

    The schema of the previous file is shared if it is equal: there may be thousands.
    """
    metadata, schema = opened.metadata, opened.schema_arrow
    columns = range(metadata.num_columns)
    leaves = tuple(
        LeafColumn(
            leaf.path, leaf.physical_type, str(leaf.logical_type),
            leaf.max_definition_level, leaf.max_repetition_level,
        )
        for leaf in map(metadata.schema.column, columns)
    )  # fmt: skip
    codecs, encodings, row_bytes = set(), set(), 0.0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        row_bytes = max(row_bytes, group.total_byte_size / max(group.num_rows, 1))
        for column in map(group.column, columns):
            codecs.add(str(column.compression))
            encodings.update(column.encodings)
    if previous is not None and previous.schema.equals(schema) and previous.leaves == leaves:
        schema, leaves = previous.schema, previous.leaves
    return ParquetFile(
        path, size, int(metadata.num_rows), schema, leaves,
        _interned(frozenset(codecs)), _interned(frozenset(encodings)), row_bytes,
    )  # fmt: skip


def read_footers(filesystem: Any, paths: Sequence[str], int96_unit: str) -> list[ParquetFile]:
    """The footers of some files, with INT96 columns in this unit."""
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
    return [
        column.data_page_offset
        for group in map(metadata.row_group, range(metadata.num_row_groups))
        for column in map(group.column, range(metadata.num_columns))
        if column.num_values
    ]


@functools.lru_cache(maxsize=64)
def _interned(words: frozenset[str]) -> frozenset[str]:
    return words
