"""polars frames as Arrow batches, without importing polars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from celonis_frames._types import WideInteger
from celonis_frames.exceptions import ColumnTypeError, FrameError

Batches = Callable[[], Iterator[pa.RecordBatch]]


def read_polars(
    frame: Any, *, batch_rows: Callable[[pa.Schema, int, int], int]
) -> tuple[pa.Schema, Batches]:
    """The Arrow schema of a DataFrame and a function that yields its rows.

    Raises:
        ColumnTypeError: A column of Python objects.
    """
    schema = _to_arrow(frame.head(0)).schema
    rows = batch_rows(schema, int(frame.estimated_size()), frame.height)

    def batches() -> Iterator[pa.RecordBatch]:
        for part in frame.iter_slices(rows):
            yield from _to_arrow(part).to_batches()

    return schema, batches


def read_lazy(
    frame: Any, *, batch_rows: Callable[[pa.Schema, int, int], int]
) -> tuple[pa.Schema, Batches]:
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
    rows = batch_rows(schema, 0, 0)

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for part in frame.collect_batches(
                chunk_size=rows, maintain_order=True, engine="streaming"
            ):
                for piece in part.iter_slices(rows):
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
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    for name in wide:
        place = table.schema.get_field_index(name)
        digits = [
            pa.ExtensionArray.from_storage(WideInteger(), chunk)
            for chunk in table.column(place).chunks
        ]
        table = table.set_column(place, name, pa.chunked_array(digits, WideInteger()))
    return table
