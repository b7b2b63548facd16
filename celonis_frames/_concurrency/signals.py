"""SIGTERM and SIGHUP as SystemExit while a push runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never


def in_main_thread() -> bool:
    """Whether this is the main thread, the only one in which Python handles signals."""
    return threading.current_thread() is threading.main_thread()


_TERMINATION = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What ends a process by default. SIGHUP is sent when its terminal closes; Windows has none."""


@contextmanager
def termination_as_system_exit() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise SystemExit, so that open jobs and files are closed.

    Does nothing outside the main thread. A signal that is ignored (``nohup``) or has a handler of
    the program's own stays as it is.
    """
    numbers = _TERMINATION if in_main_thread() else []
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: object) -> Never:
    raise SystemExit(128 + number)  # the exit code a shell shows for a process ended by a signal
