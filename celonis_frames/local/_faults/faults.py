"""Faults on demand, so that a client's promises about failures can be tested.

What is to go wrong is kept here; `_disturb` does it, with the sockets of `_wire`.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from celonis_frames.local._faults.server import FaultableServer


Kind = Literal["drop", "answer", "stall", "garble", "drip", "repeat", "refuse"]
When = Literal["before", "body", "after", "late"]
How = Literal["cut", "json", "html"]

DEFAULT_STALL_SECONDS = 60.0
"""Longest silence of `Faults.stall`: as long as a client waits by default."""


@dataclass
class Fault:
    """One fault: where, what, how often. `Faults` makes it and gives it back.

    Attributes:
        hits: Calls it has struck.
        over: Struck calls that the server is done with, carried out or not.
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


class Faults:
    """What goes wrong next.

    Routes are the names in `/openapi.json`, or ``"*"`` for all. Every fault lets the first `skip`
    calls of its route pass and strikes the `times` calls after them; ``times=None`` strikes until
    `clear`. Of several faults for one call the oldest strikes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wire: FaultableServer | None = None
        self.clear()

    def clear(self) -> None:
        """Let everything work again."""
        with self._lock:
            self._faults: list[Fault] = []
            self._delays: dict[str, float] = {}
            self._failing: list[str] = []
            self.queued_seconds = 0.0
            self.running_seconds = 0.0
        if self._wire is not None:
            self._wire.listen()

    def drop(
        self,
        route: str,
        *,
        when: Literal["before", "body", "after"] = "before",
        at_byte: int | None = None,
        reset: bool = False,
        times: int | None = 1,
        skip: int = 0,
    ) -> Fault:
        """Close the connection without an answer.

        Args:
            route: Which call.
            when: Before its body is read, in the middle of the body, or after the call was
                carried out.
            at_byte: How much of the body is read before, for ``when="body"``; None is half of it.
            reset: Send a TCP reset (RST) instead of closing.
            times: Calls to strike.
            skip: Calls to let pass before.
        """
        return self._add(Fault(route, "drop", times, skip, when=when, at_byte=at_byte, reset=reset))

    def answer(
        self,
        route: str,
        status: int,
        *,
        carry_out: bool = False,
        times: int | None = 1,
        skip: int = 0,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
    ) -> Fault:
        """Answer with this, such as 429 with ``headers={"Retry-After": "1"}``.

        Args:
            route: Which call.
            status: The HTTP status.
            carry_out: Carry the call out before, and hide that behind this answer.
            times: Calls to strike.
            skip: Calls to let pass before.
            headers: Headers of the answer.
            body: Its body.
            content_type: The body's type.
        """
        given = {"content-type": content_type} | (headers or {})
        return self._add(
            Fault(route, "answer", times, skip, carry_out=carry_out, status=status, headers=given,
                  body=body)
        )  # fmt: skip

    def stall(
        self,
        route: str,
        *,
        when: Literal["before", "late", "after"] = "before",
        seconds: float = DEFAULT_STALL_SECONDS,
        late_seconds: float = 0.1,
        times: int | None = 1,
        skip: int = 0,
    ) -> Fault:
        """Say nothing until the client gives up, or for this many seconds.

        Args:
            route: Which call.
            when: The call is not carried out (before), is carried out when the client has given
                up (late), or was carried out before the silence (after).
            seconds: Longest silence; then the call is answered, or for ``"before"`` the connection
                closed.
            late_seconds: For ``"late"``, the time from the client's giving up to the carrying out.
            times: Calls to strike.
            skip: Calls to let pass before.
        """
        return self._add(
            Fault(
                route, "stall", times, skip, when=when, seconds=seconds, late_seconds=late_seconds
            )
        )

    def garble(
        self,
        route: str,
        how: How,
        *,
        carry_out: bool = True,
        times: int | None = 1,
        skip: int = 0,
    ) -> Fault:
        """Answer 200 with something that cannot be read.

        Args:
            route: Which call.
            how: An answer shorter than its ``Content-Length`` (cut), half a JSON text with the
                right length (json), or a web page (html).
            carry_out: Whether the call is carried out before.
            times: Calls to strike.
            skip: Calls to let pass before.
        """
        return self._add(Fault(route, "garble", times, skip, how=how, carry_out=carry_out))

    def drip(self, route: str, seconds: float, *, times: int | None = 1, skip: int = 0) -> Fault:
        """Carry the call out and send the answer bit by bit, over this many seconds."""
        return self._add(Fault(route, "drip", times, skip, seconds=seconds))

    def repeat(self, route: str, *, times: int | None = 1, skip: int = 0) -> Fault:
        """Carry the call out twice, as a gateway that tries again does; the last answer counts."""
        return self._add(Fault(route, "repeat", times, skip))

    def refuse(
        self, seconds: float = math.inf, *, following: str | None = None, skip: int = 0
    ) -> Fault:
        """Refuse connections for this many seconds, or until `clear`.

        Open connections are closed as soon as they owe no answer.

        Args:
            seconds: How long.
            following: A route: it begins when a call of it has been carried out; that call is
                still answered. None begins at once.
            skip: Calls of that route to let pass before.
        """
        fault = Fault(following or "", "refuse", 1, skip, seconds=seconds)
        if following is not None:
            return self._add(fault)
        if self._wire is not None:
            self._wire.refuse(seconds)
        fault.hits = fault.over = 1
        return fault

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
        """The fault for this call, if any; one of its times is used up."""
        struck = None
        with self._lock:
            for fault in self._faults:
                if fault.route not in (route, "*"):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif struck is None and (fault.times is None or fault.hits < fault.times):
                    fault.hits += 1
                    struck = fault
        return struck

    def take_failure(self) -> str | None:
        """The message with which the next job is to fail, if any."""
        with self._lock:
            return self._failing.pop(0) if self._failing else None

    def attach(self, wire: FaultableServer) -> FaultableServer:
        """Let the faults act on these sockets."""
        self._wire = wire
        return wire

    @property
    def wire(self) -> FaultableServer:
        """The sockets of the server that the faults act on."""
        if self._wire is None:
            raise RuntimeError("These faults belong to no running server")
        return self._wire

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault
