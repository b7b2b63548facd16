"""API keys and application keys.

Keys are sent in the ``Authorization`` header only; the API ignores them in URLs and bodies. Reprs
show ``********``, and pickling raises TypeError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Self

from celonis_frames._http.auth import Auth, Credentials, PostForm
from celonis_frames._secrets import MASK, Unpicklable
from celonis_frames.exceptions import ConfigError

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_SCHEME = re.compile(r"\s*(authorization:?|bearer|appkey|basic)(\s+|:)", re.IGNORECASE)


@dataclass(frozen=True, repr=False, init=False)
class _Key(Unpicklable, Auth, Credentials):
    """A key that is sent as it is and never changes."""

    token: str = field(repr=False)
    scheme: ClassVar[str]
    others: ClassVar[str]  # keys of the other kind, for messages

    def __init__(self, token: str) -> None:
        problem = token_problem(token, type(self).__name__)
        if problem is not None:
            del token  # a traceback that shows locals must not show it
            raise ConfigError(problem)
        object.__setattr__(self, "token", token)

    def advising(self, remedy: str) -> Self:
        """The same key, whose advice after a 401 is how to give one of the other kind."""
        object.__setattr__(self, "advice", f"{self.others} look alike: if it is one, {remedy}.")
        return self

    def authorization(self) -> str:
        """The header's value."""
        return f"{self.scheme} {self.token}"

    def credentials(self, post: PostForm, clock: Callable[[], float]) -> Credentials:
        """The key itself."""
        del post, clock
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{MASK}')"


class ApiKey(_Key):
    """A user's API key, sent as ``Bearer``.

    Users create one under *Edit Profile → API keys*. It looks like an application key, but the two
    are not interchangeable.

    Args:
        token: The key alone, without ``Bearer``.

    Raises:
        ConfigError: If the token is empty, or contains spaces, line breaks or other characters
            that no key has.
    """

    scheme = "Bearer"
    kind = "a user's API key (ApiKey, sent as Bearer)"
    others = "Application keys"
    advice = f"{others} look alike: if it is one, give AppKey(…), or CELONIS_KEY_TYPE=APP_KEY."


class AppKey(_Key):
    """An application key, sent as ``AppKey``.

    Administrators create one under *Admin & Settings → Applications*. It looks like a user's API
    key, but the two are not interchangeable.

    Args:
        token: The key alone, without ``AppKey``.

    Raises:
        ConfigError: If the token is empty, or contains spaces, line breaks or other characters
            that no key has.
    """

    scheme = "AppKey"
    kind = "an application key (AppKey)"
    others = "Users' API keys"
    advice = f"{others} look alike: if it is one, give ApiKey(…), or CELONIS_KEY_TYPE=BEARER."


def checked(auth: object) -> Auth:
    """The value of ``auth=``, if it is valid.

    Raises:
        ConfigError: If it is anything else, such as a bare key.
    """
    if isinstance(auth, Auth):
        return auth
    msg = (
        f"auth takes ApiKey(...) for a user's API key, AppKey(...) for an application key, or "
        f"OAuth2(...), not {type(auth).__name__}: keys look alike, so state which kind it is."
    )
    raise ConfigError(msg)


def token_problem(token: object, what: str) -> str | None:
    """Why a value cannot be a key, without showing it; None if it can.

    The message is returned, not raised, so that no traceback has a frame with the key; it begins
    with `what`, the place where the value was given.
    """
    if not isinstance(token, str):
        return f"{what} takes the key as a string, not as {type(token).__name__}."
    if not token.strip():
        return f"{what} was given an empty key. Check the variable or file it was read from."
    if _SCHEME.match(token):
        return (
            f"{what} was given a key with a scheme (such as 'Bearer' or 'AppKey') in front. Give "
            "the key alone; ApiKey(…) adds 'Bearer', AppKey(…) adds 'AppKey'."
        )
    if not _VISIBLE_ASCII.fullmatch(token):
        return (
            f"{what} was given a key with spaces, line breaks or other characters that no key has. "
            "Was more copied than the key? .strip() removes a line break at the end."
        )
    return None
