"""Parquet files as one frame: which files there are, and their rows in one schema."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, Self

import fsspec
import pyarrow as pa

from celonis_frames._arrow.batching import BATCH_ROWS, rows_per_batch
from celonis_frames._filesystem import display_url
from celonis_frames._sources.alignment import align_to_schema, check_same_names
from celonis_frames._sources.int96 import Unit, find_times
from celonis_frames._sources.iterables import infer_schema
from celonis_frames._sources.parquet_footer import (
    ParquetFile,
    page_offsets,
    read_footer,
    read_footers,
    translate_errors,
)
from celonis_frames.exceptions import FrameError

_Batches = Iterator[pa.RecordBatch]

_BEFORE = "the files before"


class ParquetFiles:
    """Parquet files, at least one and with equal columns, whose rows are one frame.

    `schema` is that of all rows; `notes` are warnings that count what is lost when they are read.
    """

    def __init__(
        self, filesystem: Any, files: Sequence[ParquetFile], int96_unit: Unit = "us"
    ) -> None:
        self.filesystem, self.files, self._unit = filesystem, tuple(files), int96_unit
        self.notes: tuple[str, ...] = ()
        first = files[0].schema
        self._same_schema = all(file.schema is first or file.schema.equals(first) for file in files)
        row_bytes = max(16.0 * len(first), *(file.row_bytes for file in files))
        self._batch_rows = rows_per_batch(BATCH_ROWS, row_bytes)
        self.schema = first
        if not self._same_schema:
            for position, file in enumerate(files):
                check_same_names(file.schema, first.names, self._shown(position), "the first file")
            self.schema = infer_schema(
                (file.schema, functools.partial(self._read, [file])) for file in files
            )

    @classmethod
    def find(cls, patterns: Sequence[str]) -> Self:
        """The files at some paths, URLs or globs, in order.

        Raises:
            FrameError: There is none, one is no Parquet file, their columns differ, or their times
                cannot be read without changing one.
        """
        filesystem, paths = _paths(patterns)
        try:
            found = cls(filesystem, read_footers(filesystem, paths, "us"))
            times = find_times(found._int96_files(), found._batch_rows)
            if times.best_unit == "ns":
                return cls(filesystem, read_footers(filesystem, paths, "ns"), "ns")
            found.notes = times.notes("us")
        except (ValueError, OSError, pa.ArrowException) as error:
            raise FrameError(f"{', '.join(patterns)} cannot be read as Parquet: {error}") from error
        return found

    def batches(self, positions: Sequence[int] | None = None) -> _Batches:
        """The rows of the files at some positions, or of all, in order."""
        chosen = range(len(self.files)) if positions is None else positions
        if self._same_schema:
            # As one Dataset, which opens the next file while it reads the last one.
            yield from self._read([self.files[position] for position in chosen])
            return
        for position in chosen:
            for batch in self._read([self.files[position]]):
                yield align_to_schema(batch, self.schema, self._shown(position), _BEFORE)

    def read_content(self, position: int, content: Any) -> tuple[ParquetFile, list[int], _Batches]:
        """The footer, the page offsets and the rows of a file, whose content is read as they are.

        The content is a binary file or an Arrow reader.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415

        file = self.files[position]
        # Buffered, a file of one enormous row group is read piece by piece.
        opened = pq.ParquetFile(
            content, coerce_int96_timestamp_unit=self._unit, buffer_size=1_048_576
        )
        rows = opened.iter_batches(batch_size=self._batch_rows)
        if not self._same_schema:
            rows = (
                align_to_schema(batch, self.schema, self._shown(position), _BEFORE)
                for batch in rows
            )
        footer = read_footer(opened, file.path, file.size, file)
        return footer, page_offsets(opened.metadata), rows

    def page_offsets(self, position: int) -> list[int]:
        """Offset of the first data page of each column chunk of a file."""
        import pyarrow.parquet as pq  # noqa: PLC0415

        return page_offsets(pq.read_metadata(self.files[position].path, filesystem=self.filesystem))

    def _shown(self, position: int) -> str:
        """Names a file in a message."""
        return f"file {display_url(self.filesystem, self.files[position].path)!r}"

    def _int96_files(self) -> Iterator[tuple[str, Any]]:
        """Files with INT96 columns: their URL, and a function that opens them."""
        for file in self.files:
            if file.rows and any(leaf.physical == "INT96" for leaf in file.leaves):
                open_file = functools.partial(self.filesystem.open, file.path, "rb")
                yield display_url(self.filesystem, file.path), open_file

    def _read(self, files: Sequence[ParquetFile], names: list[str] | None = None) -> _Batches:
        """The rows of files that have the same schema, or only some of their columns."""
        import pyarrow.dataset as ds  # noqa: PLC0415

        options = ds.ParquetReadOptions(coerce_int96_timestamp_unit=self._unit)
        dataset = ds.dataset(
            [file.path for file in files],
            schema=files[0].schema,
            filesystem=self.filesystem,
            format=ds.ParquetFileFormat(read_options=options),
        )
        shown = display_url(self.filesystem, files[0].path)
        if len(files) > 1:
            shown += f" (or another one of these {len(files):,} files)"
        # Unless rows and read-ahead are limited, a scan of wide files holds many decoded batches.
        with translate_errors(shown):
            yield from dataset.to_batches(
                columns=names, batch_size=self._batch_rows, batch_readahead=2, fragment_readahead=1
            )


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
