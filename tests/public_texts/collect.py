"""Collects every text that a user of the package may read: its help, its commands, its messages.

    python -m tests.public_texts.collect

writes them beside this file.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import inspect
import io
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import polars as pl

import celonis_frames
from celonis_frames import events, exceptions, local

HERE = Path(__file__).parent
PACKAGE = Path(celonis_frames.__file__).parent
RULE = "=" * 80
MAX_LINE = 100
"""Characters of a signature that stands on one line."""

_PRIVATE = re.compile(r"\bcelonis_frames(?:\.\w+)*\._\w+\.")
"""The private module in front of a name: moving a class is no change of the text."""
_ID = re.compile(r" at 0x[0-9a-fA-F]+")
_COMMAND = re.compile(r"^    ([a-z]\S*)", re.MULTILINE)
_WORDS = re.compile(r"\S\s+\S|\s[^\W\d_]|[^\W\d_]\s")
_FOREIGN = re.compile(
    r"\s*(?:<[/!\w]|:root|[a-z_]+\(|\(\?|(?:"
    r"ALTER|ATTACH|BEGIN|CASE WHEN|CAST|CREATE|DELETE FROM|DESCRIBE|DROP|HAVING|INSERT|SELECT|WITH"
    r")\b)"
)
"""How SQL, HTML and CSS begin."""
RETURNED = (
    "Changes", "DataConnection", "DataJob", "DataModel", "ModelTable", "Pool", "Table",
    "TableColumn", "TableLoad",
)  # fmt: skip
"""Classes that users get from a `Celonis`, but do not import."""


def help_text() -> str:
    """The signature and the docstring of every public name."""
    entries = [("celonis_frames", inspect.getdoc(celonis_frames) or "")]
    for module in (celonis_frames, events, exceptions, local):
        for name in sorted(module.__all__):
            entries += _described(f"{module.__name__}.{name}", getattr(module, name))
    for kind in _returned():
        entries += _described(kind.__name__, kind)
    entries += _accessors()
    return "\n".join(f"{RULE}\n{name}\n\n{text}\n" for name, text in entries)


def cli_text() -> str:
    """The ``--help`` of the command line and of each command, at 80 columns."""
    scripts = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text("utf-8"))
    module, _, name = scripts["project"]["scripts"]["celonis-frames"].partition(":")
    main = getattr(importlib.import_module(module), name)
    whole = _printed(main, "--help")
    texts = {"": whole}
    for command in _COMMAND.findall(whole):
        texts[command] = _printed(main, command, "--help")
    return "\n".join(
        f"{RULE}\n$ {' '.join(['celonis-frames', *command.split(), '--help'])}\n\n{text}"
        for command, text in texts.items()
    )


def errors_text() -> str:
    """Every message that the source can make, and the parts that messages are made of.

    That is each text of several words, wherever it stands: many messages are put together from
    tables and from what functions return. Only docstrings, SQL and HTML are left out. ``{}``
    stands for an inserted value; a place in the source is not given, so that code may move.
    """
    texts: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        texts.update(_strings(ast.parse(path.read_text("utf-8"))))
    kept = {text for text in texts if _WORDS.search(text) and not _FOREIGN.match(text)}
    return "".join(f"{text!r}\n" for text in sorted(kept))


FILES: dict[str, Callable[[], str]] = {
    "help.txt": help_text,
    "cli.txt": cli_text,
    "errors.txt": errors_text,
}


def _described(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """The entry of a public name, and those of a class's methods and properties."""
    if inspect.ismodule(value):
        yield name, inspect.getdoc(value) or ""
    elif inspect.isclass(value):
        yield f"{name}{_signature(value)}", inspect.getdoc(value) or ""
        for member, definition in _members(value):
            yield from _member(f"{name}.{member}", getattr(value, member), definition)
    elif callable(value):
        yield f"{name}{_signature(value)}", inspect.getdoc(value) or ""
    else:
        yield f"{name}: {type(value).__name__}", ""


def _members(kind: type) -> list[tuple[str, Any]]:
    """The public names that classes of this package gave to the class, without its fields."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.partition(".")[0] == "celonis_frames":
            found.update(vars(base))
    fields = getattr(kind, "__dataclass_fields__", {})
    return sorted(
        (name, value)
        for name, value in found.items()
        if not name.startswith("_") and name not in fields
    )


def _member(name: str, value: Any, definition: Any) -> Iterator[tuple[str, str]]:
    if callable(value):
        kind = {classmethod: "classmethod ", staticmethod: "staticmethod "}
        prefix = kind.get(type(definition), "")
        yield f"{prefix}{name}{_signature(value)}", inspect.getdoc(value) or ""
    elif hasattr(definition, "__get__"):
        yield f"property {name}", inspect.getdoc(definition) or ""
    else:
        yield f"{name} = {value!r}", ""


def _returned() -> list[type]:
    """The classes `RETURNED`, in whichever module they are."""
    found = {
        value.__name__: value
        for name, module in sorted(sys.modules.items())
        if name.partition(".")[0] == "celonis_frames"
        for value in vars(module).values()
        if inspect.isclass(value)
        and value.__module__.partition(".")[0] == "celonis_frames"
        and not value.__module__.startswith("celonis_frames.local")
    }
    return [found[name] for name in RETURNED]


def _accessors() -> Iterator[tuple[str, str]]:
    """The entries of ``celonis`` on each kind of frame; equal texts are not repeated."""
    said: dict[str, str] = {}
    for owner, frame in (
        ("pandas.DataFrame", pd.DataFrame()),
        ("polars.DataFrame", pl.DataFrame()),
        ("polars.LazyFrame", pl.LazyFrame()),
    ):
        accessor = frame.celonis
        names = [name for name in dir(accessor) if not name.startswith("_")]
        texts = {"": inspect.getdoc(accessor) or ""}
        for name in names:
            method = getattr(accessor, name)
            texts[f".{name}{_signature(method)}"] = inspect.getdoc(method) or ""
        for name, text in texts.items():
            first = said.setdefault(f"{name}\n{text}", owner)
            yield f"{owner}.celonis{name}", text if first == owner else f"The same as for {first}."


def _signature(value: Callable[..., Any]) -> str:
    """The signature; on a line for each parameter when one line is too short."""
    try:
        signature = inspect.signature(value)
    except ValueError:  # an exception that takes what its base takes
        return "(...)"
    parts: list[str] = []
    star = False
    parameters = list(signature.parameters.values())
    for i, parameter in enumerate(parameters):
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        parts.append(_parameter(parameter))
        behind = parameters[i + 1].kind if i + 1 < len(parameters) else None
        if parameter.kind is parameter.POSITIONAL_ONLY and behind is not parameter.kind:
            parts.append("/")
    returned = signature.return_annotation
    arrow = "" if returned is signature.empty else f" -> {_annotation(returned)}"
    line = f"({', '.join(parts)}){arrow}"
    if len(line) <= MAX_LINE:
        return line
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f"){arrow}"


def _value(value: Any) -> str:
    """The value as code; a set in order, which differs from process to process otherwise."""
    if isinstance(value, frozenset):
        return f"frozenset({{{', '.join(sorted(map(repr, value)))}}})"
    return repr(value)


def _parameter(parameter: inspect.Parameter) -> str:
    text = parameter.name
    if parameter.kind is parameter.VAR_POSITIONAL:
        text = f"*{text}"
    elif parameter.kind is parameter.VAR_KEYWORD:
        text = f"**{text}"
    annotated = parameter.annotation is not parameter.empty
    if annotated:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        equals = " = " if annotated else "="
        text += equals + _PRIVATE.sub("", _ID.sub("", _value(parameter.default)))
    return text


def _annotation(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return _PRIVATE.sub("", text.replace("typing.", "").replace("collections.abc.", ""))


def _printed(main: Callable[[list[str]], int], *arguments: str) -> str:
    """What a command prints before it exits."""
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, COLUMNS="80"),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        main(list(arguments))
    return printed.getvalue()


def _strings(node: ast.AST) -> Iterator[str]:
    """The strings below a node, without those that are statements: docstrings."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
        return
    if isinstance(node, ast.JoinedStr):
        parts = node.values  # noqa: PD011  # of syntax, not of a frame
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                yield from _strings(part.value)
        return
    for child in ast.iter_child_nodes(node):
        yield from _strings(child)


def main() -> None:
    """Write the three files anew."""
    argparse.ArgumentParser(prog="python -m tests.public_texts.collect").parse_args()
    for name, collected in FILES.items():
        (HERE / name).write_text(collected(), "utf-8")
        sys.stdout.write(f"{name} is written\n")


if __name__ == "__main__":
    main()
