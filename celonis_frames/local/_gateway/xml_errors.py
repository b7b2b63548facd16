"""Errors as S3 returns them: a status, and a code in an XML body."""

from __future__ import annotations

import re
import uuid
from xml.sax.saxutils import escape

from starlette.responses import Response

MEDIA_TYPE = "application/xml"

_NO_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

CODES: dict[str, tuple[int, str]] = {
    "AccessDenied": (403, "These keys do not open this, or the gateway has no such call."),
    "AuthorizationHeaderMalformed": (400, "The Authorization header cannot be read."),
    "BadDigest": (400, "The body has another MD5 than Content-MD5 says."),
    "EntityTooLarge": (400, "The object is larger than the gateway takes."),
    "IncompleteBody": (400, "The body ended before Content-Length was reached."),
    "InternalError": (500, "The gateway failed."),
    "InvalidAccessKeyId": (403, "No data connection has this access key."),
    "InvalidArgument": (400, "A part of the request cannot be used."),
    "InvalidDigest": (400, "Content-MD5 is no MD5."),
    "InvalidRequest": (400, "The request cannot be used."),
    "KeyTooLongError": (400, "The object's key is too long."),
    "MissingContentLength": (411, "The request has no Content-Length."),
    "NoSuchBucket": (404, "There is no such bucket."),
    "NotImplemented": (501, "The gateway does not know what a header asks for."),
    "RequestTimeTooSkewed": (403, "The request was signed at another time than now."),
    "SignatureDoesNotMatch": (403, "The signature is not the one of this request and secret key."),
    "SlowDown": (503, "Too many requests at a time."),
    "XAmzContentSHA256Mismatch": (400, "The body has another SHA-256 than its header says."),
}
"""Status of each code of S3, and the gateway's own message."""


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
