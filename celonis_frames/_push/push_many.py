"""Many tables at once: uploads side by side, submissions spaced, one question for all jobs."""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celonis_frames._concurrency.cancellation import Cancelled
from celonis_frames._concurrency.signals import sigterm_as_system_exit
from celonis_frames._jobs.polling import ENDED, timed_out, wait_for_all
from celonis_frames._push.options import PushOptions
from celonis_frames._push.pipeline import Connection, push_frame
from celonis_frames.exceptions import (
    CelonisFramesError,
    ConfigError,
    JobError,
    JobTimeout,
    NotFound,
)

if TYPE_CHECKING:
    from celonis_frames._api.client import DataPushApi
    from celonis_frames._api.models import Job
    from celonis_frames._jobs.delivery import DeliveryResult
    from celonis_frames._push.status import PushStatus
    from celonis_frames._push.verification import Verification


AT_ONCE = 3
"""Tables whose chunks are made and uploaded at the same time."""
STOP_SECONDS = 10.0
"""How long threads may take to cancel their jobs when the push ends before its time."""

_log = logging.getLogger("celonis_frames")


def push_tables(
    connection: Connection,
    frames: Mapping[str, Any],
    pool: str,
    options: Callable[[str], PushOptions],
    *,
    at_once: int = AT_ONCE,
) -> dict[str, PushStatus]:
    """Push each frame into the table of its name. See `celonis_frames.push_many`.

    Args:
        connection: Where to.
        frames: Frames by the names of their tables.
        pool: Data Pool by id, name or URL.
        options: The checked options for a table.
        at_once: Tables at the same time.

    Raises:
        FrameError, ConfigError, ApiError, JobError: See `celonis_frames.push_many`.
    """
    if not isinstance(frames, Mapping) or not frames:
        raise ConfigError("push_many takes a mapping of table names to frames, with one at least.")
    if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
        raise ConfigError(f"at_once={at_once!r} must be a whole number, 1 or more.")
    pushes = {table: _TablePush(table, frames[table], options(table)) for table in frames}
    first = next(iter(pushes.values())).options
    deadline = None if first.timeout is None else time.monotonic() + first.timeout
    crew = _MultiPush(connection, connection.pool_id(pool), pushes, deadline)
    try:
        with sigterm_as_system_exit():
            crew.run(min(at_once, len(pushes)))
            if first.wait:
                crew.follow()
            crew.conclude()
        if crew.errors:
            raise next(iter(crew.errors.values()))
    except BaseException as error:
        crew.explain(error)
        raise
    return {table: push.ended for table, push in pushes.items()}


def keys_by_table(
    keys: Sequence[str] | str | Mapping[str, Sequence[str] | str] | None, frames: Mapping[str, Any]
) -> Callable[[str], Sequence[str] | str | None]:
    """A function that tells the keys of a table.

    Raises:
        ConfigError: Keys for a table that is not pushed.
    """
    if not isinstance(keys, Mapping):
        return lambda _: keys
    unknown = [table for table in keys if table not in frames]
    if unknown:
        raise ConfigError(f"keys= names tables that are not pushed: {unknown}.")
    return keys.get


@dataclasses.dataclass(eq=False)
class _TablePush:
    """One of the tables, and what has become of it.

    Attributes:
        table: Its name.
        frame: What is pushed.
        options: How.
        begun: Whether a thread took it up.
        at_work: Whether a thread is at it.
        stopped: Why a thread gave it up, once it did.
        job_id: The job, once it was submitted.
        verification: What is compared when the job is done.
        status: The job, once it was seen.
        waited: Seconds until it was seen at its end.
    """

    table: str
    frame: Any
    options: PushOptions
    begun: bool = False
    at_work: bool = False
    stopped: Cancelled | None = None
    job_id: str | None = None
    verification: Verification | None = None
    status: PushStatus | None = None
    waited: float | None = None

    @property
    def ended(self) -> PushStatus:
        """The status of a push without an error."""
        assert self.status is not None  # noqa: S101  # there would be an error
        return self.status

    def submitted(self, delivered: DeliveryResult, verification: Verification) -> None:
        """Take note of the job: from here on it runs at the server, whatever happens here."""
        self.job_id, self.verification = delivered.job_id, verification

    def saw(self, job: Job, seconds: float) -> None:
        """Take the job as it is after so many seconds of waiting."""
        self.ended.saw(job)
        if job.state in ENDED:
            self.waited = seconds

    def conclude(self) -> None:
        """Count the table's rows, if that is asked for, and add to the status what is known now.

        Raises:
            JobFailed: The job ended in ERROR or CANCELED.
            JobError: There are more or fewer rows than there can be.
        """
        status = self.ended
        if self.waited is not None:
            status.add_wait(self.waited)
            status.raise_for_status()
        if self.verification is not None:
            status.add_warnings(self.verification.after(status.job_id, status.state))


class _MultiPush:
    """Threads that push tables, one after the other, until none is left.

    Args:
        connection: Where to.
        pool_id: The pool.
        pushes: What, by table.
        deadline: When the time is up for all of them, in seconds of `time.monotonic`.

    Attributes:
        errors: What went wrong, by table; the first one first.
    """

    def __init__(
        self,
        connection: Connection,
        pool_id: str,
        pushes: Mapping[str, _TablePush],
        deadline: float | None,
    ) -> None:
        self._connection, self._pool_id = connection, pool_id
        self._api: DataPushApi = connection._api  # noqa: SLF001  # the one door between the rooms
        self._pushes, self._deadline = pushes, deadline
        self._stop = threading.Event()
        self._waiting: queue.SimpleQueue[_TablePush] = queue.SimpleQueue()
        for push in pushes.values():
            self._waiting.put(push)
        self.errors: dict[str, BaseException] = {}

    def run(self, size: int) -> None:
        """Push all of them; stop them all when this thread is interrupted.

        Raises:
            BaseException: What a user's frame raised that is no error of this library.
        """
        threads = [
            threading.Thread(target=self._work, name="celonis-push", daemon=True)
            for _ in range(size)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.5)  # in short turns, so that Ctrl-C is heard on every system
        except BaseException:
            self._stop.set()
            end = time.monotonic() + STOP_SECONDS
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, end - time.monotonic()))
            raise
        for error in self.errors.values():
            if not isinstance(error, CelonisFramesError):
                raise error

    def follow(self) -> None:
        """Wait for the jobs that were submitted, with one question a round for all.

        Raises:
            ApiError: The server cannot be asked.
        """
        begin = time.monotonic()
        left = {
            push.status.job_id: push for push in self._pushes.values() if push.status is not None
        }
        seen: dict[str, Job] = {}

        def saw(job: Job) -> None:
            seen[job.id] = job
            push = left[job.id]
            push.saw(job, time.monotonic() - begin)
            if push.waited is not None:
                del left[job.id]

        while left:
            try:
                wait_for_all(
                    self._api, self._pool_id, list(left), timeout=self._left(0.001), on_job=saw
                )
            except JobTimeout:
                for job_id, push in left.items():
                    self.errors[push.table] = timed_out(
                        job_id, seen.get(job_id), push.options.timeout or 0.0
                    )
                return
            except NotFound as error:
                if error.job_id not in left:
                    raise
                # One that was deleted does not keep the others from being followed.
                self.errors[left.pop(error.job_id).table] = error

    def conclude(self) -> None:
        """Say of each job that was submitted whether it went well."""
        for push in self._pushes.values():
            if push.status is not None and push.table not in self.errors:
                try:
                    push.conclude()
                except JobError as error:
                    self.errors[push.table] = error

    def explain(self, error: BaseException) -> None:
        """Add to the error that ends it all what became of every table."""
        for table, other in self.errors.items():
            if other is error:
                error.add_note(
                    f"It is about table {table!r}, one of {len(self.errors)} that failed."
                )
        for table, other in self.errors.items():
            if other is not error:
                error.add_note(
                    _with_notes(f"Table {table!r}: {type(other).__name__}: {other}", other)
                )
        rest = [push for push in self._pushes.values() if push.table not in self.errors]
        done = [push.table for push in rest if push.status is not None and push.status.ok]
        if done:
            error.add_note(f"These tables were pushed: {', '.join(done)}.")
        self._name_running(error)
        for push in rest:
            if push.stopped is not None and not push.at_work:
                error.add_note(_with_notes(f"Table {push.table!r} was given up.", push.stopped))
        self._name_unfinished(error, rest)

    def _name_running(self, error: BaseException) -> None:
        running = [
            f"table {push.table!r} (job {push.job_id})"
            for push in self._pushes.values()
            if push.job_id is not None
            and not (push.status is not None and push.status.done)
            and not isinstance(self.errors.get(push.table), NotFound)
        ]
        if not running:
            return
        text = (
            f"Submitted, and running on at the server when last seen: {', '.join(running)}. "
            f"Look at each with celonis.job({self._pool_id!r}, id).wait(), or stop it with "
            ".cancel(), before you push its frame again."
        )
        if not isinstance(error, Exception):
            _log.warning(text)  # the program may end without showing it
        error.add_note(text)

    def _name_unfinished(self, error: BaseException, rest: Sequence[_TablePush]) -> None:
        busy = [push.table for push in rest if push.at_work]
        if busy:
            error.add_note(
                f"These tables had not been given up yet: {', '.join(busy)}. Their threads were "
                "told to cancel their jobs and to submit none; a submission that was on its way "
                f"may have been carried out: see celonis.jobs({self._pool_id!r})."
            )
        unbegun = [push.table for push in rest if not push.begun]
        if unbegun:
            error.add_note(f"These tables were not begun: {', '.join(unbegun)}.")

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                push = self._waiting.get_nowait()
            except queue.Empty:
                return
            push.begun = push.at_work = True
            try:
                self._push(push)
            except CelonisFramesError as error:
                _log.warning("table %s: %s", push.table, error.message)
                self.errors[push.table] = error
            except Cancelled as stopped:
                push.stopped = stopped
            except BaseException as error:  # of a user's generator: it is raised as it is
                self.errors[push.table] = error
                self._stop.set()
            finally:
                push.at_work = False

    def _push(self, push: _TablePush) -> None:
        left = self._left(0.0)
        if left == 0.0:
            raise JobTimeout(
                f"Table {push.table!r} was not begun: the {push.options.timeout:g} s of timeout=, "
                "which are for all tables together, were over. Nothing of it was sent; push it "
                "again, with a longer timeout= or fewer tables.",
                job_id="",
            )
        # What is left of the time is this table's; the jobs are asked for all at once, later.
        options = dataclasses.replace(push.options, wait=False, timeout=left)
        push.status = push_frame(
            self._connection, push.frame, self._pool_id, push.table, options, stop=self._stop,
            submitted=push.submitted,
        )  # fmt: skip

    def _left(self, least: float) -> float | None:
        """Seconds until the deadline, if there is one."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), least)


def _with_notes(text: str, error: BaseException) -> str:
    return " ".join([text, *getattr(error, "__notes__", ())])
