"""Spark's DataFrames, classic and of Spark Connect, whose rows stay with Spark's workers.

Only these read the rows: `SparkPartitions.run` has each of them work on its partition, and Spark
returns one result for each partition, whatever it had to repeat. So a push of such a frame needs
``staging=``. Neither PySpark nor the JVM is touched unless the frame is one of Spark's.
"""

from __future__ import annotations

import contextlib
import inspect
import pickle
import re
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from celonis_frames._concurrency.background import call_in_background
from celonis_frames._filesystem.private_options import PrivateOptions
from celonis_frames._sources.foreign_errors import translate_errors
from celonis_frames._sources.source import ReadOptions, Source
from celonis_frames.exceptions import ColumnTypeError, ConfigError, FrameError

KIND = "Spark DataFrame"
ENGINE = "Spark"
KEYED_HASH = "pyspark.sql.functions.sha2() of the value and a salt"
"""What makes pseudonyms in Spark itself."""

CANCEL_SECONDS = 10.0
"""How long a push that is interrupted waits for Spark to end its tasks."""

_NO_ARROW = ("VariantType", "CalendarIntervalType", "GeometryType", "GeographyType")
"""Types that Arrow does not have: PySpark passes on the first as a struct of bytes."""
_OFFSET = re.compile(r"(?:GMT|UTC|UT)?([+-]\d\d:\d\d)")
_RESULT = "result"

_R = TypeVar("_R")
_Step = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def is_spark(frame: Any) -> bool:
    """Whether this is a DataFrame of Spark."""
    kinds = (
        ("pyspark.sql", "DataFrame"),
        ("pyspark.sql.connect.dataframe", "DataFrame"),  # Spark 3.5: a class of its own
    )
    return any(
        isinstance(frame, getattr(sys.modules.get(module), name, ())) for module, name in kinds
    )


def check_no_pandas_api(frame: Any) -> None:
    """Check that it is no DataFrame of the pandas API on Spark.

    Raises:
        FrameError: It is.
    """
    if isinstance(frame, getattr(sys.modules.get("pyspark.pandas"), "DataFrame", ())):
        raise FrameError(
            "The frame is a DataFrame of the pandas API on Spark: give frame.to_spark(), or "
            "frame.to_spark(index_col=…) to keep its index."
        )


def read_spark(frame: Any, options: ReadOptions) -> Source:
    """A frame whose rows the workers of Spark can read, and nobody else.

    Raises:
        FrameError: It is a stream.
        ColumnTypeError: A column has a type that Arrow does not have.
    """
    if frame.isStreaming:
        raise FrameError(
            'The frame is a stream of Spark: write it with frame.writeStream.format("celonis"), or '
            "push each batch of it in foreachBatch()."
        )
    with translate_errors(KIND):
        names = list(frame.columns)
        if options.choose is not None:
            chosen = options.choose(names)
            frame = frame if chosen == names else frame.select(*map(_quoted, chosen))
        zone = session_zone(frame.sparkSession.conf.get("spark.sql.session.timeZone"))
        schema = arrow_schema(frame.schema, zone)
    return Source(
        KIND, schema, None, False, False, _only_workers, partitions=SparkPartitions(frame, schema)
    )


def _quoted(name: str) -> str:
    """A column's name for Spark, which reads dots and backquotes in it."""
    return f"`{name.replace('`', '``')}`"


def _only_workers() -> Iterator[pa.RecordBatch]:
    raise ConfigError(
        f"Only Spark's workers read the rows of a {KIND}. A push, a delete and changes of it need "
        "staging=: an fsspec URL of storage that this process and all workers share, where they "
        "write the chunks. What needs the rows here, such as the check of an event log, needs a "
        "frame that fits into memory: give frame.toPandas()."
    )


def session_zone(name: str) -> str:
    """The time zone of a session as Arrow knows it, else UTC."""
    offset = _OFFSET.fullmatch(name)
    if offset:
        return offset[1]
    try:
        pa.array([0], pa.timestamp("s", name)).cast(pa.string())  # looks it up
    except pa.ArrowException:
        return "UTC"
    return name


def arrow_schema(schema: Any, zone: str) -> pa.Schema:
    """The Arrow schema of a schema of Spark; its timestamps are in this zone.

    Raises:
        ColumnTypeError: A column has a type that Arrow does not have.
    """
    from pyspark.sql.pandas.types import to_arrow_schema  # noqa: PLC0415  # Spark's frame is here
    from pyspark.sql.types import StructType  # noqa: PLC0415

    # Before Spark 4.0 all timestamps are UTC there.
    takes_zone = "timezone" in inspect.signature(to_arrow_schema).parameters
    fields: list[pa.Field] = []
    for field in schema.fields:
        kind = field.dataType.simpleString()
        try:
            if type(field.dataType).__name__ in _NO_ARROW:
                raise TypeError("not a type of Arrow")
            one = StructType([field])
            (found,) = to_arrow_schema(one, timezone=zone) if takes_zone else to_arrow_schema(one)
        except Exception as error:  # PySpark has classes of its own for it
            raise ColumnTypeError(
                f"Column {field.name!r} is {kind}, which Spark cannot pass on: cast it in Spark, "
                f"such as to_json({field.name}) or CAST({field.name} AS STRING).",
                column=field.name,
            ) from error
        if pa.types.is_timestamp(found.type) and found.type.tz is not None:
            found = found.with_type(pa.timestamp(found.type.unit, zone))
        fields.append(found)
    return pa.schema(fields)


@dataclass(frozen=True)
class SparkPartitions:
    """The partitions of a frame; see `Partitions`. Rows of Spark have no order."""

    frame: Any
    schema: pa.Schema
    engine: str = ENGINE
    keyed_hash: str = KEYED_HASH
    count: int | None = None  # Spark decides while it runs
    ordered: bool = False
    files: frozenset[str] = frozenset()

    def run(
        self,
        work: Callable[[int, Any], _R],
        check: Callable[[], None],
        on_done: Callable[[int], None],  # noqa: ARG002  # Spark shows its own progress
        private: PrivateOptions | None = None,
    ) -> list[_R]:
        """Call `work` in the workers; see `Partitions.run`.

        Private options travel as a broadcast variable, which no plan, UI or log has; it is
        destroyed at the end. Spark Connect has none: workers get them from elsewhere.
        """
        tags = _Tags(self.frame)
        shared = None
        if private is not None and tags.context is not None:
            shared = tags.context.broadcast(private)
        try:
            return self._collect(_step(work, self.schema, shared), tags, check)
        finally:
            if shared is not None:
                shared.destroy()

    def _collect(self, step: _Step, tags: _Tags, check: Callable[[], None]) -> list[Any]:
        staged = self.frame.mapInArrow(step, f"{_RESULT} binary")
        ended = threading.Event()

        def collect() -> list[Any]:
            try:
                tags.add()
                return list(staged.collect())
            finally:
                ended.set()

        try:
            rows = call_in_background(collect, check, name="celonis-spark", thread=tags.thread)
        except BaseException:
            if not ended.is_set():
                tags.cancel()
                ended.wait(CANCEL_SECONDS)  # a task that still runs would write into the stage
            raise
        return [pickle.loads(row[_RESULT]) for row in rows]  # noqa: S301  # of our own workers


class _Tags:
    """The tag by which the jobs of one push are cancelled, and no others."""

    def __init__(self, frame: Any) -> None:
        self._tag = f"celonis-{uuid.uuid4().hex}"
        self._session = frame.sparkSession
        connect = type(frame).__module__.startswith("pyspark.sql.connect")
        self.context = None if connect else self._session.sparkContext
        self._others = self._session.getTags() if connect else ()

    @property
    def thread(self) -> Callable[..., threading.Thread]:
        """Makes a thread with what this one has set for its jobs, such as their pool."""
        if self.context is None:
            return threading.Thread
        from pyspark import InheritableThread  # noqa: PLC0415

        # Since Spark 4.0 it takes the session, to inherit its tags.
        if "session" in inspect.signature(InheritableThread).parameters:
            return partial(InheritableThread, session=self._session)
        return InheritableThread  # type: ignore[no-any-return]

    def add(self) -> None:
        """Tag the jobs that this thread begins."""
        if self.context is not None:
            self.context.addJobTag(self._tag)
            return
        for tag in (*self._others, self._tag):
            self._session.addTag(tag)

    def cancel(self) -> None:
        """Cancel the jobs."""
        if self.context is not None:
            self.context.cancelJobsWithTag(self._tag)
        else:
            self._session.interruptTag(self._tag)


def _step(work: Callable[[int, Any], Any], schema: pa.Schema, shared: Any) -> _Step:
    """What a worker does with its batches; `shared` is a broadcast variable with options."""

    def stage(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield _result(work, schema, shared, batches)

    return stage


def _result(
    work: Callable[[int, Any], Any], schema: pa.Schema, shared: Any, batches: Iterator[Any]
) -> pa.RecordBatch:
    """In a worker: what `work` returns for a partition, as one row."""
    with contextlib.nullcontext() if shared is None else shared.value.kept():
        found = work(task().partitionId(), rows_of(batches, schema))
    return pa.record_batch({_RESULT: pa.array([pickle.dumps(found)], pa.binary())})


def task() -> Any:
    """In a worker: the context of the task that runs."""
    from pyspark import TaskContext  # noqa: PLC0415

    context = TaskContext.get()
    assert context is not None  # noqa: S101  # a task runs
    return context


def rows_of(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatchReader:
    """The batches of a task as a stream of one schema.

    Their timestamps have the zone of the session, and their strings may have another size of
    offsets.
    """
    names = schema.names

    def typed() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.schema.names == names and not batch.schema.equals(schema):
                yield batch.cast(schema)
            else:
                yield batch

    return pa.RecordBatchReader.from_batches(schema, typed())
