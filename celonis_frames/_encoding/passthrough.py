"""Parquet files that are already what a push would write: they are sent as they are, byte by byte.

They are read to be measured like all rows, and a digest is made of what was read. While such a file
is sent its digest is made again, and its last bytes go out only if it is the same.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.batching import rebatch
from celonis_frames._encoding.chunk import FileChunk
from celonis_frames._encoding.chunk_sizer import DEFAULT_CHUNK_BYTES, LEAST_BYTES, MAX_CHUNK_BYTES
from celonis_frames._encoding.codecs import CODECS
from celonis_frames._filesystem import (
    BLOCK_BYTES,
    display_url,
    filesystem_for_thread,
    read_verified_blocks,
)
from celonis_frames._schema.table_layout import TableLayout
from celonis_frames._sources.parquet import ParquetFiles
from celonis_frames._sources.parquet_footer import ParquetFile, translate_errors
from celonis_frames.exceptions import FrameError

__all__ = ["PassthroughChunk", "PassthroughFiles", "problem"]

FEW = 4
"""So many files are sent as they are however small: merging them would not save much."""
_LEAST_SHARE = 0.25
_OVER = 1.2
_HELD_BYTES = int(_OVER * DEFAULT_CHUNK_BYTES)
"""Largest file of which one reading serves the digest and the measuring."""

_ENCODINGS = {"PLAIN", "RLE", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_PAGE_V1 = b"\x15\x00"
"""How the header of a data page v1 begins in Thrift's compact form: field 1, the type, is 0."""


class PassthroughChunk(FileChunk):
    """A file of the user's that is sent unchanged, under a name that does not tell its own."""

    def blocks(self) -> Iterator[bytes]:
        """The bytes from the beginning, in blocks; the last only if all are as they were measured.

        Raises:
            FrameError: The file was changed, or cannot be read any more.
        """
        shown = display_url(self.filesystem, self.path)
        with translate_errors(shown):
            # Several threads send, and another one reads: few filesystems are made for that.
            yield from read_verified_blocks(
                filesystem_for_thread(self.filesystem),
                self.path,
                self.sha256,
                f"The Parquet file {shown} was changed after it had been checked. Push again when "
                "nothing writes to it.",
            )


class PassthroughFiles:
    """Those of a frame's files that may be sent as they are.

    Args:
        files: All files.
        layout: What their rows become.
        compression: Codec asked for.
        wish: Bytes of a chunk, where the user said so.
        deleted: Whether their rows are keys of rows to delete.

    Attributes:
        sent: Those that were measured and found fit, by their place.
    """

    def __init__(
        self,
        files: ParquetFiles,
        layout: TableLayout,
        *,
        compression: str,
        wish: int | None,
        deleted: bool = False,
    ) -> None:
        self._files, self._deleted = files, deleted
        few = len(files.files) <= FEW
        self._candidates = [
            place
            for place, file in enumerate(files.files)
            if problem(file, layout, compression=compression, wish=wish, few=few) is None
        ]
        self.sent: dict[int, PassthroughChunk] = {}

    def __bool__(self) -> bool:
        return bool(self._candidates)

    def batches(self, *, first: int) -> Iterator[pa.RecordBatch]:
        """The rows of the files that are sent as they are, to be measured.

        Args:
            first: Number of the first of them as a chunk.

        Raises:
            FrameError: A file cannot be read, or changes while it is.
        """
        return rebatch(self._looked_at(first))

    def _looked_at(self, first: int) -> Iterator[pa.RecordBatch]:
        self.sent = {}
        for place in self._candidates:
            path = self._files.files[place].path
            with translate_errors(display_url(self._files.filesystem, path)):
                yield from self._look(place, first + len(self.sent))

    def runs(self, *, ordered: bool) -> list[PassthroughChunk | list[int]]:
        """What is to be sent: files as they are, and places of files to be written anew.

        Args:
            ordered: Whether the files' order must be kept; else all that are written anew come
                together, last.
        """
        runs: list[PassthroughChunk | list[int]] = []
        rest: list[int] = []
        for place in range(len(self._files.files)):
            passed = self.sent.get(place)
            if passed is None:
                rest.append(place)
                continue
            if ordered and rest:
                runs.append(rest)
                rest = []
            runs.append(passed)
        runs.append(rest)
        # Of files without rows nothing would come but a chunk without rows.
        return [run for run in runs if isinstance(run, PassthroughChunk) or self.rows(run)]

    def rows(self, places: Sequence[int]) -> int:
        """Rows of some files."""
        return sum(self._files.files[place].rows for place in places)

    def rest(self, places: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Rows of files that are written anew."""
        return rebatch(self._files.batches(places))

    def _look(self, place: int, number: int) -> Iterator[pa.RecordBatch]:
        """The rows of a file that turns out to be fit; none of one that does not.

        The digest comes first: whatever the file becomes later, what is sent is what was digested,
        and that is what it was when it was measured, or the upload fails.
        """
        file, filesystem = self._files.files[place], self._files.filesystem
        pages = self._files.page_offsets(place)
        with filesystem.open(file.path, "rb") as content:
            size, digest, held, plain = _digested(content, pages)
        with contextlib.ExitStack() as stack:
            if held is not None:
                content = pa.BufferReader(pa.py_buffer(held))
            else:
                content = stack.enter_context(filesystem.open(file.path, "rb"))
            found, offsets, batches = self._files.read_content(place, content)
            if found != file or size != file.size or offsets != pages:
                raise FrameError(
                    f"The Parquet file {display_url(filesystem, file.path)} changes while it is "
                    "read: push when nothing writes to it."
                )
            if not plain:
                return
            self.sent[place] = PassthroughChunk(
                f"chunk-{number:05d}.parquet", size, file.rows, self._deleted, digest, filesystem,
                file.path,
            )  # fmt: skip
            yield from batches


def problem(
    file: ParquetFile, layout: TableLayout, *, compression: str, wish: int | None, few: bool
) -> str | None:
    """Why a file must be written anew, as far as its footer tells; None where it need not be.

    What is accepted for certain is what this library writes itself, so that is the measure. The
    footer's key-value metadata (of pandas, of Arrow) is passed over by every reader that does not
    know it, and the official client writes it too: it does no harm. Nor do page indexes, Bloom
    filters and the order of rows that a footer may tell of: they are optional fields, by which a
    reader that knows them may skip pages, and the pages are where they would be without them.

    Args:
        file: The file.
        layout: What its rows become.
        compression: Codec asked for.
        wish: Bytes of a chunk, where the user said so.
        few: Whether there are so few files that small ones may stay as they are.
    """
    if layout.options.csv:
        return "CSV is asked for"
    if not file.rows:
        return "it has no rows"
    if not file.size:
        return "its size is not known"
    most = MAX_CHUNK_BYTES if wish is None else min(int(_OVER * wish), MAX_CHUNK_BYTES)
    if file.size > most:
        return f"its {file.size:,} bytes are more than {most:,}"
    least = int(_LEAST_SHARE * (wish or LEAST_BYTES))
    if file.size < least and not few:
        return f"its {file.size:,} bytes are less than {least:,}"
    if not file.codecs <= {CODECS[compression].parquet_name}:
        return f"its codec is {', '.join(sorted(file.codecs))}"
    if not file.encodings <= _ENCODINGS:
        return f"its pages are {', '.join(sorted(file.encodings - _ENCODINGS))}"
    if [leaf.path for leaf in file.leaves] != [column.name for column in layout.columns]:
        return "its columns have other names, another order, or are not all"
    for leaf, column in zip(file.leaves, layout.columns, strict=True):
        kind = file.schema.field(leaf.path).type
        if column.source != column.name or isinstance(kind, pa.BaseExtensionType):
            return f"column {leaf.path!r} is not what is asked for"
        if pa.types.is_floating(kind) and layout.options.infinity == "null":
            return f"column {leaf.path!r} may have infinities to be made null"
        if (leaf.definition, leaf.repetition) != (1, 0):
            return f"column {leaf.path!r} is nested or required"
        if (leaf.physical, leaf.logical) not in _stored(column.conversion.encoded_type):
            return f"column {leaf.path!r} is {leaf.physical} as {leaf.logical}"
    return None


def _stored(wire: pa.DataType) -> set[tuple[str, str]]:
    """How Parquet stores a type of the wire: physical and logical type."""
    if pa.types.is_timestamp(wire):
        return {("INT96", "None")}
    if pa.types.is_int64(wire):
        return {("INT64", "None"), ("INT64", "Int(bitWidth=64, isSigned=true)")}
    if pa.types.is_float64(wire):
        return {("DOUBLE", "None")}
    if pa.types.is_boolean(wire):
        return {("BOOLEAN", "None")}
    return {("BYTE_ARRAY", "String")}


def _digested(content: Any, pages: Sequence[int]) -> tuple[int, str, bytearray | None, bool]:
    """A file's size and digest, its bytes if they are few, and whether its pages are of version 1.

    Args:
        content: The file.
        pages: Where the first data page of each column chunk begins.
    """
    digest, size, plain = hashlib.sha256(), 0, True
    held: bytearray | None = bytearray()
    waiting = sorted(pages, reverse=True)
    last = b""
    while block := content.read(BLOCK_BYTES):
        digest.update(block)
        while waiting and waiting[-1] + 2 <= size + len(block):
            at = waiting.pop() - size
            plain &= (block[at : at + 2] if at >= 0 else last + block[:1]) == _PAGE_V1
        last = block[-1:]
        size += len(block)
        if held is not None:
            held += block
            if size > _HELD_BYTES:
                held = None
    return size, digest.hexdigest(), held, plain and not waiting
