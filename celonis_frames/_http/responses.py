"""Successful responses, and the checks that reject login pages and oversized bodies."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

from celonis_frames._http.auth import Auth
from celonis_frames._http.messages import RawResponse, Request
from celonis_frames._http.multipart import MultipartFile
from celonis_frames._http.redaction import plain
from celonis_frames._http.status_errors import is_page, redirect, status_error, unreadable
from celonis_frames.exceptions import ApiConnectionError, ApiStatusError

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""Largest successful response that is read; a pool's list of jobs with logs is far smaller."""
MAX_START = 200
"""Characters of an unreadable response that are quoted."""
_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")


@dataclasses.dataclass(frozen=True)
class Response:
    """A successful response."""

    status: int
    content: bytes = dataclasses.field(repr=False)
    request: Request

    def json(self) -> Any:
        """The body, parsed as JSON.

        Raises:
            ApiStatusError: If it is not JSON; the message quotes its beginning.
        """
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(self.content)
            return _whole(value) if self._has_surrogates() else value
        raise self.unreadable("the response is not JSON")

    def items(self) -> Iterator[Any]:
        """The items of the body, a JSON array, one by one: a long list is never held parsed.

        Raises:
            ApiStatusError: If it is not JSON, or not an array.
        """
        try:
            text = self.content.decode(json.detect_encoding(self.content))
            start = _skip(text, 0)
            if text[start : start + 1] == "[":
                surrogates = self._has_surrogates()
                for item in _array_items(text, start + 1):
                    yield _whole(item) if surrogates else item
                return
        except (ValueError, RecursionError):
            pass
        self.json()  # raises if it is not JSON at all
        raise self.unreadable("the response is not a list")

    def _has_surrogates(self) -> bool:
        return b"\\ud" in self.content or b"\\uD" in self.content

    def unreadable(self, problem: str) -> ApiStatusError:
        """The error to raise if the body is not what the API documents."""
        return unreadable(self.request, self.status, problem, plain(self.content, MAX_START))


def _array_items(text: str, at: int) -> Iterator[Any]:
    """The items of a JSON array from after its bracket on; ValueError if it is not JSON."""
    at = _skip(text, at)
    more = text[at : at + 1] != "]"
    while more:
        item, at = _DECODER.raw_decode(text, at)
        yield item
        at = _skip(text, at)
        more = text[at : at + 1] == ","
        if more:
            at = _skip(text, at + 1)
    if text[at : at + 1] != "]" or _skip(text, at + 1) != len(text):
        raise ValueError


def _skip(text: str, at: int) -> int:
    """The position of the next character that is no white space."""
    match = _BLANKS.match(text, at)
    return at if match is None else match.end()


def _whole(value: Any) -> Any:
    """The value without halves of surrogate pairs, which could not be written anywhere."""
    halves = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass")
    return json.loads(halves.decode("utf-16", "replace"))


def raise_for_status(raw: RawResponse, auth: Auth, body: MultipartFile | None) -> Response:
    """The response, if it is a success; `auth` is for the advice in errors.

    Raises:
        ApiConnectionError: If the response came before the file was sent.
        ApiStatusError: If it is not a success, or too large.
    """
    if 300 <= raw.status < 400:
        raise redirect(raw)
    if not 200 <= raw.status < 300:
        raise status_error(raw, auth)
    response = Response(raw.status, raw.content, raw.request)
    if is_page(raw.headers, raw.content):
        # Also if no content is expected: a login page is not a stored chunk.
        raise response.unreadable("the response is a web page")
    if body is not None and not body.finished:
        msg = (
            f"{raw.request} returned {raw.status} before the file was completely sent. It is "
            "unknown what the server has stored."
        )
        raise ApiConnectionError(msg, **dataclasses.asdict(raw.request))
    if len(raw.content) > MAX_RESPONSE_BYTES:
        raise response.unreadable(f"the response is longer than {MAX_RESPONSE_BYTES:,} bytes")
    return response
