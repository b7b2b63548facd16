"""Execute a data job: the extractions and transformations that are set up in Celonis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from celonis_frames._api.data_models import EXECUTION_ENDED, EXECUTION_RUNS, DataJob
from celonis_frames._api.integration import IntegrationApi
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._html import report as html
from celonis_frames._http.retry import RetryPolicy
from celonis_frames._models.following import Following
from celonis_frames._models.status import NOT_BEGUN, RunStatus, start_status
from celonis_frames._models.steps import Run
from celonis_frames._tracebacks import short_tracebacks
from celonis_frames.exceptions import JobFailed, JobTimeout

_ONCE = RetryPolicy(max_tries=1)


@short_tracebacks
class DataJobStatus(RunStatus[DataJob]):
    """An execution of a data job. Returned by `Celonis.run_job`.

    Args:
        api: The API; None for a status that can only be read.
        job: The data job as it was before.
        pool_id: The pool's id.
        mode: ``"FULL"`` or ``"DELTA"``.
    """

    _ENDED = EXECUTION_ENDED
    _GOOD = frozenset({"SUCCESS"})

    def __init__(
        self, api: IntegrationApi | None, job: DataJob, *, pool_id: str, mode: str
    ) -> None:
        super().__init__(api, pool_id)
        self._job, self._mode = job, mode

    @property
    def job_id(self) -> str:
        """The data job's id."""
        return self._job.id

    @property
    def name(self) -> str:
        """The data job's name."""
        return self._job.name

    @property
    def mode(self) -> str:
        """``FULL`` or ``DELTA``."""
        return self._mode

    @property
    def execution_id(self) -> str | None:
        """Id of the execution; None if the server does not show it."""
        return None if self._shown is None else self._shown.execution_id

    @property
    def warnings(self) -> tuple[str, ...]:
        """What has to be known about how it was executed."""
        return self._noted

    def raise_for_status(self) -> None:
        """Raise if the execution failed.

        Raises:
            JobFailed: It ended in FAIL, CANCEL or SKIPPED.
        """
        if self.done and not self.ok:
            how = "was not executed" if self.state == NOT_BEGUN else f"ended in {self.state}"
            said = f": {self.message.strip().rstrip('.!')}" if self.message else ""
            raise JobFailed(
                f"Data job {self.name!r} {how}{said}. Its log is in Celonis, under Data Jobs of "
                "the Data Pool.",
                job_id=self.job_id,
                state=self.state,
            )

    def to_dict(self) -> dict[str, Any]:
        """All attributes, in types that JSON supports."""
        names = ("state", "ok", "done", "job_id", "name", "pool_id", "mode", "execution_id")
        return {
            **{name: getattr(self, name) for name in names},
            "message": self.message,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }

    def _headline(self) -> list[str]:
        return [f"data job {self.name} ({self.mode})"]

    def _title(self) -> tuple[str, str]:
        return "data job", self.name

    def _html_facts(self) -> dict[str, str | int | None]:
        return {"mode": self.mode}

    def _html_details(self) -> Sequence[str]:
        return (html.sentences([self.message] if self.message else ()),)

    def _ids(self) -> dict[str, str]:
        return {"data job": self.job_id, "execution": self.execution_id or "", "pool": self.pool_id}

    def _noun(self) -> str:
        return f"The execution of data job {self.name!r}"

    def _doubt(self) -> str:
        how = "was not executed" if self.state == NOT_BEGUN else "is not known to be executed"
        return f"Data job {self.name!r} {how}"

    def _unconnected(self) -> str:
        return "Look at the data job with celonis.data_jobs(pool)."

    def _timeout(self, following: Following[Any]) -> JobTimeout:
        self._take(following)
        if self.state == NOT_BEGUN:
            text = (
                f"Data job {self.name!r} was not executed: another execution of it was still in "
                "the way when timeout= passed. Give a longer timeout=."
            )
        else:
            state = "not shown yet" if self._shown is None else self.state
            text = (
                f"The execution of data job {self.name!r} was still {state} when timeout= passed. "
                "It goes on in Celonis: look at its state with celonis.data_jobs(pool) before you "
                "run it again."
            )
        return JobTimeout(text, job_id=self.job_id, outcome_known=self.state == NOT_BEGUN)


def begin_data_job(
    api: IntegrationApi,
    status: DataJobStatus,
    token: CancelToken,
    *,
    wait: bool,
    on_step: Callable[[str], None] = lambda _: None,
) -> None:
    """Execute the data job of a status, and wait for its end with `wait`.

    A job may not be meant to run twice: one whose call got no response, and that is not seen to
    have begun, is not begun again.

    Args:
        api: The calls.
        status: The status, which is updated.
        token: Ends all waits and calls.
        wait: Whether to wait for the end.
        on_step: Called with what is being done.

    Raises:
        JobTimeout: The token's deadline has passed.
        ApiError: A call failed.
    """
    pool_id, job_id, mode = status.pool_id, status.job_id, status.mode
    following: Following[DataJob] = Following(
        "data_job",
        status.name,
        lambda calls: calls.data_job(pool_id, job_id, policy=_ONCE),
        run_of,
        lambda calls: calls.start_data_job(pool_id, job_id, mode),
        timed_out=lambda: status._timeout(following),  # noqa: SLF001  # of this module
        doing="executing",
        advice="look at it in Celonis before you run it again.",
        repeatable=False,
        on_step=on_step,
    )
    start_status(status, api.within(token), following, wait=wait)


def run_of(job: DataJob) -> Run | None:
    """What identifies the last execution of a data job; None if it never ran."""
    if job.state == "NEW" and job.execution_id is None:
        return None
    running, ended = job.state in EXECUTION_RUNS, job.state in EXECUTION_ENDED
    return Run(job.execution_id, job.begin, running, ended)
