"""Folders that are tables, whose log says which of their Parquet files hold the rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from celonis_frames._filesystem.filesystems import display_url
from celonis_frames._sources.hive import is_partition
from celonis_frames.exceptions import FrameError

_LOGS = {
    "_delta_log": (
        "a Delta",
        "deltalake.DeltaTable({0!r}) or polars.scan_delta({0!r})",
    ),
    ".hoodie": ("a Hudi", "what a query of Spark or DuckDB reads from it"),
    "metadata": (
        "an Iceberg",
        "polars.scan_iceberg(…) of the file in its metadata folder, or "
        "table.scan().to_arrow_batch_reader() of pyiceberg",
    ),
}
"""By the folder that holds a table's log: the format, and what to push instead."""

_ICEBERG_ENDINGS = (".metadata.json", ".avro", "version-hint.text")


def check_below(filesystem: Any, root: str, below: Iterable[str]) -> None:
    """Raise `FrameError` if a folder, or one below it, is a table, by all paths below it."""
    for path in below:
        folders = path[len(root) :].strip("/").split("/")
        for place, name in enumerate(folders):
            if _is_log(folders[place:]):
                table = "/".join([root.rstrip("/"), *folders[:place]])
                raise _error(filesystem, table, name)
            if name.startswith((".", "_")) and not is_partition(name):
                break  # is passed over


def check_above(filesystem: Any, folders: Iterable[str]) -> None:
    """Raise `FrameError` if one of some folders is a table, or a part of one."""
    for folder in dict.fromkeys(chain.from_iterable(map(_table_roots, folders))):
        paths: list[str] = []
        # Who reads a folder need not be allowed to list the one that holds it.
        with contextlib.suppress(Exception):
            paths += _entries(filesystem, folder)
        check_below(filesystem, folder, paths)


def _entries(filesystem: Any, folder: str) -> Iterator[str]:
    for path in map(str, filesystem.ls(folder, detail=False)):
        yield path
        if path.rstrip("/").endswith("/metadata"):
            yield from map(str, filesystem.ls(path, detail=False))


def _table_roots(folder: str) -> Iterator[str]:
    """The folders of which this one may be a part: of ``table/data/YEAR=2023``, data and table."""
    while folder:
        parent, _, name = folder.rstrip("/").rpartition("/")
        inner = is_partition(name)
        if not inner:
            yield folder
        if not inner and name != "data":
            return
        folder = parent


def _is_log(folders: list[str]) -> bool:
    """Whether a path, given from one of its folders on, is in a table's log, or is the log."""
    if folders[0] != "metadata":
        return folders[0] in _LOGS
    # Any folder may be named metadata.
    return len(folders) == 2 and folders[1].endswith(_ICEBERG_ENDINGS)


def _error(filesystem: Any, table: str, log: str) -> FrameError:
    kind, instead = _LOGS[log]
    shown = display_url(filesystem, table)
    return FrameError(
        f"{shown} is {kind} table: only its log says which of its files hold the rows. "
        f"Push {instead.format(shown)} instead."
    )
