"""The options of a push, parsed to their final types before anything else happens.

Each option is one field: its default, how a value is parsed, and how the command line takes it. The
signatures of `Celonis` name them for users; `PushOptions.from_call` picks them from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, TypedDict

from celonis_frames._encoding.chunk_sizer import DEFAULT_CHUNK_BYTES, MAX_CHUNK_BYTES
from celonis_frames._encoding.codecs import CODECS, DEFAULT_CODEC
from celonis_frames._formatting import did_you_mean, parse_bytes, shown
from celonis_frames._schema.conversion_options import (
    Binary,
    ConversionOptions,
    Infinity,
    Nested,
)
from celonis_frames._schema.json_objects import object_encoder
from celonis_frames._schema.names import Rename, parse_rename, stored_name
from celonis_frames._schema.overrides import Column, parse_columns
from celonis_frames._sources.source import ReadOptions
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.exceptions import ConfigError, KeyColumnError

Mode = Literal["DELTA", "REPLACE", "delta", "replace"]
FileType = Literal["PARQUET", "CSV", "parquet", "csv"]
Compression = Literal["snappy", "none", "zstd", "gzip", "lz4"]
Times = Literal["utc", "local"]
Verify = Literal["schema", "rows", "none"]

DEFAULT_WORKERS = 4
"""Parallel uploads if the order of chunks does not matter: bandwidth is often limited for each
connection, and four saturate most lines."""

UPSERT_STRATEGIES = ("UPSERT_WITH_UNCHANGED_METADATA", "UPSERT_WITH_NULLIFICATION")

_SET_BY_PUSH = {
    "targetName": "table",
    "type": "mode= of push",
    "fileType": "file_type= of Upload",
    "dataPoolId": "pool",
    "connectionId": "connection=",
    "keys": "keys=",
    "tableSchema": "columns=",
    "csvParsingOptions": "file_type= of Upload",
    "duplicateRemovalColumn": "deduplicate_by= of push",
}
"""Fields of a job that are not for `job_options`, and what sets them."""

_OTHER_MODES = dict.fromkeys(
    ("append", "insert", "merge", "update", "upsert"),
    "mode='DELTA' appends, and upserts if keys= names the key columns",
) | dict.fromkeys(
    ("overwrite", "truncate", "write"), "mode='REPLACE' drops the table and creates it again"
)
"""What other libraries call the modes."""

_Parse = Callable[[str, Any], Any]


def _option(default: Any, parse: _Parse, help: str | None = None, **argument: Any) -> Any:  # noqa: A002
    """A field with its parser and its command-line argument; without `help` it has none.

    Args:
        default: The value if none is given.
        parse: Returns the final value for the option's name and the value given.
        help: Help of the command-line argument.
        argument: More of what `ArgumentParser.add_argument` takes.
    """
    cli = None if help is None else {"help": help, **argument}
    return field(default=default, metadata={"parse": parse, "cli": cli})


def _one_of(*allowed: str) -> _Parse:
    """A parser for one of some words, in any case."""

    def parse(name: str, value: Any) -> str:
        for word in allowed:
            if isinstance(value, str) and value.casefold() == word.casefold():
                return word
        raise ConfigError(
            f"{name}={shown(value)} is unknown: use {' or '.join(map(repr, allowed))}."
        )

    return parse


def _mode(name: str, value: Any) -> str:
    meaning = _OTHER_MODES.get(value.casefold()) if isinstance(value, str) else None
    if meaning is not None:
        raise ConfigError(f"{name}={shown(value)} is unknown: {meaning}.")
    return _one_of("DELTA", "REPLACE")(name, value)  # type: ignore[no-any-return]


def _instance(form: str, *kinds: type) -> _Parse:
    """A parser for values of some types, or None."""

    def parse(name: str, value: Any) -> Any:
        if value is not None and (not isinstance(value, kinds) or isinstance(value, bool)):
            raise ConfigError(f"{name}={shown(value)} must be {form}.")
        return value

    return parse


def _columns(name: str, value: Any) -> Mapping[str, Column]:
    _instance("a mapping of column names to types or lengths", Mapping)(name, value)
    return parse_columns(name, value)


def _rename(name: str, value: Any) -> Rename | None:
    _instance('a mapping of names, "snake" or "upper_snake"', str, Mapping)(name, value)
    return parse_rename(name, value)


def _as_given(_: str, value: Any) -> Any:
    return value


class _Bytes(int):
    """A parsed size: parsing it again changes nothing, and it needs no unit."""

    __slots__ = ()


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={shown(value)} must be True or False.")
    return value


def parse_progress(name: str, value: Any) -> bool | None:
    """True, False or None.

    Raises:
        ConfigError: It is something else.
    """
    return None if value is None else _flag(name, value)


def _keys(name: str, value: Any) -> tuple[str, ...]:
    keys = (value,) if isinstance(value, str) else () if value is None else value
    collection = isinstance(keys, Sequence | set | frozenset)
    if not collection or not all(isinstance(key, str) for key in keys):
        raise ConfigError(f"{name}={shown(value)} must be a column's name or a list of names.")
    if value is not None and not keys:
        raise ConfigError(
            f"{name}={shown(value)} names no column: leave it out to append without keys."
        )
    return tuple(keys)


def _column(name: str, value: Any) -> str | None:
    _instance("a column's name", str)(name, value)
    return stored_name(value)  # type: ignore[no-any-return]  # as the table has it


def _verify(name: str, value: Any) -> tuple[Verify, ...]:
    given = (value,) if isinstance(value, str) else () if value is None else value
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise ConfigError(
            f'{name}={shown(value)} must be "schema", "rows", "none" or a list of them.'
        )
    word = _one_of("schema", "rows", "none")
    return tuple(word(name, one) for one in given)


def _timeout(name: str, value: Any) -> float | None:
    _instance("a number of seconds", int, float)(name, value)
    if value is not None and not value > 0:
        raise ConfigError(f"{name}={shown(value)} must be a number of seconds above 0.")
    return value  # type: ignore[no-any-return]  # checked


def parse_staging(name: str, value: Any) -> str | None:
    """The URL or path of a stage as a string; None stays None.

    Raises:
        ConfigError: It is neither.
    """
    _instance("an fsspec URL or a path", str, os.PathLike)(name, value)
    return None if value is None else os.fspath(value)


def _workers(name: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"{name}={shown(value)} must be a whole number, 1 or more.")
    return value


def _job_options(name: str, value: Any) -> Mapping[str, Any]:
    _instance("a mapping of field names to values", Mapping)(name, value)
    options = dict(value or {})
    for key in options:
        if not isinstance(key, str):
            raise ConfigError(
                f"{name}: the field {shown(key)} must be a string, its name in the API."
            )
        if key in _SET_BY_PUSH:
            raise ConfigError(
                f"{name} sets {key!r}, which push sets itself: use {_SET_BY_PUSH[key]}."
            )
    strategy = options.get("upsertStrategy")
    if strategy is not None:
        options["upsertStrategy"] = _one_of(*UPSERT_STRATEGIES)("upsertStrategy", strategy)
    return options


def parse_chunk_bytes(name: str, size: Any) -> int | None:
    """A chunk size in bytes; None stays None.

    Raises:
        ConfigError: As `parse_bytes`.
    """
    if size is None or isinstance(size, _Bytes):
        return size
    return _Bytes(parse_bytes(name, size, maximum=MAX_CHUNK_BYTES))


def _parsed(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values given, each parsed as its field says."""
    parsers = {one.name: one.metadata["parse"] for one in fields(kind)}
    return {name: parsers[name](name, value) for name, value in given.items()}


class UploadSettings(TypedDict, total=False):
    """An `Upload` as a plain dict; what it does not name stays as the connection has it."""

    file_type: FileType
    compression: Compression | None
    chunk_bytes: int | str | None
    workers: int | None
    job_options: Mapping[str, Any] | None


@short_tracebacks
@dataclass(frozen=True, init=False)
class Upload:
    """How chunks are made and sent: ``push(…, upload=Upload(…))`` or ``connect(…, upload=…)``.

    An `Upload` sets all of these. A plain dict of some of these names changes only those and keeps
    the connection's default for the others.

    Attributes:
        file_type: ``"PARQUET"`` or ``"CSV"``.
        compression: Parquet codec. Only ``"snappy"``, the default, and ``"none"`` are known to be
            accepted by Celonis.
        chunk_bytes: Size of a finished chunk in bytes; None chooses by frame size, 8 to 32 MB (the
            first chunks are smaller, so that uploading starts early).
        workers: Parallel uploads. The default is 4; with `keys` it is 1 unless every key is known
            to be unique before the first upload, because of rows with the same key the last one
            uploaded wins.
        job_options: Further fields of the job by their API names, such as ``upsertStrategy``.
    """

    file_type: Literal["PARQUET", "CSV"] = _option(
        "PARQUET", _one_of("PARQUET", "CSV"), "PARQUET (default) or CSV"
    )
    compression: Compression = _option(
        DEFAULT_CODEC, _one_of(*CODECS), "codec of Parquet chunks (default: snappy)"
    )
    chunk_bytes: int | None = _option(None, parse_chunk_bytes, 'size of a chunk, such as "256 MB"')
    workers: int | None = _option(
        None, _workers, "parallel uploads (default: 4; with keys that may repeat 1)", type=int
    )
    job_options: Mapping[str, Any] = _option(
        None, _job_options, "a further field of the job, by its API name; may be repeated",
        action="append", metavar="NAME=VALUE", flag="--job-option",
    )  # fmt: skip

    def __init__(
        self,
        *,
        file_type: FileType = "PARQUET",
        compression: Compression | None = None,
        chunk_bytes: int | str | None = None,
        workers: int | None = None,
        job_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Parses the values.

        Args:
            file_type: ``"PARQUET"`` or ``"CSV"``; case does not matter.
            compression: Parquet codec; None is the default, ``"snappy"``.
            chunk_bytes: In bytes or as ``"256 MB"``, at most 1 GB; less than 10,000 bytes only with
                a unit (``"5 KB"``).
            workers: Parallel uploads, 1 or more.
            job_options: API name → value; not the fields that `push` sets itself.

        Raises:
            ConfigError: A value is not one of those allowed.
        """
        given = {
            "file_type": file_type,
            "compression": DEFAULT_CODEC if compression is None else compression,
            "chunk_bytes": chunk_bytes,
            "workers": workers,
            "job_options": job_options,
        }
        for name, value in _parsed(Upload, given).items():
            object.__setattr__(self, name, value)

    def changed(self, given: Upload | UploadSettings | None) -> Upload:
        """These settings with what is given instead: all of an `Upload`, some by a mapping.

        Raises:
            ConfigError: It is neither, or names something else.
        """
        if given is None:
            return self
        if isinstance(given, Upload):
            return given
        names = [one.name for one in fields(Upload)]
        if not isinstance(given, Mapping):
            raise ConfigError(
                f"upload={shown(given)} must be an Upload(…), or a dict with some of {names}."
            )
        unknown = next((name for name in given if name not in names), None)
        if unknown is not None:
            raise ConfigError(
                f"upload= has no {shown(unknown)}, only {', '.join(names)}."
                f"{did_you_mean(unknown, names)}"
            )
        settings: dict[str, Any] = {name: getattr(self, name) for name in names} | dict(given)
        return Upload(**settings)


def _upload(_: str, value: Any) -> Upload:
    return Upload().changed(value)


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """The options of a push in their final types; see `celonis_frames.push` for their meaning.

    Raises:
        ConfigError: Two options contradict each other.
        KeyColumnError: An option that works on keys, but no keys.
    """

    # The table.
    mode: Literal["DELTA", "REPLACE"] = _option("DELTA", _mode, "DELTA (default) or REPLACE")
    keys: tuple[str, ...] = _option((), _keys, "key columns, separated by commas")
    connection: str | None = _option(
        None, _instance("an id or a name", str), "data connection: id or name"
    )
    columns: Mapping[str, Column] | None = _option(
        None, _columns,
        "type of a column, or length of a string column; may be repeated",
        action="append", metavar="NAME=TYPE", flag="--column",
    )  # fmt: skip
    rename: Rename | None = _option(
        None, _rename,
        "rename all columns", choices=("snake", "upper_snake"),
    )  # fmt: skip
    index: bool | None = _option(None, parse_progress)
    deduplicate_by: str | None = _option(
        None, _column,
        "of rows with the same key keep the one with the highest value here", metavar="NAME",
    )  # fmt: skip
    verify: tuple[Verify, ...] = _option(
        (), _verify, "compare with the table before, or count it after; may be repeated",
        action="append", choices=("schema", "rows", "none"),
    )  # fmt: skip
    # The values.
    nested: Nested = _option(
        "error", _one_of("error", "json"), "lists and structs: error (default) or json"
    )
    binary: Binary = _option(
        "error", _one_of("error", "hex", "base64"), "bytes: error (default), hex or base64"
    )
    infinity: Infinity = _option(
        "error", _one_of("error", "null"), "infinite numbers: error (default) or null"
    )
    times: Times = _option(
        "utc", _one_of("utc", "local"),
        "times with a zone: as UTC (default), or the local time of the zone",
    )  # fmt: skip
    # The way.
    staging: str | None = field(
        default=None,
        repr=False,
        metadata={
            "parse": parse_staging,
            "cli": {"help": "fsspec URL to write the chunks to first"},
        },
    )
    wait: bool = _option(
        True, _flag, "return once the job is submitted", action="store_true", flag="--no-wait"
    )
    timeout: float | None = _option(None, _timeout, "seconds for the whole push", type=float)
    progress: bool | None = _option(None, parse_progress)
    upload: Upload = field(default_factory=Upload, metadata={"parse": _upload, "cli": None})

    def __post_init__(self) -> None:
        if "upsertStrategy" in self.upload.job_options and (self.mode != "DELTA" or not self.keys):
            raise KeyColumnError(
                "upsertStrategy in job_options= needs mode='DELTA' and keys=: it is about rows whose "
                "key is in the table already."
            )
        if self.deduplicate_by is not None and not self.keys:
            raise KeyColumnError(
                "deduplicate_by= chooses among rows with the same key: give keys= as well."
            )

    @classmethod
    def from_call(cls, call: Mapping[str, Any], upload: Upload, **more: Any) -> Self:
        """The options named in a call.

        Args:
            call: Names and values, those of other parameters among them: the ``locals()`` of a
                method whose parameters these are.
            upload: The connection's default.
            more: Options that the call does not have, or has in another form.

        Raises:
            ConfigError, KeyColumnError: A value is not one of those allowed.
        """
        given = {one.name: call[one.name] for one in fields(cls) if one.name in call} | more
        return cls.parse(**given | {"upload": upload.changed(given.get("upload"))})

    @classmethod
    def parse(cls, **given: Any) -> Self:
        """The options given, in their final types.

        Raises:
            ConfigError, KeyColumnError: A value is not one of those allowed.
        """
        return cls(**_parsed(cls, given))

    @property
    def conversion(self) -> ConversionOptions:
        """What concerns the conversion of the values."""
        return ConversionOptions(
            columns=self.columns or {},
            rename=self.rename,
            nested=self.nested,
            binary=self.binary,
            infinity=self.infinity,
            csv=self.upload.file_type == "CSV",
        )

    @property
    def reading(self) -> ReadOptions:
        """What concerns the reading of the frame."""
        return ReadOptions(
            index=self.index,
            wide=self.conversion.takes_wide_integers,
            local=self.times == "local",
            encode=object_encoder(self.conversion) if self.conversion.nested == "json" else None,
        )

    def uploads(self, *, ordered: bool) -> int:
        """Parallel uploads.

        Args:
            ordered: Whether the order matters: chunks are applied as they arrive, and of rows with
                the same key the last one wins. Then it is 1, unless `workers` says otherwise.
        """
        if self.upload.workers is not None:
            return self.upload.workers
        return 1 if ordered else DEFAULT_WORKERS

    @property
    def ordered(self) -> bool:
        """Whether the order of rows is kept, as long as their keys are not known to be unique."""
        return bool(self.keys) and self.upload.workers in (None, 1)

    @property
    def memory(self) -> int:
        """Bytes of chunks that may be in memory at a time: one for each upload, and one more."""
        workers = self.upload.workers or DEFAULT_WORKERS
        return (self.upload.chunk_bytes or DEFAULT_CHUNK_BYTES) * (workers + 1)
