"""Read and write the generated parts of docs/reliability.md, which stand between markers."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"


def part(name: str) -> str:
    """The text between the markers of this name."""
    found = _pattern(name).search(PAGE.read_text("utf-8"))
    if found is None:
        raise ValueError(f"{PAGE.name} has no markers {name!r}")
    return found[1]


def write(name: str, text: str) -> None:
    """Put a text between the markers of this name."""
    part(name)
    page = PAGE.read_text("utf-8")
    mark = f"<!-- {name}:begin -->\n{text}\n<!-- {name}:end -->"
    PAGE.write_text(_pattern(name).sub(lambda _: mark, page), "utf-8")


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(
        f"<!-- {re.escape(name)}:begin -->\n(.*?)\n?<!-- {re.escape(name)}:end -->", re.DOTALL
    )
