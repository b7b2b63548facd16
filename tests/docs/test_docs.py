"""The documentation says what the code does: blocks run, tables mirror, no error is forgotten."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

import celonis_frames
from celonis_frames import exceptions

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(
    r"(<!-- skip: [^>]+-->\s*)?```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL
)
"""A block of code, and a block of text right behind it: what it prints."""
VARYING = re.compile(r"[\da-f]{8}-[\da-f-]{27}|…|[\d.]+ s\b")
"""Ids and seconds."""
RUNNING = [
    page for page in PAGES if any(not skip for skip, *_ in BLOCK.findall(page.read_text("utf-8")))
]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
def test_code_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python blocks of a page run, one after the other, in one namespace.

    They print what the page shows right behind them.
    """
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for skip, block, output in BLOCK.findall(page.read_text("utf-8")):
        if not skip:
            capsys.readouterr()
            exec(compile(block, str(page), "exec"), namespace)  # noqa: S102  # our own pages
            if output:
                assert VARYING.sub("…", capsys.readouterr().out) == VARYING.sub("…", output)
    if celonis_frames._connect._connected is not None:
        celonis_frames._connect._connected.close()


def _mirror() -> Any:
    spec = importlib.util.spec_from_file_location("mirror", ROOT / "docs" / "mirror.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_mirror_the_code() -> None:
    """docs/types.md, docs/local.md and docs/errors.md hold the tables and the tree of the code."""
    mirror = _mirror()
    for file, name, table in mirror.PAGES:
        page = (ROOT / "docs" / file).read_text("utf-8")
        assert f"<!-- {name}:begin -->" in page
        assert mirror.mirrored(page, name, table()) == page, "run docs/mirror.py"


def test_every_error_is_explained() -> None:
    """docs/errors.md has a row for each class, and no other."""
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) == set(exceptions.__all__)


def test_the_reference_has_every_public_name() -> None:
    """docs/reference.md has an entry for each name in `celonis_frames.__all__`."""
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    entries = set(re.findall(r"^\.\. auto\w+:: celonis_frames\.(\w+)", page, re.MULTILINE))
    assert set(celonis_frames.__all__) - {"__version__"} <= entries


def test_the_architecture_names_every_package() -> None:
    """docs/architecture.md leads to every package and every module at the root."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    package = ROOT / "celonis_frames"
    names = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    names |= {path.name for path in package.glob("*.py")} - {"__init__.py", "_version.py"}
    assert {name for name in names if f"`{name}`" not in page} == set()
