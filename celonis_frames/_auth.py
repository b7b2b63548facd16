"""How to authenticate: what goes into the ``Authorization`` header.

Keys go into the header only; the API ignores them in addresses and bodies. Everything here prints
its secret as ``********``.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from celonis_frames.exceptions import ConfigError

MASK = "********"

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_SCHEME = re.compile(r"\s*(authorization:?|bearer|appkey|basic)(\s+|:)", re.IGNORECASE)


class Auth(ABC):
    """The base of everything that may be given as ``auth=``.

    The transport asks `authorization` for every request it sends, from several threads at a time,
    so an implementation may renew its secret whenever it likes.
    """

    kind: ClassVar[str] = "a key"
    """What was sent, for messages about a 401."""

    advice: ClassVar[str] = ""
    """What to try when it is refused."""

    @abstractmethod
    def authorization(self) -> str:
        """The value of the ``Authorization`` header, for one request."""


@dataclass(frozen=True, repr=False)
class ApiKey(Auth):
    """A user's API key, sent as ``Bearer``.

    Users make one under *Edit Profile → API keys*. It looks like an application key, but the two
    are not interchangeable.

    Args:
        token: The key alone, without ``Bearer``.

    Raises:
        ConfigError: The token is empty or holds blanks, line breaks or other characters that no
            key has.
    """

    token: str = field(repr=False)

    kind: ClassVar[str] = "a user's API key (ApiKey, sent as Bearer)"
    advice: ClassVar[str] = (
        "Application keys look alike: if it is one, give AppKey(…), or CELONIS_KEY_TYPE=APP_KEY."
    )

    def __post_init__(self) -> None:
        check_token(self.token, type(self).__name__)

    def authorization(self) -> str:
        """The header's value."""
        return f"Bearer {self.token}"

    def __repr__(self) -> str:
        return f"ApiKey('{MASK}')"


@dataclass(frozen=True, repr=False)
class AppKey(Auth):
    """An application key, sent as ``AppKey``.

    Administrators make one under *Admin & Settings → Applications*. It looks like a user's API
    key, but the two are not interchangeable.

    Args:
        token: The key alone, without ``AppKey``.

    Raises:
        ConfigError: The token is empty or holds blanks, line breaks or other characters that no
            key has.
    """

    token: str = field(repr=False)

    kind: ClassVar[str] = "an application key (AppKey)"
    advice: ClassVar[str] = (
        "Users' API keys look alike: if it is one, give ApiKey(…), or CELONIS_KEY_TYPE=BEARER."
    )

    def __post_init__(self) -> None:
        check_token(self.token, type(self).__name__)

    def authorization(self) -> str:
        """The header's value."""
        return f"AppKey {self.token}"

    def __repr__(self) -> str:
        return f"AppKey('{MASK}')"


def check_token(token: object, what: str) -> None:
    """Refuse what cannot be a key, without ever showing it.

    Args:
        token: The supposed key.
        what: Where it was given, for the message.

    Raises:
        ConfigError: It is no text, empty, carries a scheme, or holds characters that no key has.
    """
    if not isinstance(token, str):
        msg = f"{what} takes the key as a text, not as {type(token).__name__}."
        raise ConfigError(msg)
    if not token.strip():
        msg = f"{what} was given an empty key. Check the variable or file that it was read from."
        raise ConfigError(msg)
    if _SCHEME.match(token):
        msg = (
            f"{what} was given a key with its scheme (such as 'Bearer' or 'AppKey') before it. "
            "Give the key alone; ApiKey(…) adds 'Bearer', AppKey(…) adds 'AppKey'."
        )
        raise ConfigError(msg)
    if not _VISIBLE_ASCII.fullmatch(token):
        msg = (
            f"{what} was given a key with blanks, line breaks or other characters that no key has. "
            "Was more copied than the key? A line break at the end is removed by .strip()."
        )
        raise ConfigError(msg)
