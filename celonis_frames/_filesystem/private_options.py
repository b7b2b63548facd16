"""Options of a filesystem that are known in this process only, because they hold secrets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_kept: dict[str, Mapping[str, Any]] = {}
"""By URL. In memory only: not in files, plans or environments."""


@dataclass(frozen=True)
class PrivateOptions:
    """fsspec's options for a URL, which must not be in the plan of an engine.

    An engine that has a way to the memory of its workers may deliver them, and call `keep` there.
    """

    url: str
    options: Mapping[str, Any] = field(repr=False)

    def keep(self) -> None:
        """Let `private_options` return them in this process."""
        _kept[self.url] = self.options

    def forget(self) -> None:
        """Forget them in this process."""
        _kept.pop(self.url, None)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep them while the block runs."""
        self.keep()
        try:
            yield
        finally:
            self.forget()


def private_options(url: str) -> Mapping[str, Any]:
    """The options that this process has for a URL; none if it was told none."""
    return _kept.get(url, {})
