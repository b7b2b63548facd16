"""The interface between the transport and the ways to authenticate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NoReturn, Self

from celonis_frames._http.messages import RawResponse
from celonis_frames._http.redaction import MASK

__all__ = ["Ask", "Auth", "Credentials", "Secret", "Unpicklable"]


class Unpicklable:
    """A secret must not end in a file, a cache or another process because of a stray pickle."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds a secret and cannot be pickled. Let each process read "
            "it anew, from the environment for example: Celonis.from_env()."
        )


class Secret(Unpicklable):
    """A text that no repr, and so no traceback with locals, shows.

    Args:
        text: The text; `reveal` gives it back.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return MASK


class Credentials(ABC):
    """What one connection sends; asked for every request, from several threads at a time."""

    @abstractmethod
    def authorization(self) -> str:
        """The value of the ``Authorization`` header, for one request.

        Raises:
            ApiError: A token had to be asked for, and that failed.
            ConfigError: The token cannot be read.
        """

    def renew(self, refused: str) -> bool:
        """Whether another value is to be tried, after the server answered 401 to this one.

        Args:
            refused: The header's value that was refused.

        Raises:
            ApiError: A new token was asked for, and that failed.
            ConfigError: The token cannot be read.
        """
        del refused
        return False


Ask = Callable[[str, Secret, Secret | None, Sequence[Secret]], RawResponse]
"""Posts a form: path, form, ``Authorization`` header or None, and what else is to be masked."""


class Auth(ABC):
    """The base of everything that may be given as ``auth=``."""

    kind: ClassVar[str] = "a key"
    """What was sent, for messages about a 401."""

    advice: ClassVar[str] = ""
    """What to try when it is refused."""

    permission: ClassVar[str] = ""
    """What else it needs, for messages about a 403."""

    @abstractmethod
    def credentials(self, ask: Ask, clock: Callable[[], float]) -> Credentials:
        """What a connection sends.

        Args:
            ask: Posts a form to the connection's host.
            clock: Tells seconds, for what expires.
        """
