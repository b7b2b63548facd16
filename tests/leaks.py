"""What a test leaves behind in its process: threads, open files, sockets."""

from __future__ import annotations

import gc
import threading
import time

import psutil

PATIENCE_SECONDS = 5.0
"""What ends by itself, such as a connection whose other side was closed, has so long to do so."""

_SERVERS = ("AnyIO worker thread", "local-celonis")
_LIBRARIES = ("fsspecIO", "TMonitor", "asyncio")
"""Threads that live for the whole process: of a running local Celonis, of fsspec, of tqdm."""


class Leaks:
    """What is there now; `left` tells what has come since.

    Args:
        sockets: Whether all sockets count. Else only those whose server has ended, since there are
            connections that live longer than a test.
    """

    def __init__(self, *, sockets: bool) -> None:
        self._process = psutil.Process()
        self._sockets = sockets
        self._before = self._now()

    def left(self) -> list[str]:
        """Threads, files and sockets that were not there and stay."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            # By what they are, not by how they are: an old connection may just have been closed
            # at its other end.
            new = {key: text for key, text in self._now().items() if key not in self._before}
            if not new or time.monotonic() > deadline:
                return sorted(new.values())
            gc.collect()
            time.sleep(0.01)

    def _now(self) -> dict[object, str]:
        found: dict[object, str] = {
            thread.ident: f"thread {thread.name}"
            for thread in threading.enumerate()
            if not thread.name.startswith(_SERVERS + _LIBRARIES)
        }
        found |= {(file.fd, file.path): f"file {file.path}" for file in self._process.open_files()}
        connections = self._process.net_connections("inet")
        listening = {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}
        found |= {
            (c.laddr, c.raddr): f"socket {c.laddr} to {c.raddr}, {c.status}"
            for c in connections
            if c.raddr and (self._sockets or not {c.laddr.port, c.raddr.port} & listening)
        }
        return found


def push_threads(*, seconds: float = 0.0) -> list[str]:
    """Names of the threads of pushes that are alive, after so long for them to end."""
    end = time.monotonic() + seconds
    while True:
        names = [t.name for t in threading.enumerate() if t.name.startswith("celonis-")]
        if not names or time.monotonic() >= end:
            return names
        time.sleep(0.001)
