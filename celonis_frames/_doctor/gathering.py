"""Gather the facts: a call without a key, calls that read, and what this machine knows."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.integration import IntegrationApi
from celonis_frames._auth.environment import Settings, is_local
from celonis_frames._auth.keys import ApiKey, AppKey
from celonis_frames._auth.oauth2 import OAuth2
from celonis_frames._doctor.facts import Access, Facts, Ingestion, Key, Network, PoolAccess
from celonis_frames._doctor.messages import message_of
from celonis_frames._formatting import did_you_mean
from celonis_frames._http.auth import Auth, Unsigned
from celonis_frames._http.proxies import proxy_for
from celonis_frames._http.status_errors import is_page
from celonis_frames._http.tls import resolve_ca_bundle
from celonis_frames._http.transport import Timeouts, Transport
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._profiles.key_check import check_ingestion_keys
from celonis_frames._urls import CLOUD, base_url, is_loopback
from celonis_frames._version import versions
from celonis_frames.exceptions import (
    ApiError,
    ApiStatusError,
    AuthenticationError,
    CelonisFramesError,
    ConfigError,
    NotFound,
    PermissionDenied,
)

_BOUND = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([\d.]+)")
_UNREACHED = ("timeout", "broken", "refused", "proxy", "certificate", "tls", "dns")


def gather(
    find: Callable[[], Settings],
    pool: str | None,
    *,
    verify: Any = True,
    timeouts: Timeouts | None = None,
) -> Facts:
    """The facts of a connection.

    Args:
        find: Returns the connection, or raises ConfigError or ImportError.
        pool: The pool to look at, by id, name or URL.
        verify: As of `connect`.
        timeouts: As of `connect`.
    """
    found, outdated = _versions()
    begun = Facts(versions=found, outdated=outdated)
    try:
        settings = find()
        if is_local(settings.url):
            where = f"{settings.source}: the local Celonis, which each connection starts anew"
            return replace(begun, source=where)
        url = base_url(settings.url)
        ca = resolve_ca_bundle(verify)[1]
        transport = Transport(url, settings.auth or Unsigned(), verify=verify, timeouts=timeouts)
    except (ConfigError, ImportError) as error:
        return replace(begun, problem=str(error))
    begun = replace(begun, source=settings.source)
    with contextlib.closing(transport):
        network = _network(transport, ca)
        facts = replace(begun, network=network)
        if network.reached == "reached" and not network.page and (network.status or 0) < 500:
            options = {"verify": verify, "timeouts": timeouts}
            facts = replace(
                facts,
                key=_key(transport, settings.auth, options),
                ingestion=_ingestion(url, settings.ingestion, options),
            )
            if facts.key is not None and facts.key.access in ("allowed", "forbidden"):
                facts = replace(facts, pool=_pool(DataPushApi(transport), pool))
    return facts


def _network(transport: Transport, ca: str) -> Network:
    parts = urlsplit(transport.url)
    host, loopback = parts.hostname or "", is_loopback(parts.hostname or "")
    proxy = None
    if not loopback:  # loopback hosts are never reached through one
        name, setting = proxy_for(transport.url)
        proxy = setting if name else None
    known: dict[str, Any] = {
        "host": parts.netloc, "encrypted": parts.scheme == "https", "loopback": loopback,
        "celonis": host.endswith(CLOUD), "proxy": proxy,
        "ca": ca if parts.scheme == "https" else "",
    }  # fmt: skip
    if proxy is None and not loopback:
        known["addresses"] = _addresses(host, parts.port or 443)
        if known["addresses"] is None:
            return Network(**known, reached="dns", message=f"There is no host named {host}.")
    begin = time.time()
    try:
        response = DataPushApi(transport).reach()
    except ConfigError as error:
        return Network(**known, reached="unusable", message=error.message)
    except ApiError as error:
        reached: Any = error.reason if error.reason in _UNREACHED else "broken"
        return Network(**known, reached=reached, message=message_of(error))
    middle = (begin + time.time()) / 2
    return Network(
        **known,
        status=response.status,
        page=is_page(response.headers, response.content),
        skew=_skew(response.headers.get("Date", ""), middle),
    )


def _addresses(host: str, port: int) -> int | None:
    try:
        return len({item[4][0] for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return None


def _skew(date: str, now: float) -> float | None:
    try:
        return now - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return None


def _key(transport: Transport, auth: Auth | None, options: dict[str, Any]) -> Key:
    if auth is None:
        return Key()
    kinds: dict[type, str] = {ApiKey: "BEARER", AppKey: "APP_KEY", OAuth2: "OAUTH"}
    known: dict[str, Any] = {
        "kind": auth.kind, "type": kinds.get(type(auth), "FILE"),
        "scopes": auth.scopes if isinstance(auth, OAuth2) else (),
    }  # fmt: skip
    try:
        DataPushApi(transport).pools()
        return Key(**known, access="allowed")
    except CelonisFramesError as error:
        access, message, codes = _failed(error)
    other = ""
    if access == "rejected" and isinstance(auth, ApiKey | AppKey):
        other = _other_kind(transport.url, auth, options)
    return Key(**known, access=access, message=message, codes=codes, other_kind=other)


def _other_kind(url: str, auth: ApiKey | AppKey, options: dict[str, Any]) -> str:
    """The kind as which the same server accepts the key; empty if it does not."""
    other = ApiKey(auth.token) if isinstance(auth, AppKey) else AppKey(auth.token)
    with contextlib.closing(Transport(url, other, **options)) as transport:
        try:
            DataPushApi(transport).pools()
        except CelonisFramesError as error:
            return other.kind if _failed(error)[0] == "forbidden" else ""
    return other.kind


def _pool(api: DataPushApi, given: str | None) -> PoolAccess:
    if given is None:
        return PoolAccess()
    try:
        pool_id = lookup.pool_id(api, given)
    except CelonisFramesError as error:
        found, message, _ = _failed(error)
        return PoolAccess(given, found=found, message=message)
    name, created, alike = "", False, ""
    found, message, _ = "allowed", "", ()
    try:
        name = api.pool(pool_id).name
    except CelonisFramesError as error:
        found, message, codes = _failed(error)
        created = lookup.CREATED_BY_JOB in codes
        if created:
            names = [one.name for one in _tried(api.pools)[0] or ()]
            alike = did_you_mean(given, names).strip()
    jobs, (push, problem) = _tried(lambda: api.jobs(pool_id))
    hour = time.time() // 3600 * 3_600_000
    recent = [job for job in jobs or () if (job.modified or 0) >= hour and job.state != "NEW"]
    return PoolAccess(
        given=given,
        id=pool_id,
        name=name,
        found=found,
        created_by_job=created,
        alike=alike,
        push=push,
        tables=_tried(lambda: api.tables(pool_id))[1][0],
        models=_tried(lambda: IntegrationApi.sharing(api).models(pool_id))[1][0],
        message=problem or message,
        submitted=len(recent),
        open=sum(job.state == "NEW" for job in jobs or ()),
    )


def _tried(call: Callable[[], Any]) -> tuple[Any, tuple[Access, str]]:
    """What a call returned, how it ended, and its message."""
    try:
        return call(), ("allowed", "")
    except CelonisFramesError as error:
        access, message, _ = _failed(error)
        return None, (access, message)


def _failed(error: CelonisFramesError) -> tuple[Access, str, tuple[str, ...]]:
    """How a call ended that raised an error, its message, and its error codes."""
    codes = error.error_codes if isinstance(error, ApiStatusError) else ()
    access: Access = next((end for kind, end in _ENDS.items() if isinstance(error, kind)), "failed")
    return access, message_of(error), tuple(codes)


_ENDS: dict[type[CelonisFramesError], Access] = {
    AuthenticationError: "rejected",
    PermissionDenied: "forbidden",
    NotFound: "missing",
    ConfigError: "unusable",
}


def _ingestion(url: str, keys: IngestionKeys | None, options: dict[str, Any]) -> Ingestion:
    if keys is None:
        return Ingestion()
    try:
        return Ingestion(given=True, known=check_ingestion_keys(url, keys, **options))
    except ImportError:
        return Ingestion(given=True, installed=False)
    except CelonisFramesError as error:
        _, message, codes = _failed(error)
        return Ingestion(given=True, message=message, codes=codes)


def _versions() -> tuple[dict[str, str], tuple[str, ...]]:
    """Versions by name, and the libraries that are older than this version needs."""
    found = {name: version for name, version in versions().items() if version != "not installed"}
    found["OpenSSL"] = ssl.OPENSSL_VERSION.removeprefix("OpenSSL ").partition(" ")[0]
    outdated = []
    with contextlib.suppress(metadata.PackageNotFoundError):
        for line in metadata.requires("celonis-frames") or ():
            match = _BOUND.match(line)
            version = found.get(match[1]) if match else None
            if match and version and _numbers(version) < _numbers(match[2]):
                outdated.append(f"{match[1]} {version} (at least {match[2]})")
    return found, tuple(dict.fromkeys(outdated))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
