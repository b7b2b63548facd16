"""Deliver chunks as one job, exactly once: the shell that carries the machine's commands out.

`celonis_frames._jobs.machine` decides what is to be done next; it does no I/O itself.

How it works:

* The calling thread runs a loop: it takes an event, gives it to the machine, and carries out the
  commands that it returns. The answer to a call (`JobDestination`) is the next event.
* Uploads run in the threads of an `UploadPool`, which put their events into a queue. There is no
  queue of chunks: the iterator makes the next chunk when the machine asks for it.
* Before each command the API's token is checked: if it is cancelled or has expired, the machine
  gets `Failed`, and cancels the job. In the main thread the caller puts a `DeferredSignals` block
  around it, so that no signal interrupts a step.
* What cleans up has a token of its own. If a second signal abandons the push, nothing waits any
  more: a daemon thread, ``celonis-cancel``, tries to cancel the jobs.
* If the interpreter ends while a daemon thread delivers, `_cancel_at_exit` cancels its job.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import logging
import os
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import (
    CLEANUP_SECONDS,
    POLL_SECONDS,
    Cancelled,
    CancelToken,
)
from celonis_frames._jobs import commands as c
from celonis_frames._jobs.cancel import cancel
from celonis_frames._jobs.commands import ENDS, State
from celonis_frames._jobs.delivery import (
    BodyRefuted,
    Delivery,
    DeliveryProgress,
    DeliveryResult,
    JobChunk,
)
from celonis_frames._jobs.failures import failure_of, surplus_error, why
from celonis_frames._jobs.guards import in_doubt
from celonis_frames._jobs.job_destination import JobDestination
from celonis_frames._jobs.machine import DeliveryMachine
from celonis_frames._jobs.reconcile import ChecksumKind
from celonis_frames._jobs.timeouts import ended_call, timeout_of
from celonis_frames._jobs.upload_pool import UploadPool
from celonis_frames.exceptions import ApiError, CelonisFramesError, JobTimeout, UploadUncertain

ANNOUNCED_SECONDS = 1.0
"""Shortest wait (s) for earlier calls that is logged and shown."""
CREATION_SECONDS = 1.0
"""Seconds for a creation that was interrupted to take effect, before its job is looked for."""
EXIT_SECONDS = 3.0
"""Seconds for a daemon thread to cancel its job when the interpreter ends."""

_log = logging.getLogger("celonis_frames")

_kinds: dict[str, ChecksumKind] = {}
"""What was found out about the checksums of a server, by its URL."""


def deliver(
    api: DataPushApi,
    delivery: Delivery,
    result: DeliveryResult,
    *,
    progress: DeliveryProgress,
    timings: dict[str, float],
) -> None:
    """Send chunks as one job and submit it.

    The API's token cancels it. The seconds of each stage are added to `timings`.

    Raises:
        FrameError: A chunk cannot be made or read.
        Cancelled: The token was cancelled. The job is cancelled, or the notes say why not.
        ApiError: A call was rejected, or failed at the last retry. The job is cancelled.
        JobTimeout: The token's deadline has passed. The job is cancelled.
        UploadUncertain: It could not be determined what the jobs held, or whether one was executed.
    """
    shell = _Shell(api, delivery, result, progress, timings)
    _shells.add(shell)
    try:
        shell.run()
    finally:
        _shells.discard(shell)


def check_at_end(api: DataPushApi, pool_id: str, result: DeliveryResult, state: str) -> None:
    """Count the chunks of a job that was in doubt once more, when it has ended in `state`.

    Only a surplus proves something wrong: a list that cannot be read now is logged, no error.

    Raises:
        UploadUncertain: The job holds more chunks than were sent.
    """
    if not result.doubted or state != "DONE":
        return
    try:
        policy = dataclasses.replace(api.policy, max_tries=2)
        count = len(api.chunks(pool_id, result.job_id, policy=policy))
    except (ApiError, Cancelled) as error:
        _log_uncounted(result.job_id, error)
        return
    if count > result.chunks:
        raise surplus_error(result.job_id, result.chunks, state)


class _UploadFailed(Exception):
    """An upload has failed: its event is in the queue."""


class _Shell:
    """Carries out the commands of one machine."""

    def __init__(
        self,
        api: DataPushApi,
        delivery: Delivery,
        result: DeliveryResult,
        progress: DeliveryProgress,
        timings: dict[str, float],
    ) -> None:
        self._api, self._delivery = api, delivery
        self._result, self._progress, self._timings = result, progress, timings
        self._machine = DeliveryMachine(
            uploads=delivery.workers,
            has_jobs=delivery.destination is None,
            repeatable=delivery.destination is not None and delivery.destination.repeatable,
            kind=_kinds.get(api.url, ChecksumKind.UNKNOWN),
            recorded=delivery.recorded,
        )
        self._jobs = JobDestination(
            api,
            delivery.pool_id,
            delivery.body,
            marked=delivery.marked,
            duplicate_removal_column=delivery.duplicate_removal_column,
            begun=delivery.begun,
            announce=progress.stage,
        )
        self._events: queue.SimpleQueue[tuple[UploadPool, Any]] = queue.SimpleQueue()
        self._uploads: UploadPool | None = None
        self._cleanup: CancelToken | None = None
        self._iterator: Iterator[JobChunk] | None = None
        self._chunks: dict[int, JobChunk] = {}  # not released yet
        self._taken = 0
        self._interruption: BaseException | None = None  # raised while the push was ending
        self._pid = os.getpid()

    def run(self) -> None:
        """Deliver; errors as `deliver`."""
        machine, pending = self._machine, deque[Any]([c.Start()])
        try:
            while machine.state not in ENDS:
                event = pending.popleft() if pending else self._wait_for_event()
                failed = False
                for command in self._handle(event):
                    if failed and not isinstance(command, _CLEANING):
                        continue
                    answer = self._carry_out(command)
                    if answer is not None:
                        pending.append(answer)
                    failed = failed or isinstance(answer, c.Failed)
                # They may hold an error, and thereby the frames of all this.
                event = command = answer = None
        except BaseException as error:
            self._abandon(error)
            raise
        finally:
            self._close()
        self._conclude()

    def cancel_jobs(self) -> list[str]:
        """Cancel all jobs but a submitted one; returns a note for each that may be left open."""
        machine = self._machine
        job_ids = [job for job in machine.jobs if not (machine.submitted and job == machine.job_id)]
        notes = []
        with CancelToken(deadline=time.monotonic() + CLEANUP_SECONDS) as token:
            for job_id in job_ids:
                try:
                    cancel(self._api.within(token), self._delivery.pool_id, job_id)
                except (CelonisFramesError, Cancelled) as error:
                    notes.append(f"Job {job_id} could not be cancelled ({why(error)}).")
                    _log.warning("job %s could not be cancelled: %s", job_id, why(error))
            if machine.has_jobs:
                if machine.state is State.CREATING:
                    time.sleep(CREATION_SECONDS)  # one that is under way may take effect now
                self._jobs.sweep(token, machine.job_id if machine.submitted else "", ())
        return notes

    def cancel_at_exit(self) -> None:
        """Cancel the jobs, unless a signal has abandoned the push or this is a forked child."""
        # A child's exit must not touch its parent's jobs and sockets.
        if self._pid == os.getpid() and not self._api.token.abandoned:
            self._api.token.cancel()  # its own thread cancels the job, if it still can
            end = time.monotonic() + EXIT_SECONDS
            while self in _shells and time.monotonic() < end:
                time.sleep(POLL_SECONDS)
            if self in _shells:
                self.cancel_jobs()

    # The loop.

    def _wait_for_event(self) -> Any:
        begin = time.monotonic()
        try:
            while True:
                try:
                    self._raise_if_interrupted()
                except Cancelled as error:
                    return c.Failed(error, interrupted=True)
                except JobTimeout as error:
                    return c.Failed(error)
                with contextlib.suppress(queue.Empty):
                    uploads, event = self._events.get(timeout=POLL_SECONDS)
                    if uploads is self._uploads:
                        uploads.done()
                        return self._checked(event)
        finally:
            self._record_time(begin)

    def _checked(self, event: Any) -> Any:
        """The event of an upload; an error of the caller's own code is raised whatever happens."""
        if not isinstance(event, c.Failed):
            return event
        if isinstance(event.error, CelonisFramesError):
            return c.Failed(self._explained(event.error))
        return c.Failed(event.error, interrupted=True)

    def _handle(self, event: Any) -> list[Any]:
        machine, before = self._machine, self._machine.state
        commands = machine.handle(event, time.monotonic())
        if machine.job_id not in ("", self._result.job_id) and machine.verdict is None:
            self._result.begin(machine.job_id)
            if isinstance(event, c.Found):
                for chunk in self._chunks.values():
                    self._result.add(chunk)
        self._result.submitted = machine.submitted
        if machine.state is not before and (stage := _STAGES.get(machine.state)):
            self._progress.stage(stage)
        return commands

    def _carry_out(self, command: Any) -> Any:
        """The event that answers the command, if it does so at once."""
        begin = time.monotonic()
        try:
            if not isinstance(command, _CLEANING):
                self._raise_if_interrupted()
            return _FUNCTIONS[type(command)](self, command)
        except _UploadFailed:
            return None
        except CelonisFramesError as error:
            return c.Failed(self._explained(error), unsent=isinstance(command, c.Record))
        except BaseException as error:
            return self._interrupted_by(error, command)
        finally:
            self._record_time(begin)

    def _interrupted_by(self, error: BaseException, command: Any) -> Any:
        """The event for a cancellation, or for an error that the caller's own code raised."""
        if not isinstance(error, Cancelled):
            if self._api.token.abandoned:
                raise error
            if not isinstance(error, Exception):
                self._api.token.cancel()  # the process ends: there is little time
        if isinstance(command, _CLEANING):
            # The clean-up goes on, a cancellation once more; the error is raised at the end.
            first, self._interruption = self._interruption is None, error
            if isinstance(command, c.Cancel):
                return self._carry_out(command) if first else c.CancelFailed(error)
            return c.Swept() if isinstance(command, c.Sweep) else None
        return c.Failed(error, interrupted=True, unknown=isinstance(command, c.Create))

    def _raise_if_interrupted(self) -> None:
        self._api.token.raise_if_cancelled()
        if self._api.token.expired:
            raise self._timeout()

    def _explained(self, error: CelonisFramesError) -> CelonisFramesError:
        """The error, or JobTimeout if the deadline has ended the call."""
        if not (
            isinstance(error, ApiError | UploadUncertain) and ended_call(self._api.token, error)
        ):
            return error
        timeout = self._timeout()
        timeout.__cause__ = error
        return timeout

    def _timeout(self) -> JobTimeout:
        """The error for a deadline that has passed, with what is being done."""
        machine, job_id = self._machine, self._machine.job_id
        if machine.state is State.FINDING:
            what = "while the job of the staged push was looked up"
            return timeout_of(what, job_id, outcome_known=False)
        if not job_id:
            what = "while the job was created"
        elif machine.state in _UPLOADING:
            what = f"while chunks were sent to job {job_id}"
        else:
            what = f"while job {job_id} was submitted"
        return timeout_of(what, job_id, outcome_known=not machine.may_run)

    def _record_time(self, begin: float) -> None:
        state = self._machine.state
        name = "create" if state in _CREATING else "upload" if state in _UPLOADING else "execute"
        self._timings[name] = self._timings.get(name, 0.0) + time.monotonic() - begin

    def _abandon(self, error: BaseException) -> None:
        if self._api.token.abandoned:
            # Nobody waits for it: the process may end before.
            threading.Thread(target=self.cancel_jobs, name="celonis-cancel", daemon=True).start()
            return
        for note in self.cancel_jobs():
            error.add_note(note)

    def _close(self) -> None:
        self.stop_uploads()
        self._chunks.clear()
        self._jobs.close()
        if self._cleanup is not None:
            self._cleanup.close()

    def _cleaning(self) -> CancelToken:
        """The token for all that cleans up."""
        if self._cleanup is None:
            self._cleanup = self._api.token.for_cleanup()
        return self._cleanup

    def _conclude(self) -> None:
        machine = self._machine
        if machine.kind in (ChecksumKind.CONTENT, ChecksumKind.ARBITRARY):
            _kinds[self._api.url] = machine.kind
        interruption, error = self._interruption, self._interruption
        if machine.state is State.DELIVERED:
            self._result.doubted = in_doubt(machine, None)
        else:
            error = failure_of(machine)
        if error is None:
            return
        self._interruption = machine.error = machine.cancel_error = None
        machine.rejection = machine.submission_error = None
        if interruption not in (None, error) and not isinstance(interruption, Cancelled):
            for note in (str(error), *getattr(error, "__notes__", ())):
                interruption.add_note(note)
            error = interruption
        try:
            raise error
        finally:
            # An error in its own traceback's frame would keep all this alive.
            del error, interruption

    # The commands.

    def find(self, _: c.Find) -> Any:
        self._chunks = dict(enumerate(self._delivery.chunks(self._check), 1))
        job_id = "" if self._delivery.recorded is None else self._delivery.recorded.job_id
        return self._jobs.find(job_id, list(self._chunks.values()))

    def create(self, _: c.Create) -> Any:
        self._chunks.clear()
        return self._jobs.create()

    def record(self, command: c.Record) -> Any:
        machine, journal = self._machine, self._delivery.journal
        if journal is None:
            return None
        state: Any = command.state.value
        try:
            journal.record(state, machine.job_id, tuple(machine.jobs), machine.lost_creations)
        except UploadUncertain as error:  # the lease is lost
            return c.TakenOver(error)
        return None

    def take_next(self, _: c.Next) -> Any:
        if self._iterator is None:
            self._iterator = iter(self._delivery.chunks(self._check))
        try:
            chunk = next(self._iterator, None)
        except BodyRefuted as refuted:
            self._jobs.body = refuted.body
            return c.Refuted()
        if chunk is None:
            return c.ChunksEnded()
        self._taken += 1
        self._chunks[self._taken] = chunk
        self._result.add(chunk)
        return c.ChunkReady(self._taken)

    def _check(self) -> None:
        self._raise_if_interrupted()
        if self._uploads is not None and self._uploads.failure is not None:
            raise _UploadFailed

    def restart(self, _: c.Restart) -> None:
        _log.warning(
            "job %s is replaced by a new one: %s", self._result.job_id, self._machine.reason
        )
        self.stop_uploads()
        self._chunks.clear()
        self._taken = 0
        self._progress.restart()

    def send(self, command: c.Send) -> None:
        if self._uploads is None:
            token, destination = (
                CancelToken(parent=self._api.token),
                self._delivery.destination or self._jobs,
            )
            self._uploads = uploads = UploadPool(
                partial(destination.upload, token, self._machine.job_id),
                token,
                self._api.policy,
                size=self._delivery.workers,
                progress=self._progress,
                report=lambda event: self._events.put((uploads, event)),
            )
        chunk = self._chunks[command.number]
        self._uploads.send(command.number, chunk, deleted=chunk.deleted)

    def release(self, command: c.Release) -> None:
        chunk = self._chunks.pop(command.number)
        chunk.release()
        if command.confirmed:
            self._progress.sent(chunk.size)
        self._progress.chunk_done()

    def list_chunks(self, command: c.List) -> Any:
        machine = self._machine
        if command.delay:
            self._api.token.sleep(command.delay)
            self._raise_if_interrupted()
        if machine.state is not State.RECHECKING:
            return self._jobs.chunks(machine.job_id, doubted=machine.doubted)
        try:
            return self._jobs.chunks(machine.job_id, doubted=False, tries=2)
        except ApiError as error:
            _log_uncounted(machine.job_id, error)
            return c.Failed(error)

    def sleep(self, command: c.Sleep) -> Any:
        seconds = max(0.0, command.until - time.monotonic())
        if seconds >= ANNOUNCED_SECONDS:
            _log.info("waiting %.0f s: an earlier call may still take effect", seconds)
            self._progress.stage(f"waiting {seconds:.0f} s")
        self._api.token.sleep(seconds)
        self._raise_if_interrupted()
        return c.Woke()

    def reserve(self, _: c.Reserve) -> Any:
        return self._jobs.reserve()

    def submit(self, _: c.Submit) -> Any:
        return self._jobs.submit(self._machine.job_id)

    def read_state(self, command: c.ReadState) -> Any:
        self._api.token.sleep(command.delay)
        return self._jobs.state(self._machine.job_id)

    def stop_uploads(self, _: c.StopUploads | None = None) -> None:
        iterator, self._iterator = self._iterator, None
        if isinstance(iterator, Generator):
            iterator.close()  # ends the encoder's threads now, not when the error is deleted
        uploads, self._uploads = self._uploads, None
        if uploads is not None:
            uploads.close()

    def cancel(self, command: c.Cancel) -> Any:
        return self._jobs.cancel(self._cleaning(), command.job_id, may_run=self._machine.may_run)

    def sweep(self, command: c.Sweep) -> Any:
        token = self._api.token
        with contextlib.suppress(Cancelled):
            token.sleep(max(0.0, command.at - time.monotonic()))
        if token.abandoned:
            return c.Swept()
        return self._jobs.sweep(self._cleaning(), self._machine.job_id, command.others)


_CREATING = frozenset({State.FINDING, State.CREATING})
_UPLOADING = frozenset(
    {State.UPLOADING, State.RECONCILING, State.PROBING, State.SETTLING, State.COUNTING}
)
_STAGES = {State.UPLOADING: "uploading", State.QUEUEING: "submitting"}
_CLEANING = (c.Release, c.StopUploads, c.Cancel, c.Sweep)
"""What is done although the push was cancelled."""
_FUNCTIONS: dict[type, Callable[[_Shell, Any], Any]] = {
    c.Find: _Shell.find, c.Create: _Shell.create, c.Record: _Shell.record,
    c.Next: _Shell.take_next, c.Restart: _Shell.restart, c.Send: _Shell.send,
    c.Release: _Shell.release, c.List: _Shell.list_chunks, c.Sleep: _Shell.sleep,
    c.Reserve: _Shell.reserve, c.Submit: _Shell.submit, c.ReadState: _Shell.read_state,
    c.StopUploads: _Shell.stop_uploads, c.Cancel: _Shell.cancel, c.Sweep: _Shell.sweep,
}  # fmt: skip

_shells: weakref.WeakSet[_Shell] = weakref.WeakSet()


@atexit.register
def _cancel_at_exit() -> None:
    """Cancel the jobs of pushes in daemon threads, which end with the interpreter."""
    for shell in list(_shells):
        shell.cancel_at_exit()


def _log_uncounted(job_id: str, error: Exception) -> None:
    _log.warning("job %s: its chunks could not be counted again: %r", job_id, error)
