"""The profiles of this user: the config file, and the secrets that belong to it.

The file, ``config.json`` in the user's folder for the configuration of programs (as `platformdirs`
finds it), is JSON for its owner only, and holds no secret::

    {"version": 1,
     "profiles": {"prod": {
         "url": "https://myteam.eu-1.celonis.cloud", "key_type": "APP_KEY", "secrets": "keyring"}}}

A login holds the lock of the config file while it stores the secret: of two at the same time one
is stored whole, and then the other.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from celonis_frames._auth.environment import Settings
from celonis_frames._filesystem.user_file import UserFile
from celonis_frames._formatting import did_you_mean, listed
from celonis_frames._http.auth import Auth
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._profiles.profile import (
    Profile,
    Secrets,
    Store,
    auth_of,
    checked_name,
    ingestion_of,
    new_profile,
    read_profile,
)
from celonis_frames._profiles.secret_stores import open_store
from celonis_frames.exceptions import ConfigError


def config_path() -> Path:
    """Where the config file is, or would be."""
    from platformdirs import user_config_path  # noqa: PLC0415  # slow to import

    return user_config_path("celonis-frames", appauthor=False) / "config.json"


def credentials_path() -> Path:
    """Where the file of secrets is, or would be, which is used without a keyring."""
    return config_path().with_name("credentials.json")


def stored_profiles() -> dict[str, Profile]:
    """The profiles by name, sorted.

    Raises:
        ConfigError: The config file cannot be read.
    """
    entries = _file().entries()
    return {name: _profile(name, entries[name]) for name in sorted(entries)}


def has_profile(name: str) -> bool:
    """Whether there is a profile of that name.

    Raises:
        ConfigError: The config file cannot be read.
    """
    return name in _file().entries()


def load_profile(name: str, auth: Auth | None = None) -> Settings:
    """The connection of a profile, with `auth` instead of its key if that is given.

    Raises:
        ConfigError: There is no such profile, or it cannot be read.
        ImportError: Its key is in the keyring, whose library is not installed.
    """
    entries = _file().entries()
    if checked_name(name) not in entries:
        known = did_you_mean(name, entries)
        if entries and not known:
            known = f" It has {listed(sorted(entries))}."
        raise ConfigError(
            f"{config_path()} has no profile {name!r}.{known} Store it with: celonis-frames login "
            f"--profile {name!r}"
        )
    profile = _profile(name, entries[name])
    source = f"profile {name!r}"
    if auth is not None and profile.ingestion is None:
        return Settings(profile.url, auth, source=source)
    secrets = _secrets(name, profile)
    try:
        keys = ingestion_of(profile, secrets)
        return Settings(profile.url, auth or auth_of(name, profile, secrets), keys, source=source)
    except ConfigError as error:
        problem = error.message
    raise ConfigError(f"Profile {name!r}: {problem} {_AGAIN.format(name=name)}")


def save_profile(
    name: str, url: str, store: Store, auth: Auth | None, ingestion: IngestionKeys | None
) -> Path:
    """Store a connection under a name; returns the config file.

    A profile of that name keeps its other keys, if it is one of the same URL: those of ingestion
    beside an API key, or the other way round.

    Raises:
        ConfigError: The config file or the keyring cannot be written.
        ImportError: The library of the keyring is not installed.
    """
    checked_name(name)
    profile, secrets = new_profile(url, store, auth, ingestion)
    file = _file()
    with file.changing() as document:
        before = None
        # A login mends what is broken: an entry or secrets that cannot be read are replaced.
        with contextlib.suppress(ConfigError, ImportError):
            before = _profile(name, document["profiles"].get(name))
            profile, secrets = _joined(name, before, profile, secrets)
        open_store(store, credentials_path()).save(name, secrets)
        document["profiles"][name] = profile.to_dict()
        if before is not None and before.store != store:
            with contextlib.suppress(ConfigError, ImportError):
                open_store(before.store, credentials_path()).remove(name)
    return file.path


def remove_profile(name: str) -> Profile:
    """Remove a profile and its secrets; returns what it was.

    Raises:
        ConfigError: There is none of that name, or it cannot be removed.
        ImportError: The library of the keyring is not installed.
    """
    file = _file()
    entries = file.entries()
    if name not in entries:
        raise ConfigError(f"{file.path} has no profile {name!r}.{did_you_mean(name, entries)}")
    with file.changing() as document:
        profile = _profile(name, document["profiles"].get(name))
        open_store(profile.store, credentials_path()).remove(name)
        del document["profiles"][name]
    return profile


_AGAIN = "Log in again: celonis-frames login --profile {name!r}"


def _joined(
    name: str, before: Profile, profile: Profile, secrets: Secrets
) -> tuple[Profile, Secrets]:
    """The new profile with the keys of the old one that it does not replace."""
    keeps_key = profile.key_type is None and before.key_type is not None
    keeps_ingestion = profile.ingestion is None and before.ingestion is not None
    if before.url != profile.url or not (keeps_key or keeps_ingestion):
        return profile, secrets
    known = open_store(before.store, credentials_path()).load(name)
    if known is None or known.url != profile.url:
        return profile, secrets
    if keeps_key:
        profile = dataclasses.replace(
            profile, key_type=before.key_type, client_id=before.client_id, scopes=before.scopes,
            method=before.method,
        )  # fmt: skip
        return profile, dataclasses.replace(secrets, key=known.key)
    return dataclasses.replace(profile, ingestion=before.ingestion), dataclasses.replace(
        secrets, access_key=known.access_key, secret_key=known.secret_key
    )


def _secrets(name: str, profile: Profile) -> Secrets:
    secrets = open_store(profile.store, credentials_path()).load(name)
    if secrets is None:
        where = "the keyring" if profile.store == "keyring" else credentials_path()
        raise ConfigError(
            f"The key of profile {name!r} is not in {where}. {_AGAIN.format(name=name)}"
        )
    if secrets.url != profile.url:
        raise ConfigError(
            f"The key of profile {name!r} was given for {secrets.url}, but {config_path()} has "
            f"{profile.url}: it is not sent there. {_AGAIN.format(name=name)}"
        )
    return secrets


def _profile(name: str, entry: Any) -> Profile:
    try:
        return read_profile(entry)
    except ConfigError as error:
        problem = error.message
    raise ConfigError(f"{config_path()}, profile {name!r}: {problem} {_AGAIN.format(name=name)}")


def _file() -> UserFile:
    return UserFile(config_path(), "profiles")
