"""The push pipeline: prepare, validate, upload, execute, wait.

How it works: the calling thread prepares the frames, uploads and submits (see
`celonis_frames._jobs.shell`), and then polls the job. The chunks are made by other threads
meanwhile (`celonis_frames._frames.chunk_feed`); of a stream by the calling thread itself, while
another delivers. All calls and waits are under one `CancelToken`,
whose deadline is that of ``timeout=``. Signals are deferred during the delivery only: while the
frame is read, which may run the caller's code, and while the job is polled they raise at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.data_models import DataModel
from celonis_frames._api.models import Job
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._concurrency.signals import DeferredSignals, termination_as_system_exit
from celonis_frames._distributed.gather import gather
from celonis_frames._encoding.chunk import Chunk, ChunkStore
from celonis_frames._frames.chunk_feed import TextsOutgrown
from celonis_frames._frames.preparation import prepare
from celonis_frames._frames.prepared_frame import PreparedFrame
from celonis_frames._jobs.delivery import BodyRefuted, Delivery, DeliveryResult
from celonis_frames._jobs.polling import ENDED, timed_out, wait_for, within_timeout
from celonis_frames._jobs.shell import check_at_end, deliver
from celonis_frames._jobs.timeouts import raise_if_expired, timeout_error
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.codec_choice import with_codec
from celonis_frames._push.job_end import JobEnd
from celonis_frames._push.job_request import MARK, job_body, job_mark
from celonis_frames._push.outcome_notes import open_job, outcome_notes
from celonis_frames._push.progress import Progress
from celonis_frames._push.receipts import record_end
from celonis_frames._push.reloading import (
    find_models,
    reload_after_earlier,
    reload_after_job,
)
from celonis_frames._push.status import PushStatus, Reloads
from celonis_frames._push.stream_delivery import deliver_while_reading
from celonis_frames._push.verification import Verification, begin_verification
from celonis_frames._reporting.current import report_job, warn
from celonis_frames._reporting.recorder import Recorder
from celonis_frames._schema.table_layout import TableLayout
from celonis_frames._sources.source import Source
from celonis_frames._staging.manifest import Manifest
from celonis_frames._staging.stage import Stage
from celonis_frames._tables.existing_table import ExistingTable
from celonis_frames._tables.fitting import fit
from celonis_frames._tables.table_reading import read_table
from celonis_frames._validation.rejects import RejectReport
from celonis_frames.exceptions import ApiError

logger = logging.getLogger("celonis_frames")


OnSubmitted = Callable[[DeliveryResult, Verification | None], None]


class Opening(NamedTuple):
    """What is known when the stage of a push is to be opened."""

    api: DataPushApi
    token: CancelToken
    frames: Sequence[PreparedFrame]
    layouts: Sequence[TableLayout] | None  # as for `push_prepared`
    pool_id: str
    connection_id: str | None
    options: PushOptions
    progress: Progress
    delivered: DeliveryResult
    on_submitted: OnSubmitted | None


OpenOnce = Callable[[Opening], Stage | PushStatus]
"""Opens the stage of a push with an id, or returns the status of an earlier one."""


def push_frame(
    api: DataPushApi,
    frame: Any,
    pool: str,
    table: str,
    options: PushOptions,
    *,
    progress: Progress,
    deleted: bool = False,
    open_once: OpenOnce,
    watch: Callable[[Source], Source] | None = None,
    token: CancelToken | None = None,
    delivered: DeliveryResult | None = None,
    on_submitted: OnSubmitted | None = None,
) -> PushStatus:
    """Prepare a frame and send it; `deleted` sends its keys as rows to delete.

    See `prepare` for `watch`, and `push_prepared`.

    Raises:
        FrameError, ConfigError, ApiError, JobError: As `celonis_frames.push`.
    """
    begin = time.monotonic()
    with limit(token, begin, options.timeout) as whole:
        pool, options = with_codec(api, pool, options, whole)
    prepared = prepare(frame, table, options, deleted=deleted, watch=watch)
    return push_prepared(
        api, [prepared], pool, options, begin=begin, progress=progress, open_once=open_once,
        token=token, delivered=delivered, on_submitted=on_submitted,
    )  # fmt: skip


def push_prepared(
    api: DataPushApi,
    frames: Sequence[PreparedFrame],
    pool: str,
    options: PushOptions,
    *,
    begin: float,
    progress: Progress,
    open_once: OpenOnce,
    layouts: Sequence[TableLayout] | None = None,
    checked: bool = False,
    stage: Stage | None = None,
    models: Sequence[DataModel] | None = None,
    token: CancelToken | None = None,
    delivered: DeliveryResult | None = None,
    on_submitted: OnSubmitted | None = None,
) -> PushStatus:
    """Send frames as one job, in their order, and wait for the job if `options` say so.

    Args:
        api: The API of the connection.
        frames: The prepared frames of one table; those with rows to upsert have the same columns.
        pool: Data Pool by id, name or URL.
        options: The checked options.
        begin: When the push began, in seconds of `time.monotonic`.
        progress: Takes how far it is.
        open_once: Opens the stage of a push with an id, which may have been sent already.
        layouts: The layouts that the frames have by themselves, if they were fitted to the table
            that is there.
        checked: Whether `PreparedFrame.begin` was already called for each.
        stage: The stage, if an earlier process of the push has begun it. It is closed.
        models: The data models to load after it, if they were looked up.
        token: Cancels the push when another thread cancels it; `Cancelled` is raised. ``timeout=``
            counts besides its deadline.
        delivered: Updated during the push, so that the caller knows its job.
        on_submitted: Called as soon as the job is submitted. The caller then has to call
            `Verification.check_after`, if there is one.

    Raises:
        FrameError, ConfigError, ApiError, JobError: As `celonis_frames.push`.
    """
    table = frames[0].table
    with ExitStack() as stack:
        # 1. Look up the pool, the data connection and the data models, begin the stage.
        stack.enter_context(termination_as_system_exit())
        token = stack.enter_context(limit(token, begin, options.timeout))
        sending = stack.enter_context(ExitStack())  # closed before the data models are loaded
        sending.enter_context(nullcontext() if stage is None else closing(stage))
        whole, api = api, api.within(token)
        deleted = all(prepared.deleted for prepared in frames)
        pool_id, connection_id = look_up(
            api, pool, options, for_push=not deleted, recorder=progress.recorder
        )
        if models is None and options.reload is not None:
            models = find_models(api, pool_id, options)
        delivered = delivered or DeliveryResult()
        opened, earlier = (None, None) if stage or options.staging is None else open_stage(
            Opening(whole, token, frames, layouts, pool_id, connection_id, options, progress,
                    delivered, on_submitted),
            partial(new_manifest, api, pool_id, options),
            open_once,
        )  # fmt: skip
        if earlier is not None:
            return reload_after_earlier(
                whole, earlier, models, options, token=token, progress=progress
            )
        sending.enter_context(nullcontext() if opened is None else closing(opened))
        stage = stage or opened
        # 2. Compare the frames with the table; read what must be known before the job is created.
        progress.stage("checking")
        checking = time.monotonic()
        timings = {"prepare": checking - begin}
        if layouts is None:
            existing = look_at_table(api, pool_id, table, connection_id, options, deleted=deleted)
            frames = list(
                map(partial(fit, table=existing, check=partial(check_reading, token)), frames)
            )
        for prepared in frames:
            sending.callback(prepared.close)
        verification = begin_verification(
            api, pool_id, table, connection_id, options, frames
        ) if "rows" in options.verify else None  # fmt: skip
        logged = log_warnings(frames)
        if not checked:
            begin_reading(frames, stage, token, progress, timings)
        timings["check"] = time.monotonic() - checking - timings.get("stage", 0.0)
        # 3. Describe the job, each time it is made.
        delivery = _delivery(frames, pool_id, connection_id, options, stage)
        with outcome_notes(pool_id, delivered, stage):
            # 4. Upload the chunks, most of them while the frames are read; submit the job.
            deliver_all = partial(
                deliver, api, delivery, delivered, progress=progress, timings=timings
            )
            with DeferredSignals(token, partial(open_job, pool_id, delivered)) as signals:
                stream = next((prepared for prepared in frames if prepared.reads_here), None)
                if stream is not None:
                    deliver_while_reading(stream, deliver_all, signals)
                else:
                    deliver_all()
            log_warnings(frames, after=logged)
            if verification is not None:
                verification.count(frames)
            if on_submitted is not None:
                on_submitted(delivered, verification)
            # 5. Wait for the job.
            job = follow(api, pool_id, delivered, progress, wait=options.wait, timings=timings)
            found = finish_stage(stage, job, delivered, waited=options.wait) if stage else ()
        # 6. Count the table's rows.
        if on_submitted is None and verification is not None:
            found += verification.check_after(delivered.job_id, job.state)
        sending.close()
        # 7. Load the data models, which may take long.
        reloads = reload_after_job(
            whole, job, models, options, token=token, progress=progress, timings=timings
        ) if models else None  # fmt: skip
    timings["total"] = time.monotonic() - begin
    return status_of(
        whole, job, delivered, timings=timings, raises=options.wait, verification=verification,
        reload=reloads, parts=None if stage is None else parts_of(frames), mode=options.mode,
        record=None if options.push_id is None else partial(record_end, options),
        rejects=None if options.on_bad == "error" else RejectReport.joined(
            prepared.rejects for prepared in frames
        ),
        warnings=(*chain.from_iterable(prepared.warnings for prepared in frames), *found),
    )  # fmt: skip


def follow(
    api: DataPushApi,
    pool_id: str,
    delivered: DeliveryResult,
    progress: Progress,
    *,
    wait: bool,
    timings: dict[str, float],
) -> Job:
    """The submitted job: at its end, or with ``wait=False`` as it is now.

    Raises:
        JobTimeout: The deadline of the API's token has passed; the job continues on the server.
        ApiError: The job's state cannot be read.
        UploadUncertain: The job holds more chunks than were sent.
    """
    job_id = delivered.job_id
    logger.info("job %s submitted, chunks: %d, rows: %d", job_id, delivered.chunks, delivered.rows)
    begin = time.monotonic()
    try:
        if wait:
            progress.stage("waiting")
            job = wait_for(api, pool_id, job_id)
            if delivered.doubted:
                check_at_end(api, pool_id, delivered, job.state)
            return job
        with within_timeout(api) as (limited, _):
            try:
                job = limited.job(pool_id, job_id)
            except ApiError as error:
                if not limited.token.expired:
                    raise
                raise timed_out(job_id, None, None) from error
            report_job("push", job.table, job.state, done=job.state in ENDED, job_id=job_id)
            return job
    finally:
        if wait:
            timings["wait"] = time.monotonic() - begin


def finish_stage(
    stage: Stage, job: Job, delivered: DeliveryResult, *, waited: bool
) -> tuple[str, ...]:
    """Let the stage end with the push; returns warnings, which are logged."""
    # A job in doubt is looked at once more when it has ended.
    known = waited or not delivered.doubted
    return stage.finish(
        job.state if known else "submitted",
        pool_id=job.pool_id,
        job_id=job.id,
        rows=delivered.rows,
        chunks=delivered.chunks,
        bytes_sent=delivered.bytes,
        doubted=delivered.doubted,
    )


def status_of(
    api: DataPushApi,
    job: Job,
    delivered: DeliveryResult,
    *,
    warnings: tuple[str, ...],
    timings: dict[str, float],
    raises: bool,
    rejects: RejectReport | None = None,
    verification: Verification | None = None,
    reload: Reloads = None,
    record: Callable[[str, str], None] | None = None,
    parts: int | None = None,
    mode: str | None = None,
) -> PushStatus:
    """The status to return; one that `raises` nothing has the checks at the job's end before it.

    Raises:
        JobFailed: `raises` is true and the job ended in ERROR or CANCELED.
    """
    status = PushStatus(
        api,
        job,
        rows=delivered.rows,
        chunks=delivered.chunks,
        restarts=delivered.restarts,
        bytes_sent=delivered.bytes,
        warnings=warnings,
        timings=timings,
        rejects=rejects,
        end=None if raises else JobEnd(delivered, verification, record),
        reload=reload,
        parts=parts,
        mode=mode,
    )
    if raises and job.state != "DONE":
        status.raise_for_status()
    return status


def limit(token: CancelToken | None, begin: float, timeout: float | None) -> CancelToken:
    """A token that expires `timeout` seconds (None: never) after `begin`, or with its parent."""
    return CancelToken(deadline=None if timeout is None else begin + timeout, parent=token)


def rows_to_send(frames: Sequence[PreparedFrame]) -> int | None:
    """The rows of all frames; None if they are not known by now."""
    counts = [prepared.rows_to_send for prepared in frames]
    return None if None in counts else sum(filter(None, counts))


def look_up(
    api: DataPushApi,
    pool: str,
    options: PushOptions,
    *,
    for_push: bool,
    recorder: Recorder | None = None,
) -> tuple[str, str | None]:
    """The ids of the pool and the data connection."""
    with timeout_error(api.token, "while the pool was looked up"):
        pool_id = lookup.pool_id(api, pool, for_push=for_push)
    if recorder is not None:
        recorder.pool_id = pool_id
    if options.connection is None:
        return pool_id, None
    with timeout_error(api.token, "while the data connection was looked up"):
        return pool_id, lookup.connection_id(api, pool_id, options.connection)


def open_stage(
    opening: Opening, manifest: Callable[[], Manifest], open_once: OpenOnce
) -> tuple[Stage | None, PushStatus | None]:
    """The stage of a staged push; or the status of an earlier push with its id.

    Raises:
        ConfigError, FrameError, ApiError, JobError: As `Stage.begin` and `open_once`.
    """
    options = opening.options
    if options.push_id is None:
        return Stage.begin(str(options.staging), manifest(), options.storage_options), None
    opened = open_once(opening)
    return (None, opened) if isinstance(opened, PushStatus) else (opened, None)


def new_manifest(api: DataPushApi, pool_id: str, options: PushOptions) -> Manifest:
    """The manifest with which the stage of a push begins."""
    return Manifest(
        api.url,
        pool_id,
        duplicate_removal_column=options.deduplicate_by,
        marked=MARK not in options.upload.job_options,
        push_id=options.push_id,
    )


def _delivery(
    frames: Sequence[PreparedFrame],
    pool_id: str,
    connection_id: str | None,
    options: PushOptions,
    stage: Stage | None,
) -> Delivery:
    """What is delivered; seals the stage with it."""
    mark = job_mark(frames, connection_id, options)
    body = partial(job_body, frames, pool_id, options, mark)

    def workers() -> int:
        # Frames of one job may have the same keys: their chunks must stay in order.
        ordered = options.ordered and (len(frames) > 1 or frames[0].ordered)
        return options.uploads(ordered=ordered)

    if stage is not None:
        warnings = tuple(chain.from_iterable(prepared.warnings for prepared in frames))
        stage.seal(body(lambda: None), warnings, workers=workers())
    return Delivery(
        pool_id,
        body,
        partial(_chunks, frames),
        workers=workers,
        mark=mark,
        duplicate_removal_column=options.deduplicate_by,
        journal=stage,
        marked=MARK not in options.upload.job_options,
        rows=partial(rows_to_send, frames),
    )


def look_at_table(
    api: DataPushApi,
    pool_id: str,
    table: str,
    connection_id: str | None,
    options: PushOptions,
    *,
    deleted: bool = False,
) -> ExistingTable:
    """The table that is there, as `read_table`.

    Raises:
        JobTimeout: The deadline of the API's token has passed.
        ConfigError, ApiError: As `read_table`.
    """
    doing = f"while the columns of table {table!r} were read"
    with timeout_error(api.token, doing):
        existing = read_table(api, pool_id, table, connection_id, options, deleted=deleted)
    raise_if_expired(api.token, doing)  # a response that is cut then may look like another
    return existing


def check_reading(token: CancelToken) -> None:
    """Raise if the frame is not to be read any further."""
    token.raise_if_cancelled()
    raise_if_expired(token, "while the frame was read")


def begin_reading(
    frames: Sequence[PreparedFrame],
    store: ChunkStore | None,
    token: CancelToken,
    progress: Progress,
    timings: dict[str, float],
    *,
    checked_first: bool = False,
) -> None:
    """Begin to read the frames, in their order; arguments as of `PreparedFrame.begin`.

    Of a frame whose rows lie with workers these write the chunks, if there is a stage for them.
    """
    check, first = partial(check_reading, token), 1
    for prepared in frames:
        if prepared.source.partitions is not None and isinstance(store, Stage):
            seconds = gather(
                prepared, store, check, partial(progress.stage, "checking"), first=first
            )
            timings["stage"] = timings.get("stage", 0.0) + seconds
        else:
            prepared.begin(store, checked_first=checked_first, first=first, check=check)
        check()
        first += prepared.staged


def parts_of(frames: Sequence[PreparedFrame]) -> int | None:
    """Partitions whose chunks workers have made; None if there were no workers."""
    counts = [one.worker_parts for one in frames if one.worker_parts is not None]
    return sum(counts) if counts else None


def _chunks(frames: Sequence[PreparedFrame], check: Callable[[], None]) -> Iterator[Chunk]:
    try:
        for prepared in frames:
            yield from prepared.chunks(check)
    except TextsOutgrown:
        raise BodyRefuted from None


def log_warnings(frames: Sequence[PreparedFrame], after: Sequence[int] = ()) -> list[int]:
    """Log the warnings of each frame but the first `after` ones; returns how many it has."""
    counts = []
    for place, prepared in enumerate(frames):
        for warning in prepared.warnings[after[place] if after else 0 :]:
            warn("%s: %s", prepared.table, warning)
        counts.append(len(prepared.warnings))
    return counts
