"""Data models and data jobs: one method per call.

A part of the calls has two spellings: a newer one, which Celonis documents, and that of the
official client. The newer one is used first. If it returns 404 the older one is used, from then on
without asking again: a 404 carries nothing out, so that also a call that changes something may be
made by the other spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, Self, TypeVar

from celonis_frames._api.calls import ApiCalls, url_path
from celonis_frames._api.data_models import (
    DataJob,
    DataModel,
    Load,
    ModelTable,
    read_data_job,
    read_data_model,
    read_load,
    read_model_table,
)
from celonis_frames._api.models import read_list
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.responses import Response
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._http.status_errors import restated
from celonis_frames.exceptions import NotFound, PermissionDenied

_POOL = "/integration/api/pools/{}"
_MODELS = _POOL + "/data-models"
_MODEL = _MODELS + "/{}"
_PUBLIC_MODEL = "/integration/api/v1/data-pools/{}/data-models/{}"
_JOBS = _POOL + "/jobs"
_JOB = _JOBS + "/{}"
_PUBLIC_JOB = "/integration/api/v2/data-pools/{}/data-jobs/{}"
_T = TypeVar("_T")


class IntegrationApi(ApiCalls):
    """The calls about data models and data jobs.

    They need *Edit* on the pool, and OAuth clients the scope ``integration.data-pools``.
    """

    _spellings: dict[str, Literal["newer", "older"]]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._spellings = {}

    def within(self, token: CancelToken) -> Self:
        """The same calls under a token; which spelling the server knows need not be found again."""
        other = super().within(token)
        other._spellings = self._spellings  # noqa: SLF001  # of the same class
        return other

    def models(self, pool_id: str) -> list[DataModel]:
        """The data models of a pool."""
        return self._get(url_path(_MODELS, pool_id), partial(read_list, read_data_model))

    def model(self, pool_id: str, model_id: str) -> DataModel:
        """One data model."""
        return self._get(url_path(_MODEL, pool_id, model_id), read_data_model)

    def model_tables(self, pool_id: str, model_id: str) -> tuple[ModelTable, ...]:
        """The tables of a data model."""
        read = partial(read_list, read_model_table)
        return tuple(
            self._spelled(
                "tables",
                lambda: self._get(url_path(_PUBLIC_MODEL + "/tables", pool_id, model_id), read),
                # In the singular, as the official client has it.
                lambda: self._get(
                    url_path(_POOL + "/data-model/{}/tables", pool_id, model_id), read
                ),
            )
        )

    def load(
        self, pool_id: str, model_id: str, *, policy: RetryPolicy | None = None
    ) -> Load | None:
        """The last load of a data model; None if it was never loaded."""
        return self._spelled(
            "load",
            lambda: self._get(
                url_path(_PUBLIC_MODEL + "/last-load", pool_id, model_id), read_load, policy=policy
            ),
            lambda: self._get(
                url_path(_MODEL + "/load-history/load-info-sync", pool_id, model_id),
                read_load,
                policy=policy,
            ),
        )

    def start_load(
        self, pool_id: str, model_id: str, table_ids: Sequence[str] | None = None
    ) -> None:
        """Load a data model, or only some of its tables. `Conflict` if a load runs."""
        if table_ids is not None:
            path = url_path(_PUBLIC_MODEL + "/load/partial-sync", pool_id, model_id)
            self._request("POST", path, json=list(table_ids))
            return
        self._spelled(
            "start load",
            lambda: self._request(
                "POST",
                url_path(_PUBLIC_MODEL + "/load", pool_id, model_id),
                params={"fullReload": "true"},
            ),
            lambda: self._request(
                "POST",
                url_path(_MODEL + "/reload", pool_id, model_id),
                params={"forceComplete": "true"},
            ),
        )

    def data_jobs(self, pool_id: str) -> list[DataJob]:
        """The data jobs of a pool, in whatever states."""
        read = partial(read_list, partial(read_data_job, strict=False))
        return self._get(url_path(_JOBS, pool_id), read)

    def data_job(self, pool_id: str, job_id: str, *, policy: RetryPolicy | None = None) -> DataJob:
        """One data job, with the state of its last execution."""
        return self._get(url_path(_JOB, pool_id, job_id), read_data_job, policy=policy)

    def start_data_job(self, pool_id: str, job_id: str, mode: str) -> None:
        """Execute a data job; `mode` is FULL or DELTA. `Conflict` if it runs."""
        self._spelled(
            "start data job",
            lambda: self._request(
                "POST", url_path(_PUBLIC_JOB + "/execute", pool_id, job_id), params={"mode": mode}
            ),
            lambda: self._request(
                "POST",
                url_path(_JOB + "/execute", pool_id, job_id),
                json={"poolId": pool_id, "jobId": job_id, "mode": mode},
            ),
        )

    def _spelled(self, call: str, newer: Callable[[], _T], older: Callable[[], _T]) -> _T:
        """What a call returns by the spelling that the server knows."""
        known = self._spellings.get(call)
        if known != "older":
            try:
                found = newer()
            except NotFound:
                if known == "newer":
                    raise
            else:
                self._spellings[call] = "newer"
                return found
        found = older()
        self._spellings[call] = "older"
        return found

    def _request(
        self,
        method: str,
        path: str,
        read: Callable[[Response, Any], Any] | None = None,
        **options: Any,
    ) -> Any:
        try:
            return super()._request(method, path, read, **options)
        except PermissionDenied as error:
            said = f" The server says: {error.body}" if error.body else ""
            raise restated(
                error,
                f"{method} {self.url}{path} returned 403: the key may not work with data models "
                "and data jobs of this pool. It needs 'Edit' on the pool (Admin & Settings → "
                "Permissions → Data Integration) and, of an OAuth client, the scope "
                f"integration.data-pools.{said}",
            ) from None
