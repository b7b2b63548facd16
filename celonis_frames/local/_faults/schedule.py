"""The faults that a test has asked for, as the server sees them: which one is next for a call."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from celonis_frames.local._faults.server import FaultableServer

Kind = Literal[
    "drop", "answer", "stall", "garble", "drip", "repeat", "refuse", "lag", "inform"
]  # fmt: skip
When = Literal["before", "body", "after", "late"]
How = Literal["cut", "json", "html"]
Checksums = Literal["sha1", "content", "arbitrary", "none"]
Work = Literal["job", "object", "load", "data_job"]
"""What the threads of the server do after a call: push jobs, objects, loads, data jobs."""

LISTS = {"chunks": "creationDate", "jobs": "lastModified"}
"""Calls that can lag, and the time in their items (ms since 1970)."""


@dataclass
class Fault:
    """One fault: on which calls, what, and how often. The methods of `Faults` return it.

    Attributes:
        hits: Number of calls it has hit.
        over: Number of these calls that the server has finished, processed or not.
    """

    route: str
    kind: Kind
    times: int | None = 1
    skip: int = 0
    when: When = "before"
    how: How = "cut"
    carry_out: bool = True
    reset: bool = False
    at_byte: int | None = None
    seconds: float = 0.0
    late_seconds: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hits: int = 0
    over: int = 0


@dataclass(frozen=True)
class Failure:
    """How a job, an object, a load or a data job ends.

    Attributes:
        message: Why.
        table: The table of a load that is at fault; None: the load itself.
        warning: Whether a load ends in WARNING instead of ERROR.
    """

    message: str
    table: str | None = None
    warning: bool = False


@dataclass(frozen=True)
class Pace:
    """How long work stays in its states, in seconds."""

    queued: float = 0.0
    running: float = 0.0


class FaultSchedule:
    """Faults in the order in which they were added, delays, and what happens to the server's work.

    Tests change it from their threads while the server and the job runner read it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: FaultableServer | None = None
        self._faults: list[Fault] = []
        self._assumed: list[Fault] = []
        self._delays: dict[str, float] = {}
        self._failures: dict[Work, list[Failure]] = {}
        self._paces: dict[Work, Pace] = {}
        self._others: dict[Work, list[float]] = {}
        self._checksums: Checksums = "sha1"

    def clear(self) -> None:
        """Remove everything but what is assumed, and accept connections again."""
        with self._lock:
            self._faults, self._delays = [], {}
            self._failures, self._paces, self._others = {}, {}, {}
            self._checksums = "sha1"
        if self._server is not None:
            self._server.listen()

    def add(self, fault: Fault) -> Fault:
        """Add a fault."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def assume(self, fault: Fault) -> None:
        """Add a fault that `clear` does not remove; it hits the calls that no other fault hits."""
        with self._lock:
            self._assumed.append(fault)

    def add_failures(self, work: Work, failure: Failure, times: int) -> None:
        """Let the next jobs, objects, loads or data jobs fail."""
        with self._lock:
            self._failures.setdefault(work, []).extend([failure] * times)

    def add_others(self, work: Work, seconds: float, times: int) -> None:
        """Let the next requests of a load or data job find another one that runs so long."""
        with self._lock:
            self._others.setdefault(work, []).extend([seconds] * times)

    def set_delay(self, route: str, seconds: float) -> None:
        """Delay each call of a route."""
        with self._lock:
            self._delays[route] = seconds

    def set_pace(self, work: Work, pace: Pace) -> None:
        """Set how long work stays in its states."""
        with self._lock:
            self._paces[work] = pace

    def pace(self, work: Work) -> Pace:
        """How long work stays in its states."""
        return self._paces.get(work, Pace())

    def set_checksums(self, kind: Checksums) -> None:
        """Set what the list of chunks shows as their checksums."""
        with self._lock:
            self._checksums = kind

    def checksum(self, chunk_id: str, sha1: str) -> str | None:
        """The checksum that the list of chunks shows for a chunk."""
        kind = self._checksums
        if kind == "sha1":
            return sha1
        if kind == "none":
            return None
        content = sha1 if kind == "content" else chunk_id
        return hashlib.blake2b(content.encode(), digest_size=20).hexdigest()

    def refuse_connections(self, seconds: float) -> None:
        """Refuse connections from now on, if the server runs."""
        if self._server is not None:
            self._server.refuse(seconds)

    def delay(self, route: str) -> float:
        """The delay of a call of this route, in seconds."""
        return self._delays.get(route, self._delays.get("*", 0.0))

    def take(self, route: str) -> Fault | None:
        """The fault for this call, if any; counts the call."""
        taken = None
        with self._lock:
            for fault in (*self._faults, *self._assumed):
                if fault.route not in (route, "*"):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif taken is None and (fault.times is None or fault.hits < fault.times):
                    fault.hits += 1
                    taken = fault
        return taken

    def take_failure(self, work: Work) -> Failure | None:
        """How the next job, object, load or data job fails, if it does."""
        with self._lock:
            failures = self._failures.get(work)
            return failures.pop(0) if failures else None

    def take_other(self, work: Work) -> float | None:
        """The seconds that another load or data job takes, which runs already, if there is one."""
        with self._lock:
            others = self._others.get(work)
            return others.pop(0) if others else None

    def attach(self, server: FaultableServer) -> FaultableServer:
        """Set the server on whose connections the faults act."""
        self._server = server
        return server

    @property
    def server(self) -> FaultableServer:
        """The server on whose connections the faults act."""
        if self._server is None:
            raise RuntimeError("These faults belong to no running server")
        return self._server
