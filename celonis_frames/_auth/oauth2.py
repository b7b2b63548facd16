"""Tokens that do not last: OAuth 2.0 client credentials.

The OAuth library builds the token request and reads its answer; the connection's own transport
carries both, so that one set of rules holds for certificates, proxies, redirects and timeouts.
What stands here is what libraries leave open: when to renew, and that many threads renew once.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote_plus

from celonis_frames._auth.keys import token_problem
from celonis_frames._concurrency.cancellation import pause
from celonis_frames._http.auth import Ask, Auth, Credentials, Secret, Unpicklable
from celonis_frames._http.messages import RawResponse
from celonis_frames._http.redaction import MASK, plain
from celonis_frames._http.status_errors import retry_after, unreadable
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

__all__ = ["DATA_PUSH", "OAuth2"]

if TYPE_CHECKING:
    Method = Literal["basic", "post"]

TOKEN_PATH = "/oauth2/token"  # noqa: S105  # a path, no secret
DATA_PUSH = "integration.data-pools:data_push"
"""The least that pushes. Looking pools up by name needs ``integration.data-pools:read`` too."""
DEFAULT_TOKEN_SECONDS = 900.0
"""How long a token is taken to live when the server does not say: what is usual for Celonis."""
MARGIN_SECONDS = 60.0
"""A token is renewed this long before it expires, or a fifth of its life if that is shorter.

Longer than a call takes from asking for the header to the header's arrival; the upload that
follows may take as long as it likes, for the server checks the token when it begins.
"""
PAUSES = (0.5,)
"""Seconds before a token request that failed for want of a connection is repeated."""
RETRY_SECONDS = 5.0
"""After a failed renewal, a token that still lives is used for this long before the next try."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3
_METHODS = ("basic", "post")

_log = logging.getLogger("celonis_frames")


@dataclass(frozen=True, repr=False, init=False)
class OAuth2(Unpicklable, Auth):
    """An OAuth 2.0 client, whose tokens are fetched and renewed as needed.

    Celonis recommends it over keys: a client is limited by its scopes, and its secret can be
    changed. Administrators make one under *Admin & Settings → Applications* and give it the
    permission *Data Push API* on the Data Pool. Tokens are held in memory only, one for each
    connection; they are renewed before they expire, and once when the server answers 401.

    Args:
        client_id: The client's id.
        client_secret: Its secret.
        scopes: What to ask for: names, or one text with blanks between them. The default is the
            least that pushes; with it, give pools by id or address, not by name.
        method: How the client shows its secret to the token endpoint: ``"basic"`` (in the header)
            or ``"post"`` (in the form), as it was set up.

    Raises:
        ConfigError: One of them cannot be used; the message never shows the secret.
    """

    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]
    method: str

    kind = "the access token of an OAuth client (OAuth2)"
    advice = "It was just issued: check that the client belongs to this team and is not disabled."
    permission = (
        f"An OAuth client needs the scope {DATA_PUSH} besides, and a look-up by name "
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
            or (None if word in _METHODS else "OAuth2(method=…) is 'basic' or 'post'.")
        )
        if problem is not None:
            # Either may be the secret, given in the wrong place.
            del client_secret, client_id, method, scopes, names, word
            raise ConfigError(problem)
        for name, value in (
            ("client_id", client_id),
            ("client_secret", client_secret),
            ("scopes", names),
            ("method", word),
        ):
            object.__setattr__(self, name, value)

    def credentials(self, ask: Ask, clock: Callable[[], float]) -> Credentials:
        """Tokens for one connection."""
        return _Tokens(self, ask, clock)

    def __repr__(self) -> str:
        if not hasattr(self, "method"):
            return "OAuth2(…)"  # in the traceback of its own refusal
        return (
            f"OAuth2({self.client_id!r}, '{MASK}', scopes={self.scopes!r}, method={self.method!r})"
        )


class _Tokens(Credentials):
    """The tokens of one connection: all threads wait for the one that fetches."""

    def __init__(self, client: OAuth2, ask: Ask, clock: Callable[[], float]) -> None:
        self._client, self._ask, self._clock = client, ask, clock
        self._lock = threading.Lock()
        self._header: Secret | None = None
        self._renew_at = self._expires_at = 0.0

    def authorization(self) -> str:
        """The header with a token that lives long enough."""
        with self._lock:
            now = self._clock()
            if self._header is None or now >= self._expires_at:
                self._fetch()
            elif now >= self._renew_at:
                self._fetch_early(now)
            return self._present()

    def renew(self, refused: str) -> bool:
        """A new token, unless another thread has fetched one meanwhile."""
        header = Secret(refused)
        del refused
        with self._lock:
            if self._header is None or self._header.reveal() == header.reveal():
                self._header = None
                self._fetch()
            return True

    def _present(self) -> str:
        return "" if self._header is None else self._header.reveal()

    def _fetch_early(self, now: float) -> None:
        """Renew a token that still lives: when that fails, it is used on."""
        try:
            self._fetch()
        except ApiError as error:
            self._renew_at = now + RETRY_SECONDS
            _log.warning(
                "the access token could not be renewed and is used for %.0f s more: %s",
                self._expires_at - now,
                error,
            )

    def _fetch(self) -> None:
        asked_at = self._clock()
        reply = self._post()
        if not 200 <= reply.status < 300:
            raise _refused(reply, self._client)
        header, seconds = _read_token(reply)
        margin = min(MARGIN_SECONDS, seconds / 5)
        self._header = header
        self._expires_at = asked_at + seconds
        self._renew_at = self._expires_at - margin
        _log.debug("access token fetched, it lives %.0f s", seconds)

    def _post(self) -> RawResponse:
        """Ask for a token; safe to repeat, for nothing but a token comes of it."""
        form, header = _token_request(self._client)
        hide = (Secret(self._client.client_secret),)
        for seconds in PAUSES:
            try:
                reply = self._ask(TOKEN_PATH, form, header, hide)
            except (ApiConnectionError, ApiTimeoutError) as error:
                _log.debug("token request failed: %s", error)
            else:
                if reply.status < 500:
                    return reply
            pause(seconds)
        return self._ask(TOKEN_PATH, form, header, hide)


def _scopes(scopes: object) -> tuple[str, ...]:
    if isinstance(scopes, str):
        return tuple(re.split(r"[\s,]+", scopes.strip()))
    return tuple(scopes) if isinstance(scopes, Sequence) else ("",)


def _scopes_problem(names: tuple[Any, ...]) -> str | None:
    if names and all(isinstance(name, str) and _SCOPE.fullmatch(name) for name in names):
        return None
    return (
        "OAuth2(scopes=…) takes names of scopes, or one text with blanks between them, such as "
        f"{DATA_PUSH!r}."
    )


def _client_problem(value: object, what: str, noun: str) -> str | None:
    """Why a client's id or secret cannot be used, without showing it."""
    if not isinstance(value, str):
        return f"{what} takes the client's {noun} as a text, not as {type(value).__name__}."
    if not value.strip():
        return f"{what} is empty. Check the variable or file that it was read from."
    if value != value.strip() or not value.isprintable():
        return (
            f"{what} has blanks around it, line breaks or control characters. Was more copied than "
            f"the {noun}? A line break at the end is removed by .strip()."
        )
    return None


def _token_request(client: OAuth2) -> tuple[Secret, Secret | None]:
    """The form and the header of a token request.

    The library leaves ``client_secret_basic`` to its caller; both parts are form-encoded before
    they are joined, as RFC 6749, section 2.3.1 has it.
    """
    from oauthlib.oauth2 import BackendApplicationClient  # noqa: PLC0415  # only who needs it waits

    builder = BackendApplicationClient(client.client_id, scope=list(client.scopes))
    if client.method == "post":
        return Secret(
            builder.prepare_request_body(include_client_id=True, client_secret=client.client_secret)
        ), None
    pair = Secret(f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}")
    header = base64.b64encode(pair.reveal().encode()).decode("ascii")
    return Secret(builder.prepare_request_body()), Secret(f"Basic {header}")


def _read_token(reply: RawResponse) -> tuple[Secret, float]:
    """The header and the seconds that a token lives. The answer is never quoted: it holds one."""
    from oauthlib.oauth2 import BackendApplicationClient  # noqa: PLC0415

    found: Mapping[str, Any] | None = None
    try:
        # Scopes are not compared: a server may grant fewer, and what is missing is a 403 later.
        found = BackendApplicationClient("").parse_request_body_response(
            reply.content.decode("utf-8")
        )
    except Exception as error:  # whatever the library makes of a hostile answer
        _log.debug("token answer not understood: %s", type(error).__name__)
    if found is None:
        raise unreadable(reply.request, reply.status, "the answer holds no access token", None)
    token, kind = found.get("access_token"), str(found.get("token_type") or "bearer")
    lives = _seconds(found.get("expires_in"))
    if token_problem(token, "") is not None:
        del token, found
        raise unreadable(reply.request, reply.status, "its access token is not one", None)
    if kind.casefold() != "bearer":
        del token, found
        problem = f"the token is of the kind {plain(kind, limit=40)!r}, not Bearer"
        raise unreadable(reply.request, reply.status, problem, None)
    return Secret(f"Bearer {token}"), lives


def _refused(reply: RawResponse, client: OAuth2) -> ApiStatusError:
    """The error for a token request that was refused."""
    code, said = _said(reply.content)
    kind: type[ApiStatusError] = AuthenticationError
    if reply.status == 429 or reply.status >= 500:
        kind = RateLimited if reply.status == 429 else ServerError
        advice = "no access token could be had. Try again later."
    else:
        advice = _advice(code, client)
    return kind(
        f"{reply.request} answered {reply.status}: {advice}"
        f"{f' The server says: {said}' if said else ''}",
        status_code=reply.status,
        body=plain(reply.content),
        error_codes=(code,) if code else (),
        retry_after=retry_after(reply.headers) if reply.status in (429, 503) else None,
        method=reply.request.method,
        url=reply.request.url,
    )


def _said(content: bytes) -> tuple[str, str]:
    """The error code of a refusal (RFC 6749, section 5.2), and what else it says."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("error"), str):
        return "", plain(content)
    described = answer.get("error_description")
    code = plain(answer["error"], limit=100)
    return code, plain(f"{code}: {described}" if isinstance(described, str) else code)


def _advice(code: str, client: OAuth2) -> str:
    return {
        "invalid_client": (
            "the client is unknown, or its secret is wrong. Check OAUTH_CLIENT_ID and "
            "OAUTH_CLIENT_SECRET, that the client is of this team, and how it shows its secret: "
            f"method={client.method!r} now (OAUTH_METHOD)."
        ),
        "invalid_scope": (
            f"the client may not ask for {plain(' '.join(client.scopes))}. Give it these scopes in "
            "Celonis, or name others: OAuth2(…, scopes=…) or OAUTH_SCOPES."
        ),
        "unauthorized_client": (
            "the client may not use client credentials. An administrator can allow that."
        ),
    }.get(
        code,
        "no access token was given. Check OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET and OAUTH_METHOD, "
        "and that the address is your team's: its tokens come from /oauth2/token.",
    )


def _seconds(value: object) -> float:
    """How long a token lives, from ``expires_in``."""
    try:
        seconds = float(value)  # type: ignore[arg-type]  # some servers write it as a text
    except (TypeError, ValueError, OverflowError):
        return DEFAULT_TOKEN_SECONDS
    return min(max(seconds, 0.0), 1e9) if math.isfinite(seconds) else DEFAULT_TOKEN_SECONDS
