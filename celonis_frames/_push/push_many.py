"""Push several tables in parallel and poll their jobs together.

How it works:

* `push_tables` puts all tables into a queue and starts at most `at_once` daemon threads,
  ``celonis-push``. Each takes a table from the queue, pushes it without waiting for its job, and
  takes the next; it ends when the queue is empty.
* The calling thread joins these threads, and then polls all jobs with one call per poll.
* All are under one `CancelToken`, whose deadline is that of ``timeout=``. An error of one table
  does not stop the others. A signal to the main thread, deferred until the threads are joined,
  cancels the token: each thread cancels its job and begins no other table. They are joined for at
  most 10 s. The second signal raises at once.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from typing import Any

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.data_models import DataModel
from celonis_frames._api.models import Job
from celonis_frames._concurrency.cancellation import (
    CLEANUP_SECONDS,
    POLL_SECONDS,
    Cancelled,
    CancelToken,
)
from celonis_frames._concurrency.signals import DeferredSignals, termination_as_system_exit
from celonis_frames._formatting import counted, did_you_mean
from celonis_frames._jobs.polling import ENDED, timed_out, wait_for_all
from celonis_frames._jobs.shell import check_at_end
from celonis_frames._jobs.timeouts import timeout_error
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.object_push import IngestionWay, push_objects
from celonis_frames._push.once import open_job_once, open_objects_once
from celonis_frames._push.pipeline import limit, push_frame
from celonis_frames._push.progress import Progress, in_progress
from celonis_frames._push.receipts import record_end
from celonis_frames._push.reloading import find_models, not_reloaded, reload_models
from celonis_frames._push.status import PushStatus, update_status
from celonis_frames._push.table_push import TablePush, add_outcomes
from celonis_frames._reporting.current import warn
from celonis_frames._schema.names import check_tables_differ, find_name
from celonis_frames.exceptions import (
    CelonisFramesError,
    ConfigError,
    JobError,
    JobTimeout,
    NotFound,
)

AT_ONCE = 3
"""Tables that are encoded and uploaded at the same time."""
TABLES_STOP_SECONDS = 10.0
"""Time for the threads to cancel their jobs after an interruption."""


def push_tables(
    api: DataPushApi,
    frames: Mapping[str, Any],
    pool: str,
    options: Callable[[str], PushOptions],
    *,
    at_once: int = AT_ONCE,
    way: IngestionWay | None = None,
) -> dict[str, PushStatus]:
    """Push each frame into the table of its name; `options` returns the options of a table.

    `way` is given if they are stored as objects. See `celonis_frames.push_many`.

    Raises:
        FrameError, ConfigError, ApiError, JobError: See `celonis_frames.push_many`.
    """
    check_tables_differ(frames)
    pushes = {
        table: TablePush(table, frames[table], _with_own_id(options(table), table))
        for table in frames
    }
    first = options(next(iter(frames)))
    with (
        in_progress("push_many", None, api.url, first) as call,
        limit(None, time.monotonic(), first.timeout) as token,
    ):
        pool_id = pool
        if way is None:
            with timeout_error(token, "while the pool was looked up"):
                pool_id = lookup.pool_id(api.within(token), pool)
        models = find_models(api.within(token), pool_id, first)
        call.relabel(counted(len(pushes), "table"))
        if way is None:
            call.in_pool(pool_id)
        multi = _MultiPush(api, token, pool_id, pushes, way, call)
        try:
            with termination_as_system_exit():
                multi.run(min(at_once, len(pushes)))
                if first.wait:
                    multi.follow()
                multi.conclude()
            if multi.errors:
                raise next(iter(multi.errors.values()))
        except BaseException as error:
            add_outcomes(error, tuple(pushes.values()), multi.errors, pool_id)
            if models:
                error.add_note(not_reloaded(models))
                warn(not_reloaded(models))
            multi.end(error)
            raise
        multi.end(None)
        if models:
            _reload(api, models, token, [push.ended for push in pushes.values()], first, call)
    return {table: push.ended for table, push in pushes.items()}


def _reload(
    api: DataPushApi,
    models: Sequence[DataModel],
    token: CancelToken,
    statuses: Sequence[PushStatus],
    options: PushOptions,
    progress: Progress,
) -> None:
    """Load the data models once for all tables; each status has them."""
    pool_id, tables = statuses[0].pool_id or "", counted(len(statuses), "table")
    with termination_as_system_exit():
        reloads = reload_models(
            api, pool_id, models, options, token=token, progress=progress,
            pushed=f"All {tables} were pushed." if len(statuses) > 1 else "The table was pushed.",
        )  # fmt: skip
    for status in statuses:
        update_status(status, reload=reloads)


def _with_own_id(options: PushOptions, table: str) -> PushOptions:
    """The options of one table: its id is that of the call with the table's name."""
    if options.push_id is None:
        return options
    return dataclasses.replace(options, push_id=f"{options.push_id}/{str(table).strip()}")


def keys_by_table(
    keys: Sequence[str] | str | Mapping[str, Sequence[str] | str] | None, frames: Mapping[str, Any]
) -> Callable[[str], Sequence[str] | str | None]:
    """A function that returns the keys of a table, also if `keys` spells it with other blanks.

    Raises:
        ConfigError: Keys for a table that is not pushed, or twice for one.
    """
    if not isinstance(keys, Mapping):
        return lambda _: keys
    tables = list(frames)
    places = {table: find_name(table, tables) for table in keys}
    if unknown := [table for table, place in places.items() if place is None]:
        raise ConfigError(
            f"keys= names tables that are not pushed: {unknown}.{did_you_mean(unknown[0], tables)}"
        )
    found: dict[str, Sequence[str] | str] = {}
    for table, place in places.items():
        pushed = tables[place or 0]
        if pushed in found:
            raise ConfigError(f"keys= names table {pushed!r} twice, with blanks at the ends.")
        found[pushed] = keys[table]
    return found.get


class _MultiPush:
    """Threads that push tables until the queue is empty, all under one token.

    Attributes:
        errors: Errors by table, in the order in which they occurred.
    """

    def __init__(
        self,
        api: DataPushApi,
        token: CancelToken,
        pool_id: str,
        pushes: Mapping[str, TablePush],
        way: IngestionWay | None,
        call: Progress,
    ) -> None:
        self._api, self._token, self._pool_id, self._way = api, token, pool_id, way
        self._call = call
        self._pushes = pushes
        self._waiting: queue.SimpleQueue[TablePush] = queue.SimpleQueue()
        for push in pushes.values():
            self._waiting.put(push)
        self.errors: dict[str, BaseException] = {}

    def run(self, size: int) -> None:
        """Push all tables with `size` threads; a signal to this thread cancels them.

        Raises:
            BaseException: An error that a user's frame raised, other than this library's.
            KeyboardInterrupt, SystemExit: The user or the system ends the process.
        """
        threads = [threading.Thread(target=copy_context().run, args=(self._work,),
                                    name="celonis-push", daemon=True)
                   for _ in range(size)]  # fmt: skip
        with DeferredSignals(self._token, self._describe_open):
            try:
                for thread in threads:
                    thread.start()
                self._join(threads)
            except BaseException:
                self._token.cancel()
                self._join(threads)
                raise
        for error in tuple(self.errors.values()):
            if not isinstance(error, CelonisFramesError):
                raise error

    def _join(self, threads: Sequence[threading.Thread]) -> None:
        """Wait for the threads; once they were cancelled or had their time, a limited time."""
        end: float | None = None
        for thread in threads:
            while thread.is_alive():
                now = time.monotonic()
                if end is None and self._token.cancelled:
                    end = now + TABLES_STOP_SECONDS
                elif end is None and self._token.expired:
                    end = now + CLEANUP_SECONDS
                if self._token.abandoned or (end is not None and now > end):
                    self._give_up()
                    return
                thread.join(POLL_SECONDS)

    def _give_up(self) -> None:
        for push in self._pushes.values():
            if push.running and self._token.expired and not self._token.cancelled:
                self.errors[push.table] = JobTimeout(
                    f"Table {push.table!r} was not finished within the {push.options.timeout:g} s "
                    "of timeout=: its frame gives no rows. Its thread submits nothing and ends as "
                    "soon as the frame does. Give a longer timeout=.",
                    job_id=push.delivered.job_id,
                    # Objects are loaded once they are stored; a job without its end is not.
                    outcome_known=self._way is None or not push.delivered.chunks,
                )

    def _describe_open(self) -> str:
        """What a second signal leaves open."""
        jobs = [
            f"table {push.table!r} (job {push.delivered.job_id})"
            for push in self._pushes.values()
            if push.running and push.delivered.job_id and push.job_id is None
        ]
        if not jobs:
            return ""
        return (
            f"These jobs may still be open, and a submission under way may have been executed: "
            f"{', '.join(jobs)}. Check them with celonis.jobs({self._pool_id!r}) before you push "
            "again."
        )

    def follow(self) -> None:
        """Poll the submitted jobs until all have ended, with one call per poll.

        Raises:
            ApiError: The jobs cannot be read.
        """
        begin = time.monotonic()
        pending = {
            push.job_id: push
            for push in self._pushes.values()
            if push.status is not None and push.job_id is not None
        }
        last_seen: dict[str, Job] = {}
        for push in pending.values():
            push.begin(self._call).stage("waiting")
        if pending:
            self._call.relabel(counted(len(pending), "table"))
            self._call.stage("waiting")  # one bar for all of them: they may be many

        def update(job: Job) -> None:
            last_seen[job.id] = job
            push = pending[job.id]
            push.update(job, time.monotonic() - begin)
            if push.waited is not None:
                del pending[job.id]

        while pending:
            try:
                api = self._api.within(self._token)
                wait_for_all(api, self._pool_id, list(pending), on_job=update)
            except JobTimeout:
                for job_id, push in pending.items():
                    self.errors[push.table] = timed_out(
                        job_id, last_seen.get(job_id), push.options.timeout or 0.0
                    )
                return
            except NotFound as error:
                if error.job_id not in pending:
                    raise
                # A deleted job is the error of its table; the others are still polled.
                self.errors[pending.pop(error.job_id).table] = error

    def conclude(self) -> None:
        """Complete the status of each submitted job; store the error of each that failed."""
        for push in self._pushes.values():
            # Stored objects have no job.
            if (
                push.job_id is not None
                and push.status is not None
                and push.table not in self.errors
            ):
                try:
                    with push.begin(self._call).active():
                        self._conclude(push, push.job_id, push.status.state)
                except JobError as error:
                    self.errors[push.table] = error

    def _conclude(self, push: TablePush, job_id: str, state: str) -> None:
        check_at_end(self._api.within(self._token), self._pool_id, push.delivered, state)
        if push.options.push_id is not None and state in ENDED:
            record_end(push.options, job_id, state)
        push.conclude()

    def end(self, interruption: BaseException | None) -> None:
        """The push of each table that was begun ends; those not seen to end, with this error."""
        for push in self._pushes.values():
            push.end(self.errors.get(push.table), interruption)

    def _work(self) -> None:
        while not self._token.cancelled:
            try:
                push = self._waiting.get_nowait()
            except queue.Empty:
                return
            push.begun = push.running = True
            progress = push.begin(self._call)
            try:
                with progress.active():
                    self._push(push, progress)
            except CelonisFramesError as error:
                warn("table %s: %s", push.table, error.message)
                self.errors[push.table] = error
            except Cancelled as cancelled:
                push.cancelled = cancelled
            except BaseException as error:  # from a user's generator: raised unchanged
                self.errors[push.table] = error
                self._token.cancel()
            finally:
                progress.hide()
                push.running = False

    def _push(self, push: TablePush, progress: Progress) -> None:
        if self._token.expired:
            raise JobTimeout(
                f"Table {push.table!r} was not begun: the {push.options.timeout:g} s of timeout=, "
                "which apply to all tables together, had passed. Nothing of it was sent. Push it "
                "again, with a longer timeout= or fewer tables.",
                job_id="",
                outcome_known=True,
            )
        # All tables share the time; their jobs are polled together, later.
        options = dataclasses.replace(push.options, wait=False, timeout=None, reload=None)
        if self._way is not None:
            push.status = push_objects(
                self._way, push.frame, self._pool_id, push.table, options, progress=progress,
                open_once=open_objects_once(self._way), token=self._token,
                delivered=push.delivered,
            )  # fmt: skip
            return
        push.status = push_frame(
            self._api, push.frame, self._pool_id, push.table, options, progress=progress,
            open_once=open_job_once, token=self._token, delivered=push.delivered,
            on_submitted=push.on_submitted,
        )  # fmt: skip
