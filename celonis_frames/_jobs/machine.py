"""How one push is delivered, as a state machine without I/O.

`DeliveryMachine.handle` takes an event, such as the end of an upload, and returns commands, such as
to read the job's list of chunks. It has no thread, socket, clock or file: `shell` carries the
commands out, and a simulation does the same in virtual time.

`TABLE` has a row per transition; `guards` are its conditions; `actions`, and `finding` for what an
earlier process left, are what it does. An event takes the first row of its state and type whose
guard holds; then rows without an event are taken as long as the guard of one holds. What a later
process needs is recorded (`Record`) before the step that depends on it; `resume` begins in
`FINDING`.

The promises, and what they assume of the server:

* A job is submitted only if it holds every chunk exactly once, which `reconcile` defines.
* A call without a response takes effect within `LATE_SECONDS` or never, and a list shows it
  `LAG_SECONDS` later. So a job that was ever in doubt is counted after both have passed, and after
  `LAG_SECONDS` if a chunk in doubt was sent again, and once more after its submission.
* A job is replaced only once it is cancelled, or if it cannot have been submitted.
* When another process has taken over the push, its jobs are not touched any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from celonis_frames._jobs import actions as do
from celonis_frames._jobs import commands as c
from celonis_frames._jobs import finding as found
from celonis_frames._jobs import guards as when
from celonis_frames._jobs.actions import Action
from celonis_frames._jobs.commands import ENDS, State
from celonis_frames._jobs.delivery_state import DeliveryState

Guard = Callable[[DeliveryState, Any], bool]


class DeliveryMachine(DeliveryState):
    """A delivery that takes events."""

    def handle(self, event: Any, now: float) -> list[Any]:
        """The commands that follow from an event at a time (s), in order.

        Raises:
            ValueError: The event does not belong into this state.
        """
        self.now = now
        commands: list[Any] = []
        row = self._row(event, type(event))
        if row is None:
            if (self.state, type(event)) in IGNORED or self.state in ENDS:
                return commands
            msg = f"{event} in state {self.state}"
            raise ValueError(msg)
        while row is not None:
            self.state = row.next
            if row.action is not None:
                commands += row.action(self, event)
            row = self._row(event, None)
        return commands

    def _row(self, event: Any, kind: type | None) -> Row | None:
        for row in _ROWS.get((self.state, kind), ()):
            if row.guard is None or row.guard(self, event):
                return row
        return None


class Row(NamedTuple):
    """One transition. Without an event it is taken as soon as its guard holds."""

    state: State
    event: type | None
    guard: Guard | None
    action: Action | None
    next: State


S = State
HAVE_A_JOB = (
    S.UPLOADING, S.RECONCILING, S.PROBING, S.SETTLING, S.COUNTING, S.QUEUEING, S.SUBMITTING,
    S.CHECKING,
)  # fmt: skip
CANCEL_A_JOB = (S.REPLACING, S.FAILING, S.RETRACTING)
CHANGE_A_JOB = (
    S.CREATING, S.UPLOADING, S.RECONCILING, S.PROBING, S.SUBMITTING, *CANCEL_A_JOB, S.SWEEPING,
)  # fmt: skip
TABLE: tuple[Row, ...] = (
    # What an earlier process left. `Start` is the first event of every delivery.
    Row(S.FINDING, c.Start, None, found.find, S.FINDING),
    Row(S.FINDING, c.Woke, None, found.find_again, S.FINDING),
    Row(S.FINDING, c.Found, when.was_submitted, found.take_submitted, S.RECHECKING),
    Row(S.FINDING, c.Found, when.was_deleted, found.report_gone, S.SWEEPING),
    Row(S.FINDING, c.Found, when.match_was_submitted, found.take_match, S.RECHECKING),
    Row(S.FINDING, c.Found, when.match_is_unclear, found.report_match, S.SWEEPING),
    Row(S.FINDING, c.Found, when.may_be_used, do.sleep, S.FINDING),
    Row(S.FINDING, c.Found, when.was_filled, found.adopt, S.RECONCILING),
    Row(S.FINDING, c.Found, when.was_submitting, found.replace_found, S.REPLACING),
    Row(S.FINDING, c.Found, None, found.create_anew, S.CREATING),
    # The job is created. Without jobs the first chunk is taken at once.
    Row(S.CREATING, c.Start, when.has_jobs, do.create, S.CREATING),
    Row(S.CREATING, c.Start, None, None, S.UPLOADING),
    Row(S.CREATING, c.Created, None, do.begin_job, S.UPLOADING),
    Row(S.CREATING, c.CreationUnknown, None, do.create_again, S.CREATING),
    # The chunks are uploaded. After an unknown outcome the others end, and the list is read.
    Row(S.UPLOADING, c.ChunkReady, None, do.take_chunk, S.UPLOADING),
    Row(S.UPLOADING, c.ChunksEnded, None, do.end_chunks, S.UPLOADING),
    Row(S.UPLOADING, c.Uploaded, None, do.acknowledge, S.UPLOADING),
    Row(S.UPLOADING, c.UploadUnknown, when.has_no_list, do.report_unverified, S.FAILING),
    Row(S.UPLOADING, c.UploadUnknown, when.may_repeat, do.put_again, S.UPLOADING),
    Row(S.UPLOADING, c.UploadUnknown, None, do.doubt, S.UPLOADING),
    Row(S.UPLOADING, c.Refuted, None, do.abandon_refuted, S.REPLACING),
    Row(S.UPLOADING, None, when.can_list, do.list_chunks, S.RECONCILING),
    Row(S.UPLOADING, None, when.can_send, do.send, S.UPLOADING),
    Row(S.UPLOADING, None, when.wants_chunk, do.ask_chunk, S.UPLOADING),
    Row(S.UPLOADING, None, when.all_put, do.accept, S.SWEEPING),
    Row(S.UPLOADING, None, when.may_change, do.sleep, S.SETTLING),
    Row(S.UPLOADING, None, when.all_stored, do.list_chunks, S.COUNTING),
    # Which uploads without a response were stored?
    Row(S.RECONCILING, c.Listed, when.list_is_short, do.list_lost, S.RECONCILING),
    Row(S.RECONCILING, c.Listed, when.is_ambiguous, do.abandon, S.REPLACING),
    Row(S.RECONCILING, c.Listed, when.kind_is_missing, do.probe, S.PROBING),
    Row(S.RECONCILING, c.Listed, None, do.settle, S.UPLOADING),
    # Of which kind are the server's checksums?
    Row(S.PROBING, c.Uploaded, None, do.list_chunks, S.PROBING),
    Row(S.PROBING, c.UploadUnknown, None, do.list_chunks, S.PROBING),
    Row(S.PROBING, c.Listed, when.repeat_is_missing, do.list_short, S.PROBING),
    Row(S.PROBING, c.Listed, None, do.abandon_probe, S.REPLACING),
    # Does the job hold every chunk exactly once?
    Row(S.SETTLING, c.Woke, None, do.list_chunks, S.COUNTING),
    Row(S.COUNTING, c.Listed, when.count_is_short, do.list_short, S.COUNTING),
    Row(S.COUNTING, c.Listed, when.count_is_wrong, do.abandon_count, S.REPLACING),
    Row(S.COUNTING, c.Listed, when.has_equal_chunks, do.wait_for_lag, S.SETTLING),
    Row(S.COUNTING, c.Listed, when.has_slot, do.submit, S.SUBMITTING),
    Row(S.COUNTING, c.Listed, None, do.reserve, S.QUEUEING),
    Row(S.QUEUEING, c.SlotReserved, when.count_is_old, do.recount, S.COUNTING),
    Row(S.QUEUEING, c.SlotReserved, None, do.submit, S.SUBMITTING),
    # The job is submitted, once.
    Row(S.SUBMITTING, c.Submitted, when.in_doubt, do.recheck, S.RECHECKING),
    Row(S.SUBMITTING, c.Submitted, None, do.accept, S.SWEEPING),
    Row(S.SUBMITTING, c.NotSubmitted, None, do.reserve, S.QUEUEING),
    Row(S.SUBMITTING, c.SubmissionUnknown, None, do.read_state, S.CHECKING),
    Row(S.SUBMITTING, c.SubmissionRejected, None, do.read_state, S.CHECKING),
    Row(S.CHECKING, c.JobIs, when.left_new_in_doubt, do.recheck, S.RECHECKING),
    Row(S.CHECKING, c.JobIs, when.left_new, do.accept, S.SWEEPING),
    Row(S.CHECKING, c.JobIs, when.may_leave_new, do.read_state_again, S.CHECKING),
    Row(S.CHECKING, c.JobIs, when.stays_new, do.abandon_new, S.REPLACING),
    Row(S.CHECKING, c.JobIs, when.is_temporary, do.reserve, S.QUEUEING),
    Row(S.CHECKING, c.JobIs, None, do.fail_rejected, S.FAILING),
    # Was a chunk stored after the count?
    Row(S.RECHECKING, c.Listed, when.has_surplus, do.retract, S.RETRACTING),
    Row(S.RECHECKING, c.Listed, when.may_be_listed, do.list_short, S.RECHECKING),
    Row(S.RECHECKING, c.Listed, when.lacks_chunks, do.report_lacking, S.SWEEPING),
    Row(S.RECHECKING, c.Listed, None, do.accept, S.SWEEPING),
    Row(S.RECHECKING, c.Failed, None, do.accept, S.SWEEPING),
    Row(S.RETRACTING, c.JobCancelled, None, do.report_surplus, S.SWEEPING),
    Row(S.RETRACTING, c.CancelFailed, None, do.report_surplus, S.SWEEPING),
    # A new job takes the place of one that is cancelled.
    Row(S.REPLACING, c.JobCancelled, when.was_executed_as_wanted, do.recheck, S.RECHECKING),
    Row(S.REPLACING, c.JobCancelled, when.last_was_cancelled, do.end_replacing, S.SWEEPING),
    Row(S.REPLACING, c.JobCancelled, when.was_cancelled, do.restart, S.CREATING),
    Row(S.REPLACING, c.JobCancelled, None, do.report_maybe_executed, S.SWEEPING),
    Row(S.REPLACING, c.CancelFailed, when.may_run, do.report_maybe_executed, S.SWEEPING),
    Row(S.REPLACING, c.CancelFailed, when.no_jobs_left, do.end_replacing, S.SWEEPING),
    Row(S.REPLACING, c.CancelFailed, None, do.restart, S.CREATING),
    # An error ends the push, unless the job turns out to be executed.
    Row(S.FAILING, c.JobCancelled, when.was_executed_in_doubt, do.recheck, S.RECHECKING),
    Row(S.FAILING, c.JobCancelled, when.was_executed, do.accept, S.SWEEPING),
    Row(S.FAILING, c.JobCancelled, None, do.note_cancelled, S.SWEEPING),
    Row(S.FAILING, c.CancelFailed, None, do.note_cancel_failed, S.SWEEPING),
    Row(S.FAILING, None, when.has_no_job, None, S.SWEEPING),
    # Jobs that were created without a response are cancelled.
    Row(S.SWEEPING, None, when.is_delivered, None, S.DELIVERED),
    Row(S.SWEEPING, None, when.nothing_to_sweep, None, S.FAILED),
    Row(S.SWEEPING, None, when.not_sweeping, do.sweep, S.SWEEPING),
    Row(S.SWEEPING, c.Swept, None, do.end_sweep, S.SWEEPING),
    Row(S.SWEEPING, c.Failed, None, do.end_sweep, S.SWEEPING),
    # A command that failed for good.
    Row(S.CREATING, c.Failed, None, do.fail_without_job, S.SWEEPING),
    Row(S.FINDING, c.Failed, None, do.fail_without_job, S.FAILED),
    *(Row(state, c.Failed, None, do.fail, S.FAILING) for state in HAVE_A_JOB),
    *(Row(state, c.Failed, None, do.fail_cancelling, S.SWEEPING) for state in CANCEL_A_JOB),
    # Another process goes on with the push.
    *(Row(state, c.TakenOver, None, do.end_taken_over, S.FAILED) for state in CHANGE_A_JOB),
)

IGNORED = frozenset(
    (state, event)
    for state in (S.REPLACING, S.FAILING, S.SWEEPING, S.CREATING)
    for event in (c.Uploaded, c.UploadUnknown)
)
"""What uploads may still report after they were told to end."""

_ROWS: dict[tuple[State, type | None], list[Row]] = {}
for _row in TABLE:
    _ROWS.setdefault((_row.state, _row.event), []).append(_row)
