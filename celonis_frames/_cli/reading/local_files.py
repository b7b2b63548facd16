"""Files that polars can read: on this machine, uncompressed, each with the name to show of it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from celonis_frames._cli.reading.formats import ending_of
from celonis_frames._cli.reading.time_limit import check_time
from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.files import BLOCK_BYTES
from celonis_frames._filesystem.masking import secrets_of
from celonis_frames._sources.hive import Constants
from celonis_frames._sources.paths import Location
from celonis_frames._temporary import temporary_folder_errors
from celonis_frames.exceptions import FrameError

_PATTERN_SIGNS = "*?["
"""What polars takes for a pattern in a path."""


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine.

    Attributes:
        path: Where it is, perhaps as a temporary copy.
        name: What messages call it.
        constants: The columns that the names of its folders hold.
    """

    path: Path
    name: str
    constants: Constants = ()


class Copies:
    """A temporary folder for copies of files, which is made with the first one."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._folder: Path | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def new_path(self) -> Path:
        """A path for another copy."""
        if self._folder is None:
            with temporary_folder_errors("The files that are read wait", kind=FrameError):
                folder = tempfile.TemporaryDirectory(prefix="celonis-files-")
            self._folder = Path(self._stack.enter_context(folder))
        self._count += 1
        return self._folder / str(self._count)

    def write(self, source: Any, compression: str | None = None) -> Path:
        """A copy of an open file, uncompressed."""
        path = self.new_path()
        with (
            path.open("wb") as target,
            _uncompressed(source, compression) as content,
        ):
            while block := content.read(BLOCK_BYTES):
                check_time()
                with temporary_folder_errors("A file that is read waits", kind=FrameError):
                    target.write(block)
        return path


def from_stdin(copies: Copies) -> LocalFile:
    """What arrives on standard input.

    Raises:
        FrameError: It is closed, or nothing arrives.
    """
    if sys.stdin is None:
        raise FrameError("Standard input is closed: give a file, or pipe one in.")
    path = copies.write(sys.stdin.buffer)
    if not path.stat().st_size:
        raise FrameError("Standard input is empty: pipe a file in, or give the path of one.")
    return LocalFile(path, "standard input")


def from_locations(copies: Copies, locations: Sequence[Location]) -> Iterator[LocalFile]:
    """The files, those of other filesystems and compressed ones as copies."""
    for location in locations:
        name = shown_path(str(location))
        _, compression = ending_of(location.path)
        is_local = isinstance(location.filesystem, LocalFileSystem)
        if is_local and compression is None and not set(_PATTERN_SIGNS) & set(location.path):
            path = Path(location.path)
        else:
            secrets = secrets_of(location.filesystem)
            advice = "Check the access to it, and that it is complete."
            with (
                translate_filesystem_errors(
                    f"{name} cannot be read", advice, kind=FrameError, secrets=secrets
                ),
                location.open() as source,
            ):
                path = copies.write(source, compression)
        yield LocalFile(path, name, location.constants)


def shown_path(path: str) -> str:
    """A path for messages: below the working directory without that."""
    given, here = Path(path), Path.cwd()
    return str(given.relative_to(here)) if given.is_relative_to(here) else path


@contextmanager
def _uncompressed(source: Any, compression: str | None) -> Iterator[Any]:
    if compression is None:
        yield source
    elif compression == "zstd":
        yield pa.CompressedInputStream(pa.PythonFile(source, mode="r"), "zstd")
    else:
        opener: Any = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open}[compression]
        with opener(source, "rb") as content:
            yield content


def recoded(copies: Copies, file: LocalFile, encoding: str) -> LocalFile:
    """The file in UTF-8.

    Raises:
        UnicodeError: It is not in this encoding.
        LookupError: Python knows no such encoding.
    """
    path = copies.new_path()
    with (
        file.path.open(encoding=encoding, newline="") as source,
        path.open("w", encoding="utf-8", newline="") as target,
    ):
        while block := source.read(BLOCK_BYTES):
            check_time()
            target.write(block)
    return LocalFile(path, file.name, file.constants)
