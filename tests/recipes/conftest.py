"""Only where the tool of a recipe is installed: see README.md."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
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


@pytest.fixture(autouse=True)
def recipes(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the recipes, from which this process and those that it starts can import."""
    monkeypatch.syspath_prepend(str(RECIPES))
    monkeypatch.setenv("PYTHONPATH", str(RECIPES))
    programs = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return RECIPES


@pytest.fixture
def celonis(local_celonis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A local Celonis to which the environment leads, and folders that the recipes ask it for."""
    monkeypatch.setenv("CELONIS_POOL", local_celonis.add_pool("Purchasing"))
    monkeypatch.setenv("CELONIS_STAGING", str(tmp_path / "staging"))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    return local_celonis


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts programs, and ends what they have left when the test ends."""
    with Processes(tmp_path) as started:
        yield started


@pytest.fixture
def python(
    recipes: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with a new environment of Python, first on PATH; pip finds this version there."""
    wheels = tmp_path_factory.getbasetemp() / "wheels"
    if not wheels.exists():
        root = str(recipes.parents[1])
        pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(wheels), root)
        subprocess.run(pip, check=True)
    folder = tmp_path / "work"
    venv.create(folder / ".venv", with_pip=True)
    monkeypatch.chdir(folder)
    path = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return folder
