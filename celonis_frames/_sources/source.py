"""A frame as record batches of one schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from celonis_frames._sources.parquet import ParquetFiles


@dataclass(frozen=True)
class Source:
    """A frame as record batches of one schema, with the names and the order of the frame."""

    kind: str  # for messages
    schema: pa.Schema
    rows: int | None  # None: only known after reading
    replayable: bool  # `batches` can be called again and yields the same rows
    immutable: bool  # held in memory: the rows cannot change between two readings
    batches: Callable[[], Iterator[pa.RecordBatch]]  # of bounded size
    notes: tuple[str, ...] = ()  # warnings for the user
    column_notes: Mapping[str, str] = field(default_factory=dict)  # the same by column
    expensive: bool = False  # reading takes much time: a second one should be avoided
    files: ParquetFiles | None = None  # that the rows come from
    copies: bool = True  # False: batches are slices of the frame; keeping them saves nothing
    sized: bool = False  # the batches have a useful size already
