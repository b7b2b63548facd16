"""The interface between the transport and the ways to authenticate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from celonis_frames._http.messages import RawResponse
from celonis_frames._secrets import Secret
from celonis_frames.exceptions import ConfigError


class Credentials(ABC):
    """The credentials of one connection; used for every request, by several threads."""

    @abstractmethod
    def authorization(self) -> str:
        """The value of the ``Authorization`` header for one request.

        Raises:
            ApiError: If a token had to be requested, and that failed.
            ConfigError: If the token cannot be read.
        """

    def renew(self, rejected: str) -> bool:
        """Get newer credentials after a 401; return whether there is another header to try.

        Raises:
            ApiError: If a new token was requested, and that failed.
            ConfigError: If the token cannot be read.
        """
        del rejected
        return False


PostForm = Callable[[str, Secret, Secret | None, Sequence[Secret]], RawResponse]
"""Posts a form: path, form, ``Authorization`` header or None, other secrets to mask."""


class Auth(ABC):
    """The base of everything that can be given as ``auth=``."""

    kind: ClassVar[str] = "a key"
    """What was sent, for messages about a 401."""

    advice: ClassVar[str] = ""
    """What to try after a 401."""

    permission: ClassVar[str] = ""
    """What else is needed, for messages about a 403."""

    @abstractmethod
    def credentials(self, post: PostForm, clock: Callable[[], float]) -> Credentials:
        """The credentials of one connection; `clock` returns the time (s), for their expiry."""


class Unsigned(Auth, Credentials):
    """No header: each request is signed by its caller."""

    def authorization(self) -> str:
        """No value."""
        return ""

    def credentials(self, post: PostForm, clock: Callable[[], float]) -> Credentials:
        """This object."""
        del post, clock
        return self


class NoAuth(Unsigned):
    """There is no key: a request that needs one is an error."""

    def authorization(self) -> str:
        """Nothing.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "This connection has ingestion keys only, which open no other API: connect with "
            "auth=AppKey(…), ApiKey(…) or OAuth2(…) besides them."
        )
