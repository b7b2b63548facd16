"""Numbers as people read them."""

from __future__ import annotations


def format_bytes(size: float) -> str:
    """A size such as ``81.2 MB``, in decimal units."""
    for unit in ("B", "kB", "MB"):
        if size < 999.95:  # what rounds to 1000 belongs to the next unit
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"
