"""Successful responses, and the checks that reject login pages and oversized bodies."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable
from typing import Any

from celonis_frames._http.auth import Auth
from celonis_frames._http.file_body import FileBody
from celonis_frames._http.json_items import has_surrogates, whole
from celonis_frames._http.messages import RawResponse, Request
from celonis_frames._http.redaction import plain
from celonis_frames._http.status_errors import is_page, redirect, status_error, unreadable, with_ids
from celonis_frames.exceptions import ApiConnectionError, ApiStatusError

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""Largest successful response that is held; long lists are read item by item."""
MAX_START = 200
"""Characters of an unreadable response that are quoted."""


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
            return whole(value) if has_surrogates(self.content) else value
        raise self.unreadable("the response is not JSON")

    def unreadable(self, problem: str) -> ApiStatusError:
        """The error to raise if the body is not what the API documents."""
        return unreadable(self.request, self.status, problem, plain(self.content, MAX_START))


ErrorOf = Callable[[RawResponse], ApiStatusError | None]
"""Makes the error of a response, or returns None for one that it does not know."""


def raise_for_status(
    raw: RawResponse, auth: Auth, body: FileBody | None, error_of: ErrorOf | None = None
) -> Response:
    """The response, if it is a success; `auth` is for the advice in errors.

    Raises:
        ApiConnectionError: If the response came before the file was sent.
        ApiStatusError: If it is not a success, too large, or not the list that it should be.
    """
    if 300 <= raw.status < 400:
        raise with_ids(redirect(raw), raw)
    if not 200 <= raw.status < 300:
        known = None if error_of is None else error_of(raw)
        raise with_ids(known or status_error(raw, auth), raw)
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
    if raw.problem is not None:
        raise response.unreadable(raw.problem)
    return response
