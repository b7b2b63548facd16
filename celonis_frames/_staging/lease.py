"""A lock and a lease: only one process at a time works on a stage.

On a local filesystem a process holds an OS lock on a file in the stage. The kernel frees the lock
when the process ends, however it ends.

On every filesystem a process also has a lease: a file in the stage, which a thread of its own
rewrites long before it expires. A process writes its lease first and then looks for others: of two
that start at the same time at least one sees the other's lease and backs off. Where there is no
lock it looks before, too: its own lease would be that of a successor to the holder. A lease that
is listed but cannot be read counts. A process that renewed its lease too long ago, as after a long
sleep of its machine, writes it and looks again before it goes on.

A push may have several processes, one after the other, with workers between them: the first hands
its lease over. Nobody renews it then, so that it holds for long, and who knows its name takes it.

A process takes a stage if the lock is free, and every other lease has expired or is known to be of
a dead process: one that held, on this machine, the lock that this process holds now. Where there is
no lock (remote filesystems, some network mounts), a lease outlives its process.
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
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any, NamedTuple

from fsspec.implementations.local import LocalFileSystem

from celonis_frames._filesystem.files import PRIVATE, join_path, list_names, write_atomically
from celonis_frames._filesystem.filesystems import borrowed_filesystem, display_url
from celonis_frames.exceptions import ConfigError, UploadUncertain

LEASE_SECONDS = 300.0
"""How long a lease holds unless it is renewed: longer than a network is usually down."""

RELEASE_SECONDS = 2.0
"""Time (s) for the thread that renews the lease to end."""

_RENEWALS = 5
"""How often a lease is renewed before it would expire, so that some of them may fail."""

_PREFIX = "lease-"
LOCK = "lock"

_held: set[str] = set()
"""Names of this process's leases: a file that could not be removed is no lease."""

_PROCESS_ID = uuid.uuid4().hex
"""Unique together with the pid, which a forked child does not share."""


class StageInUse(ConfigError):
    """Another process works on a stage."""


class _OtherLease(NamedTuple):
    path: str
    holder: str
    holds: bool
    handed_over: bool = False  # nobody renews it


@contextlib.contextmanager
def _removal_of(folder: str) -> Iterator[Callable[[], bool]]:
    """A function that says whether the folder was removed meanwhile, although one is there again.

    Only where folders can be opened; elsewhere a folder with an open file cannot be removed.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        yield lambda: False
        return
    try:
        yield lambda: os.fstat(descriptor).st_nlink == 0
    finally:
        os.close(descriptor)


class StageLease:
    """The right to work on the stage in a folder, until `release`.

    In a `new` folder, which no other process can know yet, no other lease is searched for. A lease
    that was handed over is taken by its name, `inherits`.

    Raises:
        StageInUse: Another process works on it.
        ConfigError: The folder does not list what is written.
    """

    def __init__(
        self, filesystem: Any, folder: str, *, new: bool = False, inherits: str | None = None
    ) -> None:
        self.filesystem, self._folder, self._inherits = filesystem, folder, inherits
        self._name = f"{_PREFIX}{uuid.uuid4().hex}"
        self._path = join_path(folder, self._name)
        self._held_at = 0.0  # when it was renewed last, and no other process had a lease
        self._pid = os.getpid()
        self._lock: Any = None  # of `filelock`, which is slow to import
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._keep,), name="celonis-lease", daemon=True
        )
        try:
            self._acquire(new=new)
            self._thread.start()
        except BaseException:
            self._give_up()
            raise

    def check(self) -> None:
        """Check that no other process has taken over.

        Raises:
            UploadUncertain: One has.
        """
        self._check(self.filesystem)

    def hold(self) -> None:
        """Renew the lease and check it, if that is overdue, as after a long sleep of this machine.

        Otherwise this reads no more than the clock: it may be called before every step, in any
        thread.

        Raises:
            UploadUncertain: Another process has taken over.
        """
        # Half of the time is left: clocks differ between machines.
        if not 0.0 <= time.time() - self._held_at < LEASE_SECONDS / 2:
            with borrowed_filesystem(self.filesystem) as filesystem:
                self._extend(filesystem)

    def hand_over(self, holder: str, seconds: float) -> str:
        """Keep others away for so many seconds, but for a process that knows the returned name.

        `holder` says in messages who that is.

        Raises:
            Exception: Whatever the filesystem raises if the lease cannot be written.
        """
        self.stop()
        self._renew(self.filesystem, process="", locked=False, holder=holder,
                    until=time.time() + seconds)  # fmt: skip
        _held.discard(self._name)
        if self._lock is not None:
            self._lock.release()
        return self._name

    def stop(self) -> None:
        """End the renewals: the lease holds for some minutes more."""
        self._stop.set()
        self._thread.join(RELEASE_SECONDS)  # a daemon: it may wait for the filesystem

    def release(self) -> None:
        """Let others work on the stage. In a forked child this does nothing."""
        if os.getpid() == self._pid:
            self.stop()
            self._give_up()

    def _acquire(self, *, new: bool) -> None:
        locked_by_another = not self._lock_folder()
        if not (locked_by_another or new) and self._lock is None:
            held = self._others(self.filesystem, self._names(self.filesystem))
            if any(lease.holds for lease in held):
                raise self._in_use(held)
        if not locked_by_another:
            _held.add(self._name)
            self._held_at = time.time()
            self._renew(self.filesystem)
            if new:
                return
        names = list_names(self.filesystem, self._folder)
        others = self._others(self.filesystem, names)
        if locked_by_another or any(lease.holds for lease in others):
            raise self._in_use(others)
        if self._lock is None and self._name not in names:
            raise ConfigError(
                f"The folder {display_url(self.filesystem, self._folder)} does not list a file "
                "that was just written there: it cannot be seen whether another process works on "
                "the push. Try again when the storage shows what is written."
            )
        for lease in others:
            self._remove(lease.path)
        if self._inherits is not None:
            self._remove(join_path(self._folder, self._inherits))

    def _in_use(self, others: list[_OtherLease]) -> StageInUse:
        others.sort(key=lambda lease: not lease.holds)
        holder = f" ({others[0].holder})" if others else ""
        start = (
            f"{display_url(self.filesystem, self._folder)} is being pushed by another process"
            f"{holder}: wait until it ends."
        )
        if others and others[0].handed_over:
            return StageInUse(f"{start} If it was killed, delete the folder.")
        return StageInUse(
            f"{start} A process that was killed on another machine, or that staged on a remote "
            f"filesystem, holds it for up to {LEASE_SECONDS / 60:.0f} minutes."
        )

    def _lock_folder(self) -> bool:
        """Lock the folder, where that is possible; return False if another process has locked it.

        Raises:
            FileNotFoundError: Its push was finished just now.
        """
        if not (isinstance(self.filesystem, LocalFileSystem) and Path(self._folder).is_dir()):
            return True
        from filelock import FileLock, Timeout  # noqa: PLC0415

        # Any thread may release it. Only a lock that the kernel frees is of use.
        path = join_path(self._folder, LOCK)
        lock = FileLock(path, mode=PRIVATE, thread_local=False, fallback_to_soft=False)
        try:
            with _removal_of(self._folder) as removed:
                lock.acquire(blocking=False)
                if removed():
                    # Locking has made the folder again, if not another process. While it is locked:
                    # afterwards the lock may be that process's.
                    with contextlib.suppress(OSError):
                        Path(path).unlink(missing_ok=True)
                        Path(self._folder).rmdir()
                    lock.release(force=True)
                    raise FileNotFoundError(self._folder)
            self._lock = lock
        except Timeout:
            return False
        except FileNotFoundError:
            raise
        except (OSError, NotImplementedError):
            pass  # this filesystem has no locks: the leases decide
        return True

    def _give_up(self) -> None:
        _held.discard(self._name)
        self._remove(self._path)
        if self._lock is not None:
            self._lock.release()

    def _keep(self) -> None:
        while not self._stop.wait(LEASE_SECONDS / _RENEWALS):
            # Whatever the filesystem's library raises: the next try may succeed, and `hold`
            # detects if none did.
            with (
                contextlib.suppress(Exception),
                borrowed_filesystem(self.filesystem) as filesystem,
            ):
                self._extend(filesystem)

    def _extend(self, filesystem: Any) -> None:
        """Renew the lease unless it was removed, and then look for others."""
        now = time.time()
        if self._name in self._names(filesystem):
            self._renew(filesystem)
        self._check(filesystem)
        self._held_at = now

    def _check(self, filesystem: Any) -> None:
        names = self._names(filesystem)
        if self._name not in names or any(lease.holds for lease in self._others(filesystem, names)):
            raise UploadUncertain(
                "Another process has taken over the push staged at "
                f"{display_url(filesystem, self._folder)}, or has finished it. "
                "Check the push there.",
                job_id="",
            )

    def _names(self, filesystem: Any) -> list[str]:
        """What is in the folder, which a process that finishes the push removes."""
        try:
            return list_names(filesystem, self._folder)
        except FileNotFoundError:
            return []

    def _renew(self, filesystem: Any, **changes: Any) -> None:
        record = {
            "host": socket.gethostname(),
            "machine": _machine_id(),
            "pid": os.getpid(),
            "process": _process_id(),
            "locked": self._lock is not None,
            "until": time.time() + LEASE_SECONDS,
            **changes,
        }
        write_atomically(filesystem, self._path, json.dumps(record).encode())

    def _others(self, filesystem: Any, names: list[str]) -> list[_OtherLease]:
        """The leases of other processes among the names in the folder."""
        own = (self._name, self._inherits)
        leases = [name for name in names if is_lease(name) and name not in own]
        found = (self._read(filesystem, name) for name in leases)
        return [other for other in found if other is not None]

    def _read(self, filesystem: Any, name: str) -> _OtherLease | None:
        """A lease that is listed; None if it is not listed any more."""
        path = join_path(self._folder, name)
        try:
            record = json.loads(filesystem.cat_file(path))
            holder, handed_over = f"process {record['pid']} on {record['host']}", False
            if "holder" in record:
                end = dt.datetime.fromtimestamp(record["until"], dt.UTC)
                holder = f"{record['holder']}, until {end:%Y-%m-%d %H:%M} UTC at most"
                handed_over = True
            return _OtherLease(path, holder, self._holds(name, record), handed_over)
        except Exception:  # half a file, or whatever the filesystem's library raises
            if name not in list_names(filesystem, self._folder):
                return None
            return _OtherLease(path, f"its {name} cannot be read", _fresh(filesystem, path))

    def _holds(self, name: str, record: dict[str, Any]) -> bool:
        if record.get("process") == _process_id():
            return name in _held
        if self._lock is not None and record.get("locked") and record["machine"] == _machine_id():
            return False  # the kernel has freed its lock, which is this process's now
        return bool(record["until"] > time.time())

    def _remove(self, path: str) -> None:
        with contextlib.suppress(Exception):  # a file that stays expires
            self.filesystem.rm_file(path)


def is_lease(name: str) -> bool:
    """Whether a file of this name is a lease."""
    return name.startswith(_PREFIX)


def _fresh(filesystem: Any, path: str) -> bool:
    """Whether an unreadable lease is younger than `LEASE_SECONDS`, or may be."""
    for modified in (filesystem.modified, filesystem.created):
        with contextlib.suppress(Exception):  # not every filesystem has both
            when = modified(path)
            if when.tzinfo is None:
                when = when.replace(tzinfo=dt.UTC)
            return bool(when.timestamp() + LEASE_SECONDS > time.time())
    return True


def _process_id() -> str:
    return f"{_PROCESS_ID}-{os.getpid()}"


def _machine_id() -> str:
    """Host name and hardware address; another one each time if there is no hardware address."""
    return f"{socket.gethostname()}-{uuid.getnode():x}"
