"""Names of tables and columns: which ones Celonis accepts, and how columns are renamed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from celonis_frames.exceptions import ColumnNameError, ConfigError

MAX_NAME_BYTES = 128
"""Longest name of a table or column, in UTF-8 bytes."""

CHANGE_DATE = "_CELONIS_CHANGE_DATE"
"""Column that Celonis adds to every table."""

Rename = Mapping[str, str] | Literal["snake", "upper_snake"]


def check_name(name: str, what: str) -> None:
    """Reject a name that Celonis cannot store; `what` it names starts the message.

    Raises:
        ColumnNameError: Empty, longer than 128 UTF-8 bytes, or with control characters.
    """
    if not isinstance(name, str) or not name.strip():
        raise ColumnNameError(f"{what} has an empty name ({name!r}): give it one.")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise ColumnNameError(f"{what} {name!r} has control characters in its name: rename it.")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise ColumnNameError(
            f"{what} {name!r} has a lone surrogate in its name: rename it."
        ) from error
    if size > MAX_NAME_BYTES:
        raise ColumnNameError(
            f"{what} {name[:40]!r}… has a name of {size} bytes; Celonis accepts up to "
            f"{MAX_NAME_BYTES}: shorten it.",
            column=name,
        )


def parse_rename(name: str, rename: Rename | None) -> Rename | None:
    """Returns the value of the parameter `name` if it is allowed.

    Raises:
        ConfigError: A word other than ``"snake"`` and ``"upper_snake"``.
    """
    if isinstance(rename, str) and rename not in ("snake", "upper_snake"):
        raise ConfigError(f'{name}={rename!r} is unknown: use a mapping, "snake" or "upper_snake".')
    return rename


def column_names(old: list[str], rename: Rename | None) -> list[str]:
    """The names of the table's columns, in the order of the frame's.

    Raises:
        ColumnNameError: A name that Celonis does not accept, two names that differ only in case,
            or a column to rename that the frame does not have.
    """
    if isinstance(rename, Mapping) and (missing := [name for name in rename if name not in old]):
        raise ColumnNameError(
            f"rename= names columns that the frame does not have: {missing}. It has {old}."
        )
    new = [renamed(name, rename) for name in old]
    seen: dict[str, str] = {}
    for name in new:
        check_name(name, "A column")
        folded = name.casefold()
        if folded == CHANGE_DATE.casefold():
            raise ColumnNameError(
                f"Column {name!r} has the name of a column that Celonis adds itself: drop or "
                "rename it.",
                column=name,
            )
        if folded in seen:
            raise ColumnNameError(
                f"Columns {seen[folded]!r} and {name!r} have the same name for Celonis, which "
                "ignores case: rename one, for example with rename=.",
                column=name,
            )
        seen[folded] = name
    return new


def renamed(name: str, rename: Rename | None) -> str:
    """The name that a column of the frame gets by `rename=`."""
    if isinstance(rename, str):
        return _snake(name, upper=rename == "upper_snake")
    return (rename or {}).get(name, name)


def _snake(name: str, *, upper: bool) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = re.sub(r"\W+", "_", words).strip("_")
    return plain.upper() if upper else plain.lower()
