"""What `columns=` can set for one column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from celonis_frames._formatting import did_you_mean, shown
from celonis_frames._schema.text_length import MAX_TEXT_LENGTH
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


@dataclass(frozen=True)
class Column:
    """An override for one column, given in `columns=`.

    Attributes:
        type: Celonis column type, such as ``"STRING"``; None keeps the default type.
        length: Length of a string column in characters, 1 to 16,250; None measures it.
    """

    type: ColumnType | None = None
    length: int | None = None

    def __post_init__(self) -> None:
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
