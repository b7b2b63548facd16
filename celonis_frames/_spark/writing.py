"""What the batch writer and the stream writer of Spark's data source have in common.

Spark runs a write in several processes: one plans it, the workers write, another one commits. They
share what Spark pickles: the writer, without any key, and a message of each worker.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import WriterCommitMessage

from celonis_frames._client import Celonis
from celonis_frames._distributed.parts import PartResult, WritePlan, stage_part
from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import write_atomically
from celonis_frames._filesystem.filesystems import close_filesystem, open_filesystem
from celonis_frames._filesystem.masking import mask_url, secrets_of
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.detached import DetachedPush, Engine, begin_detached, finish_detached
from celonis_frames._push.status import PushStatus
from celonis_frames._reporting.current import warn
from celonis_frames._sources.spark import ENGINE, KEYED_HASH, KIND, rows_of, task
from celonis_frames._spark.credentials import connection_of
from celonis_frames._spark.write_options import WriteOptions
from celonis_frames.exceptions import ConfigError

_log = logging.getLogger("celonis_frames")


@dataclass
class StagedPart(WriterCommitMessage):  # type: ignore[misc]  # PySpark is untyped here
    """What a worker has staged of one partition, for the process that commits."""

    result: PartResult


def stage_rows(plan: WritePlan, batches: Iterator[pa.RecordBatch]) -> PartResult:
    """In a worker: stage the rows of this task."""
    running = task()
    attempt = f"a{running.attemptNumber()}t{running.taskAttemptId()}"
    return stage_part(plan, running.partitionId(), rows_of(batches, plan.schema), attempt)


def begin(write: WriteOptions, schema: pa.Schema, *, holder: str | None) -> DetachedPush:
    """Check what can be checked without the rows; see `begin_detached`.

    Raises:
        FrameError, ConfigError, ApiError: As `celonis_frames.push`, before it reads any row.
    """
    with connection_of(write) as client:
        options = options_of(write, client)
        if write.status is not None and holder is not None:
            _forget_status(write.status, options)
        return begin_detached(
            client._api, client._way_of(options), schema, write.pool, write.table, options,  # noqa: SLF001
            engine=Engine(ENGINE, KEYED_HASH, KIND), holder=holder,
        )  # fmt: skip


def finish(
    write: WriteOptions,
    begun: DetachedPush,
    results: Sequence[PartResult],
    *,
    push_id: str | None = None,
) -> PushStatus:
    """Send what the workers have staged, and nothing else; see `finish_detached`.

    Raises:
        ConfigError, FrameError, ApiError, JobError: As `celonis_frames.push`.
    """
    with connection_of(write) as client:
        options = options_of(write, client, push_id=push_id)
        status = finish_detached(client._api, client._way_of(options), begun, results, options)  # noqa: SLF001
        _log.info("%s: %r", write.table, status)
        if write.status is not None:
            _write_status(write.status, status, options)
    return status


def options_of(write: WriteOptions, client: Celonis, **more: Any) -> PushOptions:
    """The options of a write, with the defaults of its connection."""
    return client._options(write.call, **more)  # noqa: SLF001  # one of our own kind


@contextlib.contextmanager
def _status_file(url: str, options: PushOptions) -> Iterator[tuple[Any, str]]:
    filesystem, path = open_filesystem(url, options.storage_options)
    try:
        with translate_filesystem_errors(
            f"option('status') {mask_url(url)!r} cannot be written",
            secrets=secrets_of(filesystem, url),
        ):
            yield filesystem, path
    finally:
        close_filesystem(filesystem)


def _forget_status(url: str, options: PushOptions) -> None:
    """Remove the status of an earlier write: it is not the one of this write, which may fail."""
    with _status_file(url, options) as (filesystem, path):
        filesystem.invalidate_cache()
        if filesystem.exists(path):
            filesystem.rm_file(path)


def _write_status(url: str, status: PushStatus, options: PushOptions) -> None:
    """Write the status; an error changes nothing, since the rows are sent."""
    data = json.dumps(status.to_dict(), default=str, indent=1).encode()
    try:
        with _status_file(url, options) as (filesystem, path):
            write_atomically(filesystem, path, data)
    except ConfigError as error:
        warn("%s", error.message)
