"""Addresses: from whatever was pasted out of the browser to ``https://host``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
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
class Address:
    """What an address says.

    Attributes:
        base: ``https://host`` or ``https://host:port``, without a slash at the end.
        pool_id: Id of the Data Pool whose page it is, or None.
    """

    base: str
    pool_id: str | None = None


def parse_address(text: str) -> Address:
    """What a pasted address says.

    Any page of the team will do: path, query and fragment are read for the Data Pool's id only.
    A host name alone is taken as https, if it is one of Celonis or of this machine; another host
    must be written as a full URL. Plain http is for loopback hosts only, so that a key never
    crosses a network in the clear.

    Args:
        text: The address.

    Raises:
        ConfigError: No usable address; the message does not repeat what may be a secret.
    """
    given = text.strip()
    if not given or re.search(r"[\s\\\x00-\x1f\x7f]", given):
        msg = f"The address is empty or holds blanks or backslashes. Give one like {_EXAMPLE}."
        raise ConfigError(msg)
    whole = bool(_SCHEME.match(given))
    try:
        parts = urlsplit(given if whole else f"https://{given}")
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        msg = f"The address cannot be read. Give one like {_EXAMPLE}."
        raise ConfigError(msg) from None
    if "@" in parts.netloc:
        msg = (
            "The address holds a user name or a password (before '@'). Leave them out: keys are "
            "given as auth= or in CELONIS_API_TOKEN, and go nowhere but to the host itself."
        )
        raise ConfigError(msg)
    _check_host(host, whole=whole)
    shown = f"[{host}]" if ":" in host else host
    if parts.scheme == "http" and not is_loopback(host):
        msg = (
            f"http://{shown} would send the key in the clear. Write https://{shown}; plain http is "
            "for loopback addresses (127.0.0.1, localhost) only."
        )
        raise ConfigError(msg)
    if parts.scheme not in _DEFAULT_PORTS:
        msg = f"An address of Celonis begins with https://, such as {_EXAMPLE}."
        raise ConfigError(msg)
    tail = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    found = _POOL.search(f"{parts.path}#{parts.fragment}".replace("#", "/"))
    return Address(f"{parts.scheme}://{shown}{tail}", unquote(found[1]) if found else None)


def base_url(text: str) -> str:
    """The base address of any page of a team.

    Raises:
        ConfigError: No usable address.
    """
    return parse_address(text).base


def team_url(team: str, cluster: str) -> str:
    """The base address of a team: ``https://<team>.<cluster>.celonis.cloud``.

    Args:
        team: First label of the host, such as ``"myteam"``.
        cluster: The labels between team and ``celonis.cloud``, such as ``"eu-1"``.

    Raises:
        ConfigError: One of them is no host label.
    """
    for name, value in (("team", team), ("cluster", cluster)):
        if not isinstance(value, str) or not _LABEL.fullmatch(value.strip().lower()):
            msg = (
                f"{name}={value!r} is not a part of a host name. In {_EXAMPLE} the team is "
                "'myteam' and the cluster 'eu-1'."
            )
            raise ConfigError(msg)
    return f"https://{team.strip().lower()}.{cluster.strip().lower()}{CLOUD}"


def pool_in_url(text: str) -> tuple[str, str] | None:
    """The base address and the Data Pool's id when a pool was given by its address, else None.

    Raises:
        ConfigError: An address, but not one of a pool's page.
    """
    if not (_SCHEME.match(text.strip()) or _URL_LIKE.match(text.strip())):
        return None
    address = parse_address(text)
    if address.pool_id is None:
        msg = (
            "The address is not one of a Data Pool: its page's address has /pools/ and the pool's "
            "id in it. Open the pool in the browser and paste that, or give the pool's id or name."
        )
        raise ConfigError(msg)
    return address.base, address.pool_id


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
            msg = f"The address holds no readable host. Give one like {_EXAMPLE}."
            raise ConfigError(msg) from None
        return
    if not _HOST.fullmatch(host) or ".." in host:
        msg = (
            f"The address holds no readable host. Give one like {_EXAMPLE}; a host with other than "
            "plain letters is written in its xn-- form."
        )
        raise ConfigError(msg)
    if whole or host.endswith(CLOUD) or is_loopback(host):
        return
    if "." not in host:
        # Not repeated: a key pasted in the wrong place looks just like this.
        msg = (
            f"One word is not an address. Give the whole of it, such as {_EXAMPLE}, or team= and "
            "cluster=."
        )
        raise ConfigError(msg)
    msg = (
        f"{host} does not end in {CLOUD}. If the key really is to go there, write it in full: "
        f"https://{host}."
    )
    raise ConfigError(msg)
