"""How chunks are made and sent: the options of `upload=`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict

from celonis_frames._encoding.chunk_sizer import MAX_CHUNK_BYTES
from celonis_frames._encoding.codecs import CODECS
from celonis_frames._formatting import did_you_mean, parse_bytes, shown
from celonis_frames._options.fields import instance, one_of, option, parsed
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.exceptions import ConfigError

FileType = Literal["PARQUET", "CSV", "parquet", "csv"]
Compression = Literal["snappy", "none", "zstd", "gzip", "lz4"]
Repeat = Literal["never", "allowed"]

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


class _Bytes(int):
    """A parsed size: parsing it again changes nothing, and it needs no unit."""

    __slots__ = ()


def _compression(name: str, value: Any) -> str | None:
    return None if value is None else one_of(*CODECS)(name, value)


def _workers(name: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ConfigError(f"{name}={shown(value)} must be a whole number, 1 or more.")
    return value


def _job_options(name: str, value: Any) -> Mapping[str, Any]:
    instance("a mapping of field names to values", Mapping)(name, value)
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
        options["upsertStrategy"] = one_of(*UPSERT_STRATEGIES)("upsertStrategy", strategy)
    return options


def parse_chunk_bytes(name: str, size: Any) -> int | None:
    """A chunk size in bytes; None stays None.

    Raises:
        ConfigError: As `parse_bytes`.
    """
    if size is None or isinstance(size, _Bytes):
        return size
    return _Bytes(parse_bytes(name, size, maximum=MAX_CHUNK_BYTES))


class UploadSettings(TypedDict, total=False):
    """An `Upload` as a plain dict; what it does not name stays as the connection has it."""

    file_type: FileType
    compression: Compression | None
    chunk_bytes: int | str | None
    workers: int | None
    repeat: Repeat
    job_options: Mapping[str, Any] | None


@short_tracebacks
@dataclass(frozen=True, init=False)
class Upload:
    """How chunks are made and sent: ``push(…, upload=Upload(…))`` or ``connect(…, upload=…)``.

    An `Upload` sets all of these. A plain dict of some of these names changes only those and keeps
    the connection's default for the others.

    Attributes:
        file_type: ``"PARQUET"`` or ``"CSV"``.
        compression: Parquet codec. None is what the pool is known to take: ``"snappy"``, which all
            take, unless a file of this user says that ``"zstd"`` is read there.
        chunk_bytes: Size of a finished chunk in bytes; None chooses by frame size, 8 to 24 MB (the
            first chunks are smaller, so that uploading starts early).
        workers: Parallel uploads. The default is 4; with `keys` it is 1 unless every key is known
            to be unique, because of rows with the same key the last one uploaded wins.
        repeat: With ``via="ingestion"``, whether an object is stored again if the response was
            lost: ``"never"``, or ``"allowed"``, by which rows without keys may arrive twice.
        job_options: Further fields of the job by their API names, such as ``upsertStrategy``.
    """

    file_type: Literal["PARQUET", "CSV"] = option(
        "PARQUET", one_of("PARQUET", "CSV"), "PARQUET (default) or CSV"
    )
    compression: Compression | None = option(
        None, _compression, "codec of Parquet chunks (default: what the pool is known to take)"
    )
    chunk_bytes: int | None = option(None, parse_chunk_bytes, 'size of a chunk, such as "256 MB"')
    workers: int | None = option(
        None, _workers, "parallel uploads (default: 4; with keys that may repeat 1)", type=int
    )
    repeat: Repeat = option(
        "never", one_of("never", "allowed"),
        "whether --via ingestion stores an object again if the response was lost: never (default) "
        "or allowed",
    )  # fmt: skip
    job_options: Mapping[str, Any] = option(
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
        repeat: Repeat = "never",
        job_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Parses the values.

        Args:
            file_type: ``"PARQUET"`` or ``"CSV"``; case does not matter.
            compression: Parquet codec: ``"snappy"``, ``"none"``, ``"zstd"``, ``"gzip"`` or
                ``"lz4"``. None is what the pool is known to take.
            chunk_bytes: In bytes or as ``"256 MB"``, at most 1 GB; less than 10,000 bytes only with
                a unit (``"5 KB"``).
            workers: Parallel uploads, 1 or more.
            repeat: ``"never"`` or ``"allowed"``.
            job_options: API name → value; not the fields that `push` sets itself.

        Raises:
            ConfigError: A value is not one of those allowed.
        """
        given = {
            "file_type": file_type,
            "compression": compression,
            "chunk_bytes": chunk_bytes,
            "workers": workers,
            "repeat": repeat,
            "job_options": job_options,
        }
        for name, value in parsed(Upload, given).items():
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
