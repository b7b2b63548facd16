"""Values on the page: escaped, and cut if they are long."""

from __future__ import annotations

import time
from html import escape
from typing import Any

LONGEST = 200
"""Characters of a value that are shown; a table also cuts what is wider than its column."""
_IN_FULL = 1_000
"""Characters that the pointer shows."""


def shown_text(value: Any) -> str:
    """A value as HTML, cut; the pointer shows more of what is cut."""
    text = str(value)
    short = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    if len(text) <= 30:  # what every column has room for
        return escape(short)
    return f"<span title='{escape(text[:_IN_FULL])}'>{escape(short)}</span>"


def shown_time(milliseconds: int) -> str:
    """A time of the API, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(milliseconds / 1000))
