"""The options that decide how values are converted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from celonis_frames._schema.names import Rename
from celonis_frames._schema.overrides import Column

Nested = Literal["error", "json"]
Binary = Literal["error", "hex", "base64"]
Infinity = Literal["error", "null"]


@dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """How the columns of a frame become columns of a table, in final types.

    Attributes:
        columns: Overrides by column name, as in the frame or after `rename`.
        rename: New names by old ones, or ``"snake"`` / ``"upper_snake"`` for all.
        nested: ``"json"`` sends lists, structs and maps as JSON; ``"error"`` rejects them.
        binary: ``"hex"`` or ``"base64"`` sends bytes as strings; ``"error"`` rejects them.
        infinity: ``"null"`` sends infinities as null; ``"error"`` rejects them.
        csv: Whether the file is CSV: times in microseconds, and TIME is possible.
    """

    columns: Mapping[str, Column] = field(default_factory=dict)
    rename: Rename | None = None
    nested: Nested = "error"
    binary: Binary = "error"
    infinity: Infinity = "error"
    csv: bool = False
