"""One file as a polars frame, by its format; text stays text."""

from __future__ import annotations

import datetime as dt
import json
import logging
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import polars as pl

from celonis_frames._arrow.casts import MAX_EXACT_INTEGER
from celonis_frames._cli.reading import csv_dialect
from celonis_frames._cli.reading.formats import Format
from celonis_frames._cli.reading.local_files import Copies, LocalFile, recoded
from celonis_frames._cli.reading.time_limit import collected
from celonis_frames._formatting import counted, did_you_mean, listed, verb
from celonis_frames.exceptions import (
    CelonisFramesError,
    ColumnNameError,
    ConfigError,
    FrameError,
)

_EXCEL_DIGITS = 10**15
"""Whole numbers from here on have more digits than Excel keeps."""
_EXCEL_DAYS = (dt.date(1899, 12, 30), dt.date(1899, 12, 31))
"""The day that cells get which hold a time of day only."""

logging.getLogger("fastexcel").addHandler(logging.NullHandler())  # else it prints to stderr


@dataclass(frozen=True)
class FileFrame:
    """The rows of one file.

    Attributes:
        file: The file.
        frame: Its rows.
        how: How it was read, for the plan: "CSV, separated by comma, UTF-8".
        notes: What the user should know.
        explain: Finds out why its rows cannot be read, once that has failed.
    """

    file: LocalFile
    frame: pl.LazyFrame
    how: str
    notes: tuple[str, ...] = ()
    explain: Callable[[], FrameError | None] = field(default=lambda: None, repr=False)


def read_file(
    file: LocalFile, kind: Format, options: Mapping[str, Any], copies: Copies
) -> FileFrame:
    """The rows of a file.

    Raises:
        FrameError: It cannot be read.
        ConfigError: An option makes no sense for it.
    """
    reader = {
        "csv": _csv, "jsonl": _jsonl, "excel": _excel, "arrow": _arrow, "parquet": _parquet,
    }[kind.name]  # fmt: skip
    with reading_errors(file, kind):
        if not file.path.stat().st_size:
            raise FrameError(f"{file.name} is empty: it has no columns to push.")
        found = reader(file, kind, options, copies)
        file = found.file
        frame = found.frame
        names = frame.collect_schema().names()
        columns = options.get("columns")
        if columns is not None:
            missing = [name for name in columns if name not in names]
            if missing:
                raise ConfigError(
                    f"--read-option columns= names {missing[0]!r}, which {file.name} does not "
                    f"have.{did_you_mean(missing[0], names)} It has {listed(names)}."
                )
            frame = frame.select(pl.selectors.by_index(*(names.index(name) for name in columns)))
        if "n_rows" in options:
            frame = frame.head(options["n_rows"])
        _check_names(file, frame.collect_schema().names())
    return replace(found, frame=frame)


@contextmanager
def reading_errors(file: LocalFile, kind: Format, explain: Any = None) -> Iterator[None]:
    """Raises what polars raises as a `FrameError`, without its text, which quotes values."""
    try:
        yield
    except (CelonisFramesError, MemoryError, ImportError):
        raise
    except Exception as error:
        precise = None if explain is None else explain()
        if precise is not None:
            raise precise from None
        reason = error.strerror if isinstance(error, OSError) and error.strerror else ""
        raise FrameError(
            f"{file.name} cannot be read as {kind.title}: {reason or type(error).__name__}. Check "
            "that it is complete and of this format; --format says which it is."
        ) from error


def _csv(file: LocalFile, kind: Format, options: Mapping[str, Any], copies: Copies) -> FileFrame:
    encoding = csv_dialect.find_encoding(file.path, options.get("encoding"))
    file = _in_utf8(file, encoding, copies)
    sample = _sample(file)
    quote = options.get("quote_char", '"')
    skip = options.get("skip_rows", 0)
    separator = options.get("separator") or csv_dialect.find_separator(
        sample, quote, skip, file.name
    )
    dialect = csv_dialect.Dialect(separator, encoding)
    has_header = options.get("has_header", True)
    notes: tuple[str, ...] = ()
    if has_header:
        header = csv_dialect.header_of(sample, dialect, quote, skip)
        _check_header(file, header)
        notes = _header_notes(file, header)
    frame = pl.scan_csv(
        file.path, separator=separator, has_header=has_header, infer_schema=False,
        quote_char=quote, skip_rows=skip, null_values=options.get("null_values"), glob=False,
        skip_rows_after_header=options.get("skip_rows_after_header", 0),
        comment_prefix=options.get("comment_prefix"), n_rows=options.get("n_rows"),
        **({"truncate_ragged_lines": True} if options.get("truncate_ragged_lines") else {}),
    )  # fmt: skip
    explain = partial(csv_dialect.explain, file, separator, options)
    if "columns" in options and not options.get("truncate_ragged_lines"):
        # Of the rows polars then reads only these columns, and finds no value that is too much.
        with reading_errors(file, kind, explain):
            collected(frame.select(pl.all().count()))
    width = len(frame.collect_schema())
    short, rows = csv_dialect.short_rows(file.path, separator, width, options)
    if short and rows == collected(frame.select(pl.len())).item() + has_header:
        notes += (
            f"{counted(short, 'row')} of {file.name} {verb(short, 'have', 'has')} fewer values "
            f"than the {width} of the first one: those that are missing at the end are NULL. Check "
            "that no value has a line break without quotes around it.",
        )
    return FileFrame(file, frame, f"CSV, {dialect}", notes, explain)


def _in_utf8(file: LocalFile, encoding: str, copies: Copies) -> LocalFile:
    if encoding in ("utf-8", "utf-8-sig"):
        return file
    try:
        return recoded(copies, file, encoding)
    except UnicodeError:
        raise FrameError(
            f"{file.name} is not encoded in {encoding}: give its encoding with --read-option "
            "encoding=NAME."
        ) from None


def _sample(file: LocalFile) -> str:
    with file.path.open("rb") as source:
        return source.read(csv_dialect.SAMPLE_BYTES).decode("utf-8-sig", "replace")


def _check_header(file: LocalFile, header: list[str]) -> None:
    """Check the names in a header: polars renames one that stands there twice."""
    seen = set[str]()
    for name in header:
        if name and name in seen:
            raise ColumnNameError(
                f"The header of {file.name} has {name!r} twice: give each column a name of its "
                "own, or leave the header out (--read-option has_header=false and skip_rows=1).",
                column=name,
            )
        seen.add(name)


def _header_notes(file: LocalFile, header: list[str]) -> tuple[str, ...]:
    values = [name for name in header if name.replace(".", "").replace("-", "").isdecimal()]
    if not values:
        return ()
    return (
        f"The first row of {file.name} is taken for the names of the columns, and "
        f"{counted(len(values), 'name')} {verb(len(values), 'are', 'is')} a number. If the file "
        "has no header: --read-option has_header=false.",
    )


def _jsonl(file: LocalFile, kind: Format, options: Mapping[str, Any], copies: Copies) -> FileFrame:
    del options
    if csv_dialect.find_encoding(file.path, None) != "utf-8":
        file = recoded(copies, file, csv_dialect.find_encoding(file.path, None))
    explain = partial(_explain_json, file)
    with reading_errors(file, kind, explain):
        frame = pl.scan_ndjson(file.path, infer_schema_length=None)
        schema = frame.collect_schema()
        floats = [name for name, dtype in schema.items() if dtype == pl.Float64]
        large = [pl.col(name).abs().max() >= MAX_EXACT_INTEGER for name in floats]
        flags = collected(frame.select(large)).row(0) if large else ()
    inexact = [name for name, is_large in zip(floats, flags, strict=True) if is_large]
    notes = tuple(
        f"Column {name!r} is sent as text: it has numbers with more digits than FLOAT holds (15), "
        f"beside fractions. As FLOAT: --column {shlex.quote(name)}=FLOAT."
        for name in inexact
    )
    wide = [name for name, dtype in schema.items() if dtype == pl.Int128]
    notes += tuple(
        f"Column {name!r} is sent as text: it has numbers with more digits than INTEGER holds (18)."
        for name in wide
    )
    if inexact or wide:
        texts = {name: pl.String() for name in (*inexact, *wide)}
        frame = pl.scan_ndjson(file.path, infer_schema_length=None, schema_overrides=texts)
    return FileFrame(file, frame, "JSON lines", notes, explain)


def _explain_json(file: LocalFile) -> FrameError | None:
    """Which line is no JSON object; None if all are."""
    with file.path.open("rb") as source:
        for number, line in enumerate(source, 1):
            try:
                is_row = not line.strip() or isinstance(json.loads(line), dict)
            except (ValueError, RecursionError):
                is_row = False
            if not is_row:
                return FrameError(
                    f"{file.name}: line {number:,} is no JSON object. JSON lines have one object, "
                    '{"COLUMN": value, …}, in each line.'
                )
    return None


def _arrow(file: LocalFile, kind: Format, options: Mapping[str, Any], copies: Copies) -> FileFrame:
    del kind, options, copies
    with file.path.open("rb") as source:
        is_file = source.read(6) == b"ARROW1"
    if is_file:
        return FileFrame(file, pl.scan_ipc(file.path, glob=False), "Arrow IPC")
    with file.path.open("rb") as source:
        return FileFrame(file, pl.read_ipc_stream(source).lazy(), "Arrow IPC stream")


def _parquet(
    file: LocalFile, kind: Format, options: Mapping[str, Any], copies: Copies
) -> FileFrame:
    del kind, options, copies
    return FileFrame(file, pl.scan_parquet(file.path, glob=False), "Parquet")


def _excel(file: LocalFile, kind: Format, options: Mapping[str, Any], copies: Copies) -> FileFrame:
    del copies
    try:
        import fastexcel  # noqa: PLC0415  # needs an extra
    except ImportError as error:
        raise missing_reader(kind) from error
    chosen = {
        name: options[name] for name in ("sheet_name", "sheet_id", "table_name") if name in options
    }
    if len(chosen) > 1:
        raise ConfigError("Give one of the read options sheet_name, sheet_id and table_name.")
    with file.path.open("rb") as source:
        content = source.read()
    sheets = fastexcel.read_excel(content).sheet_names
    wanted = options.get("sheet_name")
    if wanted is not None and wanted not in sheets:
        raise ConfigError(
            f"{file.name} has no sheet {wanted!r}.{did_you_mean(wanted, sheets)} It has "
            f"{listed(sheets)}."
        )
    header_row = options.get("header_row")
    frame = pl.read_excel(
        content, **chosen, has_header=options.get("has_header", True), infer_schema_length=None,
        raise_if_empty=False,
        **({"read_options": {"header_row": header_row}} if header_row is not None else {}),
    )  # fmt: skip
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  # one sheet was asked for
    what = wanted or options.get("table_name") or sheets[max(options.get("sheet_id", 1), 1) - 1]
    notes = []
    if len(sheets) > 1 and not chosen:
        notes.append(
            f"{file.name} has {counted(len(sheets), 'sheet')}, of which the first is read, "
            f"{sheets[0]!r}. Another one: --read-option sheet_name=NAME. It has {listed(sheets)}."
        )
    if len(sheets) > 1:
        file = replace(file, name=f"{file.name} (sheet {what!r})")
        if not frame.width or not (frame.height or chosen):  # such as a title page
            raise FrameError(
                f"{file.name} has no rows. Choose another sheet: --read-option sheet_name=NAME. "
                f"There are {listed(sheets)}."
            )
    frame = _with_times_of_day(frame)
    notes += _excel_notes(file, frame)
    return FileFrame(file, frame.lazy(), f"Excel, {what!r}", tuple(notes))


def _with_times_of_day(frame: pl.DataFrame) -> pl.DataFrame:
    """Cells that hold a time of day only, as such."""
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Datetime):
            days = frame.get_column(name).dt.date().drop_nulls().unique().to_list()
            if days and set(days) <= set(_EXCEL_DAYS):
                frame = frame.with_columns(frame.get_column(name).dt.time())
    return frame


def _excel_notes(file: LocalFile, frame: pl.DataFrame) -> list[str]:
    notes = []
    for name, kind in frame.schema.items():
        if kind == pl.Int64:
            long = int((frame.get_column(name).abs() >= _EXCEL_DIGITS).sum())
            if long:
                notes.append(
                    f"Column {name!r} of {file.name}: {counted(long, 'number')} "
                    f"{verb(long, 'have', 'has')} more than the 15 digits that Excel keeps, so the "
                    "last ones may be others than those that were typed in. Identifiers must be "
                    "text in Excel."
                )
    return notes


def _check_names(file: LocalFile, names: list[str]) -> None:
    for place, name in enumerate(names, 1):
        if not name.strip() or name.startswith("__UNNAMED__"):
            raise ColumnNameError(
                f"Column {place} of {file.name} has no name; pandas writes its index so. Give it a "
                "name in the file, or choose the others (--read-option columns=A,B,C)."
            )


def missing_reader(kind: Format) -> ImportError:
    """The error for a format whose reader is not installed."""
    return ImportError(
        f'{kind.title} files need fastexcel: pip install "celonis-frames[{kind.extra}]"'
    )
