"""The command-line arguments for the options of a push, made from the fields of those options."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from celonis_frames._options.push_options import PushOptions
from celonis_frames._options.upload import Upload
from celonis_frames.exceptions import ConfigError


def add_options(parser: argparse.ArgumentParser, method: Callable[..., Any]) -> None:
    """Add an argument for each option that the method takes."""
    taken = inspect.signature(method).parameters
    options = [one for one in fields(PushOptions) if one.name in taken]
    for option in (*options, *fields(Upload)):
        cli = option.metadata["cli"]
        if cli is not None:
            argument = dict(cli)
            flag = argument.pop("flag", f"--{option.name.replace('_', '-')}")
            parser.add_argument(flag, dest=option.name, default=None, **argument)


def read_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, as keywords of `push`."""
    given = {
        name: _READ.get(name, lambda value: value)(value)
        for name, value in vars(arguments).items()
        if value is not None
    }
    upload = {one.name: given[one.name] for one in fields(Upload) if one.name in given}
    options = {one.name: given[one.name] for one in fields(PushOptions) if one.name in given}
    return options | ({"upload": upload} if upload else {})


def _keys(text: str) -> list[str]:
    keys = [key.strip() for key in text.split(",")]
    if not all(keys):
        # An unset variable of a shell: without keys an upsert would be an append.
        raise ConfigError(f"--keys {text!r} has an empty name: name columns, or leave it out.")
    return keys


def _columns(given: list[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for text in given:
        name, equals, kind = text.rpartition("=")  # a name may have one, a type has none
        if not equals or not name or not kind:
            raise ConfigError(f"--column {text!r} must be NAME=TYPE or NAME=LENGTH.")
        if name in columns:
            raise ConfigError(f"--column names {name!r} twice: give it one type or length.")
        columns[name] = _number(kind)
    return columns


def _job_options(given: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"--job-option {text!r} must be NAME=VALUE.")
        if name in options:
            raise ConfigError(f"--job-option names {name!r} twice: give it one value.")
        options[name] = _number(value)
    return options


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


_READ: dict[str, Callable[[Any], Any]] = {
    "keys": _keys,
    "columns": _columns,
    "chunk_bytes": _number,
    "job_options": _job_options,
    "wait": lambda no_wait: not no_wait,
}
"""How the strings of the command line become values of `push`."""
