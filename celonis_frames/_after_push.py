"""What follows a push in a pipeline: data models are loaded, data jobs executed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

from celonis_frames._api import lookup
from celonis_frames._api.data_models import DataJob, DataModel
from celonis_frames._api.integration import IntegrationApi
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._concurrency.signals import termination_as_system_exit
from celonis_frames._connection import Connection
from celonis_frames._formatting import shown
from celonis_frames._jobs.timeouts import ended_call
from celonis_frames._models.data_job import DataJobStatus, begin_data_job
from celonis_frames._models.reload import ReloadStatus, begin_reload
from celonis_frames._options.fields import flag, one_of
from celonis_frames._options.push_options import optional_flag, parse_on_event, parse_timeout
from celonis_frames._push.pipeline import limit
from celonis_frames._push.progress import Reporting, in_progress
from celonis_frames._push.reloading import show_step
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.events import Event
from celonis_frames.exceptions import ApiError, ConfigError, JobTimeout, ReloadTimeout


@short_tracebacks
class AfterPush(Connection):
    """What a connection can do with data models and data jobs.

    All of it needs *Edit* on the pool, and of an OAuth client the scope
    ``integration.data-pools``; a key that may only push gets `PermissionDenied`.
    """

    def models(self, pool: str) -> list[DataModel]:
        """The data models of a pool, each with its ``id``, ``name`` and ``tables``.

        A table has its ``id``, ``name``, ``alias`` and ``connection_id``. One call; one more for
        each data model whose tables the list leaves out.

        Raises:
            NotFound: If there is no such pool.
            ConfigError: If its name matches several pools.
            ApiError: If a call fails.
        """
        pool_id, api = self.pool_id(pool), self._integration
        return [_with_tables(api, pool_id, model) for model in api.models(pool_id)]

    def data_jobs(self, pool: str) -> list[DataJob]:
        """The data jobs of a pool, each with its ``id``, ``name`` and ``state``.

        These are the extractions and transformations that are set up in Celonis; the jobs of pushes
        are in `jobs`.

        Raises:
            NotFound: If there is no such pool.
            ConfigError: If its name matches several pools.
            ApiError: If a call fails.
        """
        return self._integration.data_jobs(self.pool_id(pool))

    def reload(
        self,
        pool: str,
        model: str,
        *,
        tables: Sequence[str] | str | None = None,
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> ReloadStatus:
        """Loads a data model, so that analyses see what is in its tables, and returns the status.

        A data model has one load at a time: one that runs already is waited for, then this one is
        begun. If the response to the call is lost, the server's record of the last load shows
        whether it began; if it did not, the call is made again. Loading twice does no harm.

        Args:
            pool: Data Pool: id, name, or a URL of it pasted from the browser.
            model: Data model: id or name.
            tables: Names or aliases of the tables to load, in any case; None loads all tables.
            wait: Wait until the load has ended; False returns once it was accepted.
            timeout: Seconds for all of it, the wait for another load included.
            progress: As for `push`.
            on_event: As for `push`.

        Raises:
            NotFound: There is no such pool, data model or table in it.
            PermissionDenied: The key needs *Edit* on the pool, and an OAuth client the scope
                ``integration.data-pools``.
            ConfigError: A name matches several, or an option makes no sense. Nothing was loaded.
            ReloadFailed: The load ended in ERROR, LOST_CONNECTION or CANCELED; the message names
                the tables concerned, as far as the server does.
            ReloadTimeout: The time was up; a load that was begun goes on in Celonis.
            ApiError: A call failed. The notes say if it cannot be known whether the load began.
        """
        options = self._call(wait, timeout, progress, on_event)
        chosen = _names("tables", tables)
        status = ReloadStatus(None, pool_id="", model_id="", model=str(model))
        reporting = options.reporting
        with in_progress("reload", model, self.url, reporting) as call, options.limit() as token:
            # 1. Look up the pool, the data model and the tables.
            api = IntegrationApi.sharing(self._api)
            what = (
                f"timeout= passed while data model {shown(model)} was looked up. It was not loaded."
            )
            with _expiry(token, lambda: ReloadTimeout(what, status=status)):
                pool_id = lookup.pool_id(self._api.within(token), pool, for_push=False)
                limited = api.within(token)
                found = lookup.data_model(limited, pool_id, model)
                table_ids = None
                if chosen is not None:
                    listed = _with_tables(limited, pool_id, found).tables or ()
                    table_ids = lookup.model_table_ids(found, listed, chosen, self.url)
            # 2. Begin the load and wait for its end.
            call.relabel(found.name)
            if call.recorder is not None:
                call.recorder.pool_id = pool_id
            status = ReloadStatus(api, pool_id=pool_id, model_id=found.id, model=found.name)
            step = partial(show_step, call, "loading", "")
            begin_reload(api, status, table_ids, token, wait=options.wait, on_step=step)
            call.result = status
            if options.wait:
                status.raise_for_status()
        return status

    def run_job(
        self,
        pool: str,
        job: str,
        *,
        mode: Literal["FULL", "DELTA", "full", "delta"] = "FULL",
        wait: bool = True,
        timeout: float | None = None,
        progress: bool | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> DataJobStatus:
        """Executes a data job and returns its status.

        A job has one execution at a time: one that runs already is waited for, then this one is
        begun. If the response to the call is lost, the id of the last execution shows whether it
        began; if that is not seen, the job is not executed again, since that may do harm.

        Args:
            pool: Data Pool: id, name, or a URL of it pasted from the browser.
            job: Data job: id or name. It is set up in Celonis.
            mode: ``"FULL"`` extracts everything, ``"DELTA"`` what is new. Case does not matter.
            wait: Wait until the execution has ended; False returns once it was accepted.
            timeout: Seconds for all of it, the wait for another execution included.
            progress: As for `push`.
            on_event: As for `push`.

        Raises:
            NotFound: There is no such pool or data job.
            PermissionDenied: As for `reload`.
            ConfigError: A name matches several, or an option makes no sense. Nothing was executed.
            JobFailed: The execution ended in FAIL, CANCEL or SKIPPED.
            JobTimeout: The time was up; an execution that was begun goes on in Celonis.
            ApiError: A call failed. The notes say if it cannot be known whether the job was
                executed.
        """
        options = self._call(wait, timeout, progress, on_event)
        word = one_of("FULL", "DELTA")("mode", mode)
        reporting = options.reporting
        with in_progress("run_job", job, self.url, reporting) as call, options.limit() as token:
            # 1. Look up the pool and the data job.
            api = IntegrationApi.sharing(self._api)
            what = (
                f"timeout= passed while data job {shown(job)} was looked up. It was not executed."
            )
            with _expiry(token, lambda: JobTimeout(what, job_id="", outcome_known=True)):
                pool_id = lookup.pool_id(self._api.within(token), pool, for_push=False)
                found = lookup.data_job(api.within(token), pool_id, job)
            # 2. Execute it and wait for the end.
            call.relabel(found.name)
            if call.recorder is not None:
                call.recorder.pool_id = pool_id
            status = DataJobStatus(api, found, pool_id=pool_id, mode=word)
            step = partial(show_step, call, "executing", "")
            begin_data_job(api, status, token, wait=options.wait, on_step=step)
            call.result = status
            if options.wait:
                status.raise_for_status()
        return status

    def _call(self, wait: Any, timeout: Any, progress: Any, on_event: Any) -> _Call:
        """The options of a call, with the connection's defaults."""
        return _Call(
            wait,
            timeout,
            self._progress if progress is None else progress,
            self._on_event if on_event is None else on_event,
        )

    @property
    def _integration(self) -> IntegrationApi:
        return IntegrationApi.sharing(self._api)


class _Call:
    """The options that the calls share, checked."""

    def __init__(self, wait: Any, timeout: Any, progress: Any, on_event: Any) -> None:
        self._begin = time.monotonic()
        self.wait = flag("wait", wait)
        self.timeout = parse_timeout("timeout", timeout)
        self.reporting = Reporting(
            optional_flag("progress", progress), parse_on_event("on_event", on_event)
        )

    @contextmanager
    def limit(self) -> Iterator[CancelToken]:
        """A token for all waits and calls."""
        with termination_as_system_exit(), limit(None, self._begin, self.timeout) as token:
            yield token


@contextmanager
def _expiry(token: CancelToken, error_of: Callable[[], Exception]) -> Iterator[None]:
    """Replace the error of a call that the deadline ended."""
    try:
        yield
    except ApiError as error:
        if ended_call(token, error):
            raise error_of() from error
        raise


def _with_tables(api: IntegrationApi, pool_id: str, model: DataModel) -> DataModel:
    if model.tables is not None:
        return model
    return DataModel(model.id, model.name, api.model_tables(pool_id, model.id))


def _names(name: str, value: Any) -> tuple[str, ...] | None:
    given = (value,) if isinstance(value, str) else value
    if given is None:
        return None
    if (
        not isinstance(given, list | tuple)
        or not given
        or not all(isinstance(one, str) and one.strip() for one in given)
    ):
        raise ConfigError(
            f"{name}={shown(value)} must be a name or a list of names; leave it out to load all "
            "tables."
        )
    return tuple(given)
