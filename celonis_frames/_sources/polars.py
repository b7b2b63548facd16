"""polars DataFrames and LazyFrames as Arrow batches, without importing polars."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from celonis_frames._arrow.batching import (
    BATCH_BYTES,
    BATCH_ROWS,
    MAX_OVERSIZE,
    rows_per_batch,
    target_batch_bytes,
)
from celonis_frames._arrow.extension_types import WideInteger, views_fit
from celonis_frames._sources.alignment import match_batches
from celonis_frames._sources.source import Source
from celonis_frames.exceptions import ColumnTypeError, FrameError


def read_polars(frame: Any) -> Source:
    """A DataFrame's rows as Arrow batches; a column of Python objects is an error."""
    schema = _to_arrow(frame.head(0)).schema
    width = frame.estimated_size() / max(frame.height, 1)
    target = target_batch_bytes(in_memory=True)
    rows = rows_per_batch(BATCH_ROWS, width, target)

    def batches() -> Iterator[pa.RecordBatch]:
        for part in frame.iter_slices(rows):
            for piece in _split(part, target):
                yield from _to_arrow(piece).to_batches()

    kind, height = "polars DataFrame", frame.height
    return Source(kind, schema, height, True, True, batches, copies=False, sized=True)


def _split(part: Any, target: int) -> Iterator[Any]:
    """The rows in slices that are not too large, by the size that polars estimates."""
    parts = max(part.estimated_size() / target, part.height / BATCH_ROWS)
    if parts <= MAX_OVERSIZE or part.height <= 1:
        yield part
        return
    for piece in part.iter_slices(max(1, int(part.height / parts))):
        yield from _split(piece, target)


def read_lazy(frame: Any) -> Source:
    """A LazyFrame's rows as Arrow batches.

    Each reading runs the query again on the streaming engine, with back-pressure; the result is
    never collected as a whole. If the query fails, that is a `FrameError`.
    """
    pl = sys.modules["polars"]
    try:
        schema = _to_arrow(frame.collect_schema().to_frame()).schema
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FrameError(f"The LazyFrame's query fails: {error}") from error
    rows = rows_per_batch(BATCH_ROWS, 16 * len(schema))

    def parts() -> Iterator[pa.RecordBatch]:
        try:
            for part in frame.collect_batches(
                chunk_size=rows, maintain_order=True, engine="streaming"
            ):
                for piece in _split(part, BATCH_BYTES):
                    yield from _to_arrow(piece).to_batches()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise FrameError(f"The LazyFrame's query fails: {error}") from error

    kind = "polars LazyFrame"

    def batches() -> Iterator[pa.RecordBatch]:
        return match_batches(parts(), schema, kind)

    return Source(kind, schema, None, True, False, batches, sized=True)


def _to_arrow(frame: Any) -> pa.Table:
    pl = sys.modules["polars"]
    wide = []
    for name, dtype in frame.schema.items():
        if dtype == pl.Object:
            raise ColumnTypeError(
                f"Column {name!r} has Python objects (polars Object), which Celonis cannot store: "
                "convert it to another polars type first.",
                column=name,
            )
        if dtype in (pl.Int128, getattr(pl, "UInt128", pl.Int128)):
            wide.append(name)
    if wide:
        frame = frame.with_columns([frame.get_column(name).cast(pl.String) for name in wide])
    table = _export(frame, wide)
    for name in wide:
        place = table.schema.get_field_index(name)
        digits = [
            pa.ExtensionArray.from_storage(WideInteger(), chunk)
            for chunk in table.column(place).chunks
        ]
        table = table.set_column(place, name, pa.chunked_array(digits, WideInteger()))
    return table


def _export(frame: Any, wide: list[str]) -> pa.Table:
    """The frame in Arrow, its strings as the views that polars holds if pyarrow can write these.

    So no string is copied. The digits of `wide` integers are no strings in this sense.
    """
    pl = sys.modules["polars"]
    if not views_fit():
        return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    viewed = [dtype == pl.String and name not in wide for name, dtype in frame.schema.items()]
    columns: dict[bool, Iterator[Any]] = {}
    for views, level in ((True, pl.CompatLevel.newest()), (False, pl.CompatLevel.oldest())):
        # Not by `select`, which takes names such as ^A$ for patterns.
        part = [c for c, view in zip(frame.get_columns(), viewed, strict=True) if view == views]
        if part:
            columns[views] = iter(pl.DataFrame(part).to_arrow(compat_level=level).columns)
    return pa.Table.from_arrays([next(columns[view]) for view in viewed], frame.columns)
