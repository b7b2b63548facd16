"""polars frames as Arrow batches, without importing polars."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from celonis_frames._batches import BATCH_BYTES, BATCH_ROWS, SLICE_BYTES, TOO_LARGE, fitting
from celonis_frames._types import WideInteger, views_fit
from celonis_frames.exceptions import ColumnTypeError, FrameError

Batches = Callable[[], Iterator[pa.RecordBatch]]


def read_polars(frame: Any) -> tuple[pa.Schema, Batches]:
    """The Arrow schema of a DataFrame and a function that yields its rows.

    Raises:
        ColumnTypeError: A column of Python objects.
    """
    schema = _to_arrow(frame.head(0)).schema
    width = frame.estimated_size() / max(frame.height, 1)
    rows = fitting(BATCH_ROWS, width, SLICE_BYTES)

    def batches() -> Iterator[pa.RecordBatch]:
        for part in frame.iter_slices(rows):
            for piece in _pieces(part, SLICE_BYTES):
                yield from _to_arrow(piece).to_batches()

    return schema, batches


def _pieces(part: Any, most: int) -> Iterator[Any]:
    """The rows in pieces that are not too large, by what polars itself says they weigh."""
    parts = math.ceil(int(part.estimated_size()) / (TOO_LARGE * most))
    if parts <= 1 or part.height <= 1:
        yield part
        return
    for piece in part.iter_slices(max(1, part.height // (TOO_LARGE * parts))):
        yield from _pieces(piece, most)


def read_lazy(frame: Any) -> tuple[pa.Schema, Batches]:
    """The Arrow schema of a LazyFrame and a function that streams its rows.

    Each call runs the query anew on the streaming engine, with back-pressure; the frame is never
    collected whole.

    Raises:
        ColumnTypeError: As `read_polars`.
        FrameError: The query itself fails.
    """
    pl = sys.modules["polars"]
    try:
        schema = _to_arrow(frame.collect_schema().to_frame()).schema
    except (pl.exceptions.PolarsError, OSError) as error:
        raise FrameError(f"The LazyFrame's query fails: {error}") from error
    rows = fitting(BATCH_ROWS, 16 * len(schema))

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for part in frame.collect_batches(
                chunk_size=rows, maintain_order=True, engine="streaming"
            ):
                for piece in _pieces(part, BATCH_BYTES):
                    yield from _to_arrow(piece).to_batches()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise FrameError(f"The LazyFrame's query fails: {error}") from error

    return schema, batches


def _to_arrow(frame: Any) -> pa.Table:
    pl = sys.modules["polars"]
    wide = []
    for name, dtype in frame.schema.items():
        if dtype == pl.Object:
            raise ColumnTypeError(
                f"Column {name!r} holds Python objects (polars Object), which Celonis cannot "
                "store: convert it to a polars type first.",
                column=name,
            )
        if dtype in (pl.Int128, getattr(pl, "UInt128", pl.Int128)):
            wide.append(name)
    if wide:
        frame = frame.with_columns(pl.col(wide).cast(pl.String))
    table = _with_views(frame, wide) if views_fit() else _plain(frame)
    for name in wide:
        place = table.schema.get_field_index(name)
        digits = [
            pa.ExtensionArray.from_storage(WideInteger(), chunk)
            for chunk in table.column(place).chunks
        ]
        table = table.set_column(place, name, pa.chunked_array(digits, WideInteger()))
    return table


def _plain(frame: Any) -> pa.Table:
    return frame.to_arrow(compat_level=sys.modules["polars"].CompatLevel.oldest())


def _with_views(frame: Any, without: list[str]) -> pa.Table:
    """The frame with its texts as views, as polars holds them, so that none is copied."""
    pl = sys.modules["polars"]
    texts = [
        name for name, dtype in frame.schema.items() if dtype == pl.String and name not in without
    ]
    if not texts:
        return _plain(frame)
    views = frame.select(texts).to_arrow(compat_level=pl.CompatLevel.newest())
    others = _plain(frame.drop(texts))
    columns = [(views if name in texts else others).column(name) for name in frame.columns]
    return pa.Table.from_arrays(columns, frame.columns)
