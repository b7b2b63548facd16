"""Columns that the names of folders hold: ``YEAR=2023/part-0.parquet``, as Hive and Spark write.

Every folder ``name=value`` of a path is a column, so that one partition has the columns of all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import pyarrow as pa

from celonis_frames.exceptions import FrameError

NULL = "__HIVE_DEFAULT_PARTITION__"
"""The value of a folder whose rows have no value."""

_FOLDER = re.compile(r"([^=;?&#]+)=(.*)", re.DOTALL)

_TYPES = (pa.int64(), pa.bool_(), pa.date32(), *map(pa.timestamp, ("s", "ms", "us", "ns")))
"""In the order in which they are tried. Not floats: 1.0 is rather a version than a number."""

Constants = tuple[tuple[pa.Field, Any], ...]
"""Columns, each with the scalar that all rows of a file have."""


def is_partition(folder: str) -> bool:
    """Whether a folder's name is that of a partition."""
    return _FOLDER.fullmatch(folder) is not None


def partition_of(folders: Sequence[str], shown: str) -> dict[str, str | None]:
    """The columns that the names of a file's folders hold, as strings; `shown` is the file's URL.

    Raises:
        FrameError: Two folders have the same name.
    """
    found: dict[str, str | None] = {}
    for match in filter(None, map(_FOLDER.fullmatch, folders)):
        name, value = map(_unquote, match.groups())
        if name in found:
            raise FrameError(
                f"Two folders of {shown} are partitions of column {name!r}: move the file to a "
                "folder that names each column once."
            )
        found[name] = None if value == NULL else value
    return found


def constants(partitions: Sequence[dict[str, str | None]]) -> list[Constants]:
    """The columns of each file, with types that fit the values of all files."""
    names = dict.fromkeys(name for partition in partitions for name in partition)
    fields: dict[str, pa.Field] = {}
    scalars: dict[tuple[str, str | None], Any] = {}
    for name in names:
        texts = {partition[name] for partition in partitions if name in partition}
        kind = _infer_type(text for text in texts if text is not None)
        fields[name] = pa.field(name, kind)
        for text in texts:
            value = pa.array([text], pa.string()).cast(kind)
            scalars[name, text] = value[0]
    return [
        tuple((fields[name], scalars[name, text]) for name, text in partition.items())
        for partition in partitions
    ]


def _infer_type(texts: Iterable[str]) -> pa.DataType:
    """The type from which every string comes back exactly; else strings, so 0045 is one."""
    array = pa.array(list(texts), pa.string())
    for kind in _TYPES if len(array) else ():
        try:
            if array.cast(kind).cast(pa.string()).equals(array):
                return kind
        except pa.ArrowException:
            continue
    return pa.string()


def _unquote(text: str) -> str:
    """Decodes ``%2F``; a name that only looks encoded stays as it is."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text
