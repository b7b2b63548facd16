"""The room where both sides meet: a frame becomes chunks, the chunks become a job.

frame → arrow → schema → chunks → upload → job → status
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from celonis_frames._api import Api, Job
from celonis_frames._chunks import CSV_OPTIONS, encode
from celonis_frames._frames import Source, read
from celonis_frames._jobs import failure, wait_for
from celonis_frames._measure import Measure
from celonis_frames._options import PushOptions
from celonis_frames._progress import Progress
from celonis_frames._schema import Layout, check_name, layout, only_keys
from celonis_frames._staging import FileStore, MemoryStore, SpoolStore, Store, StoredChunk
from celonis_frames._status import PushStatus
from celonis_frames.exceptions import (
    CelonisFramesError,
    ConfigError,
    FrameError,
    JobTimeout,
    KeyColumnError,
    UploadUncertain,
)

logger = logging.getLogger("celonis_frames")


class Connection(Protocol):
    """What a push needs of a `Celonis`."""

    @property
    def _api(self) -> Api: ...

    def pool_id(self, pool: str) -> str:
        """Id of a pool given by id, name or URL."""

    def connection_id(self, pool_id: str, connection: str | None) -> str | None:
        """Id of a data connection given by id or name."""


@dataclass
class Prepared:
    """A frame that may be sent: what it is and what it becomes."""

    source: Source
    layout: Layout
    measure: Measure
    warnings: tuple[str, ...] = ()


@dataclass
class _Sending:
    """The state that the upload threads share."""

    api: Api
    pool_id: str
    job: Job
    deleted: bool
    progress: Progress
    deadline: float | None
    stop: threading.Event = field(default_factory=threading.Event)
    chunks: int = 0
    rows: int = 0
    sent: int = 0

    def upload(self, chunk: StoredChunk) -> None:
        self.api.upload_chunk(
            self.pool_id, self.job.id, chunk, deleted=self.deleted, on_sent=self._on_sent
        )
        self.progress.chunk_done()

    def _on_sent(self, size: int) -> None:
        # Between two blocks is where a running upload can be given up.
        if self.stop.is_set():
            raise _Stopped
        self.progress.sent(size)

    def check_time(self) -> None:
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise JobTimeout(
                f"The time was up after {self.chunks} chunks of job {self.job.id} were sent; "
                "nothing was executed and the job is cancelled. Give a longer timeout=.",
                job_id=self.job.id,
            )


class _Stopped(Exception):  # not an error: another thread has the error
    """An upload given up because the push is over."""


def prepare(frame: Any, table: str, options: PushOptions, *, deleted: bool = False) -> Prepared:
    """The frame with its layout, checked as far as its schema tells; no row is read yet.

    Raises:
        FrameError: The frame cannot be sent.
        ConfigError: An option does not fit the frame.
    """
    check_name(table, "The table")
    source = read(frame, index=options.index)
    if deleted:
        source = _keys_only(source, options)
    shape = layout(
        source.schema,
        keys=options.keys,
        columns=options.columns,
        rename=options.rename,
        nested=options.nested,
        binary=options.binary,
        infinity=options.infinity,
        csv=options.file_type == "CSV",
    )
    by = options.deduplicate_by
    if by is not None and by not in [column.name for column in shape.columns]:
        raise KeyColumnError(
            f"deduplicate_by={by!r} is not a column of the frame. It has "
            f"{[column.name for column in shape.columns]}."
        )
    measure = Measure(
        shape,
        empty=options.mode == "REPLACE" and not deleted,
        unique=by is None and not deleted,
    )
    return Prepared(source, shape, measure, source.notes)


def push_frame(
    connection: Connection,
    frame: Any,
    pool: str,
    table: str,
    options: PushOptions,
    *,
    deleted: bool = False,
) -> PushStatus:
    """Send a frame and, unless told otherwise, wait until Celonis has it.

    Args:
        connection: Where to.
        frame: What; any kind that `celonis_frames.push` takes.
        pool: Data Pool by id, name or URL.
        table: Name of the table.
        options: Checked options.
        deleted: Send the frame's keys as rows to delete.

    Raises:
        FrameError, ConfigError, ApiError, JobError: See `celonis_frames.push`.
    """
    started = time.monotonic()
    deadline = None if options.timeout is None else started + options.timeout
    timings: dict[str, float] = {}
    prepared = prepare(frame, table, options, deleted=deleted)
    api = connection._api  # noqa: SLF001  # the one door between the rooms
    pool_id = connection.pool_id(pool)
    connection_id = connection.connection_id(pool_id, options.connection)

    with Progress(table, show=options.progress) as progress:
        store = _store(prepared.source, options)
        try:
            progress.stage("checking")
            with _timed(timings, "check"):
                waiting = _check(prepared, store, options)
            with _timed(timings, "create"):
                body = job_body(prepared, pool_id, table, connection_id, options, deleted=deleted)
                job = api.create_job(pool_id, body)
            sending = _Sending(api, pool_id, job, deleted, progress, deadline)
            try:
                progress.stage("uploading")
                with _timed(timings, "upload"):
                    chunks = waiting if waiting is not None else _encode(prepared, store, options)
                    _upload_all(sending, chunks, options.uploads)
                    _verify_complete(sending)
                sending.check_time()
                progress.stage("submitting")
                with _timed(timings, "execute"):
                    api.execute_job(
                        pool_id, job.id, duplicate_removal_column=options.deduplicate_by
                    )
            except BaseException as error:
                _cancel(api, pool_id, job.id, error)
                raise
        finally:
            store.close()
        logger.info("job %s submitted: %d chunks, %d rows", job.id, sending.chunks, sending.rows)
        if options.wait:
            progress.stage("waiting for Celonis")
            left = None if deadline is None else max(deadline - time.monotonic(), 0.001)
            with _timed(timings, "wait"):
                job = wait_for(api, pool_id, job.id, timeout=left)
        else:
            job = api.job(pool_id, job.id)
    timings["total"] = time.monotonic() - started
    status = PushStatus(
        api,
        job,
        rows=sending.rows,
        chunks=sending.chunks,
        bytes_sent=sending.sent,
        warnings=prepared.warnings,
        timings=timings,
    )
    for warning in prepared.warnings:
        logger.warning("%s: %s", table, warning)
    if options.wait and status.done and not status.ok:
        raise failure(job)
    return status


def job_body(
    prepared: Prepared,
    pool_id: str,
    table: str,
    connection_id: str | None,
    options: PushOptions,
    *,
    deleted: bool = False,
) -> dict[str, Any]:
    """The job as the API wants it (celonis_frames sends every column's type and length)."""
    body: dict[str, Any] = {
        "targetName": table,
        "type": options.mode,
        "fileType": options.file_type,
        "dataPoolId": pool_id,
        "connectionId": connection_id,
        "keys": list(prepared.layout.keys),
        "tableSchema": prepared.layout.table_schema(table, prepared.measure.lengths()),
    }
    if options.file_type == "CSV":
        body["csvParsingOptions"] = dict(CSV_OPTIONS)
    if options.upsert_strategy is not None and not deleted:
        body["upsertStrategy"] = options.upsert_strategy
    return body | dict(options.job_options or {})


def _keys_only(source: Source, options: PushOptions) -> Source:
    if not options.keys:
        raise KeyColumnError("A delete needs keys=: the columns that say which rows go.")
    names = only_keys(source.schema, options.keys, options.rename)
    schema = pa.schema([source.schema.field(name) for name in names])
    return Source(
        source.kind,
        schema,
        source.rows,
        source.rereadable,
        source.settled,
        lambda: (batch.select(names) for batch in source.batches()),
        source.notes,
    )


def _store(source: Source, options: PushOptions) -> Store:
    if options.staging is not None:
        return FileStore(options.staging)
    return MemoryStore() if source.rereadable else SpoolStore()


def _check(prepared: Prepared, store: Store, options: PushOptions) -> list[StoredChunk] | None:
    """Read every row once and check it.

    A source that can be read again is read again for the upload. For one that cannot, and with
    staging, this one reading also writes the chunks, which are returned.
    """
    measure = prepared.measure
    waiting: list[StoredChunk] | None = None
    if isinstance(store, MemoryStore):
        for batch in prepared.source.batches():
            measure.update(batch)
    else:
        waiting = [
            store.put(chunk)
            for chunk in encode(
                _converted(prepared, measure),
                prepared.layout.wire,
                chunk_bytes=options.chunk_size,
                file_type=options.file_type,
                compression=options.compression,
            )
        ]
    prepared.warnings += measure.check()
    return waiting


def _converted(prepared: Prepared, measure: Measure | None) -> Iterator[pa.RecordBatch]:
    for batch in prepared.source.batches():
        wire = prepared.layout.convert(batch)
        if measure is not None:
            measure.update(batch, wire)
        yield wire


def _encode(prepared: Prepared, store: Store, options: PushOptions) -> Iterator[StoredChunk]:
    """The chunks, made while they are sent.

    A source that is not held in memory (a query, files) may say something else at the second
    reading: that is found out here, before the job is executed.
    """
    again = None if prepared.source.settled else Measure(prepared.layout, prepared.measure.empty)
    for chunk in encode(
        _converted(prepared, again),
        prepared.layout.wire,
        chunk_bytes=options.chunk_size,
        file_type=options.file_type,
        compression=options.compression,
    ):
        yield store.put(chunk)
    if again is not None:
        again.check()
        if again.rows != prepared.measure.rows or _grown(prepared.measure, again):
            raise FrameError(
                f"The {prepared.source.kind} changed between two readings "
                f"({prepared.measure.rows:,} rows at first, {again.rows:,} then, or longer "
                "texts): nothing was executed. Give "
                "staging= to read it only once."
            )


def _grown(first: Measure, second: Measure) -> bool:
    promised = first.lengths()
    return any(second.longest(name)[0] > length for name, length in promised.items())


def _upload_all(
    sending: _Sending, chunks: Iterator[StoredChunk] | list[StoredChunk], workers: int
) -> None:
    """Upload every chunk, at most `workers` at a time; the first error stops them all."""
    running: set[Future[None]] = set()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="celonis-upload")
    try:
        for chunk in chunks:
            sending.check_time()
            # No more than one chunk waits beside those under way: that bounds the memory.
            if len(running) >= workers:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
            running.add(pool.submit(sending.upload, chunk))
            sending.chunks += 1
            sending.rows += chunk.rows
            sending.sent += chunk.size
            del chunk
        for future in running:
            future.result()
    finally:
        sending.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _verify_complete(sending: _Sending) -> None:
    """Never execute unless the server has as many chunks as were sent."""
    there = len(sending.api.chunks(sending.pool_id, sending.job.id))
    if there != sending.chunks:
        raise UploadUncertain(
            f"Job {sending.job.id} has {there} chunks at the server, but {sending.chunks} were "
            "sent: it is cancelled and nothing was executed. Push again.",
            job_id=sending.job.id,
        )


def _cancel(api: Api, pool_id: str, job_id: str, error: BaseException) -> None:
    """Cancel a job that will not be executed; the error that led here stays the one raised."""
    if isinstance(error, CelonisFramesError) and getattr(error, "job_id", None) is None:
        error.job_id = job_id  # type: ignore[attr-defined]  # names the job on any error
    try:
        api.cancel_job(pool_id, job_id)
    except CelonisFramesError as second:
        logger.warning("job %s could not be cancelled: %s", job_id, second)
        error.add_note(
            f"Job {job_id} was not executed, but could not be cancelled either ({second}). It "
            "holds its chunks until it is deleted."
        )
    else:
        error.add_note(f"Job {job_id} was cancelled; the table is untouched.")


class _timed:  # noqa: N801  # reads as a word
    """Adds the seconds of a block to `timings`."""

    def __init__(self, timings: dict[str, float], name: str) -> None:
        self._timings, self._name = timings, name

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._timings[self._name] = time.monotonic() - self._started


__all__ = ["ConfigError", "Connection", "Prepared", "job_body", "prepare", "push_frame"]
