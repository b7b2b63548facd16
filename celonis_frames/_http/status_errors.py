"""Build the ApiStatusError for an error response.

The status decides, never the text. The text is quoted, shortened and without control characters; a
secret that a server echoes was masked when the response was read.
"""

from __future__ import annotations

import dataclasses
import email.utils
import html
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from celonis_frames._http.auth import Auth
from celonis_frames._http.messages import REQUEST_IDS, RawResponse, Request
from celonis_frames._http.redaction import plain
from celonis_frames.exceptions import (
    ApiStatusError,
    AuthenticationError,
    BadRequest,
    Conflict,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
)

_CLASSES: dict[int, type[ApiStatusError]] = {
    400: BadRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}
_StatusError = TypeVar("_StatusError", bound=ApiStatusError)

_OUR_MISTAKES = frozenset({400, 401, 403, 404, 409})
_PAGE_STATUSES = frozenset({407, 408, 413, 425, 429})
"""Statuses below 500 of which a proxy's page is no surprise: what they mean is the same."""
_NOT_TEXT = re.compile(r"(?is)<(script|style)\b.*?(?:</\1\s*>|\Z)|<[^>]*>?")
MAX_PAGE_QUOTED = 200
"""Characters of a web page's text that are quoted."""
MAX_ID = 100
"""Characters of an id that are kept."""
_SUPPORT_ID = re.compile(
    rb'(?i)support id\W{0,3}([0-9a-z][0-9a-z-]{5,99})|"reference"\s*:\s*"([^"\\]{1,100})"'
)
"""As in the texts of Celonis' APIs, and in the 500 of the Data Push API."""
MAX_PAGE = 20_000
"""Characters of a web page that are read for its text."""


def with_ids(error: _StatusError, response: RawResponse) -> _StatusError:
    """The error, with the ids by which Celonis' support finds the request, if there are any."""
    given = filter(None, map(response.headers.get, REQUEST_IDS))
    error.request_id = plain(next(given, ""), MAX_ID) or None
    support = _SUPPORT_ID.search(response.content[:MAX_PAGE])
    error.support_id = None if support is None else plain(support[1] or support[2], MAX_ID)
    if error.request_id is not None:
        error.add_note(f"Request id: {error.request_id}.")
    return error


def unreadable(request: Request, status: int, problem: str, start: str | None) -> ApiStatusError:
    """The error for a successful response that cannot be read.

    Its `start` is quoted, unless it is None because it may hold a secret.
    """
    quoted = "" if start is None else f" It begins: {start}" if start else " It is empty."
    return ApiStatusError(
        f"{request} returned {status}, but {problem}.{quoted} Check that the URL is that of your "
        "Celonis team, and that no proxy or login page responds in its place.",
        status_code=status,
        body=start or "",
        **dataclasses.asdict(request),
    )


def restated(error: _StatusError, message: str) -> _StatusError:
    """The same error with another message."""
    return type(error)(
        message,
        status_code=error.status_code,
        body=error.body,
        error_codes=error.error_codes,
        retry_after=error.retry_after,
        request_id=error.request_id,
        support_id=error.support_id,
        method=error.method,
        url=error.url,
        job_id=error.job_id,
        reason=error.reason,
    )


def redirect(response: RawResponse) -> ApiStatusError:
    """The error for a redirect; only the host is named."""
    request, status = response.request, response.status
    try:
        host = urlsplit(response.headers.get("Location", "")).hostname
        host = host or urlsplit(request.url).hostname or ""
    except ValueError:
        host = "an unreadable URL"
    return ApiStatusError(
        f"{request} returned {status}: a redirect to {plain(host, limit=100)}. It was not "
        "followed, so that the key is sent nowhere else. Use your team's current URL, pasted from "
        "the browser; if it is right, a proxy or login page responds in its place.",
        status_code=status,
        **dataclasses.asdict(request),
    )


def is_page(headers: Mapping[str, str], content: bytes) -> bool:
    """Whether a response is a web page, which the API never returns."""
    content_type = headers.get("Content-Type", "").strip().lower()
    start = content[:100].removeprefix(b"\xef\xbb\xbf").lstrip()
    return content_type.startswith(("text/html", "application/xhtml")) or start[:1] == b"<"


def page_error(
    response: RawResponse, kind: type[ApiStatusError] = ApiStatusError
) -> ApiStatusError | None:
    """The error of this `kind` for a web page with an error status, or None.

    The API returns JSON or nothing: the page is not about the key, its permissions or an id. With a
    status that means the same from a proxy (429, 5xx) None too.
    """
    request, status = response.request, response.status
    body = status < 500 and status not in _PAGE_STATUSES and response.content.strip()
    if not body or not is_page(response.headers, response.content):
        return None
    page = response.content[:MAX_PAGE].decode("utf-8", "replace")
    text = plain(html.unescape(_NOT_TEXT.sub(" ", page)), MAX_PAGE_QUOTED)
    host = urlsplit(request.url).netloc
    return kind(
        f"{request} returned {status} with a web page, which the API never does: a proxy, a "
        f"firewall or a login page responded in place of Celonis. Check the URL, the proxy "
        f"(HTTPS_PROXY, NO_PROXY), and that the network allows connections to {host}."
        f"{f' The page says: {text}' if text else ''}",
        status_code=status,
        body=plain(response.content),
        **dataclasses.asdict(request),
    )


def status_error(response: RawResponse, auth: Auth) -> ApiStatusError:
    """The error for a response with a status of 400 or above; `auth` is for the advice."""
    if (page := page_error(response)) is not None:
        return page
    request, status = response.request, response.status
    text, codes = parse_error_body(response.content)
    message = plain(text)
    wait = retry_after(response.headers) if status in (429, 503) else None
    quoted = f" The server says: {message}" if message else ""
    kind = _CLASSES.get(status, ServerError if status >= 500 else ApiStatusError)
    doubt = ""
    if message and status in _OUR_MISTAKES and not _is_json(response.content):
        doubt = " The response is no JSON: a proxy or firewall may have sent it instead of Celonis."
    return kind(
        f"{request} returned {status}: {_advice(status, auth, wait)}{doubt}{quoted}",
        status_code=status,
        body=plain(response.content),
        error_codes=tuple(plain(code, 100) for code in codes),
        retry_after=wait,
        **dataclasses.asdict(request),
    )


def _advice(status: int, auth: Auth, wait: float | None) -> str:
    if status == 401:
        return (
            f"the server does not accept {auth.kind}. {auth.advice} Otherwise check that the key "
            "belongs to this team, is complete and was not deleted."
        )
    if status == 403:
        return (
            "the key is valid, but lacks a permission. It needs 'Data Push API' on the pool: "
            "Admin & Settings → Permissions → Data Integration, or the three dots to the right of "
            f"the Data Pool. {auth.permission}".rstrip()
        )
    if status == 429:
        when = "later" if wait is None else f"in {wait:,.0f} s"
        return (
            f"too many requests. Try again {when}. A team may submit 10 jobs a second and 250 an "
            "hour, counted from the full hour (UTC): push larger frames less often."
        )
    if status == 511:
        return "the network requires a login. Open a page in the browser to log in."
    if status >= 500:
        return (
            "the server, or a gateway in front of it, failed. Try again later; if it persists, "
            "give Celonis support the time and this message."
        )
    return {
        400: "the server rejected the request. Correct what it names.",
        407: "a proxy requires a user name and password. Give them in HTTPS_PROXY.",
        404: (
            "there is no such pool, data connection, data model, table or job, or the key may not "
            "see it. Check the id, and that the URL is that of the team it belongs to."
        ),
        409: "another submission is in progress. Try again in a few seconds.",
        413: "the chunk is too large for the server or a gateway in between. Lower chunk_bytes.",
    }.get(
        status,
        "the server rejected the request. Check the URL and any proxy or gateway in between.",
    )


def parse_error_body(content: bytes) -> tuple[str, tuple[str, ...]]:
    """The message and the error codes of an error response, from the known formats.

    Two are of the Data Push API; other APIs of Celonis use ``title`` and ``detail``.
    """
    text = content.decode("utf-8", "replace")
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        return text, ()
    if not isinstance(body, dict):
        return text, ()
    if isinstance(body.get("errors"), list):
        errors = [error for error in body["errors"] if isinstance(error, dict)]
        codes = [str(e["errorCode"]) for e in errors if e.get("errorCode")]
        return "; ".join(map(_join_fields, errors)), tuple(codes)
    codes = [str(body["errorCode"])] if body.get("errorCode") else []
    message = body.get("message") or body.get("shortMessage") or body.get("error")
    message = message or ": ".join(str(body[key]) for key in ("title", "detail") if body.get(key))
    if not message and not body.get("reference"):
        return text, tuple(codes)
    reference = f" (reference {body['reference']})" if body.get("reference") else ""
    return f"{message or 'no message'}{reference}", tuple(codes)


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def _join_fields(error: dict[str, Any]) -> str:
    names = ("attribute", "error", "errorCode", "additionalInfo")
    return " · ".join(str(error[name]) for name in names if error.get(name))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from ``Retry-After`` (seconds or date), else ``x-ratelimit-reset``."""
    for name in ("Retry-After", "x-ratelimit-reset"):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value)
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
            except (ValueError, OverflowError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
