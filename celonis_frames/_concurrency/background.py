"""A call that may hang, made in another thread, so that the caller can give it up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

_CHECK_SECONDS = 0.1
"""How often the thread that waits calls `check`."""

_T = TypeVar("_T")


def call_in_background(
    work: Callable[[], _T],
    check: Callable[[], None],
    *,
    name: str,
    thread: Callable[..., threading.Thread] = threading.Thread,
) -> _T:
    """What `work` returns or raises; `check` is called meanwhile, and raises to give it up.

    The thread is then left to itself: a daemon, which the interpreter does not wait for. `thread`
    makes it, with the parameters of `threading.Thread`.
    """
    done = threading.Event()
    returned: list[_T] = []
    raised: list[BaseException] = []

    def call() -> None:
        try:
            returned.append(work())
        except BaseException as error:  # raised again in the caller's thread
            raised.append(error)
        done.set()

    thread(target=copy_context().run, args=(call,), name=name, daemon=True).start()
    while not done.wait(_CHECK_SECONDS):
        check()
    if raised:
        raise raised.pop()
    return returned.pop()
