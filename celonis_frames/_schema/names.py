"""Names of tables and columns: which ones Celonis accepts, and how columns are renamed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from celonis_frames._formatting import did_you_mean, listed, shown
from celonis_frames.exceptions import CelonisFramesError, ColumnNameError, ConfigError

MAX_NAME_BYTES = 128
"""Longest name of a table or column, in UTF-8 bytes."""

CHANGE_DATE = "_CELONIS_CHANGE_DATE"
"""Column that Celonis adds to every table."""

_CONTROLS = re.compile("[\x00-\x1f\x7f]")

Rename = Mapping[str, str] | Literal["snake", "upper_snake"]


def checked_name(
    name: Any, what: str, kind: type[CelonisFramesError] = ColumnNameError, **about: Any
) -> str:
    """The name of a table or column as Celonis stores it: without blanks at its ends.

    Args:
        name: The name given.
        what: Starts the message of an error.
        kind: The class of the error.
        **about: Its attributes.

    Raises:
        ColumnNameError, ConfigError: Empty, longer than 128 UTF-8 bytes, or with control
            characters.
    """
    if not isinstance(name, str) or not name.strip():
        raise kind(f"{what} has an empty name ({shown(name)}): give it one.", **about)
    stored = name.strip()
    if _CONTROLS.search(stored):
        raise kind(f"{what} {name!r} has control characters in its name: rename it.", **about)
    try:
        size = len(stored.encode())
    except UnicodeEncodeError as error:
        message = f"{what} {name!r} has a lone surrogate in its name: rename it."
        raise kind(message, **about) from error
    if size > MAX_NAME_BYTES:
        raise kind(
            f"{what} {name[:40]!r}… has a name of {size} bytes; Celonis accepts up to "
            f"{MAX_NAME_BYTES}: shorten it.",
            **about,
        )
    return stored


def parse_rename(name: str, rename: Rename | None) -> Rename | None:
    """Returns the value of the parameter `name` if it is allowed.

    Raises:
        ConfigError: A word other than ``"snake"`` and ``"upper_snake"``.
    """
    if isinstance(rename, str) and rename not in ("snake", "upper_snake"):
        raise ConfigError(
            f'{name}={shown(rename)} is unknown: use a mapping, "snake" or "upper_snake".'
        )
    return rename


def name_key(name: str) -> str:
    """A string that is equal for names that Celonis takes for one: it ignores case.

    Lower case, and not `casefold`, for which "Strasse" and "Straße" are one name.
    """
    return name.lower()


def find_name(name: str, *spellings: Sequence[str]) -> int | None:
    """The position of a name in the first list that has it, else in one that has it with blanks."""
    for names in spellings:
        if name in names:
            return names.index(name)
    for names in spellings:
        for position, other in enumerate(names):
            if other.strip() == name.strip():
                return position
    return None


def check_tables_differ(tables: Iterable[Any]) -> None:
    """Check that no two of the names are one table for Celonis.

    Raises:
        ConfigError: Two differ only in case, or in blanks at their ends.
    """
    seen: dict[str, str] = {}
    for table in tables:
        if not isinstance(table, str):
            continue  # the error of its push
        key = name_key(table.strip())
        if seen.setdefault(key, table) != table:
            raise ConfigError(
                f"{seen[key]!r} and {table!r} are one table for Celonis, which ignores "
                "case and blanks at the ends of names: push_many needs a different table for each "
                "frame."
            )


def stripped_note(what: str, names: Iterable[str]) -> tuple[str, ...]:
    """A warning that some of these names of tables or columns are stored without their blanks."""
    given = ", ".join(repr(name) for name in names if name != name.strip())
    return (f"Blanks at the ends of {what} names are stripped: {given}.",) if given else ()


def new_names(old: list[str], rename: Rename | None) -> list[str]:
    """The names that the columns of a frame get by `rename=`, in the order of the frame.

    Raises:
        ColumnNameError: The frame does not have a column to rename.
    """
    if rename is None:
        return old
    if isinstance(rename, Mapping):
        # A column may be spelled without its blanks.
        positions = {name: find_name(name, old) for name in rename}
        if missing := [name for name, position in positions.items() if position is None]:
            raise ColumnNameError(
                f"rename= names columns that the frame does not have: {missing}."
                f"{did_you_mean(missing[0], old)} It has {listed(old)}.",
                parameter="rename",
            )
        by_position = {position: rename[name] for name, position in positions.items()}
        return [by_position.get(position, name) for position, name in enumerate(old)]
    return [renamed(name, rename) for name in old]


def column_names(new: list[str], old: list[str]) -> list[str]:
    """The new names of a frame's columns as the table gets them; `old` are those of the frame.

    Raises:
        ColumnNameError: A name that Celonis does not accept, or two that are one for it.
    """
    seen: dict[str, tuple[str, bool]] = {}
    stored = []
    for given, was in zip(new, old, strict=True):
        is_renamed = given != was
        about: dict[str, Any] = {"column": given, "parameter": "rename" if is_renamed else None}
        name = checked_name(given, "A column", **about)
        key = name_key(name)
        if key == name_key(CHANGE_DATE):
            raise ColumnNameError(
                f"Column {given!r} has the name of a column that Celonis adds itself: drop or "
                "rename it.",
                **about,
            )
        if key in seen:
            other, other_is_renamed = seen[key]
            raise ColumnNameError(
                f"Columns {other!r} and {given!r} have the same name for Celonis, which "
                "ignores case and blanks at the ends: rename one, for example with rename=.",
                column=given,
                parameter="rename" if is_renamed or other_is_renamed else None,
            )
        seen[key] = given, is_renamed
        stored.append(name)
    return stored


def renamed(name: str, rename: Rename | None) -> str:
    """The name that a column of the frame gets by `rename=`."""
    if isinstance(rename, str):
        return _snake(name, upper=rename == "upper_snake")
    return (rename or {}).get(name, name)


def _snake(name: str, *, upper: bool) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = re.sub(r"\W+", "_", words).strip("_")
    return plain.upper() if upper else plain.lower()
