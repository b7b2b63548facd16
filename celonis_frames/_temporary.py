"""The temporary folder of the system, and the error if it cannot be used."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator

from celonis_frames.exceptions import CelonisFramesError


@contextlib.contextmanager
def temporary_folder_errors(
    what: str, *, kind: type[CelonisFramesError], folder: str = "", instead: str = ""
) -> Iterator[None]:
    """Translates an error of the temporary folder: a full disk, or a system that has none.

    Args:
        what: What is kept there, as the start of the message: "The chunks wait".
        kind: The error to raise.
        folder: Its path, if it is known.
        instead: What else can be done: ", or give staging=".
    """
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError):  # raised if there is no usable one
            folder = folder or tempfile.gettempdir()
        raise kind(
            f"{what} in {folder or 'a temporary folder'}, which cannot be written: {error}. Free "
            f"space there, set TMPDIR to another folder{instead}."
        ) from error
