"""A frame as record batches of one schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from celonis_frames._sources.parquet import ParquetFiles


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How a frame is read.

    Attributes:
        index: For pandas only. None keeps a named index as columns and drops an unnamed one;
            True and False force it.
        wide: Says by the name of a column whether integers of any size can be sent, as strings for
            example. Then the columns of several frames need not be 64-bit integers.
        local: Times with a zone become the local time of that zone, without a zone.
        encode: Returns Python dicts or lists as JSON; None if such columns are rejected.
        storage_options: Those of fsspec for URLs.
        surrogates: Strings with lone surrogates are read as what they would be in UTF-8, which is
            not valid and rejected later; else they are an error here.
        choose: Returns the columns to read by the names of all; the others may have any name and
            type. None reads all.
    """

    index: bool | None = None
    wide: Callable[[str], bool] = lambda _: False
    local: bool = False
    encode: Callable[[Iterable[Any]], list[str]] | None = None
    storage_options: Mapping[str, Any] | None = field(default=None, repr=False)
    surrogates: bool = False
    choose: Callable[[list[str]], list[str]] | None = None


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
    # By column, of the rows read so far: local times that clocks show twice.
    repeated_hours: Callable[[], Counter[str]] = Counter
    expensive: bool = False  # reading takes much time: a second one should be avoided
    files: ParquetFiles | None = None  # that the rows come from
    # As `longest_texts` of `_arrow.text_sizes`; None if it costs as much as reading the rows.
    longest_texts: Callable[[Mapping[str, int]], Mapping[str, int]] | None = None
    sized: bool = False  # the batches have a useful size already
    # Called once all rows were read: warnings about them; raises FrameError to reject them.
    conclude: Callable[[], tuple[str, ...]] = tuple
