"""The architecture: who may import whom, one signature everywhere, a lazy import."""

from __future__ import annotations

import ast
import gc
import inspect
import subprocess
import sys
import weakref
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import celonis_frames
from celonis_frames import Celonis

PACKAGE = Path(celonis_frames.__file__).parent


def _modules() -> dict[str, ast.Module]:
    """The modules of the package by their path in it, as in ``_api/client.py``."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text())
        for path in PACKAGE.rglob("*.py")
    }


def _texts(tree: ast.Module) -> set[str]:
    """Every string constant, those inside f-strings included; no docstrings."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    }


def _imported(tree: ast.Module) -> set[str]:
    """The libraries that a module imports, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_only_two_modules_spell_url_paths() -> None:
    """Paths of the API stand in _api/client.py, that of the token in _auth/oauth2.py."""
    paths = ("/data-ingestion", "/integration", "/oauth2")
    spelling = {
        name
        for name, tree in _modules().items()
        if not name.startswith("local/") and any(text.startswith(paths) for text in _texts(tree))
    }
    assert spelling == {"_api/client.py", "_auth/oauth2.py"}


def test_only_sources_import_the_libraries_of_frames() -> None:
    """Only _sources imports pandas or polars; the demo does, since it makes frames of both."""
    importing = {
        name for name, tree in _modules().items() if {"pandas", "polars"} & _imported(tree)
    }
    assert {name for name in importing if not name.startswith("_sources/")} <= {"_cli/demo.py"}


def test_only_the_oauth_module_imports_oauthlib() -> None:
    """The library of OAuth 2.0 is known in one place."""
    importing = {name for name, tree in _modules().items() if "oauthlib" in _imported(tree)}
    assert importing == {"_auth/oauth2.py"}


@pytest.mark.parametrize("name", ["push", "delete", "plan"])
def test_all_doors_have_one_signature(name: str) -> None:
    """Function, method and accessor take the same parameters with the same defaults."""
    function = list(inspect.signature(getattr(celonis_frames, name)).parameters.values())
    method = list(inspect.signature(getattr(Celonis, name)).parameters.values())
    assert method[1:] == function
    for frame in (pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), pl.LazyFrame({"a": [1]})):
        accessor = inspect.signature(getattr(frame.celonis, name))
        assert list(accessor.parameters.values()) == function[1:]


@pytest.mark.parametrize("name", ["push_many", "resume"])
def test_doors_without_an_accessor_have_one_signature(name: str) -> None:
    """Function and method take the same parameters with the same defaults."""
    function = list(inspect.signature(getattr(celonis_frames, name)).parameters.values())
    assert list(inspect.signature(getattr(Celonis, name)).parameters.values())[1:] == function


def test_all_is_sorted_and_complete() -> None:
    """Every public name is there, in order."""
    assert celonis_frames.__all__ == sorted(celonis_frames.__all__)
    for name in celonis_frames.__all__:
        assert getattr(celonis_frames, name) is not None


@pytest.mark.parametrize(
    "order",
    ["pandas, polars, celonis_frames", "celonis_frames, pandas, polars", "celonis_frames, polars"],
)
def test_the_accessor_is_there_whatever_is_imported_first(order: str) -> None:
    """Importing the package imports neither library, and both get their accessor."""
    code = (
        "import sys\n"
        + "".join(
            f"import {name}\n"
            + ("assert not {'pandas', 'polars'} & set(sys.modules) or "
               + repr(order != "celonis_frames" and not order.startswith("celonis")) + "\n"
               if name == "celonis_frames" else "")
            for name in order.split(", ")
        )
        + "for name in ('pandas', 'polars'):\n"
        "    if name in sys.modules:\n"
        "        frame = sys.modules[name].DataFrame({'a': [1]})\n"
        "        print(frame.celonis.plan('P', 'T').rows)\n"
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"1"}


def test_absent_libraries_are_no_error() -> None:
    """Without pandas, polars, tqdm's bar or the local Celonis' parts, the package still works."""
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('pandas', 'polars', 'duckdb', 'starlette', 'uvicorn'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Absent())
import celonis_frames, pyarrow as pa
print(celonis_frames.plan(pa.table({'a': ['x']}), 'P', 'T').rows)
try:
    celonis_frames.local
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'pip install "celonis-frames[local]"' in done.stdout


def test_a_frame_is_freed_without_a_garbage_collection() -> None:
    """The accessor makes no reference cycle: a polars frame's memory goes with its last name."""
    frame = pl.DataFrame({"a": [1]})
    frame.celonis.plan("P", "T")
    reference = weakref.ref(frame)
    gc.disable()
    try:
        del frame
        assert reference() is None
    finally:
        gc.enable()
