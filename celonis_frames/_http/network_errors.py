"""Translate requests/urllib3 exceptions to ApiError.

They are told apart by type and error number, never by text (but for the status of a proxy), and
their text is not quoted: a proxy's URL in it may hold a password. The new error keeps no reference
to the original.
"""

from __future__ import annotations

import dataclasses
import errno
import ssl
from urllib.parse import urlsplit

from urllib3 import exceptions as net

from celonis_frames._http import proxies
from celonis_frames._http.messages import Request
from celonis_frames._http.redaction import plain
from celonis_frames.exceptions import (
    ApiConnectionError,
    ApiError,
    ApiTimeoutError,
    ConfigError,
)

_OTHER_HOST = (62, 64)
"""OpenSSL's codes for a host name, and for an IP address, that the certificate does not have."""
_NO_CONNECTION = (
    net.NewConnectionError,
    net.ConnectTimeoutError,
    net.ProxyError,
    net.NameResolutionError,
    ssl.SSLCertVerificationError,
)
"""Errors before there was a connection to send anything over."""


def from_requests_error(
    error: BaseException, request: Request, read_seconds: float, *, complete: bool = True
) -> ApiError | ConfigError:
    """The error to raise for a request that got no whole response.

    `complete`: whether the whole request was handed over, if there was a connection.
    """
    chain = _chain(error)
    final = proxies.unusable_url(chain, request) or proxies.rejection(chain, request)
    if final is not None:
        return final
    host = urlsplit(request.url).netloc
    connected = not _any(chain, net.NewConnectionError, net.ProxyError, net.SSLError)
    kind: type[ApiError] = ApiTimeoutError
    reason = "timeout"
    if connected and _any(chain, net.ConnectTimeoutError):
        message = (
            f"{host} did not accept a connection in time. Check the URL, the network, and whether "
            "a proxy is needed (HTTPS_PROXY)."
        )
    elif connected and _any(chain, net.TimeoutError, TimeoutError):
        message = (
            f"no response within {read_seconds:g} s. The server may still carry out the request. "
            "Try again, or allow more time: connect(…, timeouts=Timeouts(read=…))."
        )
    else:
        kind = ApiConnectionError
        reason, message = _reason(chain, request.url)
    return kind(
        f"{request}: {message}",
        reason=reason,
        sent=complete and not _any(chain, *_NO_CONNECTION),
        **dataclasses.asdict(request),
    )


def _any(chain: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(error, kinds) for error in chain)


def _reason(chain: list[BaseException], url: str) -> tuple[str, str]:
    """What failed, as `ApiError.reason` says it, and the message."""
    host = urlsplit(url).netloc
    for e in chain:
        if isinstance(e, ssl.SSLCertVerificationError) and e.verify_code in _OTHER_HOST:
            return "tls", (
                f"the certificate is for another host, not for {host}. Nothing was sent. Check the "
                "URL; if it is right, something intercepts the connection."
            )
        if isinstance(e, ssl.SSLCertVerificationError):
            return "certificate", (
                f"the certificate of {host} cannot be trusted ({plain(e.verify_message)}). Behind "
                "a company's proxy, give its CA file: connect(…, verify='company-ca.pem')."
            )
    if _any(chain, net.ProxyError):
        _, setting = proxies.proxy_for(url)
        status = proxies.tunnel_status(chain)
        if status is not None:
            what = f"the proxy did not forward the request, but returned {status}"
        elif _any(chain, net.NewConnectionError, net.NameResolutionError, net.ConnectTimeoutError):
            what = "the proxy cannot be reached"
        else:
            what = "the proxy did not forward the request"
        return "proxy", f"{what}. Check {setting} and NO_PROXY."
    if _any(chain, net.NameResolutionError):
        return "dns", f"there is no host named {host}, or no network. Check the URL."
    if _any(chain, net.SSLError, ssl.SSLError):
        return "tls", f"no secure connection to {host} could be made. Check the URL and the proxy."
    codes = {e.errno for e in chain if isinstance(e, OSError)}
    if errno.ECONNREFUSED in codes:
        return (
            "refused",
            f"{host} refused the connection. Check host and port, and that the server runs.",
        )
    return "broken", (
        f"the connection to {host} failed, or broke before the response was complete. Check the "
        "network; the server may or may not have carried out the request."
    )


def _chain(error: BaseException) -> list[BaseException]:
    """The error and every error that it refers to: as cause, context, reason or argument."""
    found: list[BaseException] = []
    queue: list[object] = [error]
    while queue and len(found) < 50:
        item = queue.pop(0)
        if not isinstance(item, BaseException) or any(item is e for e in found):
            continue
        found.append(item)
        queue += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return found
