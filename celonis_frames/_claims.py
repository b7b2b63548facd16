"""Who works on a staged push: one process at a time, found out through files beside its chunks.

A claim is a file. Whoever wants to work writes one, then looks for others: of two that come at the
same time at least one sees the other's, so never do both go on. A claim holds while its process
renews it, or, on this machine, while its process lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from celonis_frames.exceptions import ConfigError, UploadUncertain

LEASE_SECONDS = 300.0
"""How long a claim of another machine holds without being renewed."""

_PREFIX = "claim-"


class Claim:
    """The right to work on a staged push, until `release`.

    Args:
        filesystem: Where the stage is.
        folder: The stage's folder.

    Raises:
        ConfigError: Another process has it.
    """

    def __init__(self, filesystem: Any, folder: str) -> None:
        self._filesystem, self._folder = filesystem, folder
        self._path = f"{folder}/{_PREFIX}{uuid.uuid4().hex}"
        self._renew()
        others = self._others()
        if others:
            self._remove(self._path)
            raise ConfigError(
                f"{folder} is being pushed by another process ({others[0]}): wait until it ends. "
                "A process that was killed on another machine holds it for up to "
                f"{LEASE_SECONDS / 60:.0f} minutes."
            )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="celonis-claim", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that nobody else took over, as after a long sleep of this machine.

        Raises:
            UploadUncertain: Somebody did.
        """
        if not self._filesystem.exists(self._path) or self._others():
            raise UploadUncertain(
                f"Another process has taken over the push staged at {self._folder}: nothing was "
                "executed from here. See what became of it there.",
                job_id="",
            )

    def release(self) -> None:
        """Let others work on it."""
        self._stop.set()
        self._thread.join()
        self._remove(self._path)

    def _keep(self) -> None:
        while not self._stop.wait(LEASE_SECONDS / 5):
            with contextlib.suppress(OSError):
                if self._filesystem.exists(self._path):
                    self._renew()

    def _renew(self) -> None:
        said = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "begin": _begin(os.getpid()),
            "until": time.time() + LEASE_SECONDS,
        }
        self._filesystem.pipe_file(self._path, json.dumps(said).encode())

    def _others(self) -> list[str]:
        """The holders of other claims that hold; those that do not are removed."""
        self._filesystem.invalidate_cache()
        found = []
        for path in self._filesystem.ls(self._folder, detail=False):
            name = str(path).rpartition("/")[2]
            if not name.startswith(_PREFIX) or name == self._path.rpartition("/")[2]:
                continue
            try:
                said = json.loads(self._filesystem.cat_file(path))
                holds = _holds(said)
                holder = f"process {said['pid']} on {said['host']}"
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError):
                holds, holder = True, "one that is just coming"
            if holds:
                found.append(holder)
            else:
                self._remove(str(path))
        return found

    def _remove(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(path)


def _holds(said: dict[str, Any]) -> bool:
    if said["host"] == socket.gethostname():
        begin = _begin(int(said["pid"]))
        if begin is not None:
            return bool(begin == said["begin"])
    return bool(said["until"] > time.time())


def _begin(pid: int) -> str | None:
    """When a process of this machine began, as a text to compare; "" for none, None: unknown."""
    if not Path("/proc/self/stat").exists():
        return None
    try:
        # The name, in parentheses, may hold blanks; the 20th field after it is the start time.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
