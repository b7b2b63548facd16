"""Deliver chunks as one job, exactly once: the shell that carries the machine's commands out.

`celonis_frames._jobs.machine` decides what is to be done next; it does no I/O itself.

How it works:

* The calling thread runs a loop: it takes an event, gives it to the machine, and carries out the
  commands that it returns: those about chunks by `ChunkUploads`, those about jobs by
  `JobDestination`. The answer to a command is the next event.
* Uploads run in the threads of an `UploadPool`, which put their events into a queue. The loop waits
  for one when nothing else is to be done.
* Before each command the API's token is checked: if it is cancelled or has expired, the machine
  gets `Failed`, and cancels the job. In the main thread the caller puts a `DeferredSignals` block
  around it, so that no signal interrupts a step.
* Before each call that changes a job the journal is asked whether the push is still this process's:
  if another one has taken over its stage, the machine gets `TakenOver`, and touches nothing more.
* What cleans up has a token of its own. If a second signal abandons the push, nothing waits any
  more: a daemon thread, ``celonis-cancel``, tries to cancel the jobs.
* If the interpreter ends while a daemon thread delivers, `_cancel_at_exit` cancels its job.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency.cancellation import (
    CLEANUP_SECONDS,
    POLL_SECONDS,
    Cancelled,
    CancelToken,
)
from celonis_frames._jobs import commands as c
from celonis_frames._jobs.cancel import cancel
from celonis_frames._jobs.chunk_uploads import ChunkUploads, UploadFailed
from celonis_frames._jobs.commands import ENDS, State
from celonis_frames._jobs.delivery import (
    Delivery,
    DeliveryProgress,
    DeliveryResult,
    JobJournal,
    LeaseLost,
)
from celonis_frames._jobs.failures import failure_of, log_uncounted, surplus_error, why
from celonis_frames._jobs.guards import in_doubt
from celonis_frames._jobs.job_destination import CREATION_SECONDS, JobDestination
from celonis_frames._jobs.machine import DeliveryMachine
from celonis_frames._jobs.polling import ENDED
from celonis_frames._jobs.reconcile import ChecksumKind
from celonis_frames._jobs.timeouts import UPLOADING, explained, raise_if_interrupted
from celonis_frames._reporting.current import report_job, warn
from celonis_frames.exceptions import ApiError, CelonisFramesError, UploadUncertain

EXIT_SECONDS = 3.0
"""Seconds for a daemon thread to cancel its job when the interpreter ends."""

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
    if progress.bar is not None:
        progress.bar.expect(result, delivery.rows)
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
        count = len(api.checksums(pool_id, result.job_id, policy=policy))
    except (ApiError, Cancelled) as error:
        log_uncounted(result.job_id, error)
        return
    if count > result.chunks:
        raise surplus_error(result.job_id, result.chunks, state)


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
        if delivery.journal is not None:
            api = api.guarded(partial(_hold, delivery.journal))
        self._api, self._delivery = api, delivery
        self._result, self._progress, self._timings = result, progress, timings
        self._machine = DeliveryMachine(
            uploads=delivery.workers(),
            has_jobs=delivery.destination is None,
            repeatable=delivery.destination is not None and delivery.destination.repeatable,
            kind=_kinds.get(api.url, ChecksumKind.UNKNOWN),
            recorded=delivery.recorded,
        )
        jobs = self._jobs = JobDestination(api, delivery, self._machine)
        uploads = self._uploads = ChunkUploads(api, delivery, jobs, self._machine, result, progress)
        self._functions: dict[type, Callable[[Any], Any]] = {
            c.Find: uploads.find, c.Next: uploads.take_next, c.Send: uploads.send,
            _Wait: uploads.wait, c.Release: uploads.release, c.Restart: uploads.restart,
            c.StopUploads: uploads.stop,
            c.Create: jobs.create, c.Record: jobs.record, c.List: jobs.list_chunks,
            c.Sleep: jobs.sleep, c.Reserve: jobs.reserve, c.Submit: jobs.submit,
            c.ReadState: jobs.read_state, c.Cancel: jobs.cancel, c.Sweep: jobs.sweep,
        }  # fmt: skip
        self._interruption: BaseException | None = None  # raised while the push was ending
        self._pid = os.getpid()

    def run(self) -> None:
        """Deliver; errors as `deliver`."""
        machine, pending = self._machine, deque[Any]([c.Start()])
        try:
            while machine.state not in ENDS:
                event = pending.popleft() if pending else self._carry_out(_Wait())
                pending.extend(c.carry_out(self._handle(event), self._carry_out))
                event = None  # it may hold an error, and thereby the frames of all this
        except BaseException as error:
            self._abandon(error)
            raise
        finally:
            self._uploads.stop()
            self._uploads.chunks.clear()
            self._jobs.close()
        self._conclude()

    def cancel_jobs(self) -> list[str]:
        """Cancel all jobs but a submitted one; returns a note for each that may be left open.

        If another process has taken over the push, they are left to it.
        """
        machine = self._machine
        job_ids = [job for job in machine.jobs if not (machine.submitted and job == machine.job_id)]
        notes: list[str] = []
        with (
            CancelToken(deadline=time.monotonic() + CLEANUP_SECONDS) as token,
            contextlib.suppress(LeaseLost),
        ):
            for job_id in job_ids:
                try:
                    cancel(self._api.within(token), self._delivery.pool_id, job_id)
                except (CelonisFramesError, Cancelled) as error:
                    notes.append(f"Job {job_id} could not be cancelled ({why(error)}).")
                    warn("job %s could not be cancelled: %s", job_id, why(error))
            if machine.has_jobs:
                if machine.state is State.CREATING:
                    time.sleep(CREATION_SECONDS)  # one that is under way may take effect now
                self._jobs.cancel_left(token, machine.job_id if machine.submitted else "", ())
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

    def _handle(self, event: Any) -> list[Any]:
        machine, before = self._machine, self._machine.state
        commands = machine.handle(event, time.monotonic())
        if machine.job_id not in ("", self._result.job_id) and machine.verdict is None:
            self._result.begin(machine.job_id)
            state = "NEW"
            if isinstance(event, c.Found):
                state = _found_state(event, machine.job_id)
            else:
                self._uploads.chunks.clear()
            table = str(self._delivery.mark.get("targetName"))
            report_job("push", table, state, done=state in ENDED, job_id=machine.job_id)
            for chunk in self._uploads.chunks.values():  # an earlier process sent them
                self._result.add(chunk)
        self._result.submitted = machine.submitted
        if machine.state is not before and (stage := _STAGES.get(machine.state)):
            self._progress.stage(stage)
        return commands

    def _carry_out(self, command: Any) -> Any:
        """The event that answers the command, if it does so at once."""
        begin = time.monotonic()
        try:
            if not isinstance(command, c.CLEANING):
                raise_if_interrupted(self._api.token, self._machine)
            return self._functions[type(command)](command)
        except UploadFailed:
            return None
        except LeaseLost as lost:
            return c.TakenOver(lost.error)
        except CelonisFramesError as error:
            reason = explained(error, self._api.token, self._machine)
            return c.Failed(reason, unsent=isinstance(command, c.Record))
        except BaseException as error:
            return self._interrupted_by(error, command)
        finally:
            state = self._machine.state
            name = "create" if state in _CREATING else "upload" if state in UPLOADING else "execute"
            if isinstance(command, c.Sleep):
                name = "wait_for_earlier_calls"
            self._timings[name] = self._timings.get(name, 0.0) + time.monotonic() - begin

    def _interrupted_by(self, error: BaseException, command: Any) -> Any:
        """The event for a cancellation, or for an error that the caller's own code raised."""
        if not isinstance(error, Cancelled):
            if self._api.token.abandoned:
                raise error
            if not isinstance(error, Exception):
                self._api.token.cancel()  # the process ends: there is little time
        if isinstance(command, c.CLEANING):
            # The clean-up goes on, a cancellation once more; the error is raised at the end.
            first, self._interruption = self._interruption is None, error
            if isinstance(command, c.Cancel):
                return self._carry_out(command) if first else c.CancelFailed(error)
            return c.Swept() if isinstance(command, c.Sweep) else None
        return c.Failed(error, interrupted=True, unknown=isinstance(command, c.Create))

    def _abandon(self, error: BaseException) -> None:
        if self._api.token.abandoned:
            # Nobody waits for it: the process may end before.
            threading.Thread(target=self.cancel_jobs, name="celonis-cancel", daemon=True).start()
            return
        for note in self.cancel_jobs():
            error.add_note(note)

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


def _hold(journal: JobJournal) -> None:
    try:
        journal.hold()
    except UploadUncertain as error:
        raise LeaseLost(error) from None


def _found_state(found: c.Found, job_id: str) -> str:
    jobs = (found.recorded, *found.others)
    return next((job.state for job in jobs if job is not None and job.id == job_id), "NEW")


class _Wait:
    """The shell's own command: wait for the event of an upload."""


_CREATING = frozenset({State.FINDING, State.CREATING})
_STAGES: dict[State, Literal["uploading", "submitting"]] = {
    State.UPLOADING: "uploading",
    State.QUEUEING: "submitting",
}
_shells: weakref.WeakSet[_Shell] = weakref.WeakSet()


@atexit.register
def _cancel_at_exit() -> None:
    """Cancel the jobs of pushes in daemon threads, which end with the interpreter."""
    for shell in list(_shells):
        shell.cancel_at_exit()
