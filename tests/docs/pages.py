"""The examples in README.md and docs/: what they are, and what they print.

    python -m tests.docs.pages

runs the examples and writes what they print behind them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from celonis_frames import _connect

from .console import transcript

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(
    r"(<!-- skip: [^>]+-->\s*)?(?:```python\n(.*?)```(?:\n\n```text\n(.*?)```)?"
    r"|```console\n(?=\$ (?:export CELONIS_URL=local|celonis-frames ))(.*?)```)",
    re.DOTALL,
)
_IDS = r"[\da-f]{8}-[\da-f-]{27}|\b[\da-f]{32}\b|…"
_SHORT_IDS = r"\b[\da-f]{8}\b(?=  |\n)"
_PLACES = rf"{re.escape(tempfile.gettempdir())}/[\w/-]+|(?<=127\.0\.0\.1:)\d+"
_MEASURED = r"[\d.]+ s\b|[\d.]+ [kM]?B\b|\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?= UTC|  | - )"


@dataclass(frozen=True)
class Example:
    """A block of code; `shown` is the block of text right behind it, what it prints."""

    code: str
    shown: str
    end: int
    """Where the code ends in the page."""
    shown_end: int
    is_console: bool = False
    """Whether it is commands, each with what it prints behind it, so that both are `shown`."""


def examples(text: str) -> list[Example]:
    """The blocks of a page that run."""
    return [
        Example("", block[4], block.start(4), block.end(4), is_console=True)
        if block[4]
        else Example(block[2], block[3] or "", block.end(2) + 3, block.end())
        for block in _BLOCK.finditer(text)
        if not block[1]
    ]


def run(page: Path) -> Iterator[tuple[Example, str]]:
    """Run the examples of a page one after the other, in one namespace; yields what each prints."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as mine, mock.patch.dict(os.environ), _disconnected():
        os.environ |= {"XDG_STATE_HOME": mine, "XDG_CONFIG_HOME": mine}  # what this user has stays
        for example in examples(page.read_text("utf-8")):
            if example.is_console:
                yield example, transcript(example.shown)
                continue
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(example.code, page.name, "exec"), namespace)  # noqa: S102  # our pages
            yield example, printed.getvalue()


@contextlib.contextmanager
def _disconnected() -> Iterator[None]:
    """Close the default connection at the end."""
    try:
        yield
    finally:
        if _connect._connected is not None:
            _connect._connected.close()


def comparable(text: str) -> str:
    """The text without what differs from run to run."""
    return re.sub(f"{_IDS}|{_SHORT_IDS}|{_PLACES}|{_MEASURED}", "…", text)


def with_outputs(page: Path) -> str:
    """The page with what its examples print behind them."""
    text, parts, position = page.read_text("utf-8"), [], 0
    for example, printed in run(page):
        shown = example.shown
        if comparable(printed) != comparable(shown):
            shown = re.sub(f"{_IDS}|{_PLACES}", "…", printed)
        if example.is_console:
            parts += [text[position : example.end], shown]
            position = example.shown_end
            continue
        parts += [text[position : example.end], f"\n\n```text\n{shown}```" if shown else ""]
        position = example.shown_end
    return "".join([*parts, text[position:]])


if __name__ == "__main__":
    for path in PAGES:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            os.environ.pop("CELONIS_URL", None)
            new = with_outputs(path)
        if new != path.read_text("utf-8"):
            print(path.relative_to(ROOT))
            path.write_text(new, "utf-8")
