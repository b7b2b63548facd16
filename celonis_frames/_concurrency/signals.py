"""The system's wish that the process ends, heard during a push as if it were an exception."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never


def in_main_thread() -> bool:
    """Whether this is the main thread, the only one in which Python hears signals."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def sigterm_as_system_exit() -> Iterator[None]:
    """Within the block SIGTERM raises SystemExit, so that what is open gets closed.

    Only in the main thread, where Python hears signals, and only where the program has not set a
    handler of its own.
    """
    if not in_main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _exit(number: int, _frame: object) -> Never:
    raise SystemExit(128 + number)  # what a shell shows for a process that a signal ended
