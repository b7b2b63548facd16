"""Who works on a staged push: one process at a time, found out through files beside its chunks.

A claim is a file. Whoever wants to work writes one, then looks for others: of two that come at the
same time at least one sees the other's, so never do both go on. A claim holds while its process
renews it, or, where that can be looked up, while its process lives.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from celonis_frames._filesystem import address, copied, write_whole
from celonis_frames.exceptions import ConfigError, UploadUncertain

LEASE_SECONDS = 300.0
"""How long a claim holds without being renewed, when its process cannot be looked up."""

_PREFIX = "claim-"

_held: set[str] = set()
"""Names of the claims of this process: one that could not be removed when it ended is no claim."""


class StageLease:
    """The right to work on a staged push, until `release`.

    Args:
        filesystem: Where the stage is.
        folder: The stage's folder.

    Raises:
        ConfigError: Another process has it.
    """

    def __init__(self, filesystem: Any, folder: str) -> None:
        # Not every filesystem can be used by two threads: FTP has one line for all.
        self._filesystem, self._folder = copied(filesystem), folder
        self._name = f"{_PREFIX}{uuid.uuid4().hex}"
        self._path = f"{folder}/{self._name}"
        try:
            _held.add(self._name)
            self._renew()
            others = self._others()
            if others:
                raise ConfigError(
                    f"{address(filesystem, folder)} is being pushed by another process "
                    f"({others[0]}): wait until it ends. A process that was killed on another "
                    "machine, or where it cannot be looked up, holds it for up to "
                    f"{LEASE_SECONDS / 60:.0f} minutes."
                )
        except BaseException:
            self._give_up()
            raise
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="celonis-claim", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that nobody else took over, as after a long sleep of this machine.

        Raises:
            UploadUncertain: Somebody did.
        """
        # The others first: that looks anew, and not at a remembered listing.
        if self._others() or not self._filesystem.exists(self._path):
            raise UploadUncertain(
                "Another process has taken over the push staged at "
                f"{address(self._filesystem, self._folder)}: nothing was executed from here. See "
                "what became of it there.",
                job_id="",
            )

    def release(self) -> None:
        """Let others work on it."""
        self._stop.set()
        self._thread.join()
        self._give_up()

    def _give_up(self) -> None:
        _held.discard(self._name)
        self._remove(self._path)

    def _keep(self) -> None:
        while not self._stop.wait(LEASE_SECONDS / 5):
            # Whatever the filesystem's library raises: it may go better the next time, and `check`
            # finds out when it did not.
            with contextlib.suppress(Exception):
                self._filesystem.invalidate_cache()
                if self._filesystem.exists(self._path):
                    self._renew()

    def _renew(self) -> None:
        said = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "begin": _begin(os.getpid()),
            "seen_from": _seen_from(),
            "until": time.time() + LEASE_SECONDS,
        }
        write_whole(self._filesystem, self._path, json.dumps(said).encode())

    def _others(self) -> list[str]:
        """The holders of other claims that hold; those that do not are removed."""
        self._filesystem.invalidate_cache()
        found = []
        for path in map(str, self._filesystem.ls(self._folder, detail=False)):
            name = path.rpartition("/")[2]
            if not name.startswith(_PREFIX) or name == self._name:
                continue
            try:
                said = json.loads(self._filesystem.cat_file(path))
                holds = _holds(name, said)
                holder = f"process {said['pid']} on {said['host']}"
            except FileNotFoundError:
                continue
            except Exception:  # half a file, or whatever the filesystem's library raises
                holds, holder = self._fresh(path), "one that does not say which"
            if holds:
                found.append(holder)
            else:
                self._remove(path)
        return found

    def _fresh(self, path: str) -> bool:
        """Whether a claim that cannot be read was written within the lease, or may have been."""
        for ask in (self._filesystem.modified, self._filesystem.created):
            with contextlib.suppress(Exception):  # not every filesystem tells both
                when = ask(path)
                if when.tzinfo is None:
                    when = when.replace(tzinfo=dt.UTC)
                return bool(when.timestamp() + LEASE_SECONDS > time.time())
        return True

    def _remove(self, path: str) -> None:
        with contextlib.suppress(Exception):  # what stays there lapses
            self._filesystem.rm_file(path)


def _holds(name: str, said: dict[str, Any]) -> bool:
    here = _seen_from()
    if here is not None and said.get("seen_from") == here and said["begin"] is not None:
        if _begin(int(said["pid"])) != said["begin"]:
            return False
        return said["pid"] != os.getpid() or name in _held
    return bool(said["until"] > time.time())


def _seen_from() -> list[str] | None:
    """From where one sees the processes that this one sees; None where that cannot be told.

    The machine since it was started, the container's own numbering of processes, and the user, for
    those of others may be hidden: a host's name is no proof, as two machines can have the same.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return [boot, str(Path("/proc/self/ns/pid").readlink()), str(os.getuid())]
    except (OSError, AttributeError):  # no Linux
        return None


def _begin(pid: int) -> str | None:
    """When a process that can be seen from here began, as a text to compare; None for none."""
    try:
        # The name, in parentheses, may hold blanks; then come the state and, 19 on, the start time.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]  # it is dead, and nobody has asked
