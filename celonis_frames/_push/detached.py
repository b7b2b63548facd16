"""Pushes that several processes carry out, one after the other, with workers between them.

Some engines open a write in one process, have workers write, and commit in another process, as
Spark does for its data sources. So the push has three steps: `begin_detached` in the first process
fits the frame to the table and begins a stage, whose lease it hands over; the workers call
`stage_part` with the plan; and `finish_detached` in the last process sends what their results name.
`abort_detached` instead removes what can not be resumed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._distributed.gather import FinishedParts, plan_writes
from celonis_frames._distributed.parts import PartResult, WritePlan
from celonis_frames._filesystem.filesystems import close_filesystem, open_filesystem
from celonis_frames._formatting import shown
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.codec_choice import with_codec
from celonis_frames._push.object_push import (
    IngestionWay,
    fit_objects,
    new_objects_manifest,
    object_prefix,
    push_objects,
)
from celonis_frames._push.once import open_job_once, open_objects_once
from celonis_frames._push.pipeline import (
    limit,
    look_at_table,
    look_up,
    new_manifest,
    push_prepared,
)
from celonis_frames._push.progress import in_progress
from celonis_frames._push.status import PushStatus
from celonis_frames._staging.stage import Stage
from celonis_frames._tables.existing_table import ExistingTable
from celonis_frames._tables.fitting import fit
from celonis_frames.exceptions import CelonisFramesError, ConfigError

HOLD_SECONDS = 24 * 3600.0
"""How long a stage is kept for the process that commits: longer than most jobs of an engine run."""


@dataclass(frozen=True)
class Engine:
    """What messages say of an engine; see `Partitions`."""

    name: str
    keyed_hash: str
    kind: str  # of its frames, such as "Spark DataFrame"


@dataclass(frozen=True)
class DetachedPush:
    """A push that was begun. It can be pickled, and holds no secret.

    Attributes:
        plan: For the workers.
        engine: The engine.
        pool_id: The pool, already looked up.
        lease: The name of the lease that was handed over; None if the workers make the stage's
            folder, and the process that commits begins the stage.
    """

    plan: WritePlan
    engine: Engine
    pool_id: str
    lease: str | None


def begin_detached(
    api: DataPushApi,
    way: IngestionWay | None,
    schema: pa.Schema,
    pool: str,
    table: str,
    options: PushOptions,
    *,
    engine: Engine,
    holder: str | None,
    seconds: float = HOLD_SECONDS,
) -> DetachedPush:
    """Check all that can be checked without the rows, and begin the stage.

    Args:
        api: The API of the connection.
        way: As of `push_objects`, if the options say ``via="ingestion"``.
        schema: The Arrow schema of the rows.
        pool: Data Pool by id, name or URL.
        table: Name of the table.
        options: The checked options, with ``staging=``.
        engine: The engine.
        holder: Who has the stage meanwhile, for messages, such as ``"Spark application app-1"``.
            None begins no stage: the workers make the folder that `WritePlan.in_folder` names, and
            `finish_detached` gets options with the ``push_id=`` whose folder it is.
        seconds: How long the stage is kept for `finish_detached`.

    Raises:
        FrameError, ConfigError, ApiError: As `celonis_frames.push`, before it reads any row.
    """
    if options.staging is None:
        raise ConfigError(needs_staging(engine.kind))
    if holder is not None and options.push_id is not None:
        raise ConfigError(
            f"push_id={shown(options.push_id)} cannot be used here, where several processes write: "
            "call push(), or use mode REPLACE or keys, with which a repetition changes nothing."
        )
    with ExitStack() as stack:
        token = stack.enter_context(limit(None, time.monotonic(), options.timeout))
        if way is None:
            pool, options = with_codec(api, pool, options, token)
        api = api.within(token)
        parts = FinishedParts(engine.name, engine.keyed_hash, ())
        plan = WritePlan(
            engine.kind, schema, table, options, False, ExistingTable(table), "", {}
        )  # fmt: skip
        prepared = plan.prepared(_no_rows(schema), partitions=parts)
        prepared, pool_id = _fitted(api, way, prepared, pool, options)
        if holder is None:
            return DetachedPush(plan_writes(prepared, None), engine, pool_id, None)
        manifest = (
            new_manifest(api, pool_id, options)
            if way is None
            else new_objects_manifest(way, pool_id, options, object_prefix(None))
        )
        stage = Stage.begin(str(options.staging), manifest, options.storage_options)
        try:
            plan = plan_writes(prepared, stage)
            lease = stage.hand_over(holder, seconds)
        except BaseException:
            stage.close()
            raise
    return DetachedPush(plan, engine, pool_id, lease)


def finish_detached(
    api: DataPushApi,
    way: IngestionWay | None,
    begun: DetachedPush,
    results: Sequence[PartResult],
    options: PushOptions,
    *,
    token: CancelToken | None = None,
) -> PushStatus:
    """Send what the workers have staged as one push, and nothing else.

    Args:
        api: The API of a connection to the same team.
        way: As for `begin_detached`.
        begun: What that returned.
        results: One for each partition: those that the engine says are of the winning attempts.
        options: The options, as they were for `begin_detached`.
        token: Cancels the push.

    Raises:
        ConfigError, FrameError, ApiError, JobError: As `celonis_frames.push`. If the stage can be
            resumed, it stays, and a note says so.
    """
    begin, plan = time.monotonic(), begun.plan
    engine = begun.engine
    parts = FinishedParts(engine.name, engine.keyed_hash, tuple(results))
    prepared = plan.prepared(_no_rows(plan.schema), partitions=parts)
    stage = None if begun.lease is None else _reopen(begun, options)
    with in_progress("push", plan.table, api.url, options) as call:
        if way is not None:
            status = push_objects(
                way, None, begun.pool_id, plan.table, options, progress=call, token=token,
                fitted=prepared, stage=stage, open_once=open_objects_once(way),
            )  # fmt: skip
        else:
            status = push_prepared(
                api, [prepared], begun.pool_id, options, begin=begin, progress=call,
                open_once=open_job_once, layouts=[prepared.layout], stage=stage, token=token,
            )  # fmt: skip
        call.result = status
    return status


def abort_detached(begun: DetachedPush, options: PushOptions) -> None:
    """Remove the stage of a push that was begun, unless it can be resumed.

    It raises nothing: an abort follows an error, which is to be shown. What another process has
    taken over, or removed, stays as it is.
    """
    if begun.lease is None:
        return
    try:
        _reopen(begun, options).close()
    except CelonisFramesError:
        return


def needs_staging(kind: str) -> str:
    """The message for a frame of which only workers can read the rows."""
    return (
        f"A {kind} needs staging=: an fsspec URL of storage that this process and all workers "
        "share, where the workers write the chunks."
    )


def _reopen(begun: DetachedPush, options: PushOptions) -> Stage:
    filesystem, folder = open_filesystem(begun.plan.folder, options.storage_options)
    try:
        return Stage.reopen(filesystem, folder, inherits=begun.lease)
    finally:
        close_filesystem(filesystem)


def _fitted(
    api: DataPushApi,
    way: IngestionWay | None,
    prepared: PreparedFrame,
    pool: str,
    options: PushOptions,
) -> tuple[PreparedFrame, str]:
    """The frame with the types of the table, and the id of the pool."""
    if way is not None:
        return fit_objects(way, api, prepared, pool, options)
    pool_id, connection_id = look_up(api, pool, options, for_push=True)
    existing = look_at_table(api, pool_id, prepared.table, connection_id, options)
    return fit(prepared, existing), pool_id


def _no_rows(schema: pa.Schema) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(schema, iter(()))
