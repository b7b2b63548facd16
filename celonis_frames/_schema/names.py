"""Names of tables and columns: what Celonis accepts, and how they can be renamed."""

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
    """Refuse a name of a table or column that Celonis cannot hold.

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
            f"{what} {name[:40]!r}… has a name of {size} bytes; Celonis takes up to "
            f"{MAX_NAME_BYTES}: shorten it, for example with rename=.",
            column=name,
        )


def column_names(old: list[str], rename: Rename | None) -> list[str]:
    if rename is None:
        new = list(old)
    elif isinstance(rename, str):
        if rename not in ("snake", "upper_snake"):
            raise ConfigError(
                f'rename={rename!r} is unknown: use a mapping, "snake" or "upper_snake".'
            )
        new = [_snake(name, upper=rename == "upper_snake") for name in old]
    else:
        missing = [name for name in rename if name not in old]
        if missing:
            raise ColumnNameError(
                f"rename= names columns that the frame does not have: {missing}. It has {old}."
            )
        new = [rename.get(name, name) for name in old]
    seen: dict[str, str] = {}
    for name in new:
        check_name(name, "A column")
        folded = name.casefold()
        if folded == CHANGE_DATE.casefold():
            raise ColumnNameError(
                f"Column {name!r} is one that Celonis adds itself: drop or rename it.", column=name
            )
        if folded in seen:
            raise ColumnNameError(
                f"Columns {seen[folded]!r} and {name!r} are the same to Celonis, which ignores "
                "case: rename one, for example with rename=.",
                column=name,
            )
        seen[folded] = name
    return new


def _snake(name: str, *, upper: bool) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = re.sub(r"\W+", "_", words).strip("_")
    return plain.upper() if upper else plain.lower()
