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
from celonis_frames._ingestion.destination import ObjectDestination
from celonis_frames._ingestion.signing import botocore
from celonis_frames._jobs.commands import State
from celonis_frames._jobs.delivery import Delivery, DeliveryResult
from celonis_frames._jobs.delivery_state import Recorded
from celonis_frames._jobs.shell import deliver
from celonis_frames._push.object_push import IngestionWay, objects_status, store
from celonis_frames._push.outcome_notes import open_job, outcome_notes
from celonis_frames._push.pipeline import (
    OnSubmitted,
    finish_stage,
    follow,
    limit,
    status_of,
)
from celonis_frames._push.progress import Progress, Reporting, in_progress
from celonis_frames._push.status import PushStatus, mark_as_delete
from celonis_frames._reporting.event_thread import OnEvent
from celonis_frames._staging.claim import begun_only, is_over
from celonis_frames._staging.manifest import NoManifest, ObjectRecord
from celonis_frames._staging.stage import Stage
from celonis_frames._staging.stage_search import find_stages, nothing_staged
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
    on_event: OnEvent | None,
) -> list[PushStatus]:
    """Finish every push that is staged at a URL. See `celonis_frames.resume`.

    Raises:
        ConfigError, FrameError, ApiError, JobError: As `celonis_frames.resume`.
    """
    filesystem, folders = find_stages(staging, storage_options)
    statuses: list[PushStatus] = []
    errors: list[CelonisFramesError] = []
    with ExitStack() as whole:
        call = whole.enter_context(in_progress("resume", None, api.url, Reporting(False, on_event)))
        whole.callback(close_filesystem, filesystem)
        token = whole.enter_context(limit(None, time.monotonic(), timeout))
        for folder in folders:
            try:
                with ExitStack() as stack:
                    stack.enter_context(termination_as_system_exit())
                    if is_over(filesystem, folder):
                        continue
                    try:
                        stage = Stage.reopen(filesystem, folder)
                    except NoManifest as error:
                        raise begun_only(filesystem, folder) or error from None
                    stack.callback(stage.close)
                    _check(stage, api.url)
                    table = str(stage.manifest.job["targetName"])
                    reporting = Reporting(progress, on_event, stage.manifest.push_id)
                    one = stack.enter_context(
                        in_progress("push", table, api.url, reporting, above=call)
                    )
                    one.in_pool(stage.manifest.pool_id)
                    status = finish_staged(api, token, stage, way=way, wait=wait, progress=one)
                    one.result = status
                    if wait:
                        status.raise_for_status()
                    statuses.append(status)
            except CelonisFramesError as error:
                errors.append(error)
        if errors:
            for other in errors[1:]:
                errors[0].add_note(f"Another stage: {other}")
            for status in statuses:
                errors[0].add_note(f"Finished: {status!r}")
            raise errors[0]
        if not statuses:
            raise nothing_staged(staging)
    return statuses


def finish_staged(
    whole: DataPushApi,
    token: CancelToken,
    stage: Stage,
    *,
    way: IngestionWay | None,
    wait: bool,
    progress: Progress,
    delivered: DeliveryResult | None = None,
    on_submitted: OnSubmitted | None = None,
) -> PushStatus:
    """Finish a push whose chunks are all staged; the status may be that of a job that failed.

    Raises:
        ConfigError, FrameError, ApiError, JobError: As `celonis_frames.resume`.
    """
    delivered = delivered or DeliveryResult()
    if stage.manifest.objects is not None:
        return _finish_objects(way, whole, token, stage, progress, delivered)
    api, manifest, chunks = whole.within(token), stage.manifest, stage.chunks()
    begin = time.monotonic()
    timings: dict[str, float] = {}
    progress.stage("checking")
    with outcome_notes(manifest.pool_id, delivered, stage):
        # 1. Find its job, send what is missing and submit it, unless that was done already.
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
            rows=lambda: sum(chunk.rows for chunk in chunks),
        )
        with DeferredSignals(token, lambda: open_job(manifest.pool_id, delivered)):
            deliver(api, delivery, delivered, progress=progress, timings=timings)
        if on_submitted is not None:
            on_submitted(delivered, None)
        # 2. Wait for the job.
        job = follow(api, manifest.pool_id, delivered, progress, wait=wait, timings=timings)
        warnings = (*manifest.warnings, *finish_stage(stage, job, delivered, waited=wait))
    timings["total"] = time.monotonic() - begin
    status = status_of(whole, job, delivered, warnings=warnings, timings=timings, raises=False)
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


def _finish_objects(
    way: IngestionWay | None,
    whole: DataPushApi,
    token: CancelToken,
    stage: Stage,
    progress: Progress,
    delivered: DeliveryResult,
) -> PushStatus:
    """Store the objects of a stage that were not acknowledged."""
    manifest = stage.manifest
    # 1. Check that the keys are those of its connection.
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
    begin, timings = time.monotonic(), dict[str, float]()
    # 2. Store what is missing.
    destination = ObjectDestination(
        way.gateway, table, record.push_id, repeatable=record.repeatable,
        consequence=record.consequence, journal=stage, begun=record.begun, stored=record.stored,
    )  # fmt: skip
    found = store(
        whole.within(token), destination, lambda _: iter(chunks), delivered, progress, timings,
        stage=stage, workers=manifest.workers, rows=lambda: sum(chunk.rows for chunk in chunks),
    )  # fmt: skip
    timings["total"] = time.monotonic() - begin
    return objects_status(
        way, destination, delivered, table, manifest.pool_id or None,
        warnings=(*manifest.warnings, *found), timings=timings,
    )  # fmt: skip
