"""The connection: what a user opens, and pushes over."""

from __future__ import annotations

import atexit
import importlib
from typing import TYPE_CHECKING, Any, NoReturn, Self

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._auth import environment
from celonis_frames._auth.keys import ApiKey, checked
from celonis_frames._http.auth import Auth
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._http.transport import Timeouts, Transport
from celonis_frames._push.change_set import Changes
from celonis_frames._push.options import PushOptions
from celonis_frames._push.pipeline import push_frame
from celonis_frames._push.plan import plan_frame
from celonis_frames._push.push_many import AT_ONCE, keys_by_table, push_tables
from celonis_frames._push.resume import resume_staged
from celonis_frames._push.status import PushStatus

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from celonis_frames._api.models import DataConnection, Pool
    from celonis_frames._push.options import Compression, FileType, Mode, UpsertStrategy, Verify
    from celonis_frames._push.plan import PushPlan
    from celonis_frames._schema.names import Rename
    from celonis_frames._schema.overrides import ColumnOverride

__all__ = ["Celonis"]


class Celonis:
    """A connection to a Celonis team; any number of threads may share it.

    Args:
        url: Any address of the team, pasted from the browser.
        auth: `ApiKey`, `AppKey` or `OAuth2`.
        verify: True, or the path of a CA file to trust instead; certificates are always checked.
        timeouts: How long to wait for the server.

    Attributes:
        url: The base address.
        local: The embedded local Celonis this connection started, or None.

    Raises:
        ConfigError: If one of them cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth,
        verify: bool | str | os.PathLike[str] = True,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._transport = Transport(url, checked(auth), verify=verify, timeouts=timeouts)
        self._api = DataPushApi(self._transport, policy=RetryPolicy())
        self.url = self._transport.url
        self.local: Any = None
        self._closed = False

    @classmethod
    def from_env(cls) -> Self:
        """A connection as the environment says.

        Reads ``CELONIS_URL`` and the first that is set of ``CELONIS_API_TOKEN`` (with
        ``CELONIS_KEY_TYPE``), ``OAUTH_CLIENT_ID`` (with ``OAUTH_CLIENT_SECRET``, ``OAUTH_SCOPES``,
        ``OAUTH_METHOD``) and ``OAUTH_ACCESS_TOKEN_PATH``.

        Raises:
            ConfigError: If something is missing or wrong; the message says what to set.
        """
        found = environment.read_environment()
        if found.auth is None:
            return cls._start_local(found.url, verify=True, timeouts=None)
        return cls(found.url, auth=found.auth)

    @classmethod
    def _start_local(
        cls, url: str, *, verify: bool | str | os.PathLike[str], timeouts: Timeouts | None
    ) -> Self:
        path = url.strip().partition(":")[2].strip() or None
        local = importlib.import_module("celonis_frames.local")
        server = local.start(path)
        try:
            client = cls(server.url, auth=ApiKey(server.token), verify=verify, timeouts=timeouts)
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
        """One Data Pool, by id, name or pasted address.

        Raises:
            NotFound: If there is none.
            ConfigError: If the name fits several, or the address is another team's.
            ApiError: If a call fails.
        """
        return lookup.pool(self._api, pool)

    def connections(self, pool: str) -> list[DataConnection]:
        """The data connections of a pool.

        Raises:
            NotFound: If there is no such pool.
            ConfigError: If its name fits several.
            ApiError: If a call fails.
        """
        return self._api.connections(self.pool_id(pool))

    def jobs(self, pool: str) -> list[PushStatus]:
        """The data push jobs of a pool.

        Raises:
            NotFound: If there is no such pool.
            ConfigError: If its name fits several.
            ApiError: If a call fails.
        """
        return [PushStatus(self._api, job) for job in self._api.jobs(self.pool_id(pool))]

    def job(self, pool: str, id: str) -> PushStatus:  # noqa: A002
        """One data push job.

        Raises:
            NotFound: If there is no such pool or job.
            ConfigError: If the pool's name fits several.
            ApiError: If a call fails.
        """
        return PushStatus(self._api, self._api.job(self.pool_id(pool), id))

    def delete_job(self, pool: str, id: str) -> None:  # noqa: A002
        """Remove a data push job with its logs; the table stays as it is.

        Raises:
            NotFound: If there is no such pool or job.
            ConfigError: If the pool's name fits several.
            ApiError: If a call fails.
        """
        self._api.delete_job(self.pool_id(pool), id)

    def pool_id(self, pool: str) -> str:
        """The id of a Data Pool given by id, name or pasted address; an id costs no request.

        Raises:
            NotFound: If there is no such pool.
            PermissionDenied: If the key may not list pools; give the id then.
            ConfigError: If the name fits several, or the address is another team's.
            ApiError: If a call fails.
        """
        return lookup.pool_id(self._api, pool)

    def connection_id(self, pool_id: str, connection: str | None) -> str | None:
        """The id of a data connection given by id or name; None stays None.

        Raises:
            NotFound: If the pool has no such data connection.
            PermissionDenied: If the key may not list them; give the id then.
            ConfigError: If the name fits several.
            ApiError: If a call fails.
        """
        return lookup.connection_id(self._api, pool_id, connection)

    def push(
        self,
        frame: Any,
        pool: str,
        table: str,
        *,
        mode: Mode = "DELTA",
        keys: Sequence[str] | str | None = None,
        connection: str | None = None,
        columns: Mapping[str, ColumnOverride] | None = None,
        index: bool | None = None,
        rename: Rename | None = None,
        nested: str = "error",
        binary: str = "error",
        infinity: str = "error",
        file_type: FileType = "PARQUET",
        compression: Compression = "snappy",
        chunk_bytes: int | str | None = None,
        staging: str | None = None,
        workers: int | None = None,
        deduplicate_by: str | None = None,
        upsert_strategy: UpsertStrategy | None = None,
        job_options: Mapping[str, Any] | None = None,
        verify: Sequence[Verify] | Verify | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        client: Celonis | None = None,
    ) -> PushStatus:
        """Pushes a frame over this connection; parameters and errors as `celonis_frames.push`.

        Raises:
            ConfigError, FrameError, ApiError, JobError: As `celonis_frames.push`.
        """
        options = PushOptions(
            mode=mode,
            keys=keys,
            connection=connection,
            columns=columns,
            index=index,
            rename=rename,
            nested=nested,
            binary=binary,
            infinity=infinity,
            file_type=file_type,
            compression=compression,
            chunk_bytes=chunk_bytes,
            staging=staging,
            workers=workers,
            deduplicate_by=deduplicate_by,
            upsert_strategy=upsert_strategy,
            job_options=job_options,
            verify=verify,
            wait=wait,
            timeout=timeout,
            progress=progress,
        )
        return push_frame(client or self, frame, pool, table, options)

    def push_many(
        self,
        frames: Mapping[str, Any],
        pool: str,
        *,
        mode: Mode = "DELTA",
        keys: Sequence[str] | str | Mapping[str, Sequence[str] | str] | None = None,
        connection: str | None = None,
        columns: Mapping[str, ColumnOverride] | None = None,
        index: bool | None = None,
        rename: Rename | None = None,
        nested: str = "error",
        binary: str = "error",
        infinity: str = "error",
        file_type: FileType = "PARQUET",
        compression: Compression = "snappy",
        chunk_bytes: int | str | None = None,
        staging: str | None = None,
        workers: int | None = None,
        deduplicate_by: str | None = None,
        upsert_strategy: UpsertStrategy | None = None,
        job_options: Mapping[str, Any] | None = None,
        verify: Sequence[Verify] | Verify | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        at_once: int = AT_ONCE,
        client: Celonis | None = None,
    ) -> dict[str, PushStatus]:
        """Pushes many frames over this connection; all as `celonis_frames.push_many`.

        Raises:
            ConfigError, FrameError, ApiError, JobError: As `celonis_frames.push_many`.
        """
        keys_of = keys_by_table(keys, frames)

        def options(table: str) -> PushOptions:
            return PushOptions(
                mode=mode,
                keys=keys_of(table),
                connection=connection,
                columns=columns,
                index=index,
                rename=rename,
                nested=nested,
                binary=binary,
                infinity=infinity,
                file_type=file_type,
                compression=compression,
                chunk_bytes=chunk_bytes,
                staging=staging,
                workers=workers,
                deduplicate_by=deduplicate_by,
                upsert_strategy=upsert_strategy,
                job_options=job_options,
                verify=verify,
                wait=wait,
                timeout=timeout,
                progress=progress,
            )

        return push_tables(client or self, frames, pool, options, at_once=at_once)

    def changes(
        self,
        pool: str,
        table: str,
        *,
        keys: Sequence[str] | str,
        connection: str | None = None,
        columns: Mapping[str, ColumnOverride] | None = None,
        index: bool | None = None,
        rename: Rename | None = None,
        nested: str = "error",
        binary: str = "error",
        infinity: str = "error",
        file_type: FileType = "PARQUET",
        compression: Compression = "snappy",
        chunk_bytes: int | str | None = None,
        staging: str | None = None,
        upsert_strategy: UpsertStrategy | None = None,
        job_options: Mapping[str, Any] | None = None,
        verify: Sequence[Verify] | Verify | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
    ) -> Changes:
        """Collects upserts and deletes that come into effect together, as one job.

        ::

            with celonis.changes("Purchasing", "EVENTS", keys="EVENT_ID") as changes:
                changes.upsert(new)
                changes.delete(gone)

        They are sent when the block ends, and applied in the order given; the status is then
        ``changes.status``. All parameters are those of `celonis_frames.push`.

        Raises:
            ConfigError: A parameter that makes no sense.
        """
        options = PushOptions(
            mode="DELTA",
            keys=keys,
            connection=connection,
            columns=columns,
            index=index,
            rename=rename,
            nested=nested,
            binary=binary,
            infinity=infinity,
            file_type=file_type,
            compression=compression,
            chunk_bytes=chunk_bytes,
            staging=staging,
            workers=1,
            upsert_strategy=upsert_strategy,
            job_options=job_options,
            verify=verify,
            wait=wait,
            timeout=timeout,
            progress=progress,
        )
        return Changes(self, pool, table, options)

    def delete(
        self,
        frame: Any,
        pool: str,
        table: str,
        *,
        keys: Sequence[str] | str,
        connection: str | None = None,
        columns: Mapping[str, ColumnOverride] | None = None,
        index: bool | None = None,
        rename: Rename | None = None,
        binary: str = "error",
        file_type: FileType = "PARQUET",
        compression: Compression = "snappy",
        chunk_bytes: int | str | None = None,
        staging: str | None = None,
        workers: int | None = None,
        job_options: Mapping[str, Any] | None = None,
        verify: Sequence[Verify] | Verify | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        client: Celonis | None = None,
    ) -> PushStatus:
        """Deletes rows by key over this connection; all as `celonis_frames.delete`.

        Raises:
            ConfigError, FrameError, ApiError, JobError: As `celonis_frames.delete`.
        """
        options = PushOptions(
            mode="DELTA",
            keys=keys,
            connection=connection,
            columns=columns,
            index=index,
            rename=rename,
            binary=binary,
            file_type=file_type,
            compression=compression,
            chunk_bytes=chunk_bytes,
            staging=staging,
            workers=workers,
            job_options=job_options,
            verify=verify,
            wait=wait,
            timeout=timeout,
            progress=progress,
        )
        return push_frame(client or self, frame, pool, table, options, deleted=True)

    def resume(
        self,
        staging: str,
        *,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        client: Celonis | None = None,
    ) -> list[PushStatus]:
        """Finishes staged pushes over this connection; all as `celonis_frames.resume`.

        Raises:
            ConfigError, FrameError, ApiError, JobError: As `celonis_frames.resume`.
        """
        api = (client or self)._api  # noqa: SLF001  # its own kind
        return resume_staged(api, staging, wait=wait, timeout=timeout, progress=progress)

    def plan(
        self,
        frame: Any,
        pool: str,
        table: str,
        *,
        mode: Mode = "DELTA",
        keys: Sequence[str] | str | None = None,
        connection: str | None = None,
        columns: Mapping[str, ColumnOverride] | None = None,
        index: bool | None = None,
        rename: Rename | None = None,
        nested: str = "error",
        binary: str = "error",
        infinity: str = "error",
        file_type: FileType = "PARQUET",
        compression: Compression = "snappy",
        chunk_bytes: int | str | None = None,
        deduplicate_by: str | None = None,
        upsert_strategy: UpsertStrategy | None = None,
    ) -> PushPlan:
        """Tells what `push` would do; sends nothing. All as `celonis_frames.plan`.

        Raises:
            ConfigError, FrameError: As `celonis_frames.plan`.
        """
        del pool
        options = PushOptions(
            mode=mode,
            keys=keys,
            connection=connection,
            columns=columns,
            index=index,
            rename=rename,
            nested=nested,
            binary=binary,
            infinity=infinity,
            file_type=file_type,
            compression=compression,
            chunk_bytes=chunk_bytes,
            deduplicate_by=deduplicate_by,
            upsert_strategy=upsert_strategy,
        )
        return plan_frame(frame, table, options)

    def close(self) -> None:
        """Close the connection, and the local Celonis if it started one. Twice does no harm."""
        if self._closed:
            return
        self._closed = True
        self._transport.close()
        if self.local is not None:
            atexit.unregister(self.close)
            self.local.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A Celonis holds a key and open connections, and cannot be pickled. Let each process "
            "open its own, from the environment for example: Celonis.from_env()."
        )

    def __repr__(self) -> str:
        return f"<Celonis {self.url}{' (closed)' if self._closed else ''}>"
