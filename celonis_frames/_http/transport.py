"""The HTTP border: every call goes through here.

What goes wrong there is translated here, once, by type and status. The library's own errors carry
the request, and with it the key: none of them leaves this room, not even as another's cause.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json as json_
import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import requests.auth
import urllib3.exceptions

from celonis_frames._http import responses as answers
from celonis_frames._http.auth import Secret
from celonis_frames._http.messages import RawResponse, Request
from celonis_frames._http.network_errors import translate
from celonis_frames._http.redaction import redact
from celonis_frames._http.session import close_session, new_session
from celonis_frames._http.status_errors import redirect
from celonis_frames._http.tls import resolve_ca_bundle
from celonis_frames._urls import base_url
from celonis_frames.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from celonis_frames._concurrency.cancellation import CallAborter
    from celonis_frames._http.auth import Auth
    from celonis_frames._http.multipart import MultipartFile
    from celonis_frames.exceptions import ApiError

__all__ = ["Timeouts", "Transport"]

DEFAULT_CONNECT_SECONDS = 10.0
DEFAULT_READ_SECONDS = 60.0
MAX_REFUSAL_BYTES = 1024 * 1024
"""Largest refusal that is read; a part of it is quoted."""
_HEADERS = ("Content-Type", "Location", "Retry-After", "x-ratelimit-reset")
"""The answer's headers that matter; no other is kept."""
_NETWORK = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    UnicodeError,
)

_log = logging.getLogger("celonis_frames")


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """How long to wait for the server.

    Attributes:
        connect: Seconds to open a connection.
        read: Seconds of silence while an answer is awaited or read.

    Raises:
        ConfigError: If one is not a number above zero.
    """

    connect: float = DEFAULT_CONNECT_SECONDS
    read: float = DEFAULT_READ_SECONDS

    def __post_init__(self) -> None:
        """Refuse what would wait for ever, or not at all."""
        for name in ("connect", "read"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 < value < threading.TIMEOUT_MAX:
                msg = f"Timeouts({name}={value!r}) must be seconds above zero."
                raise ConfigError(msg)


class _Header(requests.auth.AuthBase):
    """Sets the header, and by being there keeps ``.netrc`` from setting another."""

    def __init__(self, value: str) -> None:
        self._value = Secret(value)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value.reveal():
            request.headers["Authorization"] = self._value.reveal()
        return request

    def reveal(self) -> str:
        return self._value.reveal()

    def secret(self) -> str:
        """The header without its scheme."""
        return self.reveal().rpartition(" ")[2]


class Transport:
    """Calls to one host, over pooled connections; any number of threads may share it.

    No redirect is followed. Nothing is repeated here but for one case: a call that was answered 401
    is sent once more when there is a newer token, for a refused call has done nothing. Proxies come
    from the environment (``HTTPS_PROXY``, ``NO_PROXY``), but never for this machine.

    Args:
        url: Any address of the team.
        auth: How to authenticate.
        verify: True, or the path of a CA file or directory to trust instead.
        timeouts: How long to wait for the server.
        connections: Connections kept open for reuse.
        clock: Tells seconds, for tokens that expire.

    Attributes:
        url: The base address.

    Raises:
        ConfigError: If the address, `auth` or `verify` cannot be used.
    """

    def __init__(
        self,
        url: str,
        auth: Auth,
        *,
        verify: bool | str | os.PathLike[str] = True,
        timeouts: Timeouts | None = None,
        connections: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = base_url(url)
        self._host = urlsplit(self.url).hostname or ""
        self._auth = auth
        self._clock = clock
        self._credentials = auth.credentials(self._ask, clock)
        self._verify = resolve_ca_bundle(verify, encrypted=self.url.startswith("https:"))
        self._timeouts = timeouts or Timeouts()
        self._connections = connections
        self._lock = threading.Lock()
        self._session: requests.Session | None = None
        self._pid = os.getpid()
        self._closed = False

    def __repr__(self) -> str:
        return f"<Transport {self.url}>"

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        body: MultipartFile | None = None,
        job_id: str | None = None,
        read_timeout: float | None = None,
        abort: CallAborter | None = None,
    ) -> answers.Response:
        """Make one call.

        Args:
            method: The HTTP method.
            path: The path after the base address, encoded.
            params: The query.
            json: A body to send as JSON.
            body: A file to send as a form, instead.
            job_id: The job concerned, for errors.
            read_timeout: Seconds of silence, when other than the transport's.
            abort: With which another thread may end the call.

        Raises:
            ApiConnectionError: If no connection could be made, or it broke.
            ApiTimeoutError: If the server did not answer in time.
            ApiStatusError: If the answer is no success, or too large.
            ConfigError: If the transport is closed, or `json` cannot be written as JSON.
        """
        call = Request(method, self.url + path, job_id)
        headers: dict[str, str] = {}
        data: bytes | None = None
        if body is not None:
            headers["Content-Type"] = body.content_type
        elif json is not None:
            data, headers["Content-Type"] = _encode(json), "application/json"
        self._open()
        credentials = self._credentials
        header = _Header(credentials.authorization())
        reply = self._exchange(call, header, params, headers, data, body, read_timeout, abort)
        if reply.status == 401 and credentials.renew(header.reveal()):
            header = _Header(credentials.authorization())
            reply = self._exchange(call, header, params, headers, data, body, read_timeout, abort)
        return answers.raise_for_status(reply, self._auth, body)

    def _ask(
        self, path: str, form: Secret, authorization: Secret | None, hide: Sequence[Secret]
    ) -> RawResponse:
        """Post a form of credentials; the answer comes back whatever its status."""
        reply = self._exchange(
            Request("POST", self.url + path),
            _Header("" if authorization is None else authorization.reveal()),
            None,
            {"Content-Type": "application/x-www-form-urlencoded"},
            form,
            None,
            None,
            None,
            hide,
        )
        if 300 <= reply.status < 400:
            raise redirect(reply.call, reply.status, reply.headers.get("Location", ""))
        return reply

    def _exchange(
        self,
        call: Request,
        header: _Header,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        data: bytes | Secret | None,
        body: MultipartFile | None,
        read_timeout: float | None,
        abort: CallAborter | None,
        hide: Sequence[Secret] = (),
    ) -> RawResponse:
        """Send a request and read what comes back, once."""
        read = self._timeouts.read if read_timeout is None else read_timeout
        # The socket's limit while a body is sent is the one for connecting: a slow line needs more.
        connect = self._timeouts.connect if body is None else max(self._timeouts.connect, read)
        session = self._open()
        begin = time.monotonic()
        status, received = 0, b""
        seen: Mapping[str, str] = {}
        failure: ApiError | None = None
        other: BaseException | None = None
        try:
            with (
                abort or contextlib.nullcontext(),
                session.request(
                    call.method,
                    call.url,
                    params=params,
                    data=_payload(data, body),
                    headers=headers,
                    auth=header,
                    timeout=(connect, read),
                    verify=self._verify,
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                status = response.status_code
                # The secrets are no locals here: an error is raised from this frame.
                seen, received = _read(response, [header.secret(), *(s.reveal() for s in hide)])
        except _NETWORK as error:
            failure = translate(error, call, read)
        except BaseException as error:  # raised again below, without its frames
            other = error
        # From here on no error of the HTTP library is in sight: none can become a context, and no
        # frame of it, with the request in its locals, is in a traceback.
        _log.debug(
            "%s %s -> %s in %.3f s, %d bytes sent, %d received",
            call.method,
            call.url.removeprefix(self.url),
            status or type(failure or other).__name__,
            time.monotonic() - begin,
            len(body) if body is not None else len(data) if isinstance(data, bytes) else 0,
            len(received),
        )
        if body is not None and body.failure is not None:
            raise body.failure.with_traceback(body.trace)
        if other is not None:
            other.__context__ = None
            raise other.with_traceback(None)
        if failure is not None:
            # A file that did not leave whole cannot have been stored.
            failure.sent = failure.sent and (body is None or body.finished)
            raise failure
        return RawResponse(call, status, seen, received)

    def close(self) -> None:
        """Close the connections; later calls raise ConfigError."""
        with self._lock:
            session, self._session = self._session, None
            self._closed = True
        if session is not None:
            close_session(session)

    def _open(self) -> requests.Session:
        if self._pid != os.getpid():
            # A forked child must not speak on its parent's sockets, nor wait for its threads' lock.
            self._pid, self._lock, self._session = os.getpid(), threading.Lock(), None
            self._credentials = self._auth.credentials(self._ask, self._clock)
        with self._lock:
            if self._closed:
                msg = f"The connection to {self.url} is closed. Open one with connect()."
                raise ConfigError(msg)
            if self._session is None:
                self._session = new_session(self._host, self._connections)
            return self._session


def _payload(data: bytes | Secret | None, body: MultipartFile | None) -> Any:
    if body is not None:
        return body
    return data.reveal() if isinstance(data, Secret) else data


def _encode(value: Any) -> bytes:
    try:
        return json_.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        problem = str(error)
    msg = f"What is to be sent cannot be written as JSON ({problem}). Check job_options."
    raise ConfigError(msg)


def _read(response: requests.Response, secrets: Sequence[str]) -> tuple[Mapping[str, str], bytes]:
    """The answer's headers and content, without what was sent to open the door."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(64 * 1024):
        parts.append(part)
        size += len(part)
        if size > (answers.MAX_ANSWER_BYTES if response.ok else MAX_REFUSAL_BYTES):
            break
    headers = {
        name: redact(response.headers.get(name, "").encode("latin-1", "replace"), secrets).decode(
            "latin-1"
        )
        for name in _HEADERS
    }
    return headers, redact(b"".join(parts), secrets)
