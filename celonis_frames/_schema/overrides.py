"""What a user may set for one column."""

from __future__ import annotations

from dataclasses import dataclass

from celonis_frames._schema.text_length import MAX_TEXT_LENGTH
from celonis_frames._schema.types import COLUMN_TYPES, ColumnType
from celonis_frames.exceptions import ConfigError


@dataclass(frozen=True)
class Column:
    """An override for one column, given in `columns=`.

    Attributes:
        type: Celonis column type, such as ``"STRING"``; None keeps the one that fits.
        length: Length of a text column in characters, 1 to 16,250; None measures it.
    """

    type: ColumnType | None = None
    length: int | None = None

    def __post_init__(self) -> None:
        if self.type is not None and self.type not in COLUMN_TYPES:
            raise ConfigError(
                f"Column type {self.type!r} is unknown: use one of {', '.join(COLUMN_TYPES)}."
            )
        if self.length is not None and not (
            isinstance(self.length, int) and 1 <= self.length <= MAX_TEXT_LENGTH
        ):
            raise ConfigError(
                f"Column length {self.length!r} must be a number of characters, 1 to "
                f"{MAX_TEXT_LENGTH:,}."
            )
        if self.length is not None and self.type not in (None, "STRING"):
            raise ConfigError(f"A length is for STRING columns, not for {self.type}.")


ColumnOverride = Column | ColumnType | int
