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
    check_checksums,
    check_fault,
    check_seconds,
)
from celonis_frames.local._faults.schedule import Checksums, Fault, FaultSchedule, How
from celonis_frames.local._faults.work import WorkFaults
from celonis_frames.local._gateway.xml_errors import MEDIA_TYPE, GatewayError

DEFAULT_STALL_SECONDS = 60.0
"""Longest silence of `Faults.stall`: as long as a client waits by default."""
DEFAULT_LATE_SECONDS = 0.1
"""Seconds after the end of a connection in which a late call is processed."""


class Faults(WorkFaults):
    """The faults of a local Celonis. All methods can be called while it runs.

    Routes are the names in `/openapi.json`, or ``"*"`` for all. Every fault skips the first `skip`
    calls of its route and hits the next `times` calls; with ``times=None`` it hits all calls until
    `clear`. If several faults match a call, the oldest one hits it. A route, moment, kind or status
    that does not exist raises a `ConfigError`.

    Args:
        calls: The names of the routes.
    """

    def __init__(self, calls: Collection[str]) -> None:
        super().__init__(FaultSchedule())
        self._calls = frozenset(calls)

    def clear(self) -> None:
        """Remove faults, delays, failures and other checksums; accept connections again."""
        self._schedule.clear()

    def drop(
        self,
        route: str,
        *,
        when: Literal["before", "body", "after", "late"] = "before",
        at_byte: int | None = None,
        reset: bool = False,
        late_seconds: float = DEFAULT_LATE_SECONDS,
        times: int | None = 1,
        skip: int = 0,
    ) -> Fault:
        """Close the connection without a response.

        Args:
            route: Which calls.
            when: Before the body is read, in the middle of the body, after the call was processed,
                or before it, which happens some seconds later (late).
            at_byte: For ``when="body"``, the bytes of the body to read first; None is half of it.
            reset: Send a TCP reset (RST) instead of closing.
            late_seconds: For ``"late"``, the seconds between the close and the processing.
            times: Number of calls to hit.
            skip: Number of calls to skip first.
        """
        return self._add(
            Fault(route, "drop", times, skip, when=when, at_byte=at_byte, reset=reset,
                  late_seconds=late_seconds)
        )  # fmt: skip

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

    def slow_down(
        self,
        route: str = "put",
        *,
        carry_out: bool = False,
        times: int | None = 1,
        skip: int = 0,
    ) -> Fault:
        """Return 503 ``SlowDown`` with its XML, as S3 does when there are too many calls.

        Args:
            route: Which calls.
            carry_out: Process the call first.
            times: Number of calls to hit.
            skip: Number of calls to skip first.
        """
        error = GatewayError("SlowDown")
        return self.answer(
            route, error.status, carry_out=carry_out, times=times, skip=skip, body=error.body(),
            content_type=MEDIA_TYPE,
        )  # fmt: skip

    def stall(
        self,
        route: str,
        *,
        when: Literal["before", "late", "after"] = "before",
        seconds: float = DEFAULT_STALL_SECONDS,
        late_seconds: float = DEFAULT_LATE_SECONDS,
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

    def repeat(
        self, route: str, *, late_seconds: float = 0.0, times: int | None = 1, skip: int = 0
    ) -> Fault:
        """Process the call twice, like a gateway that retries; return the second response.

        Args:
            route: Which calls.
            late_seconds: Return the first response, and process the call again so many seconds
                later.
            times: Number of calls to hit.
            skip: Number of calls to skip first.
        """
        return self._add(Fault(route, "repeat", times, skip, late_seconds=late_seconds))

    def inform(
        self,
        route: str,
        status: int = 102,
        *,
        seconds: float = 0.0,
        times: int | None = 1,
        skip: int = 0,
    ) -> Fault:
        """Send an informational response (1xx) before the call is processed and answered.

        Args:
            route: Which calls.
            status: Its status, such as 102 (Processing) or 103 (Early Hints).
            seconds: Seconds between this response and the processing of the call.
            times: Number of calls to hit.
            skip: Number of calls to skip first.
        """
        return self._add(Fault(route, "inform", times, skip, status=status, seconds=seconds))

    def lag(
        self,
        route: Literal["chunks", "jobs"],
        seconds: float,
        *,
        times: int | None = 1,
        skip: int = 0,
    ) -> Fault:
        """Leave out of a list what was added or changed in the last `seconds`."""
        return self._add(Fault(route, "lag", times, skip, seconds=seconds))

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

    def checksums(self, kind: Checksums) -> None:
        """Show other checksums in the lists of chunks, until `clear`.

        Args:
            kind: The SHA-1 of the file (sha1), which is the default; a digest of the file by an
                algorithm that no client knows (content); a different one for each chunk, also for
                equal files (arbitrary); or null (none).
        """
        check_checksums(kind)
        self._schedule.set_checksums(kind)

    def _add(self, fault: Fault) -> Fault:
        check_fault(fault, self._calls)
        return self._schedule.add(fault)
