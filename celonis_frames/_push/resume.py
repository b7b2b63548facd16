"""Finish the staged pushes of an earlier process."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import Job
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._concurrency.signals import DeferredSignals, termination_as_system_exit
from celonis_frames._jobs.delivery import Delivery, DeliveryResult, check_surplus, deliver
from celonis_frames._jobs.timeouts import timeout_error
from celonis_frames._push.pipeline import (
    follow,
    job_note,
    limit,
    open_job,
    resume_note,
    status_of,
)
from celonis_frames._push.progress import Progress
from celonis_frames._push.status import PushStatus
from celonis_frames._staging.stage import Stage, find_stages
from celonis_frames.exceptions import (
    CelonisFramesError,
    ConfigError,
    FrameError,
    NotFound,
)

logger = logging.getLogger("celonis_frames")


def resume_staged(
    api: DataPushApi, staging: str, *, wait: bool, timeout: float | None, progress: bool | None
) -> list[PushStatus]:
    """Finish every push that is staged at a URL. See `celonis_frames.resume`.

    Raises:
        ConfigError, FrameError, ApiError, JobError: As `celonis_frames.resume`.
    """
    filesystem, folders = find_stages(staging)
    statuses: list[PushStatus] = []
    errors: list[CelonisFramesError] = []
    with limit(None, time.monotonic(), timeout) as token:
        for folder in folders:
            try:
                with ExitStack() as stack:
                    stack.enter_context(termination_as_system_exit())
                    stage = Stage.reopen(filesystem, folder)
                    stack.callback(stage.close)
                    statuses.append(_resume(api, token, stage, wait, progress))
            except CelonisFramesError as error:
                errors.append(error)
    if errors:
        for other in errors[1:]:
            errors[0].add_note(f"Another stage: {other}")
        for status in statuses:
            errors[0].add_note(f"Finished: {status!r}")
        raise errors[0]
    return statuses


def _resume(
    whole: DataPushApi, token: CancelToken, stage: Stage, wait: bool, show: bool | None
) -> PushStatus:
    api, manifest = whole.within(token), stage.manifest
    # 1. Check that the stage is complete and belongs to this team.
    if manifest.state == "writing":
        stage.finished = True
        raise FrameError(
            f"The stage at {stage.url} is not complete: the process ended while it read the "
            "frame. Nothing was sent and the stage was removed. Push the frame again."
        )
    if manifest.url != api.url:
        raise ConfigError(
            f"The stage at {stage.url} is for {manifest.url}, but this connection is to "
            f"{api.url}. Connect to that team first."
        )
    table, chunks = str(manifest.job["targetName"]), stage.chunks()
    begin = time.monotonic()
    timings: dict[str, float] = {}
    delivered = DeliveryResult()
    with (
        Progress(table, show=show) as progress,
        resume_note(stage),
        job_note(manifest.pool_id, delivered),
    ):
        # 2. Find the job of the earlier process.
        with timeout_error(
            token,
            f"while job {manifest.job_id} of the staged push was looked up",
            outcome_known=False,
            job_id=manifest.job_id or "",
        ):
            job = _find_job(api, stage)
        if job is None or job.state == "NEW":
            # 3a. It was not submitted, or there is none: send the missing chunks.
            delivery = Delivery(
                manifest.pool_id,
                manifest.job,
                lambda _: iter(chunks),
                workers=manifest.workers,
                duplicate_removal_column=manifest.duplicate_removal_column,
                journal=stage,
                job_id=None if job is None else job.id,
                orphaned=manifest.state == "ready",
            )
            with DeferredSignals(token, lambda: open_job(manifest.pool_id, delivered)):
                deliver(api, delivery, delivered, progress=progress, timings=timings)
        else:
            # 3b. It was submitted: nothing is sent.
            logger.info("job %s was already submitted: its state is %s", job.id, job.state)
            delivered.begin(job.id)
            delivered.rows = sum(chunk.rows for chunk in chunks)
            delivered.chunks, delivered.bytes = len(chunks), sum(chunk.size for chunk in chunks)
            delivered.submitted = True
            check_surplus(api, manifest.pool_id, job.id, len(chunks))
        # 4. Wait for the job.
        job = follow(api, manifest.pool_id, delivered, progress, wait=wait, timings=timings)
        stage.finished = True
        timings["total"] = time.monotonic() - begin
        warnings = tuple(manifest.warnings)
        return status_of(whole, job, delivered, warnings=warnings, timings=timings, raises=wait)


def _find_job(api: DataPushApi, stage: Stage) -> Job | None:
    """The job of the earlier process, if it can get more chunks or was submitted."""
    manifest = stage.manifest
    if manifest.job_id is None:
        return None
    try:
        job = api.job(manifest.pool_id, manifest.job_id)
    except NotFound:
        if manifest.state == "submitting":
            raise  # it may have been executed and then deleted
        return None
    # A cancelled job has not changed the table.
    return None if job.state == "CANCELED" else job
