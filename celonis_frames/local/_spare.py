"""A spare DuckDB instance, so that the next local Celonis of a test session starts at once.

How it works: opening an instance takes most of the start of a server. So while a test uses one, the
thread ``local-celonis-spare`` opens that of the next test. It is joined when the test ends: no test
leaves a thread behind. Each instance is used once.
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
        with serve(Catalog(None, instance), limits=False) as celonis:
            thread = threading.Thread(target=self._open, name="local-celonis-spare", daemon=True)
            thread.start()
            try:
                yield celonis
            finally:
                thread.join()

    def _open(self) -> None:
        if self._instance is None:  # the one before this test was not used
            self._instance = duckdb.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._instance is not None:
            self._instance.close()
