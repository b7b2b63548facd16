"""OpenTelemetry spans, made of the records of a call.

A call is a span, with a child for each stage and each job; retries, waits and warnings are events
of the call's span. Names and attributes follow OpenTelemetry's conventions for database clients
where there are any; the others begin with ``celonis.``.

opentelemetry is never imported here: a program that traces has imported it before it pushes.
"""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlsplit

from celonis_frames._version import __version__
from celonis_frames.events import (
    Began,
    Ended,
    Event,
    JobChanged,
    JobKind,
    Retrying,
    StageBegan,
    StageEnded,
    Waiting,
    Warned,
)

_JOBS: dict[JobKind, str] = {"push": "job", "load": "load", "data_job": "data job"}


def new_spans(above: Spans | None) -> Spans | None:
    """The spans of a call, if the program uses OpenTelemetry; `above` has those around them."""
    trace = sys.modules.get("opentelemetry.trace")
    context = sys.modules.get("opentelemetry.context")
    return None if trace is None or context is None else Spans(trace, context, above)


class Spans:
    """The spans of one call, from its first record to its last."""

    def __init__(self, trace: Any, context: Any, above: Spans | None) -> None:
        self._trace, self._context = trace, context
        self._around = context.get_current() if above is None else above.inside
        self._tracer = trace.get_tracer("celonis_frames", __version__)
        self._span: Any = None
        self._stage: Any = None
        self._jobs: dict[tuple[str, str, str | None], Any] = {}
        self.inside: Any = self._around
        """The context in which the call's span is the current one."""

    def enter(self) -> Any:
        """Make the call's span the current one in this thread; returns what `leave` needs."""
        return self._context.attach(self.inside)

    def leave(self, token: Any) -> None:
        """Make the span before it the current one again."""
        self._context.detach(token)

    def take(self, record: Event) -> None:
        """Begin, change or end spans, as the record says."""
        when = int(record.time.timestamp() * 1_000_000) * 1_000
        match record:
            case Began():
                self._begin(record, when)
            case StageBegan():
                self._stage = self._child(record.stage, when)
            case StageEnded():
                if self._stage is not None:  # a signal fell between its records
                    self._stage.end(when)
            case JobChanged():
                self._take_job(record, when)
            case Ended():
                self._end(record, when)
            case Retrying() | Waiting() | Warned():
                names = ("attempt", "seconds", "error", "status_code", "reason", "message")
                self._span.add_event(record.event, _attributes(record, *names), when)
            case _:
                pass

    def _begin(self, record: Began, when: int) -> None:
        where = urlsplit(record.url)
        self._span = self._tracer.start_span(
            record.operation if record.table is None else f"{record.operation} {record.table}",
            context=self._around,
            kind=self._trace.SpanKind.CLIENT,
            start_time=when,
            attributes=_known({
                "db.system.name": "celonis",
                "db.operation.name": record.operation,
                "db.collection.name": record.table,
                "server.address": where.hostname,
                "server.port": where.port,
            }) | _attributes(record, "call_id", "push_id"),
        )  # fmt: skip
        self.inside = self._trace.set_span_in_context(self._span, self._around)

    def _child(self, name: str, when: int) -> Any:
        return self._tracer.start_span(name, context=self.inside, start_time=when)

    def _take_job(self, record: JobChanged, when: int) -> None:
        key = record.job_kind, record.name, record.job_id
        if key not in self._jobs:
            self._jobs[key] = self._child(f"{_JOBS[record.job_kind]} {record.name}", when)
        job = self._jobs[key]
        job.set_attributes(_attributes(record, "job_id", "job_kind", "state"))
        job.add_event(record.state, None, when)
        if record.done:
            job.end(when)

    def _end(self, record: Ended, when: int) -> None:
        for job in self._jobs.values():
            if job.is_recording():
                job.end(when)
        span = self._span
        names = ("job_id", "state", "rows", "chunks", "bytes_sent", "request_id", "support_id")
        span.set_attributes(_known({"db.namespace": record.pool_id}) | _attributes(record, *names))
        if record.error is not None:
            span.set_attributes(_known({
                "error.type": record.error,
                "db.response.status_code": record.status_code and str(record.status_code),
            }))  # fmt: skip
            span.add_event(
                "exception",
                _known({"exception.type": record.error, "exception.message": record.message}),
                when,
            )
            span.set_status(self._trace.StatusCode.ERROR, record.message or record.error)
        span.end(when)


def _attributes(record: Event, *names: str) -> dict[str, Any]:
    """Some of a record's values, under names of this library."""
    return _known({f"celonis.{name}": getattr(record, name, None) for name in names})


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
