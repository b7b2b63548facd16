"""The HTTP library's session: how it is set up and closed."""

from __future__ import annotations

import contextlib
import http.cookiejar

import requests

from celonis_frames._abort import Adapter
from celonis_frames._urls import is_loopback
from celonis_frames._version import __version__

__all__ = ["close_session", "new_session"]


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
