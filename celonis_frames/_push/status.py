"""The status object: what a push answers, and what a job of a pool is shown as."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from celonis_frames._formatting import format_bytes
from celonis_frames._jobs.polling import ENDED, failure, wait_for
from celonis_frames.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from celonis_frames._api.client import DataPushApi
    from celonis_frames._api.models import Job, JobState

__all__ = ["PushStatus"]

_MARKS = {"DONE": "✓", "ERROR": "✗", "CANCELED": "✗"}


class PushStatus:
    """A data push job, and what was sent into it.

    Args:
        api: The calls; None for a status that can only be read.
        job: The job as last seen.
        rows: Rows sent; None when this status did not send them.
        chunks: Files sent.
        bytes_sent: Bytes sent, as files.
        warnings: What the user should know about the frame.
        timings: Seconds by stage; ``total`` is the whole.
    """

    def __init__(
        self,
        api: DataPushApi | None,
        job: Job,
        *,
        rows: int | None = None,
        chunks: int | None = None,
        bytes_sent: int | None = None,
        warnings: Iterable[str] = (),
        timings: Mapping[str, float] | None = None,
    ) -> None:
        self._api = api
        self._job = job
        self._rows = rows
        self._chunks = chunks
        self._bytes_sent = bytes_sent
        self._warnings = tuple(warnings)
        self._timings = dict(timings or {})

    @property
    def state(self) -> JobState:
        """``NEW``, ``QUEUED``, ``RUNNING``, ``DONE``, ``ERROR`` or ``CANCELED``, as last seen."""
        return self._job.state

    @property
    def ok(self) -> bool:
        """Whether the job ended well."""
        return self._job.state == "DONE"

    @property
    def done(self) -> bool:
        """Whether the job ended, well or not."""
        return self._job.state in ENDED

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self._job.id

    @property
    def pool_id(self) -> str:
        """The pool's id."""
        return self._job.pool_id

    @property
    def table(self) -> str:
        """The table's name."""
        return self._job.table

    @property
    def mode(self) -> str:
        """``DELTA`` or ``REPLACE``."""
        return self._job.mode

    @property
    def rows(self) -> int | None:
        """Rows sent; None when the job was not sent from here."""
        return self._rows

    @property
    def chunks(self) -> int | None:
        """Files sent; None when the job was not sent from here."""
        return self._chunks

    @property
    def bytes_sent(self) -> int | None:
        """Bytes of the files sent; None when the job was not sent from here."""
        return self._bytes_sent

    @property
    def logs(self) -> tuple[str, ...]:
        """The job's log lines, as the server wrote them."""
        return self._job.logs

    @property
    def warnings(self) -> tuple[str, ...]:
        """What there is to know about the frame that was sent."""
        return self._warnings

    @property
    def timings(self) -> dict[str, float]:
        """Seconds by stage."""
        return dict(self._timings)

    def refresh(self) -> PushStatus:
        """This status, brought up to date.

        Raises:
            ApiError: If the server cannot be asked.
            ConfigError: If the status has lost its connection, as after unpickling.
        """
        self._job = self._asked().job(self.pool_id, self.job_id)
        return self

    def wait(self, timeout: float | None = None) -> PushStatus:
        """This status, once the job has ended, well or not.

        Args:
            timeout: Seconds to wait; None waits as long as the job takes.

        Raises:
            JobTimeout: If the time is up; the job goes on at the server.
            ApiError: If the server cannot be asked.
            ConfigError: If the status has lost its connection, as after unpickling.
        """
        if not self.done:
            wait_for(self._asked(), self.pool_id, self.job_id, timeout=timeout, on_job=self.saw)
        return self

    def cancel(self) -> PushStatus:
        """This status, after the job was canceled.

        Raises:
            BadRequest: If the job has ended.
            ApiError: If the call fails.
            ConfigError: If the status has lost its connection, as after unpickling.
        """
        self._asked().cancel_job(self.pool_id, self.job_id)
        return self.refresh()

    def raise_for_status(self) -> None:
        """Do nothing unless the job failed.

        Raises:
            JobFailed: If the job ended in ERROR or CANCELED.
        """
        if self.done and not self.ok:
            raise failure(self._job)

    def to_dict(self) -> dict[str, Any]:
        """All of it, in types that JSON knows."""
        names = ("state", "ok", "done", "job_id", "pool_id", "table", "mode", "rows", "chunks")
        return {
            **{name: getattr(self, name) for name in names},
            "bytes_sent": self.bytes_sent,
            "logs": list(self.logs),
            "warnings": list(self.warnings),
            "timings": self.timings,
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_api": None}

    def __repr__(self) -> str:
        return f"<PushStatus {' · '.join([*self._facts(), f'job {self.job_id}'])}>"

    def _repr_html_(self) -> str:
        rows = [
            f"<b>{_MARKS.get(self.state, '…')} {html.escape(' · '.join(self._facts()))}</b>",
            f"<small>job <code>{html.escape(self.job_id)}</code> · "
            f"pool <code>{html.escape(self.pool_id)}</code></small>",
        ]
        rows += [f"⚠ {html.escape(warning)}" for warning in self.warnings]
        if self.logs and not self.ok:
            lines = html.escape("\n".join(self.logs[-20:]))
            rows.append(f"<pre style='white-space:pre-wrap;margin:0'>{lines}</pre>")
        # No colour of its own for text or ground: it takes the notebook's, dark or light.
        body = "".join(f"<div>{row}</div>" for row in rows)
        return (
            "<div style='border-left:3px solid currentColor;padding:.2em .8em;"
            f"color:inherit;background:transparent'>{body}</div>"
        )

    def _facts(self) -> list[str]:
        facts = [self.state, f"{self.table} ({self.mode})"]
        if self.rows is not None:
            facts.append(f"{self.rows:,} row{'' if self.rows == 1 else 's'}")
        if self.chunks is not None:
            facts.append(f"{self.chunks:,} chunk{'' if self.chunks == 1 else 's'}")
        if self.bytes_sent is not None:
            facts.append(format_bytes(self.bytes_sent))
        if self._timings:
            total = self._timings.get("total", sum(self._timings.values()))
            facts.append(f"{total:,.1f} s")
        return facts

    def saw(self, job: Job) -> None:
        """Take the job as it was seen elsewhere."""
        self._job = job

    def add_wait(self, seconds: float) -> None:
        """Count the time in which the job was followed elsewhere."""
        self._timings["wait"] = seconds
        self._timings["total"] = self._timings.get("total", 0.0) + seconds

    def add_warnings(self, warnings: Iterable[str]) -> None:
        """Add what was found out after the status was made."""
        self._warnings += tuple(warnings)

    def _asked(self) -> DataPushApi:
        if self._api is None:
            msg = (
                f"This status of job {self.job_id} has no connection any more. Get it anew: "
                f"celonis.job({self.pool_id!r}, {self.job_id!r})."
            )
            raise ConfigError(msg)
        return self._api
