"""Who may call what: keys and access tokens for the API, the page for this machine or with a key."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import secrets
from urllib.parse import urlsplit

from starlette.requests import Request

from celonis_frames.local._web.endpoint import ApiProblem, ServerState

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")


def authorize(state: ServerState, scopes: frozenset[str], header: str) -> None:
    """Check for a key, or for an access token with one of the scopes.

    This is done before the body is read: a token may expire during an upload.
    """
    if any(_same(header, key) for key in _keys(state)):
        return
    granted = state.tokens.scopes(header.removeprefix("Bearer "))
    if granted is None or not header.startswith("Bearer "):
        raise ApiProblem(401)
    if scopes and not scopes & granted:
        raise ApiProblem(403)


def check_page(state: ServerState, request: Request) -> None:
    """Check that the caller of the page is on this machine, or sends a key.

    A browser sends a key as the password of HTTP basic authentication. Callers on this machine are
    known by the address of their connection. Their ``Host`` header must be a loopback name too: a
    web page from elsewhere cannot make a browser send that.
    """
    header = request.headers.get("authorization", "")
    if any(_same(header, key) for key in _keys(state)):
        return
    password = _password(header)
    if any(_same(password, key) for key in (state.api_key, state.app_key)):
        return
    if not _is_loopback(request.client.host if request.client else ""):
        raise ApiProblem(401)
    if not _names_loopback(request):
        raise ApiProblem(403)


def _keys(state: ServerState) -> tuple[str, str]:
    return f"Bearer {state.api_key}", f"AppKey {state.app_key}"


def _same(given: str, expected: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _password(header: str) -> str:
    kind, _, encoded = header.partition(" ")
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _names_loopback(request: Request) -> bool:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname in _LOOPBACK_NAMES
    except ValueError:
        return False
