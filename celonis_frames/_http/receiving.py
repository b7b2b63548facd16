"""Read a response from the connection: whole, or item by item if it is a list."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests

from celonis_frames._concurrency.cancellation import attach_socket
from celonis_frames._http import responses
from celonis_frames._http.json_items import ItemReader
from celonis_frames._http.messages import REQUEST_IDS, Request
from celonis_frames._http.redaction import redact

MAX_ERROR_BYTES = 1024 * 1024
"""Largest error response that is read; the beginning is quoted."""
_HEADERS = (
    "Content-Type", "Date", "Location", "Retry-After", "x-ratelimit-reset", *REQUEST_IDS,
)  # fmt: skip
"""The response headers that are kept."""

OnItem = Callable[[responses.Response, Any], object]
"""Called with each item of a list; the response is for errors, and has no content."""


@dataclasses.dataclass(frozen=True)
class Received:
    """What was read of a response, with secrets masked, and the number of its bytes."""

    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    content: bytes = b""
    size: int = 0
    problem: str | None = None


def receive(
    response: requests.Response, request: Request, secrets: Sequence[str], on_item: OnItem | None
) -> Received:
    """Read a response.

    The items of a list go to `on_item` as they arrive, if it is given and the response a success.
    What is too long, or no list, is not read to its end.
    """
    success = 200 <= response.status_code < 300
    headers = {}
    for name in _HEADERS:
        value = response.headers.get(name, "").encode("latin-1", "replace")
        headers[name] = redact(value, secrets).decode("latin-1")
    parts = response.iter_content(64 * 1024)
    if success and on_item is not None:
        about = responses.Response(response.status_code, b"", request)
        reader = ItemReader(functools.partial(on_item, about), secrets)
        for part in parts:
            if not reader.feed(part):
                break
        else:
            reader.feed(b"", last=True)
        received = Received(headers, reader.start, reader.size, reader.problem)
    else:
        content = bytearray()
        for part in parts:
            content += part
            if len(content) > (responses.MAX_RESPONSE_BYTES if success else MAX_ERROR_BYTES):
                break
        received = Received(headers, redact(bytes(content), secrets), len(content))
    attach_socket(None)  # another thread may use the connection from now on
    return received
