"""What is delivered, and what came of it: the types of a delivery, which `shell` carries out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.file_body import Payload
from celonis_frames._jobs.delivery_state import Recorded
from celonis_frames._progress.bar import Bar
from celonis_frames.exceptions import UploadUncertain


class JobChunk(Payload, Protocol):
    """A chunk to upload: a file with its number of rows."""

    @property
    def rows(self) -> int:
        """Rows in the file."""

    @property
    def deleted(self) -> bool:
        """Whether they are keys of rows to delete."""


class Destination(Protocol):
    """Where chunks go, if not into a job: see `DeliveryMachine`."""

    @property
    def repeatable(self) -> bool:
        """Whether a chunk may be stored again under its name."""

    def upload(
        self,
        token: CancelToken,
        payload: Payload,
        *,
        deleted: bool,
        on_sent: Callable[[int], None],
    ) -> None:
        """Upload a chunk, once, under a token; arguments as of `DataPushApi.upload_chunk`."""


class BodyRefuted(Exception):  # no error: the delivery goes on
    """The job's fields do not fit the chunks that come next: a new job gets all chunks.

    Raised by the iterator of the chunks; `Delivery.body` then returns other fields.
    """


class DeliveryProgress(Protocol):
    """Takes how far a delivery is."""

    @property
    def bar(self) -> Bar | None:
        """The bar, if there is one."""

    def stage(self, name: Literal["uploading", "submitting"]) -> None:
        """A stage begins, or goes on."""

    def chunk_done(self, number: int, rows: int, size: int) -> None:
        """A chunk is stored."""

    def restart(self) -> None:
        """Reset the counts: a new job gets all chunks again."""


class JobJournal(Protocol):
    """Records the state of a delivery, so that another process can finish the push."""

    def record(
        self,
        state: Literal["creating", "uploading", "submitting"],
        job_id: str,
        jobs: tuple[str, ...],
        lost_creations: int,
    ) -> None:
        """Record what is in `Recorded`.

        Raises:
            UploadUncertain: Another process has taken over the push.
        """

    def hold(self) -> None:
        """Check that the push is still this process's; called before each call that changes a job.

        Raises:
            UploadUncertain: Another process has taken over the push.
        """


class LeaseLost(Exception):  # no error: the delivery ends, and has the error
    """A call was not made, because another process has taken over the push; `error` says so."""

    def __init__(self, error: UploadUncertain) -> None:
        super().__init__(str(error))
        self.error = error


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One push, as it is delivered.

    `body` returns the fields of the next job by their API names; it may wait until they are known.
    `workers` returns the parallel uploads that are possible by now; with one, the server receives
    the chunks in order. `chunks` returns the chunks from the first, each time it is called. The
    argument of `body` and `chunks` raises if the delivery cannot go on; it is called while they
    wait. `recorded` is what an earlier process recorded, `begun` the time when it began (s since
    1970). `rows` returns the rows of all chunks, as far as they are known by then.
    """

    pool_id: str
    body: Callable[[Callable[[], None]], Mapping[str, Any]]
    chunks: Callable[[Callable[[], None]], Iterable[JobChunk]]
    workers: Callable[[], int]
    mark: Mapping[str, Any]  # see `JobDestination`
    duplicate_removal_column: str | None = None  # see `DataPushApi.execute_job`
    journal: JobJournal | None = None
    recorded: Recorded | None = None
    begun: float = 0.0
    destination: Destination | None = None  # None: a job
    marked: bool = True  # see `JobDestination`
    rows: Callable[[], int | None] = lambda: None


@dataclasses.dataclass
class DeliveryResult:
    """What was sent into a job, and whether it was submitted.

    Created by the caller and updated in place, so that the result survives an interrupt that
    discards the return value. `doubted` says that its chunks are to be counted once more at its
    end.
    """

    job_id: str = ""
    rows: int = 0
    chunks: int = 0
    bytes: int = 0
    submitted: bool = False
    doubted: bool = False
    restarts: int = 0  # jobs made again because a string was longer than it was declared

    def begin(self, job_id: str) -> None:
        """Start counting for a new job."""
        self.job_id = job_id
        self.rows = self.chunks = self.bytes = 0

    def add(self, chunk: JobChunk) -> None:
        """Count a chunk."""
        self.chunks += 1
        self.rows += chunk.rows
        self.bytes += chunk.size
