"""What happens during a push, as records: for ``on_event=``, and for `JsonLines`.

A record is a frozen dataclass. All have the attributes of `Event`, which tell one call from
another; each kind adds its own. No record has a key, a secret or the value of a cell. Names of
columns are in messages of `Warned` and `Ended`.

::

    Event
    ├── Began           the call begins: always the first record
    ├── StageBegan      a stage begins; stages do not overlap
    ├── StageEnded      it ends
    ├── ChunkSent       Celonis has stored a chunk
    ├── JobChanged      a job, a load or an execution has another state
    ├── Retrying        a request failed, and is repeated after a wait
    ├── Waiting         nothing is sent for a while
    ├── Warned          a warning, as in the log
    └── Ended           the call ends: always the last record
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from celonis_frames.exceptions import ConfigError

__all__ = [
    "Began",
    "ChunkSent",
    "Ended",
    "Event",
    "JobChanged",
    "JsonLines",
    "Retrying",
    "StageBegan",
    "StageEnded",
    "Waiting",
    "Warned",
]

Operation = Literal[
    "push", "push_event_log", "delete", "changes", "push_many", "resume", "reload", "run_job"
]
Stage = Literal["checking", "uploading", "submitting", "waiting", "loading", "executing"]
JobKind = Literal["push", "load", "data_job"]
WaitReason = Literal["quota", "earlier_call", "other_process", "other_run"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """What all records have.

    Attributes:
        event: The kind of the record, as in its JSON form: ``"stage_began"``.
        time: When it happened, in UTC.
        monotonic: The same in seconds of `time.monotonic`, which is never set back: for durations.
        operation: The function that was called. Each table of `push_many` and each stage that
            `resume` finishes is a ``"push"`` of its own.
        call_id: A random id, the same in all records of one call.
        parent_id: Of a table of `push_many` or a stage of `resume`: the id of that call; else None.
        push_id: What ``push_id=`` was, else None.
        pool_id: The pool's id; None until it was looked up.
        table: The table's name; for ``"reload"`` and ``"run_job"`` the id or name of the data model
            or data job, as it was given; None for `push_many` and `resume`.
        job_id: The id of the job, from its creation; None before, and if there is none.
    """

    event: ClassVar[str] = "event"

    time: datetime
    monotonic: float
    operation: Operation
    call_id: str
    parent_id: str | None
    push_id: str | None
    pool_id: str | None
    table: str | None
    job_id: str | None

    def to_dict(self) -> dict[str, Any]:
        """The record in types that JSON supports.

        ``event`` comes first, then the attributes in their order; ``time`` is written as in
        ``2026-11-28T09:30:00.000000Z``. Keys may be added in later versions; none changes.
        """
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        when = self.time.replace(tzinfo=None).isoformat(timespec="microseconds")
        return {"event": self.event, **values, "time": f"{when}Z"}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Began(Event):
    """The call begins.

    Attributes:
        url: The base URL of the team.
        version: The version of celonis_frames.
    """

    event: ClassVar[str] = "began"

    url: str
    version: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StageBegan(Event):
    """A stage begins. One ends before the next one begins.

    Attributes:
        stage: ``"checking"`` (the frame is compared with its table, and its job is created),
            ``"uploading"``, ``"submitting"``, ``"waiting"`` (for the end of the job), ``"loading"``
            (data models) or ``"executing"`` (a data job).
    """

    event: ClassVar[str] = "stage_began"

    stage: Stage


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StageEnded(Event):
    """A stage ends, successfully or not.

    Attributes:
        stage: As in `StageBegan`.
        seconds: How long it took.
    """

    event: ClassVar[str] = "stage_ended"

    stage: Stage
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ChunkSent(Event):
    """A chunk is known to be stored in the job, or an object to be stored.

    If a job is replaced by a new one, all chunks are sent once more, with the new `job_id`.

    Attributes:
        number: Its number, from 1, in the order of the rows.
        rows: Its rows.
        bytes: Its size.
    """

    event: ClassVar[str] = "chunk_sent"

    number: int
    rows: int
    bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class JobChanged(Event):
    """A job was created, or is seen in another state than before.

    Attributes:
        job_kind: ``"push"`` for the job of a push, ``"load"`` for the load of a data model,
            ``"data_job"`` for the execution of a data job.
        name: Name of the table, the data model or the data job.
        state: The server's word: ``"NEW"``, ``"QUEUED"``, ``"RUNNING"``, ``"DONE"``, ``"ERROR"`` or
            ``"CANCELED"`` for the job of a push. A state that lasts shorter than the time between
            two looks at the job is not seen.
        done: Whether it has ended, successfully or not.
    """

    event: ClassVar[str] = "job_changed"

    job_kind: JobKind
    name: str
    state: str
    done: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Retrying(Event):
    """A request failed, and is repeated after a wait.

    Attributes:
        attempt: How often it has failed so far.
        seconds: How long the wait is.
        method: HTTP method of the request.
        url: Its URL, without query and credentials.
        error: Class name of the error.
        status_code: The HTTP status; None if there was no response.
        request_id: See `ApiStatusError`.
    """

    event: ClassVar[str] = "retrying"

    attempt: int
    seconds: float
    method: str
    url: str
    error: str
    status_code: int | None
    request_id: str | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Waiting(Event):
    """Nothing is sent for a while.

    Attributes:
        reason: ``"quota"`` (of submissions of the team), ``"earlier_call"`` (whose response was
            lost, and which may still take effect), ``"other_process"`` (pushes under the same id),
            ``"other_run"`` (a load or an execution is in the way).
        seconds: How long; None if it is not known.
    """

    event: ClassVar[str] = "waiting"

    reason: WaitReason
    seconds: float | None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Warned(Event):
    """A warning was logged.

    Attributes:
        message: The line of the log.
    """

    event: ClassVar[str] = "warned"

    message: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ended(Event):
    """The call ends: it returns, or raises an error.

    Attributes:
        ok: Whether it returns.
        seconds: How long it took.
        state: State of the job as last seen; None if there is none.
        rows: Rows sent; None if the call raises an error, and for `push_many` and `resume`.
        chunks: Files sent.
        bytes_sent: Their bytes.
        error: Class name of the error; None if there is none.
        message: What the error says, if all of it is written by this library: that of a
            `ConfigError`, a `FrameError`, an `ApiConnectionError` or an `ApiTimeoutError`. The
            others may quote the server, or come from the caller's own code.
        status_code: HTTP status of an `ApiStatusError`.
        request_id: See `ApiStatusError`.
        support_id: See `ApiStatusError`.
    """

    event: ClassVar[str] = "ended"

    ok: bool
    seconds: float
    state: str | None
    rows: int | None
    chunks: int | None
    bytes_sent: int | None
    error: str | None
    message: str | None
    status_code: int | None
    request_id: str | None
    support_id: str | None


class JsonLines:
    """Appends each record to a file, as one line of JSON; for ``on_event=``.

    ::

        with JsonLines("events.jsonl") as record:
            df.celonis.push("Purchasing", "EVENTS", on_event=record)

    A line is written by one call to the system, at the end of the file, and nothing is buffered. So
    any number of threads, and of processes of one machine, can write to the same file at a time. A
    file that exists is continued. It can be pickled: another process opens the file again.

    Args:
        path: The file. Its folder must exist.

    Raises:
        ConfigError: The file cannot be opened for writing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._lock = threading.Lock()
        try:
            self._file = Path(self.path).open("ab", buffering=0)  # noqa: SIM115  # until `close`
        except (OSError, ValueError) as error:
            problem = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"JsonLines cannot write to {self.path!r}: {problem}.") from error

    def __call__(self, event: Event) -> None:
        """Write a record.

        Raises:
            OSError: It cannot be written.
            ValueError: The file was closed.
        """
        line = json.dumps(event.to_dict()).encode() + b"\n"
        with self._lock:
            written = self._file.write(line)
            while written < len(line):  # the disk is nearly full
                written += self._file.write(line[written:])

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return JsonLines, (self.path,)

    def __repr__(self) -> str:
        return f"<JsonLines {self.path}>"
