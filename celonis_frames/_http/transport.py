"""The transport: the only place where requests are sent.

Errors of the HTTP library are translated here. They hold the request, and with it the key, so none
of them leaves this package, not even as the cause of another error.
"""

from __future__ import annotations

import dataclasses
import functools
import http.client
import json as json_
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import requests.auth
import urllib3.exceptions

from celonis_frames._concurrency.cancellation import current_token
from celonis_frames._formatting import shown
from celonis_frames._http import responses
from celonis_frames._http.auth import Auth
from celonis_frames._http.file_body import FileBody
from celonis_frames._http.messages import CallEvent, Listener, RawResponse, Request
from celonis_frames._http.network_errors import from_requests_error
from celonis_frames._http.receiving import OnItem, Received, receive
from celonis_frames._http.session import close_session, new_session
from celonis_frames._http.status_errors import redirect
from celonis_frames._http.tls import resolve_ca_bundle, ssl_context
from celonis_frames._secrets import Secret
from celonis_frames._urls import base_url
from celonis_frames.exceptions import ApiTimeoutError, ConfigError

DEFAULT_CONNECT_SECONDS = 10.0
DEFAULT_READ_SECONDS = 60.0
_T = TypeVar("_T")
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
        read: Seconds without a byte while waiting for a response or reading it.

    Raises:
        ConfigError: If one is not a number above zero.
    """

    connect: float = DEFAULT_CONNECT_SECONDS
    read: float = DEFAULT_READ_SECONDS

    def __post_init__(self) -> None:
        """Reject values that would wait for ever, or not at all."""
        for name in ("connect", "read"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 < value < threading.TIMEOUT_MAX:
                msg = f"Timeouts({name}={shown(value)}) must be seconds above zero."
                raise ConfigError(msg)


class _Header(Secret, requests.auth.AuthBase):
    """Sets the ``Authorization`` header, and keeps requests from reading ``.netrc`` for it."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.reveal():
            request.headers["Authorization"] = self.reveal()
        return request


class Transport:
    """Makes requests to one host, over pooled connections; threads may share it.

    Redirects are not followed. Nothing is retried here, with one exception: a request that got a
    401 is sent once more if there is a newer token, since a rejected request had no effect. Proxies
    come from the environment (``HTTPS_PROXY``, ``NO_PROXY``), but never for a loopback host.

    Args:
        url: Any URL of the team; the attribute is the base URL.
        auth: How to authenticate.
        verify: True, or the path of a CA file or directory to trust instead.
        timeouts: How long to wait for the server.
        connections: Number of connections kept open for reuse.
        clock: Returns the time in seconds, for tokens that expire.
        listeners: Called after each exchange.

    Raises:
        ConfigError: If the URL, `auth` or `verify` cannot be used.
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
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.url = base_url(url)
        self.listeners: list[Listener] = list(listeners)
        self._failed_listeners: list[Listener] = []
        self._host = urlsplit(self.url).hostname or ""
        self._auth = auth
        self._clock = clock
        self._credentials = auth.credentials(self._post_form, clock)
        self._ca_bundle, given = resolve_ca_bundle(verify)
        encrypted = self.url.startswith("https:")
        # A given file is checked in any case; the environment's only where it is used.
        self._tls = ssl_context(self._ca_bundle, given) if encrypted or verify is not True else None
        if not isinstance(timeouts, Timeouts | None):
            msg = f"timeouts={shown(timeouts)} must be Timeouts(connect=…, read=…), in seconds."
            raise ConfigError(msg)
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
        body: FileBody | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        hide: Sequence[Secret] = (),
        job_id: str | None = None,
        read_timeout: float | None = None,
        on_item: OnItem | None = None,
        error_of: responses.ErrorOf | None = None,
    ) -> responses.Response:
        """Send a request, with `json` or a file as its body, and return its successful response.

        The percent-encoded `path` follows the base URL; `read_timeout` (s) replaces that of the
        transport; errors name `job_id`. `headers` sign a request instead of `auth`, and secrets to
        `hide` are masked in the response; `error_of` makes the error of a response that is not of
        the Data Push API. With `on_item` the response is a JSON array, whose items
        are given to it as they arrive; the content is its beginning. The `CancelToken` in whose
        `calling` block this thread is can end the request, and its deadline bounds all waits.

        Raises:
            Cancelled: That token was cancelled before the request was sent.
            ApiConnectionError: If no connection could be made, or it broke.
            ApiTimeoutError: If the server did not respond in time.
            ApiStatusError: If the response is not a success, or too large.
            ConfigError: If the transport is closed, or `json` cannot be written as JSON.
        """
        request = Request(method, self.url + path, job_id)
        send = functools.partial(
            self._exchange,
            request,
            params=params,
            data=None if json is None else _encode(json),
            content_type=None if json is None else "application/json",
            body=body,
            headers=headers,
            hide=hide,
            read_timeout=read_timeout,
            on_item=on_item,
        )
        self._open()
        credentials = self._credentials
        header = _Header(credentials.authorization())
        response = send(header)
        if response.status == 401 and credentials.renew(header.reveal()):
            response = send(_Header(credentials.authorization()))
        return responses.raise_for_status(response, self._auth, body, error_of)

    def reach(self, path: str) -> RawResponse:
        """The response of the server to a GET without a key, whatever its status.

        Raises:
            ApiError: There is none.
            ConfigError: The transport is closed, or the proxy's setting cannot be used.
        """
        return self._exchange(Request("GET", self.url + path), _Header(""))

    def _post_form(
        self, path: str, form: Secret, authorization: Secret | None, hide: Sequence[Secret]
    ) -> RawResponse:
        """Post a form of credentials and return the response, whatever its status."""
        response = self._exchange(
            Request("POST", self.url + path),
            _Header("" if authorization is None else authorization.reveal()),
            data=form,
            content_type="application/x-www-form-urlencoded",
            hide=hide,
            for_another=True,
        )
        if 300 <= response.status < 400:
            raise redirect(response)
        return response

    def _exchange(
        self,
        request: Request,
        header: _Header,
        *,
        params: Mapping[str, str] | None = None,
        data: bytes | Secret | None = None,
        content_type: str | None = None,
        body: FileBody | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        read_timeout: float | None = None,
        hide: Sequence[Secret] = (),
        for_another: bool = False,
        on_item: OnItem | None = None,
    ) -> RawResponse:
        """Send a request and read the response, once.

        What was sent as header and `hide` is masked in the response. `for_another` says that
        another request waits for this one: its errors become that one's, which was not sent.
        """
        read = self._timeouts.read if read_timeout is None else read_timeout
        # The connect timeout is also the socket's while a body is sent: a slow line needs more.
        connect = self._timeouts.connect if body is None else max(self._timeouts.connect, read)
        left = _time_left(request)
        if left is not None:
            connect, read = min(connect, left), min(read, left)
        session = self._open()
        begin = time.monotonic()
        status: int | None = None
        received = Received()
        error: BaseException | None = None
        try:
            with session.request(
                request.method,
                request.url,
                params=params,
                # A body with a length is streamed.
                data=_revealed(data) or body,  # type: ignore[arg-type]
                headers={
                    "Content-Type": content_type if body is None else body.content_type,
                    **({name: _revealed(headers[name]) for name in headers} if headers else {}),
                },
                auth=header,
                timeout=(connect, read),
                # The SSLContext decides; for True requests 2.32.2 would replace it.
                verify=self._ca_bundle,
                allow_redirects=False,
                stream=True,
            ) as response:
                status = response.status_code
                # The secrets are no locals here: an error is raised from this frame.
                received = receive(
                    response,
                    request,
                    [header.reveal().rpartition(" ")[2], *map(Secret.reveal, hide)],
                    on_item,
                )
        except _NETWORK as network_error:
            # A file that was not sent whole cannot have been stored.
            complete = not for_another and (body is None or body.finished)
            error = from_requests_error(network_error, request, read, complete=complete)
        except BaseException as other:
            error = other
            # Whatever was raised within the HTTP library: the locals of its frames hold the key.
            other.__context__ = other.__traceback__ = None
        # The error is raised out here so that no error of the HTTP library becomes its context.
        if body is not None and body.failure is not None:
            error = body.failure.with_traceback(body.trace)
        self._report(
            CallEvent(
                method=request.method,
                path=request.url.removeprefix(self.url),
                status=status,
                error=None if error is None else type(error).__name__,
                seconds=time.monotonic() - begin,
                bytes_sent=len(body or (data if isinstance(data, bytes) else b"")),
                bytes_received=received.size,
                job_id=request.job_id,
            )
        )
        if error is not None:
            raise error
        return RawResponse(
            request, status or 0, received.headers, received.content, received.problem
        )

    def _report(self, event: CallEvent) -> None:
        """Log a call, and tell the listeners of it."""
        _log.debug(
            "%s %s -> %s in %.3f s, %d bytes sent, %d received",
            event.method,
            event.path,
            event.error or event.status,
            event.seconds,
            event.bytes_sent,
            event.bytes_received,
        )
        for listener in tuple(self.listeners):
            try:
                listener(event)
            except Exception as error:  # a listener never breaks a call
                if listener not in self._failed_listeners:
                    self._failed_listeners.append(listener)
                    _log.warning(
                        "a listener failed with %s; its further errors are not logged",
                        type(error).__name__,
                        exc_info=error,
                    )

    def close(self) -> None:
        """Close the connections; later calls raise ConfigError."""
        with self._lock:
            session, self._session = self._session, None
            self._closed = True
        if session is not None:
            close_session(session)

    def _open(self) -> requests.Session:
        if self._pid != os.getpid():
            # A forked child must not use its parent's sockets, nor a lock that a thread may hold.
            self._pid, self._lock, self._session = os.getpid(), threading.Lock(), None
            self._credentials = self._auth.credentials(self._post_form, self._clock)
        with self._lock:
            if self._closed:
                msg = f"The connection to {self.url} is closed. Open one with connect()."
                raise ConfigError(msg)
            if self._session is None:
                self._session = new_session(self._host, self._connections, self._tls)
            return self._session


def _time_left(request: Request) -> float | None:
    """Seconds until the deadline of the token this thread calls under; None if there is none.

    Raises:
        Cancelled: The token was cancelled.
        ApiTimeoutError: The deadline has passed.
    """
    token = current_token()
    if token is None:
        return None
    token.raise_if_cancelled()
    left = token.remaining()
    if left == 0.0:
        raise ApiTimeoutError(
            f"{request}: not sent, because timeout= had passed.",
            sent=False,
            **dataclasses.asdict(request),
        )
    return left


def _encode(value: Any) -> bytes:
    try:
        return json_.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        problem = str(error)
    msg = f"The request cannot be written as JSON ({problem}). Check job_options."
    raise ConfigError(msg)


def _revealed(value: _T | Secret) -> _T | str:
    return value.reveal() if isinstance(value, Secret) else value
