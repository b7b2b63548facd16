"""What the programs that run a matrix share: they run its cells, and print what went wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

_Cell = TypeVar("_Cell")
_Observed = TypeVar("_Observed")


def run_each(
    cells: Sequence[_Cell], run: Callable[[int, _Cell], _Observed]
) -> dict[_Cell, _Observed]:
    """What came out of each cell; `run` gets its number too. A terminal shows how far it is."""
    found: dict[_Cell, _Observed] = {}
    for number, cell in enumerate(cells):
        found[cell] = run(number, cell)
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {len(cells)}", end="", file=sys.stderr)
    return found


def print_wrong(
    found: Mapping[_Cell, Any], problems: Callable[[_Cell, Any], list[str]], begin: float
) -> int:
    """Print the cells with problems, and the seconds since `begin`; returns how many these are."""
    wrong = 0
    for cell, observed in found.items():
        if texts := problems(cell, observed):
            wrong += 1
            print(f"{cell}: {'; '.join(texts)}\n    {observed.message[:300]}")
    print(f"{len(found)} cells, {wrong} not as promised, {time.monotonic() - begin:.0f} s")
    return wrong
