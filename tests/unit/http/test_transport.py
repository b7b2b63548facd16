"""The transport: requests, error responses, timeouts, proxies, TLS."""

from __future__ import annotations

import gzip
import http.server
import json
import logging
import multiprocessing
import os
import signal
import socket
import struct
import threading
import time
import traceback
import tracemalloc
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from celonis_frames._auth.keys import AppKey
from celonis_frames._http.responses import MAX_RESPONSE_BYTES
from celonis_frames._http.session import informational_statuses
from celonis_frames._http.transport import Timeouts, Transport
from celonis_frames.exceptions import (
    ApiConnectionError,
    ApiError,
    ApiStatusError,
    ApiTimeoutError,
    AuthenticationError,
    BadRequest,
    ConfigError,
    Conflict,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
)
from unit.conftest import CANARY, Server

Open = Callable[..., Transport]
Handler = http.server.BaseHTTPRequestHandler


def fails(transport: Transport, **options: Any) -> ApiError:
    """The error of a request, which shows its key nowhere."""
    with pytest.raises(ApiError) as caught:
        transport.request("GET", "/x", **options)
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error)
    assert CANARY not in shown
    below: BaseException | None = error
    while below is not None:
        assert not hasattr(below, "request"), "a foreign error carries the request and its key"
        below = below.__cause__ or below.__context__
    assert error.method == "GET"
    assert error.url.endswith("/x")
    return error


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (400, BadRequest, "rejected"),
        (401, AuthenticationError, "ApiKey"),
        (403, PermissionDenied, "Data Push API"),
        (404, NotFound, "Check the id"),
        (409, Conflict, "again"),
        (413, ApiStatusError, "chunk_bytes"),
        (418, ApiStatusError, "418"),
        (429, RateLimited, "250"),
        (500, ServerError, "later"),
        (502, ServerError, "gateway"),
    ],
)
def test_every_error_status_has_its_class_and_says_what_to_do(
    scripted: Server,
    open_transport: Open,
    status: int,
    kind: type[ApiStatusError],
    word: str,
) -> None:
    """The status decides; an empty or unreadable body changes nothing."""
    for content in (b"", b"\xff\xfe{", b'{"a":'):
        scripted.say((status, {}, content))
        error = fails(open_transport())
        assert type(error) is kind
        assert isinstance(error, ApiStatusError)
        assert error.status_code == status
        assert word in error.message


def test_a_401_names_the_kind_that_was_sent(scripted: Server, open_transport: Open) -> None:
    """The two kinds of keys look alike, so the message names the one that was used."""
    scripted.say((401, {}, b""))
    assert "AppKey" in fails(open_transport(auth=AppKey(CANARY))).message
    assert "CELONIS_KEY_TYPE" in fails(open_transport()).message


def test_the_servers_message_is_quoted(scripted: Server, open_transport: Open) -> None:
    """Both known shapes of errors are read, with codes and reference."""
    errors = [{"attribute": "targetName", "error": "no", "errorCode": "SPECIAL_CHAR"}]
    scripted.say({"errors": errors}, status=400)
    error = fails(open_transport())
    assert isinstance(error, BadRequest)
    assert error.error_codes == ("SPECIAL_CHAR",)
    assert "targetName" in error.message
    scripted.say({"reference": "ref-7", "message": "boom", "shortMessage": "b"}, status=500)
    assert "ref-7" in fails(open_transport()).message


@pytest.mark.parametrize(
    "content",
    [b'{"errors":[1,null,"x"]}', b'{"errors":"x"}', b"[]", b"null", b"7", b"[" * 5000],
)
def test_odd_errors_are_still_errors(
    scripted: Server, open_transport: Open, content: bytes
) -> None:
    """An error body of an unknown shape never hides the status."""
    scripted.say((400, {}, content))
    assert isinstance(fails(open_transport()), BadRequest)


def test_server_text_is_short_and_plain(scripted: Server, open_transport: Open) -> None:
    """At most 500 characters, no control characters, and no key sent back."""
    scripted.say((500, {}, f"\x1b[31m{CANARY}\r\n{'x' * 5000}".encode()))
    error = fails(open_transport())
    assert isinstance(error, ServerError)
    assert len(error.body) <= 500
    assert error.body.isprintable()


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "in an hour"}, 3300, 3601),
        ({"Retry-After": "soon", "x-ratelimit-reset": "3"}, 3, 3),
        ({"Retry-After": "-5"}, 0, 0),
    ],
)
def test_retry_after(
    scripted: Server, open_transport: Open, headers: dict[str, str], low: float, high: float
) -> None:
    """Retry-After in seconds or as a date, else x-ratelimit-reset."""
    dates = {"in an hour": formatdate(time.time() + 3600, usegmt=True)}
    headers = {name: dates.get(value, value) for name, value in headers.items()}
    scripted.say((429, headers, b""))
    error = fails(open_transport())
    assert isinstance(error, RateLimited)
    assert error.retry_after is not None
    assert low <= error.retry_after <= high


@pytest.mark.parametrize("value", ["", "nan", "inf", "x", "9" * 400])
def test_an_unreadable_retry_after_is_none(
    scripted: Server, open_transport: Open, value: str
) -> None:
    """A value that is not a number of seconds or a date is ignored."""
    scripted.say((429, {"Retry-After": value}, b""))
    error = fails(open_transport())
    assert isinstance(error, RateLimited)
    assert error.retry_after is None


def test_redirects_are_not_followed(scripted: Server, open_transport: Open) -> None:
    """The key goes to no other host; only that host is named."""
    scripted.say((302, {"Location": "https://evil.example/login?secret=1"}, b""))
    error = fails(open_transport())
    assert "evil.example" in error.message
    assert "secret" not in error.message
    assert len(scripted.seen) == 1


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """100 MB of zeros, compressed."""
    return gzip.compress(bytes(100_000_000))


@pytest.mark.parametrize("location", ["http://[::1", "//", "\\", "http://x:port/", "é", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_costs_nothing(
    scripted: Server, open_transport: Open, bomb: bytes, location: str, method: str
) -> None:
    """A Location that cannot be parsed is no foreign error, and the body is not read whole."""
    scripted.say((302, {"Location": location, "Content-Encoding": "gzip"}, bomb))
    transport = open_transport()
    tracemalloc.start()
    try:
        with pytest.raises(ApiStatusError, match="a redirect to"):
            transport.request(method, "/x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200_000_000  # 1,285 MB if the library looks for the next request


@pytest.mark.parametrize("content", [b"<html>Login</html>", b'{"a": [', b"\xff", b"[" * 100_000])
def test_success_that_is_not_json(scripted: Server, open_transport: Open, content: bytes) -> None:
    """An unreadable success is an ApiStatusError that quotes a short start."""
    scripted.say((200, {}, content))
    with pytest.raises(ApiStatusError) as caught:
        open_transport().request("GET", "/x").json()
    assert len(caught.value.body) <= 200
    assert caught.value.__context__ is None


def test_a_login_page_is_not_a_success(scripted: Server, open_transport: Open) -> None:
    """Also if no content is expected: 200 and HTML is not a stored chunk."""
    scripted.say((200, {"Content-Type": "text/html; charset=utf-8"}, b"hello"))
    with pytest.raises(ApiStatusError, match="web page"):
        open_transport().request("POST", "/x")


def test_responses_are_bounded(
    scripted: Server, open_transport: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endless response does not fill the memory."""
    assert MAX_RESPONSE_BYTES < 2**27
    monkeypatch.setattr("celonis_frames._http.responses.MAX_RESPONSE_BYTES", 1000)
    scripted.say((200, {}, b"x" * 200_000))
    with pytest.raises(ApiStatusError, match="longer"):
        open_transport().request("GET", "/x")


def _reset(handler: Handler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def _half(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.close_connection = True


def _nonsense(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    handler.close_connection = True


@pytest.mark.parametrize("response", [_reset, _half, _nonsense])
def test_a_broken_connection(
    scripted: Server, open_transport: Open, response: Callable[[Handler], None]
) -> None:
    """A reset, a cut response and another protocol are ApiConnectionErrors."""
    scripted.answers = [response]
    error = fails(open_transport())
    assert type(error) is ApiConnectionError
    assert error.reason == "broken"


def test_no_server(open_transport: Open, free_port: int) -> None:
    """A refused connection says so."""
    error = fails(open_transport(f"http://127.0.0.1:{free_port}"))
    assert type(error) is ApiConnectionError
    assert "refused" in error.message
    assert error.reason == "refused"


def test_no_such_host(open_transport: Open) -> None:
    """A name that the name server does not know says so."""
    error = fails(open_transport("https://no-such-team.invalid"))
    assert type(error) is ApiConnectionError
    assert error.reason == "dns"


def test_a_slow_response(scripted: Server, open_transport: Open) -> None:
    """Silence is an ApiTimeoutError, before the response and in the middle of it."""
    release = threading.Event()

    def silent(_: Handler) -> None:
        release.wait(5)

    def stuck(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        release.wait(5)

    for response in (silent, stuck):
        scripted.answers = [response]
        error = fails(open_transport(), read_timeout=0.2)
        assert type(error) is ApiTimeoutError
        assert "0.2 s" in error.message
        assert error.reason == "timeout"
    release.set()


def test_tls_that_is_none(scripted: Server, open_transport: Open) -> None:
    """A plain server behind https is a connection error with advice."""
    error = fails(open_transport(scripted.url.replace("http:", "https:")))
    assert type(error) is ApiConnectionError
    assert "secure" in error.message
    assert error.reason == "tls"


def test_the_server_can_be_reached_without_a_key(scripted: Server, open_transport: Open) -> None:
    """Whatever it responds, with the time of its clock; no header has the key."""
    scripted.answers = [(401, {"X": "y"}, b"no")]
    response = open_transport().reach("/pools")
    assert (response.status, response.content) == (401, b"no")
    assert response.headers["Date"].endswith("GMT")
    assert "authorization" not in scripted.seen[0].headers
    assert CANARY not in str(scripted.seen)


def test_what_is_sent(scripted: Server, open_transport: Open, caplog: Any) -> None:
    """The key in its header, a User-Agent, JSON; the log has neither headers nor bodies."""
    caplog.set_level(logging.DEBUG)
    scripted.say({"ok": 1})
    open_transport().request("POST", "/p", params={"q": "a b&c"}, json={"cell": "value-1"})
    (seen,) = scripted.seen
    assert seen.headers["authorization"] == f"Bearer {CANARY}"
    assert seen.headers["user-agent"].startswith("celonis-frames/")
    assert seen.path == "/p?q=a+b%26c"
    assert json.loads(seen.body) == {"cell": "value-1"}
    assert "POST /p" in caplog.text
    assert CANARY not in caplog.text
    assert "value-1" not in caplog.text


def test_netrc_and_proxies_do_not_touch_this_machine(
    scripted: Server,
    open_transport: Open,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    free_port: int,
) -> None:
    """``.netrc`` never replaces the key, and no proxy is used for a loopback host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\ndefault login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
    open_transport().request("GET", "/x")
    assert scripted.seen[0].headers["authorization"] == f"Bearer {CANARY}"


def test_proxies_come_from_the_environment(
    scripted: Server, open_transport: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTPS to other hosts opens a tunnel through the proxy, and the proxy never sees the key."""
    connects: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def proxy() -> None:
        peer, _ = listener.accept()
        with peer:
            connects.append(peer.recv(65536).decode())
            peer.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=proxy)
    thread.start()
    port = listener.getsockname()[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:proxy-pass@127.0.0.1:{port}")
    error = fails(open_transport("https://team.eu-1.celonis.cloud"))
    thread.join(5)
    listener.close()
    assert "proxy" in error.message
    assert "proxy-pass" not in "".join(traceback.format_exception(error))
    assert connects[0].startswith("CONNECT team.eu-1.celonis.cloud:443")
    assert CANARY not in connects[0]
    assert not scripted.seen


def test_cookies_are_not_kept(scripted: Server, open_transport: Open) -> None:
    """No request sends a cookie of an earlier response."""
    scripted.say((200, {"Set-Cookie": "a=b; Path=/"}, b"[]"))
    transport = open_transport()
    transport.request("GET", "/x")
    transport.request("GET", "/x")
    assert "cookie" not in scripted.seen[1].headers


@pytest.mark.parametrize("verify", [False, None, 0, "no-such-file.pem"])
def test_certificates_are_always_checked(open_transport: Open, verify: Any) -> None:
    """There is no switch to trust everyone, and a CA file must exist."""
    with pytest.raises(ConfigError):
        open_transport(verify=verify)


@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "5", None])
def test_timeouts_are_numbers_above_zero(value: Any) -> None:
    """Nothing waits for ever."""
    with pytest.raises(ConfigError):
        Timeouts(read=value)


def test_a_closed_transport_says_so(scripted: Server, open_transport: Open) -> None:
    """After close() a call is a ConfigError, and nothing is sent."""
    transport = open_transport()
    transport.close()
    transport.close()
    with pytest.raises(ConfigError, match="closed"):
        transport.request("GET", "/x")
    assert not scripted.seen


def test_what_is_no_json_is_not_sent(scripted: Server, open_transport: Open) -> None:
    """NaN and foreign objects are ConfigErrors before the first byte."""
    for value in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises(ConfigError, match="job_options"):
            open_transport().request("POST", "/x", json=value)
    assert not scripted.seen


def test_threads_share_a_transport(scripted: Server, open_transport: Open) -> None:
    """Many threads, one transport: each gets the response to its own request."""

    def echo(handler: Handler) -> None:
        content = json.dumps(handler.path).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    scripted.answers = [echo]
    transport = open_transport()
    wrong: list[str] = []

    def call(number: int) -> None:
        for turn in range(10):
            path = f"/{number}/{turn}"
            if transport.request("GET", path).json() != path:
                wrong.append(path)

    threads = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(scripted.seen) == 80


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(scripted: Server, open_transport: Open) -> None:
    """Parent and child never use the same socket."""
    transport = open_transport()
    transport.request("GET", "/parent")
    transport._lock.acquire()  # as if another thread held it at the moment of the fork
    context = multiprocessing.get_context("fork")
    child = context.Process(target=transport.request, args=("GET", "/child"))
    child.start()
    transport._lock.release()
    child.join(5)
    assert child.exitcode == 0
    assert [seen.path for seen in scripted.seen] == ["/parent", "/child"]


def _informational(*statuses: int) -> Any:
    """An answer that begins with informational responses, then says which request it was for."""

    def answer(handler: Any) -> None:
        for status in statuses:
            handler.wfile.write(b"HTTP/1.1 %d Wait\r\nX-Hint: 1\r\n\r\n" % status)
            handler.wfile.flush()
        time.sleep(0.05)
        content = json.dumps({"path": handler.path}).encode()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
        handler.wfile.write(content)

    return answer


@pytest.mark.parametrize("statuses", [(100,), (102,), (103, 103), (100, 102, 103, 199)])
def test_informational_responses_are_skipped(
    scripted: Server, open_transport: Open, statuses: tuple[int, ...]
) -> None:
    """Each call gets its own response, and the connection that saw one is not used again."""
    transport = open_transport()
    scripted.say(_informational(*statuses), _informational(), _informational(*statuses))
    seen_in: list[list[int]] = []
    for path in ("/one", "/two", "/three"):
        with informational_statuses() as seen:
            assert transport.request("GET", path).json() == {"path": path}
        seen_in.append(seen)
    assert seen_in == [list(statuses), [], list(statuses)]
    ports = [request.port for request in scripted.seen]
    assert ports[0] != ports[1]
    assert ports[1] == ports[2]


@pytest.mark.parametrize("statuses", [(101,), (102,) * 30])
def test_an_unexpected_switch_or_endless_informational_responses_are_an_error(
    scripted: Server, open_transport: Open, statuses: tuple[int, ...]
) -> None:
    """The outcome of such a call is unknown, and the next call has a connection of its own."""
    transport = open_transport()
    scripted.say(_informational(*statuses), _informational())
    error = fails(transport)
    assert isinstance(error, ApiConnectionError)
    assert error.sent
    assert transport.request("GET", "/next").json() == {"path": "/next"}


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError, KeyboardInterrupt])
def test_whatever_is_raised_within_a_call_shows_no_key(
    scripted: Server, open_transport: Open, kind: type[BaseException]
) -> None:
    """A signal handler may raise anything, as one with a time limit does: no frame has the key."""

    def late(*_: object) -> None:
        raise kind

    scripted.say(lambda _: time.sleep(1.0))
    transport = open_transport()
    before = signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(kind) as caught:
            transport.request("GET", "/x")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert CANARY not in "".join(shown.format())
    assert not [frame for frame in shown.stack if "/urllib3/" in frame.filename]


def test_errors_of_other_apis_are_read_too(scripted: Server, open_transport: Open) -> None:
    """They have a title and a detail in place of a message."""
    body = {"title": "Forbidden", "status": 403, "detail": "Pool locked", "errorCode": "LOCKED"}
    scripted.say(body, status=403)
    error = fails(open_transport())
    assert isinstance(error, PermissionDenied)
    assert "The server says: Forbidden: Pool locked" in str(error)
    assert error.error_codes == ("LOCKED",)


@pytest.mark.parametrize(
    ("headers", "content", "request_id", "support_id"),
    [
        ({}, b"", None, None),
        ({"X-Request-ID": "r-1", "CF-RAY": "9"}, b"", "r-1", None),
        ({"x-amz-request-id": " 7F\t0 "}, b"<html>", "7F 0", None),
        ({"CF-RAY": "8f-FRA"}, b'{"reference": "s-1", "message": "x"}', "8f-FRA", "s-1"),
        ({}, b'{"detail": "Sorry. Celonis Support ID: 671d3bdc-9feb"}', None, "671d3bdc-9feb"),
        ({}, b'{"detail": "Write to support. Identify yourself: now"}', None, None),
        ({"X-Request-ID": "x" * 400}, b"", "x" * 99 + "\u2026", None),
        ({"X-Request-ID": f"Bearer {CANARY}"}, b"", "Bearer ********", None),
    ],
)
def test_errors_have_the_ids_of_the_server(
    scripted: Server,
    open_transport: Open,
    headers: dict[str, str],
    content: bytes,
    request_id: str | None,
    support_id: str | None,
) -> None:
    """That of the request, from its headers, and that for the support, from the text."""
    scripted.say((500, headers, content))
    error = fails(open_transport())
    assert isinstance(error, ServerError)
    assert (error.request_id, error.support_id) == (request_id, support_id)
    notes = [] if request_id is None else [f"Request id: {request_id}."]
    assert getattr(error, "__notes__", []) == notes
