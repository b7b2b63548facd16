"""Text for a terminal: wrapped lines, and tables whose cells are cut to its width."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

MIN_WIDTH = 40
"""Columns below which nothing is wrapped or cut."""
_MIN_CELL = 6
_UNIT, _JOINED = re.compile(r"(?<=\d) (?=[A-Za-z])"), "\ue000"
_GAP = "  "


def width_of(stream: Any) -> int | None:
    """The columns of a terminal; None if the text goes elsewhere.

    What a file or another program gets is neither wrapped nor cut. ``COLUMNS`` says nothing of
    those: GNU readline sets it for every child of an interactive program.
    """
    try:
        if not stream.isatty():
            return None
    except (AttributeError, ValueError):  # a process without a console
        return None
    width = shutil.get_terminal_size((80, 24)).columns
    return width if width >= MIN_WIDTH else None


def wrapped(text: str, width: int | None) -> list[str]:
    """The lines of a text, those that are too long wrapped and indented."""
    if width is None:
        return text.split("\n")
    lines = []
    for line in text.split("\n"):
        if len(line) <= width:
            lines.append(line)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        joined = _UNIT.sub(_JOINED, line)  # a number stays with its unit
        lines += [
            part.replace(_JOINED, " ")
            for part in textwrap.wrap(joined, width, subsequent_indent=indent,
                                      break_long_words=False, break_on_hyphens=False)
        ]  # fmt: skip
    return lines


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], width: int | None) -> list[str]:
    """A table; numbers are aligned to the right, and without a width no cell is cut."""
    if not rows:
        return []
    is_number = [
        all(row[place] is None or isinstance(row[place], int) for row in rows)
        for place in range(len(head))
    ]
    cells = [list(head), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    if width is not None:
        widths = _fitted(widths, width)
    return [
        _GAP.join(
            _fit(cell, size, right=right)
            for cell, size, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in cells
    ]


def _fitted(widths: list[int], width: int) -> list[int]:
    """The widths, of which the largest are made smaller until all fit."""
    widths = list(widths)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width and max(widths) > _MIN_CELL:
        widths[widths.index(max(widths))] -= 1
    return widths


def _fit(cell: str, width: int, *, right: bool) -> str:
    if len(cell) > width:
        return cell[: width - 1] + "…"
    return cell.rjust(width) if right else cell.ljust(width)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return " ".join(str(value).split())
