"""The columns of an event log: which ones a call names, and where they are in a frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from celonis_frames._formatting import did_you_mean, listed, shown
from celonis_frames._schema.names import find_name
from celonis_frames.exceptions import ColumnNameError, ConfigError


@dataclass(frozen=True, kw_only=True)
class LogColumns:
    """The names of the columns of an event log, by their roles."""

    case: str
    activity: str
    timestamp: str
    end: str | None = None
    order: str | None = None

    @classmethod
    def parse(cls, **given: Any) -> Self:
        """The columns that a call names.

        Raises:
            ConfigError: A value is no name, or two roles have the same column.
        """
        seen: dict[str, str] = {}
        for role, name in given.items():
            if name is None and role in ("end", "order"):
                continue
            if not isinstance(name, str) or not name.strip():
                raise ConfigError(f"{role}={shown(name)} must be the name of a column.")
            other = seen.setdefault(name.strip(), role)
            if other != role:
                raise ConfigError(
                    f"{other}= and {role}= both name column {shown(name)}: name one for each."
                )
        return cls(**given)

    def roles(self) -> Iterator[tuple[str, str]]:
        """The roles that have a column, with its name."""
        for field in fields(self):
            name = getattr(self, field.name)
            if name is not None:
                yield field.name, name

    def found_in(self, names: Sequence[str], new: Sequence[str] = ()) -> LogColumns:
        """The same columns, as a frame with these `names` spells them.

        Args:
            names: The names in the frame, of which those given may differ by blanks at the ends.
            new: The names that `rename=` makes of them, which may be given instead.

        Raises:
            ColumnNameError: The frame lacks some of the columns.
        """
        places = {role: find_name(name, *filter(None, (names, new))) for role, name in self.roles()}
        missing = [(role, name) for role, name in self.roles() if places[role] is None]
        if missing:
            sentences = [
                f"{role}={name!r} is not a column of the frame.{did_you_mean(name, names)}"
                for role, name in missing
            ]
            raise ColumnNameError(
                f"{' '.join(sentences)} It has {listed(list(names))}.",
                column=missing[0][1],
                parameter=missing[0][0],
            )
        return LogColumns(
            **{role: names[place] for role, place in places.items() if place is not None}
        )
