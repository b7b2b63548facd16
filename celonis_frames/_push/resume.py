"""Finish the staged pushes of an earlier process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._concurrency.signals import DeferredSignals, termination_as_system_exit
from celonis_frames._filesystem.filesystems import close_filesystem
from celonis_frames._ingestion.destination import ObjectDestination
from celonis_frames._ingestion.signing import botocore
from celonis_frames._jobs.commands import State
from celonis_frames._jobs.delivery import Delivery, DeliveryResult
from celonis_frames._jobs.delivery_state import Recorded
from celonis_frames._jobs.shell import deliver
from celonis_frames._push.object_push import IngestionWay, objects_status, store
from celonis_frames._push.pipeline import (
    follow,
    limit,
    open_job,
    outcome_notes,
    status_of,
)
from celonis_frames._push.progress import Progress
from celonis_frames._push.status import PushStatus, mark_as_delete
from celonis_frames._staging.manifest import ObjectRecord
from celonis_frames._staging.stage import Stage, find_stages
from celonis_frames.exceptions import CelonisFramesError, ConfigError, FrameError


def resume_staged(
    api: DataPushApi,
    staging: str,
    *,
    way: IngestionWay | None,
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
                    if stage.manifest.objects is not None:
                        statuses.append(_resume_objects(way, api, token, stage, progress))
                    else:
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
    _check(stage, api.url)
    table, chunks = str(manifest.job["targetName"]), stage.chunks()
    begin = time.monotonic()
    timings: dict[str, float] = {}
    delivered = DeliveryResult()
    with (
        closing(Progress(table, show=show)) as progress,
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


def _check(stage: Stage, url: str) -> None:
    """Check that a stage is complete and belongs to this team."""
    if stage.manifest.state == "writing":
        stage.finished = True
        raise FrameError(
            f"The stage at {stage.url} is not complete: the process ended while it read the "
            "frame. Nothing was sent and the stage was removed. Push the frame again."
        )
    if stage.manifest.url != url:
        raise ConfigError(
            f"The stage at {stage.url} is for {stage.manifest.url}, but this connection is to "
            f"{url}. Connect to that team first."
        )


def _resume_objects(
    way: IngestionWay | None,
    whole: DataPushApi,
    token: CancelToken,
    stage: Stage,
    show: bool | None,
) -> PushStatus:
    """Store the objects of a stage that were not acknowledged."""
    manifest = stage.manifest
    # 1. Check that the stage is complete, and that the keys are those of its connection.
    _check(stage, whole.url)
    record = ObjectRecord(**(manifest.objects or {}))
    keys = None if way is None else way.gateway.keys
    if way is None or keys is None or (keys.connection, keys.bucket) != (
        record.connection, record.bucket,
    ):  # fmt: skip
        raise ConfigError(
            f"The stage at {stage.url} is for the data connection {record.connection}: connect "
            "with its ingestion keys first."
        )
    botocore()
    table, chunks = str(manifest.job["targetName"]), stage.chunks()
    begin, timings, delivered = time.monotonic(), dict[str, float](), DeliveryResult()
    # 2. Store what is missing.
    destination = ObjectDestination(
        way.gateway, table, record.push_id, repeatable=record.repeatable,
        consequence=record.consequence, journal=stage, begun=record.begun, stored=record.stored,
    )  # fmt: skip
    with closing(Progress(table, show=show)) as progress:
        store(
            whole.within(token), destination, lambda _: iter(chunks), delivered, progress, timings,
            stage=stage, workers=manifest.workers,
        )  # fmt: skip
    timings["total"] = time.monotonic() - begin
    pool_id = manifest.pool_id or None
    return objects_status(
        way, destination, delivered, table, pool_id, warnings=manifest.warnings, timings=timings
    )
