"""What `columns=` can set for one column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from celonis_frames._formatting import did_you_mean, shown, type_name, with_article
from celonis_frames._schema.text_length import MAX_TEXT_LENGTH
from celonis_frames._secrets import Secret
from celonis_frames.exceptions import ConfigError

ColumnType = Literal["INTEGER", "DATE", "TIME", "DATETIME", "FLOAT", "BOOLEAN", "STRING"]
"""Column types of the Data Push API."""

COLUMN_TYPES: tuple[str, ...] = get_args(ColumnType)

_OTHER_TYPES = {
    **dict.fromkeys(("VARCHAR", "TEXT", "CHAR", "STR", "UTF8", "OBJECT"), "STRING"),
    **dict.fromkeys(("INT", "BIGINT", "INT64", "LONG"), "INTEGER"),
    **dict.fromkeys(("DOUBLE", "DECIMAL", "NUMERIC", "REAL", "FLOAT64", "NUMBER"), "FLOAT"),
    **dict.fromkeys(("TIMESTAMP", "DATETIME64"), "DATETIME"),
    "BOOL": "BOOLEAN",
}
"""What other systems call the types."""


@dataclass(frozen=True, init=False)
class Column:
    """An override for one column, given in `columns=`.

    Args:
        type: Celonis column type, such as ``"STRING"``; None keeps the default type.
        length: Length of a string column in characters, 1 to 16,250; None measures it.
        pseudonymise: A secret key, best as a `Secret`: instead of each value the column gets the
            first 32 hex digits of HMAC-SHA-256 under this key, of the value as a STRING column
            shows it. Equal values get equal pseudonyms in all tables that are pushed with the same
            key. The type is STRING, the length 32. The key is never stored; with it the override
            cannot be pickled.

    Raises:
        ConfigError: A type or length that is not allowed, or a key that is empty or no string.
    """

    type: ColumnType | None = None
    length: int | None = None
    pseudonymise: Secret | None = None

    def __init__(
        self,
        type: ColumnType | None = None,  # noqa: A002  # the API's word
        length: int | None = None,
        pseudonymise: Secret | str | bytes | None = None,
    ) -> None:
        problem = None if pseudonymise is None else key_problem(pseudonymise)
        key = None if pseudonymise is None or problem else as_key(pseudonymise)
        del pseudonymise  # a traceback that shows locals must not show it
        if problem is not None:
            raise ConfigError(problem)
        for name, value in (("type", type), ("length", length), ("pseudonymise", key)):
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        if self.type is not None and (
            not isinstance(self.type, str) or self.type not in COLUMN_TYPES
        ):
            known = _OTHER_TYPES.get(str(self.type).upper()) if isinstance(self.type, str) else None
            hint = f" Did you mean {known!r}?" if known else did_you_mean(self.type, COLUMN_TYPES)
            raise ConfigError(
                f"Column type {shown(self.type)} is unknown: use one of {', '.join(COLUMN_TYPES)}."
                f"{hint if isinstance(self.type, str) else ''}"
            )
        if self.length is not None and not (
            isinstance(self.length, int) and 1 <= self.length <= MAX_TEXT_LENGTH
        ):
            raise ConfigError(
                f"Column length {shown(self.length)} must be a number of characters, 1 to "
                f"{MAX_TEXT_LENGTH:,}."
            )
        if self.length is not None and self.type not in (None, "STRING"):
            raise ConfigError(f"A length is for STRING columns, not for {self.type}.")
        if self.pseudonymise is not None and (
            self.type not in (None, "STRING") or self.length is not None
        ):
            raise ConfigError(
                "With pseudonymise= a column is a STRING of 32 hex digits: leave out its "
                f"{'length' if self.length is not None else 'type'}."
            )


def key_problem(key: object) -> str | None:
    """Why a value cannot be the key of `pseudonymise=`, without showing it; None if it can.

    The message is returned, not raised, so that no traceback has a frame with the key.
    """
    value = key.reveal() if isinstance(key, Secret) else key
    if not isinstance(value, str | bytes):
        return (
            "pseudonymise= must be a secret key: a celonis_frames.Secret, a str or bytes, not "
            f"{with_article(type_name(key))}."
        )
    if not value:
        return (
            "pseudonymise= was given an empty key, with which anybody could make the same "
            "pseudonyms. Check the variable or file it was read from."
        )
    try:
        as_key(value)
    except UnicodeEncodeError:
        return "pseudonymise= was given a key with a lone surrogate: give it as bytes."
    return None


def as_key(key: Secret | str | bytes) -> Secret:
    """The key as a string, with bytes that are not UTF-8 escaped as Python's file names are."""
    value: str | bytes = key.reveal() if isinstance(key, Secret) else key
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    return Secret(value.decode("utf-8", "surrogateescape"))


ColumnOverride = Column | ColumnType | int


def parse_columns(name: str, columns: Mapping[str, ColumnOverride] | None) -> dict[str, Column]:
    """The overrides by column name, each as a `Column`; `name` is that of the parameter.

    Raises:
        ConfigError: An override is none of these, or its type or length is not allowed.
    """
    parsed: dict[str, Column] = {}
    for column, override in (columns or {}).items():
        if not isinstance(column, str):
            raise ConfigError(f"{name}= names columns by strings, not by {shown(column)}.")
        try:
            parsed[column] = _parse_override(override)
        except ConfigError as error:
            raise ConfigError(f"{name}= for column {column!r}: {error}") from error
    return parsed


def _parse_override(override: Any) -> Column:
    if isinstance(override, Column):
        return override
    if isinstance(override, str):
        return Column(type=cast("ColumnType", override.upper()))
    if isinstance(override, int) and not isinstance(override, bool):
        return Column(length=override)
    raise ConfigError(
        f'{shown(override)} is no override: use a Column, a type such as "STRING", or a length in '
        "characters."
    )
