"""Whose certificates are trusted over TLS, read once for all connections."""

from __future__ import annotations

import functools
import os
import ssl

from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context

from celonis_frames.exceptions import ConfigError

__all__ = ["resolve_ca_bundle", "ssl_context"]


def ssl_context(ca_file: str) -> ssl.SSLContext:
    """What TLS connections that trust these authorities share, as the HTTP library makes it.

    A list of authorities is long in reading, some 20 ms, and would be read for each connection.

    Args:
        ca_file: A file of certificates; it is read anew when it has changed.

    Raises:
        OSError: It cannot be read, or has no certificates.
    """
    about = os.stat(ca_file)  # noqa: PTH116
    return _context(ca_file, (about.st_mtime_ns, about.st_ctime_ns, about.st_ino, about.st_size))


@functools.lru_cache(maxsize=8)
def _context(ca_file: str, _: object) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_verify_locations(ca_file)
    # The HTTP library sets these for each connection; here others may be reading them just then.
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    context.set_alpn_protocols = lambda _: None  # type: ignore[method-assign,assignment]
    return context


def resolve_ca_bundle(verify: object, *, encrypted: bool) -> bool | str:
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
        ssl_context(path)
    except FileNotFoundError:
        problem = "there is no such CA file or directory"
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        problem = f"it cannot be read as certificates in PEM form ({type(error).__name__})"
    else:
        return
    raise ConfigError(f"{given}: {problem}.")
