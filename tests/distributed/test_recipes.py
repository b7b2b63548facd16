"""The recipe of docs/distributed.md for one engine, which CELONIS_FRAMES_ENGINE names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import celonis_frames

PAGE = Path(__file__).parents[2] / "docs" / "distributed.md"
ENGINE = os.environ["CELONIS_FRAMES_ENGINE"]
MARK = f"<!-- skip: needs {ENGINE}; nox -s engines runs it -->\n```python\n"
# Whatever the engine warns about, or leaves behind, is its own affair.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Engines keep threads of their own."""
    return


def test_the_recipe_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there; it asserts how many rows were pushed."""
    monkeypatch.setenv("DAFT_ANALYTICS_ENABLED", "0")
    (code,) = re.findall(re.escape(MARK) + r"(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert "assert status.rows == " in code
    with celonis_frames.connect("local", progress=False):
        names: dict[str, Any] = {"celonis_frames": celonis_frames}
        exec(code, names)  # noqa: S102  # our own page
    assert names["status"].ok
