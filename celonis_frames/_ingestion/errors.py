"""The errors of an S3-compatible gateway, from their XML."""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import time
from email.utils import parsedate_to_datetime

from celonis_frames._http.messages import RawResponse
from celonis_frames._http.redaction import plain
from celonis_frames._http.status_errors import retry_after
from celonis_frames.exceptions import (
    ApiStatusError,
    BadRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
)

_FIELD = re.compile(rb"<(Code|Message|ServerTime)>(.*?)</\1>", re.DOTALL)
"""Fields of the flat XML that S3 documents; no XML parser reads what a stranger sent."""

_WHERE = "Data Pool → Data Connections → the Push data into Celonis connection"

_ADVICE: dict[str, tuple[type[ApiStatusError], str]] = {
    "AccessDenied": (
        PermissionDenied,
        "the keys are valid, but may not store this object. Check the bucket, the id of the data "
        f"connection, and that the table is set up there ({_WHERE}).",
    ),
    "InvalidAccessKeyId": (
        PermissionDenied,
        f"the access key is unknown. Compare it with the connection's ({_WHERE}); API keys are "
        "others.",
    ),
    "SignatureDoesNotMatch": (
        PermissionDenied,
        "the secret key or the region is not the connection's. Compare both with what Celonis "
        f"shows ({_WHERE}). A proxy that changes headers or URLs breaks signatures as well.",
    ),
    "AuthorizationHeaderMalformed": (
        PermissionDenied,
        "the region, or another part of the signature, is not what the gateway expects. Compare "
        f"the region with what Celonis shows ({_WHERE}).",
    ),
    "RequestTimeTooSkewed": (
        PermissionDenied,
        "the clock of this machine is wrong{skew}: signatures hold for 15 minutes. Set it.",
    ),
    "NoSuchBucket": (
        NotFound,
        f"there is no such bucket. Compare it with what Celonis shows ({_WHERE}).",
    ),
    "EntityTooLarge": (BadRequest, "the object is too large. Lower chunk_bytes."),
    "SlowDown": (RateLimited, "too many requests. Try again later, or send larger chunks."),
}


def error_of(response: RawResponse) -> ApiStatusError | None:
    """The error for an XML response of the gateway; None for any other response.

    Every code is in `error_codes`; ``SlowDown`` certainly stored nothing.
    """
    fields = {
        name.decode(): plain(value) for name, value in _FIELD.findall(response.content[:20_000])
    }
    code = fields.get("Code")
    if code is None or b"<Error>" not in response.content[:1_000]:
        return None
    status = response.status
    known = _ADVICE.get(code)
    kind = known[0] if known else ServerError if status >= 500 else ApiStatusError
    advice = known[1] if known else "the gateway rejected the request. Correct what it names."
    message, advice = fields.get("Message", ""), advice.format(skew=_skew(response, fields))
    return kind(
        f"{response.request} returned {status} {code}: {advice}"
        f"{f' The server says: {message}' if message else ''}",
        status_code=status,
        body=plain(response.content),
        error_codes=(code,),
        # What was rejected in order to slow down was not stored: it is safe to repeat.
        retry_after=retry_after(response.headers) or (1.0 if code == "SlowDown" else None),
        **dataclasses.asdict(response.request),
    )


def _skew(response: RawResponse, fields: dict[str, str]) -> str:
    """By how much this machine's clock differs from the server's, for a message."""
    try:
        if "ServerTime" in fields:
            server = dt.datetime.fromisoformat(fields["ServerTime"]).timestamp()
        else:
            server = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError):
        return ""
    minutes = (time.time() - server) / 60
    return f", by {abs(minutes):,.0f} minutes {'ahead' if minutes > 0 else 'behind'}"
