"""The options that decide how values are converted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from celonis_frames._schema.names import Rename, find_name, renamed
from celonis_frames._schema.overrides import Column

Nested = Literal["error", "json"]
Binary = Literal["error", "hex", "base64"]
Infinity = Literal["error", "null"]
OnBad = Literal["error", "null", "drop"]


@dataclass(frozen=True, kw_only=True)
class ConversionOptions:
    """How the columns of a frame become columns of a table, in final types.

    ``"error"`` rejects lists, structs and maps (`nested`), bytes (`binary`), infinities, as does
    None, unless bad values are left out.
    """

    columns: Mapping[str, Column] = field(default_factory=dict)  # by name, old or after `rename`
    rename: Rename | None = None
    nested: Nested = "error"
    binary: Binary = "error"
    infinity: Infinity | None = None
    csv: bool = False  # the file is CSV: times in microseconds, and TIME is possible

    def takes_wide_integers(self, name: str) -> bool:
        """Whether `columns=` sends this column of the frame as a type for integers of any size."""
        new = renamed(name, self.rename)
        return any(
            (override.type in ("STRING", "FLOAT") or override.pseudonymise is not None)
            and find_name(column, [name], [new]) is not None
            for column, override in self.columns.items()
        )

    def without(self, others: list[str]) -> ConversionOptions:
        """The same for a frame that is read without these columns."""
        rename, columns = self.rename, self.columns
        if isinstance(rename, Mapping):
            rename = {name: to for name, to in rename.items() if find_name(name, others) is None}
        new = [renamed(name, self.rename) for name in others]
        kept = {name: c for name, c in columns.items() if find_name(name, others, new) is None}
        return replace(self, rename=rename, columns=kept)

    def for_keys(self, keys: Iterable[str]) -> ConversionOptions:
        """The same without the columns that are no keys, which frames of keys need not have."""
        rename, given = self.rename, list(keys)
        if isinstance(rename, Mapping):
            rename = {
                name: to for name, to in rename.items() if find_name(name, given) is not None
                or find_name(to, given) is not None
            }  # fmt: skip
        columns = {
            name: override
            for name, override in self.columns.items()
            if find_name(name, given, [renamed(key, self.rename) for key in given]) is not None
            or find_name(renamed(name, self.rename), given) is not None
        }
        return replace(self, rename=rename, columns=columns)
