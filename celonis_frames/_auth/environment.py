"""Environment variables: the only place where they are read.

The names are those of the official client. ``CELONIS_API_TOKEN`` takes precedence over the OAuth
names, which other programs use too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celonis_frames._auth.keys import ApiKey, AppKey, token_problem
from celonis_frames._auth.oauth2 import DATA_PUSH, OAuth2
from celonis_frames._auth.token_file import TokenFile
from celonis_frames._http.auth import Auth
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._urls import parse_url
from celonis_frames.exceptions import ConfigError

URL = "CELONIS_URL"
TOKEN = "CELONIS_API_TOKEN"  # noqa: S105  # the name of a variable, no secret
KEY_TYPE = "CELONIS_KEY_TYPE"
OAUTH_ID = "OAUTH_CLIENT_ID"
OAUTH_SECRET = "OAUTH_CLIENT_SECRET"  # noqa: S105
OAUTH_SCOPES = "OAUTH_SCOPES"
OAUTH_METHOD = "OAUTH_METHOD"
OAUTH_FILE = "OAUTH_ACCESS_TOKEN_PATH"
PROFILE = "CELONIS_PROFILE"
INGESTION = {
    "access_key": "CELONIS_INGESTION_ACCESS_KEY",
    "secret_key": "CELONIS_INGESTION_SECRET_KEY",
    "connection": "CELONIS_INGESTION_CONNECTION",
    "bucket": "CELONIS_INGESTION_BUCKET",
    "region": "CELONIS_INGESTION_REGION",
}
"""Parameters of `IngestionKeys`, and where each is read from."""
NAMES = (
    URL, TOKEN, KEY_TYPE, OAUTH_ID, OAUTH_SECRET, OAUTH_SCOPES, OAUTH_METHOD, OAUTH_FILE,
    *INGESTION.values(), PROFILE,
)  # fmt: skip

_variables: ContextVar[Mapping[str, str] | None] = ContextVar("variables", default=None)
"""What stands for the environment, if anything does."""

HOW_TO_CONNECT = (
    "Set CELONIS_URL (such as https://myteam.eu-1.celonis.cloud), CELONIS_API_TOKEN (the key) and "
    "CELONIS_KEY_TYPE (APP_KEY or BEARER), or OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET, in the "
    "environment, or store a profile with celonis-frames login, or call "
    'celonis_frames.connect("https://myteam.eu-1.celonis.cloud", '
    'auth=celonis_frames.AppKey("…")). Without a Celonis team: '
    'celonis_frames.connect("local").'
)


@dataclass(frozen=True, slots=True)
class Settings:
    """A connection as the environment or a profile describes it."""

    url: str
    """A URL, ``"local"`` or ``"local:PATH"``."""
    auth: Auth | None
    """None for the local Celonis, which has a token of its own, and with ingestion keys alone."""
    ingestion: IngestionKeys | None = None
    source: str = "the environment"
    """Where it comes from, for people."""


@contextlib.contextmanager
def read_from(variables: Mapping[str, str]) -> Iterator[None]:
    """In the block these variables are the environment, for what is read here."""
    before = _variables.set(variables)
    try:
        yield
    finally:
        _variables.reset(before)


def is_local(url: str) -> bool:
    """Whether a URL means the embedded local Celonis."""
    return url == "local" or url.startswith("local:")


def read_environment(auth: Auth | None = None) -> Settings:
    """The connection that the environment describes, its key included unless `auth` is given.

    Raises:
        ConfigError: If something is missing or wrong; the message says what to set.
    """
    url = environment_url()
    if url is None:
        missing = [URL] if auth or any(map(_get, (TOKEN, OAUTH_ID, OAUTH_FILE))) else [URL, TOKEN]
        msg = (
            f"No connection: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not "
            f"set. {HOW_TO_CONNECT}"
        )
        raise ConfigError(msg)
    if is_local(url):
        return Settings(url, auth)
    ingestion = environment_ingestion()
    if auth is None and ingestion is not None and not has_key():
        return Settings(url, None, ingestion)
    return Settings(url, auth or environment_auth(), ingestion)


def environment_profile() -> str | None:
    """The name in ``CELONIS_PROFILE``, or None if it is not set."""
    return _get(PROFILE)


def has_token() -> bool:
    """Whether ``CELONIS_API_TOKEN`` is set, which no other program uses."""
    return _get(TOKEN) is not None


def has_key(*, url: str | None = None) -> bool:
    """Whether there is a key, an OAuth client or a token file, for the host of `url` if given."""
    home = environment_url()
    return any(map(_get, (TOKEN, OAUTH_ID, OAUTH_FILE))) and url in (None, home or url)


def environment_ingestion(*, url: str | None = None) -> IngestionKeys | None:
    """The ingestion keys of the environment; None if none of their variables is set.

    Raises:
        ConfigError: Some are not set, one is wrong, or they belong to another host than that of
            `url`.
    """
    unset = [name for name in INGESTION.values() if _get(name) is None]
    if len(unset) == len(INGESTION):
        return None
    if unset:
        raise ConfigError(
            f"{', '.join(unset)} {'is' if len(unset) == 1 else 'are'} not set, and the other "
            "ingestion keys are: Celonis shows all five where the connection is set up."
        )
    home = environment_url()
    if url is not None and home is not None and home != url:
        return None
    return IngestionKeys(**{one: _get(name) or "" for one, name in INGESTION.items()})


def environment_url() -> str | None:
    """The base URL in ``CELONIS_URL``, or None if it is not set.

    Raises:
        ConfigError: If it is not a usable URL.
    """
    url = _get(URL)
    if url is None or is_local(url):
        return url
    try:
        return parse_url(url).base
    except ConfigError as error:
        msg = f"{URL}: {error.message}"
        raise ConfigError(msg) from None


def environment_auth(*, url: str | None = None) -> Auth:
    """The key, OAuth client or token file of the environment, in this order.

    No local variable here holds a secret: a traceback may show locals.

    Raises:
        ConfigError: If nothing usable is set, or it belongs to another host than that of `url`,
            the base URL of a connection that does not come from the environment.
    """
    found = next((name for name in (TOKEN, OAUTH_ID, OAUTH_FILE) if _get(name) is not None), None)
    if found is None:
        msg = (
            f"No key: {TOKEN} is not set and no auth= is given. Set {TOKEN} to the key and "
            f"{KEY_TYPE} to APP_KEY or BEARER, or {OAUTH_ID} and {OAUTH_SECRET}, or give "
            'auth=celonis_frames.AppKey("…"), ApiKey("…") or OAuth2("…", "…").'
        )
        raise ConfigError(msg)
    home = environment_url()
    if url is not None and home is not None and home != url:
        msg = (
            f"{found} belongs to {URL}, which is {home}; it is not sent to {url}. Pass the key for "
            "that host as auth=."
        )
        raise ConfigError(msg)
    if found == OAUTH_ID:
        return _client()
    if found == OAUTH_FILE:
        return TokenFile(Path(_get(OAUTH_FILE) or ""))
    problem = token_problem(_get(TOKEN), TOKEN)
    if problem is not None:
        raise ConfigError(problem)
    return _key_type()(_get(TOKEN) or "")


def _key_type() -> type[ApiKey | AppKey]:
    kind = (_get(KEY_TYPE) or "").upper()
    if kind == "APP_KEY":
        return AppKey
    if kind not in ("", "BEARER", "USER_KEY"):
        # The message does not quote the value: it may be a key in the wrong variable.
        del kind
        msg = (
            f"{KEY_TYPE} must be APP_KEY (application key) or BEARER (a user's API key; the older "
            "USER_KEY means the same)."
        )
        raise ConfigError(msg)
    return ApiKey


def _client() -> OAuth2:
    if _get(OAUTH_SECRET) is None:
        msg = f"{OAUTH_ID} is set, but {OAUTH_SECRET} is not: set it to the client's secret."
        raise ConfigError(msg)
    given = (_get(OAUTH_METHOD) or "BASIC").upper()
    if given not in ("BASIC", "POST"):
        del given  # it may be the secret in the wrong variable
        msg = f"{OAUTH_METHOD} must be BASIC or POST: where the client sends its secret."
        raise ConfigError(msg)
    method: Literal["basic", "post"] = "post" if given == "POST" else "basic"
    return OAuth2(
        _get(OAUTH_ID) or "",
        _get(OAUTH_SECRET) or "",
        scopes=_get(OAUTH_SCOPES) or (DATA_PUSH,),
        method=method,
    )


def _get(name: str) -> str | None:
    variables = _variables.get()
    return (os.environ if variables is None else variables).get(name, "").strip() or None
