"""Calls that another thread can end: connections that tell where their socket is.

A thread that waits for an answer cannot be stopped from outside; its socket can be shut, and then
the call fails at once, as if the network had broken.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

import requests.adapters
import urllib3
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

from celonis_frames._concurrency.cancellation import attach_socket
from celonis_frames._trust import shared_context

__all__ = ["Adapter"]


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
    """Mixed into a connection: tells the thread's `Abort` which socket is in use."""

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
                self.ssl_context = shared_context(self._authorities)
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
