"""Many tables at once: uploads side by side, submissions spaced, one question for all jobs."""

from __future__ import annotations

import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from celonis_frames._jobs import failure, wait_for_all
from celonis_frames._options import PushOptions
from celonis_frames._push import Connection, push_frame
from celonis_frames._retry import Stopped
from celonis_frames._signals import termination_raises
from celonis_frames.exceptions import CelonisFramesError, ConfigError

if TYPE_CHECKING:
    from celonis_frames._status import PushStatus

AT_ONCE = 3
"""Tables whose chunks are made and uploaded at the same time."""

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
    checked = {table: options(table) for table in frames}
    first = next(iter(checked.values()))
    begin = time.monotonic()
    deadline = None if first.timeout is None else begin + first.timeout
    pool_id = connection.pool_id(pool)
    crew = _Crew(connection, pool_id, frames, checked)
    with termination_raises():
        crew.run(min(at_once, len(frames)))
    if first.wait and crew.statuses:
        _follow(connection, pool_id, crew, deadline)
    if crew.errors:
        raise _all_in_one(crew)
    return {table: crew.statuses[table] for table in frames}


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


class _Crew:
    """Threads that push tables, one after the other, until none is left."""

    def __init__(
        self,
        connection: Connection,
        pool_id: str,
        frames: Mapping[str, Any],
        options: Mapping[str, PushOptions],
    ) -> None:
        self._connection, self._pool_id = connection, pool_id
        self._frames, self._options = frames, options
        self._stop = threading.Event()
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for table in frames:
            self._waiting.put(table)
        self.statuses: dict[str, PushStatus] = {}
        self.errors: dict[str, CelonisFramesError] = {}
        self._other: BaseException | None = None

    def run(self, size: int) -> None:
        """Push all of them; stop them all when this thread is interrupted."""
        threads = [
            threading.Thread(target=self._work, name="celonis-push", daemon=True)
            for _ in range(size)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.5)  # in short turns, so that Ctrl-C is heard on every system
        except BaseException:
            self._stop.set()
            for thread in threads:
                thread.join(10.0)
            raise
        if self._other is not None:
            raise self._other

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                table = self._waiting.get_nowait()
            except queue.Empty:
                return
            # What follows the jobs asks for all of them at once.
            options = dataclasses.replace(self._options[table], wait=False)
            try:
                self.statuses[table] = push_frame(
                    self._connection, self._frames[table], self._pool_id, table, options,
                    stop=self._stop,
                )  # fmt: skip
            except CelonisFramesError as error:
                _log.warning("table %s: %s", table, error.message)
                self.errors[table] = error
            except Stopped:
                return
            except BaseException as error:  # of a user's generator: it is raised as it is
                self._other = error
                self._stop.set()


def _follow(connection: Connection, pool_id: str, crew: _Crew, deadline: float | None) -> None:
    api = connection._api  # noqa: SLF001  # the one door between the rooms
    by_id = {status.job_id: table for table, status in crew.statuses.items()}
    timeout = None if deadline is None else max(deadline - time.monotonic(), 0.001)
    jobs = wait_for_all(api, pool_id, list(by_id), timeout=timeout)
    for job_id, job in jobs.items():
        crew.statuses[by_id[job_id]].saw(job)
        if job.state != "DONE":
            crew.errors[by_id[job_id]] = failure(job)


def _all_in_one(crew: _Crew) -> CelonisFramesError:
    """The first error, which tells of the others and of what went well."""
    (table, first), *others = crew.errors.items()
    first.add_note(f"It is about table {table!r}, one of {len(crew.errors)} that failed.")
    for name, error in others:
        first.add_note(f"Table {name!r}: {type(error).__name__}: {error}")
    done = [name for name in crew.statuses if name not in crew.errors]
    if done:
        first.add_note(f"These tables were pushed: {', '.join(done)}.")
    return first
