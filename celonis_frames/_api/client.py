"""The API's calls: the only room that spells URL paths."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from celonis_frames._api.models import (
    Chunk,
    DataConnection,
    Job,
    Pool,
    Table,
    TableColumn,
    read_chunk,
    read_column,
    read_connection,
    read_job,
    read_list,
    read_pool,
    read_table,
)
from celonis_frames._http.multipart import MultipartFile
from celonis_frames._http.retry import RetryPolicy
from celonis_frames.exceptions import ConfigError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from celonis_frames._concurrency.cancellation import CallAborter
    from celonis_frames._http.multipart import Payload
    from celonis_frames._http.responses import Response
    from celonis_frames._http.transport import Transport

__all__ = ["INGESTION_PATH", "DataPushApi"]

INGESTION_PATH = "/data-ingestion/api/v1"
_PUSH = f"{INGESTION_PATH}/data-push"
_POOLS = "/integration/api/pools"
_T = TypeVar("_T")


class DataPushApi:
    """The calls, one method each. Every one raises `ApiError` when it fails.

    Args:
        transport: Makes the calls.
        patience: How often a question is asked again when it fails; only what merely reads is
            repeated here. None: once only.
        line: Measures the uploads. None: a new one.

    Attributes:
        url: The base address.
        patience: As given.
    """

    def __init__(self, transport: Transport, *, patience: RetryPolicy | None = None) -> None:
        self._transport = transport
        self.patience = patience or RetryPolicy(tries=1)
        self.url = transport.url

    def within(self, *, deadline: float | None, stop: threading.Event | None) -> DataPushApi:
        """The same calls, for something that is over at a time or when another thread says so."""
        patience = dataclasses.replace(self.patience, deadline=deadline, stop=stop)
        return DataPushApi(self._transport, patience=patience)

    def _ask(
        self,
        read: Callable[[Response], _T],
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        job_id: str | None = None,
        patience: RetryPolicy | None = None,
    ) -> _T:
        return (patience or self.patience).ask(
            lambda: read(self._transport.request("GET", path, params=params, job_id=job_id))
        )

    def create_job(self, pool_id: str, job: Mapping[str, Any]) -> Job:
        """The new job, made from its fields by their API names.

        Raises:
            ApiError: If the call fails.
        """
        answer = self._transport.request("POST", _jobs(pool_id), json=dict(job))
        return read_job(answer, answer.json(), pool_id)

    def jobs(self, pool_id: str, *, patience: RetryPolicy | None = None) -> list[Job]:
        """All jobs of a pool.

        Raises:
            ApiError: If the call fails.
        """
        return self._ask(
            lambda answer: [read_job(answer, item, pool_id) for item in read_list(answer)],
            _jobs(pool_id),
            patience=patience,
        )

    def job(self, pool_id: str, job_id: str, *, patience: RetryPolicy | None = None) -> Job:
        """A job, as it is now.

        Raises:
            ApiError: If the call fails.
        """
        return self._ask(
            lambda answer: read_job(answer, answer.json(), pool_id),
            _jobs(pool_id, job_id),
            job_id=job_id,
            patience=patience,
        )

    def execute_job(
        self, pool_id: str, job_id: str, *, duplicate_removal_column: str | None = None
    ) -> None:
        """Submit a job; the server applies its chunks.

        Args:
            pool_id: The pool.
            job_id: The job.
            duplicate_removal_column: Of rows with equal keys, the highest value here wins.

        Raises:
            ApiError: If the call fails; `Conflict` and `RateLimited` pass with time.
        """
        query = None
        if duplicate_removal_column is not None:
            query = {"duplicateRemovalColumn": duplicate_removal_column}
        self._transport.request("POST", _jobs(pool_id, job_id), params=query, job_id=job_id)

    def delete_job(self, pool_id: str, job_id: str) -> None:
        """Remove a job, with its logs; the table stays.

        Raises:
            ApiError: If the call fails.
        """
        self._transport.request("DELETE", _jobs(pool_id, job_id), job_id=job_id)

    def cancel_job(self, pool_id: str, job_id: str, *, read_timeout: float | None = None) -> None:
        """Cancel a job that has not ended.

        Raises:
            ApiError: If the call fails; `BadRequest` if the job has ended.
        """
        self._transport.request(
            "POST", _jobs(pool_id, job_id, "cancel"), job_id=job_id, read_timeout=read_timeout
        )

    def upload_chunk(
        self,
        pool_id: str,
        job_id: str,
        payload: Payload,
        *,
        deleted: bool = False,
        on_sent: Callable[[int], None] | None = None,
        read_timeout: float | None = None,
        abort: CallAborter | None = None,
    ) -> None:
        """Send a file into a job. Not safe to repeat unless `chunks` says it did not arrive.

        Args:
            pool_id: The pool.
            job_id: The job.
            payload: The file.
            deleted: Whether its rows are to be deleted, by their keys, not upserted.
            on_sent: Called with the bytes handed over since its last call.
            read_timeout: Seconds to wait for the answer, when other than the connection's.
            abort: With which another thread may end the upload.

        Raises:
            ApiError: If the call fails.
            FrameError: If the file is not as large as it says.
        """
        path = _jobs(pool_id, job_id, "chunks", "deleted" if deleted else "upserted")
        body = MultipartFile(payload, on_sent=on_sent)
        self._transport.request(
            "POST", path, body=body, job_id=job_id, read_timeout=read_timeout, abort=abort
        )

    def chunks(
        self, pool_id: str, job_id: str, *, patience: RetryPolicy | None = None
    ) -> list[Chunk]:
        """The files that are in a job.

        Raises:
            ApiError: If the call fails.
        """
        return self._ask(
            lambda answer: [read_chunk(answer, item) for item in read_list(answer)],
            _jobs(pool_id, job_id, "chunks"),
            job_id=job_id,
            patience=patience,
        )

    def pools(self) -> list[Pool]:
        """The pools the key may see.

        Raises:
            ApiError: If the call fails; `PermissionDenied` with a key that may only push.
        """
        return self._ask(
            lambda answer: [read_pool(answer, item) for item in read_list(answer)],
            _POOLS,
        )

    def pool(self, pool_id: str) -> Pool:
        """One pool.

        Raises:
            ApiError: If the call fails.
        """
        return self._ask(
            lambda answer: read_pool(answer, answer.json()), f"{_POOLS}/{_part(pool_id)}"
        )

    def connections(self, pool_id: str) -> list[DataConnection]:
        """The data connections of a pool.

        Raises:
            ApiError: If the call fails.
        """
        return self._ask(
            lambda answer: [read_connection(answer, item) for item in read_list(answer)],
            f"{_POOLS}/{_part(pool_id)}/data-sources/",
        )

    def tables(self, pool_id: str) -> list[Table]:
        """The tables and views of a pool.

        Raises:
            ApiError: If the call fails.
        """
        return self._ask(
            lambda answer: [read_table(answer, item) for item in read_list(answer)],
            f"{_POOLS}/{_part(pool_id)}/tables",
        )

    def columns(
        self,
        pool_id: str,
        table: str,
        connection_id: str | None = None,
        *,
        patience: RetryPolicy | None = None,
    ) -> list[TableColumn]:
        """The columns of a table.

        Raises:
            ApiError: If the call fails.
        """
        query = {"tableName": table}
        if connection_id is not None:
            query["schemaName"] = connection_id
        return self._ask(
            lambda answer: [read_column(answer, item) for item in read_list(answer)],
            f"{_POOLS}/{_part(pool_id)}/columns",
            params=query,
            patience=patience,
        )


def _part(value: str) -> str:
    # Dot segments would be resolved on the way, and the call end at another path.
    if not value or value in {".", ".."}:
        msg = (
            f"{value!r} is no id. Give a pool's or job's id, as the address in the browser has it."
        )
        raise ConfigError(msg)
    return quote(value, safe="")


def _jobs(pool_id: str, *parts: str) -> str:
    return f"{_PUSH}/{_part(pool_id)}/jobs/" + "/".join(_part(part) for part in parts)
