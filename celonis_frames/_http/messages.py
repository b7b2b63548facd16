"""A request, its raw response, and the event that reports both to listeners; no credentials."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

REQUEST_IDS = ("X-Request-ID", "X-Correlation-ID", "x-amz-request-id", "x-amzn-requestid", "CF-RAY")
"""The headers in which servers and gateways return the id of a request."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What errors say about a request."""

    method: str
    url: str
    job_id: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


@dataclasses.dataclass(frozen=True)
class RawResponse:
    """A response of any status; secrets that were sent are masked in it.

    Of a list whose items were read as they arrived, the content is the beginning; `problem` says
    what is wrong with it.
    """

    request: Request
    status: int
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    content: bytes = dataclasses.field(repr=False)
    problem: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class CallEvent:
    """One request and what came of it: no header, no body, no query."""

    method: str
    path: str
    status: int | None
    """None if no response began."""
    error: str | None
    """Class name of the error if no whole response was read."""
    seconds: float
    """From opening the connection to the response's last byte."""
    bytes_sent: int
    """0 for a form of credentials."""
    bytes_received: int
    job_id: str | None


Listener = Callable[[CallEvent], object]
"""Called in the thread that made the call, after it; its errors are logged, not raised."""
