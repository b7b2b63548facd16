"""Which files a path, URL, glob or folder means.

A folder means all files below it, whatever their names end in, as those who write such folders mean
it: files and folders whose names begin with ``_`` or ``.`` are passed over (``_SUCCESS``,
``_temporary``), folders ``YEAR=2023`` are columns, and the folder of a Delta, Iceberg or Hudi table
is rejected, since its log says which of its files hold the rows.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from fsspec.core import OpenFile
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractFileSystem

from celonis_frames._filesystem.errors import translate_filesystem_errors
from celonis_frames._filesystem.filesystems import display_url, url_to_filesystem
from celonis_frames._filesystem.masking import mask_url, secret_values, secrets_of
from celonis_frames._filesystem.spelling import check_spelling
from celonis_frames._sources.hive import Constants, constants, is_partition, partition_of
from celonis_frames._sources.table_formats import check_above, check_below
from celonis_frames.exceptions import FrameError

_Entries = dict[str, Mapping[str, Any]]
"""What fsspec says of files and folders, by path."""

_GONE = (404, 410)
"""The statuses of HTTP for what is not there."""

_ENDINGS = (".parquet", ".parq", ".pq")
"""Files with these names are Parquet files even if they are empty."""


@dataclass(frozen=True)
class Location:
    """Where a file is, and the columns that the names of its folders hold."""

    filesystem: Any = field(repr=False)
    path: str = field(repr=False)  # may hold a password
    size: int = 0  # bytes; 0 if the filesystem does not report it
    constants: Constants = ()

    def __str__(self) -> str:
        return display_url(self.filesystem, self.path)

    def open(self) -> Any:
        """The file, opened for reading."""
        return self.filesystem.open(self.path, "rb")


@dataclass(frozen=True)
class _Given:
    """One path of the user's."""

    filesystem: Any = field(repr=False)
    path: str = field(repr=False)
    shown: str
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    above: int = 0  # first parts of the path that only the working directory gives
    what: str = "Parquet file"  # that is looked for, for messages

    def files(self) -> list[Location]:
        """The files it means, in order."""
        advice = "Check the path and the access to it."
        with translate_filesystem_errors(
            f"{self.shown} cannot be read", advice, kind=FrameError,
            secrets=self.secrets,
        ):  # fmt: skip
            magic = _magic(self.filesystem).search(self.path)
            try:
                entry = _entry(self.filesystem, self.path)
            except Exception:
                if magic is None:
                    raise
                entry = None  # some systems take no name with such characters
            if entry is None:
                return self._matches(magic)
            if not _is_folder(self.filesystem, self.path, entry):
                return [self._location(self.path, entry)]
            return self._below(self.path)

    def _below(self, folder: str) -> list[Location]:
        entries = find_below(self.filesystem, folder)
        check_below(self.filesystem, folder, entries)
        check_above(self.filesystem, [folder])
        files = self._chosen(folder, entries, ())
        if not files:
            raise self._not_found(f"in the folder {self.shown!r}: nothing to push.")
        return files

    def _not_found(self, where: str) -> FrameError:
        return FrameError(f"No {self.what} {where}", parameter="frame")

    def _matches(self, magic: re.Match[str] | None) -> list[Location]:
        found: _Entries = {}
        root = self.path[: magic.start() if magic else None].rpartition("/")[0]
        if magic:
            found = self.filesystem.glob(self.path, detail=True)
            if not found:  # fsspec passes over folders that cannot be listed
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    self.filesystem.ls(root)
        if not found and "\n" in self.path:
            raise FrameError(
                f"The frame is a string with line breaks, and no path of a {self.what}. Read a "
                "text first, for example with pl.read_csv(io.StringIO(text))."
            )
        if not found or magic is None:
            raise self._not_found(f"at {self.shown!r}: nothing to push.")
        entries: _Entries = {}
        for path, entry in found.items():
            is_folder = _is_folder(self.filesystem, path, entry)
            entries |= find_below(self.filesystem, path) if is_folder else {path: entry}
        check_below(self.filesystem, root, entries)
        check_above(self.filesystem, {path.rpartition("/")[0] for path in found})
        files = self._chosen(root, entries, self.path[len(root) :].split("/"))
        if not files:
            raise self._not_found(
                f"at {self.shown!r}: files and folders whose names begin with _ or . are passed "
                "over. Give their own paths to push them."
            )
        return files

    def _chosen(self, root: str, entries: _Entries, spelled: Sequence[str]) -> list[Location]:
        """The files among some entries below a folder."""
        chosen = []
        for path, entry in sorted(entries.items()):
            names = path[len(root) :].strip("/").split("/")
            if entry["type"] == "directory" or any(_is_hidden(name, spelled) for name in names):
                continue
            # Some stores mark folders with empty files.
            if entry.get("size") == 0 and not names[-1].lower().endswith(_ENDINGS):
                continue
            chosen.append(self._location(path, entry))
        return chosen

    def _location(self, path: str, entry: Mapping[str, Any]) -> Location:
        return Location(self.filesystem, path, entry.get("size") or 0)

    def partition(self, file: Location) -> dict[str, str | None]:
        """The columns that the names of a file's folders hold."""
        path = file.path.partition("?")[0] if "://" in file.path else file.path
        if isinstance(file.filesystem, LocalFileSystem):
            path = posixpath.normpath(path)  # without ..
        return partition_of(path.split("/")[self.above : -1], str(file))


def path_of(frame: Any) -> Any | None:
    """The frame if it is a path: a string, a Path, an ``fsspec.OpenFile`` or a ``UPath``."""
    is_path = isinstance(frame, str | os.PathLike) or _has_filesystem(frame)
    return frame if is_path else None


def _has_filesystem(path: Any) -> bool:
    # UPath, without importing its library; its `fs` may raise what any filesystem raises.
    names = ("fs", "path", "storage_options")
    return isinstance(path, OpenFile) or all(hasattr(type(path), name) for name in names)


def find_files(
    paths: Sequence[Any],
    options: Mapping[str, Any] | None = None,
    what: str = "Parquet file",
) -> tuple[list[Location], list[Location]]:
    """The files that some paths mean, in order, each in its own filesystem; those given repeatedly.

    A file that a folder or a glob and another path mean is found once, where it comes first. A path
    that names one file is taken as often as it is given.

    `options` are those of fsspec for URLs; `what` is looked for, for messages.

    Raises:
        FrameError: A path means no file, cannot be read, or is the folder of a table.
    """
    files: list[Location] = []
    partitions: list[dict[str, str | None]] = []
    known: dict[tuple[Any, str], bool] = {}  # whether only paths that name it mean a file
    repeated: dict[tuple[Any, str], Location] = {}
    for path in paths:
        given = _resolve(path, options, what)
        found = given.files()
        is_named = [file.path for file in found] == [given.path]
        for file in found:
            same = (file.filesystem, _real_path(file))
            if not (is_named and known.get(same, True)) and same in known:
                known[same], repeated[same] = False, file
                continue
            known[same] = is_named
            files.append(file)
            partitions.append(given.partition(file))
    if any(partitions):
        files = [
            Location(file.filesystem, file.path, file.size, columns)
            for file, columns in zip(files, constants(partitions), strict=True)
        ]
    return files, list(repeated.values())


def _real_path(file: Location) -> str:
    """The path of a file without links and ``..``, which only this machine has."""
    is_local = isinstance(file.filesystem, LocalFileSystem)
    return os.path.realpath(file.path) if is_local else file.path


def find_below(filesystem: Any, folder: str) -> _Entries:
    """The files and folders below a folder, in all its folders, each file once."""
    # Otherwise a folder that cannot be read would be left out.
    strict = type(filesystem).find is AbstractFileSystem.find
    options = {"on_error": "raise"} if strict else {}

    def find(folder: str) -> _Entries:
        entries: _Entries = filesystem.find(folder, withdirs=True, detail=True, **options)
        return {path: entries[path] for path in entries if path.strip("/") != folder.strip("/")}

    found = find(folder)
    if not isinstance(filesystem, LocalFileSystem):
        return found
    # fsspec does not enter links to folders, and calls them files.
    entered = [os.path.realpath(folder)]
    waiting = [path for path in found if found[path].get("islink")]
    while waiting:
        path = waiting.pop()
        target = os.path.realpath(path)
        # A link to what is found anyway would double its rows; one to a folder above never ends.
        if any(_finds(other, target) or _finds(target, other, hidden=True) for other in entered):
            del found[path]
        elif os.path.isdir(target):  # noqa: PTH112  # fsspec's paths are strings
            del found[path]
            entered.append(target)
            inner = find(path)
            waiting += [path for path in inner if inner[path].get("islink")]
            found |= inner
    return found


def _finds(folder: str, path: str, *, hidden: bool = False) -> bool:
    """Whether a path is found in a folder, also if it is `hidden` there."""
    inner, outer = Path(path), Path(folder)
    if not inner.is_relative_to(outer):
        return False
    return hidden or not any(_is_hidden(name, ()) for name in inner.relative_to(outer).parts)


def _resolve(path: Any, options: Mapping[str, Any] | None, what: str) -> _Given:
    """A path of the user's, with its filesystem."""
    if _has_filesystem(path):
        text = path.path if isinstance(path, OpenFile) else str(path)
        shown = mask_url(text)
        with _translate_errors(text):
            filesystem = path.fs
        if getattr(path, "compression", None):
            raise FrameError(
                f"{shown} is opened with compression, but Parquet files compress their own pages: "
                "open it without compression=."
            )
        name = filesystem._strip_protocol(path.path)  # noqa: SLF001  # fsspec has no public name for it
        secrets = secrets_of(filesystem, text)
        return _Given(filesystem, name, display_url(filesystem, name), secrets, what=what)
    text = os.fspath(path)
    shown = mask_url(text)
    check_spelling(text, partial(FrameError, parameter="frame"))
    with _translate_errors(text, options):
        filesystem, name = url_to_filesystem(text, options)
        # fsspec keeps filesystems, and these keep what they listed before the files came.
        filesystem.invalidate_cache()
    return _Given(
        filesystem, name, shown, secrets_of(filesystem, text), _parts_above(filesystem, text), what
    )


def _translate_errors(
    url: str, options: Mapping[str, Any] | None = None
) -> contextlib.AbstractContextManager[None]:
    """Raises what finding the filesystem of a URL raises as a `FrameError`."""
    shown = mask_url(url)
    return translate_filesystem_errors(
        f"{shown} cannot be read",
        kind=FrameError,
        secrets=secrets_of(None, url) | secret_values(options or {}),
        quotes_url=shown != url,
    )


def _parts_above(filesystem: Any, text: str) -> int:
    """How many parts of a relative path's absolute one only the working directory gives."""
    is_local = isinstance(filesystem, LocalFileSystem) and "://" not in text
    if not is_local or Path(text).expanduser().is_absolute():
        return 0
    steps_up = Path(os.path.normpath(text)).parts.count("..")
    return max(0, len(Path.cwd().parts) - steps_up)


def _entry(filesystem: Any, path: str) -> Mapping[str, Any] | None:
    """What fsspec says of a file or folder; None if there is none."""
    try:
        entry: Mapping[str, Any] = filesystem.info(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        cause = error.__cause__
        # Over HTTP a rejected login or a refused connection is a file that is not found, too.
        is_reason = isinstance(cause, Exception) and getattr(cause, "status", 0) not in _GONE
        if cause is not None and is_reason and "http" in filesystem.protocol:
            raise cause from None
        return None
    return entry


def _is_folder(filesystem: Any, path: str, entry: Mapping[str, Any]) -> bool:
    # A link to a folder is of type "other". A web server's folder is of type "file", and asking
    # whether a URL is a folder would download the file.
    if entry["type"] == "file" and not path.endswith("/"):
        return False
    return entry["type"] == "directory" or bool(filesystem.isdir(path))


def _magic(filesystem: Any) -> re.Pattern[str]:
    """What makes a path a glob; in the URL of a web server ``?`` begins the query."""
    return re.compile(r"[*\[]" if "http" in filesystem.protocol else r"[*?\[]")


def _is_hidden(name: str, spelled: Iterable[str]) -> bool:
    """Whether files and folders of this name are passed over, unless a glob spells its start."""
    if not name.startswith((".", "_")) or (name.startswith("_") and is_partition(name)):
        return False
    return not any(part[:1] == name[0] and fnmatch.fnmatchcase(name, part) for part in spelled)
