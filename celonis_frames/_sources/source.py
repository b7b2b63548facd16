"""A frame as record batches of one schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from celonis_frames._sources.parquet import ParquetFiles

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """A frame, seen as record batches of one schema.

    Attributes:
        kind: What the frame is, for messages.
        schema: Arrow schema of every batch; names as in the frame.
        rows: Number of rows, or None where only reading tells.
        replayable: Whether `batches` can be called again and yields the same rows.
        immutable: Whether the rows cannot change between two readings (held in memory).
        batches: Yields the rows, in order, in batches of bounded size.
        notes: Warnings found on the way in.
        expensive: Whether a second reading costs much more than keeping what the first one gave.
        files: The Parquet files that the rows come from, where the frame is such files.
        copies: Whether reading makes something that is worth keeping; else the batches are
            slices of what is there.
        sized: Whether no batch is too large, so that they need not be weighed for it.
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
