"""The time limit of reading: `--timeout` bounds the whole command.

A query of polars cannot be stopped. So it runs in a thread of its own, for which this one only
waits: when the time is up or a signal arrives it goes on, and the query ends with the process.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from celonis_frames._concurrency.background import call_in_background
from celonis_frames._jobs.timeouts import timeout_of

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
    # Not background=True, with which polars takes no engine, and several times the memory.
    query = partial(frame.collect, engine="streaming")
    return call_in_background(query, check_time, name="celonis-query")
