"""pyarrow Datasets. Those over INT96 files are read as the files are: in the unit that fits."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.batching import BATCH_ROWS, Batches, rows_per_batch
from celonis_frames._filesystem.masking import mask_url
from celonis_frames._sources.alignment import match_batches
from celonis_frames._sources.foreign_errors import translate_errors
from celonis_frames._sources.int96 import Unit, find_times, int96_paths
from celonis_frames._sources.source import ReadOptions, Source
from celonis_frames.exceptions import ColumnTypeError, FrameError

_SAMPLE_FILES = 3
"""Files whose footers are read to estimate the bytes of a row and to search for INT96: one writer
mostly wrote them all, and reading thousands of footers takes minutes."""

_SEARCHED_FILES = 100
"""Files that are searched for a column of another type, after an error."""


def read_dataset(dataset: Any, options: ReadOptions) -> Source:
    """The rows of a pyarrow Dataset.

    Raises:
        FrameError: Its files cannot be read.
        ColumnTypeError: A column has times that no unit of Arrow holds together.
    """
    kind = "pyarrow Dataset"
    explain = functools.partial(_other_type, dataset)
    with translate_errors(kind, explain):
        row_bytes = max(16.0 * len(dataset.schema), _row_bytes(_fragments(dataset)))
        rows = rows_per_batch(BATCH_ROWS, row_bytes, columns=len(dataset.schema))
        dataset, notes = _with_exact_times(dataset, rows)
    schema, names = dataset.schema, None
    if options.choose is not None:
        names = options.choose(schema.names)
        schema = pa.schema([schema.field(name) for name in names])

    def batches() -> Batches:
        with translate_errors(kind, explain):
            # Unless rows and read-ahead are limited, a scan of wide files holds many batches.
            found = dataset.to_batches(
                columns=names, batch_size=rows, batch_readahead=2, fragment_readahead=1
            )
            yield from match_batches(found, schema, kind)

    return Source(kind, schema, None, True, False, batches, notes)


def _fragments(dataset: Any) -> Iterator[Any]:
    """The parts of a Dataset: pyarrow gives none of a filtered one, but a union has no filter."""
    import pyarrow.dataset as ds  # noqa: PLC0415  # loaded already: it made the Dataset

    return iter(ds.UnionDataset(dataset.schema, [dataset]).get_fragments())


def _other_type(dataset: Any, error: Exception) -> FrameError | None:
    """The error for a column that one of the Dataset's first files has with another type."""
    if not isinstance(error, pa.ArrowException):
        return None
    for fragment in islice(_fragments(dataset), _SEARCHED_FILES):
        types = {field.name: field.type for field in fragment.physical_schema}
        for field in dataset.schema:
            found = types.get(field.name, field.type)
            if found != field.type:
                where = mask_url(getattr(fragment, "path", "a part of it"))
                return ColumnTypeError(
                    f"Column {field.name!r} is {found} in {where} and {field.type} in the schema "
                    "of the Dataset, and not every value can be cast: give all files the same "
                    "type, or the Dataset a schema= that holds both.",
                    column=field.name,
                )
    return None


def _row_bytes(fragments: Iterable[Any]) -> float:
    """Uncompressed bytes of a row by the footers of the first files; 0 if they have none."""
    return max(
        (
            group.total_byte_size / max(group.num_rows, 1)
            for fragment in islice(fragments, _SAMPLE_FILES)
            for group in getattr(fragment, "row_groups", None) or ()
        ),
        default=0.0,
    )


def _with_exact_times(dataset: Any, batch_rows: int) -> tuple[Any, tuple[str, ...]]:
    """The Dataset with its INT96 columns in a unit that changes no time, and warnings on them.

    It keeps its own unit if that changes none, even if it cuts nanoseconds: the notes count them.
    """
    import pyarrow.dataset as ds  # noqa: PLC0415

    if "timestamp" not in str(dataset.schema):
        return dataset, ()
    fragments = list(_fragments(dataset))
    files = [file for file in fragments if isinstance(file, ds.ParquetFileFragment)]
    first = files[:_SAMPLE_FILES]
    if not any(int96_paths(file.metadata) for file in first):
        return dataset, ()
    units = {file.format.read_options.coerce_int96_timestamp_unit for file in first}
    unit: Unit = "us" if units == {"us"} else "ns"
    times = find_times(((mask_url(file.path), file.open) for file in files), batch_rows)
    if other := (times.far if unit == "ns" else times.negative):
        if len(files) < len(fragments):
            name = min(other)
            raise ColumnTypeError(
                f"The Dataset would read INT96 times of column {name!r} as other times, and holds "
                "not only Parquet files: push the paths of its files instead.",
                column=name,
            )
        unit = times.best_unit
        dataset = _in_unit(dataset, files, unit)
    return dataset, times.notes(unit)


def _in_unit(dataset: Any, files: list[Any], unit: Unit) -> Any:
    """The Dataset, which has these files, with its INT96 columns read in another unit."""
    import pyarrow.dataset as ds  # noqa: PLC0415

    fragments = [_fragment_in_unit(file, unit) for file in files]
    schema = dataset.schema
    for old, new in zip(files, fragments, strict=True):
        for field in new.physical_schema:
            place = schema.get_field_index(field.name)
            before = old.physical_schema.field(field.name).type
            # A type that the user asked for stays.
            if place >= 0 and before != field.type and schema.field(place).type == before:
                schema = schema.set(place, schema.field(place).with_type(field.type))
    parts = [
        ds.FileSystemDataset(list(part), schema, fragments[0].format, filesystem)
        for filesystem, part in groupby(fragments, lambda fragment: fragment.filesystem)
    ]
    found = parts[0] if len(parts) == 1 else ds.UnionDataset(schema, parts)
    wanted = getattr(dataset, "_scan_options", {}).get("filter")
    return found if wanted is None else found.filter(wanted)


def _fragment_in_unit(file: Any, unit: Unit) -> Any:
    import pyarrow.dataset as ds  # noqa: PLC0415

    options = file.format.read_options
    kept = {
        name: getattr(options, name)
        for name in ("dictionary_columns", "binary_type", "list_type")
        if hasattr(options, name)
    }
    file_format = ds.ParquetFileFormat(
        read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit=unit, **kept),
        default_fragment_scan_options=file.format.default_fragment_scan_options,
    )
    return file_format.make_fragment(
        file.path,
        file.filesystem,
        partition_expression=file.partition_expression,
        row_groups=[group.id for group in file.row_groups],
    )
