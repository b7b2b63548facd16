"""The signature of a request (AWS Signature Version 4), made by botocore.

The request itself goes through this library's transport, with its proxies, TLS, timeouts and
retries. botocore only signs: an SDK of AWS would add checksums and encodings of its own to the
body, which such gateways reject.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._secrets import Secret

SERVICE = "s3"


def signed_headers(
    keys: IngestionKeys, method: str, url: str, headers: Mapping[str, str], sha256: str
) -> dict[str, str | Secret]:
    """The headers of a request with its signature, good for some minutes; no traceback shows it.

    Args:
        keys: The keys to sign with.
        method: HTTP method.
        url: The URL exactly as it is sent: every segment of its path percent-encoded.
        headers: Headers to sign besides those that a signature needs.
        sha256: SHA-256 of the body, in hex.

    Raises:
        ImportError: botocore is not installed.
    """
    auth, awsrequest, credentials = botocore()
    request = awsrequest.AWSRequest(method=method, url=url, headers=dict(headers))
    request.context["sha256"] = sha256
    key = credentials.Credentials(keys.access_key.reveal(), keys.secret_key.reveal())

    class Signer(auth.S3SigV4Auth):  # type: ignore[misc,name-defined]  # botocore has no types
        def payload(self, request: Any) -> str:
            return str(request.context["sha256"])

    Signer(key, SERVICE, keys.region).add_auth(request)
    signed: dict[str, str | Secret] = dict(request.headers.items())
    return signed | {"Authorization": Secret(request.headers["Authorization"])}


def botocore() -> tuple[Any, Any, Any]:
    """The modules of botocore that sign.

    Raises:
        ImportError: It is not installed.
    """
    try:
        from botocore import auth, awsrequest, credentials  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise ImportError(
            'via="ingestion" needs botocore: pip install "celonis-frames[ingestion]"'
        ) from error
    return auth, awsrequest, credentials
