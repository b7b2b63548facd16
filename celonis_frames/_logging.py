"""The logger of the library: a line that cannot be logged never fails a push."""

from __future__ import annotations

import contextlib
import logging


class _Logger(logging.Logger):
    """A logger that raises nothing, whatever a handler does: a closed stderr raises ValueError."""

    def handle(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            super().handle(record)


def make_safe() -> None:
    """Let the logger ``celonis_frames`` raise nothing."""
    logger = logging.getLogger("celonis_frames")
    if type(logger) is logging.Logger:  # not if the application has loggers of its own
        logger.__class__ = _Logger
