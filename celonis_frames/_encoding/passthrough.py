"""Parquet files that are already what a push would write: they are sent unchanged.

After a digest of their bytes those of their columns are read and validated whose values decide
whether, or how, they can be sent. During the upload the digest is computed again, and the last
bytes are sent only if it is the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.batching import rebatch
from celonis_frames._encoding.chunk import FileChunk
from celonis_frames._encoding.chunk_sizer import (
    DEFAULT_CHUNK_BYTES,
    MAX_CHUNK_BYTES,
    MIN_AUTO_BYTES,
)
from celonis_frames._encoding.codecs import CODECS
from celonis_frames._filesystem.files import BLOCK_BYTES, read_verified_blocks
from celonis_frames._filesystem.filesystems import borrowed_filesystem, display_url
from celonis_frames._schema.table_layout import ColumnPlan, TableLayout
from celonis_frames._sources.parquet import ParquetFiles
from celonis_frames._sources.parquet_footer import ParquetFile, translate_errors
from celonis_frames._sources.paths import Location
from celonis_frames.exceptions import FrameError

FEW_FILES = 4
"""Up to this many files are sent unchanged however small they are: merging them saves little."""

_MIN_SHARE, _MAX_SHARE = 0.25, 1.2
"""Bytes of a file that is sent unchanged, as shares of those of a chunk."""

_MAX_HELD_BYTES = int(_MAX_SHARE * DEFAULT_CHUNK_BYTES)
"""Largest file that is read once for both, digest and validation."""

_ENCODINGS = {"PLAIN", "RLE", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "BIT_PACKED"}
"""What footers may list. BIT_PACKED is no encoding of values: parquet-mr, the library of Spark and
Kafka Connect, lists it for the repetition levels of columns that have none."""

_NUMBER = rb"\x15[\x80-\xff]*[\x00-\x7f]"
_PAGE_HEADER = re.compile(
    rb"\x15\x00" + 2 * _NUMBER + rb"(?:" + _NUMBER + rb"\x1c|\x2c)" + 2 * _NUMBER + rb"\x15\x06",
    re.DOTALL,
)
"""Start of the header of a data page v1 with definition levels in RLE, in Thrift's compact form.

Fields: the type, which is 0; two sizes; a checksum or none; then, of the page, the number of
values, their encoding, and that of their definition levels, where RLE is 3, and 3 is written as 6.
"""

_PAGE_HEADER_BYTES = 32
"""Bytes that this start may have; the footer has more, so that they follow on any page."""


class PassthroughChunk(FileChunk):
    """A file of the user's that is sent unchanged, but not under its own name."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes in blocks, the last one only if the file is as it was validated.

        Raises:
            FrameError: The file was changed, or can no longer be read.
        """
        shown = display_url(self.filesystem, self.path)
        location = Location(self.filesystem, self.path)
        with translate_errors(location), borrowed_filesystem(self.filesystem) as filesystem:
            yield from read_verified_blocks(
                filesystem,
                self.path,
                self.size,
                self.sha256,
                f"The Parquet file {shown} was changed after it was validated. Push again when "
                "nothing writes to it.",
            )


class PassthroughFiles:
    """The files of a frame that are sent unchanged.

    `target_bytes` are those of a chunk, if the user gave them.

    Attributes:
        unchanged: Chunks by the position of their files; filled while `batches` is read.
    """

    def __init__(
        self,
        files: ParquetFiles,
        layout: TableLayout,
        *,
        compression: str,
        target_bytes: int | None,
        deleted: bool = False,
    ) -> None:
        self._files, self._layout, self._deleted = files, layout, deleted
        few = len(files.files) <= FEW_FILES
        self._candidates = [
            place for place, file in enumerate(files.files)
            if str(file.location) not in files.old_times
            and not reason_to_rewrite(
                file, layout, compression=compression, target_bytes=target_bytes, few=few
            )
        ]  # fmt: skip
        self.unchanged: dict[int, PassthroughChunk] = {}

    def __bool__(self) -> bool:
        return bool(self._candidates)

    def batches(self, *, first: int) -> Iterator[pa.RecordBatch]:
        """The rows of the files that are sent unchanged, for validation; chunks count from `first`.

        Raises:
            FrameError: A file cannot be read, or changes while it is read.
        """
        return rebatch(self._read_candidates(first))

    def _read_candidates(self, first: int) -> Iterator[pa.RecordBatch]:
        self.unchanged = {}
        for place in self._candidates:
            with translate_errors(self._files.files[place].location):
                yield from self._read_candidate(place, first + len(self.unchanged))

    def runs(self, *, ordered: bool) -> list[PassthroughChunk | list[int]]:
        """The files to send: those sent unchanged, and positions of those to rewrite together.

        If the files need not be `ordered`, all that are rewritten come together, last.
        """
        runs: list[PassthroughChunk | list[int]] = []
        rest: list[int] = []
        for place in range(len(self._files.files)):
            chunk = self.unchanged.get(place)
            if chunk is None:
                rest.append(place)
                continue
            if ordered and rest:
                runs.append(rest)
                rest = []
            runs.append(chunk)
        runs.append(rest)
        # Files without rows would make an empty chunk.
        return [run for run in runs if isinstance(run, PassthroughChunk) or self.rows(run)]

    def rows(self, places: Sequence[int]) -> int:
        """Number of rows of some files."""
        return sum(self._files.files[place].rows for place in places)

    def rewritten(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """The rows of files that are rewritten."""
        return rebatch(self._files.batches(places))

    def _read_candidate(self, place: int, number: int) -> Iterator[pa.RecordBatch]:
        """The rows of a file with the columns that must be validated, if its pages are certain.

        The digest comes first. If the file changes before or while its rows are read, the upload
        finds another digest and fails.
        """
        file = self._files.files[place]
        filesystem, path = file.location.filesystem, file.location.path
        pages = self._files.page_offsets(place)
        with file.location.open() as content:
            size, digest, held, is_certain = _digest(content, pages)
        reader = file.location.open() if held is None else pa.BufferReader(held)
        with reader as content:
            names = columns_to_read(file, self._layout, self._files.usual_times)
            found, offsets, batches = self._files.read_content(place, content, names)
            if found != file or size != file.size or offsets != pages:
                raise FrameError(
                    f"The Parquet file {file.location} changes while it is "
                    "read: push when nothing writes to it."
                )
            if not is_certain:
                return
            self.unchanged[place] = PassthroughChunk(
                f"chunk-{number:05d}.parquet", size, file.rows, self._deleted, digest, filesystem,
                path,
            )  # fmt: skip
            yield from batches


def reason_to_rewrite(
    file: ParquetFile, layout: TableLayout, *, compression: str, target_bytes: int | None, few: bool
) -> str | None:
    """Why a file must be rewritten, by its footer; None if it need not be.

    Only what this library writes itself is certain to be accepted, so a file must be like that.
    Key-value metadata in the footer (of pandas, of Arrow) does no harm: readers ignore unknown
    keys, and the official client writes it too. Nor do page indexes, Bloom filters and sort orders:
    they are optional fields by which a reader may skip pages, and do not move the pages. If there
    are `few` files, small ones need not be merged.
    """
    if layout.options.csv:
        return "CSV is asked for"
    if not file.rows:
        return "it has no rows"
    if not file.size:
        return "its size is not known"
    most = MAX_CHUNK_BYTES
    if target_bytes is not None:
        most = min(int(_MAX_SHARE * target_bytes), most)
    if file.size > most:
        return f"its {file.size:,} bytes are more than {most:,}"
    least = int(_MIN_SHARE * (target_bytes or MIN_AUTO_BYTES))
    if file.size < least and not few:
        return f"its {file.size:,} bytes are less than {least:,}"
    if not file.codecs <= {CODECS[compression].parquet_name}:
        return f"its codec is {', '.join(sorted(file.codecs))}"
    if not file.encodings <= _ENCODINGS:
        return f"its pages are {', '.join(sorted(file.encodings - _ENCODINGS))}"
    if [leaf.path for leaf in file.leaves] != [column.name for column in layout.columns]:
        return "its columns have other names or another order, or some are missing"
    for leaf, column in zip(file.leaves, layout.columns, strict=True):
        kind = file.schema.field(leaf.path).type
        if column.pseudonymised:
            return f"column {leaf.path!r} is to be pseudonymised"
        if column.source != column.name or isinstance(kind, pa.BaseExtensionType):
            return f"column {leaf.path!r} is to be renamed or converted"
        if pa.types.is_floating(kind) and layout.options.infinity == "null":
            return f"column {leaf.path!r} may have infinite values, which are to become null"
        if (leaf.definition, leaf.repetition) != (1, 0):
            return f"column {leaf.path!r} is nested or required"
        if (leaf.physical, leaf.logical) not in _parquet_types(column.conversion.encoded_type):
            return f"column {leaf.path!r} is {leaf.physical} as {leaf.logical}"
    return None


def columns_to_read(
    file: ParquetFile, layout: TableLayout, usual_times: Collection[str]
) -> list[str]:
    """The columns of a file, one that need not be rewritten, whose values must be validated.

    Keys are counted, strings measured; of others only floats that may be infinite, times that may
    be unusual (`usual_times` are not), and what is converted. Integers and booleans can hold
    nothing that Celonis cannot store.
    """
    return [
        column.name
        for column in layout.columns
        if column.key
        or column.age
        or not _is_storable(column, file.schema.field(column.name).type)
        or (pa.types.is_floating(column.arrow_type) and column.name not in file.finite)
        or (pa.types.is_timestamp(column.arrow_type) and column.name not in usual_times)
    ]


def _is_storable(column: ColumnPlan, kind: pa.DataType) -> bool:
    """Whether a column is sent as a number, a boolean or a time that it is already."""
    return kind == column.arrow_type and (column.conversion.column_type, kind) in {
        ("INTEGER", pa.int64()),
        ("FLOAT", pa.float64()),
        ("BOOLEAN", pa.bool_()),
        ("DATETIME", pa.timestamp("us")),
        ("DATETIME", pa.timestamp("ns")),
    }


def _parquet_types(kind: pa.DataType) -> set[tuple[str, str]]:
    """The physical and logical Parquet types of an Arrow type of a chunk."""
    if pa.types.is_timestamp(kind):
        return {("INT96", "None")}
    if pa.types.is_int64(kind):
        return {("INT64", "None"), ("INT64", "Int(bitWidth=64, isSigned=true)")}
    if pa.types.is_float64(kind):
        return {("DOUBLE", "None")}
    if pa.types.is_boolean(kind):
        return {("BOOLEAN", "None")}
    return {("BYTE_ARRAY", "String")}


def _digest(content: Any, pages: Sequence[int]) -> tuple[int, str, bytearray | None, bool]:
    """A file's size and digest, its bytes unless there are too many, and whether pages are certain.

    `pages` are the offsets of the first data page of each column chunk.
    """
    digest, size, is_certain = hashlib.sha256(), 0, True
    held: bytearray | None = bytearray()
    waiting = sorted(pages, reverse=True)
    last = b""
    while block := content.read(BLOCK_BYTES):
        digest.update(block)
        start, size = size, size + len(block)
        while waiting and waiting[-1] + _PAGE_HEADER_BYTES <= size:
            at = waiting.pop() - start
            header = (last[at:] if at < 0 else b"") + block[max(at, 0) : at + _PAGE_HEADER_BYTES]
            is_certain &= _PAGE_HEADER.match(header) is not None
        last = (last + block[-_PAGE_HEADER_BYTES:])[-_PAGE_HEADER_BYTES:]
        if held is not None:
            held += block
            if size > _MAX_HELD_BYTES:
                held = None
    return size, digest.hexdigest(), held, is_certain and not waiting
