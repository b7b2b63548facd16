"""Events of the transport: one record for each exchange, without secrets; listeners do no harm."""

from __future__ import annotations

import dataclasses
import http.server
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celonis_frames._auth.oauth2 import OAuth2
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.file_body import MultipartFile
from celonis_frames._http.messages import CallEvent
from celonis_frames._http.transport import Transport
from celonis_frames.exceptions import ApiConnectionError, ApiError, ApiTimeoutError, NotFound
from unit.conftest import CANARY, Server

Open = Callable[..., Transport]
Handler = http.server.BaseHTTPRequestHandler


def _broken(handler: Handler) -> None:
    handler.close_connection = True


def _cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.close_connection = True


def test_a_success_is_reported(scripted: Server, open_transport: Open) -> None:
    """With its sizes and its job, and the path without the query."""
    events: list[CallEvent] = []
    scripted.say((201, {}, b'{"id": 1}'))
    open_transport(listeners=[events.append]).request(
        "POST", "/x", params={"name": CANARY}, json={"cell": CANARY}, job_id="j-1"
    )
    (event,) = events
    assert event.seconds >= 0
    assert dataclasses.replace(event, seconds=0.0) == CallEvent(
        method="POST", path="/x", status=201, error=None, seconds=0.0,
        bytes_sent=len(scripted.seen[0].body), bytes_received=9, job_id="j-1",
    )  # fmt: skip


def test_a_file_is_reported_with_its_size(scripted: Server, open_transport: Open) -> None:
    """The size is that of the whole body."""
    events: list[CallEvent] = []
    scripted.say((200, {}, b""))
    transport = open_transport()
    transport.listeners.append(events.append)  # also one that is added later
    transport.request("POST", "/x", body=MultipartFile(_Chunk()))
    assert [event.bytes_sent for event in events] == [len(scripted.seen[0].body)]


class _Chunk:
    name, size = "c.parquet", 3

    def blocks(self) -> Iterator[bytes]:
        yield b"abc"

    def release(self) -> None:
        """Nothing to free."""


class _Unreadable(_Chunk):
    def blocks(self) -> Iterator[bytes]:
        raise LookupError


def test_every_outcome_is_reported(scripted: Server, open_transport: Open) -> None:
    """A status, a broken connection, a cut response, a timeout, a chunk that cannot be read."""
    release = threading.Event()

    def silent(_: Handler) -> None:
        release.wait(5)

    for answer, options, raised, status, error in (
        ((404, {}, b"no"), {}, NotFound, 404, None),
        (_broken, {}, ApiConnectionError, None, "ApiConnectionError"),
        (_cut, {}, ApiConnectionError, 200, "ApiConnectionError"),
        (silent, {"read_timeout": 0.1}, ApiTimeoutError, None, "ApiTimeoutError"),
        ((200, {}, b""), {"body": MultipartFile(_Unreadable())}, LookupError, None, "LookupError"),
    ):
        events: list[CallEvent] = []
        scripted.answers = [answer]
        with pytest.raises(raised):
            open_transport(listeners=[events.append]).request("GET", "/x", **options)
        assert [(event.status, event.error) for event in events] == [(status, error)]
    release.set()


def test_an_interrupt_is_reported(scripted: Server, open_transport: Open) -> None:
    """Ctrl-C is reported and goes on; a call that another thread ends is a broken connection."""
    release = threading.Event()
    events: list[CallEvent] = []

    def interrupt(_: Handler) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        release.wait(5)

    def end(_: Handler) -> None:
        token.abort_calls()
        release.wait(5)

    token = CancelToken()
    scripted.answers = [interrupt, end]
    transport = open_transport(listeners=[events.append])
    with pytest.raises(KeyboardInterrupt):
        transport.request("GET", "/x")
    with pytest.raises(ApiConnectionError), token.calling():
        transport.request("GET", "/x")
    release.set()
    assert [(event.status, event.error) for event in events] == [
        (None, "KeyboardInterrupt"),
        (None, "ApiConnectionError"),
    ]


def test_no_event_holds_a_secret(
    scripted: Server, open_transport: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a key nor an OAuth client's secret or token, even of a server that echoes them."""
    caplog.set_level(logging.DEBUG, "celonis_frames")  # the HTTP library logs queries itself
    events: list[CallEvent] = []
    token = b'{"access_token": "%b", "expires_in": 900}' % CANARY.encode()
    for method in ("basic", "post"):
        scripted.answers = [(200, {}, token), (403, {"Location": CANARY}, CANARY.encode())]
        auth = OAuth2("client", CANARY, method=method)  # type: ignore[arg-type]
        with pytest.raises(ApiError):
            open_transport(auth=auth, listeners=[events.append]).request("GET", "/x")
    scripted.say((500, {}, CANARY.encode()))
    with pytest.raises(ApiError):
        open_transport(listeners=[events.append]).request("GET", "/x", params={"q": CANARY})
    assert [event.path for event in events] == ["/oauth2/token", "/x"] * 2 + ["/x"]
    assert [event.bytes_sent for event in events] == [0] * 5, "the form's size is the secret's"
    assert CANARY not in repr(events) + caplog.text


def test_a_listener_that_raises_changes_nothing(
    scripted: Server, open_transport: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """The call returns, the other listeners are called, and the log has it once."""
    events: list[CallEvent] = []

    def bad(_: Any) -> None:
        raise ValueError("listener")

    scripted.say([1])
    transport = open_transport(listeners=[bad, events.append])
    for _ in range(3):
        assert transport.request("GET", "/x").json() == [1]
    scripted.say((404, {}, b""))
    with pytest.raises(NotFound) as caught:
        transport.request("GET", "/x")
    assert caught.value.__context__ is None
    assert len(events) == 4
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "ValueError" in caplog.text
