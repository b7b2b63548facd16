"""Lengths of string columns, in characters."""

from __future__ import annotations

MAX_TEXT_LENGTH = 16_250
"""Most characters that always fit: the lake stores 65,000 bytes, and a character takes up to 4."""

MIN_TEXT_LENGTH = 80
"""Shortest length given to a text column: what Celonis itself would give."""


def text_length(longest: int) -> int:
    """Length of a text column whose longest text has so many characters.

    80, 160, 320 and so on, at most 16,250: room for what later pushes bring, since a table's
    column keeps the length it was made with.
    """
    length = MIN_TEXT_LENGTH
    while length < longest:
        length *= 2
    return min(length, MAX_TEXT_LENGTH)
