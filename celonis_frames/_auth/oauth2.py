"""OAuth 2.0 client credentials: fetch access tokens and renew them.

The OAuth library builds the token request and parses the response; the connection's own transport
sends it, so that the same rules hold for certificates, proxies, redirects and timeouts. This module
decides when to renew, and makes sure that of many threads only one does.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import quote_plus

from celonis_frames._auth.keys import token_problem
from celonis_frames._concurrency.cancellation import POLL_SECONDS, current_token, pause
from celonis_frames._http.auth import Auth, Credentials, PostForm
from celonis_frames._http.messages import RawResponse
from celonis_frames._http.redaction import plain
from celonis_frames._http.status_errors import page_error, retry_after, unreadable, with_ids
from celonis_frames._reporting.current import warn
from celonis_frames._secrets import MASK, Secret, Unpicklable
from celonis_frames.exceptions import (
    ApiConnectionError,
    ApiError,
    ApiStatusError,
    ApiTimeoutError,
    AuthenticationError,
    ConfigError,
    RateLimited,
    ServerError,
)

Method = Literal["basic", "post"]

TOKEN_PATH = "/oauth2/token"  # noqa: S105  # a path, no secret
DATA_PUSH = "integration.data-pools:data_push"
"""The scope that a push needs; to find pools by name, add ``integration.data-pools:read``."""
DEFAULT_TOKEN_SECONDS = 900.0
"""Assumed lifetime (s) of a token if the server does not state one: usual for Celonis."""
MARGIN_SECONDS = 60.0
"""A token is renewed this long (s) before it expires, or a fifth of its lifetime if that is less.

A request's header arrives well within that time; the upload that follows may take any time, since
the server checks the token when it begins.
"""
PAUSES = (0.5,)
"""Delays (s) before a failed token request is repeated."""
RETRY_SECONDS = 5.0
"""Delay (s) after a failed renewal before the next, while the old token is still valid."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3

_log = logging.getLogger("celonis_frames")


@dataclass(frozen=True, repr=False, init=False)
class OAuth2(Unpicklable, Auth):
    """An OAuth 2.0 client; its access tokens are fetched and renewed as needed.

    Celonis recommends it over keys: a client is limited by its scopes, and its secret can be
    changed. Administrators create one under *Admin & Settings → Applications* and give it the
    permission *Data Push API* on the Data Pool. Each connection keeps one token, in memory only; it
    is renewed before it expires, and once after a 401.

    Args:
        client_id: The client's id.
        client_secret: Its secret.
        scopes: The scopes to request: names, or one string with spaces in between. The default is
            enough to push; with it, give pools by id or URL, not by name.
        method: Where the client sends its secret: ``"basic"`` (in the header) or ``"post"`` (in the
            form), as configured for the client.

    Raises:
        ConfigError: If one of them is not valid; the message never shows the secret.
    """

    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]
    method: str

    kind = "the access token of an OAuth client (OAuth2)"
    advice = "It was just issued: check that the client belongs to this team and is not disabled."
    permission = (
        f"An OAuth client also needs the scope {DATA_PUSH}, and to look up names "
        "integration.data-pools:read: OAuth2(…, scopes=…) or OAUTH_SCOPES."
    )

    def __init__(
        self,
        client_id: str,
        client_secret: str,
        *,
        scopes: Sequence[str] | str = (DATA_PUSH,),
        method: Method = "basic",
    ) -> None:
        names = _scopes(scopes)
        word = method.casefold() if isinstance(method, str) else ""
        problem = (
            _client_problem(client_id, "OAuth2(client_id=…)", "id")
            or _client_problem(client_secret, "OAuth2(client_secret=…)", "secret")
            or _scopes_problem(names)
            or (None if word in get_args(Method) else "OAuth2(method=…) is 'basic' or 'post'.")
        )
        if problem is not None:
            # Any of them may be the secret, given in the wrong place.
            del client_secret, client_id, method, scopes, names, word
            raise ConfigError(problem)
        object.__setattr__(self, "client_id", client_id)
        object.__setattr__(self, "client_secret", client_secret)
        object.__setattr__(self, "scopes", names)
        object.__setattr__(self, "method", word)

    def credentials(self, post: PostForm, clock: Callable[[], float]) -> Credentials:
        """The tokens of one connection."""
        return _Tokens(self, post, clock)

    def __repr__(self) -> str:
        if not hasattr(self, "method"):
            return "OAuth2(…)"  # in the traceback of a ConfigError from __init__
        return (
            f"OAuth2({self.client_id!r}, '{MASK}', scopes={self.scopes!r}, method={self.method!r})"
        )


class _Tokens(Credentials):
    """The tokens of one connection: one thread fetches, the others wait for it."""

    def __init__(self, client: OAuth2, post: PostForm, clock: Callable[[], float]) -> None:
        self._client, self._post, self._clock = client, post, clock
        self._lock = threading.Lock()
        self._header: Secret | None = None
        self._renew_at = self._expires_at = 0.0

    def authorization(self) -> str:
        """The header, with a token that is valid long enough."""
        with self._locked():
            now = self._clock()
            if self._header is None or now >= self._expires_at:
                self._fetch()
            elif now >= self._renew_at:
                self._fetch_early(now)
            return "" if self._header is None else self._header.reveal()

    def renew(self, rejected: str) -> bool:
        """Fetch a new token, unless another thread has done so."""
        header = Secret(rejected)
        del rejected
        with self._locked():
            if self._header is None or self._header.reveal() == header.reveal():
                self._header = None
                self._fetch()
            return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait for the thread that fetches, as long as the call of this one may last."""
        token = current_token()
        while not self._lock.acquire(timeout=POLL_SECONDS):
            if token is not None:
                token.raise_if_cancelled()
                if token.expired:
                    raise ApiTimeoutError(
                        "timeout= passed while another thread fetched an access token.", sent=False
                    )
        try:
            yield
        finally:
            self._lock.release()

    def _fetch_early(self, now: float) -> None:
        """Renew a token that is still valid; if that fails, keep it."""
        try:
            self._fetch()
        except ApiError as error:
            self._renew_at = now + RETRY_SECONDS
            warn(
                "the access token could not be renewed and stays in use for %.0f s: %s",
                self._expires_at - now,
                error,
            )

    def _fetch(self) -> None:
        requested_at = self._clock()
        response = self._request_token()
        if not 200 <= response.status < 300:
            raise _token_error(response, self._client)
        self._header, seconds = _read_token(response)
        self._expires_at = requested_at + seconds
        self._renew_at = self._expires_at - min(MARGIN_SECONDS, seconds / 5)
        _log.debug("access token fetched, valid for %.0f s", seconds)

    def _request_token(self) -> RawResponse:
        """Request a token; safe to repeat, since it changes nothing."""
        form, header = _token_request(self._client)
        hide = (Secret(self._client.client_secret),)
        for seconds in PAUSES:
            try:
                response = self._post(TOKEN_PATH, form, header, hide)
            except (ApiConnectionError, ApiTimeoutError) as error:
                _log.debug("token request failed: %s", error)
            else:
                if response.status < 500:
                    return response
            pause(seconds)
        return self._post(TOKEN_PATH, form, header, hide)


def _scopes(scopes: object) -> tuple[str, ...]:
    if isinstance(scopes, str):
        return tuple(re.split(r"[\s,]+", scopes.strip()))
    return tuple(scopes) if isinstance(scopes, Sequence) else ("",)


def _scopes_problem(names: tuple[Any, ...]) -> str | None:
    if names and all(isinstance(name, str) and _SCOPE.fullmatch(name) for name in names):
        return None
    return (
        "OAuth2(scopes=…) takes names of scopes, or one string with spaces in between, such as "
        f"{DATA_PUSH!r}."
    )


def _client_problem(value: object, what: str, noun: str) -> str | None:
    """Why a client's id or secret is not valid, without showing it."""
    if not isinstance(value, str):
        return f"{what} takes the client's {noun} as a string, not as {type(value).__name__}."
    if not value.strip():
        return f"{what} is empty. Check the variable or file it was read from."
    if value != value.strip() or not value.isprintable():
        return (
            f"{what} has spaces around it, line breaks or control characters. Was more copied than "
            f"the {noun}? .strip() removes a line break at the end."
        )
    return None


def _token_request(client: OAuth2) -> tuple[Secret, Secret | None]:
    """The form and the header of a token request.

    The library does not implement ``client_secret_basic``; both parts are form-encoded before they
    are joined (RFC 6749, section 2.3.1).
    """
    from oauthlib.oauth2 import BackendApplicationClient  # noqa: PLC0415  # slow to import

    builder = BackendApplicationClient(client.client_id, scope=list(client.scopes))
    if client.method == "post":
        return Secret(
            builder.prepare_request_body(include_client_id=True, client_secret=client.client_secret)
        ), None
    pair = Secret(f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}")
    header = base64.b64encode(pair.reveal().encode()).decode("ascii")
    return Secret(builder.prepare_request_body()), Secret(f"Basic {header}")


def _read_token(response: RawResponse) -> tuple[Secret, float]:
    """The header and the lifetime (s) of a token. The response is never quoted: it has a token."""
    from oauthlib.oauth2 import BackendApplicationClient  # noqa: PLC0415

    found: Mapping[str, Any] = {}
    try:
        # Scopes are not compared: a server may grant fewer, and a missing one leads to a 403 later.
        parse = BackendApplicationClient("").parse_request_body_response
        found = parse(response.content.decode("utf-8"))
    except Exception as error:  # whatever the library raises for a hostile response
        _log.debug("token response not understood: %s", type(error).__name__)
    token, kind = found.get("access_token"), str(found.get("token_type") or "bearer")
    if not found:
        problem = "the response has no access token"
    elif token_problem(token, "") is not None:
        problem = "its access token is not valid"
    elif kind.casefold() != "bearer":
        problem = f"the token type is {plain(kind, limit=40)!r}, not Bearer"
    else:
        return Secret(f"Bearer {token}"), _seconds(found.get("expires_in"))
    del token, found
    raise unreadable(response.request, response.status, problem, None)


def _token_error(response: RawResponse, client: OAuth2) -> ApiStatusError:
    """The error for a rejected token request."""
    if (page := page_error(response, AuthenticationError)) is not None:
        return with_ids(page, response)
    code, message = _parse_error(response.content)
    kind: type[ApiStatusError] = AuthenticationError
    if response.status == 429 or response.status >= 500:
        kind = RateLimited if response.status == 429 else ServerError
        advice = "no access token could be fetched. Try again later."
    else:
        advice = _advice(code, client)
    error = kind(
        f"{response.request} returned {response.status}: {advice}"
        f"{f' The server says: {message}' if message else ''}",
        status_code=response.status,
        body=plain(response.content),
        error_codes=(code,) if code else (),
        retry_after=retry_after(response.headers) if response.status in (429, 503) else None,
        method=response.request.method,
        url=response.request.url,
    )
    error.sent = False  # the call that needs the token was not made
    return with_ids(error, response)


def _parse_error(content: bytes) -> tuple[str, str]:
    """The error code of a token response (RFC 6749, section 5.2), and its message."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("error"), str):
        return "", plain(content)
    description = body.get("error_description")
    code = plain(body["error"], limit=100)
    return code, plain(f"{code}: {description}" if isinstance(description, str) else code)


def _advice(code: str, client: OAuth2) -> str:
    return {
        "invalid_client": (
            "the client is unknown, or its secret is wrong. Check OAUTH_CLIENT_ID and "
            "OAUTH_CLIENT_SECRET, that the client belongs to this team, and where it sends its "
            f"secret: now method={client.method!r} (OAUTH_METHOD)."
        ),
        "invalid_scope": (
            f"the client may not request {plain(' '.join(client.scopes))}. Give it these scopes in "
            "Celonis, or request others: OAuth2(…, scopes=…) or OAUTH_SCOPES. Celonis spells the "
            f"scope of this API {DATA_PUSH}, or data-push with a hyphen."
        ),
        "unauthorized_client": (
            "the client may not use client credentials. An administrator can allow that."
        ),
    }.get(
        code,
        "no access token was issued. Check OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET and OAUTH_METHOD, "
        "and that the URL is your team's: its tokens come from /oauth2/token.",
    )


def _seconds(value: object) -> float:
    """The lifetime (s) of a token, from ``expires_in``."""
    try:
        seconds = float(value)  # type: ignore[arg-type]  # some servers send a string
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_TOKEN_SECONDS
    return min(max(seconds, 0.0), 1e9) if math.isfinite(seconds) else DEFAULT_TOKEN_SECONDS
