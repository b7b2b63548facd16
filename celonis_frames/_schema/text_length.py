"""Lengths of string columns, in characters."""

from __future__ import annotations

MAX_TEXT_LENGTH = 16_250
"""Most characters that always fit: the lake stores 65,000 bytes, and a character takes up to 4."""

MIN_TEXT_LENGTH = 80
"""Shortest length of a string column: the default of Celonis."""


def text_length(longest: int) -> int:
    """Length of a string column whose longest value has `longest` characters.

    80, 160, 320 and so on, at most 16,250. A table keeps the length that a column was created with,
    so this leaves room for longer values in later pushes.
    """
    length = MIN_TEXT_LENGTH
    while length < longest:
        length *= 2
    return min(length, MAX_TEXT_LENGTH)
