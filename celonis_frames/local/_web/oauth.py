"""The token endpoint: OAuth 2.0 client credentials, scopes, and tokens that expire.

Tokens are kept in memory only, so that clients need new ones after a restart.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

DATA_PUSH = "integration.data-pools:data_push"
BROAD = "integration.data-pools"
READ = "integration.data-pools:read"
SCOPES = (BROAD, DATA_PUSH, "integration.data-pools:query", READ)
"""Every scope the client may request."""

MAX_TOKENS = 1_000
"""Largest number of valid tokens; the oldest is dropped for a new one."""
MAX_FORM_BYTES = 64 * 1024
DEFAULT_SECONDS = 900
"""Lifetime of a token."""


class TokenError(Exception):
    """An error response of the token endpoint (RFC 6749, section 5.2)."""

    def __init__(self, status: int, code: str, description: str, *, basic: bool = False) -> None:
        super().__init__(description)
        self.status, self.code, self.description, self.basic = status, code, description, basic


@dataclass(frozen=True)
class _Token:
    expires_at: float
    scopes: frozenset[str]


class TokenIssuer:
    """Issues tokens to one client, and checks them.

    Args:
        seconds: Lifetime of a token.
        clock: Returns the time in seconds; for tests.

    Attributes:
        client_id: The client's id.
        client_secret: Its secret.
        issued: Number of tokens issued.
    """

    def __init__(
        self, *, seconds: float = DEFAULT_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.client_id = f"client-{secrets.token_hex(8)}"
        self.client_secret = secrets.token_urlsafe(32)
        self.issued = 0
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}

    def grant(self, body: bytes, content_type: str, authorization: str) -> dict[str, Any]:
        """The response to a token request.

        Args:
            body: The form.
            content_type: The request's content type.
            authorization: Its ``Authorization`` header, or an empty string.

        Raises:
            TokenError: The request is malformed, or the client or a scope is unknown.
        """
        if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise TokenError(400, "invalid_request", "The body must be a form")
        form = _form(body)
        self._check_client(form, authorization)
        if form.get("grant_type") != "client_credentials":
            raise TokenError(400, "unsupported_grant_type", "Only client_credentials is supported")
        scopes = form.get("scope", "").split() or list(SCOPES)
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown:
            raise TokenError(400, "invalid_scope", "The client may not request one of these scopes")
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            valid = {t: known for t, known in self._tokens.items() if known.expires_at > now}
            while len(valid) >= MAX_TOKENS:
                del valid[next(iter(valid))]
            valid[token] = _Token(now + self._seconds, frozenset(scopes))
            self._tokens = valid
            self.issued += 1
        return {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": int(self._seconds),
            "scope": " ".join(scopes),
        }

    def scopes(self, token: str) -> frozenset[str] | None:
        """The scopes of a token; None if it is unknown or has expired."""
        with self._lock:
            known = self._tokens.get(token)
            if known is None or known.expires_at <= self._clock():
                return None
            return known.scopes

    def expire(self) -> None:
        """Let all tokens issued so far expire now."""
        with self._lock:
            self._tokens.clear()

    def _check_client(self, form: dict[str, str], authorization: str) -> None:
        scheme, _, encoded = authorization.partition(" ")
        basic = scheme.lower() == "basic"
        if basic and "client_secret" in form:
            raise TokenError(400, "invalid_request", "The request has the client secret twice")
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        if basic:
            try:
                pair = base64.b64decode(encoded, validate=True).decode("utf-8")
            except (binascii.Error, ValueError):
                pair = ""
            client_id, _, secret = pair.partition(":")
            client_id, secret = unquote_plus(client_id), unquote_plus(secret)
        known = secrets.compare_digest(client_id.encode(), self.client_id.encode())
        if not (secrets.compare_digest(secret.encode(), self.client_secret.encode()) and known):
            raise TokenError(401, "invalid_client", "Unknown client or wrong secret", basic=basic)


def _form(body: bytes) -> dict[str, str]:
    """The fields of the form; a repeated field makes the request malformed (section 3.2)."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=100, errors="strict"
        )
    except ValueError:
        raise TokenError(400, "invalid_request", "The form cannot be parsed") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise TokenError(400, "invalid_request", "A field is repeated")
    return form
