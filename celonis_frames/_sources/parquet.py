"""Parquet files as one frame: which files there are, and their rows in one schema."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from celonis_frames._arrow.batching import BATCH_ROWS, rows_per_batch
from celonis_frames._filesystem.filesystems import arrow_filesystem
from celonis_frames._formatting import counted
from celonis_frames._sources.alignment import align_to_schema, check_same_names
from celonis_frames._sources.hive import Constants
from celonis_frames._sources.int96 import Unit, find_times
from celonis_frames._sources.iterables import infer_schema
from celonis_frames._sources.parquet_footer import (
    ParquetFile,
    page_offsets,
    read_footer,
    read_footers,
    translate_errors,
)
from celonis_frames._sources.paths import Location, find_files

_Batches = Iterator[pa.RecordBatch]

_BEFORE = "the files before"


class ParquetFiles:
    """Parquet files, at least one and with equal columns, whose rows are one frame.

    `schema` is that of all rows; `notes` are warnings that count what is lost when they are read;
    `old_times` are the URLs of files with INT96 times that readers may take for others,
    `usual_times` the INT96 columns of whole microseconds within the years 1677 to 2262.
    """

    def __init__(self, files: Sequence[ParquetFile], int96_unit: Unit = "us") -> None:
        self.files, self._unit = tuple(files), int96_unit
        self.notes: tuple[str, ...] = ()
        self.old_times: frozenset[str] = frozenset()
        self.usual_times: frozenset[str] = frozenset()
        first = files[0].schema
        self._same_schema = all(file.schema is first or file.schema.equals(first) for file in files)
        row_bytes = max(16.0 * len(first), *(file.row_bytes for file in files))
        self._batch_rows = rows_per_batch(BATCH_ROWS, row_bytes, columns=len(first))
        self.schema = first
        if not self._same_schema:
            for position, file in enumerate(files):
                check_same_names(file.schema, first.names, self._shown(position), "the first file")
            self.schema = infer_schema(
                (file.schema, functools.partial(self._read, [file])) for file in files
            )

    @classmethod
    def find(cls, paths: Sequence[Any], options: Mapping[str, Any] | None = None) -> Self:
        """The files at some paths, URLs or globs, in order; `options` are those of fsspec.

        Raises:
            FrameError: There is none, one is no Parquet file, their columns differ, or their times
                cannot be read without changing one.
        """
        locations, repeated = find_files(paths, options)
        found = cls(read_footers(locations, "us"))
        times = find_times(found._int96_files(), found._batch_rows)
        if times.best_unit == "ns":
            found = cls(read_footers(locations, "ns"), "ns")
            found.old_times = frozenset(times.negative_files)
        found.notes = (*_repeated_note(repeated), *times.notes(times.best_unit))
        int96 = {
            leaf.path for file in found.files for leaf in file.leaves if leaf.physical == "INT96"
        }
        found.usual_times = frozenset(int96 - times.peculiar)
        return found

    def batches(
        self, positions: Sequence[int] | None = None, names: list[str] | None = None
    ) -> _Batches:
        """The rows of the files at some positions, or of all, in order.

        With `names` only these columns are read.
        """
        chosen = range(len(self.files)) if positions is None else positions
        if self._same_schema:
            # As one Dataset, which opens the next file while it reads the last one.
            yield from self._read([self.files[position] for position in chosen], names)
            return
        schema = self.schema
        if names is not None:
            schema = pa.schema([schema.field(name) for name in names])
        for position in chosen:
            for batch in self._read([self.files[position]], names):
                yield align_to_schema(batch, schema, self._shown(position), _BEFORE)

    def read_content(
        self, position: int, content: Any, names: list[str]
    ) -> tuple[ParquetFile, list[int], _Batches]:
        """The footer, the page offsets and the rows of a file, whose content is read as they are.

        The content is a binary file or an Arrow reader. Only columns of these names are decoded;
        the others are null.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415

        file = self.files[position]
        # Buffered, a file of one enormous row group is read piece by piece.
        opened = pq.ParquetFile(
            content, coerce_int96_timestamp_unit=self._unit, buffer_size=1_048_576
        )
        rows = (
            _with_nulls(batch, opened.schema_arrow)
            for batch in opened.iter_batches(batch_size=self._batch_rows, columns=names)
        )
        if not self._same_schema:
            rows = (
                align_to_schema(batch, self.schema, self._shown(position), _BEFORE)
                for batch in rows
            )
        footer = read_footer(opened, file.location, file.size, file)
        return footer, page_offsets(opened.metadata), rows

    def page_offsets(self, position: int) -> list[int]:
        """Offset of the first data page of each column chunk of a file."""
        import pyarrow.parquet as pq  # noqa: PLC0415

        with self.files[position].location.open() as content:
            return page_offsets(pq.read_metadata(content))

    def _shown(self, position: int) -> str:
        """Names a file in a message."""
        return f"file {str(self.files[position].location)!r}"

    def _int96_files(self) -> Iterator[tuple[Location, Any]]:
        """Files with INT96 columns, and a function that opens them."""
        for file in self.files:
            if file.rows and any(leaf.physical == "INT96" for leaf in file.leaves):
                yield file.location, file.location.open

    def _read(self, files: Sequence[ParquetFile], names: list[str] | None = None) -> _Batches:
        """The rows of files that have the same schema, or only some of their columns."""
        for _, part in groupby(files, lambda file: id(file.location.filesystem)):
            yield from self._scan(list(part), names)

    def _scan(self, files: Sequence[ParquetFile], names: list[str] | None) -> _Batches:
        """The rows of files in one filesystem."""
        place = 0
        try:
            # Unless rows and read-ahead are limited, a scan of wide files holds many batches.
            scanner = self._dataset(files).scanner(
                columns=names, batch_size=self._batch_rows, batch_readahead=2, fragment_readahead=1
            )
            for tagged in scanner.scan_batches():
                while place < len(files) and files[place].location.path != tagged.fragment.path:
                    place += 1
                yield tagged.record_batch
        except MemoryError:
            raise
        except Exception:
            with translate_errors(self._failing(files[place:] or files, names).location):
                raise

    def _failing(self, files: Sequence[ParquetFile], names: list[str] | None) -> ParquetFile:
        """The first of some files that cannot be read, since a scan does not name it."""
        for file in files[: len(files) - 1]:
            try:
                for _ in self._dataset([file]).scanner(columns=names).scan_batches():
                    pass
            except Exception:  # each filesystem has its own
                return file
        return files[-1]

    def _dataset(self, files: Sequence[ParquetFile]) -> Any:
        import pyarrow.dataset as ds  # noqa: PLC0415

        read_options = ds.ParquetReadOptions(coerce_int96_timestamp_unit=self._unit)
        file_format = ds.ParquetFileFormat(read_options=read_options)
        filesystem = arrow_filesystem(files[0].location.filesystem)
        fragments = [
            file_format.make_fragment(
                file.location.path, filesystem, partition_expression=_guarantee(file.constants)
            )
            for file in files
        ]
        return ds.FileSystemDataset(fragments, files[0].schema, file_format, filesystem)


def _with_nulls(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with all columns of a schema; those that it lacks are null."""
    names, rows = batch.schema.names, batch.num_rows
    columns = [
        batch.column(names.index(field.name)) if field.name in names else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _repeated_note(repeated: Sequence[Location]) -> tuple[str, ...]:
    """A warning that files are given several times."""
    if not repeated:
        return ()
    are = "is" if len(repeated) == 1 else "are"
    return (
        f"{counted(len(repeated), 'file')} {are} given more than once, by overlapping paths for "
        f"example, and read once: {', '.join(str(file) for file in repeated[:3])}"
        f"{', …' * (len(repeated) > 3)}.",
    )


def _guarantee(constants: Constants) -> Any:
    """What a scan knows of the rows of a file, and fills its columns with."""
    guarantee = None
    for field, value in constants:
        column = pc.field(field.name)
        term = column == value if value.is_valid else column.is_null()
        guarantee = term if guarantee is None else guarantee & term
    return guarantee
