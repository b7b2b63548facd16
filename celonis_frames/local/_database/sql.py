"""Identifiers and string literals, quoted for SQL."""

from __future__ import annotations


def quote(name: str) -> str:
    """The name as an SQL identifier, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """The value's string as an SQL literal, for statements that take no parameters."""
    return "'" + str(value).replace("'", "''") + "'"
