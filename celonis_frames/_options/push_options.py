"""The options of a push, parsed to their final types before anything else happens.

Each option is one field: its default, how a value is parsed, and how the command line takes it. The
signatures of `Celonis` name them for users; `PushOptions.from_call` picks them from there.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from celonis_frames._encoding.chunk_sizer import DEFAULT_CHUNK_BYTES, MAX_AUTO_BYTES
from celonis_frames._encoding.codecs import DEFAULT_CODEC
from celonis_frames._filesystem.masking import RevealedSecret
from celonis_frames._formatting import shown
from celonis_frames._options.fields import flag, instance, one_of, option, parsed
from celonis_frames._options.upload import Compression, Upload
from celonis_frames._reporting.event_thread import OnEvent
from celonis_frames._schema.conversion_options import (
    Binary,
    ConversionOptions,
    Infinity,
    Nested,
    OnBad,
)
from celonis_frames._schema.json_objects import object_encoder
from celonis_frames._schema.names import Rename, parse_rename
from celonis_frames._schema.overrides import Column, parse_columns
from celonis_frames._secrets import Secret
from celonis_frames._sources.source import ReadOptions
from celonis_frames.exceptions import ConfigError, KeyColumnError

Mode = Literal["DELTA", "REPLACE", "CREATE", "delta", "replace", "create"]
SchemaMode = Literal["align", "evolve", "freeze"]
MissingColumns = Literal["error", "null"]
Via = Literal["push", "ingestion"]
Times = Literal["utc", "local"]
Verify = Literal["schema", "rows", "none"]

DEFAULT_WORKERS = 4
"""Parallel uploads if the order of chunks does not matter: bandwidth is often limited for each
connection, and four saturate most lines."""

MAX_PUSH_ID = 1_000
"""Characters of a push's id: it is in messages and in the receipt."""

_OTHER_MODES = dict.fromkeys(
    ("append", "insert", "merge", "update", "upsert"),
    "mode='DELTA' appends, and upserts if keys= names the key columns",
) | dict.fromkeys(
    ("overwrite", "truncate", "write"), "mode='REPLACE' drops the table and creates it again"
)
"""What other libraries call the modes."""


def _mode(name: str, value: Any) -> str:
    meaning = _OTHER_MODES.get(value.casefold()) if isinstance(value, str) else None
    if meaning is not None:
        raise ConfigError(f"{name}={shown(value)} is unknown: {meaning}.")
    return one_of("DELTA", "REPLACE", "CREATE")(name, value)  # type: ignore[no-any-return]


def _columns(name: str, value: Any) -> Mapping[str, Column]:
    instance("a mapping of column names to types or lengths", Mapping)(name, value)
    return parse_columns(name, value)


def _rename(name: str, value: Any) -> Rename | None:
    instance('a mapping of names, "snake" or "upper_snake"', str, Mapping)(name, value)
    return parse_rename(name, value)


def optional_flag(name: str, value: Any) -> bool | None:
    """True, False or None.

    Raises:
        ConfigError: It is something else.
    """
    return None if value is None else flag(name, value)


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
    instance("a column's name", str)(name, value)
    return None if value is None else value.strip()  # as the table has it


def _verify(name: str, value: Any) -> tuple[Verify, ...]:
    given = (value,) if isinstance(value, str) else () if value is None else value
    if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
        raise ConfigError(
            f'{name}={shown(value)} must be "schema", "rows", "none" or a list of them.'
        )
    word = one_of("schema", "rows", "none")
    return tuple(word(name, one) for one in given)


def _reload(name: str, value: Any) -> str | tuple[str, ...] | None:
    """A data model, or several; which of both was given is kept, since the status returns the same."""
    models = (value,) if isinstance(value, str) else value
    if models is None:
        return None
    if (
        not isinstance(models, list | tuple)
        or not models
        or not all(isinstance(model, str) and model.strip() for model in models)
    ):
        raise ConfigError(
            f"{name}={shown(value)} must be the name or id of a data model, or a list of them."
        )
    return value.strip() if isinstance(value, str) else tuple(model.strip() for model in models)


def parse_timeout(name: str, value: Any) -> float | None:
    """A number of seconds above 0; None stays None.

    Raises:
        ConfigError: It is something else.
    """
    instance("a number of seconds", int, float)(name, value)
    if value is not None and not value > 0:
        raise ConfigError(f"{name}={shown(value)} must be a number of seconds above 0.")
    return value  # type: ignore[no-any-return]  # checked


def parse_staging(name: str, value: Any) -> str | None:
    """The URL or path of a stage as a string; None stays None.

    Raises:
        ConfigError: It is neither.
    """
    instance("an fsspec URL or a path", str, os.PathLike)(name, value)
    return None if value is None else os.fspath(value)


def _push_id(name: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and 0 < len(value) <= MAX_PUSH_ID):
        return value
    raise ConfigError(f"{name}={shown(value)} must be a string of 1 to {MAX_PUSH_ID:,} characters.")


def parse_on_event(name: str, value: Any) -> Any:
    """A function to call with each record; None stays None.

    Raises:
        ConfigError: It cannot be called, or only with ``await``.
    """
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise ConfigError(
            f"{name}={shown(value)} must be a function that takes a record, or events.JsonLines(…)."
        )
    return value


def parse_storage_options(name: str, value: Any) -> Mapping[str, Any] | None:
    """Options of fsspec, each `Secret` revealed; None stays None.

    Raises:
        ConfigError: It is no mapping of names.
    """
    form = f'{name}= must be a mapping of fsspec\'s options, such as {{"key": …, "secret": …}}.'
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(form)  # without the value, which may be a secret
    return {key: _revealed(inner) for key, inner in value.items()}


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return RevealedSecret(value.reveal())
    if isinstance(value, Mapping):
        return {key: _revealed(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_revealed, value))
    return value


def _upload(_: str, value: Any) -> Upload:
    return value if isinstance(value, Upload) else Upload().changed(value)


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """The options of a push in their final types; see `celonis_frames.push` for their meaning.

    Raises:
        ConfigError: Two options contradict each other.
        KeyColumnError: An option that works on keys, but no keys.
    """

    # The table.
    mode: Literal["DELTA", "REPLACE", "CREATE"] = option(
        "DELTA", _mode, "DELTA (default), REPLACE, or CREATE"
    )
    keys: tuple[str, ...] = option((), _keys, "key columns, separated by commas")
    connection: str | None = option(
        None, instance("an id or a name", str), "data connection: id or name"
    )
    columns: Mapping[str, Column] | None = option(
        None, _columns,
        "NAME=TYPE, NAME=LENGTH of a string column, or NAME=DATETIME:FORMAT for text such as "
        "31.12.2024 (DATETIME:%%d.%%m.%%Y; DATE: and TIME: likewise); may be repeated",
        action="append", metavar="NAME=TYPE", flag="--column",
    )  # fmt: skip
    rename: Rename | None = option(
        None, _rename,
        "rename a column (may be repeated), or all: snake or upper_snake",
        action="append", metavar="OLD=NEW",
    )  # fmt: skip
    index: bool | None = option(None, optional_flag)
    schema_mode: SchemaMode | None = option(
        None, one_of("align", "evolve", "freeze"),
        "how types follow the table that is there: align (default for DELTA), evolve (default for "
        "REPLACE) or freeze",
    )  # fmt: skip
    missing_columns: MissingColumns | None = option(
        None, one_of("error", "null"),
        "an upsert that lacks columns of the table: error (default), or null, which sets them to NULL",
    )  # fmt: skip
    deduplicate_by: str | None = option(
        None, _column,
        "of rows with the same key keep the one with the highest value here", metavar="NAME",
    )  # fmt: skip
    order_by: str | None = option(
        None, _column,
        "the age column of the connection (--via ingestion only): a row applies only if its value is "
        "not less than that of the row that is there", metavar="NAME",
    )  # fmt: skip
    verify: tuple[Verify, ...] = option(
        (), _verify,
        "schema: compare more with the table before the push; rows: count its rows after it (no "
        "call of a Celonis team is known for that); none: compare nothing; may be repeated",
        action="append", choices=("schema", "rows", "none"),
    )  # fmt: skip
    reload: str | tuple[str, ...] | None = option(
        None, _reload,
        "load this data model after the push; may be repeated", action="append", metavar="MODEL",
    )  # fmt: skip
    # The values.
    nested: Nested = option(
        "error", one_of("error", "json"), "lists and structs: error (default) or json"
    )
    binary: Binary = option(
        "error", one_of("error", "hex", "base64"), "bytes: error (default), hex or base64"
    )
    infinity: Infinity | None = option(
        None, one_of("error", "null"), "infinite numbers: error or null (default: as --on-bad)"
    )
    times: Times = option(
        "utc", one_of("utc", "local"),
        "times with a zone: utc (default), or local, the time of the zone",
    )  # fmt: skip
    on_bad: OnBad = option(
        "error", one_of("error", "null", "drop"),
        "values that Celonis cannot hold: error (default), null, or drop, which leaves out their rows",
    )  # fmt: skip
    # The way.
    via: Via | None = option(
        None, one_of("push", "ingestion"),
        "push: a job of the Data Push API; ingestion: objects for the Data Ingestion API (default: what "
        "the connection is set up for)",
    )  # fmt: skip
    staging: str | None = field(
        default=None,
        repr=False,
        metadata={
            "parse": parse_staging,
            "cli": {"help": "fsspec URL to write the chunks to first"},
        },
    )
    storage_options: Mapping[str, Any] | None = field(
        default=None,
        repr=False,
        metadata={
            "parse": parse_storage_options,
            "cli": {
                "help": "an option of fsspec for URLs; a secret as NAME=env:VARIABLE; may be "
                "repeated",
                "action": "append",
                "metavar": "NAME=VALUE",
                "flag": "--storage-option",
            },
        },
    )
    push_id: str | None = option(
        None, _push_id,
        "an id of this push, with the run's date: what was pushed under it is not sent again "
        "(needs --staging)", metavar="ID",
    )  # fmt: skip
    wait: bool = option(
        True, flag, "return once the job is submitted", action="store_true", flag="--no-wait"
    )
    timeout: float | None = option(
        None, parse_timeout, "seconds for the whole push", type=float, metavar="SECONDS"
    )
    progress: bool | None = option(None, optional_flag)
    on_event: OnEvent | None = field(
        default=None, repr=False, metadata={"parse": parse_on_event, "cli": None}
    )
    upload: Upload = field(default_factory=Upload, metadata={"parse": _upload, "cli": None})

    def __post_init__(self) -> None:
        if "upsertStrategy" in self.upload.job_options and (self.replaces or not self.keys):
            raise KeyColumnError(
                "upsertStrategy in job_options= needs mode='DELTA' and keys=: it is about rows whose "
                "key is in the table already.",
                parameter="keys",
            )
        if self.push_id is not None and self.staging is None:
            raise ConfigError(
                "push_id= needs staging=: what was sent under the id is recorded there, for every "
                "process that gives the same staging=."
            )
        self._check_table_options()
        if self.reload is not None:
            self._check_reload()
        if self.by_objects:
            self._check_ingestion()
        elif self.order_by is not None:
            raise ConfigError(
                'order_by= is the age column of the Data Ingestion API (via="ingestion"). A job of '
                "the Data Push API applies its rows as they are: leave it out, or see deduplicate_by=."
            )
        if self.order_by is not None and not self.keys:
            raise KeyColumnError(
                "order_by= decides between rows with the same key: give keys= as well, those of the "
                "table in its data connection.",
                parameter="keys",
            )
        if self.deduplicate_by is not None and not self.keys:
            raise KeyColumnError(
                "deduplicate_by= chooses among rows with the same key: give keys= as well.",
                parameter="keys",
            )

    def _check_table_options(self) -> None:
        """Check what concerns the table that is there."""
        if self.schema_mode == "evolve" and not self.replaces:
            raise ConfigError(
                'schema_mode="evolve" lets the table follow the frame, which only REPLACE can do: leave '
                'it out, or push with mode="REPLACE".'
            )
        if self.mode == "CREATE" and self.schema_mode in ("align", "freeze"):
            raise ConfigError(
                f'schema_mode="{self.schema_mode}" follows a table that is there, and mode="CREATE" '
                "makes a new one: leave one of them out."
            )
        if self.missing_columns is not None and self.replaces:
            raise ConfigError(
                f'missing_columns= is for a DELTA: with mode="{self.mode}" the table gets the columns '
                "of the frame."
            )
        if "none" in self.verify:
            for name, value in (
                ("mode", self.mode if self.mode == "CREATE" else None),
                ("schema_mode", self.schema_mode),
                ("missing_columns", self.missing_columns),
            ):
                if value is not None and value != "null":
                    raise ConfigError(
                        f'{name}="{value}" compares the frame with the table, and verify="none" '
                        "forbids that: leave one of them out."
                    )

    def _check_reload(self) -> None:
        """Check that the rows are in the table when the data model is to be loaded."""
        if self.by_objects:
            raise ConfigError(
                'reload= is impossible with via="ingestion": the rows are in the table some time '
                "later. Call celonis.reload(pool, model) then."
            )
        if not self.wait:
            raise ConfigError(
                "reload= needs wait=True: the rows are in the table when the job is done. Wait for "
                "it with status.wait(), then call celonis.reload(pool, model)."
            )

    def _check_ingestion(self) -> None:
        """Check that the Data Ingestion API can do what is asked for."""
        upload = self.upload
        impossible = (
            (self.replaces, f'mode="{self.mode}"', "upserts and appends only"),
            (
                self.deduplicate_by is not None,
                "deduplicate_by=",
                "keeps the row with the highest age",
            ),
            (bool(upload.job_options), "job_options=", "has no jobs"),
            (upload.file_type == "CSV", 'file_type="CSV"', "takes Parquet files only"),
            (
                upload.compression not in (None, "none"),
                f"compression={upload.compression!r}",
                "takes uncompressed files only",
            ),
        )
        for is_asked, what, why in impossible:
            if is_asked:
                raise ConfigError(
                    f'{what} is impossible with via="ingestion": the Data Ingestion API {why}. Leave '
                    'it out, or push with via="push", which needs an API key.'
                )

    @property
    def by_objects(self) -> bool:
        """Whether the rows go as objects to the Data Ingestion API, not as a job."""
        return self.via == "ingestion"

    @property
    def models(self) -> tuple[str, ...]:
        """The data models to load after the push."""
        given = self.reload
        return () if given is None else (given,) if isinstance(given, str) else given

    @property
    def replaces(self) -> bool:
        """Whether the job makes the table anew."""
        return self.mode != "DELTA"

    @property
    def schema(self) -> SchemaMode:
        """How types follow those of the table that is there."""
        return self.schema_mode or ("evolve" if self.replaces else "align")

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
        named, given = {**call, **more}, {}
        changes = named.pop("upload", None)
        if changes is not None:
            upload = upload.changed(changes)
        for one in fields(cls):
            # A default needs no parsing; it is None for a user where it is () here.
            default = None if one.default == () else one.default
            value = named.get(one.name, default)
            if value is not default:
                given[one.name] = value
        return cls(**parsed(cls, given), upload=upload)

    @classmethod
    def parse(cls, **given: Any) -> Self:
        """The options given, in their final types.

        Raises:
            ConfigError, KeyColumnError: A value is not one of those allowed.
        """
        return cls(**parsed(cls, given))

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
        conversion = self.conversion
        return ReadOptions(
            index=self.index,
            wide=conversion.takes_wide_integers,
            local=self.times == "local",
            surrogates=self.on_bad != "error",
            storage_options=self.storage_options,
            encode=object_encoder(conversion) if self.nested == "json" else None,
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
    def codec(self) -> Compression:
        """Codec of the chunks: the one given or known to be taken, else the one that is certain."""
        if self.by_objects:
            return "none"  # the gateway takes no others
        return self.upload.compression or DEFAULT_CODEC

    @property
    def ordered(self) -> bool:
        """Whether the order of rows is kept, as long as their keys are not known to be unique."""
        return (bool(self.keys) or self.by_objects) and self.upload.workers in (None, 1)

    @property
    def memory(self) -> int:
        """Bytes of chunks that may be in memory at a time: one for each upload, and one more."""
        workers = self.upload.workers or DEFAULT_WORKERS
        return (self.upload.chunk_bytes or DEFAULT_CHUNK_BYTES) * (workers + 1)

    @property
    def spool_memory(self) -> int:
        """The share of `memory` for chunks that are kept; the others are on disk.

        Most are read again only if there is another job, so it is small, but at least one chunk.
        """
        return max(self.memory // 10, self.upload.chunk_bytes or MAX_AUTO_BYTES)

    @property
    def encoding_memory(self) -> int:
        """The share of `memory` for chunks that are being written."""
        return self.memory // 2
