"""A profile: the URL of a team and what kind of key it has, without the key itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from celonis_frames._auth.keys import ApiKey, AppKey
from celonis_frames._auth.oauth2 import Method, OAuth2
from celonis_frames._formatting import shown
from celonis_frames._http.auth import Auth
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._secrets import Secret
from celonis_frames._urls import base_url
from celonis_frames.exceptions import ConfigError

KeyType = Literal["BEARER", "APP_KEY", "OAUTH"]
"""As in CELONIS_KEY_TYPE; OAUTH is an OAuth client."""
Store = Literal["keyring", "file"]
"""Where the secrets are."""

DEFAULT = "default"
"""The profile that is used if none is named."""
MAX_NAME = 100
"""Characters of a profile's name."""

KINDS: dict[KeyType | None, str] = {
    "BEARER": "API key",
    "APP_KEY": "application key",
    "OAUTH": "OAuth client",
    None: "ingestion keys",
}
"""What a profile has, for people."""


@dataclass(frozen=True)
class IngestionPlace:
    """What of `IngestionKeys` is no secret."""

    connection: str
    bucket: str
    region: str


@dataclass(frozen=True)
class Profile:
    """A stored connection, as it is in the config file.

    Attributes:
        url: The base URL of the team.
        store: Where its secrets are.
        key_type: Kind of its key; None if it has ingestion keys alone.
        client_id: Id of its OAuth client.
        scopes: The scopes to request.
        method: Where the client sends its secret.
        ingestion: Where its ingestion keys belong.
    """

    url: str
    store: Store
    key_type: KeyType | None = None
    client_id: str = ""
    scopes: tuple[str, ...] = ()
    method: Method = "basic"
    ingestion: IngestionPlace | None = None

    def __post_init__(self) -> None:
        """Reject what no login writes."""
        if self.url != base_url(self.url):
            raise ConfigError(f"its url must be {base_url(self.url)}.")
        if self.store not in get_args(Store):
            raise ConfigError("its secrets must be 'keyring' or 'file': where they are.")
        if self.key_type not in KINDS:
            raise ConfigError("its key_type must be BEARER, APP_KEY or OAUTH.")
        if self.method not in get_args(Method):
            raise ConfigError("its method must be basic or post.")
        if self.key_type is None and self.ingestion is None:
            raise ConfigError("it has neither a key_type nor ingestion.")

    @property
    def kind(self) -> str:
        """What it has, for people."""
        kinds = [KINDS[self.key_type]]
        if self.ingestion is not None and self.key_type is not None:
            kinds.append(KINDS[None])
        return " and ".join(kinds)

    def to_dict(self) -> dict[str, Any]:
        """The entry in the config file."""
        entry: dict[str, Any] = {"url": self.url, "secrets": self.store}
        if self.key_type is not None:
            entry["key_type"] = self.key_type
        if self.key_type == "OAUTH":
            entry |= {
                "client_id": self.client_id, "scopes": list(self.scopes), "method": self.method,
            }  # fmt: skip
        if self.ingestion is not None:
            entry["ingestion"] = dict(vars(self.ingestion))
        return entry


@dataclass(frozen=True, repr=False)
class Secrets:
    """The secrets of a profile, and the URL that they were given for.

    They are sent to no other: an edited config file leads them nowhere.

    Attributes:
        url: The base URL of the team.
        key: The API key, application key or client secret.
        access_key: The access key of the ingestion keys.
        secret_key: Their secret key.
    """

    url: str
    key: Secret | None = field(default=None, repr=False)
    access_key: Secret | None = field(default=None, repr=False)
    secret_key: Secret | None = field(default=None, repr=False)


def checked_name(name: object) -> str:
    """The name of a profile.

    Raises:
        ConfigError: It cannot be one.
    """
    if (
        isinstance(name, str)
        and 0 < len(name) <= MAX_NAME
        and name.isprintable()
        and name == name.strip()
    ):
        return name
    raise ConfigError(
        f"profile={shown(name)} must be the name of a profile: 1 to {MAX_NAME} characters without "
        "control characters, and no spaces around it."
    )


def read_profile(entry: Any) -> Profile:
    """The profile of an entry in the config file.

    Raises:
        ConfigError: It is no profile; the message says what is wrong with it.
    """
    if not isinstance(entry, dict):
        raise ConfigError("it must be an object.")
    scopes, place = entry.get("scopes", []), entry.get("ingestion")
    texts = [entry.get(name, "") for name in ("url", "client_id", "method")]
    if not isinstance(scopes, list) or not all(isinstance(one, str) for one in [*scopes, *texts]):
        raise ConfigError("its url, client_id, method and scopes must be strings.")
    if place is not None and not (
        isinstance(place, dict)
        and set(place) == {"connection", "bucket", "region"}
        and all(isinstance(one, str) for one in place.values())
    ):
        raise ConfigError("its ingestion must have connection, bucket and region.")
    method: Any = entry.get("method", "basic")  # checked by the class
    return Profile(
        url=entry.get("url", ""),
        store=entry.get("secrets", "keyring"),
        key_type=entry.get("key_type"),
        client_id=entry.get("client_id", ""),
        scopes=tuple(scopes),
        method=method,
        ingestion=None if place is None else IngestionPlace(**place),
    )


def new_profile(
    url: str,
    store: Store,
    auth: Auth | None,
    ingestion: IngestionKeys | None,
) -> tuple[Profile, Secrets]:
    """The profile of a connection, and its secrets.

    Raises:
        ConfigError: The URL cannot be used, or the kind of key cannot be stored.
    """
    base = base_url(url)
    key_type: KeyType | None = None
    key: Secret | None = None
    oauth: dict[str, Any] = {}
    if isinstance(auth, ApiKey | AppKey):
        key_type = "APP_KEY" if isinstance(auth, AppKey) else "BEARER"
        key = Secret(auth.token)
    elif isinstance(auth, OAuth2):
        key_type, key = "OAUTH", Secret(auth.client_secret)
        oauth = {"client_id": auth.client_id, "scopes": auth.scopes, "method": auth.method}
    elif auth is not None:
        raise ConfigError(f"A profile stores ApiKey, AppKey or OAuth2, not {type(auth).__name__}.")
    if ingestion is None:
        return Profile(base, store, key_type, **oauth), Secrets(base, key)
    place = IngestionPlace(ingestion.connection, ingestion.bucket, ingestion.region)
    profile = Profile(base, store, key_type, **oauth, ingestion=place)
    return profile, Secrets(base, key, ingestion.access_key, ingestion.secret_key)


def auth_of(name: str, profile: Profile, secrets: Secrets) -> Auth | None:
    """How the profile of this name authenticates; None with ingestion keys alone.

    Raises:
        ConfigError: The secret is missing, or cannot be one.
    """
    if profile.key_type is None:
        return None
    if secrets.key is None:
        raise ConfigError("its key is not stored.")
    if profile.key_type == "OAUTH":
        return OAuth2(
            profile.client_id, secrets.key.reveal(), scopes=profile.scopes, method=profile.method
        )
    kind, other = (AppKey, "api-key") if profile.key_type == "APP_KEY" else (ApiKey, "app-key")
    again = f"store it again: celonis-frames login --profile {name!r} --kind {other}"
    return kind(secrets.key.reveal()).advising(again)


def ingestion_of(profile: Profile, secrets: Secrets) -> IngestionKeys | None:
    """The ingestion keys of a profile, if it has some.

    Raises:
        ConfigError: A secret is missing, or cannot be one.
    """
    place = profile.ingestion
    if place is None:
        return None
    if secrets.access_key is None or secrets.secret_key is None:
        raise ConfigError("its ingestion keys are not stored.")
    return IngestionKeys(
        place.connection, secrets.access_key, secrets.secret_key, place.bucket, place.region
    )
