"""Deliver a stream while it is read.

The rows of a stream come from the caller's own code, which may insist on its thread (a database
cursor does) and must get Ctrl-C. So the calling thread reads, and another one delivers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context

from celonis_frames._concurrency.cancellation import POLL_SECONDS
from celonis_frames._concurrency.signals import DeferredSignals
from celonis_frames._frames.prepared_frame import PreparedFrame


def deliver_while_reading(
    stream: PreparedFrame, deliver: Callable[[], None], signals: DeferredSignals
) -> None:
    """Read a stream in this thread while a thread, ``celonis-deliver``, calls `deliver`.

    Raises:
        BaseException: What `deliver` raises, which includes what ended the reading.
    """
    raised: list[BaseException] = []

    def work() -> None:
        try:
            deliver()
        except BaseException as error:
            raised.append(error)
            stream.stop_reading(error)

    # A daemon: the interpreter does not wait for it when it ends.
    thread = threading.Thread(
        target=copy_context().run, args=(work,), name="celonis-deliver", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:  # the system cannot start a thread
        stream.read()
        deliver()
        return
    try:
        with signals.raising_at_once():
            stream.read()
    except BaseException as error:
        stream.stop_reading(error)
    while thread.is_alive():
        thread.join(POLL_SECONDS)
    if raised:
        raise raised.pop()
