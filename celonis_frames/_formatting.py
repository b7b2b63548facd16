"""Sizes and counts as text for people."""

from __future__ import annotations


def format_bytes(size: float) -> str:
    """A size such as ``81.2 MB``, in decimal units."""
    for unit in ("B", "kB", "MB"):
        if size < 999.95:  # what rounds to 1000 belongs to the next unit
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
