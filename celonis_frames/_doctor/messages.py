"""The messages of errors, as a report has them."""

from __future__ import annotations

from celonis_frames.exceptions import ApiError, CelonisFramesError


def message_of(error: CelonisFramesError) -> str:
    """The message without the request in front of it, which a reader does not know."""
    if not isinstance(error, ApiError) or not error.url:
        return error.message
    rest = error.message.removeprefix(f"{error.method} {error.url}").lstrip(": ")
    if rest.startswith("returned "):
        rest = f"The server {rest}"
    return rest[:1].upper() + rest[1:]
