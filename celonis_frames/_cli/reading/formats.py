"""The formats of files: their names, the endings of their files, and their read options."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celonis_frames._formatting import did_you_mean, shown
from celonis_frames.exceptions import ConfigError

COMPRESSION = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
"""Endings of compressed files, and the names of their compression."""


def _word(name: str, value: str) -> str:
    if not value:
        raise ConfigError(f"--read-option {name}= is empty: give it a value.")
    return value


def _sign(name: str, value: str) -> str:
    named = {"tab": "\t", "\\t": "\t", "space": " "}.get(value.lower(), value)
    if len(named) != 1 or not named.isascii():
        raise ConfigError(
            f'--read-option {name}={shown(value)} must be one ASCII character, such as ";", or tab.'
        )
    return named


def _sign_or_none(name: str, value: str) -> str | None:
    return None if value.lower() == "none" else _sign(name, value)


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ConfigError(f"--read-option {name}={shown(value)} must be true or false.")
    return value.lower() == "true"


def _number(name: str, value: str) -> int:
    if not value.isdecimal():
        raise ConfigError(f"--read-option {name}={shown(value)} must be a whole number, 0 or more.")
    return int(value)


def _names(name: str, value: str) -> list[str]:
    return [_word(name, part.strip()) for part in value.split(",")]


ReadOption = Callable[[str, str], Any]
_EVERY: Mapping[str, ReadOption] = {"columns": _names, "n_rows": _number}


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        name: As the command line spells it.
        title: For messages.
        endings: Of the names of its files.
        options: Its read options: how each value is parsed, by name.
        extra: The extra of this package that brings its reader.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    options: Mapping[str, ReadOption]
    extra: str = "polars"


FORMATS = {
    one.name: one
    for one in (
        Format("parquet", "Parquet", (".parquet", ".parq", ".pq"), _EVERY),
        Format(
            "csv", "CSV", (".csv", ".tsv"),
            {
                **_EVERY, "separator": _sign, "decimal_comma": _flag, "encoding": _word,
                "null_values": _names, "try_parse_dates": _flag, "infer_schema": _flag,
                "has_header": _flag, "skip_rows": _number, "skip_rows_after_header": _number,
                "comment_prefix": _word, "quote_char": _sign_or_none,
                "truncate_ragged_lines": _flag,
            },
        ),
        Format("arrow", "Arrow IPC", (".arrow", ".arrows", ".feather", ".ipc"), _EVERY),
        Format("jsonl", "JSON lines", (".jsonl", ".ndjson"), {**_EVERY, "try_parse_dates": _flag}),
        Format(
            "excel", "Excel", (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
            {
                **_EVERY, "sheet_name": _word, "sheet_id": _number, "table_name": _word,
                "has_header": _flag, "header_row": _number,
            },
            "excel,polars",
        ),
    )
}  # fmt: skip
"""All formats, by name."""

_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow"}


def ending_of(name: str) -> tuple[str, str | None]:
    """The ending of a file's name in lower case, and its compression, if it is compressed."""
    base = re.split(r"[/\\]", name.partition("?")[0])[-1].lower()
    for ending, compression in COMPRESSION.items():
        if base.endswith(ending):
            return "." + base.removesuffix(ending).rpartition(".")[2], compression
    return "." + base.rpartition(".")[2], None


def format_of(name: str) -> Format | None:
    """The format of a file by its name; None if the name does not say."""
    ending, _ = ending_of(name)
    return next((one for one in FORMATS.values() if ending in one.endings), None)


def format_of_content(head: bytes) -> Format | None:
    """The format of a file by its first bytes; None if they do not say."""
    found = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    return None if found is None else FORMATS[found]


def pairs(option: str, given: Sequence[str], form: str = "NAME=VALUE") -> dict[str, str]:
    """The values of an option that is given as NAME=VALUE, once for each name.

    Raises:
        ConfigError: One has not this form, or two have the same name.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"{option} {shown(text)} must be {form}.")
        if name in found:
            raise ConfigError(f"{option} names {shown(name)} twice: give it one value.")
        found[name] = value
    return found


def parse_read_options(kind: Format, given: Sequence[str]) -> dict[str, Any]:
    """The read options that were given, each parsed.

    Raises:
        ConfigError: The format has no such option, or the value makes no sense.
    """
    found: dict[str, Any] = {}
    for name, value in pairs("--read-option", given).items():
        if name not in kind.options:
            raise ConfigError(
                f"--read-option {shown(name)} is unknown for {kind.title} files: use "
                f"{', '.join(kind.options)}.{did_you_mean(name, kind.options)}"
            )
        found[name] = kind.options[name](name, value)
    return found
