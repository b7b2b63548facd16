"""The documentation says what the code does: blocks run, tables mirror, no error is forgotten."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import celonis_frames
from celonis_frames import events, exceptions, local

from .pages import PAGES, ROOT, comparable, examples, run

RUNNING = [page for page in PAGES if examples(page.read_text("utf-8"))]


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
def test_code_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python blocks of a page run, one after the other, and print what stands behind them."""
    monkeypatch.chdir(tmp_path)
    for example, printed in run(page):
        assert comparable(printed) == comparable(example.shown), "run python -m tests.docs.pages"


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
    """docs/errors.md has a section for each class but the root, with the message of a real one."""
    page = (ROOT / "docs" / "errors.md").read_text("utf-8")
    sections = set(re.findall(r"^### `(\w+)`$", page, re.MULTILINE))
    assert sections == set(exceptions.__all__) - {"CelonisFramesError"}
    assert sections - set(_mirror().messages.NAMES) == {"ApiError", "JobError"}


def test_the_reference_has_every_public_name() -> None:
    """docs/reference.md leads to a page for each name of the package and its public modules."""
    page = (ROOT / "docs" / "reference.md").read_text("utf-8")
    entries = set(re.findall(r"^   ~?celonis_frames\.([\w.]+)$", page, re.MULTILINE))
    names = {*celonis_frames.__all__} - {"__version__", "events", "exceptions", "local"}
    names |= {f"events.{name}" for name in events.__all__}
    names |= {f"exceptions.{name}" for name in exceptions.__all__}
    names |= {f"local.{name}" for name in local.__all__}
    assert names <= entries


def test_the_architecture_names_every_package() -> None:
    """docs/architecture.md leads to every package and every module at the root."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    package = ROOT / "celonis_frames"
    names = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    names |= {path.name for path in package.glob("*.py")} - {"__init__.py", "_version.py"}
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_the_citation_names_this_version() -> None:
    """CITATION.cff is of the version that the package says it is."""
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {celonis_frames.__version__}\n" in citation


FILE = re.compile(r"<!-- skip: the file (\S+) -->\n```python\n(.*?)```", re.DOTALL)


@pytest.mark.exhaustive
def test_the_tests_of_the_page_on_testing_pass(tmp_path: Path) -> None:
    """Its pipeline and its tests, as files of a project, and the message that it shows."""
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    files = dict(FILE.findall(page))
    # The failure that it shows: another pipeline, and another amount.
    for name, old, new in (
        ("pipeline.py", "> 0", ">= 0"), ("test_pipeline.py", "2.0]}, keys", "2.5]}, keys"),
    ):  # fmt: skip
        code = files[name].replace(old, new)
        files[name.replace("pipeline", "shown")] = code.replace("pipeline", "shown")
    for name, code in files.items():
        (tmp_path / name).write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:schemathesis", "."],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert "1 failed, 5 passed" in done.stdout, done.stdout
    [message] = re.findall(r"```text\n(AssertionError: .*?)```", page, re.DOTALL)
    printed = [line.removeprefix("E").strip() for line in done.stdout.splitlines()]
    assert set(message.splitlines()) <= set(printed), done.stdout
