"""What a test leaves behind in its process: threads, open files, sockets."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from pathlib import Path

import psutil

PATIENCE_SECONDS = 5.0
"""What ends by itself, such as a connection whose other side was closed, has so long to do so."""

_SERVERS = ("AnyIO worker thread", "local-celonis")
_LIBRARIES = ("fsspecIO", "TMonitor", "asyncio", "Dummy-")
"""Threads that live for the whole process: of a running local Celonis, of fsspec, of tqdm; a dummy
is what Python calls a thread that it did not start, such as those with which Arrow reads files."""

_DESCRIPTORS = Path("/proc/self/fd")
_SOCKET = "socket"


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
        tries = 0
        while True:
            # By what they are, not by how they are: an old connection may just have been closed
            # at its other end.
            new = {key: text for key, text in self._now().items() if key not in self._before}
            if any(text == _SOCKET for text in new.values()):
                new = self._described(new)
            if not new or time.monotonic() > deadline:
                return sorted(new.values())
            if tries % 10 == 2:  # dear, and most of it ends by itself
                gc.collect()
            tries += 1
            time.sleep(0.005)

    def _now(self) -> dict[object, str]:
        found: dict[object, str] = {
            thread.ident: f"thread {thread.name}"
            for thread in threading.enumerate()
            if not thread.name.startswith(_SERVERS + _LIBRARIES)
        }
        if not _DESCRIPTORS.is_dir():  # not on Linux
            files = self._process.open_files()
            found |= {(file.fd, file.path): f"file {file.path}" for file in files}
            return found | {
                (fd, text.rpartition(",")[0]): text for fd, text in self._connections().items()
            }
        for descriptor in _DESCRIPTORS.iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                target = str(descriptor.readlink())
                if target.startswith("socket:"):
                    found[int(descriptor.name), target] = _SOCKET
                elif target.startswith("/") and Path(target).is_file():
                    found[int(descriptor.name), target] = f"file {target}"
        return found

    def _described(self, found: dict[object, str]) -> dict[object, str]:
        """What was found, its sockets with their ends; without those that do not count."""
        connections = self._connections()
        described = {}
        for key, text in found.items():
            if text != _SOCKET:
                described[key] = text
            elif isinstance(key, tuple) and key[0] in connections:
                described[key] = connections[key[0]]
        return described

    def _connections(self) -> dict[int, str]:
        """The connections that count, by their descriptors."""
        connections = self._process.net_connections("inet")
        listening = {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}
        return {
            c.fd: f"socket {c.laddr} to {c.raddr}, {c.status}"
            for c in connections
            if c.raddr and (self._sockets or not {c.laddr.port, c.raddr.port} & listening)
        }


def push_threads(*, seconds: float = 0.0) -> list[str]:
    """Names of the threads of pushes that are alive, after so long for them to end."""
    end = time.monotonic() + seconds
    while True:
        names = [t.name for t in threading.enumerate() if t.name.startswith("celonis-")]
        if not names or time.monotonic() >= end:
            return names
        time.sleep(0.001)
