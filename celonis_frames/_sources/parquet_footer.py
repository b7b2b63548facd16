"""The footers of Parquet files: their rows, schema, and how the columns are stored."""

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.masking import secrets_of
from celonis_frames._sources.hive import Constants
from celonis_frames._sources.paths import Location
from celonis_frames.exceptions import FrameError

_FOOTER_ADVICE = (
    "If it is damaged, write it again; if it is no Parquet file, move it elsewhere, or give a glob "
    "of those that are."
)

_CSV = ("a CSV file", "pandas.read_csv or polars.read_csv")
_EXCEL = ("a spreadsheet", "pandas.read_excel or polars.read_excel")
_LINES = ("a file of JSON lines", "pandas.read_json(…, lines=True) or polars.read_ndjson")
_ARROW = ("an Arrow file", "pandas.read_feather or polars.read_ipc")
_OTHER_FORMATS = {
    "csv": _CSV, "tsv": _CSV, "txt": ("a text file", _CSV[1]), "xlsx": _EXCEL, "xlsm": _EXCEL,
    "xlsb": _EXCEL, "xls": _EXCEL, "ods": _EXCEL, "jsonl": _LINES, "ndjson": _LINES,
    "json": ("a JSON file", "pandas.read_json or polars.read_json"),
    "feather": _ARROW, "arrow": _ARROW, "arrows": _ARROW, "ipc": _ARROW,
}  # fmt: skip
"""What a file is by the ending of its name, and what reads it."""
_ON_COMMAND_LINE = {"txt": " --format csv", "json": None}
"""What `celonis-frames push` needs to read such a file; None if it does not."""
_COMPRESSED = re.compile(r"\.(gz|bz2|xz|zst)$")


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

    location: Location
    size: int  # bytes; 0 if the filesystem does not report it
    rows: int
    schema: pa.Schema  # of its rows: last come the columns that only its folders hold
    constants: Constants  # these columns
    leaves: tuple[LeafColumn, ...]
    codecs: frozenset[str]  # of its column chunks, by Parquet's names
    encodings: frozenset[str]  # of its pages
    row_bytes: float  # uncompressed, in the row group with the widest rows
    finite: frozenset[str]  # its columns of floats that, by their statistics, have no infinity


def translate_errors(
    file: Location | str, advice: str = "If it is damaged, write it again."
) -> contextlib.AbstractContextManager[None]:
    """Raises what reading the file raises as a `FrameError`."""
    what = f"The Parquet file {file} cannot be read"
    secrets = () if isinstance(file, str) else secrets_of(file.filesystem)
    return translate_filesystem_errors(what, advice, kind=FrameError, secrets=secrets)


def _footer_errors(location: Location) -> contextlib.AbstractContextManager[None]:
    """The same for a file of which it is not known that it is a Parquet file."""
    name = _COMPRESSED.sub("", location.path.partition("?")[0].lower())
    ending = name.rpartition(".")[2]
    if ending not in _OTHER_FORMATS:
        return translate_errors(location, _FOOTER_ADVICE)
    kind, reader = _OTHER_FORMATS[ending]
    option = _ON_COMMAND_LINE.get(ending, "")
    command = "" if option is None else f", or send the file with celonis-frames push{option}"
    return translate_errors(
        location,
        f"By its name it is {kind}, and a path is read as Parquet: push the frame that {reader} "
        f"returns{command}. If it only lies among Parquet files, give a glob of those.",
    )


def read_footer(
    opened: Any, location: Location, size: int, previous: ParquetFile | None
) -> ParquetFile:
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
    own = {name.lower() for name in schema.names}
    constants = tuple(item for item in location.constants if item[0].name.lower() not in own)
    for constant, _ in constants:
        schema = schema.append(constant)
    codecs, encodings, row_bytes = set(), set(), 0.0
    floats = [place for place in columns if leaves[place].physical in ("DOUBLE", "FLOAT")]
    infinite: set[str] = set()
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        row_bytes = max(row_bytes, group.total_byte_size / max(group.num_rows, 1))
        for column in map(group.column, columns):
            codecs.add(str(column.compression))
            encodings.update(column.encodings)
        infinite |= {leaves[place].path for place in floats if not _is_finite(group.column(place))}
    finite = {leaves[place].path for place in floats} - infinite
    if previous is not None and previous.schema.equals(schema) and previous.leaves == leaves:
        schema, leaves = previous.schema, previous.leaves
    return ParquetFile(
        location, size, int(metadata.num_rows), schema, constants, leaves,
        _interned(frozenset(codecs)), _interned(frozenset(encodings)), row_bytes,
        _interned(frozenset(finite)),
    )  # fmt: skip


def read_footers(locations: Sequence[Location], int96_unit: str) -> list[ParquetFile]:
    """The footers of some files, with INT96 columns in this unit.

    Raises:
        FrameError: A file cannot be read, or is no Parquet file.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415  # imports pandas if that is installed

    files: list[ParquetFile] = []
    for location in locations:
        with _footer_errors(location), location.open() as content:
            size = location.size or getattr(content, "size", None) or 0
            opened = pq.ParquetFile(content, coerce_int96_timestamp_unit=int96_unit)
            files.append(read_footer(opened, location, size, files[-1] if files else None))
    return files


def page_offsets(metadata: Any) -> list[int]:
    """Offset of the first data page of each column chunk."""
    return [
        column.data_page_offset
        for group in map(metadata.row_group, range(metadata.num_row_groups))
        for column in map(group.column, range(metadata.num_columns))
        if column.num_values
    ]


def _is_finite(chunk: Any) -> bool:
    """Whether a column chunk of floats has no infinity: its least and greatest values show it.

    Of NaN, writers leave it out, or these two.
    """
    statistics = chunk.statistics
    if statistics is None or not statistics.has_min_max:
        return False
    return math.isfinite(statistics.min) and math.isfinite(statistics.max)


@functools.lru_cache(maxsize=64)
def _interned(words: frozenset[str]) -> frozenset[str]:
    return words
