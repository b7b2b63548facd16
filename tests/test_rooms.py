"""The house: which room may know which, one signature on all doors, a lazy import."""

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
DATA = {
    "_frames", "_batches", "_iterable", "_pandas", "_objects", "_polars", "_types", "_casts",
    "_nested", "_schema", "_measure", "_findings", "_keys", "_sizes", "_chunks", "_chunkfile",
    "_style", "_codecs",
    "_csvfile",
    "_crew", "_encoding", "_staging", "_keeping", "_parquetfiles", "_passing",
    "_manifest", "_claims", "_files",
}  # fmt: skip
WIRE = {
    "_address", "_auth", "_config", "_http", "_session", "_trust", "_answers", "_breaks",
    "_refusals", "_body", "_records", "_api", "_jobs", "_lookup", "_abort", "_retry", "_uploads",
    "_submissions", "_deliver", "_shelter", "_oauth", "_tokenfile", "_line",
}  # fmt: skip


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_data_side_and_wire_side_do_not_know_each_other() -> None:
    """Neither side imports a room of the other; they meet in _push."""
    for side, other in ((DATA, WIRE), (WIRE, DATA)):
        for room in side:
            found = _imports(PACKAGE / f"{room}.py")
            assert not {f"celonis_frames.{name}" for name in other} & found, room


def test_one_room_each_knows_http_paths_and_frames() -> None:
    """Only _http and its four helpers import the HTTP library, only _api spells paths."""
    for path in PACKAGE.glob("_*.py"):
        top = {name.partition(".")[0] for name in _imports(path)}
        if path.stem not in ("_http", "_session", "_trust", "_breaks", "_abort"):
            assert not {"requests", "urllib3"} & top, path
        if path.stem != "_oauth":
            assert "oauthlib" not in top, path
        if path.stem != "_api":
            assert "/data-push" not in path.read_text(), path


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
