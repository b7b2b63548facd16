"""The architecture: who may import whom, one signature everywhere, a lazy import."""

from __future__ import annotations

import ast
import gc
import inspect
import subprocess
import sys
import typing
import weakref
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import celonis_frames
from celonis_frames import Celonis, Upload
from celonis_frames._options.push_options import PushOptions

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


def test_only_three_modules_spell_url_paths() -> None:
    """Paths of the API stand in two modules of _api, that of the token in _auth/oauth2.py."""
    paths = ("/data-ingestion", "/integration", "/oauth2")
    spelling = {
        name
        for name, tree in _modules().items()
        if not name.startswith("local/") and any(text.startswith(paths) for text in _texts(tree))
    }
    assert spelling == {"_api/client.py", "_api/integration.py", "_auth/oauth2.py"}


def test_only_sources_import_the_libraries_of_frames() -> None:
    """Only _sources imports pandas or polars, and what makes frames: the demo, files as frames."""
    importing = {
        name for name, tree in _modules().items() if {"pandas", "polars"} & _imported(tree)
    }
    assert all(name.startswith(("_sources/", "_cli/demo", "_cli/reading/")) for name in importing)


def test_only_the_oauth_module_imports_oauthlib() -> None:
    """The library of OAuth 2.0 is known in one place."""
    importing = {name for name, tree in _modules().items() if "oauthlib" in _imported(tree)}
    assert importing == {"_auth/oauth2.py"}


def _parameters(function: Any, skipped: int = 0) -> list[tuple[str, Any, str]]:
    """Name, default and annotation of each parameter."""
    parameters = list(inspect.signature(function).parameters.values())[skipped:]
    return [(one.name, one.default, str(one.annotation)) for one in parameters]


@pytest.mark.parametrize(
    "name", ["push", "push_many", "push_event_log", "delete", "changes", "plan", "resume"]
)
def test_functions_have_the_signature_of_the_method(name: str) -> None:
    """Function and method take the same parameters, say the same, and name themselves."""
    function, method = getattr(celonis_frames, name), getattr(Celonis, name)
    assert _parameters(function) == _parameters(method, skipped=1)
    assert function.__doc__ == method.__doc__
    assert (function.__module__, function.__qualname__) == ("celonis_frames", name)
    assert typing.get_type_hints(function) == typing.get_type_hints(method)


@pytest.mark.parametrize("name", ["push", "push_event_log", "check_event_log", "delete", "plan"])
def test_accessors_have_the_signature_of_the_function(name: str) -> None:
    """The accessor's methods take what the function takes after the frame."""
    function = getattr(celonis_frames, name)
    for frame in (pd.DataFrame({"a": [1]}), pl.DataFrame({"a": [1]}), pl.LazyFrame({"a": [1]})):
        method = getattr(frame.celonis, name)
        assert _parameters(method) == _parameters(function, skipped=1)
        assert method.__doc__ == function.__doc__


def test_help_shows_annotations_as_they_are_written() -> None:
    """No quotes around types, no module paths: what Shift-Tab shows can be read."""
    shown = str(inspect.signature(celonis_frames.push))
    assert "keys: Sequence[str] | str | None = None" in shown
    assert "nested: Literal['error', 'json'] = 'error'" in shown
    assert "-> PushStatus" in shown


@pytest.mark.parametrize(
    "name", ["push", "push_many", "push_event_log", "delete", "changes", "plan"]
)
def test_every_keyword_is_an_option(name: str) -> None:
    """Each keyword is a field of PushOptions or read by the method itself: none is dropped."""
    keywords = {
        parameter.name
        for parameter in inspect.signature(getattr(Celonis, name)).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    options = {option.name for option in fields(PushOptions)}
    own = {"case", "activity", "timestamp", "end", "order", "model", "check"}
    own = own if name == "push_event_log" else set()
    assert keywords - options <= {"client", "at_once", *own}
    if name in ("push", "push_event_log"):
        # The event log names what is loaded `model`.
        assert options - {"reload"} <= keywords if name == "push_event_log" else options <= keywords


def test_every_option_can_be_given_on_the_command_line() -> None:
    """All but what only code can mean: the index of pandas, a function; --quiet is the bar's."""
    absent = {
        one.name for one in (*fields(PushOptions), *fields(Upload)) if not one.metadata["cli"]
    }
    assert absent == {"index", "on_event", "progress", "upload"}


def test_dir_shows_the_public_names() -> None:
    """No private module, and the local Celonis although it is imported late."""
    assert dir(celonis_frames) == celonis_frames.__all__
    assert "local" in dir(celonis_frames)


def test_show_versions_names_what_matters(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a library, installed or not."""
    celonis_frames.show_versions()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["celonis_frames"] == celonis_frames.__version__
    assert lines["pyarrow"] == pa.__version__
    assert {"Python", "system", "requests", "pandas", "polars", "duckdb"} <= lines.keys()


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


def test_importing_the_package_imports_no_frames_and_no_engine() -> None:
    """Nor Arrow or the HTTP library: they come with the first public name, pandas never."""
    code = """
import sys
import celonis_frames
heavy = {"pandas", "polars", "pyarrow", "requests", "fsspec", "numpy", "duckdb", "dask", "pyspark"}
print(sorted(heavy & set(sys.modules)))
celonis_frames.push
engines = {"pandas", "polars", "duckdb", "dask", "pyspark", "ray", "deltalake", "botocore"}
print(sorted(engines & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n[]\n"


def test_every_public_name_is_where_it_is_said_to_be() -> None:
    """What type checkers read, and what is imported at the first access, are the same names."""
    tree = ast.parse(Path(celonis_frames.__file__).read_text("utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    homes = {
        alias.name: str(node.module).removeprefix("celonis_frames.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    modules = {name for name, home in homes.items() if home == "celonis_frames"}
    assert {name: home for name, home in homes.items() if name not in modules} == (
        celonis_frames._HOMES
    )
    assert {*homes, "__version__", "exceptions", "show_versions"} == {*celonis_frames.__all__}


def test_absent_libraries_are_no_error() -> None:
    """Without pandas, polars, tqdm's bar or the local Celonis' parts, the package still works."""
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('pandas', 'polars', 'duckdb', 'starlette', 'uvicorn'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Absent())
import celonis_frames, celonis_frames._cli.main, pyarrow as pa
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


@pytest.mark.parametrize("name", [n for n in celonis_frames.__all__ if n[0].isupper()])
def test_the_types_of_public_classes_can_be_resolved(name: str) -> None:
    """Tools that read annotations find every name in them."""
    typing.get_type_hints(getattr(celonis_frames, name))


def test_every_warning_is_reported() -> None:
    """Warnings go through `warn`, so that `on_event=` and spans get what the log gets."""
    allowed = {
        "_http/transport.py",  # a listener of this library's own tests and demo
        "_reporting/current.py", "_reporting/event_thread.py", "_reporting/recorder.py",
    }  # fmt: skip
    found = {
        path
        for path, tree in _modules().items()
        if not path.startswith(("local/", "_cli/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "warning"
    }
    assert found == allowed
