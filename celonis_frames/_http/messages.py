"""A request and its raw response, without credentials."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RawResponse", "Request"]


@dataclasses.dataclass(frozen=True)
class Request:
    """What was asked: enough to say where something went wrong, and no credentials."""

    method: str
    url: str
    job_id: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


@dataclasses.dataclass(frozen=True)
class RawResponse:
    """What came back, whatever its status: no secret that was sent is left in it."""

    request: Request
    status: int
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    content: bytes = dataclasses.field(repr=False)
