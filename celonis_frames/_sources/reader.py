"""Any frame as a `Source` of Arrow record batches.

The library of the frame is never imported: a frame can only come from a library that its owner has
imported already.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.batching import (
    BATCH_ROWS,
    arrow_bytes,
    rebatch,
    rows_per_batch,
    target_batch_bytes,
)
from celonis_frames._arrow.text_sizes import longest_texts
from celonis_frames._formatting import type_name, with_article
from celonis_frames._sources.alignment import match_batches
from celonis_frames._sources.dask import read_dask
from celonis_frames._sources.dataset import read_dataset
from celonis_frames._sources.duckdb import is_relation, read_relation
from celonis_frames._sources.foreign_errors import translate_errors
from celonis_frames._sources.iterables import read_frames
from celonis_frames._sources.local_times import local_times
from celonis_frames._sources.pandas import read_pandas
from celonis_frames._sources.parquet import ParquetFiles
from celonis_frames._sources.paths import path_of
from celonis_frames._sources.polars import read_lazy, read_polars
from celonis_frames._sources.source import ReadOptions, Source
from celonis_frames._sources.spark import check_no_pandas_api, is_spark, read_spark
from celonis_frames.exceptions import ConfigError, FrameError

_DEFAULTS = ReadOptions()

KINDS = (
    "a pandas DataFrame, a polars DataFrame or LazyFrame, a pyarrow Table, RecordBatch, "
    "RecordBatchReader or Dataset, a Dask or Spark DataFrame, anything with __arrow_c_stream__, an "
    "iterable of these, or a path, URL or glob (or a list of these) of Parquet files"
)


def read(frame: Any, options: ReadOptions = _DEFAULTS) -> Source:
    """A `Source` of the frame's rows; the frame itself is not changed.

    Args:
        frame: One of the kinds the package's documentation lists.
        options: How it is read.

    Raises:
        FrameError: The object is no frame, or a path matches no file.
        ColumnNameError: Names that Arrow cannot hold: no strings, or duplicates.
        ColumnTypeError: A column that has no Arrow type.
        ConfigError: `index` was given for a frame that has none.
    """
    source = _read(frame, options)
    if options.local:
        source = local_times(source)
    if source.sized:
        return source
    target = target_batch_bytes(in_memory=source.immutable and not source.expensive)
    return replace(source, batches=lambda: rebatch(source.batches(), target))


def _read(frame: Any, options: ReadOptions) -> Source:
    if isinstance(frame, type):
        raise FrameError(f"The frame is the class {frame.__name__}: give a frame of that class.")
    pandas: Any = sys.modules.get("pandas")
    polars: Any = sys.modules.get("polars")
    dask: Any = sys.modules.get("dask.dataframe")
    # A library that is still being imported may lack the class: it has made no frame yet.
    if pandas is not None and isinstance(frame, getattr(pandas, "DataFrame", ())):
        with translate_errors("pandas DataFrame"):
            return read_pandas(frame, options)
    if dask is not None and isinstance(frame, getattr(dask, "DataFrame", ())):
        with translate_errors("Dask DataFrame"):
            return read_dask(frame, options, _read)
    if options.index is not None:
        raise ConfigError(
            f"index={options.index} is for pandas and Dask DataFrames, but the frame is a "
            f"{type_name(frame)}, which has no index: leave index= out."
        )
    if polars is not None and isinstance(frame, getattr(polars, "DataFrame", ())):
        with translate_errors("polars DataFrame"):
            return read_polars(frame, options)
    if polars is not None and isinstance(frame, getattr(polars, "LazyFrame", ())):
        with translate_errors("polars LazyFrame"):
            return read_lazy(frame, options)
    if "pyspark" in sys.modules:  # before its Arrow stream, which would collect the rows
        check_no_pandas_api(frame)
        if is_spark(frame):
            return read_spark(frame, options)
    return _read_arrow(frame, options)


def _read_arrow(frame: Any, options: ReadOptions) -> Source:
    if isinstance(frame, pa.RecordBatch):
        frame = pa.Table.from_batches([frame])
    if isinstance(frame, pa.Table):
        return _chosen(_read_table(frame), options)
    if hasattr(type(frame), "to_pyarrow_dataset"):  # a DeltaTable
        with translate_errors(type_name(frame)):
            frame = frame.to_pyarrow_dataset()
    # pyarrow's dataset module imports pandas, so it is looked up and only loaded for files.
    datasets = sys.modules.get("pyarrow.dataset")
    if datasets is not None and isinstance(frame, datasets.Dataset):
        return read_dataset(frame, options)
    if isinstance(frame, pa.RecordBatchReader):
        return _chosen(_read_stream(frame, "pyarrow RecordBatchReader"), options)
    paths = frame if isinstance(frame, list | tuple) else [frame]
    if paths and all(path_of(path) is not None for path in paths):
        return _chosen(_read_files(paths, options), options)
    if hasattr(frame, "__arrow_c_stream__"):
        return _read_capsule(frame, options)
    if isinstance(frame, Iterable) and not isinstance(frame, bytes | bytearray | dict | set):
        return _read_iterable(frame, options)
    raise FrameError(
        f"The frame is {with_article(type_name(frame))}; it must be {KINDS}.{_advice(frame)}"
    )


def _read_capsule(frame: Any, options: ReadOptions) -> Source:
    """Anything that exports its rows as an Arrow stream."""
    kind = type_name(frame)
    if is_relation(frame):
        with translate_errors(kind):
            return read_relation(frame, kind, options)
    with translate_errors(kind):
        try:
            reader = pa.RecordBatchReader.from_stream(frame)
        except pa.ArrowInvalid as error:
            if hasattr(frame, "columns"):
                raise
            raise FrameError(
                f"The frame is a {kind}, which is one column and no table: make it a frame first "
                "(.to_frame())."
            ) from error
    return _chosen(_read_stream(reader, kind), options)


def _chosen(source: Source, options: ReadOptions) -> Source:
    """The source with the columns to read only."""
    if options.choose is None:
        return source
    names = options.choose(source.schema.names)
    if names == source.schema.names:
        return source

    def batches() -> Iterator[pa.RecordBatch]:
        if source.files is not None:
            return source.files.batches(names=names)
        return (batch.select(names) for batch in source.batches())

    schema = pa.schema([source.schema.field(name) for name in names])
    # Files cannot be sent unchanged, since they have more columns.
    return replace(source, schema=schema, batches=batches, files=None)


def _read_table(table: pa.Table) -> Source:
    row_bytes = arrow_bytes(table) / max(table.num_rows, 1)
    target = target_batch_bytes(in_memory=True)
    rows = rows_per_batch(BATCH_ROWS, row_bytes, target, columns=table.num_columns)
    return Source(
        "pyarrow Table", table.schema, table.num_rows, True, True,
        lambda: iter(table.to_batches(max_chunksize=rows)),
        longest_texts=lambda enough: longest_texts(
            iter(table.select(list(enough)).to_batches(max_chunksize=BATCH_ROWS)), enough
        ),
    )  # fmt: skip


def _read_stream(reader: pa.RecordBatchReader, kind: str) -> Source:
    schema = reader.schema

    def batches() -> Iterator[pa.RecordBatch]:
        with translate_errors(kind):
            yield from match_batches(reader, schema, kind)

    return Source(kind, schema, None, False, False, batches)


def _read_iterable(frames: Iterable[Any], options: ReadOptions) -> Source:
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise FrameError("The iterable of frames is empty: it has no columns to push.")
    if isinstance(first, str | bytes | int | float | dict | list | tuple | set):
        raise FrameError(
            f"The frame is {with_article(type_name(frames))} of {type_name(first)}; it must be "
            f"{KINDS}.{_advice(first, rows=True)}"
        )
    if path_of(first) is not None:
        rest = list(iterator)
        if all(path_of(path) is not None for path in rest):
            return _chosen(_read_files([first, *rest], options), options)
        iterator = iter(rest)
    local = local_times if options.local else lambda source: source
    head = local(_read(first, options))
    repeated = [head.repeated_hours]

    def each() -> Iterator[tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]]:
        yield head.schema, head.batches
        for frame in iterator:
            source = local(_read(frame, options))
            if options.local:
                repeated.append(source.repeated_hours)
            yield source.schema, source.batches

    schema, batches = read_frames(each(), options.wide)
    return Source(
        f"iterator of {head.kind}s", schema, None, False, False, batches, head.notes,
        head.column_notes, lambda: sum((count() for count in repeated), Counter()),
    )  # fmt: skip


def _read_files(paths: Sequence[Any], options: ReadOptions) -> Source:
    found = ParquetFiles.find(paths, options.storage_options)
    rows = sum(file.rows for file in found.files)
    return Source(
        "Parquet files", found.schema, rows, True, False, found.batches, found.notes, files=found,
        longest_texts=lambda enough: longest_texts(found.batches(names=list(enough)), enough),
    )  # fmt: skip


def _advice(value: Any, *, rows: bool = False) -> str:
    """How to make a frame of what was given; `rows` if several of them were."""
    if rows and isinstance(value, dict):
        return " Make the rows a frame first: pl.DataFrame(rows), or pa.Table.from_pylist(rows)."
    if rows and isinstance(value, list | tuple):
        return " Make the rows a frame first: pd.DataFrame(rows, columns=[…])."
    if isinstance(value, dict):
        return (
            " Make a dict of columns a frame first: pl.DataFrame(…), or pa.table(…). A dict of "
            "tables is for push_many."
        )
    if hasattr(value, "push_many"):
        return " Give a connection as client=, or call its own push(frame, pool, table)."
    return ""
