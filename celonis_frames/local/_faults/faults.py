"""Faults on demand, so that tests can check what a client does about them.

`Faults` is what tests call. It fills a `FaultSchedule`; `injector` applies the faults to calls, on
the connections of `FaultableServer`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal

from celonis_frames.local._faults.checks import (
    check_call,
    check_count,
    check_fault,
    check_seconds,
)
from celonis_frames.local._faults.schedule import Fault, FaultSchedule, How

DEFAULT_STALL_SECONDS = 60.0
"""Longest silence of `Faults.stall`: as long as a client waits by default."""


class Faults:
    """The faults of a local Celonis. All methods can be called while it runs.

    Routes are the names in `/openapi.json`, or ``"*"`` for all. Every fault skips the first `skip`
    calls of its route and hits the next `times` calls; with ``times=None`` it hits all calls until
    `clear`. If several faults match a call, the oldest one hits it. A route, moment, kind or status
    that does not exist raises a `ConfigError`.

    Args:
        calls: The names of the routes.
    """

    def __init__(self, calls: Collection[str]) -> None:
        self._schedule, self._calls = FaultSchedule(), frozenset(calls)

    def clear(self) -> None:
        """Remove all faults, delays and job failures, and accept connections again."""
        self._schedule.clear()

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
        """Close the connection without a response.

        Args:
            route: Which calls.
            when: Before the body is read, in the middle of the body, or after the call was
                processed.
            at_byte: For ``when="body"``, the bytes of the body to read first; None is half of it.
            reset: Send a TCP reset (RST) instead of closing.
            times: Number of calls to hit.
            skip: Number of calls to skip first.
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
        """Return this response, such as 429 with ``headers={"Retry-After": "1"}``.

        Args:
            route: Which calls.
            status: The HTTP status.
            carry_out: Process the call first; its own response is discarded.
            times: Number of calls to hit.
            skip: Number of calls to skip first.
            headers: Headers of the response.
            body: Its body.
            content_type: The content type of the body.
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
        """Send nothing until the client closes the connection, or for this many seconds.

        Args:
            route: Which calls.
            when: Do not process the call (before), process it after the client has closed the
                connection (late), or process it before the silence (after).
            seconds: Longest silence. After it the server sends the response, or closes the
                connection for ``"before"``.
            late_seconds: For ``"late"``, the seconds between the client's close and the processing.
            times: Number of calls to hit.
            skip: Number of calls to skip first.
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
        """Return a response with status 200 that cannot be read.

        Args:
            route: Which calls.
            how: A body shorter than its ``Content-Length`` (cut), the first half of the JSON with
                the right length (json), or a web page (html).
            carry_out: Whether the call is processed first.
            times: Number of calls to hit.
            skip: Number of calls to skip first.
        """
        return self._add(Fault(route, "garble", times, skip, how=how, carry_out=carry_out))

    def drip(self, route: str, seconds: float, *, times: int | None = 1, skip: int = 0) -> Fault:
        """Process the call and send the response in small pieces, over this many seconds."""
        return self._add(Fault(route, "drip", times, skip, seconds=seconds))

    def repeat(self, route: str, *, times: int | None = 1, skip: int = 0) -> Fault:
        """Process the call twice, like a gateway that retries; return the second response."""
        return self._add(Fault(route, "repeat", times, skip))

    def refuse(
        self, seconds: float = math.inf, *, following: str | None = None, skip: int = 0
    ) -> Fault:
        """Refuse connections for this many seconds, or until `clear`.

        Open connections are closed as soon as no response is due on them.

        Args:
            seconds: How long.
            following: A route: refuse connections once a call of it has been processed; that call
                still gets its response. None begins at once.
            skip: Number of calls of that route to skip first.
        """
        fault = Fault("*" if following is None else following, "refuse", 1, skip, seconds=seconds)
        if following is not None:
            return self._add(fault)
        check_fault(fault, self._calls)
        self._schedule.refuse_connections(seconds)
        fault.hits = fault.over = 1
        return fault

    def delay(self, route: str, seconds: float) -> None:
        """Wait this many seconds before each call of a route."""
        check_call(route, self._calls)
        check_seconds("seconds", seconds)
        self._schedule.set_delay(route, seconds)

    def slow_jobs(self, *, queued: float = 0.0, running: float = 0.0) -> None:
        """Keep each job in QUEUED and in RUNNING for this many seconds."""
        check_seconds("queued", queued)
        check_seconds("running", running)
        self._schedule.set_job_seconds(queued=queued, running=running)

    def fail_jobs(self, message: str, *, times: int = 1) -> None:
        """Let the next jobs end in ERROR with this message in the log."""
        check_count("times", times)
        self._schedule.add_job_failures(message, times)

    def _add(self, fault: Fault) -> Fault:
        check_fault(fault, self._calls)
        return self._schedule.add(fault)
