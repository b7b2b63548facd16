"""What a refusal means: from an answer's status and text to the error to raise.

The status decides, never the text. The text is quoted, shortened and without control characters;
a key that a server sends back is hidden before anything else is done with the answer.
"""

from __future__ import annotations

import dataclasses
import email.utils
import json
import math
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from celonis_frames._http.messages import RawResponse, Request
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

if TYPE_CHECKING:
    from collections.abc import Mapping

    from celonis_frames._http.auth import Auth

__all__ = ["redirect", "retry_after", "status_error", "unreadable"]

_KINDS: dict[int, type[ApiStatusError]] = {
    400: BadRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    429: RateLimited,
}


def unreadable(call: Request, status: int, problem: str, start: str | None) -> ApiStatusError:
    """The error for an answer that says success, but cannot be understood.

    Args:
        call: What was asked.
        status: The HTTP status.
        problem: What is wrong with it.
        start: Its beginning, to be quoted; None when it may hold a secret.
    """
    quoted = "" if start is None else f" It begins: {start}" if start else " It is empty."
    return ApiStatusError(
        f"{call} answered {status}, but {problem}.{quoted} Check that the address is that of your "
        "Celonis team, and that no proxy or login page answers in its place.",
        status_code=status,
        body=start or "",
        **dataclasses.asdict(call),
    )


def redirect(response: RawResponse) -> ApiStatusError:
    """The error for a response that redirects the request; only the host is named."""
    request, status = response.request, response.status
    try:
        host = urlsplit(response.headers.get("Location", "")).hostname
        host = host or urlsplit(request.url).hostname or ""
    except ValueError:
        host = "an unreadable address"
    host = plain(host, limit=100)
    return ApiStatusError(
        f"{request} answered {status}: a redirect to {host}. It was not followed, so that the key "
        "goes to no other place. Use your team's present address, pasted from the browser; if it "
        "is right, a proxy or login page answers in its place.",
        status_code=status,
        **dataclasses.asdict(request),
    )


def status_error(reply: RawResponse, auth: Auth) -> ApiStatusError:
    """The error for an answer of 400 and above, ready to be raised.

    Args:
        reply: The answer; of its headers only the waiting times are read.
        auth: What was sent, to name its kind.
    """
    call, status = reply.request, reply.status
    said, codes = _said(reply.content)
    said = plain(said)
    kind = _KINDS.get(status, ServerError if status >= 500 else ApiStatusError)
    wait = retry_after(reply.headers) if status in (429, 503) else None
    quoted = f" The server says: {said}" if said else ""
    return kind(
        f"{call} answered {status}: {_advice(status, auth, wait)}{quoted}",
        status_code=status,
        body=plain(reply.content),
        error_codes=tuple(plain(code, 100) for code in codes),
        retry_after=wait,
        **dataclasses.asdict(call),
    )


def _advice(status: int, auth: Auth, wait: float | None) -> str:
    if status == 401:
        return (
            f"the server does not accept {auth.kind}. {auth.advice} Else check that the key is "
            "of this team, whole, and not deleted."
        )
    if status == 403:
        return (
            "the key is known, but may not do this. It needs the permission 'Data Push API' on "
            "the pool: Admin & Settings → Permissions → Data Integration, or the three dots at "
            f"the right of the Data Pool. {auth.permission}".rstrip()
        )
    if status == 429:
        when = "in a while" if wait is None else f"in {wait:,.0f} s"
        return (
            f"too many requests. Try again {when}. A team may submit 10 jobs a second and 250 an "
            "hour, counted from the full hour (UTC): push larger frames less often."
        )
    if status >= 500:
        return (
            "the server, or a gateway before it, failed. Try again later; if it stays, give "
            "Celonis support the time and the text below."
        )
    return {
        400: "the server refuses what was sent. Correct what it names.",
        404: (
            "there is no such pool, data connection, table or job, or the key may not see it. "
            "Check the id, and that the address is that of the team it belongs to."
        ),
        409: "another submission is in the way at this moment. Try again in some seconds.",
        413: "the chunk is too large for the server or a gateway before it. Lower chunk_bytes.",
    }.get(status, "the server refuses the call. Check the address and what stands between.")


def _said(content: bytes) -> tuple[str, tuple[str, ...]]:
    """The readable part of a refusal, and its error codes, from the two known shapes."""
    try:
        answer: Any = json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace"), ()
    if not isinstance(answer, dict):
        return content.decode("utf-8", "replace"), ()
    if isinstance(answer.get("errors"), list):
        errors = [error for error in answer["errors"] if isinstance(error, dict)]
        codes = [str(e["errorCode"]) for e in errors if e.get("errorCode")]
        return "; ".join(_one(error) for error in errors), tuple(codes)
    code = answer.get("errorCode")
    codes = [str(code)] if code else []
    message = answer.get("message") or answer.get("shortMessage") or answer.get("error")
    if not message and not answer.get("reference"):
        return content.decode("utf-8", "replace"), tuple(codes)
    reference = f" (reference {answer['reference']})" if answer.get("reference") else ""
    return f"{message or 'no message'}{reference}", tuple(codes)


def _one(error: dict[str, Any]) -> str:
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
