"""The CA file or directory that the environment names: it counts for every https URL."""

from __future__ import annotations

import functools
import os
import ssl
from typing import Any

from celonis_frames.exceptions import ConfigError

_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def environment_ca_bundle() -> tuple[str, str] | None:
    """The path and, for messages, the variable with it; None if none is set."""
    for name in _VARIABLES:
        if path := os.environ.get(name):
            return path, f"{name}={path}"
    return None


def load_certificates(context: ssl.SSLContext, path: str, given: str) -> None:
    """Let a context trust a CA file or directory; `given` is where it was named.

    Raises:
        ConfigError: If no certificates can be read there.
    """
    try:
        if os.path.isdir(path):  # noqa: PTH112
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except FileNotFoundError:
        problem = "there is no such CA file or directory"
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        problem = f"it cannot be read as certificates in PEM form ({type(error).__name__})"
    else:
        return
    raise ConfigError(f"{given}: {problem}.")


def https_options(url: str) -> dict[str, Any]:
    """What fsspec is to be given for a URL so that https uses the CA file, as requests does.

    The filesystem for https is built on aiohttp, which does not read the variables.

    Raises:
        ConfigError: If no certificates can be read there.
    """
    found = environment_ca_bundle()
    if found is None or "https://" not in url.lower():
        return {}
    return {"https": {"ssl": _context(*found)}}


@functools.lru_cache(maxsize=4)  # fsspec reuses a filesystem with the same options
def _context(path: str, given: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    load_certificates(context, path, given)
    return context
