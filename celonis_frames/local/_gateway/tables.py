"""The tables of a *Push data into Celonis* connection, as a user sets them up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celonis_frames._formatting import did_you_mean, shown
from celonis_frames.exceptions import ConfigError

MAX_NAME_BYTES = 128
_OPTIONS = ("keys", "age", "target")


@dataclass(frozen=True)
class IngestionTable:
    """A source table of a connection, and the table that it is loaded into.

    Attributes:
        name: Name of the source table, which is part of the key of an object.
        target: Name of the table.
        keys: Its primary key.
        age: A row is applied only if its value in this column is not less than the stored one.
    """

    name: str
    target: str
    keys: tuple[str, ...] = ()
    age: str | None = None


def read_tables(given: object) -> tuple[IngestionTable, ...]:
    """The tables, from what ``tables=`` or a JSON file has.

    Raises:
        ConfigError: It does not describe tables.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"tables={shown(given)} must be the tables of a connection, such as "
            '{"EVENTS": {"keys": ["CASE_ID"], "age": "CHANGED_AT"}}.'
        )
    return tuple(_table(name, options) for name, options in given.items())


def read_file(path: str) -> list[tuple[str, str, Any]]:
    """The pools, connections and their tables in a JSON file, for `LocalCelonis.ingestion`.

    Raises:
        ConfigError: It cannot be read, or does not describe connections.
    """
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path!r} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path!r} is not a JSON file: {error}.") from error
    if not _is_nested(found):
        raise ConfigError(
            f"{path!r} must have pools, in them connections, and in them tables, such as "
            '{"Purchasing": {"Push data": {"EVENTS": {"keys": ["CASE_ID"]}}}}.'
        )
    listed = [
        (pool, name, tables)
        for pool, connections in found.items()
        for name, tables in connections.items()
    ]
    for _, _, tables in listed:
        read_tables(tables)
    return listed


def _is_nested(found: Any) -> bool:
    return isinstance(found, dict) and all(
        pool.strip() and isinstance(connections, dict) and all(map(str.strip, connections))
        for pool, connections in found.items()
    )


def _table(name: object, options: object) -> IngestionTable:
    _check_name("table", name)
    given = {} if options is None else options
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"The table {name!r} is given as {shown(options)}. Give its options, such as "
            '{"keys": ["CASE_ID"], "age": "CHANGED_AT"}.'
        )
    for option in given:
        if option not in _OPTIONS:
            raise ConfigError(
                f"The table {name!r} has an unknown option {shown(option)}."
                f"{did_you_mean(option, _OPTIONS)} Options are keys, age and target."
            )
    keys, age = given.get("keys") or (), given.get("age")
    keys = (keys,) if isinstance(keys, str) else keys
    if not isinstance(keys, list | tuple):
        raise ConfigError(f"keys={shown(keys)} of the table {name!r} must be column names.")
    for column in (*keys, *(() if age is None else (age,))):
        _check_name("column", column)
    if len({key.lower() for key in keys}) < len(keys):
        raise ConfigError(f"The table {name!r} has a key column twice.")
    if age is not None and not keys:
        raise ConfigError(f"The table {name!r} has an age column, which needs keys.")
    target = given.get("target", name)
    _check_name("table", target)
    return IngestionTable(str(name), target, tuple(keys), age)


def _check_name(noun: str, name: object) -> None:
    plain = isinstance(name, str) and bool(name.strip()) and not any(ord(c) < 32 for c in name)
    if not plain or len(str(name).encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise ConfigError(
            f"{shown(name)} is no name of a {noun}. Give 1 to {MAX_NAME_BYTES} bytes of text "
            "without control characters."
        )
