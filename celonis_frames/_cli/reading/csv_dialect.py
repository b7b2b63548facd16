"""How a CSV file is written: its encoding and its separator, found in its first bytes."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv as pa_csv

from celonis_frames._cli.reading.formats import ending_of
from celonis_frames._cli.reading.local_files import LocalFile
from celonis_frames._cli.reading.time_limit import check_time
from celonis_frames._formatting import counted
from celonis_frames.exceptions import ConfigError, FrameError

SAMPLE_BYTES = 262_144
"""Bytes by which the separator is found."""
_ROWS = 200
_SEPARATORS = ",;\t|"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "space"}

csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    separator: str
    encoding: str  # by Python's name

    def __str__(self) -> str:
        separator = _SEPARATOR_NAMES.get(self.separator, repr(self.separator))
        return f"separated by {separator}, {self.encoding.upper().removesuffix('-SIG')}"


def find_encoding(path: Path, given: str | None) -> str:
    """The encoding that was given, else the one that the file's first bytes mark, else UTF-8.

    Raises:
        ConfigError: Python knows no encoding of that name.
    """
    if given is not None:
        try:
            name = codecs.lookup(given).name
        except LookupError:
            raise ConfigError(
                f"--read-option encoding={given!r} is unknown: use a name that Python knows, such "
                "as cp1252 (Windows, Western Europe), latin-1 or utf-16."
            ) from None
        return "utf-8-sig" if name == "utf-8" else name
    with path.open("rb") as file:
        head = file.read(4)
    return next((name for mark, name in _BOMS if head.startswith(mark)), "utf-8")


def find_separator(sample: str, quote: str | None, skip: int, name: str) -> str:
    """The separator of a file by its first rows: the one that gives all of them as many fields.

    Args:
        sample: The first rows; the last one may be cut.
        quote: The quote character.
        skip: Lines above the header.
        name: The file's name: one that ends in ``.tsv`` has tabs.
    """
    if ending_of(name)[0] == ".tsv":
        return "\t"
    lines = sample.splitlines(keepends=True)[skip:]
    if len(lines) > 1 and not sample.endswith("\n"):
        lines = lines[:-1]
    best, found = 1, ","
    for separator in _SEPARATORS:
        counts = {len(row) for row in _rows("".join(lines[:_ROWS]), separator, quote) if row}
        if len(counts) == 1 and best < max(counts):
            best, found = max(counts), separator
    if best == 1:  # rows of different lengths: the header decides
        header = lines[0] if lines else ""
        counted_signs = {one: header.count(one) for one in _SEPARATORS}
        if any(counted_signs.values()):
            found = max(_SEPARATORS, key=lambda one: counted_signs[one])
    return found


def header_of(sample: str, dialect: Dialect, quote: str | None, skip: int) -> list[str]:
    """The names in the header."""
    text = "".join(sample.splitlines(keepends=True)[skip:])
    return next((row for row in _rows(text, dialect.separator, quote) if row), [])


def explain(file: LocalFile, separator: str, options: Mapping[str, Any]) -> FrameError | None:
    """Why a file in UTF-8 cannot be read, with the line; None if no reason is found.

    polars names the column at best, and quotes the values.
    """
    line = _undecodable_line(file.path)
    if line is not None:
        return FrameError(
            f"{file.name} is not UTF-8: line {line:,} has other bytes. Say how it is encoded, for "
            "example --read-option encoding=cp1252 (Windows, Western Europe)."
        )
    quote = options.get("quote_char", '"')
    with file.path.open(encoding="utf-8-sig", newline="") as source:
        for _ in range(options.get("skip_rows", 0)):
            source.readline()
        reader = _reader(source, separator, quote)
        width, begin, skipped = None, 1, options.get("skip_rows", 0)
        try:
            for row in reader:
                if width is None and row:
                    width = len(row)
                elif width is not None and len(row) > width:
                    return FrameError(
                        f"{file.name}: line {begin + skipped:,} has {counted(len(row), 'value')}, "
                        f"and the header has {width}. Correct the line; a value that contains the "
                        "separator must stand in quotes. --read-option truncate_ragged_lines=true "
                        "leaves out what is too much."
                    )
                begin = reader.line_num + 1
        except csv.Error:
            return FrameError(
                f"{file.name}: a quote that opens in line {begin + skipped:,} does not close. "
                "Correct the line; --read-option quote_char=none takes quotes as they are."
            )
    return None


def short_rows(
    path: Path, separator: str, width: int, options: Mapping[str, Any]
) -> tuple[int, int]:
    """The number of rows with fewer than `width` values, of which polars makes nulls, and of all.

    The header and blank lines are rows, and a blank line is none that is short. If polars has
    another number of rows, both numbers are wrong. Nothing is counted (0) if options leave out
    lines, or if Arrow cannot read the rows.
    """
    if options.keys() & {"comment_prefix", "skip_rows", "skip_rows_after_header", "n_rows"}:
        return 0, 0
    short = rows = 0
    quote = options.get("quote_char", '"')

    def count(row: Any) -> str:
        nonlocal short, rows
        rows += 1
        short += bool(row.text.strip("\r\n")) and row.actual_columns < row.expected_columns
        return "skip"

    names = [str(place) for place in range(width)]
    # By latin-1 each byte is text, which Arrow makes of a row that it gives to `count`.
    reading = pa_csv.ReadOptions(column_names=names, encoding="latin-1")
    parsing = pa_csv.ParseOptions(
        delimiter=separator, quote_char=quote or False, newlines_in_values=True,
        ignore_empty_lines=False, invalid_row_handler=count,
    )  # fmt: skip
    only = pa_csv.ConvertOptions(include_columns=names[:1], column_types={"0": pa.binary()})
    try:
        with pa_csv.open_csv(path, reading, parsing, only) as found:
            for batch in found:
                rows += len(batch)
                check_time()
    except pa.ArrowInvalid:
        return 0, 0
    return short, rows


def _undecodable_line(path: Path) -> int | None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                decoder.decode(line)
            except UnicodeDecodeError:
                return number
    return None


def _rows(text: str, separator: str, quote: str | None) -> list[list[str]]:
    try:
        return list(_reader(io.StringIO(text, newline=""), separator, quote, strict=False))
    except csv.Error:
        return []


def _reader(source: Any, separator: str, quote: str | None, *, strict: bool = True) -> Any:
    if quote is None:
        return csv.reader(source, delimiter=separator, quoting=csv.QUOTE_NONE)
    return csv.reader(source, delimiter=separator, quotechar=quote, strict=strict)
