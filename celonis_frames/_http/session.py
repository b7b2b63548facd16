"""The session of the HTTP library, and connections whose call another thread can end."""

from __future__ import annotations

import contextlib
import http.client
import http.cookiejar
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import requests
import requests.adapters
import urllib3
import urllib3.connection
import urllib3.connectionpool

from celonis_frames._concurrency.cancellation import attach_socket
from celonis_frames._urls import is_loopback
from celonis_frames._version import __version__

MAX_INFORMATIONAL = 20
"""Informational responses (1xx) before one response; more are an error."""


class Adapter(requests.adapters.HTTPAdapter):
    """The transport adapter of requests: one SSLContext, connections that can be ended.

    The context decides what is trusted, also for proxies over TLS; it is None if no call uses TLS.
    """

    def __init__(self, context: ssl.SSLContext | None, **options: Any) -> None:
        self._context = context
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """The pools of direct connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> urllib3.ProxyManager:
        """The pools of connections over a proxy."""
        kwargs["ssl_context"] = self._context
        if not proxy.lower().startswith("socks"):
            kwargs["proxy_ssl_context"] = self._context
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        if type(manager) is urllib3.ProxyManager:  # one for SOCKS has pools of its own
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave trust to the context; else it would load the CA file for each connection."""
        del url, verify, cert
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None


_watchers = threading.local()


@contextlib.contextmanager
def informational_statuses() -> Iterator[list[int]]:
    """A list to which each informational status is added that this thread gets in the block."""
    seen: list[int] = []
    before = _watching()
    _watchers.lists = (*before, seen)
    try:
        yield seen
    finally:
        _watchers.lists = before


def _watching() -> tuple[list[int], ...]:
    return getattr(_watchers, "lists", ())


class _FinalResponse(http.client.HTTPResponse):
    """A response that skips informational ones (1xx), which the library takes for the response.

    What follows them would be read as the response to the next call. A connection that saw one is
    closed after its response.
    """

    _saw_informational = False

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INFORMATIONAL):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            for seen in _watching():
                seen.append(status)
            if status == 101:
                raise http.client.HTTPException("the protocol was switched without being asked")
            http.client.parse_headers(self.fp)
            self._saw_informational = True
        raise http.client.HTTPException("no response after many informational ones")

    def begin(self) -> None:
        super().begin()
        self.will_close = self.will_close or self._saw_informational


class _Attached:
    """Mixed into a connection: reports the socket in use to the call's `CancelToken`."""

    sock: socket.socket | None
    response_class: Any = _FinalResponse

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]  # the connection's own
        attach_socket(sock)  # a proxy may answer byte by byte
        return sock

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # the connection's own
        attach_socket(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        attach_socket(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]  # the connection's own


class _Http(_Attached, urllib3.connection.HTTPConnection):
    pass


class _Https(_Attached, urllib3.connection.HTTPSConnection):
    pass


class _HttpPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class _Session(requests.Session):
    """A session that takes no redirect for one.

    Even if told not to follow it, requests would parse its Location, and read its body whole.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        del resp


def new_session(host: str, connections: int, context: ssl.SSLContext | None) -> requests.Session:
    """A session for calls to one host; `connections` are kept open for reuse."""
    session = _Session()
    agent = f"celonis-frames/{__version__}"
    session.headers.update({"User-Agent": agent, "Accept": "application/json"})
    session.trust_env = not is_loopback(host)  # calls to a loopback host bypass proxies
    # With a cookie the server would expect more than the key.
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    adapter = Adapter(context, pool_connections=1, pool_maxsize=connections, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def close_session(session: requests.Session) -> None:
    """Close a session and all its connections."""
    # urllib3 leaves closing idle connections to the garbage collector, but an error that is kept
    # in a log record or a notebook would hold them open.
    for adapter in session.adapters.values():
        if isinstance(adapter, Adapter):
            for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
                for key in manager.pools.keys():  # noqa: SIM118  # it cannot be iterated
                    with contextlib.suppress(KeyError):
                        manager.pools[key].close()
    session.close()
