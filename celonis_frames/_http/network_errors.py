"""What a broken call means: from the network's errors to ours.

Told apart by type and error number, never by text; their text is not quoted, for a proxy's address
in it may hold a password. What is returned keeps no reference to the error it came from.
"""

from __future__ import annotations

import dataclasses
import errno
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from urllib3 import exceptions as net

from celonis_frames._http.redaction import plain
from celonis_frames.exceptions import ApiConnectionError, ApiError, ApiTimeoutError

if TYPE_CHECKING:
    from celonis_frames._http.messages import Request

__all__ = ["translate"]

_OTHER_HOST = (62, 64)
"""OpenSSL's codes for a name, and for an address, that is not in the certificate."""


def translate(error: BaseException, call: Request, read: float) -> ApiError:
    """The error to raise for a call that got no whole answer.

    Args:
        error: What the HTTP library raised.
        call: What was asked.
        read: Seconds that were allowed for the answer.
    """
    failure = _translated(_chain(error), call, read)
    failure.sent = not _unsent(_chain(error))
    return failure


def _unsent(chain: list[BaseException]) -> bool:
    """Whether it broke before there was a connection to send anything over."""
    return _any(
        chain,
        net.NewConnectionError,
        net.ConnectTimeoutError,
        net.ProxyError,
        net.NameResolutionError,
        ssl.SSLCertVerificationError,
    )


def _translated(chain: list[BaseException], call: Request, read: float) -> ApiError:
    about = dataclasses.asdict(call)
    host = urlsplit(call.url).netloc
    if _any(chain, net.NewConnectionError, net.ProxyError, net.SSLError):
        pass
    elif _any(chain, net.ConnectTimeoutError):
        return ApiTimeoutError(
            f"{call}: {host} did not accept a connection in time. Check the address, the network, "
            "and whether a proxy is needed (HTTPS_PROXY).",
            **about,
        )
    elif _any(chain, net.TimeoutError, TimeoutError):
        return ApiTimeoutError(
            f"{call}: no answer within {read:g} s. The server may still carry out the call. Try "
            "again, or allow more time: connect(…, timeouts=Timeouts(read=…)).",
            **about,
        )
    return ApiConnectionError(f"{call}: {_reason(chain, host)}", **about)


def _any(chain: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(error, kinds) for error in chain)


def _reason(chain: list[BaseException], host: str) -> str:
    for e in chain:
        if isinstance(e, ssl.SSLCertVerificationError) and e.verify_code in _OTHER_HOST:
            return (
                f"the certificate there is another host's, not that of {host}. Nothing was sent. "
                "Check the address; if it is right, something stands between."
            )
        if isinstance(e, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {host} cannot be trusted ({plain(e.verify_message)}). Behind "
                "a company's proxy, give its CA file: connect(…, verify='company-ca.pem')."
            )
    if _any(chain, net.ProxyError):
        return "the proxy did not let the call through. Check HTTPS_PROXY and NO_PROXY."
    if _any(chain, net.NameResolutionError):
        return f"there is no host named {host}, or no network. Check the address."
    if _any(chain, net.SSLError, ssl.SSLError):
        return f"no secure connection to {host} could be made. Check the address and the proxy."
    codes = {e.errno for e in chain if isinstance(e, OSError)}
    if errno.ECONNREFUSED in codes:
        return f"{host} refused the connection. Check the address and port, and that it runs."
    return (
        f"the connection to {host} could not be made, or broke before the answer was whole. Check "
        "the network; the server may or may not have carried out the call."
    )


def _chain(error: BaseException) -> list[BaseException]:
    """The error, and every error it holds: as cause, context, reason or argument."""
    found: list[BaseException] = []
    queue: list[object] = [error]
    while queue and len(found) < 50:
        item = queue.pop(0)
        if not isinstance(item, BaseException) or any(item is e for e in found):
            continue
        found.append(item)
        queue += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    return found
