"""The options of a push, checked before anything else happens."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Literal

from celonis_frames._encoding.chunk_sizer import DEFAULT_CHUNK_BYTES, MAX_CHUNK_BYTES
from celonis_frames._encoding.codecs import CODECS, DEFAULT_CODEC
from celonis_frames._schema.names import Rename
from celonis_frames._schema.overrides import ColumnOverride
from celonis_frames.exceptions import ConfigError, KeyColumnError

Mode = Literal["DELTA", "REPLACE", "delta", "replace"]
FileType = Literal["PARQUET", "CSV", "parquet", "csv"]
Compression = Literal["snappy", "none", "zstd", "gzip", "lz4"]
UpsertStrategy = Literal["UPSERT_WITH_UNCHANGED_METADATA", "UPSERT_WITH_NULLIFICATION"]

Verify = Literal["schema", "rows", "none"]

UPSERT_STRATEGIES = ("UPSERT_WITH_UNCHANGED_METADATA", "UPSERT_WITH_NULLIFICATION")

DEFAULT_WORKERS = 4
"""Uploads at a time where the order of chunks does not matter: lines are often limited for each
connection, and four fill most."""

LEAST_NUMBER = 10_000
"""Least `chunk_bytes` without a unit: who writes 256 thinks of megabytes."""

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}  # fmt: skip

_OWN_FIELDS = {
    "targetName": "table",
    "type": "mode=",
    "fileType": "file_type=",
    "dataPoolId": "pool",
    "connectionId": "connection=",
    "keys": "keys=",
    "tableSchema": "columns=",
    "csvParsingOptions": "file_type=",
    "upsertStrategy": "upsert_strategy=",
}


@dataclass(frozen=True)
class PushOptions:
    """All keyword parameters of `push`, in their checked form. See `celonis_frames.push`.

    Raises:
        ConfigError: A value is not one of those allowed, or two contradict each other.
        KeyColumnError: An option that works on keys, but no keys.
    """

    mode: str = "DELTA"
    keys: Sequence[str] | str | None = None
    connection: str | None = None
    columns: Mapping[str, ColumnOverride] | None = None
    index: bool | None = None
    rename: Rename | None = None
    nested: str = "error"
    binary: str = "error"
    infinity: str = "error"
    file_type: str = "PARQUET"
    compression: str = DEFAULT_CODEC
    chunk_bytes: int | str | None = None
    staging: str | None = field(default=None, repr=False)
    workers: int | None = None
    deduplicate_by: str | None = None
    upsert_strategy: str | None = None
    job_options: Mapping[str, Any] | None = None
    verify: Sequence[str] | str | None = None
    wait: bool = True
    timeout: float | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        self._check_kinds()
        self._set("mode", _word("mode", self.mode, ("DELTA", "REPLACE")))
        self._set("file_type", _word("file_type", self.file_type, ("PARQUET", "CSV")))
        self._set("nested", _word("nested", self.nested, ("error", "json")))
        self._set("binary", _word("binary", self.binary, ("error", "hex", "base64")))
        self._set("infinity", _word("infinity", self.infinity, ("error", "null")))
        self._set("compression", _word("compression", self.compression, tuple(CODECS)))
        self._set("chunk_bytes", parse_bytes(self.chunk_bytes))
        self._set("job_options", dict(self.job_options or {}))
        asked = [self.verify] if isinstance(self.verify, str) else list(self.verify or ())
        self._set("verify", tuple(_word("verify", a, ("schema", "rows", "none")) for a in asked))
        if self.upsert_strategy is not None:
            strategy = _word("upsert_strategy", self.upsert_strategy, UPSERT_STRATEGIES)
            self._set("upsert_strategy", strategy)
            if self.mode != "DELTA" or not self.keys:
                raise KeyColumnError("upsert_strategy= is for mode='DELTA' with keys=.")
        if self.deduplicate_by is not None and not self.keys:
            raise KeyColumnError(
                "deduplicate_by= chooses among rows with the same key: give keys= as well."
            )
        if self.timeout is not None and not self.timeout > 0:
            raise ConfigError(f"timeout={self.timeout!r} must be a number of seconds above 0.")
        if self.workers is not None and (not isinstance(self.workers, int) or self.workers < 1):
            raise ConfigError(f"workers={self.workers!r} must be a whole number, 1 or more.")
        for name in self.job_options or {}:
            if name in _OWN_FIELDS:
                raise ConfigError(
                    f"job_options= sets {name!r}, which push sets itself: use {_OWN_FIELDS[name]}."
                )

    def _check_kinds(self) -> None:
        """Refuse what is of the wrong kind, before it fails somewhere inside."""
        names = "a column's name or a list of names"
        for name, kinds, form in (
            ("keys", (str, list, tuple, set, frozenset, Sequence, NoneType), names),
            ("columns", (Mapping, NoneType), "a mapping of column names to types or lengths"),
            ("rename", (str, Mapping, NoneType), 'a mapping of names, "snake" or "upper_snake"'),
            ("verify", (str, list, tuple, NoneType), '"schema", "rows", "none" or a list of them'),
            ("timeout", (int, float, NoneType), "a number of seconds"),
            ("job_options", (Mapping, NoneType), "a mapping of field names to values"),
            ("staging", (str, os.PathLike, NoneType), "an fsspec URL or a path"),
            ("deduplicate_by", (str, NoneType), "a column's name"),
            ("connection", (str, NoneType), "an id or a name"),
        ):
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ConfigError(f"{name}={value!r} must be {form}.")
        if not all(isinstance(key, str) for key in self.keys or ()):
            raise ConfigError(f"keys={self.keys!r} must be {names}.")
        if isinstance(self.staging, os.PathLike):
            self._set("staging", os.fspath(self.staging))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def uploads(self, *, ordered: bool) -> int:
        """Uploads at a time.

        Args:
            ordered: Whether the order matters: chunks are applied as they arrive, and of rows with
                the same key the last one wins. Then it is one, unless `workers` says otherwise.
        """
        if self.workers is not None:
            return self.workers
        return 1 if ordered else DEFAULT_WORKERS

    @property
    def ordered(self) -> bool:
        """Whether the order of rows is kept, as long as their keys are not known to be unique."""
        return bool(self.keys) and self.workers in (None, 1)

    @property
    def verified(self) -> tuple[str, ...]:
        """What `verify` asks for."""
        return tuple(self.verify or ())

    @property
    def chunk_size(self) -> int | None:
        """Wished size of a chunk, in bytes; None: what suits the frame."""
        assert not isinstance(self.chunk_bytes, str)  # noqa: S101  # see __post_init__
        return self.chunk_bytes

    @property
    def room(self) -> int:
        """Bytes of chunks that may be in memory at a time: one for each upload, and one more."""
        workers = self.workers or DEFAULT_WORKERS
        return (self.chunk_size or DEFAULT_CHUNK_BYTES) * (workers + 1)


def parse_bytes(size: int | str | None) -> int | None:
    """A chunk size in bytes, from a number or a text such as ``"256 MB"``; None stays None.

    Raises:
        ConfigError: Not a size, not between 1 byte and 1 GB, or a small number without a unit.
    """
    if size is None:
        return None
    number: float = -1
    unit = ""
    if isinstance(size, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]?i?B?)\s*", size, re.IGNORECASE)
        if match and match[2].upper() in _UNITS:
            unit = match[2].upper()
            number = float(match[1]) * _UNITS[unit]
    elif isinstance(size, int) and not isinstance(size, bool):
        number = size
    if not 1 <= number <= MAX_CHUNK_BYTES:
        raise ConfigError(
            f"chunk_bytes={size!r} must be a number of bytes or a text such as '256 MB', from 1 "
            f"to {MAX_CHUNK_BYTES:,} (1 GB, the API's limit)."
        )
    if not unit and number < LEAST_NUMBER:
        raise ConfigError(
            f"chunk_bytes={size!r} says {number:,.0f} bytes for a chunk, which is hardly meant: "
            f"write '{number:g} MB' for megabytes, or '{number:g} B' if it is bytes."
        )
    return int(number)


def _word(name: str, value: object, allowed: tuple[str, ...]) -> str:
    for word in allowed:
        if isinstance(value, str) and value.casefold() == word.casefold():
            return word
    raise ConfigError(f"{name}={value!r} is unknown: use {' or '.join(map(repr, allowed))}.")
