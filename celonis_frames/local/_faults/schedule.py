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


class FaultSchedule:
    """Faults in the order in which they were added, delays, and failures of jobs and objects.

    Tests change it from their threads while the server and the job runner read it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: FaultableServer | None = None
        self._faults: list[Fault] = []
        self._delays: dict[str, float] = {}
        self._job_failures: list[str] = []
        self._object_failures: list[str] = []
        self._checksums: Checksums = "sha1"
        self.queued_seconds = 0.0
        self.running_seconds = 0.0

    def clear(self) -> None:
        """Remove everything, and accept connections again."""
        with self._lock:
            self._faults, self._delays = [], {}
            self._job_failures, self._object_failures = [], []
            self.queued_seconds = self.running_seconds = 0.0
            self._checksums = "sha1"
        if self._server is not None:
            self._server.listen()

    def add(self, fault: Fault) -> Fault:
        """Add a fault."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def add_job_failures(self, message: str, times: int) -> None:
        """Let the next jobs fail with this message."""
        with self._lock:
            self._job_failures += [message] * times

    def add_object_failures(self, message: str, times: int) -> None:
        """Let the next objects fail with this message."""
        with self._lock:
            self._object_failures += [message] * times

    def set_delay(self, route: str, seconds: float) -> None:
        """Delay each call of a route."""
        with self._lock:
            self._delays[route] = seconds

    def set_job_seconds(self, *, queued: float, running: float) -> None:
        """Set how long jobs stay in QUEUED and RUNNING."""
        with self._lock:
            self.queued_seconds, self.running_seconds = queued, running

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
            for fault in self._faults:
                if fault.route not in (route, "*"):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif taken is None and (fault.times is None or fault.hits < fault.times):
                    fault.hits += 1
                    taken = fault
        return taken

    def take_job_failure(self) -> str | None:
        """The message with which the next job fails, if any."""
        with self._lock:
            return self._job_failures.pop(0) if self._job_failures else None

    def take_object_failure(self) -> str | None:
        """The reason for which the next object fails, if any."""
        with self._lock:
            return self._object_failures.pop(0) if self._object_failures else None

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
