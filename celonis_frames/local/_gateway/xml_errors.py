"""Errors as S3 returns them: a status, and a code in an XML body."""

from __future__ import annotations

import re
import uuid
from xml.sax.saxutils import escape

from starlette.responses import Response

MEDIA_TYPE = "application/xml"

_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

CODES: dict[str, tuple[int, str]] = {
    "AccessDenied": (403, "Access Denied"),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed."),
    "BadDigest": (400, "The Content-MD5 you specified did not match what we received."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "IncompleteBody": (400, "The request body is shorter than its Content-Length."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS access key ID you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
    "InvalidRequest": (400, "Invalid Request"),
    "KeyTooLongError": (400, "Your key is too long"),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented"),
    "RequestTimeTooSkewed": (
        403, "The difference between the request time and the current time is too large.",
    ),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. Check "
        "your key and signing method.",
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "XAmzContentSHA256Mismatch": (
        400, "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}  # fmt: skip
"""Status and message of each code."""


class GatewayError(Exception):
    """An error response of the gateway.

    Args:
        code: One of `CODES`.
        message: Its message, if not the usual one of the code.
        details: More elements of the body.
    """

    def __init__(self, code: str, message: str = "", **details: str) -> None:
        self.status, usual = CODES[code]
        self.code, self.message, self.details = code, message or usual, details
        super().__init__(f"{code}: {self.message}")

    def body(self, resource: str = "", request_id: str = "") -> bytes:
        """The XML body.

        Args:
            resource: The path that was requested.
            request_id: Id of the request.
        """
        elements = {
            "Code": self.code, "Message": self.message, **self.details,
            "Resource": resource, "RequestId": request_id,
        }  # fmt: skip
        inner = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in elements.items())
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode()

    def response(self, resource: str, request_id: str) -> Response:
        """The HTTP response."""
        return Response(
            self.body(resource, request_id),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers={"x-amz-request-id": request_id},
        )


def new_request_id() -> str:
    """An id for a request, in the form that S3 gives them."""
    return uuid.uuid4().hex[:16].upper()


def _text(value: str) -> str:
    """The value for XML, which has neither control characters nor surrogates."""
    return escape(_NO_XML.sub("\ufffd", value))
