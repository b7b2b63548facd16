"""Sizes and counts as people write and read them."""

from __future__ import annotations

import contextlib
import re

from celonis_frames.exceptions import ConfigError

MIN_UNITLESS_BYTES = 10_000
"""Smallest size without a unit; below it a unit is required, since 256 most likely means MB."""

_ASCII_SIGNS = str.maketrans(
    {"·": "-", "…": "...", "✓": "OK", "✗": "!", "—": "-", "→": "->", "↑": "sent", "↓": "received"}
)
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}  # fmt: skip


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


def encodable(text: str, encoding: str | None) -> str:
    """The text with whatever the encoding lacks replaced: our signs by ASCII, the rest escaped."""
    encoding = encoding or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        text = text.translate(_ASCII_SIGNS)
        with contextlib.suppress(LookupError):  # an encoding that Python does not know
            return text.encode(encoding, "backslashreplace").decode(encoding)
    return text


def parse_bytes(name: str, size: object, *, maximum: int) -> int:
    """A size in bytes, from a number or a string such as ``"256 MB"``; `name` is for errors.

    Raises:
        ConfigError: Not a size, not between 1 and `maximum`, or a small number without a unit.
    """
    number, unit = -1.0, ""
    if isinstance(size, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?i?B?)\s*", size, re.IGNORECASE)
        if match and match[2].upper() in _UNITS:
            unit = match[2].upper()
            number = float(match[1]) * _UNITS[unit]
    elif isinstance(size, int) and not isinstance(size, bool):
        number = size
    if not 1 <= number <= maximum:
        raise ConfigError(
            f"{name}={size!r} must be a number of bytes or a string such as '256 MB', from 1 "
            f"to {maximum:,} ({maximum / 10**9:g} GB)."
        )
    if not unit and number < MIN_UNITLESS_BYTES:
        raise ConfigError(
            f"{name}={size!r} means {number:,.0f} bytes, which is hardly intended: write "
            f"'{number:g} MB' for megabytes, or '{number:g} B' for bytes."
        )
    return int(number)
