"""The files of a command as one frame.

Parquet files go to the library as they are, which reads and often sends them unchanged. All other
files, and Parquet files with read options or formats of dates, are read by polars.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from celonis_frames._cli.reading.formats import (
    FORMATS,
    Format,
    format_of,
    format_of_content,
    parse_read_options,
)
from celonis_frames._cli.reading.local_files import (
    Copies,
    LocalFile,
    from_locations,
    from_stdin,
    shown_path,
)
from celonis_frames._formatting import counted
from celonis_frames._schema.names import Rename, find_name, name_key, renamed
from celonis_frames._sources.paths import Location, find_files
from celonis_frames.exceptions import ConfigError, FrameError

STDIN = "-"
TableTypes = Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Wanted:
    """What the options of `push` say of the columns.

    Attributes:
        types: Types and lengths by name, as in the file or as in the table.
        formats: Formats of dates by name.
        rename: How columns are renamed.
        only: The columns whose types matter; None: all of them.
        table_types: Returns the types of the table that is there, by `name_key`; none if the push
            does not keep them. It is called once, and only for columns of text.
    """

    types: Mapping[str, Any]
    formats: Mapping[str, str]
    rename: Rename | None
    only: Sequence[str] | None = None
    table_types: TableTypes = dict

    def type_there(self, names: Sequence[str]) -> dict[str, str | None]:
        """The types that the table has for some columns of the file."""
        types = self.table_types() if names else {}
        return {name: types.get(name_key(renamed(name, self.rename).strip())) for name in names}

    def matters(self, name: str) -> bool:
        """Whether the type of a column is looked for."""
        return self.only is None or (
            find_name(name, list(self.only)) is not None
            or find_name(renamed(name, self.rename), list(self.only)) is not None
        )


@dataclass(frozen=True)
class Reading:
    """Files that were opened.

    Attributes:
        frame: What `push` takes: paths of Parquet files, or a LazyFrame.
        how: How they were read.
        notes: What the user should know.
        files: Number of files; None if the library finds them.
    """

    frame: Any = field(repr=False)
    how: str
    notes: tuple[str, ...] = ()
    files: int | None = None

    @property
    def line(self) -> str:
        """How many files were read, and how."""
        return self.how if self.files is None else f"{counted(self.files, 'file')}, {self.how}"


@contextmanager
def read_files(
    arguments: argparse.Namespace,
    options: Mapping[str, Any],
    formats: Mapping[str, str],
    *,
    only: Sequence[str] | None = None,
    table_types: TableTypes = dict,
) -> Iterator[Reading]:
    """The files of a command as one frame, whose temporary copies are removed at the end.

    Args:
        arguments: With ``files``, ``format`` and ``read_option``.
        options: Those of `push`, of which some say how columns are read.
        formats: Formats of dates by column.
        only: The columns whose types matter; None: all of them.
        table_types: As for `Wanted`.

    Raises:
        FrameError: A file cannot be read.
        ConfigError: An option makes no sense.
        ImportError: A reader is not installed.
    """
    given, storage = arguments.files, options.get("storage_options")
    if STDIN in given and (len(given) > 1 or arguments.format is None):
        raise ConfigError(
            f"Standard input (-) must be the only file, and needs --format: {', '.join(FORMATS)}."
        )
    with Copies() as copies:
        chosen = FORMATS.get(arguments.format or "")
        locations: list[Location] | None = None
        if chosen is None and not all(format_of(path) is FORMATS["parquet"] for path in given):
            locations = _found(given, storage)
            chosen = _format_of_all(locations)
        chosen = chosen or FORMATS["parquet"]
        read_options = parse_read_options(chosen, arguments.read_option or ())
        is_library = chosen.name == "parquet" and not read_options and not formats
        if is_library:
            paths = [from_stdin(copies).path] if given == [STDIN] else given
            yield Reading(paths, chosen.title)
            return
        if given == [STDIN]:
            files = [from_stdin(copies)]
        else:
            files = list(from_locations(copies, locations or _found(given, storage)))
        wanted = Wanted(
            options.get("columns") or {}, formats, options.get("rename"), only, table_types
        )
        yield _frame(files, chosen, read_options, wanted, copies)


def _found(paths: Sequence[str], storage: Mapping[str, Any] | None) -> list[Location]:
    found, _ = find_files(paths, storage, "file")
    return found


def _format_of_all(locations: Sequence[Location]) -> Format:
    """The format of some files.

    Raises:
        ConfigError: It is not known, or not one for all.
    """
    found: dict[str, Location] = {}
    for location in locations:
        kind = format_of(location.path)
        if kind is None:
            with location.open() as file:
                kind = format_of_content(file.read(6))
        if kind is None:
            raise ConfigError(
                f"The format of {shown_path(str(location))} is not known by its name: give "
                f"--format, one of {', '.join(FORMATS)}."
            )
        found.setdefault(kind.name, location)
    if len(found) > 1:
        (one, first), (other, second) = list(found.items())[:2]
        raise ConfigError(
            f"The files have several formats: {shown_path(str(first))} is {FORMATS[one].title}, "
            f"{shown_path(str(second))} is {FORMATS[other].title}. Push them one format after the "
            "other."
        )
    return FORMATS[next(iter(found))]


def _frame(
    files: Sequence[LocalFile],
    kind: Format,
    read_options: Mapping[str, Any],
    wanted: Wanted,
    copies: Copies,
) -> Reading:
    try:
        from celonis_frames._cli.reading import typed_frame  # noqa: PLC0415  # imports polars
    except ImportError as error:
        if error.name != "polars":
            raise
        raise ImportError(
            f'{kind.title} files need polars: pip install "celonis-frames[{kind.extra}]"'
        ) from error
    if not files:
        raise FrameError("No file: nothing to push.")
    return typed_frame.typed(files, kind, read_options, wanted, copies)
