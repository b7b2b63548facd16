"""Events: each exchange with the server, reported to listeners."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

__all__ = ["CallEvent", "Listener", "log_call"]

_log = logging.getLogger("celonis_frames")


@dataclasses.dataclass(frozen=True, slots=True)
class CallEvent:
    """One request and what came of it: no header, no body, no query.

    Attributes:
        method: HTTP method.
        path: Path of the URL, without the query.
        status: HTTP status, or None if no response began.
        error: Class name of the error if no whole response was read, else None.
        seconds: From opening the connection to the response's last byte.
        bytes_sent: Size of the body; 0 for a form of credentials.
        bytes_received: Size of the response's content.
        job_id: The job concerned, or None.
    """

    method: str
    path: str
    status: int | None
    error: str | None
    seconds: float
    bytes_sent: int
    bytes_received: int
    job_id: str | None


Listener = Callable[[CallEvent], object]
"""Called in the thread that made the call, after it; its errors are logged, not raised."""


def log_call(event: CallEvent) -> None:
    """Write a call to the log, at level DEBUG."""
    _log.debug(
        "%s %s -> %s in %.3f s, %d bytes sent, %d received",
        event.method,
        event.path,
        event.error or event.status,
        event.seconds,
        event.bytes_sent,
        event.bytes_received,
    )
