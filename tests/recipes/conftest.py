"""Only where the tool of a recipe is installed: see README.md."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import Processes

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"

TOOLS = {
    "airflow": "airflow", "dagster": "dagster", "prefect": "prefect", "dlt": "dlt",
    "github_actions": "check_jsonschema", "docker": "dockerfile",
}  # fmt: skip
"""The package that shows that a recipe's session is running, by the name of its test."""

collect_ignore = [
    f"test_{recipe}.py" for recipe, tool in TOOLS.items() if importlib.util.find_spec(tool) is None
]


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """The tools keep threads and files of their own; those of this library are tested elsewhere."""


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the recipes, from which this process and those that it starts can import."""
    monkeypatch.syspath_prepend(str(RECIPES))
    monkeypatch.setenv("PYTHONPATH", str(RECIPES))
    return RECIPES


@pytest.fixture
def celonis(local_celonis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A local Celonis to which the environment leads, and folders that the recipes ask it for."""
    monkeypatch.setenv("CELONIS_POOL", local_celonis.add_pool("Purchasing"))
    monkeypatch.setenv("CELONIS_STAGING", str(tmp_path / "staging"))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    (tmp_path / "data").mkdir()
    return local_celonis


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts programs, and ends what they have left when the test ends."""
    with Processes(tmp_path) as started:
        yield started
