"""URLs without their secrets, and the secrets of filesystems."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from celonis_frames._secrets import MASK

CHAINED = re.compile(r"::(?=[A-Za-z][\w+.-]*://)")
_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")
_KEY_ID = re.compile(r"A[KS]IA[A-Z0-9]{12,}")
"""The id of an access key of AWS, as it stands where a bucket should."""
_SECRET_OPTION = re.compile(r"pass|secret|key|token|user|cred|sas|auth|conn", re.IGNORECASE)
_MIN_SECRET = 4
"""Characters of the shortest secret that is masked in a message: shorter ones are in any word."""


class RevealedSecret(str):
    """A string that is masked in messages whatever option it is the value of."""

    __slots__ = ()


def mask_url(url: object) -> str:
    """A URL without user, password and query."""
    # A chain such as simplecache::s3://… holds several URLs.
    return "::".join(map(_mask_one, CHAINED.split(str(url))))


def _mask_one(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    if not mark:
        if url.startswith("data:"):
            return "data:…"
        # A URL without its scheme, user:password@host/path.
        return re.sub(r"^[^/@:]*:[^/@]*@", "", url)
    before, _, after = rest.rpartition("@")
    if ":" in before:
        rest = after  # the password may hold "/", "@" or "?" unescaped
    host, slash, path = rest.partition("/")
    host = host.rpartition("@")[2]
    if not host.startswith("[") and host.partition(":")[2].strip("0123456789"):
        host = MASK  # not a port but a password: the "@" was forgotten
    host = _KEY_ID.sub(MASK, host)
    masked = f"{scheme}://{host}{slash}{path}".partition("?")[0]
    return masked.partition("#")[0] if scheme.lower().startswith("http") else masked


def secrets_of(filesystem: Any, url: str = "") -> frozenset[str]:
    """The users, passwords, keys and tokens of a filesystem's options and of a URL."""
    found = set(secret_values(getattr(filesystem, "storage_options", None) or {}))
    for part in CHAINED.split(url) if mask_url(url) != url else ():
        rest = part.partition("://")[2]
        login, query = rest.rpartition("@")[0], rest.partition("?")[2]
        pieces = (login, query, *login.split(":", 1))
        found.update(piece for piece in pieces if len(piece) >= _MIN_SECRET)
    return frozenset(found)


def secret_values(options: Mapping[str, Any]) -> frozenset[str]:
    """The users, passwords, keys and tokens among the options of a filesystem."""
    return frozenset(_secrets(options, secret=False))


def split_secrets(options: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The options of a filesystem without those that hold a secret, and the names of these.

    An option of which it is not known whether it shows a secret, such as an object, is none that
    can be shown.
    """
    public: dict[str, Any] = {}
    secret: list[str] = []
    for name, value in options.items():
        if isinstance(value, Mapping) and not _SECRET_OPTION.search(name):
            inner, hidden = split_secrets(value)
            public[name] = inner
            secret += [f"{name}.{one}" for one in hidden]
        elif value is None or not (_SECRET_OPTION.search(name) or _may_be_secret(value)):
            public[name] = value
        else:
            secret.append(name)
    return public, secret


def _may_be_secret(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_may_be_secret, value))
    if isinstance(value, str):
        return isinstance(value, RevealedSecret) or mask_url(value) != value
    return not isinstance(value, bool | int | float)


def _secrets(value: Any, *, secret: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _secrets(inner, secret=secret or bool(_SECRET_OPTION.search(str(name))))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner, secret=secret)
    elif isinstance(value, RevealedSecret):
        yield str(value)
    elif secret and isinstance(value, str) and len(value) >= _MIN_SECRET:
        yield value


def mask_text(text: str, secrets: Collection[str]) -> str:
    """A foreign text without the secrets of its URLs, and without these."""
    text = _URL.sub(lambda found: mask_url(found[0]), text)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
