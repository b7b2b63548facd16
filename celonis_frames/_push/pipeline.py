"""The room where both sides meet: frames become chunks, the chunks become a job.

frame → arrow → schema → chunks → upload → job → status
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any, Protocol

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import Job
from celonis_frames._concurrency.signals import sigterm_as_system_exit
from celonis_frames._encoding.chunk import Chunk
from celonis_frames._jobs.delivery import Delivery, DeliveryResult, deliver
from celonis_frames._jobs.polling import failure, wait_for
from celonis_frames._push.job_request import job_body
from celonis_frames._push.options import PushOptions
from celonis_frames._push.prepared_frame import PreparedFrame, prepare
from celonis_frames._push.progress import Progress
from celonis_frames._push.status import PushStatus
from celonis_frames._push.verification import Verification
from celonis_frames._staging.manifest import Manifest
from celonis_frames._staging.stage import Stage
from celonis_frames.exceptions import ApiError, FrameError, JobError

__all__ = [
    "Connection",
    "follow",
    "job_note",
    "push_frame",
    "push_prepared",
    "resume_note",
    "status_of",
]

logger = logging.getLogger("celonis_frames")


Submitted = Callable[[DeliveryResult, Verification], None]


class Connection(Protocol):
    """What a push needs of a `Celonis`."""

    @property
    def _api(self) -> DataPushApi: ...

    def pool_id(self, pool: str) -> str:
        """Id of a pool given by id, name or URL."""

    def connection_id(self, pool_id: str, connection: str | None) -> str | None:
        """Id of a data connection given by id or name."""


def push_frame(
    connection: Connection,
    frame: Any,
    pool: str,
    table: str,
    options: PushOptions,
    *,
    deleted: bool = False,
    stop: threading.Event | None = None,
    submitted: Submitted | None = None,
) -> PushStatus:
    """Send a frame and, unless told otherwise, wait until Celonis has it.

    Args:
        connection: Where to.
        frame: What; any kind that `celonis_frames.push` takes.
        pool: Data Pool by id, name or URL.
        table: Name of the table.
        options: Checked options.
        deleted: Send the frame's keys as rows to delete.
        stop: Ends the push when another thread sets it; `Cancelled` is raised.
        submitted: As for `push_prepared`.

    Raises:
        FrameError, ConfigError, ApiError, JobError: See `celonis_frames.push`.
    """
    begin = time.monotonic()
    prepared = prepare(frame, table, options, deleted=deleted)
    return push_prepared(
        connection, [prepared], pool, table, options, begin=begin, stop=stop, submitted=submitted
    )


def push_prepared(
    connection: Connection,
    frames: Sequence[PreparedFrame],
    pool: str,
    table: str,
    options: PushOptions,
    *,
    begin: float,
    checked: bool = False,
    stop: threading.Event | None = None,
    submitted: Submitted | None = None,
) -> PushStatus:
    """Send frames as one job, in their order.

    Args:
        connection: Where to.
        frames: What; those with rows to upsert have the same columns.
        pool: Data Pool by id, name or URL.
        table: Name of the table.
        options: Checked options.
        begin: When the push began, in seconds of `time.monotonic`.
        checked: Whether `PreparedFrame.check` was called for them already.
        stop: Ends the push when another thread sets it; `Cancelled` is raised.
        submitted: Told of the job as soon as it is submitted; who gives it carries out
            `Verification.after`.

    Raises:
        FrameError, ConfigError, ApiError, JobError: See `celonis_frames.push`.
    """
    deadline = None if options.timeout is None else begin + options.timeout
    timings: dict[str, float] = {}
    whole = connection._api  # noqa: SLF001  # the one door between the rooms
    api = whole.within(deadline=deadline, stop=stop)
    with ExitStack() as stack:
        stack.enter_context(sigterm_as_system_exit())
        for prepared in frames:
            stack.callback(prepared.close)
        pool_id = connection.pool_id(pool)
        connection_id = connection.connection_id(pool_id, options.connection)
        progress = stack.enter_context(Progress(table, show=options.progress))
        stage = None
        if options.staging is not None:
            manifest = Manifest(
                api.url,
                pool_id,
                duplicate_removal_column=options.deduplicate_by,
            )
            stage = Stage.begin(options.staging, manifest)
            stack.callback(stage.close)
        progress.stage("checking")
        checking = time.monotonic()
        if not checked:
            _check(frames, stage)
        timings["check"] = time.monotonic() - checking
        verification = Verification(api, pool_id, table, connection_id, options)
        verification.before(frames)
        warnings = tuple(chain.from_iterable(prepared.warnings for prepared in frames))
        for warning in warnings:
            logger.warning("%s: %s", table, warning)
        body = job_body(frames, pool_id, table, connection_id, options)
        # Rows to delete and rows to upsert may have the same keys.
        ordered = any(prepared.ordered for prepared in frames) or (
            options.ordered and len(frames) > 1
        )
        workers = options.uploads(ordered=ordered)
        if stage is not None:
            stage.seal(body, warnings, workers=workers)
        delivered = DeliveryResult()
        with resume_note(stage):
            with job_note(pool_id, delivered):
                delivery = Delivery(
                    pool_id,
                    body,
                    _chunks(frames),
                    workers=workers,
                    duplicate_removal_column=options.deduplicate_by,
                    journal=stage,
                )
                deliver(api, delivery, delivered, progress=progress, timings=timings)
                if submitted is not None:
                    submitted(delivered, verification)
                job = follow(
                    whole, pool_id, delivered, progress, wait=options.wait, deadline=deadline,
                    timings=timings,
                )  # fmt: skip
            if stage is not None:
                stage.finished = True
            found: tuple[str, ...] = ()
            if submitted is None:
                found = verification.after(delivered.job_id, job.state)
    timings["total"] = time.monotonic() - begin
    warnings += verification.notes + found
    return status_of(whole, job, delivered, warnings=warnings, timings=timings, raises=options.wait)


def follow(
    api: DataPushApi,
    pool_id: str,
    delivered: DeliveryResult,
    progress: Progress,
    *,
    wait: bool,
    deadline: float | None,
    timings: dict[str, float],
) -> Job:
    """The job after its submission: at its end, or as it is now.

    Raises:
        JobTimeout: The deadline has passed; the job goes on.
        ApiError: The server cannot be asked.
    """
    job_id = delivered.job_id
    logger.info("job %s submitted: %d chunks, %d rows", job_id, delivered.chunks, delivered.rows)
    begin = time.monotonic()
    try:
        if not wait:
            return api.job(pool_id, job_id)
        progress.stage("waiting for Celonis")
        return wait_for(
            api,
            pool_id,
            job_id,
            timeout=None if deadline is None else max(deadline - begin, 0.001),
        )
    finally:
        if wait:
            timings["wait"] = time.monotonic() - begin


def status_of(
    api: DataPushApi,
    job: Job,
    delivered: DeliveryResult,
    *,
    warnings: tuple[str, ...],
    timings: dict[str, float],
    raises: bool,
) -> PushStatus:
    """The status to answer with.

    Raises:
        JobFailed: The job ended in ERROR or CANCELED, and `raises` is set.
    """
    status = PushStatus(
        api,
        job,
        rows=delivered.rows,
        chunks=delivered.chunks,
        bytes_sent=delivered.bytes,
        warnings=warnings,
        timings=timings,
    )
    if raises and status.done and not status.ok:
        raise failure(job)
    return status


class job_note:  # noqa: N801  # reads as a word
    """Adds to what ends the waiting for a submitted job which one that is."""

    def __init__(self, pool_id: str, delivered: DeliveryResult) -> None:
        self._pool_id, self._delivered = pool_id, delivered

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or not self._delivered.submitted or isinstance(error, JobError):
            return  # those of a job name it themselves
        job_id = self._delivered.job_id
        text = (
            f"Job {job_id} was submitted and continues on the server. Wait for it with "
            f"celonis.job({self._pool_id!r}, {job_id!r}).wait(), or stop it with .cancel()."
        )
        logger.warning(text)
        error.add_note(text)
        if isinstance(error, ApiError):
            error.job_id = error.job_id or job_id


class resume_note:  # noqa: N801  # reads as a word
    """Adds to an error how a staged push can be finished."""

    def __init__(self, stage: Stage | None) -> None:
        self._stage = stage

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or self._stage is None or self._stage.finished:
            return
        if isinstance(error, FrameError):
            self._stage.finished = True  # the same chunks would fail again
            return
        error.add_note(
            f"Its chunks stay at {self._stage.url}: celonis_frames.resume(…) finishes the push "
            "without reading the frame again; delete the folder if that is not wanted."
        )


def _check(frames: Sequence[PreparedFrame], stage: Stage | None) -> None:
    first = 1
    for prepared in frames:
        prepared.check(stage, first=first)
        first += prepared.staged


def _chunks(
    frames: Sequence[PreparedFrame],
) -> Callable[[Callable[[], None]], Iterator[Chunk]]:
    def chunks(check: Callable[[], None]) -> Iterator[Chunk]:
        for prepared in frames:
            yield from prepared.chunks(check)

    return chunks
