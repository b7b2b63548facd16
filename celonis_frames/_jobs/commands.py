"""What passes between the delivery machine and the shell that carries its commands out.

Events go in, commands come out; see `celonis_frames._jobs.machine`. Each command names the events
that can answer it; every command can also be answered by `Failed`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from celonis_frames._jobs.reconcile import Checksums, Digests


class State(enum.StrEnum):
    """Where a delivery stands. The first three are recorded in a stage."""

    CREATING = "creating"
    UPLOADING = "uploading"
    SUBMITTING = "submitting"
    FINDING = "finding"  # the job of an earlier process
    RECONCILING = "reconciling"  # which uploads without a response were stored
    PROBING = "probing"  # sends a chunk twice, into a job to be cancelled: see `ChecksumKind`
    SETTLING = "settling"  # waits until nothing can be stored late
    COUNTING = "counting"
    QUEUEING = "queueing"  # for the team's quota of submissions
    CHECKING = "checking"  # whether the job was submitted
    RECHECKING = "rechecking"  # for chunks that were stored between the count and the submission
    REPLACING = "replacing"  # cancels the job, so that a new one can take its place
    FAILING = "failing"  # cancels the job because of an error
    RETRACTING = "retracting"  # cancels a submitted job that holds too many chunks
    SWEEPING = "sweeping"  # cancels jobs whose creation had no response
    DELIVERED = "delivered"
    FAILED = "failed"


ENDS = frozenset({State.DELIVERED, State.FAILED})


class Verdict(enum.Enum):
    """Why a push cannot say whether its rows are in the table."""

    UNVERIFIED = "no job could be shown to hold every chunk once; nothing was executed"
    SURPLUS = "the submitted job holds more chunks than were sent"
    MAYBE_EXECUTED = "the job may have been executed, and holds chunks that cannot be identified"
    GONE = "the job was deleted after its submission"
    MATCH = "a job that may be this push's was executed"


# Events ------------------------------------------------------------------------------------------


class Start(NamedTuple):
    """The delivery begins."""


class FoundJob(NamedTuple):
    """A job of an earlier process; `checksums` are empty if they need not be compared."""

    id: str
    state: str
    checksums: Checksums = ()


class Found(NamedTuple):
    """What is left of an earlier process.

    `recorded` is the job of the record, None if it is gone. `others` have the push's mark, or are
    recorded as not yet cancelled. `digests` are those of the push's chunks.
    """

    recorded: FoundJob | None
    others: tuple[FoundJob, ...]
    digests: tuple[Digests, ...]


class Created(NamedTuple):
    """The job was created."""

    job_id: str


class CreationUnknown(NamedTuple):
    """The creation had no response; it may be repeated."""


class ChunkReady(NamedTuple):
    """The next chunk, by its number; `uploads` may run at a time from now on."""

    number: int
    uploads: int


class ChunksEnded(NamedTuple):
    """There are no more chunks."""


class Uploaded(NamedTuple):
    """The server acknowledged a chunk."""

    number: int


class UploadUnknown(NamedTuple):
    """The upload had no response; it may be repeated."""

    number: int
    digests: Digests


class Listed(NamedTuple):
    """The chunks in the job."""

    checksums: Checksums


class Woke(NamedTuple):
    """A `Sleep` is over."""


class SlotReserved(NamedTuple):
    """The team's quota allows a submission now."""


class Submitted(NamedTuple):
    """The server accepted the submission."""


class NotSubmitted(NamedTuple):
    """The submission was not carried out, and may be repeated."""


class SubmissionUnknown(NamedTuple):
    """The submission had no response; the error says why."""

    error: Any


class SubmissionRejected(NamedTuple):
    """The submission was rejected, perhaps because the job has left NEW."""

    error: Any
    temporary: bool


class JobIs(NamedTuple):
    """The job's state."""

    state: str


class JobCancelled(NamedTuple):
    """The job was cancelled, or had ended; `state` is its final one."""

    state: str


class CancelFailed(NamedTuple):
    """It is unknown whether the job was cancelled."""

    error: Any


class Swept(NamedTuple):
    """The jobs found by the push's mark were cancelled."""


class Refuted(NamedTuple):
    """The job's fields do not fit the chunks that come next; a new job gets other fields."""


class Failed(NamedTuple):
    """A command failed for good, or the push is to end.

    `interrupted`: the caller ends the push, whatever the job does. `unknown`: the command may have
    been carried out. `unsent`: it was not, and what follows it was not begun.
    """

    error: Any
    interrupted: bool = False
    unknown: bool = False
    unsent: bool = False


class TakenOver(NamedTuple):
    """Another process has taken over the push: its jobs are not touched.

    It answers any command that changes a job or is recorded.
    """

    error: Any


# Commands ----------------------------------------------------------------------------------------


class Find(NamedTuple):
    """Read what is left of an earlier process: `Found`."""


class Create(NamedTuple):
    """Create a job: `Created`, `CreationUnknown`."""


class Record(NamedTuple):
    """Record the state, so that a later process can go on from it."""

    state: State


class Next(NamedTuple):
    """Take the next chunk: `ChunkReady`, `ChunksEnded`, `Refuted`."""


class Restart(NamedTuple):
    """Begin again with the first chunk."""


class Send(NamedTuple):
    """Upload a chunk: `Uploaded`, `UploadUnknown`."""

    number: int


class Release(NamedTuple):
    """A chunk is stored; `confirmed`: although its upload had no response."""

    number: int
    confirmed: bool


class List(NamedTuple):
    """After `delay` seconds, read the job's chunks: `Listed`."""

    delay: float


class Sleep(NamedTuple):
    """Wait until a time: `Woke`."""

    until: float


class Reserve(NamedTuple):
    """Wait for the team's quota of submissions: `SlotReserved`."""


class Submit(NamedTuple):
    """Submit the job: `Submitted`, `NotSubmitted`, `SubmissionUnknown`, `SubmissionRejected`."""


class ReadState(NamedTuple):
    """After `delay` seconds, read the job's state: `JobIs`."""

    delay: float


class StopUploads(NamedTuple):
    """End the uploads that run."""


class Cancel(NamedTuple):
    """Cancel the job: `JobCancelled`, `CancelFailed`."""

    job_id: str


class Sweep(NamedTuple):
    """At a time, cancel the jobs in NEW with the push's mark and the `others`: `Swept`."""

    at: float
    others: tuple[str, ...]


CLEANING = (Release, StopUploads, Cancel, Sweep)
"""Commands that are carried out although one before them failed, or the push was cancelled."""
STOPPING = (Failed, TakenOver)
"""Events after which the commands that were to follow are not carried out."""


def carry_out(commands: Iterable[Any], function: Callable[[Any], Any]) -> list[Any]:
    """Carry out commands in order, and return the events that answer them at once.

    After one that failed, or that showed that another process has taken over, only those that clean
    up are carried out: what comes next is the machine's decision.
    """
    events: list[Any] = []
    stopped = False
    for command in commands:
        if stopped and not isinstance(command, CLEANING):
            continue
        event = function(command)
        if event is not None:
            events.append(event)
        stopped = stopped or isinstance(event, STOPPING)
    return events
