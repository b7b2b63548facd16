"""The files of the local Celonis: for their owner only, never behind a symbolic link.

A database ``x.duckdb`` has a write-ahead log ``x.duckdb.wal`` and a folder ``x.duckdb.chunks``. DuckDB
creates files with the permissions of the process's umask, so files that it would create are created
here, before DuckDB opens them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from celonis_frames._formatting import shown
from celonis_frames._temporary import temporary_folder_errors
from celonis_frames.exceptions import ConfigError

_OTHER_FORMATS = (
    ".7z", ".arrow", ".avro", ".bz2", ".csv", ".feather", ".gz", ".htm", ".html", ".ipc", ".ipynb",
    ".json", ".jsonl", ".ndjson", ".ods", ".orc", ".parquet", ".pickle", ".pkl", ".pq", ".py",
    ".sqlite", ".sqlite3", ".tar", ".tsv", ".txt", ".wal", ".xes", ".xls", ".xlsx", ".xml", ".xz",
    ".zip", ".zst",
)  # fmt: skip
"""Endings of names that are not those of a DuckDB file."""

_TEMPORARY = "local-celonis-"
_LEFT_SECONDS = 60.0
"""Age from which an unlocked temporary folder is one that a killed process left.

A process locks its folder milliseconds after it has created it.
"""


def checked_path(path: str | os.PathLike[str] | None) -> str | None:
    """The path of a database, or None for memory.

    Raises:
        ConfigError: It cannot be that of a DuckDB file, or its files are not safe to use.
    """
    if path is not None and not isinstance(path, str | bytes | os.PathLike):
        raise ConfigError(f"path={shown(path)} must be the path of a DuckDB file, or None.")
    given = None if path is None else os.fsdecode(path)
    if given is None or given == ":memory:":
        return None
    if not given.strip() or "\x00" in given:
        raise ConfigError(f"{given!r} is no path. Give a DuckDB file, or None for memory.")
    if "://" in given:
        raise ConfigError(
            f"The local Celonis keeps its tables on this machine, not at {given.partition('://')[0]}"
            "://… URLs. Give the path of a DuckDB file."
        )
    file = Path(given)
    ending = file.suffix.lower()
    if file.is_file() and not is_duckdb(given):
        raise ConfigError(
            f"{given!r} is not a DuckDB file. Give the path of a DuckDB file, or of a file that "
            "does not exist yet."
        )
    if ending in _OTHER_FORMATS and not file.exists():
        raise ConfigError(
            f"{given!r} ends in {ending}, and the local Celonis keeps its tables in a DuckDB file. "
            f"Give a path such as {str(file.with_suffix('.duckdb'))!r}."
        )
    if file.is_dir():
        raise ConfigError(
            f"{given!r} is a folder. Give a DuckDB file in it, such as "
            f"{str(file / 'celonis.duckdb')!r}."
        )
    if not file.parent.is_dir():
        raise ConfigError(
            f"The folder {str(file.parent)!r} of {given!r} does not exist. Create it."
        )
    for name in (given, f"{given}.wal", chunk_folder(given)):
        _check_safe(name, owned=name != given)
    return given


def is_duckdb(path: str) -> bool:
    """Whether a file is a DuckDB file. DuckDB itself goes by the ending of its name."""
    try:
        with Path(path).open("rb") as file:
            return file.read(12)[8:] == b"DUCK"
    except OSError:  # opening it in DuckDB tells why
        return True


def chunk_folder(path: str) -> str:
    """The folder for the chunks of a database."""
    return f"{path}.chunks"


def create_database(path: str) -> None:
    """Create an empty DuckDB file, if there is no file."""
    if os.path.lexists(path):
        return
    with _in_temporary_folder(), tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty.duckdb"
        duckdb.connect(str(empty)).close()
        content = empty.read_bytes()
    with contextlib.suppress(FileExistsError):  # another process was faster
        descriptor = create(path)
        try:
            os.write(descriptor, content)
        finally:
            os.close(descriptor)


def create(path: str | os.PathLike[str]) -> int:
    """Create a file for its owner only; returns its descriptor, open for writing.

    Raises:
        FileExistsError: There is something of that name, a symbolic link for example.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


def create_folder(path: str) -> Path:
    """Create a folder for its owner only, or make an existing one so."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)  # noqa: PTH102
    _check_safe(path, owned=True)
    if stat.S_IMODE(os.lstat(path).st_mode) & 0o077:
        os.chmod(path, 0o700)  # noqa: PTH101
    return Path(path)


def _in_temporary_folder() -> contextlib.AbstractContextManager[None]:
    return temporary_folder_errors("The local Celonis keeps its files", kind=ConfigError)


class TemporaryFolder:
    """A locked folder for a database in memory. Removes those that killed processes have left."""

    def __init__(self) -> None:
        with _in_temporary_folder():
            _remove_left()
            self.path = Path(tempfile.mkdtemp(prefix=_TEMPORARY))
        # `close` may be called by another thread.
        self._lock = FileLock(self.path / "lock", thread_local=False)
        self._lock.acquire()

    def close(self) -> None:
        """Remove the folder."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        lock = folder / "lock"
        with contextlib.suppress(OSError, Timeout, ConfigError):
            _check_safe(str(folder), owned=True)
            if time.time() - lock.stat().st_mtime < _LEFT_SECONDS:
                continue
            with FileLock(lock, timeout=0):
                pass
            shutil.rmtree(folder, ignore_errors=True)


def _check_safe(path: str, *, owned: bool) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise ConfigError(
            f"{path!r} is a symbolic link, which the local Celonis does not follow. Give the path "
            "of the file itself, or remove the link."
        )
    user = os.geteuid() if hasattr(os, "geteuid") else found.st_uid
    if owned and user != 0 and found.st_uid not in (user, 0):
        raise ConfigError(
            f"{path!r} belongs to another user. Give another path, or remove it if it is yours."
        )
