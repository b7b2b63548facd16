"""URLs: from any page pasted from the browser to ``https://host``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import unquote, urlsplit

from celonis_frames.exceptions import ConfigError

CLOUD = ".celonis.cloud"

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9-]+)*")
_POOL = re.compile(r"(?:^|/)pools/([^/?#]+)")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_URL_LIKE = re.compile(r"[\w.-]+\.[\w.-]+(:\d+)?/(.*/)?pools/", re.ASCII)
_DEFAULT_PORTS = {"https": 443, "http": 80}
_EXAMPLE = "https://myteam.eu-1.celonis.cloud"


@dataclass(frozen=True, slots=True)
class TeamUrl:
    """A parsed URL."""

    base: str
    """``https://host`` or ``https://host:port``, without a trailing slash."""
    pool_id: str | None = None
    """Id of the Data Pool if the URL is that of its page."""


def parse_url(text: str) -> TeamUrl:
    """Parse a pasted URL.

    Any page of the team is accepted: path, query and fragment are read for the Data Pool's id only.
    A host name without a scheme means https if it is a host of Celonis or a loopback host; any
    other host needs its full URL. Plain http is for loopback hosts only, so that a key never
    crosses a network unencrypted.

    Raises:
        ConfigError: If it is not a usable URL; the message does not quote what may be a secret.
    """
    given = text.strip()
    if not given or re.search(r"[\s\\\x00-\x1f\x7f]", given):
        msg = f"The URL is empty, or contains spaces or backslashes. Give one like {_EXAMPLE}."
        raise ConfigError(msg)
    whole = bool(_SCHEME.match(given))
    try:
        parts = urlsplit(given if whole else f"https://{given}")
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        host, port = "", 0
    if port == 0:
        msg = f"The URL cannot be parsed. Give one like {_EXAMPLE}."
        raise ConfigError(msg)
    if "@" in parts.netloc:
        msg = (
            "The URL contains a user name or a password (before '@'). Leave them out: keys are "
            "given as auth= or in CELONIS_API_TOKEN, and are sent to the host only."
        )
        raise ConfigError(msg)
    _check_host(host, whole=whole)
    shown = f"[{host}]" if ":" in host else host
    if parts.scheme == "http" and not is_loopback(host):
        msg = (
            f"http://{shown} would send the key unencrypted. Use https://{shown}; plain http is "
            "for loopback hosts (127.0.0.1, localhost) only."
        )
        raise ConfigError(msg)
    if parts.scheme not in _DEFAULT_PORTS:
        msg = f"The URL of a Celonis team starts with https://, as in {_EXAMPLE}."
        raise ConfigError(msg)
    tail = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    found = _POOL.search(f"{parts.path}#{parts.fragment}".replace("#", "/"))
    return TeamUrl(f"{parts.scheme}://{shown}{tail}", unquote(found[1]) if found else None)


def base_url(text: str) -> str:
    """The base URL of any page of a team.

    Raises:
        ConfigError: If it is not a usable URL.
    """
    return parse_url(text).base


def team_url(team: str, cluster: str) -> str:
    """The base URL of a team: ``https://<team>.<cluster>.celonis.cloud``.

    Raises:
        ConfigError: If one of them cannot be part of a host name.
    """
    for name, value in (("team", team), ("cluster", cluster)):
        if not isinstance(value, str) or not _LABEL.fullmatch(value.strip().lower()):
            msg = (
                f"{name}={value!r} is not part of a host name. In {_EXAMPLE} the team is 'myteam' "
                "and the cluster 'eu-1'."
            )
            raise ConfigError(msg)
    return f"https://{team.strip().lower()}.{cluster.strip().lower()}{CLOUD}"


def pool_in_url(text: str) -> tuple[str, str] | None:
    """The base URL and the Data Pool's id, if a pool was given by its URL, else None.

    Raises:
        ConfigError: If it is a URL, but not that of a pool's page.
    """
    if not (_SCHEME.match(text.strip()) or _URL_LIKE.match(text.strip())):
        return None
    url = parse_url(text)
    if url.pool_id is None:
        msg = (
            "The URL is not that of a Data Pool, which contains /pools/ and the pool's id. Open "
            "the pool in the browser and paste its URL, or give the pool's id or name."
        )
        raise ConfigError(msg)
    return url.base, url.pool_id


def is_loopback(host: str) -> bool:
    """Whether a host is 127.0.0.0/8, ::1 or localhost."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_host(host: str, *, whole: bool) -> None:
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            msg = f"The URL has no valid host. Give one like {_EXAMPLE}."
            raise ConfigError(msg) from None
        return
    labels = host.split(".")
    if (
        not _HOST.fullmatch(host)
        or len(host) > 253
        or not all(0 < len(one) <= 63 for one in labels)
    ):
        msg = (
            f"The URL has no valid host. Give one like {_EXAMPLE}; write a host with other letters "
            "than a to z in its xn-- form."
        )
        raise ConfigError(msg)
    if whole or host.endswith(CLOUD) or is_loopback(host):
        return
    if "." not in host:
        # Not quoted: a key pasted in the wrong place looks just like this.
        near = ' Did you mean "local"?' if get_close_matches(host, ["local"]) else ""
        msg = f"That is not a URL.{near} Give all of it, such as {_EXAMPLE}, or team= and cluster=."
        raise ConfigError(msg)
    msg = (
        f"{host} does not end in {CLOUD}. If the key should really be sent there, give the full "
        f"URL: https://{host}."
    )
    raise ConfigError(msg)
