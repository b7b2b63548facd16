"""Where the secrets of profiles are: in the keyring of the system, or in a file of this user.

An entry is a JSON object with the secrets and the URL that they were given for. The keyring has one
for each profile, under the service ``celonis-frames`` and the profile's name; the file,
``credentials.json`` beside the config file, has all of them, and is for its owner only.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, Protocol

from celonis_frames._filesystem.user_file import UserFile
from celonis_frames._profiles.profile import Secrets, Store
from celonis_frames._secrets import Secret
from celonis_frames.exceptions import ConfigError

SERVICE = "celonis-frames"
INSTALL = 'pip install "celonis-frames[keyring]"'
_FIELDS = ("key", "access_key", "secret_key")


class SecretStore(Protocol):
    """Keeps the secrets of profiles by their names."""

    def load(self, name: str) -> Secrets | None:
        """The secrets of a profile; None if there are none."""

    def save(self, name: str, secrets: Secrets) -> None:
        """Store the secrets of a profile, instead of those that it had."""

    def remove(self, name: str) -> None:
        """Remove the secrets of a profile, if there are some."""


def open_store(store: Store, credentials: Path) -> SecretStore:
    """The store of that kind; nothing is read or written yet.

    Raises:
        ImportError: It is the keyring, and its library is not installed.
    """
    return KeyringStore() if store == "keyring" else FileStore(credentials)


class KeyringStore:
    """The keyring of the system, by the library ``keyring``."""

    def __init__(self) -> None:
        self._keyring = _keyring()

    def load(self, name: str) -> Secrets | None:
        """The secrets of a profile; None if there are none."""
        failure = ""
        try:
            found = self._keyring.get_password(SERVICE, name)
        except Exception as error:  # backends raise what they like
            failure = type(error).__name__
        if failure:
            raise ConfigError(
                f"The keyring cannot be read ({failure}). Unlock it, or store the key in a file: "
                "celonis-frames login --store file."
            )
        if found is None:
            return None
        found = Secret(found)
        secrets = _from_text(found)
        if secrets is None:
            raise ConfigError(
                f"The entry {SERVICE!r}, {name!r} of the keyring is not one of celonis_frames."
            )
        return secrets

    def save(self, name: str, secrets: Secrets) -> None:
        """Store the secrets of a profile, instead of those that it had.

        They are read again, because a keyring may drop them without an error.
        """
        text = Secret(_to_text(secrets))
        failure = ""
        try:
            self._keyring.set_password(SERVICE, name, text.reveal())
            if self._keyring.get_password(SERVICE, name) != text.reveal():
                failure = "it did not keep it"
        except Exception as error:  # backends raise what they like
            failure = type(error).__name__
        if failure:
            raise ConfigError(f"The keyring cannot store the key ({failure}).")

    def remove(self, name: str) -> None:
        """Remove the secrets of a profile, if there are some."""
        if self.load(name) is None:
            return
        failure = ""
        try:
            self._keyring.delete_password(SERVICE, name)
        except Exception as error:
            failure = type(error).__name__
        if failure:
            raise ConfigError(f"The keyring cannot remove the key ({failure}).")


class FileStore:
    """A file for its owner only."""

    def __init__(self, path: Path) -> None:
        self._file = UserFile(path, "profiles", secret=True)

    def load(self, name: str) -> Secrets | None:
        """The secrets of a profile; None if there are none."""
        entry = self._file.entries().get(name)
        if entry is None:
            return None
        secrets = _from_entry(entry)
        del entry  # a traceback may show locals
        if secrets is None:
            raise ConfigError(
                f"{self._file.path}: its profile {name!r} is not one of celonis_frames. Correct "
                "it, or log in again."
            )
        return secrets

    def save(self, name: str, secrets: Secrets) -> None:
        """Store the secrets of a profile, instead of those that it had."""
        with self._file.changing() as document:
            document["profiles"][name] = _to_entry(secrets)
            del document  # a traceback may show locals

    def remove(self, name: str) -> None:
        """Remove the secrets of a profile, if there are some."""
        if self._file.path.exists():
            with self._file.changing() as document:
                document["profiles"].pop(name, None)
                del document


def keyring_problem() -> str | None:
    """Why there is no keyring to store a secret in; None if there is one."""
    try:
        keyring = _keyring()
    except ImportError:
        return f"the library keyring is not installed: {INSTALL}"
    try:
        priority = float(keyring.get_keyring().priority)
    except Exception as error:
        return f"the keyring cannot be used ({type(error).__name__})"
    return None if priority > 0 else "this system has none that keyring knows"


def _keyring() -> Any:
    try:
        import keyring  # noqa: PLC0415  # an extra, and slow to import
    except ImportError as error:
        raise ImportError(f"The keyring needs the library keyring: {INSTALL}") from error
    return keyring


def _to_entry(secrets: Secrets) -> dict[str, str]:
    found = {name: getattr(secrets, name) for name in _FIELDS}
    return {"url": secrets.url} | {
        name: secret.reveal() for name, secret in found.items() if secret is not None
    }


def _to_text(secrets: Secrets) -> str:
    return json.dumps(_to_entry(secrets))


def _from_entry(entry: Any) -> Secrets | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
        return None
    values = {name: entry[name] for name in _FIELDS if name in entry}
    if not all(isinstance(value, str) for value in values.values()):
        return None
    return Secrets(entry["url"], **{name: Secret(value) for name, value in values.items()})


def _from_text(text: Secret) -> Secrets | None:
    with contextlib.suppress(ValueError, RecursionError):
        return _from_entry(json.loads(text.reveal()))
    return None
