"""The records of one call: made here, and given to whoever wants them.

How it works: a record gets its time and its place in the order under a lock; none follows the last
one. The function of ``on_event=`` has a thread of its own (`EventThread`), which gets the records
of all parts of a call. The spans are changed by the thread that reports, which holds no lock then.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from datetime import UTC, datetime
from typing import Any

from celonis_frames._reporting.event_thread import EventThread, OnEvent
from celonis_frames._reporting.spans import Spans, new_spans
from celonis_frames._version import __version__
from celonis_frames.events import (
    Began,
    ChunkSent,
    Ended,
    Event,
    JobChanged,
    JobKind,
    Operation,
    Retrying,
    Stage,
    StageBegan,
    StageEnded,
    Waiting,
    WaitReason,
    Warned,
)
from celonis_frames.exceptions import (
    ApiConnectionError,
    ApiError,
    ApiStatusError,
    ApiTimeoutError,
    ConfigError,
    FrameError,
)

_OWN_WORDS = (ConfigError, FrameError, ApiConnectionError, ApiTimeoutError)
"""Errors whose messages quote neither the server nor the caller's code."""

_log = logging.getLogger("celonis_frames")


class Recorder:
    """Makes the records of a call and passes them on. Threads may share it.

    Args:
        operation: The function that was called.
        table: Its table, or what else it is about.
        url: The base URL of the team.
        on_event: Called with each record; not used if there is a call `above`.
        push_id: The id that the caller gave.
        above: The records of the call of which this one is a part; they go the same way.

    Attributes:
        call_id: Tells the call from others.
        pool_id: The pool, once it is known.
        spans: The call's spans, if the program uses OpenTelemetry.
        thread: Calls the function of ``on_event=``, if there is one.
        lock: Held while a record is made; one for all parts of a call.
    """

    def __init__(
        self,
        operation: Operation,
        table: str | None,
        url: str,
        *,
        on_event: OnEvent | None,
        push_id: str | None,
        above: Recorder | None,
    ) -> None:
        self._operation, self._table, self._push_id = operation, table, push_id
        self.call_id = secrets.token_hex(8)
        self.pool_id: str | None = None
        self._job_id: str | None = None
        self._states: dict[tuple[JobKind, str, str | None], str] = {}
        self._begun, self._over = time.monotonic(), False
        self._stage: Stage | None = None
        self._stage_begun = 0.0
        self._parent_id = None if above is None else above.call_id
        if above is None:
            # Reentrant: what a signal's handler runs may report while its thread does.
            self.lock = threading.RLock()
            self.thread = None if on_event is None else EventThread(on_event)
        else:
            self.pool_id, self.lock, self.thread = above.pool_id, above.lock, above.thread
        self.spans: Spans | None = new_spans(None if above is None else above.spans)
        self._pass_on(self._made(Began, url=url, version=__version__))

    def enter(self) -> Any:
        """Make the call's span the current one in this thread; returns what `leave` needs."""
        spans = self.spans
        return None if spans is None else (spans, spans.enter())

    def leave(self, outer: Any) -> None:
        """Make the span before it the current one again."""
        if outer is not None:
            spans, token = outer  # not `self.spans`, which is None after a failure
            spans.leave(token)

    def stage(self, name: Stage) -> None:
        """A stage begins, unless it goes on; the one before it ends."""
        with self.lock:
            if name == self._stage:
                return
            records = self._end_stage()
            self._stage, self._stage_begun = name, time.monotonic()
            records += self._made(StageBegan, stage=name)
        self._pass_on(records)

    def chunk(self, number: int, rows: int, size: int) -> None:
        """A chunk is stored."""
        self._pass_on(self._made(ChunkSent, number=number, rows=rows, bytes=size))

    def job(
        self, kind: JobKind, name: str, state: str, *, done: bool, job_id: str | None = None
    ) -> None:
        """A job was seen in a state; `job_id` is that of the job of a push."""
        with self.lock:
            if job_id is not None and not done:
                self._job_id = job_id
            key = kind, name, job_id
            if self._states.get(key) == state:
                return
            self._states[key] = state
            records = self._made(
                JobChanged, job_id=job_id, job_kind=kind, name=name, state=state, done=done
            )
        self._pass_on(records)

    def retrying(self, error: ApiError, *, attempt: int, seconds: float) -> None:
        """A request is repeated after so many seconds."""
        status = error if isinstance(error, ApiStatusError) else None
        records = self._made(
            Retrying,
            attempt=attempt,
            seconds=seconds,
            method=error.method,
            url=error.url,
            error=type(error).__name__,
            status_code=status and status.status_code,
            request_id=status and status.request_id,
        )
        self._pass_on(records)

    def waiting(self, reason: WaitReason, seconds: float | None) -> None:
        """Nothing is sent for a while."""
        self._pass_on(self._made(Waiting, reason=reason, seconds=seconds))

    def warned(self, message: str) -> None:
        """A warning was logged."""
        self._pass_on(self._made(Warned, message=message))

    def end(self, result: Any, error: BaseException | None) -> None:
        """The call ends, with its result or with an error. Later records are dropped."""
        sent = result if hasattr(result, "bytes_sent") else None
        status = error if isinstance(error, ApiStatusError) else None
        with self.lock:
            records = self._end_stage() + self._made(
                Ended,
                job_id=sent and sent.job_id,
                ok=error is None,
                seconds=time.monotonic() - self._begun,
                state=getattr(result, "state", None) or self._last_state(),
                rows=sent and sent.rows,
                chunks=sent and sent.chunks,
                bytes_sent=sent and sent.bytes_sent,
                error=None if error is None else type(error).__name__,
                message=error.message if isinstance(error, _OWN_WORDS) else None,
                status_code=status and status.status_code,
                request_id=status and status.request_id,
                support_id=status and status.support_id,
            )
            self._over = True
        self._pass_on(records)
        if self.thread is not None and self._parent_id is None:
            self.thread.close()

    def _last_state(self) -> str | None:
        """The last state seen of what the call is about, not of a load after it."""
        kind = {"reload": "load", "run_job": "data_job"}.get(self._operation, "push")
        states = [state for (one, *_), state in self._states.items() if one == kind]
        return states[-1] if states else None

    def _end_stage(self) -> list[Event]:
        stage, self._stage = self._stage, None
        if stage is None:
            return []
        seconds = time.monotonic() - self._stage_begun
        return self._made(StageEnded, stage=stage, seconds=seconds)

    def _made(self, kind: type[Event], *, job_id: str | None = None, **values: Any) -> list[Event]:
        """A record, unless the call is over; the thread of ``on_event=`` has it by then."""
        with self.lock:
            if self._over:
                return []
            record = kind(
                time=datetime.now(UTC),
                monotonic=time.monotonic(),
                operation=self._operation,
                call_id=self.call_id,
                parent_id=self._parent_id,
                push_id=self._push_id,
                pool_id=self.pool_id,
                table=self._table,
                job_id=job_id or self._job_id,
                **values,
            )
            if self.thread is not None:
                self.thread.put(record)
        return [record]

    def _pass_on(self, records: list[Event]) -> None:
        """Let the spans take records; an exporter of the program's own may run then."""
        for record in records:
            if self.spans is not None:
                try:
                    self.spans.take(record)
                except Exception as error:
                    self.spans = None
                    _log.warning(
                        "a span failed with %s: this call has no more spans",
                        type(error).__name__,
                        exc_info=error,
                    )
