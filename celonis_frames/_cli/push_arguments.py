"""The command-line arguments for files and for the options of a push, made from their fields."""

from __future__ import annotations

import argparse
import inspect
import os
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from celonis_frames._cli.reading.formats import FORMATS, pairs
from celonis_frames._cli.reading.reading import STDIN
from celonis_frames._filesystem.masking import mask_url
from celonis_frames._formatting import alternatives
from celonis_frames._options.push_options import PushOptions
from celonis_frames._options.upload import Upload
from celonis_frames._schema.overrides import COLUMN_TYPES, Column
from celonis_frames._secrets import Secret
from celonis_frames.exceptions import ConfigError

PSEUDONYM_KEY = "CELONIS_PSEUDONYM_KEY"
"""The variable with the key of `--pseudonymise`."""
_ENVIRONMENT = "env:"
_TITLES = {
    "mode": "how they are sent: the table",
    "nested": "how they are sent: the values",
    "via": "how they are sent: the way",
}
"""Where each group of options begins, by the field, and its title."""
_TYPED = re.compile(rf"(.+)=({'|'.join(COLUMN_TYPES)}):(.+)", re.IGNORECASE | re.DOTALL)
_CODES = {
    "yyyy": "%Y", "yy": "%y", "mm": "%m", "dd": "%d", "hh": "%H", "mi": "%M", "ss": "%S",
}  # fmt: skip
"""Codes of dates in other programs, and those of Python."""
_WITH_FORMAT = ("DATE", "DATETIME", "TIME")


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add the files and how they are read."""
    options = "\n".join(
        line
        for one in FORMATS.values()
        for line in textwrap.wrap(
            ", ".join(one.options), 74, initial_indent=f"  {one.name:<8} ",
            subsequent_indent=" " * 11,
        )
    )  # fmt: skip
    group = parser.add_argument_group(
        "the files and how they are read", f"Options of the readers:\n{options}"
    )
    group.add_argument(
        "files", nargs="+", metavar="FILE",
        help="path, folder, glob or URL of "
        f"{alternatives([one.title for one in FORMATS.values()])} files of one format; {STDIN} is "
        "standard input",
    )  # fmt: skip
    group.add_argument(
        "--format", choices=tuple(FORMATS), metavar="FORMAT",
        help=f"{alternatives(list(FORMATS))} (default: by the names of the files)",
    )  # fmt: skip
    group.add_argument(
        "--read-option", action="append", metavar="NAME=VALUE",
        help="an option of the reader, such as 'separator=;' (see above); may be repeated",
    )  # fmt: skip


def add_options(parser: argparse.ArgumentParser, method: Callable[..., Any]) -> None:
    """Add an argument for each option that the method takes."""
    taken = inspect.signature(method).parameters
    group: Any = parser
    for option in fields(PushOptions):
        if option.name in _TITLES:
            group = parser.add_argument_group(_TITLES[option.name])
            if option.name == "nested" and "columns" in taken:
                group.add_argument(
                    "--pseudonymise", action="append", metavar="NAME",
                    help="send pseudonyms of this column, made with the key in the environment "
                    f"variable {PSEUDONYM_KEY}; may be repeated",
                )  # fmt: skip
        if option.name in taken:
            is_required = taken[option.name].default is inspect.Parameter.empty
            _add(group, option, **({"required": True} if is_required else {}))
    group = parser.add_argument_group("how they are sent: the chunks")
    for option in fields(Upload):
        if option.name != "repeat" or "via" in taken:
            _add(group, option)


def add_storage_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of fsspec, for a command that has no other options of a push."""
    _add(parser, next(one for one in fields(PushOptions) if one.name == "storage_options"))


def read_storage_options(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """The options of fsspec that were given; None if none were.

    Raises:
        ConfigError: One is not in their form.
    """
    given = arguments.storage_options
    return None if given is None else _storage_options(given)


def _add(group: Any, option: Any, **more: Any) -> None:
    cli = option.metadata["cli"]
    if cli is not None:
        argument = {**cli, **more}
        flag = argument.pop("flag", f"--{option.name.replace('_', '-')}")
        group.add_argument(flag, dest=option.name, default=None, **argument)


def read_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, as keywords of `push`.

    Raises:
        ConfigError: One is no value of its option.
    """
    given = {
        name: _READ.get(name, lambda value: value)(value)
        for name, value in vars(arguments).items()
        if value is not None
    }
    upload = {one.name: given[one.name] for one in fields(Upload) if one.name in given}
    options = {one.name: given[one.name] for one in fields(PushOptions) if one.name in given}
    if given.get("pseudonymise"):
        options["columns"] = _with_pseudonyms(options.get("columns", {}), given["pseudonymise"])
    return options | ({"upload": upload} if upload else {})


def date_formats(arguments: argparse.Namespace) -> dict[str, str]:
    """The formats of `--column NAME=DATETIME:FORMAT`, by column."""
    found = {}
    for text in arguments.columns or ():
        match = _TYPED.fullmatch(text)
        if match is not None:
            found[match[1]] = match[3]
    return found


def _with_pseudonyms(columns: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    if not os.environ.get(PSEUDONYM_KEY):
        raise ConfigError(
            f"--pseudonymise needs a secret key in the environment variable {PSEUDONYM_KEY}: the "
            "same one for all tables whose pseudonyms are to be equal."
        )
    for name in names:
        if name in columns:
            raise ConfigError(
                f"--column and --pseudonymise name {name!r}: leave one of them out, since a "
                "pseudonym is a STRING of 32 characters."
            )
    column = Column(pseudonymise=Secret(os.environ[PSEUDONYM_KEY]))
    return {**columns, **dict.fromkeys(names, column)}


def _keys(text: str) -> list[str]:
    keys = [key.strip() for key in text.split(",")]
    if not all(keys):
        # An unset variable of a shell: without keys an upsert would be an append.
        raise ConfigError(f"--keys {text!r} has an empty name: name columns, or leave it out.")
    return keys


def _columns(given: list[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for text in given:
        match = _TYPED.fullmatch(text)
        if match is not None and match[2].upper() not in _WITH_FORMAT:
            raise ConfigError(
                f"--column {text!r}: a format is for {', '.join(_WITH_FORMAT)}, not for "
                f"{match[2].upper()}."
            )
        if match is not None and "%" not in match[3]:
            form = _with_codes(match[3])
            codes = repr(f"{match[1]}={match[2]}:{form}") if form else "such as %d.%m.%Y"
            raise ConfigError(f"--column {text!r}: the codes of a format begin with %, {codes}.")
        # A name may have an equals sign, a type has none.
        name, equals, kind = (match[1], "=", match[2]) if match else text.rpartition("=")
        if not equals or not name or not kind:
            raise ConfigError(
                f"--column {text!r} must be NAME=TYPE, NAME=LENGTH or NAME=DATETIME:FORMAT (or "
                "DATE, TIME)."
            )
        if name in columns:
            raise ConfigError(f"--column names {name!r} twice: give it one type or length.")
        columns[name] = _number(kind)
    return columns


def _with_codes(form: str) -> str:
    """A format such as dd.mm.yyyy hh:mm as Python has it; "" if that is not sure."""
    form = re.sub(r"(?i)(h[^a-z]*)mm", r"\1mi", form)
    found = re.sub(r"(?i)yyyy|yy|mm|dd|hh|mi|ss", lambda code: _CODES[code[0].lower()], form)
    # 24, mon or am have no code here; before seconds, mm are minutes.
    is_sure = not re.search(r"[^\W_]", re.sub(r"%.|T", "", found)) and "%" in found
    return found if is_sure and not re.search("%m[^%]*%S", found) else ""


def _rename(given: list[str]) -> Any:
    words = [text for text in given if text in ("snake", "upper_snake")]
    if words:
        if len(given) > 1:
            raise ConfigError(
                f"--rename {words[0]} renames all columns: leave the others out, or name each."
            )
        return words[0]
    return pairs("--rename", given, "OLD=NEW, snake or upper_snake")


def _staging(url: str) -> str:
    if any(part.startswith("memory:") for part in url.split("::")):
        raise ConfigError(
            f"--staging {mask_url(url)}: what is in memory is lost when the command ends, so that "
            "nothing could be resumed. Give a folder, or the URL of a storage."
        )
    return url


def _storage_options(given: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in pairs("--storage-option", given).items():
        if value.startswith(_ENVIRONMENT):
            variable = value.removeprefix(_ENVIRONMENT)
            if variable not in os.environ:
                raise ConfigError(
                    f"--storage-option {name}={value}: the environment variable {variable} is not "
                    "set."
                )
            options[name] = Secret(os.environ[variable])
        else:
            options[name] = {"true": True, "false": False}.get(value.lower(), _number(value))
    return options


def _job_options(given: list[str]) -> dict[str, Any]:
    return {name: _number(value) for name, value in pairs("--job-option", given).items()}


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


_READ: dict[str, Callable[[Any], Any]] = {
    "keys": _keys,
    "columns": _columns,
    "rename": _rename,
    "staging": _staging,
    "storage_options": _storage_options,
    "chunk_bytes": _number,
    "job_options": _job_options,
    "wait": lambda no_wait: not no_wait,
}
"""How the strings of the command line become values of `push`."""
