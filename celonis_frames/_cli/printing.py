"""The one place that prints. A line that cannot be printed never fails a command."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from celonis_frames._cli.layout import width_of, wrapped
from celonis_frames._formatting import encodable


def say(*lines: str) -> bool:
    """Print lines on stdout; returns whether they could be written, or nobody reads them."""
    return _print(lines, sys.stdout)


def say_error(*lines: str) -> None:
    """Print lines on stderr, wrapped to the width of a terminal."""
    width = width_of(sys.stderr)
    _print(tuple(part for line in lines for part in wrapped(line, width)), sys.stderr)


def _print(lines: tuple[str, ...], stream: Any) -> bool:
    if stream is None:  # a process without a console
        return True
    try:
        for line in lines:
            print(encodable(line, getattr(stream, "encoding", None)), file=stream, flush=True)
    except BrokenPipeError:  # a reader such as head has seen enough
        _discard(stream)
    except (OSError, ValueError):  # a full disk, a closed stream
        _discard(stream)
        return False
    return True


def _discard(stream: Any) -> None:
    """Point a stream to nowhere: Python would write its buffer once more at exit, and fail."""
    with contextlib.suppress(Exception):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
