"""Dask DataFrames: their schema, their partitions in order, and tasks for each in the workers.

Dask is never imported: a frame of it can only come from a process that has imported it. The types
are those that Dask announces (``_meta``). Where a column has none, because it is of Python objects,
it has the type of the first value in it, which tasks look for partition by partition.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from celonis_frames._filesystem.private_options import PrivateOptions
from celonis_frames._sources.alignment import SCHEMA, align_to_schema, check_same_names
from celonis_frames._sources.iterables import infer_schema
from celonis_frames._sources.source import ReadOptions, Source

KIND = "Dask DataFrame"

_AHEAD = 2
"""Partitions that are computed while another one is sent, where a cluster computes them."""

_LOOK_SECONDS = 0.05
"""How often it is looked whether tasks are done, and whether they are to go on."""

_R = TypeVar("_R")
_Read = Callable[[Any, ReadOptions], Source]


def read_dask(frame: Any, options: ReadOptions, read: _Read) -> Source:
    """A source of its rows, which streams the partitions, in order, unless workers read them.

    Args:
        frame: The Dask DataFrame.
        options: How it is read.
        read: Reads one partition, a pandas DataFrame.

    Raises:
        FrameError: As `read`.
    """
    head = read(frame._meta, options)  # noqa: SLF001  # what Dask announces; there is no other
    for_workers = replace(options, storage_options=None, choose=_Chosen(head.schema.names))
    schema = head.schema
    if any(map(pa.types.is_null, schema.types)):
        schema = _schema_of_values(frame, for_workers, read)

    def batches() -> Iterator[pa.RecordBatch]:
        for number, partition in enumerate(_in_order(frame)):
            source = read(partition, for_workers)
            where = f"partition {number}"
            check_same_names(source.schema, schema.names, where, SCHEMA)
            for batch in source.batches():
                yield align_to_schema(batch, schema, where, SCHEMA)

    return Source(
        KIND, schema, None, False, False, batches, head.notes, head.column_notes,
        partitions=DaskPartitions(frame),
    )  # fmt: skip


@dataclass(frozen=True)
class DaskPartitions:
    """The partitions of a Dask DataFrame; see `Partitions`."""

    frame: Any
    engine: str = "Dask"
    ordered: bool = True
    keyed_hash: str = "ddf.map_partitions(…) and Python's hmac, with a key that the workers have"
    files: frozenset[str] = frozenset()

    @property
    def count(self) -> int:
        """Number of partitions."""
        return int(self.frame.npartitions)

    def run(
        self,
        work: Callable[[int, Any], _R],
        check: Callable[[], None],
        on_done: Callable[[int], None],
        private: PrivateOptions | None = None,
    ) -> list[_R]:
        """Call `work` for each partition, in a task that Dask takes for no other's.

        The task may run several times, if a worker dies; of the results of one key Dask returns
        one. Each is fetched as soon as it is there, so that it is not lost with its worker.
        """
        dask: Any = sys.modules["dask"]
        name = f"celonis-stage-{uuid.uuid4().hex[:12]}"
        tasks = [
            dask.delayed(work, pure=False)(number, part, dask_key_name=f"{name}-{number}")
            for number, part in enumerate(self.frame.to_delayed())
        ]
        client = _client_of(self.frame)
        with ExitStack() as stack:
            if private is not None:
                stack.enter_context(_delivered(private, client, name))
            if client is None:
                return _compute_here(tasks, check, on_done)
            return _compute_there(client, tasks, check, on_done)


@dataclass(frozen=True)
class _Chosen:
    """The columns to read, as `ReadOptions.choose` returns them, in a form that can be pickled."""

    names: Sequence[str]

    def __call__(self, names: list[str]) -> list[str]:
        return [name for name in names if name in self.names]


def _client_of(frame: Any) -> Any:
    """The client of the cluster that computes the frame; None if this process does."""
    dask_base: Any = sys.modules["dask.base"]
    distributed: Any = sys.modules.get("distributed")
    get = dask_base.get_scheduler(collections=[frame])
    client = getattr(get, "__self__", None)
    known = distributed is not None and isinstance(client, distributed.Client)
    return client if known else None


def _delivered(private: PrivateOptions, client: Any, name: str) -> Any:
    """A context in which all workers, also those that come later, have the options."""
    if client is None:
        return private.kept()
    from celonis_frames._sources.dask_plugin import delivered  # noqa: PLC0415  # imports Dask

    return delivered(private, client, name)


def _compute_here(
    tasks: Sequence[Any], check: Callable[[], None], on_done: Callable[[int], None]
) -> list[Any]:
    """The results of tasks that the threads or processes of this machine compute."""
    dask: Any = sys.modules["dask"]
    keys = {task.key for task in tasks}
    done = 0

    def after(key: Any, *_: Any) -> None:
        nonlocal done
        check()
        if key in keys:
            done += 1
            on_done(done)

    with sys.modules["dask.callbacks"].Callback(posttask=after):
        return list(dask.compute(*tasks))


def _compute_there(
    client: Any, tasks: Sequence[Any], check: Callable[[], None], on_done: Callable[[int], None]
) -> list[Any]:
    """The results of tasks that a cluster computes; tasks are cancelled if one fails for good.

    Each is fetched as soon as it is there. Dask computes it once more if its worker dies before.
    """
    distributed: Any = sys.modules["distributed"]
    futures = client.compute(list(tasks))
    numbers = {future.key: number for number, future in enumerate(futures)}
    results: dict[int, Any] = {}
    try:
        finished = distributed.as_completed(futures, with_results=True)
        while True:
            check()
            while finished.has_ready():
                future, result = next(finished)
                results[numbers[future.key]] = result
                future.release()
                on_done(len(results))
            if len(results) == len(tasks):
                return [results[number] for number in range(len(tasks))]
            time.sleep(_LOOK_SECONDS)
    finally:
        if len(results) < len(tasks):
            client.cancel(futures)


def _in_order(frame: Any) -> Iterator[Any]:
    """The partitions as pandas DataFrames, some of them computed ahead."""
    parts, client = frame.to_delayed(), _client_of(frame)
    if client is None:
        for part in parts:
            yield part.compute()
        return
    waiting: deque[Any] = deque()
    try:
        for part in parts:
            waiting.append(client.compute(part))
            if len(waiting) > _AHEAD:
                yield _taken(waiting)
        while waiting:
            yield _taken(waiting)
    finally:
        if waiting:
            client.cancel(list(waiting))


def _taken(waiting: deque[Any]) -> Any:
    future = waiting[0]
    partition = future.result()
    waiting.popleft().release()
    return partition


def _schema_of_values(frame: Any, options: ReadOptions, read: _Read) -> pa.Schema:
    """The schema by the first value of each column, in the first partitions that have them all."""
    dask: Any = sys.modules["dask"]
    parts = frame.to_delayed()

    def schemas() -> Iterator[tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]]:
        for part in parts:
            schema, values = dask.delayed(_first_values, pure=False)(part, options, read).compute()
            yield schema, partial(_selected, values)

    # Partitions are computed until all types are known.
    return infer_schema(_until_known(schemas()))


def _selected(values: pa.RecordBatch, names: list[str]) -> Iterator[pa.RecordBatch]:
    yield values.select(names)


def _until_known(
    schemas: Iterator[tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]],
) -> Iterator[tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]]:
    unknown: set[str] | None = None
    for schema, rows in schemas:
        yield schema, rows
        (values,) = rows(schema.names)
        known = {name for name in schema.names if values.column(name).null_count < len(values)}
        unknown = (set(schema.names) if unknown is None else unknown) - known
        untyped = {name for name in unknown if pa.types.is_null(schema.field(name).type)}
        if not untyped:
            return


def _first_values(
    partition: Any, options: ReadOptions, read: _Read
) -> tuple[pa.Schema, pa.RecordBatch]:
    """The schema of a partition, and one row with a value in each column that has one.

    Runs in a worker: no more of the partition leaves it.
    """
    source = read(partition, options)
    found: dict[str, Any] = {}
    for batch in source.batches():
        for name in source.schema.names:
            values = batch.column(name).drop_null()
            if name not in found and len(values):
                found[name] = values.slice(0, 1)
        if len(found) == len(source.schema):
            break
    arrays = [found.get(field.name, pa.nulls(1, field.type)) for field in source.schema]
    return source.schema, pa.RecordBatch.from_arrays(arrays, names=source.schema.names)
