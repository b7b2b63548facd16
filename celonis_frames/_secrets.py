"""Strings that nothing shows."""

from __future__ import annotations

from typing import NoReturn, Self

MASK = "********"


class Unpicklable:
    """Keeps a secret out of files, caches and other processes: pickling it raises TypeError."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds a secret and cannot be pickled. Let each process read "
            "the secret itself, for example from the environment: Celonis.from_env()."
        )


class Secret(Unpicklable):
    """A string that no repr shows, and so no traceback with locals.

    Two with the same string are equal.

    Args:
        value: The string, such as a password for ``storage_options=`` or the key of
            ``Column(pseudonymise=…)``.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return MASK
