"""A frame as record batches of one schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from celonis_frames._sources.parquet import ParquetFiles


@dataclass(frozen=True)
class Source:
    """A frame as record batches of one schema.

    Attributes:
        kind: Kind of frame, for messages.
        schema: Arrow schema of every batch; names as in the frame.
        rows: Number of rows, or None if it is only known after reading.
        replayable: Whether `batches` can be called again and yields the same rows.
        immutable: Whether the rows cannot change between two readings (held in memory).
        batches: Yields the rows, in order, in batches of bounded size.
        notes: Warnings for the user.
        expensive: Whether reading takes much time, so that a second reading should be avoided.
        files: The Parquet files that the rows come from, if the frame is such files.
        copies: Whether reading copies or decodes the rows; else the batches are slices of the
            frame, and keeping them saves nothing.
        sized: Whether the batches have a useful size already.
    """

    kind: str
    schema: pa.Schema
    rows: int | None
    replayable: bool
    immutable: bool
    batches: Callable[[], Iterator[pa.RecordBatch]]
    notes: tuple[str, ...] = ()
    expensive: bool = False
    files: ParquetFiles | None = None
    copies: bool = True
    sized: bool = False
