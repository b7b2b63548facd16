"""The session of the HTTP library, and connections whose call another thread can end."""

from __future__ import annotations

import contextlib
import http.cookiejar
import socket
import ssl
from typing import Any

import requests
import requests.adapters
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

from celonis_frames._concurrency.cancellation import attach_socket
from celonis_frames._http.tls import ssl_context
from celonis_frames._urls import is_loopback
from celonis_frames._version import __version__

__all__ = ["Adapter", "close_session", "new_session"]


class Adapter(requests.adapters.HTTPAdapter):
    """The transport adapter of requests, over connections that can be ended."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """The pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:
        """The pools of connections over a proxy."""
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **kwargs)
        if type(manager) is urllib3.ProxyManager:  # one for SOCKS has pools of its own
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _Attached:
    """Mixed into a connection: tells the thread's `CallAborter` which socket is in use."""

    sock: socket.socket | None

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # the connection's own
        attach_socket(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        attach_socket(self.sock)
        super().request(*args, **kwargs)  # type: ignore[misc]  # the connection's own


class _Http(_Attached, urllib3.connection.HTTPConnection):
    pass


class _Https(_Attached, urllib3.connection.HTTPSConnection):
    _authorities: str | None = None

    def connect(self) -> None:
        if self._shares():
            self._authorities, self.ca_certs = self.ca_certs, None
        if self._authorities is not None:  # each time: the file may have changed
            try:
                self.ssl_context = ssl_context(self._authorities)
            except OSError as error:  # as the HTTP library says it
                raise urllib3.exceptions.SSLError(error) from error
        super().connect()

    def _shares(self) -> bool:
        """Whether a file of authorities is all that this connection's trust is made of."""
        return (
            self.ca_certs is not None
            and not (self.ca_cert_dir or self.ca_cert_data or self.cert_file or self.ssl_context)
            and self.cert_reqs in ("CERT_REQUIRED", ssl.CERT_REQUIRED)
            # A proxy that is called over TLS is trusted by the same file.
            and (self.proxy is None or self.proxy.scheme != "https")
        )


class _HttpPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _Https


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


def new_session(host: str, connections: int) -> requests.Session:
    """A session for calls to one host.

    Args:
        host: The host; calls to this machine go past proxies.
        connections: Connections kept open for reuse.
    """
    session = requests.Session()
    session.headers.update(
        {"User-Agent": f"celonis-frames/{__version__}", "Accept": "application/json"}
    )
    session.trust_env = not is_loopback(host)
    # Every call stands alone: a cookie would make the server ask for more than the key.
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    adapter = Adapter(pool_connections=1, pool_maxsize=connections, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def close_session(session: requests.Session) -> None:
    """Close a session with all its connections."""
    # urllib3 leaves the closing of idle connections to the garbage collector, and an error that is
    # kept anywhere, in a log record or a notebook, would hold them open.
    for adapter in session.adapters.values():
        if isinstance(adapter, Adapter):
            for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
                for key in manager.pools.keys():  # noqa: SIM118  # it cannot be iterated
                    with contextlib.suppress(KeyError):
                        manager.pools[key].close()
    session.close()
