"""Events: each exchange with the server, reported to listeners."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

_log = logging.getLogger("celonis_frames")


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
