"""The options of Spark's data source ``celonis``, parsed to those of a push.

Spark hands over strings, by names in any case. They show in plans, UIs and logs: so no option is a
secret, and one that looks like a secret is rejected without its value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from celonis_frames._filesystem.masking import mask_url, split_secrets
from celonis_frames._formatting import did_you_mean, listed, shown
from celonis_frames._options.push_options import PushOptions
from celonis_frames._options.upload import Upload
from celonis_frames._schema.overrides import Column
from celonis_frames.exceptions import ConfigError

_SECRET = re.compile(r"token|key|secret|passw|pwd|auth|credential", re.IGNORECASE)
HOW_TO_AUTHENTICATE = (
    "Set the key in the environment of the driver (CELONIS_URL, CELONIS_API_TOKEN and the others), "
    'or in a file that only its owner may read: option("credentials", "file:/path").'
)

_SHOWN = (
    "would show in Spark's plans, UI and logs: leave them out. Configure fsspec, or set the "
    "environment variables of the storage's library, on the driver and on the workers."
)


@dataclass(frozen=True)
class WriteOptions:
    """What a write is to do.

    Attributes:
        pool: Data Pool: id, name or URL.
        table: Name of the table.
        call: The other parameters of a push, parsed and checked, as a call of it has them.
        credentials: Path of the file with the variables of the environment; None: the environment
            itself.
        status: fsspec URL of the file for the status, if any.
    """

    pool: str
    table: str
    call: Mapping[str, Any]
    credentials: str | None
    status: str | None

    @property
    def options(self) -> PushOptions:
        """The options of the push, without the defaults of its connection."""
        return PushOptions.from_call(self.call, Upload())


def parse_write_options(
    given: Mapping[str, str], *, mode: str, ignored: tuple[str, ...] = ()
) -> WriteOptions:
    """The options of a write.

    Args:
        given: Names and values as the user has written them.
        mode: ``"DELTA"`` or ``"REPLACE"``: Spark's own mode.
        ignored: Names of Spark's own options, which come along.

    Raises:
        ConfigError: An option is unknown, missing, or makes no sense. No value of an option that
            looks like a secret is in the message.
        KeyColumnError: As `PushOptions`.
    """
    values = _by_name(given, {_plain(name) for name in ignored})
    for name in ("pool", "table", "staging"):
        if not values.get(name, "").strip():
            raise ConfigError(f"{_written(name)} is missing. {_REQUIRED[name]}")
    parsed = {name: _PARSERS[name](_written(name), value) for name, value in values.items()}
    upload = {name: parsed.pop(name) for name in _UPLOAD if name in parsed}
    strategy = parsed.pop("upsert_strategy", None)
    if strategy is not None:
        upload["job_options"] = {**upload.get("job_options", {}), "upsertStrategy": strategy}
    pool, table = parsed.pop("pool"), parsed.pop("table")
    credentials, status = parsed.pop("credentials", None), parsed.pop("status", None)
    call = {**parsed, "mode": mode, "progress": False, "upload": upload}
    write = WriteOptions(pool, table, call, credentials, status)
    write.options  # noqa: B018  # checks them
    return write


def _by_name(given: Mapping[str, str], ignored: set[str]) -> dict[str, str]:
    """The values by the names of `push`."""
    found: dict[str, str] = {}
    for written, value in given.items():
        name = _NAMES.get(_plain(written))
        if name is not None:
            found[name] = str(value)
        elif _plain(written) in ignored:
            continue
        elif _SECRET.search(written):
            raise ConfigError(
                f"option({written!r}) looks like a secret, and options show in Spark's plans, UI "
                f"and logs: its value was not used. {HOW_TO_AUTHENTICATE}"
            )
        else:
            names = sorted(_SPELLED.values(), key=str.casefold)
            raise ConfigError(
                f"option({written!r}) is unknown: use {', '.join(names)}."
                f"{did_you_mean(written, names)}"
            )
    return found


def _plain(name: str) -> str:
    """A name as Spark compares them: without case, and without underscores."""
    return name.replace("_", "").casefold()


def _written(name: str) -> str:
    return f"option({_SPELLED[name]!r})"


def _text(name: str, value: str) -> str:
    if not value.strip():
        raise ConfigError(f"{name} is empty: leave it out.")
    return value.strip()


def _as_is(name: str, value: str) -> str:  # noqa: ARG001  # all parsers have one signature
    return value


def _names(name: str, value: str) -> tuple[str, ...]:
    """Names with commas between them, or a JSON list of them."""
    text = _text(name, value)
    if text.startswith("["):
        found = _json(name, text, list, 'a list of names, such as ["A", "B, C"]')
        if all(isinstance(one, str) for one in found):
            return tuple(found)
    found = [one.strip() for one in text.split(",")]
    if text.startswith("[") or not all(found):
        raise ConfigError(
            f"{name}={shown(value)} must be names with commas between them, such as A,B, or a JSON "
            'list of them: ["A", "B, C"].'
        )
    return tuple(found)


def _mapping(form: str) -> Callable[[str, str], Any]:
    return lambda name, value: _json(name, value, dict, form)


def _json(name: str, value: str, kind: type, form: str) -> Any:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, kind):
        raise ConfigError(f"{name} must be JSON: {form}.")  # without the value, which may be long
    return found


def _columns(name: str, value: str) -> dict[str, Any]:
    form = '{"NAME": "STRING", "OTHER": 200, "THIRD": {"type": "STRING", "length": 80}}'
    found = _json(name, value, dict, form)
    columns = {}
    for column, override in found.items():
        if isinstance(override, dict):
            unknown = sorted(override.keys() - {"type", "length"})
            if unknown:
                raise ConfigError(
                    f"{name} for column {column!r} has {listed(unknown)}: it takes type and length."
                    + (
                        " Spark's workers get no secret key: make pseudonyms in Spark itself."
                        if "pseudonymise" in unknown
                        else ""
                    )
                )
            columns[column] = Column(**override)
        else:
            columns[column] = override
    return columns


def _rename(name: str, value: str) -> Any:
    text = _text(name, value)
    if not text.startswith("{"):
        return text  # "snake" or "upper_snake"
    return _json(name, text, dict, '{"OLD": "NEW"}')


def _whole(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ConfigError(f"{name}={shown(value)} must be a whole number.") from None


def _seconds(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"{name}={shown(value)} must be a number of seconds.") from None


def _flag(name: str, value: str) -> bool:
    found = {"true": True, "false": False}.get(value.strip().casefold())
    if found is None:
        raise ConfigError(f"{name}={shown(value)} must be true or false.")
    return found


def _size(name: str, value: str) -> int | str:
    text = _text(name, value)
    return int(text) if text.isdecimal() else text


def _url(name: str, value: str) -> str:
    """An fsspec URL without a secret in it."""
    text = _text(name, value)
    if mask_url(text) != text:
        raise ConfigError(f"{name} holds a user, a password or a query, which {_SHOWN}")
    return text


def _storage_options(name: str, value: str) -> dict[str, Any]:
    found: dict[str, Any] = _json(name, value, dict, 'such as {"endpoint_url": "https://…"}')
    hidden = split_secrets(found)[1]
    if hidden:
        raise ConfigError(f"{name} holds {', '.join(hidden)}, which may be secrets and {_SHOWN}")
    return found


def _credentials(name: str, value: str) -> str | None:
    """The path of a file; None for the environment."""
    text = value.strip()
    if text.casefold() == "env":
        return None
    path = text.removeprefix("file:")
    if path == text or not path.removeprefix("//").startswith("/"):
        # It is not repeated: it may be the key itself.
        raise ConfigError(
            f'{name} must be "env", the environment of the driver, or "file:/path" of a file with '
            "its variables, one NAME=VALUE a line, which only its owner may read."
        )
    return path.removeprefix("//")


_REQUIRED = {
    "pool": 'Name the Data Pool: option("pool", "Purchasing").',
    "table": 'Name the table: option("table", "EVENTS").',
    "staging": (
        "It is the fsspec URL of storage that the driver and all workers share, where the workers "
        'write the chunks: option("staging", "s3://bucket/celonis").'
    ),
}

_PARSERS: dict[str, Callable[[str, str], Any]] = {
    "pool": _text,
    "table": _as_is,
    "staging": _url,
    "keys": _names,
    "connection": _text,
    "columns": _columns,
    "rename": _rename,
    "schema_mode": _text,
    "missing_columns": _text,
    "deduplicate_by": _text,
    "order_by": _text,
    "upsert_strategy": _text,
    "verify": _names,
    "reload": _names,
    "nested": _text,
    "binary": _text,
    "infinity": _text,
    "on_bad": _text,
    "via": _text,
    "storage_options": _storage_options,
    "wait": _flag,
    "timeout": _seconds,
    "file_type": _text,
    "compression": _text,
    "chunk_bytes": _size,
    "workers": _whole,
    "repeat": _text,
    "job_options": _mapping('fields of the job by their API names, such as {"name": "value"}'),
    "credentials": _credentials,
    "status": _url,
}
"""How the value of each option is parsed, by the name that it has in `push`."""

_UPLOAD = ("file_type", "compression", "chunk_bytes", "workers", "repeat", "job_options")
_NAMES = {_plain(name): name for name in _PARSERS}
_SPELLED = {name: re.sub(r"_(.)", lambda found: found[1].upper(), name) for name in _PARSERS}
"""The options as Spark's own are written, in camel case."""
