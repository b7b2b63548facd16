"""CSV chunks as SQL: read in the job's dialect, cast to the declared types."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from celonis_frames._formatting import counted
from celonis_frames.local._assumptions import Assumptions
from celonis_frames.local._database.errors import STORED, JobError
from celonis_frames.local._database.sql import literal, quote

DIALECT = {
    "separatorSequence": ",",
    "quoteSequence": '"',
    "escapeSequence": '"',
    "charSet": "UTF-8",
    "decimalSeparator": ".",
    "dateFormat": "yyyy-MM-dd HH:mm:ss",
}
"""Default of each option."""

_CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "utf-16": "utf-16", "iso-8859-1": "latin-1",
             "latin-1": "latin-1", "us-ascii": "utf-8"}  # fmt: skip

_LETTERS = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "M": "%-m", "dd": "%d", "d": "%-d", "HH": "%H",
            "H": "%-H", "hh": "%I", "mm": "%M", "ss": "%S", "a": "%p", "SSS": "%g",
            "SSSSSS": "%f", "SSSSSSSSS": "%n", "XXX": "%z", "XX": "%z", "X": "%z",
            "Z": "%z"}  # fmt: skip


def source(
    cursor: Any, files: list[Path], job: dict[str, Any], assumptions: Assumptions
) -> tuple[str, list[tuple[str, str, str]]]:
    """A table function that reads the files, and their columns as name, Celonis type, expression.

    Raises:
        JobError: The dialect is not supported, or a value is not of its declared type.
    """
    options = DIALECT | {k: v for k, v in (job["csvParsingOptions"] or {}).items() if v is not None}
    charset = _CHARSETS.get(str(options["charSet"]).lower())
    if charset is None:
        raise JobError(f"The character set {options['charSet']} is not supported")
    listed = ", ".join(literal(file) for file in files)
    table = (
        f"read_csv([{listed}], header = true, all_varchar = true, auto_detect = false, "
        f"columns = {{}}, delim = {literal(options['separatorSequence'])}, "
        f"quote = {literal(options['quoteSequence'])}, "
        f"escape = {literal(options['escapeSequence'])}, encoding = '{charset}', nullstr = '', "
        f"allow_quoted_nulls = {assumptions.csv_quoted_empty == 'null'}, strict_mode = true, max_line_size = 16777216)"
    )
    names = _header(cursor, files[0], options, charset)
    struct = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    table = table.replace("columns = {}", f"columns = {{{struct}}}", 1)
    declared = {
        column["columnName"].lower(): column
        for column in ((job["tableSchema"] or {}).get("columns") or [])
        if column.get("columnName")
    }
    special = {
        column["columnName"].lower(): column
        for column in (options.get("additionalColumnOptions") or [])
        if column.get("columnName")
    }
    undeclared = [name for name in names if name.lower() not in declared]
    if undeclared and assumptions.csv_undeclared == "error":
        raise JobError(f"tableSchema lacks columns of the file: {', '.join(undeclared)}")
    columns, checks = [], []
    for name in names:
        kind = (declared.get(name.lower()) or {}).get("columnType") or "STRING"
        own = {k: v for k, v in special.get(name.lower(), {}).items() if v is not None}
        expression = _parse(name, kind, options | own)
        if kind != "STRING":
            checks.append(
                (
                    name,
                    kind,
                    f"count({quote(name)}) - count(TRY_CAST({expression} AS {STORED[kind]}))",
                )
            )
        columns.append((name, kind, expression))
    if checks:
        counts = cursor.execute(
            f"SELECT {', '.join(check for _, _, check in checks)} FROM {table}"
        ).fetchone()
        for (name, kind, _), bad in zip(checks, counts, strict=True):
            if bad:
                raise JobError(f"Column {name}: {counted(bad, 'value')} cannot be read as {kind}")
    return table, columns


def strptime_format(java: str) -> str:
    """The format of DuckDB's strptime for a Java date pattern.

    Raises:
        JobError: The pattern has a letter that is not supported.
    """
    parts = []
    for match in re.finditer(r"'([^']*)'|(([A-Za-z])\3*)|[^A-Za-z']", java):
        quoted, letters, other = match[1], match[2], match[0]
        if quoted is not None:
            parts.append(quoted.replace("%", "%%"))
        elif letters:
            if letters not in _LETTERS:
                raise JobError(f"The date format {java} has {letters}, which is not supported")
            parts.append(_LETTERS[letters])
        else:
            parts.append(other.replace("%", "%%"))
    return "".join(parts)


def _parse(name: str, kind: str, options: dict[str, Any]) -> str:
    text = quote(name)
    if kind in ("INTEGER", "FLOAT"):
        thousands = options.get("thousandsSeparator") or options.get("thousandSeparator")
        if thousands:
            text = f"replace({text}, {literal(thousands)}, '')"
        if options["decimalSeparator"] != ".":
            text = f"replace({text}, {literal(options['decimalSeparator'])}, '.')"
        return f"TRY_CAST({text} AS {'BIGINT' if kind == 'INTEGER' else 'DOUBLE'})"
    if kind in ("DATETIME", "DATE"):
        pattern = strptime_format(options["dateFormat"])
        parsed = f"try_strptime({text}, {literal(pattern)})::TIMESTAMP"
        return f"coalesce({parsed}, TRY_CAST({text} AS DATE))" if kind == "DATE" else parsed
    if kind in ("BOOLEAN", "TIME"):
        return f"TRY_CAST({text} AS {kind})"
    return text


def _header(cursor: Any, file: Path, options: dict[str, Any], charset: str) -> list[str]:
    described = cursor.execute(
        "DESCRIBE SELECT * FROM read_csv(?, header = true, all_varchar = true, sample_size = 1, "
        f"delim = {literal(options['separatorSequence'])}, "
        f"quote = {literal(options['quoteSequence'])}, "
        f"escape = {literal(options['escapeSequence'])}, encoding = '{charset}')",
        (str(file),),
    ).fetchall()
    return [row[0] for row in described]
