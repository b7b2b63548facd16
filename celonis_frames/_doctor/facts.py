"""What the checks go by: facts of a connection, gathered once. No secret is among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Reached = Literal[
    "reached", "dns", "refused", "certificate", "tls", "proxy", "timeout", "broken", "unusable"
]
"""Whether the server responded, or else why not; unusable is a setting that can never work."""
Access = Literal["allowed", "forbidden", "rejected", "missing", "failed", "unusable", "not tried"]
"""How a call ended: 2xx, 403, 401, 404, another way; not made because of a setting; not made."""


@dataclass(frozen=True)
class Network:
    """The way to the server.

    Attributes:
        host: Its host, with the port if that is given.
        encrypted: Whether the URL is https.
        loopback: Whether it is this machine.
        celonis: Whether the host ends in .celonis.cloud.
        proxy: The setting that names the proxy in use; None if none is.
        ca: Which CA file is trusted; empty if none is needed.
        addresses: Number of addresses of the host; None if it was not looked up, or has none.
        reached: Whether the server responded to a call without a key.
        message: Why it did not.
        status: The status of the response.
        page: Whether the response was a web page.
        skew: Seconds by which the clock of this machine is ahead of the server's; None if unknown.
    """

    host: str
    encrypted: bool = True
    loopback: bool = False
    celonis: bool = True
    proxy: str | None = None
    ca: str = ""
    addresses: int | None = None
    reached: Reached = "reached"
    message: str = ""
    status: int | None = None
    page: bool = False
    skew: float | None = None


@dataclass(frozen=True)
class Key:
    """The key of the connection.

    Attributes:
        kind: What it is, for people.
        type: BEARER, APP_KEY, OAUTH, FILE, or empty if there is none.
        scopes: The scopes of an OAuth client.
        access: How the list of pools responded.
        other_kind: The kind as which it is accepted, if it is not accepted as its own.
        message: The error of the call.
        codes: Its error codes.
    """

    kind: str = ""
    type: str = ""
    scopes: tuple[str, ...] = ()
    access: Access = "not tried"
    other_kind: str = ""
    message: str = ""
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PoolAccess:
    """What the key may do with a pool.

    Attributes:
        given: The pool as it was given; None if none was.
        id: Its id, if it was found.
        name: Its name, if that is known.
        found: How it was looked up.
        created_by_job: Whether its first job creates it, as in the local Celonis.
        alike: The question whether a pool with a similar name is meant, if it is not there.
        push: Whether the calls on jobs are allowed.
        tables: Whether its tables can be listed.
        models: Whether its data models can be listed.
        message: The error that matters most.
        submitted: Number of its jobs that were changed since the last full hour, and are not NEW.
        open: Number of its jobs that are NEW.
    """

    given: str | None = None
    id: str | None = None
    name: str = ""
    found: Access = "not tried"
    created_by_job: bool = False
    alike: str = ""
    push: Access = "not tried"
    tables: Access = "not tried"
    models: Access = "not tried"
    message: str = ""
    submitted: int = 0
    open: int = 0


@dataclass(frozen=True)
class Ingestion:
    """The ingestion keys.

    Attributes:
        given: Whether there are some.
        known: Whether they are known to be right; None if the call failed.
        message: The error of the call.
        codes: Its error codes.
        installed: Whether the library that signs is there.
    """

    given: bool = False
    known: bool | None = None
    message: str = ""
    codes: tuple[str, ...] = ()
    installed: bool = True


@dataclass(frozen=True)
class Facts:
    """All facts. Those of a later stage are None if an earlier one failed.

    Attributes:
        source: Where the connection comes from, for people.
        problem: Why there is no connection; empty if there is one.
        network: The way to the server.
        key: The key.
        pool: The pool.
        ingestion: The ingestion keys.
        versions: Versions by name.
        outdated: Libraries that are older than this version needs, as ``name version < bound``.
    """

    source: str = ""
    problem: str = ""
    network: Network | None = None
    key: Key | None = None
    pool: PoolAccess | None = None
    ingestion: Ingestion | None = None
    versions: dict[str, str] = field(default_factory=dict)
    outdated: tuple[str, ...] = ()
