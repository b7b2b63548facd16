"""The calls of the gateway: PutObject, HeadObject for a lenient server, and 403 for all others."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from celonis_frames.local._gateway.objects import BUCKET, new_object_id
from celonis_frames.local._gateway.signature import UNSIGNED, SignedRequest, verify
from celonis_frames.local._gateway.xml_errors import GatewayError, new_request_id
from celonis_frames.local._web.block_writer import BlockWriter
from celonis_frames.local._web.endpoint import Endpoint, ServerState

_log = logging.getLogger("celonis_frames.local")

PREFIX = "/api/data-ingestion"
MAX_KEY_BYTES = 1_024
"""Longest key of an object, as in S3."""

_QUERY = (b"", b"x-id=PutObject")
"""What newer SDKs add to the URL of a PutObject. Any other query is another call of S3."""
_TAKEN = ("x-amz-date", "x-amz-content-sha256", "x-amz-user-agent", "x-amz-expected-bucket-owner")
"""Headers of S3 that a PutObject may have, beside those of metadata."""
_CONDITIONS = ("if-match", "if-none-match")


async def respond(state: ServerState, request: Request, _: Any = None) -> Response:
    """The response to any call of the gateway."""
    request_id = new_request_id()
    try:
        response = await _respond(state, request)
    except GatewayError as error:
        response = error.response(_raw_path(request).decode("ascii", "replace"), request_id)
    except ClientDisconnect:
        return Response(status_code=400)  # never sent
    except Exception:
        _log.exception("Internal error %s", request_id)
        internal = GatewayError("InternalError")
        response = internal.response(_raw_path(request).decode("ascii", "replace"), request_id)
    response.headers["x-amz-request-id"] = request_id
    return response


async def _respond(state: ServerState, request: Request) -> Response:
    allowed = ("PUT", "HEAD") if state.assumptions.other_types else ("PUT",)
    if request.method not in allowed:
        raise GatewayError("AccessDenied")
    # 1. The signature, before the body is read.
    signed = SignedRequest(
        request.method,
        _raw_path(request),
        request.scope["query_string"],
        tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw
        ),
    )
    access_key, payload = await run_in_threadpool(
        verify, signed, state.objects.credentials, datetime.now(UTC)
    )
    # 2. What the key opens.
    connection = await run_in_threadpool(state.objects.connection_of, access_key)
    key, table = _location(signed.path, connection)
    if request.method == "HEAD":
        return await run_in_threadpool(_head, state, key)
    # 3. The headers, and the body.
    size = _checked_size(signed, state.max_chunk_bytes)
    object_id = new_object_id()
    path = state.objects.path(object_id)
    stored = False
    try:
        digests = await _receive(request, path, size, payload)
        _check_md5(signed.header("content-md5"), digests[1])
        stored = await run_in_threadpool(
            state.objects.add, object_id, str(connection), key, table, digests, size
        )
    finally:
        if not stored:
            path.unlink(missing_ok=True)
    return Response(status_code=200, headers={"ETag": f'"{digests[1]}"'})


def _raw_path(request: Request) -> bytes:
    raw: bytes = request.scope["raw_path"]
    return raw


def _location(path: bytes, connection: str | None) -> tuple[str, str]:
    """The key of the object and its source table, from the path as it was sent."""
    try:
        decoded = unquote(path.decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        raise GatewayError("InvalidArgument", "The key is not valid UTF-8") from None
    if not decoded.startswith(f"{PREFIX}/"):
        raise GatewayError("AccessDenied")
    bucket, _, key = decoded.removeprefix(f"{PREFIX}/").partition("/")
    if bucket != BUCKET:
        raise GatewayError("NoSuchBucket", BucketName=bucket)
    if len(key.encode()) > MAX_KEY_BYTES:
        raise GatewayError("KeyTooLongError")
    beginning = f"connection/{connection}/"
    table, _, file = key.removeprefix(beginning).rpartition("/")
    if not key.startswith(beginning) or not table or not file:
        raise GatewayError("AccessDenied")
    return key, table


def _checked_size(request: SignedRequest, limit: int) -> int:
    """The declared size of the body.

    Raises:
        GatewayError: The call is not a plain PutObject, or its body is too large.
    """
    if request.query not in _QUERY:
        raise GatewayError("AccessDenied")
    for name, value in request.headers:
        is_other = name.startswith("x-amz-") and name not in _TAKEN
        if is_other and not name.startswith("x-amz-meta-"):
            if name == "x-amz-copy-source":
                raise GatewayError("AccessDenied")
            raise GatewayError("NotImplemented", Header=name)
        if name in _CONDITIONS:
            raise GatewayError("NotImplemented", Header=name)
        if name == "content-encoding" and "aws-chunked" in value.lower():
            raise GatewayError("NotImplemented", Header=name)
    size = request.header("content-length")
    if size is None or not size.isdecimal():
        raise GatewayError("MissingContentLength")
    if int(size) > limit:
        raise GatewayError("EntityTooLarge", ProposedSize=size, MaxSizeAllowed=str(limit))
    return int(size)


async def _receive(request: Request, path: Path, size: int, payload: str) -> tuple[str, str]:
    """Write the body to a file; returns its SHA-256 and its MD5 in hex."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    disk = BlockWriter(path, max(size, 1), sha256, md5)
    try:
        received = 0
        async for data in request.stream():
            received += len(data)
            if received > size:  # also sent as Transfer-Encoding: chunked
                raise GatewayError("IncompleteBody")
            disk.put(memoryview(data))
            await disk.make_room()
        await disk.finish()
    finally:
        await disk.close()
    if received < size:
        raise GatewayError("IncompleteBody")
    if payload not in (UNSIGNED, sha256.hexdigest()):
        raise GatewayError(
            "XAmzContentSHA256Mismatch", ClientComputedContentSHA256=payload,
            S3ComputedContentSHA256=sha256.hexdigest(),
        )  # fmt: skip
    return sha256.hexdigest(), md5.hexdigest()


def _check_md5(header: str | None, md5: str) -> None:
    if header is None:
        return
    try:
        given = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        given = b""
    if len(given) != 16:
        raise GatewayError("InvalidDigest")
    if given.hex() != md5:
        raise GatewayError("BadDigest")


def _head(state: ServerState, key: str) -> Response:
    found = state.objects.last(key)
    if found is None:
        return Response(status_code=404)
    at = datetime.fromtimestamp(found["created"] / 1000, UTC)
    return Response(
        headers={
            "Content-Length": str(found["bytes"]),
            "ETag": f'"{found["md5"]}"',
            "Last-Modified": format_datetime(at, usegmt=True),
        }
    )


_PATHS = (PREFIX + "/{bucket}/connection/{connection}/{table}/{file}",)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("put", ("PUT",), _PATHS, respond, "Store an object", "", body="object", scopes=None),
    Endpoint("head", ("HEAD",), _PATHS, respond, "Get the size of an object, if the server is lenient",
             "", scopes=None),
)  # fmt: skip
