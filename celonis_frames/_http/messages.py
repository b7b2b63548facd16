"""A request and its raw response, without credentials."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Request:
    """What errors say about a request."""

    method: str
    url: str
    job_id: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


@dataclasses.dataclass(frozen=True)
class RawResponse:
    """A response of any status; secrets that were sent are masked in it."""

    request: Request
    status: int
    headers: Mapping[str, str] = dataclasses.field(repr=False)
    content: bytes = dataclasses.field(repr=False)
