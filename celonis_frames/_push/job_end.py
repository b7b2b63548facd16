"""What is checked once a job has ended for which its push did not wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import Job
from celonis_frames._jobs.delivery import DeliveryResult
from celonis_frames._jobs.shell import check_at_end
from celonis_frames._push.verification import NOT_WAITED, Verification


@dataclass(frozen=True)
class JobEnd:
    """What a push with ``wait=False`` has left to check."""

    delivered: DeliveryResult
    verification: Verification | None
    record: Callable[[str, str], None] | None = field(default=None, repr=False)
    """Records the job's id and state in the receipt of a push with an id."""

    def checked(self, api: DataPushApi, job: Job, warnings: tuple[str, ...]) -> tuple[str, ...]:
        """The warnings of the push, after the checks at the end of its job.

        Raises:
            UploadUncertain: The job holds more chunks than were sent.
            JobError: The table has more or fewer rows than possible.
        """
        check_at_end(api, job.pool_id, self.delivered, job.state)
        if self.record is not None:
            self.record(job.id, job.state)
        if self.verification is None or NOT_WAITED not in warnings:
            return warnings
        found = self.verification.within(api).check_after(job.id, job.state)
        return (*(one for one in warnings if one != NOT_WAITED), *found)
