"""OpenTelemetry spans of a push, as a program's exporter gets them."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pytest
from failing_pushes import CANARY, FRAME, fails
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from celonis_frames import Celonis, exceptions


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What the program exports."""
    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield found
    provider.shutdown()


def _tree(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """The names of spans below the names of their parents, in the order in which they began."""

    def below(span_id: int | None) -> dict[str, Any]:
        children = [one for one in spans if (one.parent and one.parent.span_id) == span_id]
        children.sort(key=lambda one: one.start_time or 0)
        return {one.name: below(one.context.span_id) for one in children if one.context}

    return below(None)


def _check(spans: Sequence[ReadableSpan]) -> None:
    """All spans have ended, within their parents, and show no cell."""
    by_id = {one.context.span_id: one for one in spans if one.context}
    for one in spans:
        assert one.start_time is not None
        assert one.end_time is not None
        assert one.start_time <= one.end_time
        if one.parent and (parent := by_id.get(one.parent.span_id)):
            assert parent.start_time <= one.start_time  # type: ignore[operator]
            assert one.end_time <= parent.end_time  # type: ignore[operator]
        assert CANARY not in one.to_json()


def test_a_push_is_a_span_with_its_stages_and_its_job(
    own: Any, client: Celonis, exporter: InMemorySpanExporter
) -> None:
    """Below the program's own span; retries, waits and warnings are events of the push."""
    own.faults.answer("upload", 503, headers={"Retry-After": "1"})
    own.add_data_model("P", "Model", ["T"])
    double = pl.concat([FRAME, FRAME.head(1)])
    with trace.get_tracer("program").start_as_current_span("night run"):
        status = client.push(double, "P", "T", keys="K", push_id=None, reload="Model")
    spans = exporter.get_finished_spans()
    _check(spans)
    assert _tree(spans) == {
        "night run": {
            "push T": {
                "checking": {}, "job T": {}, "uploading": {}, "submitting": {}, "waiting": {},
                "loading": {}, "load Model": {},
            },
        },
    }  # fmt: skip
    [push] = [one for one in spans if one.name == "push T"]
    attributes = dict(push.attributes or {})
    assert len(attributes.pop("celonis.call_id")) == 16
    port = int(own.url.rpartition(":")[2])
    assert attributes == {
        "db.system.name": "celonis", "db.operation.name": "push", "db.collection.name": "T",
        "db.namespace": attributes["db.namespace"], "server.address": "127.0.0.1",
        "server.port": port, "celonis.job_id": status.job_id, "celonis.state": "DONE",
        "celonis.rows": 2_001, "celonis.chunks": status.chunks,
        "celonis.bytes_sent": status.bytes_sent,
    }  # fmt: skip
    assert push.kind is SpanKind.CLIENT
    assert push.status.status_code is StatusCode.UNSET
    assert [one.name for one in push.events] == ["retrying", "warned"]
    [job] = [one for one in spans if one.name == "job T"]
    assert job.attributes == {
        "celonis.job_id": status.job_id, "celonis.job_kind": "push", "celonis.state": "DONE",
    }  # fmt: skip
    states = [one.name for one in job.events]
    assert (states[0], states[-1]) == ("NEW", "DONE")
    scope = push.instrumentation_scope
    assert scope is not None
    assert scope.name == "celonis_frames"


@pytest.mark.parametrize("kind", ["job", "status", "frame", "own"])
def test_an_error_is_recorded(
    own: Any, client: Celonis, exporter: InMemorySpanExporter, kind: str
) -> None:
    """The push has the class of the error, and nothing that the server or the caller wrote."""
    frame = fails(own, kind)
    with pytest.raises(Exception, match=r".") as caught:
        client.push(frame, "P", "T", keys="K")
    spans = exporter.get_finished_spans()
    _check(spans)
    [push] = [one for one in spans if one.name == "push T"]
    name = type(caught.value).__name__
    assert push.attributes is not None
    assert push.attributes["error.type"] == name
    assert push.status.status_code is StatusCode.ERROR
    message = caught.value.message if kind == "frame" else name  # type: ignore[attr-defined]
    assert push.status.description == message
    assert push.events[-1].name == "exception"
    assert push.events[-1].attributes is not None
    assert push.events[-1].attributes["exception.type"] == name
    if kind == "status":
        assert push.attributes["db.response.status_code"] == "403"
        assert push.attributes["celonis.request_id"] == "r-1"
        assert push.attributes["celonis.support_id"] == "s-1"


def test_tables_of_push_many_are_below_it(
    own: Any, client: Celonis, exporter: InMemorySpanExporter
) -> None:
    """One span for the call, and one for each table."""
    own.add_pool("P")
    client.push_many({"A": FRAME, "B": FRAME}, "P")
    spans = exporter.get_finished_spans()
    _check(spans)
    tree = _tree(spans)
    assert set(tree) == {"push_many"}
    assert set(tree["push_many"]) == {"push A", "push B", "waiting"}
    assert set(tree["push_many"]["push A"]) == {
        "checking", "job A", "uploading", "submitting", "waiting",
    }  # fmt: skip


def test_spans_of_other_libraries_are_below_the_push(
    client: Celonis, exporter: InMemorySpanExporter
) -> None:
    """What instruments the HTTP library, or the caller's frames, sees the push as its parent."""
    tracer = trace.get_tracer("program")

    def frames() -> Iterator[pl.DataFrame]:
        with tracer.start_as_current_span("query"):
            yield FRAME

    def called(_: Any) -> None:
        tracer.start_span("request").end()

    client._transport.listeners.append(called)
    client.push(FRAME, "P", "T", upload={"chunk_bytes": 10_000})
    client._transport.listeners.clear()
    client.push(frames(), "P", "STREAM")
    spans = {one.name: one for one in exporter.get_finished_spans()}
    for name, push in (("request", "push T"), ("query", "push STREAM")):
        parents = {
            one.parent and one.parent.span_id
            for one in exporter.get_finished_spans()
            if one.name == name
        }
        assert parents == {spans[push].context and spans[push].context.span_id}


def test_an_exporter_that_raises_fails_no_push(
    client: Celonis, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning; the push has no more spans, and afterwards its span is not the current one."""

    class Broken(SimpleSpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise OSError(span.name)

    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(Broken(exporter))
    before = trace.get_current_span()
    with caplog.at_level(logging.WARNING, "celonis_frames"):
        assert client.push(FRAME, "P", "T").ok
    assert trace.get_current_span() is before
    assert [one.getMessage() for one in caplog.records] == [
        "a span failed with OSError: this call has no more spans"
    ]


def test_without_a_tracer_nothing_of_it_is_imported(own: Any) -> None:
    """It is installed here, and a push neither imports it nor makes spans."""
    code = (
        "import sys, pyarrow, celonis_frames\n"
        "from celonis_frames import ApiKey, Celonis\n"
        "with Celonis(sys.argv[1], auth=ApiKey(sys.argv[2])) as celonis:\n"
        "    celonis.push(pyarrow.table({'A': [1]}), 'P', 'T')\n"
        "print([name for name in sys.modules if 'opentelemetry' in name])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, own.url, own.token],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "[]\n"


def test_a_program_that_traces_nothing_gets_no_error(client: Celonis) -> None:
    """The API alone, without a provider, as an instrumented library imports it."""
    with pytest.raises(exceptions.NotFound):
        client.push(FRAME, "P", "T", connection="there is none")
    assert client.push(FRAME, "P", "T").ok
