"""The Data Push API: one method per call. No other module spells its URL paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from celonis_frames._api.models import (
    DataConnection,
    Entries,
    Job,
    Pool,
    Table,
    TableColumn,
    log_skipped,
    read_checksum,
    read_column,
    read_connection,
    read_job,
    read_list,
    read_pool,
    read_table,
)
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.file_body import MultipartFile, Payload
from celonis_frames._http.responses import Response
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._http.transport import Transport
from celonis_frames.exceptions import ConfigError

INGESTION_PATH = "/data-ingestion/api/v1"
_JOBS = INGESTION_PATH + "/data-push/{}/jobs/"
_JOB = _JOBS + "{}"
_POOLS = "/integration/api/pools"
_POOL = _POOLS + "/{}"
_T = TypeVar("_T")


class DataPushApi:
    """The calls. Every method raises `ApiError` if its call fails.

    The policy says when to retry, by default never; only requests that read are retried here. The
    token can end the calls: one that was not made because of it raises `Cancelled`, or
    `ApiTimeoutError` after its deadline. `before_change` is called before each call that may change
    something; what it raises is raised instead.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        policy: RetryPolicy | None = None,
        token: CancelToken | None = None,
        before_change: Callable[[], None] | None = None,
    ) -> None:
        self._transport = transport
        self.policy = policy or RetryPolicy(max_tries=1)
        self.token = token or CancelToken()
        self._before_change = before_change
        self.url = transport.url

    @property
    def connection(self) -> object:
        """What all calls of one connection share, under whatever token."""
        return self._transport

    def within(self, token: CancelToken) -> DataPushApi:
        """The same calls under a token, which can end them."""
        return DataPushApi(
            self._transport, policy=self.policy, token=token, before_change=self._before_change
        )

    def guarded(self, before_change: Callable[[], None]) -> DataPushApi:
        """The same calls; the function is called before each that may change something."""
        return DataPushApi(
            self._transport, policy=self.policy, token=self.token, before_change=before_change
        )

    def _request(
        self,
        method: str,
        path: str,
        read: Callable[[Response, Any], Any] | None = None,
        **options: Any,
    ) -> Any:
        """The response; or what `read` makes of it and its JSON, which is held whole."""
        if self._before_change is not None and method != "GET":
            self._before_change()
        with self.token.calling():
            response = self._transport.request(method, path, **options)
        return response if read is None else read(response, response.json())

    def _get(
        self,
        path: str,
        read: Callable[[Response, Any], _T],
        *,
        params: Mapping[str, str] | None = None,
        job_id: str | None = None,
        policy: RetryPolicy | None = None,
    ) -> _T:
        """The same for a call that only reads, with retries."""
        fetch: Callable[[], _T] = partial(
            self._request, "GET", path, read, params=params, job_id=job_id
        )
        return (policy or self.policy).call(fetch, self.token)

    def _long_list(
        self,
        path: str,
        read: Callable[[Response, Any], _T],
        *,
        policy: RetryPolicy | None = None,
        where: Callable[[_T], bool] | None = None,
    ) -> list[_T]:
        """The entries of a list that may be very long: they are read as they arrive."""

        def fetch() -> list[_T]:
            entries = Entries(read, where)
            response = self._request("GET", path, on_item=entries.add)
            if entries.skipped:
                log_skipped(response, entries.skipped)
            return entries.found

        return (policy or self.policy).call(fetch, self.token)

    def create_job(self, pool_id: str, job: Mapping[str, Any]) -> Job:
        """Create a job from its fields by their API names."""
        read = partial(read_job, pool_id=pool_id)
        created: Job = self._request("POST", _path(_JOBS, pool_id), read, json=dict(job))
        return created

    def jobs(
        self,
        pool_id: str,
        *,
        policy: RetryPolicy | None = None,
        where: Callable[[Job], bool] | None = None,
    ) -> list[Job]:
        """All jobs of a pool; only those `where` returns true for are held."""
        read = partial(read_job, pool_id=pool_id)
        return self._long_list(_path(_JOBS, pool_id), read, policy=policy, where=where)

    def job(self, pool_id: str, job_id: str, *, policy: RetryPolicy | None = None) -> Job:
        """The current state of a job."""
        read = partial(read_job, pool_id=pool_id)
        return self._get(_path(_JOB, pool_id, job_id), read, job_id=job_id, policy=policy)

    def execute_job(
        self, pool_id: str, job_id: str, *, duplicate_removal_column: str | None = None
    ) -> None:
        """Submit a job; the server applies its chunks. `Conflict` and `RateLimited` are temporary.

        Of rows with equal keys, that with the highest value in `duplicate_removal_column` wins.
        """
        column = duplicate_removal_column
        query = None if column is None else {"duplicateRemovalColumn": column}
        self._request("POST", _path(_JOB, pool_id, job_id), params=query, job_id=job_id)

    def delete_job(self, pool_id: str, job_id: str) -> None:
        """Delete a job and its logs; the table stays."""
        self._request("DELETE", _path(_JOB, pool_id, job_id), job_id=job_id)

    def cancel_job(self, pool_id: str, job_id: str, *, read_timeout: float | None = None) -> None:
        """Cancel a job; `BadRequest` if it has ended."""
        path = _path(_JOB + "/cancel", pool_id, job_id)
        self._request("POST", path, job_id=job_id, read_timeout=read_timeout)

    def upload_chunk(
        self,
        pool_id: str,
        job_id: str,
        payload: Payload,
        *,
        deleted: bool = False,
        on_sent: Callable[[int], None] = lambda _: None,
        read_timeout: float | None = None,
    ) -> None:
        """Upload a file into a job. Safe to repeat only if `checksums` shows that it is not there.

        With `deleted`, its rows are deleted by their keys instead of upserted. `on_sent` is called
        with the number of bytes sent since its last call; `read_timeout` (s) replaces that of the
        connection.

        Raises:
            ApiError: If the call fails.
            FrameError: If the size of the file is not the one it announced.
        """
        kind = "deleted" if deleted else "upserted"
        self._request(
            "POST",
            _path(f"{_JOB}/chunks/{kind}", pool_id, job_id),
            body=MultipartFile(payload, on_sent=on_sent),
            job_id=job_id,
            read_timeout=read_timeout,
        )

    def checksums(
        self, pool_id: str, job_id: str, *, policy: RetryPolicy | None = None
    ) -> list[str | None]:
        """The checksum of each file in a job; None for a file that has none."""
        path = _path(_JOB + "/chunks", pool_id, job_id)
        read = partial(read_list, read_checksum, complete=True)
        return self._get(path, read, job_id=job_id, policy=policy)

    def pools(self) -> list[Pool]:
        """The pools the key may see; `PermissionDenied` with a key that may only push."""
        return self._get(_POOLS, partial(read_list, read_pool))

    def pool(self, pool_id: str) -> Pool:
        """One pool."""
        return self._get(_path(_POOL, pool_id), read_pool)

    def connections(self, pool_id: str) -> list[DataConnection]:
        """The data connections of a pool."""
        path = _path(_POOL + "/data-sources/", pool_id)
        return self._get(path, partial(read_list, read_connection))

    def tables(self, pool_id: str) -> list[Table]:
        """The tables and views of a pool."""
        return self._long_list(_path(_POOL + "/tables", pool_id), read_table)

    def columns(
        self,
        pool_id: str,
        table: str,
        connection_id: str | None = None,
        *,
        policy: RetryPolicy | None = None,
    ) -> list[TableColumn]:
        """The columns of a table."""
        query = {"tableName": table}
        if connection_id is not None:
            query["schemaName"] = connection_id
        path = _path(_POOL + "/columns", pool_id)
        return self._get(path, partial(read_list, read_column), params=query, policy=policy)


def _path(form: str, *ids: str) -> str:
    """A path with ids in its fields, each as one segment."""
    segments = []
    for value in ids:
        # Dot segments would be resolved on the way, and the request end at another path.
        if not value or value in {".", ".."}:
            msg = (
                f"{value!r} is not an id. Give the id of a pool or job as it stands in the page's "
                "URL."
            )
            raise ConfigError(msg)
        segments.append(quote(value, safe=""))
    return form.format(*segments)
