"""The default connection: the last one that `connect` opened, else the environment's."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from celonis_frames._auth import environment
from celonis_frames._auth.keys import checked
from celonis_frames._client import Celonis
from celonis_frames._connection import PlanDefaults
from celonis_frames._formatting import shown
from celonis_frames._http.auth import Auth
from celonis_frames._http.transport import Timeouts
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._jobs import rate_limit
from celonis_frames._options.upload import Upload, UploadSettings
from celonis_frames._profiles.choice import choose_settings
from celonis_frames._tracebacks import short_traceback
from celonis_frames._urls import base_url, team_url
from celonis_frames.events import Event
from celonis_frames.exceptions import ConfigError

_lock = threading.RLock()
_connected: Celonis | None = None
_from_env: Celonis | None = None
_stopped: Celonis | None = None
"""A default connection whose local Celonis has stopped."""


@short_traceback
def connect(
    url: str | None = None,
    *,
    team: str | None = None,
    cluster: str | None = None,
    auth: Auth | None = None,
    ingestion: IngestionKeys | None = None,
    profile: str | None = None,
    verify: bool | str | os.PathLike[str] = True,
    timeouts: Timeouts | None = None,
    upload: Upload | UploadSettings | None = None,
    progress: bool | None = None,
    on_event: Callable[[Event], object] | None = None,
) -> Celonis:
    """Open a connection and make it the default.

    Args:
        url: Any URL of the team, pasted from the browser; ``"local"`` or
            ``"local:PATH.duckdb"`` for the embedded local Celonis, in memory or in a file. Without
            `url`, `team` and `profile`: the environment, then the profile in ``CELONIS_PROFILE``,
            then the profile ``default``.
        team: With `cluster`, instead of `url`: ``https://<team>.<cluster>.celonis.cloud``.
        cluster: See `team`.
        auth: `ApiKey`, `AppKey` or `OAuth2`; None takes it from the environment, unless it belongs
            to another host.
        ingestion: `IngestionKeys`, for ``via="ingestion"``; None takes them from the environment,
            unless they belong to another host. With these alone, pushes go that way by default.
        profile: Name of a profile that ``celonis-frames login`` has stored, instead of `url`; it
            goes before the environment.
        verify: True, or the path of a CA file to trust instead; certificates are always checked.
        timeouts: How long to wait for the server.
        upload: How the pushes of this connection make and send chunks: an `Upload`, or a dict of
            some of its names.
        progress: Whether its pushes show a progress bar; None shows it in notebooks and terminals.
        on_event: Called with each record of its pushes, as `on_event` of `push`.

    Raises:
        ConfigError: If something is missing or wrong; nothing was sent.
        ImportError: If the local Celonis is asked for and its extra is not installed, or the key of
            the profile is in the keyring, and the library of that is not.
    """
    global _connected
    if url is not None and not isinstance(url, str):
        raise ConfigError(f"url={shown(url)} must be a URL of the team, a string.")
    options: dict[str, Any] = {
        "verify": verify,
        "timeouts": timeouts,
        "upload": upload,
        "progress": progress,
        "on_event": on_event,
    }
    if auth is not None:
        checked(auth)
    if team is not None or cluster is not None:
        if url is not None or team is None or cluster is None:
            msg = "Give url, or team and cluster together, such as team='dev', cluster='us-2'."
            raise ConfigError(msg)
        url = team_url(team, cluster)
    if profile is not None and url is not None:
        raise ConfigError("Give url (or team and cluster), or profile, not both.")
    if url is None:
        found = choose_settings(profile, auth)
        url, auth, ingestion = found.url, found.auth, ingestion or found.ingestion
    elif not environment.is_local(url):
        if ingestion is None:
            ingestion = environment.environment_ingestion(url=base_url(url))
        if auth is None and (ingestion is None or environment.has_key(url=base_url(url))):
            auth = environment.environment_auth(url=base_url(url))
    if environment.is_local(url):
        if auth is not None or ingestion is not None:
            msg = (
                "The local Celonis brings its own keys: leave out auth and ingestion. Its gateway "
                "is set up by connection.local.ingestion(…)."
            )
            raise ConfigError(msg)
        client = Celonis._start_local(url, **options)  # noqa: SLF001
    else:
        client = Celonis(url, auth=auth, ingestion=ingestion, **options)
    with _lock:
        _connected = client
    return client


def plan_defaults() -> PlanDefaults | None:
    """The defaults of the connection of the last `connect`, if there is one; opens none."""
    return None if _connected is None or _connected is _stopped else _connected.defaults


@contextlib.contextmanager
def default_connection(url: str, auth: Auth) -> Iterator[None]:
    """Open a connection that is the default for a while; then restore the default before it."""
    global _connected, _from_env
    with _lock:
        before = _connected, _from_env
        client = Celonis(url, auth=auth)
        _connected, _from_env = client, None
    try:
        yield
    finally:
        client.close()
        with _lock:
            opened = _from_env
            _connected, _from_env = before
        if opened is not None:
            opened.close()


def server_started(url: str, *, limits: bool) -> None:
    """Keep to the quota of submissions to a local Celonis only if it has one."""
    rate_limit.server_started(url, quota=limits)


def server_stopped(url: str) -> None:
    """Let a connection to a local Celonis that has stopped be the default no more."""
    global _from_env, _stopped
    with _lock:
        if _connected is not None and _connected.url == url:
            _stopped = _connected
        if _from_env is not None and _from_env.url == url:
            _from_env = None


def current() -> Celonis:
    """The connection to use when none is given: the last `connect`, else the environment's.

    Raises:
        ConfigError: If there is neither; the message says what to set. Or the last was closed.
    """
    global _from_env
    with _lock:
        if _connected is not None:
            if _connected.closed:
                msg = (
                    f"The connection to {_connected.url}, which connect() opened last, is closed. "
                    "Call connect() again, or give another connection with client=."
                )
                raise ConfigError(msg)
            if _connected is _stopped:
                msg = (
                    f"The local Celonis at {_connected.url}, which connect() opened last, has "
                    "stopped. Call connect() again, or give another connection with client=."
                )
                raise ConfigError(msg)
            return _connected
        if _from_env is None or _from_env.closed:
            _from_env = Celonis.from_env()
        return _from_env
