"""A push with an id: it is sent once, also across processes.

`open_job_once` and `open_objects_once` are called when the target of a push is known, before the
table is read. They find out what an earlier push of the same id has left, and take the step that
`celonis_frames._staging.earlier_push` decides: they return the stage for this push, or the status
of the earlier one.

A process that works on a push has the lease of its stage, and another one waits for it: it reads
the receipt every few seconds, and takes the lease when that is free.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from celonis_frames._api import lookup
from celonis_frames._api.models import Job
from celonis_frames._formatting import counted
from celonis_frames._jobs.delivery import DeliveryResult
from celonis_frames._jobs.polling import ENDED
from celonis_frames._push.job_end import JobEnd
from celonis_frames._push.object_push import (
    IngestionWay,
    new_objects_manifest,
    object_prefix,
)
from celonis_frames._push.pipeline import Opening, follow, new_manifest
from celonis_frames._push.receipts import record_end
from celonis_frames._push.resume import finish_staged
from celonis_frames._push.status import (
    PushStatus,
    StoredObjects,
    mark_as_delete,
    update_status,
)
from celonis_frames._reporting.current import report_wait, warn
from celonis_frames._staging.claim import Claim, StagePlace
from celonis_frames._staging.earlier_push import Step, decide
from celonis_frames._staging.lease import StageInUse
from celonis_frames._staging.manifest import Manifest
from celonis_frames._staging.receipt import Receipt
from celonis_frames._staging.stage import Stage, lost_receipt
from celonis_frames.exceptions import (
    ApiError,
    CelonisFramesError,
    ConfigError,
    JobTimeout,
    NotFound,
    UploadUncertain,
)

FIRST_DELAY, LAST_DELAY = 0.1, 5.0
"""Seconds between looks at a push on which another process works, at first and at last."""

FAILED = ("ERROR", "CANCELED")
"""The states of a job whose rows are not in the table."""

_log = logging.getLogger("celonis_frames")


def open_job_once(opening: Opening) -> Stage | PushStatus:
    """The stage for a push with an id that is to be sent as a job; or the earlier push's status.

    Raises:
        ConfigError: The id has another target or schema; the stage or the receipt cannot be read
            or written.
        JobTimeout: Another process did not end its push in time.
        UploadUncertain: It cannot be determined how the earlier push ended.
        FrameError, ApiError, JobError: As `celonis_frames.resume`, of the earlier push.
    """
    manifest = new_manifest(opening.api, opening.pool_id, opening.options)
    return _Once(opening, manifest, None).open()


def open_objects_once(way: IngestionWay) -> Callable[[Opening], Stage | PushStatus]:
    """A function as `open_job_once`, for a push that is stored as objects."""

    def open_once(opening: Opening) -> Stage | PushStatus:
        prefix = object_prefix(opening.options.push_id)
        manifest = new_objects_manifest(way, opening.pool_id, opening.options, prefix)
        return _Once(opening, manifest, way).open()

    return open_once


@dataclass
class _Once:
    """One push with an id, as it looks for earlier ones."""

    opening: Opening
    manifest: Manifest  # with which its own stage would begin
    way: IngestionWay | None

    def open(self) -> Stage | PushStatus:
        """As `open_job_once`."""
        options = self.opening.options
        mine = self._receipt()
        place = StagePlace.of(str(options.staging), mine.push_id, options.storage_options)
        try:
            while True:
                found = self._wait(place, mine)
                if isinstance(found, Receipt):
                    return self._repeated(found)
                opened = self._step(place, mine, found)
                if opened is not None:
                    return opened
        finally:
            place.close()

    def _receipt(self) -> Receipt:
        """The receipt with which the push would begin."""
        frames, options = self.opening.frames, self.opening.options
        layouts = self.opening.layouts or [one.layout for one in frames]
        written = (place for place, one in enumerate(frames) if not one.deleted)
        shape = layouts[next(written, 0)]
        return Receipt(
            push_id=str(options.push_id),
            url=self.manifest.url,
            pool_id=self.opening.pool_id,
            connection=self.opening.connection_id,
            via="push" if self.way is None else "ingestion",
            table=frames[0].table,
            mode="DELETE" if all(one.deleted for one in frames) else options.mode,
            keys=shape.keys,
            columns={one.name: one.conversion.column_type for one in shape.columns},
        )

    def _files(self) -> set[str]:
        """Names of chunks that workers have written into the stage before this process."""
        frames = self.opening.frames
        partitions = [one.source.partitions for one in frames if one.source.partitions is not None]
        return {name for one in partitions for name in one.files}

    def _differences(self, receipt: Receipt | None, mine: Receipt) -> list[str]:
        """What the earlier push did otherwise.

        The local Celonis takes the name of a pool for its id until the first job has created it: so
        two ids that differ are looked up once more.
        """
        if receipt is None:
            return []
        if receipt.pool_id != mine.pool_id and self.way is None:
            api = self.opening.api.within(self.opening.token)
            with contextlib.suppress(ApiError, ConfigError):
                ids = {lookup.pool_id(api, one.pool_id, for_push=False) for one in (receipt, mine)}
                if len(ids) == 1:
                    mine = replace(mine, pool_id=receipt.pool_id)
        return receipt.differences(mine)

    def _wait(self, place: StagePlace, mine: Receipt) -> Claim | Receipt:
        """The claim to the stage; or the receipt of a push that is done."""
        token, delay, said = self.opening.token, FIRST_DELAY, False
        while True:
            receipt = place.receipt()
            different = self._differences(receipt, mine)
            step = decide(None if receipt is None else receipt.state, "held", same=not different)
            if receipt is not None and step is Step.RETURN:
                _tidy(place)
                return receipt
            if receipt is not None and step is Step.REFUSE:
                raise _refusal(place, receipt, different)
            try:
                return place.claim()
            except StageInUse as error:
                if token.expired:
                    raise _timed_out(mine, error) from error
                if not said:
                    _log.info("another process works on the push of %s: waiting", mine.named)
                    report_wait("other_process", None, "waiting for another process")
                    said = True
            token.sleep(delay)
            delay = min(2 * delay, LAST_DELAY)

    def _step(self, place: StagePlace, mine: Receipt, claim: Claim) -> Stage | PushStatus | None:
        """Act on what is there; None if it has to be looked at again.

        The claim goes over to the stage, or is released.
        """
        receipt, kept = claim.receipt, True
        same = not self._differences(receipt, mine)
        step = decide(None if receipt is None else receipt.state, claim.found, same=same)
        try:
            if step is Step.SEND:
                kept = False
                manifest = replace(self.manifest, begun=time.time())
                return claim.begin(self._receipt(), manifest, keep=self._files())
            if receipt is None:
                raise lost_receipt(place.filesystem, place.folder, mine.push_id)
            if step is Step.LOST:
                raise _lost_stage(place, receipt)
            if step is Step.FINISH:
                kept = False
                return self._finish(claim.stage(), receipt)
            if step is Step.FOLLOW:
                return self._follow(place, claim, receipt)
            return None  # it was done just now, or for another target: `_wait` sees it
        finally:
            if kept:
                claim.release()

    def _finish(self, stage: Stage, receipt: Receipt) -> PushStatus | None:
        """Finish what an earlier process has staged; None if its job turns out to have failed."""
        opening, manifest = self.opening, stage.manifest
        submitted = manifest.job_id if manifest.state == "submitting" else None
        try:
            status = finish_staged(
                opening.api, opening.token, stage, way=self.way, wait=opening.options.wait,
                progress=opening.progress, delivered=opening.delivered,
                on_submitted=opening.on_submitted,
            )  # fmt: skip
        finally:
            stage.close()
        if status.state in FAILED and status.job_id == submitted and stage.finished:
            self._forget_job()
            return None
        text = (
            f"{receipt.named} was begun on {_day(receipt)} and did not end: the chunks that were "
            "staged then were sent, and the frame given now was not read."
        )
        warn("%s: %s", receipt.table, text)
        update_status(status, warnings=[text])
        if opening.options.wait:
            status.raise_for_status()
        return status

    def _follow(self, place: StagePlace, claim: Claim, receipt: Receipt) -> PushStatus | None:
        """Read, or wait for, the job that an earlier push had submitted; None if it has failed."""
        opening, delivered = self.opening, self.opening.delivered
        delivered.job_id, delivered.submitted = receipt.job_id, True
        delivered.rows, delivered.chunks = receipt.rows or 0, receipt.chunks or 0
        delivered.bytes, delivered.doubted = receipt.bytes_sent or 0, receipt.doubted
        api, wait = opening.api.within(opening.token), opening.options.wait
        try:
            job = follow(api, receipt.pool_id, delivered, opening.progress, wait=wait, timings={})
        except NotFound as error:
            raise UploadUncertain(
                f"Job {receipt.job_id} of {receipt.named} was deleted, and may have been executed "
                "before. Check the table: if it lacks the rows, delete the receipt at "
                f"{place.receipt_url} and push again.",
                job_id=receipt.job_id,
            ) from error
        if job.state in ENDED and (wait or job.state in FAILED or not delivered.doubted):
            self._record(claim, receipt.ended(job.state, pool_id=job.pool_id))
        if job.state in FAILED:
            self._forget_job()
            return None
        if job.state not in ENDED and opening.on_submitted is not None:
            opening.on_submitted(delivered, None)
        return self._repeated(receipt, job)

    def _record(self, claim: Claim, receipt: Receipt) -> None:
        """Record the end of a job; if it is DONE, an error changes nothing: it will be read again.

        Raises:
            ConfigError: The receipt cannot be written.
            UploadUncertain: Another process has taken over.
        """
        try:
            claim.record(receipt)
        except (ConfigError, UploadUncertain) as error:
            if receipt.state in FAILED:
                raise
            warn("%s: %s", receipt.table, error.message)

    def _forget_job(self) -> None:
        """Forget the job of the earlier push: another one takes its place."""
        vars(self.opening.delivered).update(vars(DeliveryResult()))
        if self.opening.on_submitted is not None:
            self.opening.on_submitted(self.opening.delivered, None)

    def _repeated(self, receipt: Receipt, job: Job | None = None) -> PushStatus:
        """The status of the earlier push."""
        way, stored = self.way, None
        if receipt.state == "ACCEPTED":
            stored = StoredObjects(
                table=receipt.table,
                pool_id=receipt.pool_id or None,
                connection=receipt.connection or "",
                objects=receipt.objects,
                stored_again=0,
                ingested=None,
            )
        rows = "an unknown number of rows" if receipt.rows is None else counted(receipt.rows, "row")
        where = f" by job {receipt.job_id}" if receipt.job_id else ""
        text = (
            f"{receipt.named} was sent before: {rows} on {_day(receipt)}{where}. This push sent "
            "nothing."
        )
        warn("%s: %s", receipt.table, text)
        status = PushStatus(
            None if way is not None and not way.can_look else self.opening.api,
            stored or job or _job_of(receipt),
            rows=receipt.rows,
            chunks=receipt.chunks,
            bytes_sent=receipt.bytes_sent,
            warnings=[text],
            repeated=True,
            mode=receipt.mode,
            end=None
            if job is None
            else JobEnd(self.opening.delivered, None, partial(record_end, self.opening.options)),
        )
        return mark_as_delete(status) if receipt.mode == "DELETE" else status


def _tidy(place: StagePlace) -> None:
    """Remove the stage of a push that is done, if its process ended before it had done so."""
    if place.is_staged():
        with contextlib.suppress(CelonisFramesError):  # another process does it, or will
            place.claim().release()


def _refusal(place: StagePlace, receipt: Receipt, different: list[str]) -> ConfigError:
    found = "; ".join(different)
    return ConfigError(
        f"{receipt.named} was used for another push, on {_day(receipt)}. This one differs: "
        f"{found}. Give each push an id of its own, such as the table with the date of the run. If "
        f"the earlier one does not count, delete its receipt at {place.receipt_url}."
    )


def _lost_stage(place: StagePlace, receipt: Receipt) -> UploadUncertain:
    what = f"job {receipt.job_id}" if receipt.job_id else "objects"
    return UploadUncertain(
        f"The chunks of {receipt.named} are gone, and with them what is known of its push, which "
        f"was sent as {what} on {_day(receipt)}. Check the table: if it lacks the rows, delete the "
        f"receipt at {place.receipt_url} and push again.",
        job_id=receipt.job_id,
    )


def _timed_out(mine: Receipt, error: StageInUse) -> JobTimeout:
    return JobTimeout(
        f"timeout= passed while another process worked on the push of {mine.named}; this call sent "
        f"nothing. {error.message} Then call it again with the same id.",
        job_id="",
    )


def _job_of(receipt: Receipt) -> Job:
    """The job of a push that is done, as it was."""
    return Job(
        id=receipt.job_id,
        pool_id=receipt.pool_id,
        table=receipt.table,
        mode="REPLACE" if receipt.mode in ("REPLACE", "CREATE") else "DELTA",
        file_type="",
        connection_id=receipt.connection,
        keys=receipt.keys,
        state="DONE",
        logs=(),
    )


def _day(receipt: Receipt) -> str:
    return f"{receipt.when:%Y-%m-%d %H:%M} UTC"
