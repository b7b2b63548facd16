"""The columns of the table that a push will write to, as far as the API key may read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from celonis_frames.exceptions import ApiError, PermissionDenied

SCOPE = "integration.data-pools:read"
"""The scope of OAuth that the columns call needs (Celonis' documentation)."""


@dataclass(frozen=True)
class ExistingColumn:
    """A column of the table.

    The type is STRING, DATE, INTEGER or FLOAT, all that the columns call knows; the length is that
    of a STRING column in characters, None if it is not known.
    """

    name: str
    type: str
    length: int | None = None


@dataclass(frozen=True)
class ExistingTable:
    """The table with its columns by `name_key`, without the one that the server adds.

    There are none if there is no such table, and if they are not known, because `error` says so or
    because nobody asked: `exists` and `absent` tell which.
    """

    name: str
    known: Mapping[str, ExistingColumn] = field(default_factory=dict)  # its columns
    exists: bool = False  # certainly
    absent: bool = False  # certainly
    error: ApiError | None = field(default=None, compare=False)

    @property
    def reason(self) -> str:
        """Why its columns are not known, in a sentence; empty if nobody asked."""
        if isinstance(self.error, PermissionDenied):
            return f"this API key may not read the table's columns (scope {SCOPE})."
        return "" if self.error is None else self.error.message
