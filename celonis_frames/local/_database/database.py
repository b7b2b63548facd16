"""One DuckDB database, shared by the threads of the server.

Short queries run one at a time, under a lock, on the first connection. A job writes its data on a
cursor of its own (`Database.cursor`), so that it does not block them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from celonis_frames.exceptions import ConfigError
from celonis_frames.local._database.sql import literal

DATABASE = "_celonis_catalog"
"""Name of the attached database. DuckDB's default is the file's name, which a pool may have too."""

Row = dict[str, Any]


class Database:
    """A DuckDB database in a file or in memory, and a folder for files beside it.

    Args:
        path: The file, or None for memory.

    Raises:
        ConfigError: The file cannot be opened, for example because another process uses it.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path = None if path is None else os.fspath(path)
        self._lock = threading.RLock()
        try:
            self._connection: Any = duckdb.connect()
            self._connection.execute(f"ATTACH {literal(self.path or ':memory:')} AS {DATABASE}")
        except duckdb.Error as error:
            raise ConfigError(_open_error(self.path, error)) from error
        _set_up(self._connection)
        if self.path is None:
            self.folder = Path(tempfile.mkdtemp(prefix="local-celonis-"))
        else:
            self.folder = Path(f"{self.path}.chunks")
            self.folder.mkdir(exist_ok=True)

    def close(self) -> None:
        """Close the database. One in memory is gone then, its folder too."""
        with self._lock:
            self._connection.close()
        if self.path is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def cursor(self) -> Any:
        """A new cursor, for another thread or a transaction of its own."""
        cursor = self._connection.cursor()
        _set_up(cursor)
        return cursor

    @contextmanager
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


def _set_up(cursor: Any) -> None:
    cursor.execute(f"USE {DATABASE}")
    cursor.execute("SET TimeZone = 'UTC'")


def _open_error(path: str | None, error: duckdb.Error) -> str:
    try:
        with open(path or "", "rb") as file:  # noqa: PTH123
            head = file.read(12)
    except OSError:
        return f"The DuckDB file {path!r} cannot be opened: {error}"
    if head[8:] != b"DUCK":
        return (
            f"{path!r} is not a DuckDB file. Give the path of a DuckDB file, or of a file that "
            "does not exist yet."
        )
    return (
        f"The DuckDB file {path!r} cannot be opened ({error}). Check whether another local "
        "Celonis uses it."
    )
