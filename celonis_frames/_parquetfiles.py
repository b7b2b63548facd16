"""Parquet files as a frame: what each of them is, by its footer, and the rows of any of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Self

import fsspec
import pyarrow as pa

from celonis_frames._files import address, translated
from celonis_frames._iterable import aligned, read_frames, same_names
from celonis_frames.exceptions import FrameError

__all__ = ["Leaf", "ParquetFile", "ParquetFiles", "footer", "reading"]

_INT96_UNIT = "us"
"""INT96 read as nanoseconds, the default, would turn the year 9999 into 1816 without a word."""


class Leaf(NamedTuple):
    """One column as a file stores it, in Parquet's own words."""

    path: str
    physical: str
    logical: str
    definition: int
    repetition: int


@dataclass(frozen=True)
class ParquetFile:
    """What a file is, by its footer.

    Attributes:
        path: Where it is, in its filesystem.
        size: Bytes; 0 where the filesystem does not tell.
        rows: Rows.
        schema: Arrow schema of its rows.
        leaves: Its columns as they are stored.
        codecs: Codecs of its column chunks, by Parquet's names.
        encodings: Encodings of its pages.
    """

    path: str
    size: int
    rows: int
    schema: pa.Schema
    leaves: tuple[Leaf, ...]
    codecs: frozenset[str]
    encodings: frozenset[str]


class ParquetFiles:
    """Parquet files whose rows are one frame.

    Args:
        filesystem: Where they are.
        files: What they are; at least one.
        batch_rows: How many rows make a batch of a schema.

    Attributes:
        schema: Arrow schema of all rows.

    Raises:
        FrameError: Their columns differ.
    """

    def __init__(
        self,
        filesystem: Any,
        files: Sequence[ParquetFile],
        batch_rows: Callable[[pa.Schema], int],
    ) -> None:
        self.filesystem, self.files = filesystem, tuple(files)
        first = files[0].schema
        self._alike = all(file.schema is first or file.schema.equals(first) for file in files)
        self._batch_rows = batch_rows(first)
        self.schema = first
        if not self._alike:
            for number, file in enumerate(files, start=1):
                same_names(file.schema, first.names, number)
            self.schema, _ = read_frames((f.schema, self._reader([f])) for f in files)

    @classmethod
    def find(cls, patterns: Sequence[str], batch_rows: Callable[[pa.Schema], int]) -> Self:
        """The files at some paths, URLs or globs, in order.

        Raises:
            FrameError: There is none, one is no Parquet file, or their columns differ.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415  # imports pandas where that is installed

        filesystem, paths = _paths(patterns)
        files: list[ParquetFile] = []
        try:
            for path in paths:
                with pq.ParquetFile(
                    path, filesystem=filesystem, coerce_int96_timestamp_unit=_INT96_UNIT
                ) as opened:
                    before = files[-1] if files else None
                    files.append(footer(opened, path, filesystem.size(path) or 0, before))
            return cls(filesystem, files, batch_rows)
        except (ValueError, OSError, pa.ArrowException) as error:
            raise FrameError(f"{', '.join(patterns)} cannot be read as Parquet: {error}") from error

    def batches(self, places: Sequence[int] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of some files, or of all, in order.

        Args:
            places: Which, counted from 0.
        """
        chosen = range(len(self.files)) if places is None else places
        if self._alike:
            # As one data set: it opens the next file while the last one is still read.
            yield from self._reader([self.files[place] for place in chosen])()
            return
        for place in chosen:
            for batch in self._reader([self.files[place]])():
                yield aligned(batch, self.schema, place + 1)

    def rows_of(self, place: int, content: Any) -> tuple[ParquetFile, list[int], _Batches]:
        """What a file is and where its pages begin, and its rows, from its content.

        Args:
            place: Which file, counted from 0.
            content: A binary file, or a reader of Arrow; it is read as the rows are asked for.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415

        file = self.files[place]
        # Buffered, a file of one enormous row group is read piece by piece.
        opened = pq.ParquetFile(
            content, coerce_int96_timestamp_unit=_INT96_UNIT, buffer_size=1_048_576
        )

        def rows() -> _Batches:
            for batch in opened.iter_batches(batch_size=self._batch_rows):
                yield batch if self._alike else aligned(batch, self.schema, place + 1)

        found = footer(opened, file.path, file.size, file)
        return found, _page_offsets(opened.metadata), rows()

    def page_offsets(self, place: int) -> list[int]:
        """Where the first data page of each column chunk of a file begins."""
        import pyarrow.parquet as pq  # noqa: PLC0415

        metadata = pq.read_metadata(self.files[place].path, filesystem=self.filesystem)
        return _page_offsets(metadata)

    def _shown(self, files: Sequence[ParquetFile]) -> str:
        more = f" or one of the {len(files) - 1:,} after it" if len(files) > 1 else ""
        return address(self.filesystem, files[0].path) + more

    def _reader(self, files: Sequence[ParquetFile]) -> Callable[[], _Batches]:
        import pyarrow.dataset as ds  # noqa: PLC0415

        def rows() -> _Batches:
            options = ds.ParquetReadOptions(coerce_int96_timestamp_unit=_INT96_UNIT)
            dataset = ds.dataset(
                [file.path for file in files],
                schema=files[0].schema,
                filesystem=self.filesystem,
                format=ds.ParquetFileFormat(read_options=options),
            )
            # Without a bound on rows and read-ahead a scan of wide files holds many decoded
            # batches.
            with reading(self._shown(files)):
                yield from dataset.to_batches(
                    batch_size=self._batch_rows, batch_readahead=2, fragment_readahead=1
                )

        return rows


_Batches = Iterator[pa.RecordBatch]


def reading(shown: str) -> contextlib.AbstractContextManager[None]:
    """Turns what reading a file raises into an error of this library.

    Args:
        shown: Which file, as it is to be shown.
    """
    return translated(
        f"The Parquet file {shown} cannot be read",
        "If it is damaged, write it anew.",
        kind=FrameError,
    )


def footer(opened: Any, path: str, size: int, before: ParquetFile | None) -> ParquetFile:
    """What the footer of an opened file says.

    Args:
        opened: A ``pyarrow.parquet.ParquetFile``.
        path: Where it is.
        size: Its bytes.
        before: Another file, with which it shares what is the same: there may be thousands.
    """
    metadata, schema = opened.metadata, opened.schema_arrow
    leaves = tuple(_leaf(metadata.schema.column(place)) for place in range(metadata.num_columns))
    codecs, encodings = set(), set()
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            codecs.add(str(column.compression))
            encodings.update(column.encodings)
    if before is not None and before.schema.equals(schema) and before.leaves == leaves:
        schema, leaves = before.schema, before.leaves
    return ParquetFile(
        path,
        size,
        int(metadata.num_rows),
        schema,
        leaves,
        _shared(frozenset(codecs)),
        _shared(frozenset(encodings)),
    )


def _leaf(column: Any) -> Leaf:
    return Leaf(
        column.path,
        column.physical_type,
        str(column.logical_type),
        column.max_definition_level,
        column.max_repetition_level,
    )


def _page_offsets(metadata: Any) -> list[int]:
    return [
        column.data_page_offset
        for group in range(metadata.num_row_groups)
        for place in range(metadata.num_columns)
        if (column := metadata.row_group(group).column(place)).num_values
    ]


@lru_cache(maxsize=64)
def _shared(words: frozenset[str]) -> frozenset[str]:
    return words


def _paths(patterns: Sequence[str]) -> tuple[Any, list[str]]:
    filesystem, files = None, []
    try:
        for pattern in patterns:
            filesystem, _, paths = fsspec.get_fs_token_paths(pattern)
            if len(paths) == 1 and filesystem.isdir(paths[0]):
                paths = filesystem.glob(paths[0].rstrip("/") + "/**/*.parquet")
            if not paths or not filesystem.exists(paths[0]):
                raise FrameError(f"No Parquet file at {pattern!r}: nothing to push.")
            files += sorted(paths)
    except (ImportError, ValueError, OSError) as error:
        raise FrameError(f"{', '.join(patterns)} cannot be read as Parquet: {error}") from error
    return filesystem, files
