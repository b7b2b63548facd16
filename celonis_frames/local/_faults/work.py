"""Faults of what the server does after a call: push jobs, objects, loads and data jobs."""

from __future__ import annotations

from celonis_frames.local._faults.checks import check_count, check_seconds
from celonis_frames.local._faults.schedule import Failure, FaultSchedule, Pace, Work


class WorkFaults:
    """The methods of `Faults` for the work of the server's threads.

    Args:
        schedule: Where the threads read what is due.
    """

    def __init__(self, schedule: FaultSchedule) -> None:
        self._schedule = schedule

    def slow_jobs(self, *, queued: float = 0.0, running: float = 0.0) -> None:
        """Keep each job in QUEUED and in RUNNING for this many seconds."""
        self._schedule.set_pace("job", _pace(queued, running))

    def fail_jobs(self, message: str, *, times: int = 1) -> None:
        """Let the next jobs end in ERROR with this message in the log."""
        self._fail("job", Failure(message), times)

    def fail_objects(self, message: str, *, times: int = 1) -> None:
        """Let the next objects that are ingested fail, with this reason."""
        self._fail("object", Failure(message), times)

    def slow_loads(self, seconds: float) -> None:
        """Keep each load of a data model in RUNNING for this many seconds."""
        check_seconds("seconds", seconds)
        self._schedule.set_pace("load", Pace(running=seconds))

    def fail_loads(self, message: str, *, table: str | None = None, times: int = 1) -> None:
        """Let the next loads end in ERROR with this message; their data models are unchanged.

        Args:
            message: The message.
            table: The table that has the message; None: only the load has it.
            times: Number of loads.
        """
        self._fail("load", Failure(message, table), times)

    def warn_loads(self, message: str, *, table: str | None = None, times: int = 1) -> None:
        """Let the next loads end in WARNING with this message.

        Args:
            message: The message.
            table: A table that has the message and is not loaded; None: all tables are loaded.
            times: Number of loads.
        """
        self._fail("load", Failure(message, table, warning=True), times)

    def busy_models(self, seconds: float, *, times: int = 1) -> None:
        """Let the next calls that load a data model find that another load has just started.

        They get 409. The other load loads all tables.

        Args:
            seconds: Seconds that the other load takes.
            times: Number of calls.
        """
        self._busy("load", seconds, times)

    def slow_data_jobs(self, *, queued: float = 0.0, running: float = 0.0) -> None:
        """Keep each data job in QUEUED and in RUNNING for this many seconds."""
        self._schedule.set_pace("data_job", _pace(queued, running))

    def fail_data_jobs(self, message: str, *, times: int = 1) -> None:
        """Let the next data jobs end in FAIL with this message; no statement is executed."""
        self._fail("data_job", Failure(message), times)

    def busy_data_jobs(self, seconds: float, *, times: int = 1) -> None:
        """Let the next calls that execute a data job find that someone else has just done so.

        They get 409. The other execution executes the statements.

        Args:
            seconds: Seconds that the other execution takes.
            times: Number of calls.
        """
        self._busy("data_job", seconds, times)

    def _fail(self, work: Work, failure: Failure, times: int) -> None:
        check_count("times", times)
        self._schedule.add_failures(work, failure, times)

    def _busy(self, work: Work, seconds: float, times: int) -> None:
        check_seconds("seconds", seconds)
        check_count("times", times)
        self._schedule.add_others(work, seconds, times)


def _pace(queued: float, running: float) -> Pace:
    check_seconds("queued", queued)
    check_seconds("running", running)
    return Pace(queued, running)
