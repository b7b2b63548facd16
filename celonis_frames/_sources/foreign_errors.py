"""What the library of a frame raises becomes a `FrameError` that names the frame's kind.

The text of a foreign error may quote cells, so only that of errors about names and files is shown;
the error itself is the cause.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from celonis_frames.exceptions import CelonisFramesError, FrameError

_ABOUT_NAMES = frozenset(
    {
        "ColumnNotFoundError", "DuplicateError", "SchemaFieldNotFoundError",
        "StructFieldNotFoundError",
    }
)  # fmt: skip
"""Errors of polars whose text has names of columns, but no cells."""

_Explain = Callable[[Exception], FrameError | None]


@contextlib.contextmanager
def translate_errors(kind: str, explain: _Explain = lambda _: None) -> Iterator[None]:
    """Raises what reading a frame of this kind raises as a `FrameError`.

    `explain` may return a more precise error.
    """
    try:
        yield
    except (CelonisFramesError, MemoryError):
        raise
    except Exception as error:  # each library has its own
        general = FrameError(
            f"The {kind} cannot be read: {_describe(error)}. Nothing was executed; the error that "
            "caused this one says more."
        )
        raise explain(error) or general from error


def _describe(error: Exception) -> str:
    name = type(error).__name__
    if name in _ABOUT_NAMES:
        return f"{name}: {str(error).partition(chr(10))[0]}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    return f"its rows or its query failed with {name}"
