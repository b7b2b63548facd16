"""The data models that a push loads once its rows are in the table.

They are looked up before the job is created, so that a misspelt one fails the push before anything
is executed. After it, nothing about them fails the push: the rows are in the table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.data_models import DataModel
from celonis_frames._api.integration import IntegrationApi
from celonis_frames._api.models import Job
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._jobs.timeouts import timeout_error
from celonis_frames._models.following import TURN
from celonis_frames._models.reload import ReloadStatus, begin_reload
from celonis_frames._models.status import fail_status
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.progress import Progress
from celonis_frames._push.status import PushStatus, Reloads, update_status
from celonis_frames._reporting.current import warn
from celonis_frames.events import Stage
from celonis_frames.exceptions import CelonisFramesError, NotFound


def find_models(api: DataPushApi, pool_id: str, options: PushOptions) -> tuple[DataModel, ...]:
    """The data models that the options name.

    Raises:
        NotFound: There is none of that id or name.
        PermissionDenied: The key may not list them, and one is not given by id.
        ConfigError: A name fits several.
        ApiError, JobTimeout: They cannot be looked up.
    """
    if not options.models:
        return ()
    integration = IntegrationApi.sharing(api)
    with timeout_error(api.token, "while the data model was looked up"):
        try:
            found = lookup.data_models(integration, pool_id, options.models, for_push=True)
        except NotFound:
            if not lookup.is_created_by_job(api, pool_id):
                raise
            found = [DataModel(model, model) for model in options.models]
    return tuple({model.id: model for model in found}.values())


def reload_models(
    api: DataPushApi,
    pool_id: str,
    models: Sequence[DataModel],
    options: PushOptions,
    *,
    token: CancelToken,
    progress: Progress,
    pushed: str,
) -> Reloads:
    """Load the data models, one after the other; raises no error of this library.

    Args:
        api: The API of the connection.
        pool_id: The pool's id.
        models: The data models.
        options: The options of the push.
        token: Ends all waits and calls.
        progress: Shows what is being done.
        pushed: What is in the tables by then, for the note of an interruption.

    Returns:
        Their statuses, in the form in which the options name them; None for none.
    """
    if not models:
        return None
    integration, statuses = IntegrationApi.sharing(api), list[ReloadStatus]()
    for place, model in enumerate(models, 1):
        status = ReloadStatus(integration, pool_id=pool_id, model_id=model.id, model=model.name)
        statuses.append(status)
        show = partial(show_step, progress, "loading", f"data model {model.name}: ")
        try:
            with _interruption_note(f"{pushed}{_not_begun(models[place:])}"):
                begin_reload(
                    integration, status, None, token, wait=True, created=True, on_step=show
                )
        except CelonisFramesError as error:
            fail_status(status, error)
        try:
            status.raise_for_status()
        except CelonisFramesError as error:
            warn("%s %s", pushed, error)
    return statuses[0] if isinstance(options.reload, str) else tuple(statuses)


def reload_after_job(
    api: DataPushApi,
    job: Job,
    models: Sequence[DataModel],
    options: PushOptions,
    *,
    token: CancelToken,
    progress: Progress,
    timings: dict[str, float],
) -> Reloads:
    """The same after the job of one table, if it is done; adds the seconds to the `timings`."""
    if not models or job.state != "DONE":
        return None
    begin = time.monotonic()
    reloads = reload_models(
        api, job.pool_id, models, options, token=token, progress=progress,
        pushed=f"Table {job.table!r} was pushed (job {job.id}).",
    )  # fmt: skip
    timings["reload"] = time.monotonic() - begin
    return reloads


def reload_after_earlier(
    api: DataPushApi,
    status: PushStatus,
    models: Sequence[DataModel] | None,
    options: PushOptions,
    *,
    token: CancelToken,
    progress: Progress,
) -> PushStatus:
    """The status of an earlier push with the same id, with loads of the data models added.

    Whether the earlier push came to load them is unknown; a load too many is harmless.
    """
    if models and status.state == "DONE":
        pushed = f"Table {status.table!r} was pushed (job {status.job_id})."
        update_status(status, reload=reload_models(
            api, status.pool_id or "", models, options, token=token, progress=progress,
            pushed=pushed,
        ))  # fmt: skip
    return status


def not_reloaded(models: Sequence[DataModel]) -> str:
    """The note for a push of several tables of which some failed; "" without data models."""
    names = ", ".join(repr(model.name) for model in models)
    noun = "These data models were" if len(models) > 1 else "This data model was"
    return f"{noun} not loaded, since not all tables were pushed: {names}." if models else ""


def _not_begun(models: Sequence[DataModel]) -> str:
    """What an interruption says of the data models that would have come next."""
    names = ", ".join(repr(model.name) for model in models)
    return f" These data models were not loaded: {names}." if models else ""


def show_step(progress: Progress, stage: Stage, what: str, step: str) -> None:
    """Report what is being done about a data model or a data job."""
    if step == TURN:
        progress.waiting("other_run", None, what + step)
    else:
        progress.stage(stage, what + step)


@contextmanager
def _interruption_note(pushed: str) -> Iterator[None]:
    try:
        yield
    except CelonisFramesError:
        raise
    except BaseException as error:
        warn(pushed)
        error.add_note(pushed)
        raise
