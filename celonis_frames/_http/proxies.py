"""Errors of a proxy setting, and of a proxy that rejects a connection."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import requests.exceptions
import requests.utils
from urllib3 import exceptions as net

from celonis_frames._http.messages import Request
from celonis_frames.exceptions import ApiStatusError, ConfigError

_UNUSABLE = (
    requests.exceptions.InvalidURL,  # of a proxy too
    requests.exceptions.InvalidSchema,  # a SOCKS proxy without PySocks
    net.LocationValueError,
    UnicodeError,  # a host name that no name server could know
)
"""Errors of URLs that cannot be used, raised before anything was sent."""
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""How the standard library reports the proxy's status: nowhere but in the text."""
_TEMPORARY = frozenset({408, 425, 429})


def unusable_url(chain: Sequence[BaseException], request: Request) -> ConfigError | None:
    """The error for a proxy setting or host that can never work, or None if it is another error."""
    if not any(isinstance(error, _UNUSABLE) for error in chain):
        return None
    proxy, setting = proxy_for(request.url)
    if not proxy:
        host = urlsplit(request.url).netloc
        return ConfigError(f"{host} is no valid host name. Check the URL. Nothing was sent.")
    if proxy.lower().startswith("socks"):
        return ConfigError(
            f"{_capital(setting)} names a SOCKS proxy, which needs PySocks: "
            'pip install "requests[socks]". Nothing was sent.'
        )
    return ConfigError(
        f"{_capital(setting)} is no URL of a proxy that can be used. Write http://host:port; "
        "special characters in a user name or password are percent-encoded ('/' is %2F). Nothing "
        "was sent."
    )


def rejection(chain: Sequence[BaseException], request: Request) -> ApiStatusError | None:
    """The error for a proxy that rejected the connection for good, or None."""
    status = tunnel_status(chain)
    if status is None or not 400 <= status < 500 or status in _TEMPORARY:
        return None
    _, setting = proxy_for(request.url)
    host = urlsplit(request.url).netloc
    if status == 407:
        advice = (
            "it requires a user name and password, or does not accept those given. Write "
            f"http://user:password@host:port in {setting}."
        )
    else:
        advice = (
            f"it does not allow connections to {host}. Have {host} allowed there, set {setting} to "
            f"another proxy, or add {host} to NO_PROXY."
        )
    return ApiStatusError(
        f"{request}: the proxy returned {status}: {advice} Nothing was sent.",
        status_code=status,
        reason="proxy",
        **dataclasses.asdict(request),
    )


def tunnel_status(chain: Sequence[BaseException]) -> int | None:
    """The status with which a proxy answered instead of opening a tunnel, or None."""
    for error in chain:
        if isinstance(error, OSError) and (match := _TUNNEL.match(str(error))):
            return int(match[1])
    return None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith("the ") else text


def proxy_for(url: str) -> tuple[str | None, str]:
    """The proxy for a URL, and the name of its setting."""
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    for name in (f"{urlsplit(url).scheme}_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            if os.environ.get(spelling):
                return proxy, spelling
    return proxy, "the system's proxy setting"
