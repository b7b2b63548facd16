"""The state of one delivery: plain data, and what the last list of chunks says about it."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

from celonis_frames._jobs import commands as c
from celonis_frames._jobs.commands import State, Verdict
from celonis_frames._jobs.reconcile import (
    ChecksumKind,
    Digests,
    Reconciled,
    kind_shown,
    reconcile,
    verify,
)

MAX_JOBS = 3
"""Jobs created for one push, before the push fails."""
LATE_SECONDS = 10.0
"""Seconds within which a call without a response takes effect, if ever."""
LAG_SECONDS = 5.0
"""Seconds after which a list shows what was stored."""
LOST_DELAYS = (0.5, 2.0)
"""Delays (s) between lists before an upload with an unknown outcome is treated as lost."""
SHORT_DELAYS = (0.5, 1.5, 4.0)
"""Delays (s) between lists that show too few chunks; their sum exceeds `LAG_SECONDS`."""
STATE_DELAYS = (0.5, 2.0, 8.0)
"""Delays (s) between reads of the state of a job whose submission had no response; their sum is
longer than `LATE_SECONDS`."""
RECOUNT_SECONDS = 1.0
"""Age of a count after which the chunks are counted again before the submission. A count is as old
as the call for it: its response may have waited for a process that was frozen."""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a later process needs to know.

    `jobs` were created and are not known to be cancelled; `lost_creations` had no response.
    """

    state: State
    job_id: str = ""
    jobs: tuple[str, ...] = ()
    lost_creations: int = 0


class DeliveryState:
    """The state of one delivery.

    Without jobs (objects in a bucket) chunks take effect one by one; `repeatable` says that an
    upload with an unknown outcome may then be repeated. `recorded` is what `resume` goes on from.

    Attributes:
        state: Where it stands.
        job_id: The current job; empty if there is none.
        jobs: Jobs that were created and are not known to be cancelled, the current one included.
        sent: Chunks sent into the current job.
        doubted: Whether the outcome of an upload into the current job was ever unknown.
        may_run: Whether the current job may have been submitted.
        kind: What is known about the server's checksums.
        error: Why the delivery failed, if a command did.
        verdict: Why the delivery failed otherwise.
        reason: What was ambiguous in the job that was replaced last.
        final_state: State in which the job ended that was cancelled last; empty if unknown.
        cancel_error: Why it is unknown.
    """

    def __init__(
        self,
        *,
        uploads: int,
        has_jobs: bool = True,
        repeatable: bool = False,
        kind: ChecksumKind = ChecksumKind.UNKNOWN,
        recorded: Recorded | None = None,
    ) -> None:
        self.uploads, self.has_jobs, self.repeatable = uploads, has_jobs, repeatable
        self.kind, self.recorded = kind, recorded
        self.state = State.CREATING if recorded is None else State.FINDING
        self.jobs: list[str] = [] if recorded is None else list(recorded.jobs)
        self.lost_creations = 0 if recorded is None else recorded.lost_creations
        self.sweep_at = 0.0  # time from which a job created without a response is in the list
        self.must_sweep = self.sweeping = self.swept = self.interrupted = False
        self.created = 0
        self.now = 0.0
        self.error: Any = None
        self.verdict: Verdict | None = None
        self.reason = ""
        self.begin("")

    def begin(self, job_id: str) -> None:
        """Forget what concerned the job before."""
        self.job_id = job_id
        self.sent = self.acknowledged = 0
        self.running: set[int] = set()
        self.waiting: deque[int] = deque()  # to be sent
        self.unknown: dict[int, Digests] = {}  # the outcome is unknown
        self.once_unknown: dict[int, Digests] = {}  # it was unknown once
        self.examples: dict[int, Digests] = {}  # now stored, and not released yet
        self.complete = self.asked = self.examine = False
        self.doubted = self.may_run = self.reserved = self.waited_for_lag = False
        self.settled_at = 0.0  # time from which the list shows everything
        self.listed_at = 0.0  # when the last count was asked for
        self.reads = 0  # lists or states read in a row
        self.stayed_new = self.refuted = self.submitted = False
        self.adopted = self.unverified = self.taken_over = False
        self.rejection: c.SubmissionRejected | None = None
        self.submission_error: Any = None
        self.final_state, self.cancel_error = "", None
        self._judged: tuple[Any, Reconciled] | None = None

    @property
    def record(self) -> Recorded:
        """What a later process needs to know now."""
        return Recorded(self.state, self.job_id, tuple(self.jobs), self.lost_creations)

    @property
    def only_chunk(self) -> bool:
        """Whether the job gets one chunk only: its count proves all."""
        return self.complete and self.sent == 1

    def reconciled(self, listed: c.Listed) -> Reconciled:
        """`reconcile` for a list of the current job."""
        if self._judged is None or self._judged[0] is not listed:
            known = (*self.unknown.values(), *self.examples.values())
            self.kind = kind_shown(self.kind, known, listed.checksums)
            short = len(listed.checksums) < self.acknowledged
            last = self.reads >= len(SHORT_DELAYS if short else LOST_DELAYS)
            self._judged = (
                listed,
                reconcile(self.acknowledged, self.unknown, listed.checksums, self.kind, last=last),
            )
        return self._judged[1]

    def verified(self, listed: c.Listed) -> Reconciled:
        """`verify` for a list of the current job."""
        if self._judged is None or self._judged[0] is not listed:
            self._judged = listed, verify(
                self.sent, listed.checksums, self.kind, doubted=self.doubted,
                last=self.reads >= len(SHORT_DELAYS),
            )  # fmt: skip
        return self._judged[1]
