"""TLS: the CA bundle and the SSLContext that all connections of a transport share."""

from __future__ import annotations

import os
import ssl

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context

from celonis_frames._ca_bundle import environment_ca_bundle, load_certificates
from celonis_frames.exceptions import ConfigError


def resolve_ca_bundle(verify: object) -> tuple[str, str]:
    """The path of the CA file or directory to trust, and where it was given, for messages.

    True means the one that the environment names (``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``), else
    that of certifi.

    Raises:
        ConfigError: If `verify` is neither True nor a path.
    """
    if verify is True:
        return environment_ca_bundle() or (DEFAULT_CA_BUNDLE_PATH, "The CA file of certifi")
    if isinstance(verify, (str, os.PathLike)) and isinstance(path := os.fspath(verify), str):
        return path, f"verify={path!r}"
    msg = (
        "verify takes True or the path of a CA file. Certificates are always checked: for a "
        "company's own authority give verify='company-ca.pem', or set REQUESTS_CA_BUNDLE."
    )
    raise ConfigError(msg)


def ssl_context(path: str, given: str) -> ssl.SSLContext:
    """A context that trusts a CA file or directory and checks certificates and host names.

    Reading the file takes some 20 ms, so connections share the context.

    Raises:
        ConfigError: If no certificates can be read there.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    # urllib3 sets them for each connection, which could garble the handshake of another thread.
    context.set_alpn_protocols = lambda _: None  # type: ignore[assignment]
    load_certificates(context, path, given)
    return context
