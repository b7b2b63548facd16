"""The HTTP library's session: how it is set up and closed, and whom it trusts."""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import ssl

import requests

from celonis_frames._abort import Adapter
from celonis_frames._address import is_loopback
from celonis_frames._version import __version__
from celonis_frames.exceptions import ConfigError

__all__ = ["authorities", "close_session", "new_session"]


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


def authorities(verify: object, *, encrypted: bool) -> bool | str:
    """Whose certificates a session trusts, checked before the first call.

    Args:
        verify: True, or the path of a CA file or directory to trust instead.
        encrypted: Whether the calls go over TLS; else what the environment says is not looked at,
            since reading a long list of authorities takes a while.

    Raises:
        ConfigError: If it is neither, or no certificates can be read there or where the
            environment says.
    """
    if verify is True:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            path = os.environ.get(name)
            if path and encrypted:
                _check_authorities(path, f"{name}={path}")
                break
        return True
    if isinstance(verify, (str, os.PathLike)):
        path = os.fspath(verify)
        if isinstance(path, str):
            _check_authorities(path, f"verify={path!r}")
            return path
    msg = (
        "verify takes True or the path of a CA file. Certificates are always checked: for a "
        "company's own authority give verify='company-ca.pem', or set REQUESTS_CA_BUNDLE."
    )
    raise ConfigError(msg)


def _check_authorities(path: str, given: str) -> None:
    if os.path.isdir(path):  # noqa: PTH112
        return
    try:
        ssl.create_default_context(cafile=path)
    except FileNotFoundError:
        problem = "there is no such CA file or directory"
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        problem = f"it cannot be read as certificates in PEM form ({type(error).__name__})"
    else:
        return
    raise ConfigError(f"{given}: {problem}.")
