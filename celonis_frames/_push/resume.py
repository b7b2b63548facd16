"""Finish the staged pushes of an earlier process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._concurrency.signals import DeferredSignals, termination_as_system_exit
from celonis_frames._filesystem.filesystems import close_filesystem
from celonis_frames._jobs.commands import State
from celonis_frames._jobs.delivery import Delivery, DeliveryResult
from celonis_frames._jobs.delivery_state import Recorded
from celonis_frames._jobs.shell import deliver
from celonis_frames._push.pipeline import (
    follow,
    limit,
    open_job,
    outcome_notes,
    status_of,
)
from celonis_frames._push.progress import Progress
from celonis_frames._push.status import PushStatus, mark_as_delete
from celonis_frames._staging.stage import Stage, find_stages
from celonis_frames.exceptions import CelonisFramesError, ConfigError, FrameError


def resume_staged(
    api: DataPushApi,
    staging: str,
    *,
    storage_options: Mapping[str, Any] | None,
    wait: bool,
    timeout: float | None,
    progress: bool | None,
) -> list[PushStatus]:
    """Finish every push that is staged at a URL. See `celonis_frames.resume`.

    Raises:
        ConfigError, FrameError, ApiError, JobError: As `celonis_frames.resume`.
    """
    filesystem, folders = find_stages(staging, storage_options)
    statuses: list[PushStatus] = []
    errors: list[CelonisFramesError] = []
    with ExitStack() as whole:
        whole.callback(close_filesystem, filesystem)
        token = whole.enter_context(limit(None, time.monotonic(), timeout))
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
        outcome_notes(manifest.pool_id, delivered, stage),
    ):
        # 2. Find its job, send what is missing and submit it, unless that was done already.
        delivery = Delivery(
            manifest.pool_id,
            lambda _: manifest.job,
            lambda _: iter(chunks),
            workers=lambda: manifest.workers,
            mark=manifest.job,
            duplicate_removal_column=manifest.duplicate_removal_column,
            journal=stage,
            recorded=Recorded(
                State(manifest.state),
                manifest.job_id,
                tuple(manifest.jobs),
                manifest.lost_creations,
            ),
            begun=manifest.begun,
            marked=manifest.marked,
        )
        with DeferredSignals(token, lambda: open_job(manifest.pool_id, delivered)):
            deliver(api, delivery, delivered, progress=progress, timings=timings)
        # 3. Wait for the job.
        job = follow(api, manifest.pool_id, delivered, progress, wait=wait, timings=timings)
        stage.finished = True
        timings["total"] = time.monotonic() - begin
        warnings = tuple(manifest.warnings)
        status = status_of(whole, job, delivered, warnings=warnings, timings=timings, raises=wait)
        deletes = bool(chunks) and all(chunk.deleted for chunk in chunks)
        return mark_as_delete(status) if deletes else status
