"""A frame as record batches of one schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from celonis_frames._filesystem.private_options import PrivateOptions
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


_R = TypeVar("_R")


class Partitions(Protocol):
    """The partitions of a frame that lie with the workers of an engine, such as Dask or Spark."""

    @property
    def engine(self) -> str:
        """Its name, for messages."""

    @property
    def count(self) -> int | None:
        """Number of partitions; None if it is only known once they were processed."""

    @property
    def ordered(self) -> bool:
        """Whether the rows have an order, which is that of the partitions."""

    @property
    def keyed_hash(self) -> str:
        """What makes pseudonyms in the engine itself, for a message."""

    @property
    def files(self) -> Collection[str]:
        """Names of the files that `run` would return, if workers have written them before."""

    def run(
        self,
        work: Callable[[int, Any], _R],
        check: Callable[[], None],
        on_done: Callable[[int], None],
        private: PrivateOptions | None = None,
    ) -> list[_R]:
        """Call `work` in the workers for each partition, and return one result for each.

        Args:
            work: Takes the number of a partition, from 0, and its rows as anything that
                `celonis_frames._sources.reader.read` takes. It can be pickled, and so can its
                result. The engine may call it several times for a partition: only the result that
                the engine takes as that of the partition may be returned.
            check: Is called now and then, and raises to end the work.
            on_done: Is called with the number of partitions that are done.
            private: What is not to be in the engine's plans, graphs and logs. An engine that has
                another way to the memory of its workers calls `PrivateOptions.keep` there before
                the tasks, and `forget` after them; others leave it.

        Raises:
            Exception: What the engine raises when a worker fails for good.
        """


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
    partitions: Partitions | None = None  # with workers, which can read the rows instead
