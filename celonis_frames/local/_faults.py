"""Faults on demand, so that a client's promises about failures can be tested."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Fault:
    """One fault: where, what, how often."""

    route: str
    times: int
    drop: Literal["before", "after"] | None = None
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Faults:
    """What goes wrong next. Routes are the names in `/openapi.json`, or ``"*"`` for all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Let everything work again."""
        with self._lock:
            self._faults: list[Fault] = []
            self._delays: dict[str, float] = {}
            self._failing: list[str] = []
            self.queued_seconds = 0.0
            self.running_seconds = 0.0

    def drop(
        self, route: str, *, when: Literal["before", "after"] = "before", times: int = 1
    ) -> None:
        """Close the connection without an answer, before or after the call was carried out."""
        with self._lock:
            self._faults.append(Fault(route, times, drop=when))

    def answer(
        self,
        route: str,
        status: int,
        *,
        times: int = 1,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
    ) -> None:
        """Answer with this instead of carrying out the call."""
        given = {"content-type": content_type} | (headers or {})
        with self._lock:
            self._faults.append(Fault(route, times, status=status, headers=given, body=body))

    def delay(self, route: str, seconds: float) -> None:
        """Wait this many seconds before each call of a route."""
        with self._lock:
            self._delays[route] = seconds

    def slow_jobs(self, *, queued: float = 0.0, running: float = 0.0) -> None:
        """Keep jobs in QUEUED and RUNNING for this many seconds."""
        with self._lock:
            self.queued_seconds, self.running_seconds = queued, running

    def fail_jobs(self, message: str, *, times: int = 1) -> None:
        """Let the next jobs end in ERROR with this log line."""
        with self._lock:
            self._failing += [message] * times

    def seconds(self, route: str) -> float:
        """How long a call of this route is to wait."""
        return self._delays.get(route, self._delays.get("*", 0.0))

    def take(self, route: str) -> Fault | None:
        """The fault for this call, if any; it is used up."""
        with self._lock:
            for fault in self._faults:
                if fault.route in (route, "*") and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def take_failure(self) -> str | None:
        """The message with which the next job is to fail, if any."""
        with self._lock:
            return self._failing.pop(0) if self._failing else None
