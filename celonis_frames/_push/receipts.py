"""Receipts of pushes with an id: they get the end of a job, and are removed once they are old."""

from __future__ import annotations

import datetime as dt
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import join_path, list_names
from celonis_frames._filesystem.filesystems import close_filesystem, open_filesystem
from celonis_frames._filesystem.masking import mask_url, secrets_of
from celonis_frames._formatting import shown
from celonis_frames._options.push_options import (
    PushOptions,
    parse_staging,
    parse_storage_options,
)
from celonis_frames._reporting.current import warn
from celonis_frames._staging.claim import StagePlace
from celonis_frames._staging.lease import StageInUse
from celonis_frames._staging.receipt import Receipt, stage_of
from celonis_frames._tracebacks import short_traceback
from celonis_frames.exceptions import ConfigError, UploadUncertain

_log = logging.getLogger("celonis_frames")


@short_traceback
def prune_receipts(
    staging: str | os.PathLike[str],
    older_than: dt.timedelta | dt.datetime,
    *,
    storage_options: Mapping[str, Any] | None = None,
) -> int:
    """Removes old receipts of pushes with ``push_id=`` and returns their number.

    A push whose receipt was removed is sent again under its id. So keep receipts for longer than a
    run may be repeated. The receipt of a push that is not finished is never removed: neither while
    a process works on it, nor as long as its chunks wait for `resume` or for the same push.

    Args:
        staging: The fsspec URL that was given to `push`.
        older_than: Age from which on they are removed, such as ``timedelta(days=90)``; or the time
            before which, a datetime with its zone. A receipt is as old as the end of its push.
        storage_options: As for `push`.

    Raises:
        ConfigError: An argument makes no sense, or the folder cannot be read or written.
    """
    before = _time_before("older_than", older_than)
    with _receipt_places(staging, storage_options) as places:
        return sum(_is_removed(place, before) for place in places)


def list_receipts(
    staging: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None
) -> list[Receipt]:
    """The receipts of pushes with ``push_id=``, newest first.

    Raises:
        ConfigError: The folder or a receipt cannot be read.
    """
    with _receipt_places(staging, storage_options) as places:
        found = [receipt for place in places if (receipt := place.receipt()) is not None]
    return sorted(found, key=lambda receipt: receipt.when, reverse=True)


@contextmanager
def _receipt_places(
    staging: str | os.PathLike[str], storage_options: Mapping[str, Any] | None
) -> Iterator[list[StagePlace]]:
    """Where the receipts in a folder are; those of no folder are none."""
    url = parse_staging("staging", staging) or ""
    filesystem, root = open_filesystem(
        url, parse_storage_options("storage_options", storage_options)
    )
    try:
        with translate_filesystem_errors(
            f"staging={mask_url(url)!r} cannot be read", secrets=secrets_of(filesystem, url)
        ):
            filesystem.invalidate_cache()
            names = list_names(filesystem, root) if filesystem.exists(root) else []
        stages = [stage for name in names if (stage := stage_of(name)) is not None]
        yield [StagePlace(filesystem, join_path(root, stage)) for stage in stages]
    finally:
        close_filesystem(filesystem)


def record_end(options: PushOptions, job_id: str, state: str) -> None:
    """Record how the job of a push with an id has ended, which did not wait for it itself.

    Then the job may be deleted. An error changes nothing: the next push reads the job's state.
    """
    try:
        place = StagePlace.of(str(options.staging), str(options.push_id), options.storage_options)
        try:
            claim = place.claim()
            try:
                receipt = claim.receipt
                if receipt is not None and (receipt.state, receipt.job_id) == ("submitted", job_id):
                    claim.record(receipt.ended(state))
            finally:
                claim.release()
        finally:
            place.close()
    except (ConfigError, UploadUncertain) as error:
        _log.info("the end of job %s was not recorded: %s", job_id, error.message)


def _time_before(name: str, value: Any) -> dt.datetime:
    if isinstance(value, dt.timedelta) and value >= dt.timedelta():
        try:
            return dt.datetime.now(dt.UTC) - value
        except OverflowError:
            return dt.datetime.min.replace(tzinfo=dt.UTC)
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise ConfigError(f"{name}= is a time without a zone: give it one, such as UTC.")
        return value
    raise ConfigError(
        f"{name}={shown(value)} must be an age, such as timedelta(days=90), or a datetime."
    )


def _is_removed(place: StagePlace, before: dt.datetime) -> bool:
    """Remove a receipt if it is older, and if nobody needs it."""
    try:
        receipt = place.receipt()
        if receipt is None or receipt.when >= before:
            return False
        claim = place.claim()  # or a process that begins just now would lose its receipt
    except StageInUse:
        return False
    except ConfigError as error:
        warn("a receipt was not removed: %s", error.message)
        return False
    return claim.release(forget=claim.receipt is not None and claim.receipt.when < before)
