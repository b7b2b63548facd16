"""The Data Push API: one method per call. URL paths are spelled here and in `integration` only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from celonis_frames._api.calls import ApiCalls, url_path
from celonis_frames._api.models import (
    DataConnection,
    Job,
    Pool,
    Table,
    TableColumn,
    read_checksum,
    read_column,
    read_connection,
    read_job,
    read_list,
    read_pool,
    read_table,
)
from celonis_frames._http.file_body import MultipartFile, Payload
from celonis_frames._http.messages import RawResponse
from celonis_frames._http.retry import RetryPolicy

INGESTION_PATH = "/data-ingestion/api/v1"
_JOBS = INGESTION_PATH + "/data-push/{}/jobs/"
_JOB = _JOBS + "{}"
_POOLS = "/integration/api/pools"
_POOL = _POOLS + "/{}"


class DataPushApi(ApiCalls):
    """The calls about pools, and about their jobs, tables and columns."""

    def create_job(self, pool_id: str, job: Mapping[str, Any]) -> Job:
        """Create a job from its fields by their API names."""
        read = partial(read_job, pool_id=pool_id)
        created: Job = self._request("POST", url_path(_JOBS, pool_id), read, json=dict(job))
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
        return self._long_list(url_path(_JOBS, pool_id), read, policy=policy, where=where)

    def job(self, pool_id: str, job_id: str, *, policy: RetryPolicy | None = None) -> Job:
        """The current state of a job."""
        read = partial(read_job, pool_id=pool_id)
        return self._get(url_path(_JOB, pool_id, job_id), read, job_id=job_id, policy=policy)

    def execute_job(
        self, pool_id: str, job_id: str, *, duplicate_removal_column: str | None = None
    ) -> None:
        """Submit a job; the server applies its chunks. `Conflict` and `RateLimited` are temporary.

        Of rows with equal keys, that with the highest value in `duplicate_removal_column` wins.
        """
        column = duplicate_removal_column
        query = None if column is None else {"duplicateRemovalColumn": column}
        self._request("POST", url_path(_JOB, pool_id, job_id), params=query, job_id=job_id)

    def delete_job(self, pool_id: str, job_id: str) -> None:
        """Delete a job and its logs; the table stays."""
        self._request("DELETE", url_path(_JOB, pool_id, job_id), job_id=job_id)

    def cancel_job(self, pool_id: str, job_id: str, *, read_timeout: float | None = None) -> None:
        """Cancel a job; `BadRequest` if it has ended."""
        path = url_path(_JOB + "/cancel", pool_id, job_id)
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
            url_path(f"{_JOB}/chunks/{kind}", pool_id, job_id),
            body=MultipartFile(payload, on_sent=on_sent),
            job_id=job_id,
            read_timeout=read_timeout,
        )

    def checksums(
        self, pool_id: str, job_id: str, *, policy: RetryPolicy | None = None
    ) -> list[str | None]:
        """The checksum of each file in a job; None for a file that has none."""
        path = url_path(_JOB + "/chunks", pool_id, job_id)
        read = partial(read_list, read_checksum, complete=True)
        return self._get(path, read, job_id=job_id, policy=policy)

    def pools(self) -> list[Pool]:
        """The pools the key may see; `PermissionDenied` with a key that may only push."""
        return self._get(_POOLS, partial(read_list, read_pool))

    def reach(self) -> RawResponse:
        """The response to the list of pools without a key, of any status: Celonis returns 401."""
        return self._transport.reach(_POOLS)

    def pool(self, pool_id: str) -> Pool:
        """One pool."""
        return self._get(url_path(_POOL, pool_id), read_pool)

    def connections(self, pool_id: str) -> list[DataConnection]:
        """The data connections of a pool."""
        path = url_path(_POOL + "/data-sources/", pool_id)
        return self._get(path, partial(read_list, read_connection))

    def tables(self, pool_id: str) -> list[Table]:
        """The tables and views of a pool."""
        return self._long_list(url_path(_POOL + "/tables", pool_id), read_table)

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
        path = url_path(_POOL + "/columns", pool_id)
        return self._get(path, partial(read_list, read_column), params=query, policy=policy)
