"""`IngestionKeys`: the keys of a *Push data into Celonis* connection."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from celonis_frames._formatting import type_name
from celonis_frames._secrets import MASK, Secret, Unpicklable
from celonis_frames.exceptions import ConfigError

_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A bucket, region or connection id as one segment of a path."""
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, repr=False, init=False)
class IngestionKeys(Unpicklable):
    """The keys of a *Push data into Celonis* data connection, for ``via="ingestion"``.

    Celonis shows all five where the connection is set up: Data Pool → Data Connections. The keys
    are not API keys, and open nothing but this connection.

    Args:
        connection: Id of the data connection.
        access_key: Access key of the connection.
        secret_key: Its secret; a string or a `Secret`. Nothing shows or stores it.
        bucket: Id of the bucket.
        region: Region of the bucket, which is part of the signature.

    Raises:
        ConfigError: One is empty, or has characters that none has.
    """

    connection: str
    bucket: str
    region: str
    access_key: Secret = field(repr=False)
    secret_key: Secret = field(repr=False)

    def __init__(
        self,
        connection: str,
        access_key: str | Secret,
        secret_key: str | Secret,
        bucket: str,
        region: str,
    ) -> None:
        named = {"connection": connection, "bucket": bucket, "region": region}
        problems = [_segment_problem(*item) for item in named.items()]
        problems += [_key_problem("access_key", access_key), _key_problem("secret_key", secret_key)]
        problem = next(filter(None, problems), None)
        if problem is None:
            for name, value in named.items():
                object.__setattr__(self, name, value)
            object.__setattr__(self, "access_key", Secret(_text(access_key)))
            object.__setattr__(self, "secret_key", Secret(_text(secret_key)))
        # A traceback that shows locals must not show keys, also not one that was given for another.
        del access_key, secret_key, connection, bucket, region, named
        if problem is not None:
            raise ConfigError(problem)

    def __repr__(self) -> str:
        # A debugger shows keys that were rejected, too, which have no fields yet.
        connection, bucket, region = (
            getattr(self, name, None) for name in ("connection", "bucket", "region")
        )
        return f"IngestionKeys({connection!r}, '{MASK}', '{MASK}', {bucket!r}, {region!r})"


def _text(key: object) -> str:
    return key.reveal() if isinstance(key, Secret) else key if isinstance(key, str) else ""


def _segment_problem(name: str, value: object) -> str | None:
    """Why a value cannot be a segment of a path, without showing it; None if it can."""
    if isinstance(value, str) and _SEGMENT.fullmatch(value):
        return None
    return (
        f"IngestionKeys({name}=…) must be the {name} as Celonis shows it: letters, digits, '.', "
        "'_' and '-'."
    )


def _key_problem(name: str, key: object) -> str | None:
    """Why a value cannot be a key, without showing it; None if it can."""
    if not isinstance(key, str | Secret):
        return f"IngestionKeys({name}=…) must be a string or a Secret, not {type_name(key)}."
    if not _text(key):
        return f"IngestionKeys({name}=…) is empty. Check the variable or file it was read from."
    if not _VISIBLE_ASCII.fullmatch(_text(key)):
        return (
            f"IngestionKeys({name}=…) has spaces, line breaks or other characters that no key has. "
            ".strip() removes a line break at the end."
        )
    return None
