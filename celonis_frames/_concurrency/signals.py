"""SIGTERM as SystemExit while a push runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never


def in_main_thread() -> bool:
    """Whether this is the main thread, the only one in which Python handles signals."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def sigterm_as_system_exit() -> Iterator[None]:
    """Within the block SIGTERM raises SystemExit, so that open jobs and files are closed.

    Does nothing outside the main thread, or if the program has set a handler of its own.
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
    raise SystemExit(128 + number)  # the exit code a shell shows for a process ended by a signal
