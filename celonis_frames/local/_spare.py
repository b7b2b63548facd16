"""A spare DuckDB instance, so that the next local Celonis of a test session starts at once.

How it works: opening an instance takes most of the start of a server. So while one server starts,
the thread ``local-celonis-spare`` opens the instance of the next. It has ended when the test
begins: DuckDB reads the environment as it opens, and a process in which another thread changes the
environment meanwhile, as tests do, may crash. Each instance is used once.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Self

import duckdb

from celonis_frames.local._database.catalog import Catalog
from celonis_frames.local._server import LocalCelonis, serve


class Spare:
    """Starts one local Celonis after the other; a ``with`` block closes the last instance."""

    def __init__(self) -> None:
        self._instance: Any = None

    @contextlib.contextmanager
    def started(self) -> Iterator[LocalCelonis]:
        """A new local Celonis in memory, without the limits on submissions."""
        instance, self._instance = self._instance, None
        thread = threading.Thread(target=self._open, name="local-celonis-spare", daemon=True)
        thread.start()
        try:
            with serve(Catalog(None, instance), limits=False) as celonis:
                thread.join()
                yield celonis
        finally:
            thread.join()

    def _open(self) -> None:
        self._instance = duckdb.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._instance is not None:
            self._instance.close()
