"""AWS Signature Version 4, checked as by a server.

The algorithm is that of AWS' public documentation (*Signature Calculations for the Authorization
Header*): a canonical request, made of what arrived, is hashed into a string to sign, and this is
signed with a key derived from the secret, the day, the region and the service.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote_to_bytes

from celonis_frames.local._gateway.xml_errors import GatewayError

ALGORITHM = "AWS4-HMAC-SHA256"
SERVICE = "s3"
UNSIGNED = "UNSIGNED-PAYLOAD"
MAX_SKEW = timedelta(minutes=15)
"""Largest difference between the time of a request and that of the server, as in S3."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class SignedRequest:
    """What of a request is signed, as it arrived.

    Attributes:
        method: The HTTP method.
        path: The path, with its percent-encoding.
        query: The query, without the question mark.
        headers: Names in lower case, and values.
    """

    method: str
    path: bytes
    query: bytes
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str | None:
        """The value of a header; several of one name are joined with commas."""
        values = [value for found, value in self.headers if found == name]
        return ",".join(values) if values else None


@dataclass(frozen=True)
class Authorization:
    """The parts of the header ``Authorization``."""

    access_key: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str

    @property
    def scope(self) -> str:
        """The scope of the key that signs."""
        return f"{self.day}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True)
class Credentials:
    """What a signature is checked against."""

    secret_key: str
    region: str


def verify(
    request: SignedRequest, credentials: Callable[[str], Credentials | None], now: datetime
) -> tuple[str, str]:
    """Check the signature of a request; returns the access key and the hash of the payload.

    The payload itself is not checked: it has not been read yet. The hash is in hex, or `UNSIGNED`.

    Args:
        request: The request.
        credentials: Returns the credentials of an access key, or None if there is no such key.
        now: The time of the server.

    Raises:
        GatewayError: The request is not signed, or not rightly.
    """
    given = parse_authorization(request.header("authorization"))
    at = _time(request)
    known = credentials(given.access_key)
    if known is None:
        raise GatewayError("InvalidAccessKeyId", AWSAccessKeyId=given.access_key)
    _check_scope(given, at, known.region)
    if abs(now - at) > MAX_SKEW:
        raise GatewayError(
            "RequestTimeTooSkewed", RequestTime=at.strftime(_TIME),
            ServerTime=now.strftime("%Y-%m-%dT%H:%M:%SZ"), MaxAllowedSkewMilliseconds="900000",
        )  # fmt: skip
    _check_signed_headers(given, request)
    payload = request.header("x-amz-content-sha256")
    if payload is None:
        raise GatewayError("InvalidRequest", "The header x-amz-content-sha256 is missing.")
    canonical = canonical_request(request, given.signed_headers, payload)
    text = string_to_sign(canonical, at, given.scope)
    expected = sign(known.secret_key, text, given)
    if not hmac.compare_digest(expected.encode(), given.signature.encode()):
        raise GatewayError(
            "SignatureDoesNotMatch", AWSAccessKeyId=given.access_key, StringToSign=text,
            SignatureProvided=given.signature, CanonicalRequest=canonical,
        )  # fmt: skip
    if payload.startswith("STREAMING-"):
        raise GatewayError(
            "NotImplemented", f"A payload in signed parts ({payload}) is not implemented"
        )
    if payload != UNSIGNED and not _SHA256.fullmatch(payload):
        raise GatewayError(
            "InvalidArgument",
            f"x-amz-content-sha256 must be {UNSIGNED} or a valid sha256 value.",
            ArgumentName="x-amz-content-sha256", ArgumentValue=payload,
        )  # fmt: skip
    return given.access_key, payload


def parse_authorization(header: str | None) -> Authorization:
    """The parts of the header ``Authorization``.

    Raises:
        GatewayError: There is none, or it is not one of Signature Version 4.
    """
    if not header:
        raise GatewayError("AccessDenied")
    kind, _, rest = header.partition(" ")
    if kind != ALGORITHM:
        raise GatewayError(
            "InvalidRequest",
            f"Only this kind of Authorization is known: {ALGORITHM}.",
        )
    pairs = [part.strip().partition("=") for part in rest.split(",")]
    parts = {name: value for name, _, value in pairs}
    if len(pairs) != 3 or set(parts) != {"Credential", "SignedHeaders", "Signature"}:
        raise _malformed("it must have Credential, SignedHeaders and Signature.")
    credential = parts["Credential"].rsplit("/", 4)
    if len(credential) != 5 or credential[4] != "aws4_request" or not credential[0]:
        raise _malformed('the Credential must be "<key>/YYYYMMDD/<region>/s3/aws4_request".')
    access_key, day, region, service, _ = credential
    headers = tuple(parts["SignedHeaders"].split(";"))
    return Authorization(access_key, day, region, service, headers, parts["Signature"])


def canonical_request(request: SignedRequest, signed_headers: tuple[str, ...], payload: str) -> str:
    """The canonical request of the specification."""
    pairs = [part.partition(b"=") for part in request.query.split(b"&") if part]
    query = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    headers = [f"{name}:{_trimmed(request, name)}\n" for name in signed_headers]
    return "\n".join((
        request.method,
        "/".join(map(_encoded, request.path.split(b"/"))),
        "&".join(f"{name}={value}" for name, value in query),
        "".join(headers),
        ";".join(signed_headers),
        payload,
    ))  # fmt: skip


def string_to_sign(canonical: str, at: datetime, scope: str) -> str:
    """The string to sign of the specification."""
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{at.strftime(_TIME)}\n{scope}\n{digest}"


def signing_key(secret_key: str, given: Authorization) -> bytes:
    """The key derived from the secret."""
    key = f"AWS4{secret_key}".encode()
    for part in given.scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(secret_key: str, text: str, given: Authorization) -> str:
    """The signature of a string to sign, in hex."""
    return hmac.digest(signing_key(secret_key, given), text.encode(), "sha256").hex()


def _encoded(value: bytes) -> str:
    """The value in the one percent-encoding of the specification, however it was sent."""
    return quote(unquote_to_bytes(value), safe="")


def _trimmed(request: SignedRequest, name: str) -> str:
    value = request.header(name) or ""
    # Headers arrive as bytes, read as Latin-1; clients sign them as UTF-8.
    return re.sub(" +", " ", value.strip()).encode("latin-1").decode("utf-8", "surrogateescape")


def _time(request: SignedRequest) -> datetime:
    """The time of the request: its ``x-amz-date``, else its ``Date``."""
    for name in ("x-amz-date", "date"):
        value = request.header(name)
        if value is None:
            continue
        try:
            return datetime.strptime(value, _TIME).replace(tzinfo=UTC)
        except ValueError:
            pass
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            break
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    raise GatewayError("AccessDenied", "The request has no x-amz-date or Date that can be read.")


def _check_scope(given: Authorization, at: datetime, region: str) -> None:
    if given.region != region:
        raise _malformed(
            f"the region '{given.region}' is wrong; expecting '{region}'", Region=region
        )
    if given.service != SERVICE:
        raise _malformed(
            f'incorrect service "{given.service}". This endpoint belongs to "{SERVICE}".'
        )
    if given.day != at.strftime("%Y%m%d"):
        raise _malformed(f'invalid credential date "{given.day}". It must be that of x-amz-date.')


def _check_signed_headers(given: Authorization, request: SignedRequest) -> None:
    required = {"host"} | {name for name, _ in request.headers if name.startswith("x-amz-")}
    unsigned = sorted(required - set(given.signed_headers))
    if unsigned:
        raise GatewayError(
            "AccessDenied",
            "A header of S3 is not signed.",
            HeadersNotSigned=", ".join(unsigned),
        )


def _malformed(problem: str, **details: str) -> GatewayError:
    text = f"The Authorization header cannot be read: {problem}"
    return GatewayError("AuthorizationHeaderMalformed", text, **details)
