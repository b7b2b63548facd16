"""The scratch table of a trial: jobs into it, and what can be seen of it.

A trial writes into one table, `TABLE`, whose columns all begin with `PREFIX`. It has no secret and
no row of the user: its rows are written here. The table cannot be removed by the API; at the end it
is empty.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import Job
from celonis_frames._doctor.messages import message_of
from celonis_frames._encoding.chunk import MemoryChunk
from celonis_frames._encoding.csv_writer import CSV_OPTIONS
from celonis_frames._http.messages import CallEvent
from celonis_frames._http.status_errors import parse_error_body
from celonis_frames._http.transport import Transport
from celonis_frames._jobs import polling, rate_limit
from celonis_frames.exceptions import (
    ApiStatusError,
    CelonisFramesError,
    Conflict,
    JobError,
    NotFound,
    RateLimited,
)

TABLE = "CELONIS_FRAMES_DOCTOR"
PREFIX = "DOCTOR_"
CHANGE_DATE = "_CELONIS_CHANGE_DATE"
JOB_SECONDS = 600.0
"""How long a job of a trial may take: it has a few rows."""
_TIME = re.compile(r"^\S+ - ")
"""The time at the beginning of a log line."""
MAX_DETAIL = 160
"""Characters of the server's words that an observation keeps."""

K, V = f"{PREFIX}K", f"{PREFIX}V"
"""The key column and the text column."""

End = Literal["DONE", "ERROR", "CANCELED", "not created", "not uploaded", "not executed"]


class TrialStopped(CelonisFramesError):
    """The trial cannot go on; the message says why."""


@dataclass(frozen=True)
class Result:
    """How a job ended.

    Attributes:
        end: Its final state, or the step at which the server rejected it.
        detail: The server's words, if it did not end in DONE.
    """

    end: End
    detail: str = ""

    @property
    def done(self) -> bool:
        """Whether it is in DONE."""
        return self.end == "DONE"

    @property
    def rejected(self) -> bool:
        """Whether a call was rejected, so that the job was not executed."""
        return self.end in ("not created", "not uploaded", "not executed")


class Scratch:
    """The scratch table of a pool.

    Args:
        api: The calls.
        pool_id: The pool.
        transport: Where the calls go, whose events are seen.
    """

    def __init__(self, api: DataPushApi, pool_id: str, transport: Transport) -> None:
        self._api, self._pool_id, self._transport = api, pool_id, transport
        self._limit = rate_limit.limit_for(api.url)
        self._counts = self._shows_columns = True
        self._written = False

    def run(
        self,
        *files: bytes,
        mode: str = "REPLACE",
        keys: Sequence[str] = (),
        lengths: Mapping[str, int] | None = None,
        types: Mapping[str, str] | None = None,
        csv: bool = False,
        options: Mapping[str, Any] | None = None,
        deleted: Sequence[int] = (),
    ) -> Result:
        """Run a job with these files.

        Args:
            files: The files, in the order of upload.
            mode: REPLACE or DELTA.
            keys: The key columns.
            lengths: Declared characters of text columns; with `types` the table's schema.
            types: Declared types by column.
            csv: Whether the files are CSV.
            options: Further fields of the job.
            deleted: Positions of the files whose rows are to be deleted.

        Raises:
            TrialStopped: A call failed otherwise than by being rejected.
        """
        columns = [
            {"columnName": name, "columnType": kind, "fieldLength": (lengths or {}).get(name)}
            for name, kind in (dict.fromkeys(lengths or {}, "STRING") | dict(types or {})).items()
        ]
        body = {
            **self._body(), "type": mode, "fileType": "CSV" if csv else "PARQUET",
            "keys": list(keys),
            **({"tableSchema": {"tableName": TABLE, "columns": columns}} if columns else {}),
            **({"csvParsingOptions": dict(CSV_OPTIONS)} if csv else {}),
            **(options or {}),
        }  # fmt: skip
        step: End = "not created"
        job: Job | None = None
        try:
            job = self._api.create_job(self._pool_id, body)
            step = "not uploaded"
            for place, file in enumerate(files):
                self.upload(job.id, file, deleted=place in deleted, csv=csv)
            step = "not executed"
            return self.finish(job.id)
        except ApiStatusError as error:
            if 400 <= error.status_code < 500 and error.status_code not in (401, 403, 408, 429):
                words = parse_error_body(error.body.encode())[0]
                return Result(step, _words(f"{error.status_code}{words and f', {words}'}"))
            raise _stopped(error) from error
        except CelonisFramesError as error:
            raise _stopped(error) from error
        finally:
            if job is not None:
                self.remove(job.id)

    @contextlib.contextmanager
    def job(self, file: bytes) -> Iterator[str]:
        """A job with this file that is not executed; it is deleted at the end of the block."""
        job = self._api.create_job(self._pool_id, self._body())
        try:
            self.upload(job.id, file)
            yield job.id
        finally:
            self.remove(job.id)

    def finish(self, job_id: str) -> Result:
        """Execute a job, and wait for its end."""
        self.execute(job_id)
        self._written = True
        job = polling.wait_for(self._api, self._pool_id, job_id, timeout=JOB_SECONDS)
        detail = "" if job.state == "DONE" else _words(_TIME.sub("", "".join(job.logs[-1:])))
        end: Any = job.state
        return Result(end, detail)

    def _body(self) -> dict[str, Any]:
        """The fields of a job without options."""
        return {
            "targetName": TABLE, "type": "REPLACE", "fileType": "PARQUET", "keys": [],
            "dataPoolId": self._pool_id, "connectionId": None, "fallbackVarcharLength": 80,
        }  # fmt: skip

    def upload(self, job_id: str, file: bytes, *, deleted: bool = False, csv: bool = False) -> None:
        """Upload a file into a job."""
        chunk = MemoryChunk(1, 0, (file,), "CSV" if csv else "PARQUET", deleted=deleted)
        self._api.upload_chunk(self._pool_id, job_id, chunk, deleted=deleted)

    def execute(self, job_id: str) -> None:
        """Submit a job, within the quota of the team."""
        for number in itertools.count(1):
            self._limit.wait(self._api.token)
            try:
                self._api.execute_job(self._pool_id, job_id)
            except RateLimited as error:
                self._limit.rejected(error, number)
            except Conflict:
                if number >= 5:
                    raise
                self._api.token.sleep(2.0)
            else:
                return

    def cancel(self, job_id: str) -> tuple[bool, int]:
        """Cancel a job; whether that was accepted, and the bytes of the response."""
        with self.calls() as seen:
            try:
                self._api.cancel_job(self._pool_id, job_id)
            except ApiStatusError as error:
                if error.status_code != 400:
                    raise _stopped(error) from error
                return False, 0
            return True, seen[-1].bytes_received

    def remove(self, job_id: str) -> int | None:
        """Delete a job; the status of the response, None if that failed."""
        status = None
        with self.calls() as seen, contextlib.suppress(CelonisFramesError):
            self._api.delete_job(self._pool_id, job_id)
            status = seen[-1].status
        return status

    def checksums(self, job_id: str) -> list[str | None]:
        """The checksums of the files in a job."""
        return self._api.checksums(self._pool_id, job_id)

    def rows(self) -> int | None:
        """The number of rows of the table; None if the pool does not show it."""
        if not self._counts:
            return None
        try:
            tables = self._api.tables(self._pool_id)
        except ApiStatusError:
            tables = []
        found = [one.rows for one in tables if one.name == TABLE and one.connection_id is None]
        if not found or found[0] is None:
            self._counts = False  # it does not show it the next time either
            return None
        return found[0]

    def columns(self) -> dict[str, tuple[str, int | None]] | None:
        """Type and length of each column by its name; None if the pool does not show them."""
        if not self._shows_columns:
            return None
        try:
            found = self._api.columns(self._pool_id, TABLE)
        except ApiStatusError as error:
            if error.status_code in (401, 403):
                self._shows_columns = False
            return None
        return {one.name: (one.type, one.length) for one in found}

    @contextlib.contextmanager
    def calls(self) -> Iterator[list[CallEvent]]:
        """The events of the calls that are made in the block."""
        seen: list[CallEvent] = []
        self._transport.listeners.append(seen.append)
        try:
            yield seen
        finally:
            self._transport.listeners.remove(seen.append)

    def check_is_ours(self) -> None:
        """Raise TrialStopped if the table holds something else, or somebody is trying it now."""
        found = self.columns() or {}
        others = [name for name in found if not name.startswith(PREFIX) and name != CHANGE_DATE]
        if others:
            raise TrialStopped(
                f"The pool has a table {TABLE} with other columns than a trial makes. Rename or "
                "remove it."
            )
        jobs: list[Job] = []
        with contextlib.suppress(NotFound):  # the first job creates the pool
            jobs = self._api.jobs(self._pool_id, where=lambda job: job.table == TABLE)
        busy = [job.id for job in jobs if job.state in {"QUEUED", "RUNNING"}]
        if busy:
            raise TrialStopped(
                f"Another trial is at work in this pool (job {busy[0]}). Wait for it."
            )

    def empty(self) -> str:
        """Empty the table; returns what became of it, in a sentence."""
        if not self._written:
            return ""
        with contextlib.suppress(TrialStopped):
            if self.run(texts()).done and self.rows() in {0, None}:
                return f"The table {TABLE} is empty again."
            # A file without rows is not accepted: one row is left, and deleted by its key.
            self.run(texts((1, "a")), keys=[K])
            last = self.run(keys_of(1), mode="DELTA", keys=[K], deleted=(0,))
            if last.done and self.rows() in {0, None}:
                return f"The table {TABLE} is empty again."
        return f"The table {TABLE} could not be emptied: it has a few rows of the trial. Remove it."


def texts(*rows: tuple[int | None, str | None], columns: Mapping[str, Any] | None = None) -> bytes:
    """A file as Celonis certainly takes it, with a key, a text, and further columns."""
    table = pa.table(
        {
            K: pa.array([row[0] for row in rows], pa.int64()),
            V: pa.array([row[1] for row in rows], pa.string()),
            **(columns or {}),
        }
    )
    return parquet(table)


def keys_of(*keys: Any) -> bytes:
    """A file with keys alone."""
    return parquet(pa.table({K: pa.array(keys, pa.int64())}))


def parquet(table: pa.Table, **options: Any) -> bytes:
    """A table as a Parquet file: by default as Celonis certainly takes it."""
    sink = io.BytesIO()
    certain = {
        "compression": "snappy", "use_deprecated_int96_timestamps": True,
        "data_page_version": "1.0", "version": "1.0", "store_schema": False,
    }  # fmt: skip
    pq.write_table(table, sink, **{**certain, **options})
    return sink.getvalue()


def _words(text: str) -> str:
    """The server's words, shortened; a table of the trial is the only thing that they can name."""
    words = " ".join(text.split())
    return words if len(words) <= MAX_DETAIL else f"{words[: MAX_DETAIL - 1]}…"


def _stopped(error: CelonisFramesError) -> TrialStopped:
    hint = " Look at the job before another trial." if isinstance(error, JobError) else ""
    return TrialStopped(f"The trial stopped: {message_of(error)}{hint}")
