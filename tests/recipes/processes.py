"""Programs that the tests of the recipes start, and the end of the one that pushes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
import requests

PATIENCE = 900.0
"""Seconds that a program or a condition may take: all of this is slow on a busy machine."""

T = TypeVar("T")


class Processes:
    """Programs whose output goes to files in a folder; they end with the block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[bytes]] = []

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run a program to its end and return its output; one that fails is an error."""
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=cwd
        )
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def succeeds(self, *command: str) -> bool:
        """Run a program to its end, and return whether it succeeded."""
        return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0

    def start(self, *command: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a program, with a session of its own for it and what it starts."""
        with (self.folder / f"{Path(command[0]).name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True
            )
        self._started.append(process)
        return process

    def logs(self) -> str:
        """The ends of all outputs, to see what went wrong."""
        ends = (f"{path.name}: …{path.read_text()[-5_000:]}" for path in self.folder.glob("*.log"))
        return "\n".join(ends)

    def wait_for(self, condition: Callable[[], T | None], seconds: float = PATIENCE) -> T:
        """The first value of the condition that is true."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, self.logs()
            assert all(one.poll() in (None, 0, -signal.SIGKILL) for one in self._started), (
                self.logs()
            )
            time.sleep(0.1)
        return value

    def kill_the_pusher(self, celonis: Any, failed: Callable[[], object] = lambda: None) -> None:
        """Kill the process that waits for a job, as soon as that runs.

        Args:
            celonis: The local Celonis to which it pushes.
            failed: What is true if there will be no such process.
        """
        port = int(celonis.url.rpartition(":")[2])

        def pusher() -> int | None:
            assert not failed(), self.logs()
            if all(job["status"] != "RUNNING" for job in celonis.jobs):
                return None
            return next(
                (one.pid for one in psutil.net_connections("tcp")
                 if one.raddr and one.raddr.port == port and one.status == "ESTABLISHED"), None,
            )  # fmt: skip

        pid = self.wait_for(pusher)
        assert pid != os.getpid()
        os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(url: str) -> bool:
    """Whether there is a server that answers, whatever it answers."""
    try:
        requests.get(url, timeout=5)
    except requests.RequestException:
        return False
    return True
