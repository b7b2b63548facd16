"""The gateway of the Data Ingestion API: one call, which stores an object.

The gateway is like S3 in path style. Only *PutObject* is known to exist (Celonis' documentation, a
partner's application); nothing can be listed, read or removed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from urllib.parse import quote

from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.file_body import FileBody, Payload
from celonis_frames._http.transport import Transport
from celonis_frames._ingestion.errors import error_of
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._ingestion.signing import signed_headers
from celonis_frames.exceptions import ApiStatusError, ConfigError

PATH = "/api/data-ingestion"


class IngestionGateway:
    """Stores objects for one data connection. Threads may share it."""

    def __init__(self, transport: Transport, keys: IngestionKeys) -> None:
        self._transport, self.keys = transport, keys
        self.url = transport.url

    def close(self) -> None:
        """Close the connections; later calls raise ConfigError."""
        self._transport.close()

    def put(
        self, token: CancelToken, key: str, payload: Payload, *, on_sent: Callable[[int], None]
    ) -> None:
        """Store an object under a key, which `object_key` makes.

        Raises:
            ApiError: The call failed. Unless it was rejected, the object may have been stored.
            Cancelled: The token was cancelled before.
        """
        body = FileBody(payload, on_sent=on_sent)
        keys = self.keys
        path = f"{PATH}/{keys.bucket}/{key}"
        headers = signed_headers(
            keys, "PUT", self.url + path, {"Content-Type": body.content_type}, _sha256(payload)
        )
        with token.calling():
            self._transport.request(
                "PUT", path, body=body, headers=headers,
                hide=(keys.access_key, keys.secret_key), error_of=error_of,
            )  # fmt: skip

    def check_keys(self, token: CancelToken) -> bool:
        """Whether the keys are known to be right; nothing is stored.

        A byte is sent with digests that are not its own. S3 checks the signature first and then
        rejects the object (Celonis' documentation: the gateway has the error codes of S3). False if
        the response says neither.

        Raises:
            ApiError: The keys, the bucket or the clock are wrong, or the call failed.
        """
        keys, other = self.keys, hashlib.sha256(b"other").hexdigest()
        path = f"{PATH}/{keys.bucket}/{object_key(keys, _CHECKED_TABLE, 'check.parquet')}"
        given = {"Content-Type": FileBody.content_type, "Content-MD5": _OTHER_MD5}
        headers = signed_headers(keys, "PUT", self.url + path, given, other)
        try:
            with token.calling():
                self._transport.request(
                    "PUT", path, body=FileBody(_OneByte()), headers=headers,
                    hide=(keys.access_key, keys.secret_key), error_of=error_of,
                )  # fmt: skip
        except ApiStatusError as error:
            if _DIGEST_CODES.intersection(error.error_codes):
                return True
            if _KEY_CODES.intersection(error.error_codes) or error.status_code not in _UNCLEAR:
                raise
        return False


_CHECKED_TABLE = "CELONIS_FRAMES_CHECK"
_OTHER_MD5 = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
_DIGEST_CODES = frozenset({"BadDigest", "XAmzContentSHA256Mismatch"})


_KEY_CODES = frozenset(
    {"AuthorizationHeaderMalformed", "InvalidAccessKeyId", "NoSuchBucket", "RequestTimeTooSkewed",
     "SignatureDoesNotMatch"}
)  # fmt: skip
_UNCLEAR = frozenset({400, 405, 411, 500, 501})
"""Statuses of a gateway that does not know a header of the check."""


class _OneByte:
    """The file of a check, which is never stored."""

    name, size = "check.parquet", 1

    def blocks(self) -> Iterator[bytes | memoryview]:
        """Its byte."""
        yield b"0"

    def release(self) -> None:
        """Nothing is held."""


def object_key(keys: IngestionKeys, table: str, name: str) -> str:
    """The percent-encoded key of an object: connection, source table, file.

    Raises:
        ConfigError: The table's name cannot be a part of a URL's path.
    """
    if table in {".", ".."} or "/" in table:
        raise ConfigError(
            f"Table {table!r} cannot be a part of an object's key, in which '/' divides the parts: "
            "give it another source name where the connection is set up."
        )
    return "/".join(("connection", keys.connection, quote(table, safe="~"), quote(name, safe="~")))


def _sha256(payload: Payload) -> str:
    # Of a file the last block is sent only if it has this digest.
    known = getattr(payload, "sha256", None)
    if known is not None:
        return str(known)
    digest = hashlib.sha256()
    for block in payload.blocks():
        digest.update(block)
    return digest.hexdigest()
