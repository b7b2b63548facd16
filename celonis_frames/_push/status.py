"""PushStatus: the result of a push, and the jobs of a pool."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import Job, JobState
from celonis_frames._formatting import counted, format_bytes, format_seconds, shown
from celonis_frames._html import report as html
from celonis_frames._http.status_errors import restated
from celonis_frames._jobs.polling import ENDED, failure, wait_for, within_timeout
from celonis_frames._models.reload import ReloadStatus
from celonis_frames._models.status import html_line
from celonis_frames._push.job_end import JobEnd
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames._validation.rejects import RejectReport
from celonis_frames.exceptions import BadRequest, ConfigError

_COUNT = r"(\d{1,3}(?:[,.']\d{3})+|\d+)"
_DELETED = re.compile(
    rf"(?i)\bdeleted(?: rows?)?:?\s+{_COUNT}(?!\s*(?:chunk|file))\b"
    rf"|\b{_COUNT} rows? (?:were )?deleted\b"
)
"""How a job's log reports the rows it deleted."""
_LOADED = re.compile(
    rf"(?i)\b(?:loaded|inserted|upserted|merged)(?: rows?)?:?\s+{_COUNT}(?!\s*(?:chunk|file))\b"
    rf"|\b{_COUNT} rows? (?:were )?(?:loaded|inserted|upserted|merged)\b"
)
"""How a job's log reports the rows that it wrote."""
_INGESTED = {
    None: "stored, not yet in the table", True: "in the table", False: "not in the table in time"
}  # fmt: skip


Reloads = ReloadStatus | tuple[ReloadStatus, ...] | None
"""What ``status.reload`` is: one status for one data model, a tuple for a list of them."""


@dataclass(frozen=True)
class StoredObjects:
    """What stands in a status in the place of a job: objects stored for the Data Ingestion API."""

    table: str
    pool_id: str | None  # None: it could not be checked
    connection: str  # id of the data connection
    objects: tuple[str, ...]  # their names
    stored_again: int  # objects that were stored again after a response was lost
    ingested: bool | None  # whether the rows are in the table; None: it is not known
    id: None = None
    mode: str = "DELTA"
    state: Literal["ACCEPTED"] = "ACCEPTED"
    logs: tuple[str, ...] = ()


@short_tracebacks
class PushStatus:
    """A data push job, or stored objects, and what was sent. Returned by `push`, `job` and others.

    Args:
        api: The API; None for a status that can only be read.
        job: The job as last read, or the objects.
        rows: Rows sent; None if the job was not pushed here.
        chunks: Files sent.
        bytes_sent: Bytes of the files.
        restarts: Jobs that were made again because a string was longer than foreseen.
        warnings: Warnings about the frame and the table.
        timings: Seconds by stage; ``total`` is the whole push.
        rejects: The values that were not sent.
        repeated: Whether an earlier push with the same id had sent the rows.
        end: What is checked once the job has ended, if nobody has waited for it.
        reload: The loads of data models after the push.
        parts: Partitions whose chunks the workers of an engine have made.
        mode: The ``mode=`` of the push; None if it is only known as what the job shows.
    """

    def __init__(
        self,
        api: DataPushApi | None,
        job: Job | StoredObjects,
        *,
        rows: int | None = None,
        chunks: int | None = None,
        bytes_sent: int | None = None,
        restarts: int = 0,
        warnings: Iterable[str] = (),
        timings: Mapping[str, float] | None = None,
        rejects: RejectReport | None = None,
        repeated: bool = False,
        end: JobEnd | None = None,
        reload: Reloads = None,
        parts: int | None = None,
        mode: str | None = None,
    ) -> None:
        self._api = api
        self._job = job
        self._rows = rows
        self._chunks = chunks
        self._bytes_sent = bytes_sent
        self._restarts = restarts
        self._warnings = tuple(warnings)
        self._timings = dict(timings or {})
        self._rejects = rejects or RejectReport()
        self._repeated, self._end = repeated, end
        self._deletes, self._mode = False, mode
        self._reload, self._parts = reload, parts

    @property
    def state(self) -> JobState | Literal["ACCEPTED"]:
        """``NEW``, ``QUEUED``, ``RUNNING``, ``DONE``, ``ERROR`` or ``CANCELED``, as last read.

        ``ACCEPTED`` by ``via="ingestion"``: stored, and not yet in the table.
        """
        return self._job.state

    @property
    def ok(self) -> bool:
        """Whether the job succeeded, or all objects were stored."""
        return self._job.state in ("DONE", "ACCEPTED")

    @property
    def done(self) -> bool:
        """Whether the job has ended, successfully or not, or all objects were stored."""
        return self._job.state in ENDED or self._job.state == "ACCEPTED"

    @property
    def job_id(self) -> str | None:
        """The job's id; None by ``via="ingestion"``, which has no jobs."""
        return self._job.id

    @property
    def pool_id(self) -> str | None:
        """The pool's id; None if stored objects could not be checked to go there."""
        return self._job.pool_id

    @property
    def table(self) -> str:
        """The table's name."""
        return self._job.table

    @property
    def mode(self) -> str:
        """``DELTA`` or ``REPLACE``; ``DELETE`` for the status that `delete` returns.

        Also for a job that is read again, if its log reports only deleted rows. ``CREATE`` for the
        status of a push that asked for it; its job, read again, is a REPLACE.
        """
        mode = self._mode or self._job.mode
        only_deletes = self._mode is None and mode == "DELTA" and self.loaded is None
        return "DELETE" if self._deletes or (only_deletes and self.deleted is not None) else mode

    @property
    def deleted(self) -> int | None:
        """Rows that the job deleted, as its log says; None if it does not say."""
        return _count_in(self.logs, _DELETED)

    @property
    def loaded(self) -> int | None:
        """Rows that the job wrote into the table, as its log says; None if it does not say."""
        return _count_in(self.logs, _LOADED)

    @property
    def modified(self) -> dt.datetime | None:
        """When the server last changed the job, in UTC; None if it does not say."""
        milliseconds = getattr(self._job, "modified", None)
        if milliseconds is None:
            return None
        try:
            return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
        except (OverflowError, OSError, ValueError):  # no time
            return None

    @property
    def rows(self) -> int | None:
        """Rows sent; None if the job was not pushed here."""
        return self._rows

    @property
    def chunks(self) -> int | None:
        """Files sent; None if the job was not pushed here."""
        return self._chunks

    @property
    def parts(self) -> int | None:
        """Partitions whose chunks the workers of an engine have made, as of a Dask DataFrame.

        None if this process has made the chunks.
        """
        return self._parts

    @property
    def bytes_sent(self) -> int | None:
        """Bytes of the files sent; None if the job was not pushed here."""
        return self._bytes_sent

    @property
    def restarts(self) -> int:
        """How often the job was made again while the frame was read, at most once.

        The job of a frame that is read once is created with lengths of text columns estimated by
        its first rows. If a later string is longer, all chunks go to a second job.
        """
        return self._restarts

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of the objects stored by ``via="ingestion"``, in the order of the rows."""
        return self._job.objects if isinstance(self._job, StoredObjects) else ()

    @property
    def repeated(self) -> bool:
        """Whether an earlier push with the same ``push_id=`` had sent the rows: this one did not.

        What the status says is then that of the earlier push.
        """
        return self._repeated

    @property
    def stored_again(self) -> int:
        """Objects that were stored again after a response was lost (``repeat="allowed"``)."""
        return self._job.stored_again if isinstance(self._job, StoredObjects) else 0

    @property
    def ingested(self) -> bool | None:
        """Whether the rows are in the table, as ``verify="rows"`` has seen; None if not known."""
        return self._job.ingested if isinstance(self._job, StoredObjects) else None

    @property
    def logs(self) -> tuple[str, ...]:
        """The job's log lines, as the server wrote them."""
        return self._job.logs

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the frame that was sent and about its table."""
        return self._warnings

    @property
    def timings(self) -> dict[str, float]:
        """Seconds by stage, in their order, and the ``total``.

        ``read`` is there if the command line has read files: it finds their types before the push.
        ``prepare`` looks at the frame's columns, and looks up the pool; the first push of a process
        also imports libraries there. ``wait_for_earlier_calls`` lasts until no call that had no
        response, or that a killed process made, can take effect any more.
        """
        return dict(self._timings)

    @property
    def rejects(self) -> pa.Table:
        """The values that were not sent because of ``on_bad=``, in the order of the rows.

        A pyarrow Table with the columns ``row`` (from 0, in the frame or in the file), ``file`` (of
        a frame of Parquet files, else null), ``column`` and ``reason``. It has the first 100,000;
        `warnings` count all.
        """
        return self._rejects.table

    @property
    def reload(self) -> ReloadStatus | tuple[ReloadStatus, ...] | None:
        """The load of the data model that ``reload=`` named; a tuple of them if it was a list.

        None without ``reload=``, or if the job was not done. The status of a load that failed, or
        that could not be begun, is here too.
        """
        return self._reload

    def refresh(self) -> PushStatus:
        """Read the job's state again; returns this status.

        Raises:
            ApiError: If the job cannot be read.
            ConfigError: If the status has no connection, as after unpickling.
        """
        if isinstance(self._job, Job):
            self._job = self._connected_api().job(self._job.pool_id, self._job.id)
        return self

    def result(self, timeout: float | None = None) -> PushStatus:
        """Wait for the job as ``push(wait=True)`` does; returns this status, completed.

        For ``wait=False``. What `push` checks at the end is checked here: chunks are counted once
        more if an upload was ever in doubt, and ``verify="rows"`` counts the table's rows.

        Args:
            timeout: Seconds to wait; None waits as long as the job takes.

        Raises:
            JobFailed: If the job ended in ERROR or CANCELED, with the server's logs.
            JobTimeout: If the timeout has passed; the job continues on the server.
            UploadUncertain: If the job holds more chunks than were sent.
            JobError: If the table has more or fewer rows than possible.
            ReloadFailed: If a data model that ``reload=`` named was not loaded.
            ApiError: If the job cannot be read.
            ConfigError: If the status has no connection, as after unpickling, or the timeout is
                no number.
        """
        begin, waits, end = time.monotonic(), not self.done, self._end
        self.wait(timeout)
        if waits:
            self._update(wait_seconds=time.monotonic() - begin)
            self._end = end
        self.raise_for_status()
        if end is not None and isinstance(self._job, Job):
            left = None if timeout is None else max(0.0, begin + timeout - time.monotonic())
            with within_timeout(self._connected_api(), left) as (api, _):
                self._warnings = end.checked(api, self._job, self._warnings)
            self._end = None
        return self

    def wait(self, timeout: float | None = None) -> PushStatus:
        """Wait until the job has ended, successfully or not; returns this status.

        It raises no error for a job that failed; `result` does.

        Args:
            timeout: Seconds to wait; None waits as long as the job takes.

        Raises:
            JobTimeout: If the timeout has passed; the job continues on the server.
            ApiError: If the job cannot be read.
            ConfigError: If the status has no connection, as after unpickling, or the timeout is
                no number.
        """
        if timeout is not None and not isinstance(timeout, int | float):
            raise ConfigError(f"timeout={shown(timeout)} must be a number of seconds.")
        if isinstance(self._job, Job) and not self.done:
            api, job = self._connected_api(), self._job
            wait_for(api, job.pool_id, job.id, timeout=timeout, on_job=self._update)
        return self

    def cancel(self) -> PushStatus:
        """Cancel the job; returns this status.

        Raises:
            BadRequest: If the job has ended: there is nothing to cancel.
            ApiError: If the call fails.
            ConfigError: If the status has no connection, as after unpickling, or is that of stored
                objects, which cannot be recalled.
        """
        if isinstance(self._job, StoredObjects):
            raise ConfigError(
                "Objects that were stored cannot be recalled: Celonis loads them. Delete or "
                "overwrite the rows in Celonis."
            )
        try:
            self._connected_api().cancel_job(self._job.pool_id, self._job.id)
        except BadRequest as error:
            rejected = error
        else:
            return self.refresh()
        if self.refresh().done:
            raise restated(
                rejected,
                f"Job {self.job_id} has already ended ({self.state}): there is nothing to cancel.",
            )
        raise rejected

    def raise_for_status(self) -> None:
        """Raise if the job failed, or a load of a data model after it.

        Raises:
            JobFailed: If the job ended in ERROR or CANCELED.
            ReloadFailed: If a data model that ``reload=`` named was not loaded: the first of them.
        """
        if isinstance(self._job, Job) and self._job.state in ("ERROR", "CANCELED"):
            raise failure(self._job)
        for one in self._reloads():
            one.raise_for_status()

    def to_dict(self) -> dict[str, Any]:
        """All attributes, in types that JSON supports; of `rejects` the numbers by column."""
        names = ("state", "ok", "done", "job_id", "pool_id", "table", "mode", "rows", "chunks")
        return {
            **{name: getattr(self, name) for name in names},
            "bytes_sent": self.bytes_sent,
            "parts": self.parts,
            "restarts": self.restarts,
            "objects": list(self.objects),
            "repeated": self.repeated,
            "stored_again": self.stored_again,
            "ingested": self.ingested,
            "deleted": self.deleted,
            "loaded": self.loaded,
            "modified": None if self.modified is None else self.modified.isoformat(),
            "logs": list(self.logs),
            "warnings": list(self.warnings),
            "timings": self.timings,
            "reload": (
                [one.to_dict() for one in self.reload]
                if isinstance(self.reload, tuple)
                else self.reload and self.reload.to_dict()
            ),
            "rejects": {name: dict(found) for name, found in self._rejects.counts.items()},
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_api": None, "_end": None}

    def __repr__(self) -> str:
        facts = self._facts()
        if self.warnings:
            facts.append(counted(len(self.warnings), "warning"))
        if self.job_id is not None:
            facts.append(f"job {self.job_id}")
        return f"<PushStatus {' · '.join(facts)}>"

    def _repr_html_(self) -> str:
        objects = self._job if isinstance(self._job, StoredObjects) else None
        level: html.Level = "good" if self.ok else "bad" if self.done else "open"
        about = [f"({self.mode})", "" if objects is None else _INGESTED[objects.ingested]]
        about.append("sent by an earlier push" if self.repeated else "")
        return html.report(
            level,
            html.headline(level, self.state, self.table, " · ".join(filter(None, about))),
            html.facts({
                "keys" if self._deletes else "rows": self.rows,
                "rows deleted": self.deleted,
                "chunks" if objects is None else "objects": self.chunks,
                "stored again": self.stored_again or None,
                "sent": None if self.bytes_sent is None else format_bytes(self.bytes_sent),
                "time": format_seconds(self._seconds()) if self._timings else None,
            }),
            html.timeline(self._timings),
            *map(html_line, self._reloads()),
            html.warnings(self.warnings),
            html.log(self.logs, unfolded=level == "bad"),
            html.ids({
                "job": self.job_id, "pool": self.pool_id,
                "data connection": None if objects is None else objects.connection,
            }),
        )  # fmt: skip

    def _facts(self) -> list[str]:
        facts = [self.state, f"{self.table} ({self.mode})"]
        if self.rows is not None:
            facts.append(counted(self.rows, "key" if self._deletes else "row"))
            if self.loaded is not None and self.rows != self.loaded + (self.deleted or 0):
                facts[-1] += f" sent, {self.loaded:,} loaded"  # one of those with the same key
        if self.deleted is not None:
            facts.append(f"{counted(self.deleted, 'row')} deleted")
        objects = self._job if isinstance(self._job, StoredObjects) else None
        if self.chunks is not None:
            facts.append(counted(self.chunks, "chunk" if objects is None else "object"))
        if objects is not None:
            facts.append(_INGESTED[objects.ingested])
        if self.repeated:
            facts.append("sent by an earlier push")
        if self.stored_again:
            facts.append(f"at least once: {counted(self.stored_again, 'object')} stored again")
        if self.bytes_sent is not None:
            facts.append(format_bytes(self.bytes_sent))
        if self._timings:
            facts.append(f"{self._seconds():,.1f} s")
        facts += [f"data model {one.model}: {one.state}" for one in self._reloads()]
        return facts

    def _add_seconds(self, stage: str, seconds: float) -> None:
        """Count what was done before the push for it."""
        total = self._timings.get("total", 0.0)
        self._timings = {stage: seconds, **self._timings, "total": total + seconds}

    def _seconds(self) -> float:
        return self._timings.get("total", sum(self._timings.values()))

    def _reloads(self) -> tuple[ReloadStatus, ...]:
        found = self._reload
        return () if found is None else found if isinstance(found, tuple) else (found,)

    def _update(
        self,
        job: Job | None = None,
        wait_seconds: float | None = None,
        warnings: Iterable[str] = (),
        reload: Reloads = None,
    ) -> None:
        self._job = job or self._job
        self._reload = reload or self._reload
        if wait_seconds is not None:
            self._timings["wait"] = wait_seconds
            self._timings["total"] = self._timings.get("total", 0.0) + wait_seconds
            self._end = None  # who has waited has checked
        self._warnings += tuple(warnings)

    def _connected_api(self) -> DataPushApi:
        if self._api is None:
            msg = (
                f"This status of job {self.job_id} has no connection. Get a new one with "
                f"celonis.job({self.pool_id!r}, {self.job_id!r})."
            )
            raise ConfigError(msg)
        return self._api


def _count_in(logs: Iterable[str], pattern: re.Pattern[str]) -> int | None:
    """The sum of what the lines of a log report; None if none does."""
    found = [match for line in logs if (match := pattern.search(line))]
    counts = [int(re.sub(r"\D", "", match[1] or match[2])) for match in found]
    return sum(counts) if counts else None


def update_status(
    status: PushStatus,
    *,
    job: Job | None = None,
    wait_seconds: float | None = None,
    warnings: Iterable[str] = (),
    reload: Reloads = None,
) -> None:
    """Add to a status what another part of this package found out. Not a public method."""
    status._update(job, wait_seconds, warnings, reload)  # noqa: SLF001  # of this module


def mark_as_delete(status: PushStatus) -> PushStatus:
    """The status, which is that of a job that only deletes. Not a public method."""
    status._deletes = True  # noqa: SLF001  # of this module
    return status
