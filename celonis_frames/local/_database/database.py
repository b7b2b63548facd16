"""One DuckDB database, shared by the threads of the server.

Short queries run one at a time, under a lock, on the first connection. A job writes its data on a
cursor of its own (`Database.cursor`), so that it does not block them.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from celonis_frames.exceptions import ConfigError
from celonis_frames.local._database import files
from celonis_frames.local._database.sql import literal

DATABASE = "_celonis_catalog"
"""Name of the attached database. DuckDB's default is the file's name, which a pool may have too."""

LOG_BYTES = 4_000_000
"""Size of the write-ahead log from which it is folded into the database file."""

_HOLDER = re.compile(r"(?s)\block\b.*\(PID (\d+)\)")
"""How DuckDB names the process that uses a file, if it does."""

Row = dict[str, Any]


class Database:
    """A DuckDB database in a file or in memory, and a folder for files beside it.

    Args:
        path: The file, or None for memory.
        instance: An instance of DuckDB that nobody uses; None opens one, which takes longer.

    Attributes:
        writing: Is held by a thread that writes the tables of users, so that one at a time does.

    Raises:
        ConfigError: The file cannot be opened, for example because another process uses it.
    """

    def __init__(self, path: str | os.PathLike[str] | None, instance: Any = None) -> None:
        self.path = files.checked_path(path)
        self._lock = threading.RLock()
        self.writing = threading.Lock()
        self._readers = 0
        self._temporary = None if self.path else files.TemporaryFolder()
        try:
            self._connection: Any = instance or duckdb.connect()
            self._open()
        except BaseException:
            self._remove_temporary()
            raise

    def _open(self) -> None:
        try:
            if self.path is not None:
                files.create_database(self.path)
                # Only `fold_log` makes checkpoints: DuckDB would create a new log for all to read.
                self._connection.execute("SET checkpoint_threshold = '1000 TB'")
            # Without its type, DuckDB goes by the ending and the content of a file.
            name = literal(self.path or ":memory:")
            self._connection.execute(f"ATTACH {name} AS {DATABASE} (TYPE duckdb)")
        except (duckdb.Error, OSError) as error:
            self._connection.close()
            raise ConfigError(_open_error(self.path, error)) from error
        _set_up(self._connection)
        if self._temporary is None:
            self.folder = files.create_folder(files.chunk_folder(str(self.path)))
            self._spilled = self.folder / "spill"
            shutil.rmtree(self._spilled, ignore_errors=True)  # of a killed process
        else:
            self.folder = self._temporary.path / "chunks"
            self._spilled = self._temporary.path / "spill"
            self.folder.mkdir()
        self._connection.execute(f"SET temp_directory = {literal(self._spilled)}")
        self.fold_log()

    def close(self) -> None:
        """Close the database. One in memory is gone then, its folder too."""
        with self._lock:
            if self.path is not None:
                # Before the file is free for another process, which would use the folder.
                for folder in (self._spilled, self.folder):
                    with contextlib.suppress(OSError):  # it has files
                        folder.rmdir()
            self._connection.close()
        if self.path is not None:
            log = Path(f"{self.path}.wal")
            with contextlib.suppress(OSError):
                if log.stat().st_size == 0:
                    log.unlink()
        self._remove_temporary()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            self._temporary.close()

    def fold_log(self, *, at_bytes: int = 0) -> None:
        """Write what is in the write-ahead log into the database file.

        Afterwards the log is an empty file for its owner only. Nothing happens while a job writes or
        a long query reads; a later call folds then.

        Args:
            at_bytes: Do nothing if the log is smaller.
        """
        if self.path is None:
            return
        log = f"{self.path}.wal"
        with self._lock:
            if self._readers:
                return
            try:
                if os.stat(log).st_size < at_bytes:  # noqa: PTH116
                    return
            except FileNotFoundError:
                pass
            else:
                with contextlib.suppress(duckdb.Error):
                    self._connection.execute(f"CHECKPOINT {DATABASE}")
            with contextlib.suppress(FileExistsError):
                os.close(files.create(log))

    def cursor(self) -> Any:
        """A new cursor, for another thread or a transaction of its own."""
        cursor = self._connection.cursor()
        _set_up(cursor)
        return cursor

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """A cursor for a query that may take long. The log is not folded meanwhile.

        DuckDB 1 makes a checkpoint wait for such queries, and all calls would wait for it.
        """
        with self._lock:
            self._readers += 1
        try:
            with self.cursor() as cursor:
                yield cursor
        finally:
            with self._lock:
                self._readers -= 1

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock, so that several calls see and change one state."""
        with self._lock:
            yield

    def rows(self, query: str, *values: Any) -> list[Row]:
        """The result of a query as dictionaries."""
        with self._lock:
            result = self._connection.execute(query, values)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def run(self, statement: str, *values: Any) -> None:
        """Execute a statement."""
        with self._lock:
            self._connection.execute(statement, values)
            self.fold_log(at_bytes=LOG_BYTES)


def _set_up(cursor: Any) -> None:
    cursor.execute(f"USE {DATABASE}")
    cursor.execute("SET TimeZone = 'UTC'")


def _open_error(path: str | None, error: Exception) -> str:
    if path is None or not os.path.isfile(path):  # noqa: PTH113
        return f"The DuckDB file {path!r} cannot be opened: {error}"
    if holder := _HOLDER.search(str(error)):
        return (
            f"Process {holder[1]} uses the DuckDB file {path!r}, probably as a local Celonis: stop "
            "it, or connect to the URL that it prints, with the key that it prints."
        )
    return (
        f"The DuckDB file {path!r} cannot be opened ({error}). Check whether another local "
        "Celonis uses it."
    )
