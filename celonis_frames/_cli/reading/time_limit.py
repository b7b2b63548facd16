"""The time limit of reading: `--timeout` bounds the whole command.

A query of polars runs in threads of its own and cannot be stopped. So this thread only waits for
it: when the time is up or a signal arrives it goes on at once, and the query ends with the process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celonis_frames._jobs.timeouts import timeout_of

_WAIT_SECONDS = (0.001, 0.05)
"""The first and the longest wait for a query."""

_queries: list[Any] = []
"""Those that go on: polars panics if one ends whose result nobody can take."""
_deadline: ContextVar[float | None] = ContextVar("celonis_frames_reading", default=None)


@contextmanager
def reading_until(deadline: float | None) -> Iterator[None]:
    """A ``with`` block in which reading ends at a time of `time.monotonic`; None: it does not."""
    before = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(before)


def reading_deadline() -> float | None:
    """When reading ends, in seconds of `time.monotonic`; None if nothing bounds it."""
    return _deadline.get()


def check_time() -> None:
    """Check that there is time left to read.

    Raises:
        JobTimeout: There is none.
    """
    deadline = reading_deadline()
    if deadline is not None and time.monotonic() >= deadline:
        raise timeout_of("while the files were read", "", outcome_known=True)


def collected(frame: Any) -> Any:
    """The rows of a LazyFrame, as a DataFrame.

    Raises:
        JobTimeout: The time is up.
    """
    query, wait = frame.collect(engine="streaming", background=True), _WAIT_SECONDS[0]
    _queries.append(query)
    while (found := query.fetch()) is None:
        check_time()
        time.sleep(wait)
        wait = min(2 * wait, _WAIT_SECONDS[1])
    _queries.remove(query)
    return found
