"""A connection to a Celonis team: how it is opened and closed, and its look-ups."""

from __future__ import annotations

import atexit
import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn, Self

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import DataConnection, Pool, Table
from celonis_frames._auth import environment
from celonis_frames._auth.keys import ApiKey, checked
from celonis_frames._doctor.report import DoctorReport
from celonis_frames._formatting import shown
from celonis_frames._http.auth import Auth, NoAuth, Unsigned
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._http.transport import Timeouts, Transport
from celonis_frames._ingestion.gateway import IngestionGateway
from celonis_frames._ingestion.keys import IngestionKeys
from celonis_frames._options.fields import flag
from celonis_frames._options.push_options import PushOptions, optional_flag, parse_on_event
from celonis_frames._options.upload import Upload, UploadSettings
from celonis_frames._profiles.choice import choose_settings
from celonis_frames._push.call_order import check_id
from celonis_frames._push.object_push import IngestionWay
from celonis_frames._push.status import PushStatus
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.events import Event
from celonis_frames.exceptions import ConfigError

_Given = tuple[
    Auth | None, IngestionKeys | None, bool | str | os.PathLike[str], Timeouts | None
]  # fmt: skip


class PlanDefaults(NamedTuple):
    """What a plan takes from a connection without using it: its team, and how chunks are made."""

    url: str
    upload: Upload
    only_objects: bool  # there are ingestion keys, and no others


@short_tracebacks
class Connection:
    """What `Celonis` can do but for sending frames; its parameters are described there."""

    def __init__(
        self,
        url: str,
        *,
        auth: Auth | None = None,
        ingestion: IngestionKeys | None = None,
        verify: bool | str | os.PathLike[str] = True,
        timeouts: Timeouts | None = None,
        upload: Upload | UploadSettings | None = None,
        progress: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        if not isinstance(timeouts, Timeouts | None):
            raise ConfigError(
                f"timeouts={shown(timeouts)} must be Timeouts(connect=…, read=…), in seconds."
            )
        self._upload = Upload().changed(upload)
        self._progress = optional_flag("progress", progress)
        self._on_event = parse_on_event("on_event", on_event)
        if not isinstance(ingestion, IngestionKeys | None):
            raise ConfigError(
                f"ingestion={shown(ingestion)} must be IngestionKeys(…), the keys of a Push data "
                "into Celonis connection."
            )
        # With ingestion keys alone, calls of the Data Push API say that they need another key.
        key: Auth = NoAuth() if auth is None and ingestion is not None else checked(auth)
        self._transport = Transport(url, key, verify=verify, timeouts=timeouts)
        # vars() does not show what is in it.
        self._given: Callable[[], _Given] = lambda: (auth, ingestion, verify, timeouts)
        self._gateway = None
        if ingestion is not None:
            unsigned = Transport(url, Unsigned(), verify=verify, timeouts=timeouts)
            self._gateway = IngestionGateway(unsigned, ingestion)
        self._only_objects = auth is None and ingestion is not None
        self._api = DataPushApi(self._transport, policy=RetryPolicy())
        self.url = self._transport.url
        self.local: Any = None
        self._closed = False

    @classmethod
    def from_env(cls, profile: str | None = None) -> Self:
        """A connection from the environment variables, else from a profile.

        Reads ``CELONIS_URL`` and the first that is set of ``CELONIS_API_TOKEN`` (with
        ``CELONIS_KEY_TYPE``), ``OAUTH_CLIENT_ID`` (with ``OAUTH_CLIENT_SECRET``, ``OAUTH_SCOPES``,
        ``OAUTH_METHOD``) and ``OAUTH_ACCESS_TOKEN_PATH``. Besides or instead of these,
        ``CELONIS_INGESTION_ACCESS_KEY``, ``…_SECRET_KEY``, ``…_CONNECTION``, ``…_BUCKET`` and
        ``…_REGION``. Without ``CELONIS_URL``: the profile in ``CELONIS_PROFILE``, else the profile
        ``default``.

        Args:
            profile: Name of a profile that ``celonis-frames login`` has stored; it goes before the
                environment.

        Raises:
            ConfigError: If something is missing or wrong; the message says what to set.
            ImportError: If the key of the profile is in the keyring, and its library is not
                installed.
        """
        found = choose_settings(profile)
        if environment.is_local(found.url):
            return cls._start_local(found.url)
        return cls(found.url, auth=found.auth, ingestion=found.ingestion)

    @classmethod
    def _start_local(cls, url: str, **options: Any) -> Self:
        """A connection to a local Celonis that is started for it.

        `local` imports `connect`, which imports this module: so it is imported only here.
        """
        path = url.strip().partition(":")[2].strip() or None
        server = importlib.import_module("celonis_frames.local").start(path)
        try:
            client = cls(server.url, auth=ApiKey(server.token), **options)
        except BaseException:
            server.close()
            raise
        client.local = server
        atexit.register(client.close)
        return client

    def pools(self) -> list[Pool]:
        """The Data Pools the key may see.

        Raises:
            ApiError: If the call fails; `PermissionDenied` with a key that may only push.
        """
        return self._api.pools()

    def pool(self, pool: str) -> Pool:
        """One Data Pool, by id, name or URL.

        Raises:
            NotFound: If there is none.
            ConfigError: If the name matches several pools, or the URL is of another team.
            ApiError: If a call fails.
        """
        return lookup.pool(self._api, pool)

    def connections(self, pool: str) -> list[DataConnection]:
        """The data connections of a pool.

        Raises:
            NotFound: If there is no such pool.
            ConfigError: If its name matches several pools.
            ApiError: If a call fails.
        """
        return self._api.connections(self.pool_id(pool))

    def tables(self, pool: str, *, columns: bool = False) -> list[Table]:
        """The tables and views of a pool, each with its ``name`` and ``connection``.

        Args:
            pool: Data Pool: id, name, or a URL of it pasted from the browser.
            columns: Whether to read the columns of each table too, with their types and lengths
                in characters.
                The list of tables has no columns: that is one call more for each table, which for
                the thousands of tables of an SAP pool takes minutes. So they are read only if asked
                for, one table after the other.

        Raises:
            NotFound: If there is no such pool.
            PermissionDenied: If the key may not list tables.
            ConfigError: If the pool's name matches several, or `columns` is not True or False.
            ApiError: If a call fails.
        """
        with_columns = flag("columns", columns)
        pool_id = self.pool_id(pool)
        found = self._api.tables(pool_id)
        if not with_columns:
            return found
        return [
            replace(
                table, columns=tuple(self._api.columns(pool_id, table.name, table.connection_id))
            )
            for table in found
        ]

    def jobs(self, pool: str) -> list[PushStatus]:
        """The data push jobs of a pool.

        Raises:
            NotFound: If there is no such pool.
            ConfigError: If its name matches several pools.
            ApiError: If a call fails.
        """
        return [PushStatus(self._api, job) for job in self._api.jobs(self.pool_id(pool))]

    def job(self, pool: str, id: str) -> PushStatus:  # noqa: A002
        """One data push job.

        Raises:
            NotFound: If there is no such pool or job.
            ConfigError: If its name matches several pools.
            ApiError: If a call fails.
        """
        job_id = check_id(id)
        return PushStatus(self._api, self._api.job(self.pool_id(pool), job_id))

    def delete_job(self, pool: str, id: str) -> None:  # noqa: A002
        """Remove a data push job with its logs; the table stays as it is.

        Raises:
            NotFound: If there is no such pool or job.
            ConfigError: If its name matches several pools.
            ApiError: If a call fails.
        """
        job_id = check_id(id)
        self._api.delete_job(self.pool_id(pool), job_id)

    def pool_id(self, pool: str) -> str:
        """The id of a Data Pool given by id, name or URL; an id costs no request.

        Raises:
            NotFound: If there is no such pool.
            PermissionDenied: If the key may not list pools; give the id then.
            ConfigError: If the name matches several pools, or the URL is of another team.
            ApiError: If a call fails.
        """
        return lookup.pool_id(self._api, pool, for_push=False)

    def connection_id(self, pool_id: str, connection: str | None) -> str | None:
        """The id of a data connection given by id or name; None stays None.

        Raises:
            NotFound: If the pool has no such data connection.
            PermissionDenied: If the key may not list them; give the id then.
            ConfigError: If the name matches several.
            ApiError: If a call fails.
        """
        return lookup.connection_id(self._api, pool_id, connection)

    def doctor(self, pool: str | None = None, *, write: bool = False) -> DoctorReport:
        """What is right and wrong with this connection, and who can mend it.

        Checks the address, DNS, proxy, TLS, clock, key, scopes, permissions, pool, ingestion keys,
        limits and versions. A problem is a finding of the report, not an error.

        Args:
            pool: A Data Pool whose permissions are checked too: id, name or URL.
            write: Whether to try what the pool accepts: codecs, encodings of timestamps, types,
                lengths, and what Celonis does not document. That runs some sixty jobs on the table
                ``CELONIS_FRAMES_DOCTOR`` of the pool, which is empty afterwards; the API cannot
                remove it. The team's quota is 250 jobs an hour. Which codecs the pool reads is
                remembered for pushes without ``compression=``.
        """
        from celonis_frames._doctor.examination import Way, examine  # noqa: PLC0415  # seldom used

        write = flag("write", write)
        auth, ingestion, verify, timeouts = self._given()
        settings = environment.Settings(self.url, auth, ingestion, source="connect()")
        return examine(lambda: settings, pool, write=write, way=Way(verify, timeouts))

    @property
    def defaults(self) -> PlanDefaults:
        """What a plan without this connection takes from it."""
        return PlanDefaults(self.url, self._upload, self._only_objects)

    def _options(self, call: Mapping[str, Any], **more: Any) -> PushOptions:
        """The options named in a call to this connection, with its defaults for the others."""
        if call.get("progress") is None:
            more.setdefault("progress", self._progress)
        if call.get("on_event") is None:
            more["on_event"] = self._on_event
        if self._only_objects and call.get("via") is None:
            more["via"] = "ingestion"
        options = PushOptions.from_call(call, self._upload, **more)
        if options.by_objects and self._gateway is None:
            raise ConfigError(
                'via="ingestion" needs the keys of a Push data into Celonis connection: '
                "connect(…, ingestion=IngestionKeys(…)), or set CELONIS_INGESTION_ACCESS_KEY and "
                "the others in the environment."
            )
        return options

    def _way(self) -> IngestionWay:
        """What a push of objects needs; `_options` has checked that there are ingestion keys."""
        assert self._gateway is not None  # noqa: S101
        return IngestionWay(self._gateway, self._api, can_look=not self._only_objects)

    def _way_of(self, options: PushOptions) -> IngestionWay | None:
        """What a push needs for its objects, if the options send any."""
        return self._way() if options.by_objects else None

    def close(self) -> None:
        """Close the connection, and the local Celonis that it started. Further calls do nothing."""
        if self._closed:
            return
        self._closed = True
        self._transport.close()
        if self._gateway is not None:
            self._gateway.close()
        if self.local is not None:
            atexit.unregister(self.close)
            self.local.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A Celonis holds a key and open connections, and cannot be pickled. Let each process "
            "open its own, from the environment for example: Celonis.from_env()."
        )

    def __repr__(self) -> str:
        return f"<Celonis {self.url}{' (closed)' if self._closed else ''}>"
