"""A push with a secret that is easy to find, through every failure: it is found nowhere.

Everything that comes out is searched: exceptions with their whole chain, their pickles, their
tracebacks with locals, every logger at DEBUG, progress bars, staged files, statuses, HTML, the
command line's output and arguments. The server is hostile: it sends back all it was sent.
"""

from __future__ import annotations

import base64
import contextlib
import html
import http.server
import itertools
import json
import logging
import os
import pickle
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from unit.conftest import JOB, POOL, Server

import celonis_frames
from celonis_frames import ApiKey, AppKey, Celonis, Column, IngestionKeys, OAuth2, Secret
from celonis_frames._api.data_models import DataModel
from celonis_frames._api.models import Job
from celonis_frames._auth.token_file import TokenFile
from celonis_frames._cli.main import main
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._http.transport import Timeouts
from celonis_frames._options.push_options import PushOptions
from celonis_frames._push.progress import Reporting, in_progress
from celonis_frames._push.reloading import reload_after_job
from celonis_frames.events import Event
from celonis_frames.exceptions import CelonisFramesError

Handler = http.server.BaseHTTPRequestHandler

CORE = "k4nary"
"""What is searched for: it survives every way of escaping, and a secret that is cut."""
SECRET = f"""a1<&>/'{CORE}"+%=~#{CORE}9z"""
ACCESS = f"access-{SECRET}"
CLIENT = "client-1"
PAIR = base64.b64encode(f"{CLIENT}:{quote_plus(SECRET)}".encode()).decode()
HERE = str(Path(__file__).parents[1])


def leaks(text: str) -> bool:
    """Whether a text holds the secret, in any form, whole or in part."""
    text = text.replace("\\u006b", "k")
    return CORE in text or PAIR in text or PAIR[20:40] in text


def test_the_search_finds_what_it_should() -> None:
    """The net has no hole: every form is found, and nothing else."""
    for form in (SECRET, SECRET[:20], html.escape(SECRET), json.dumps(SECRET), quote(SECRET), PAIR,
                 repr(SECRET.encode()), PAIR[15:60]):  # fmt: skip
        assert leaks(form)
    assert not leaks("********")


def _token_file(folder: Path) -> TokenFile:
    (folder / "token").write_text(ACCESS)
    return TokenFile(folder / "token")


KINDS: dict[str, Callable[[Path], Any]] = {
    "api-key": lambda _: ApiKey(SECRET),
    "app-key": lambda _: AppKey(SECRET),
    "oauth-basic": lambda _: OAuth2(CLIENT, SECRET),
    "oauth-post": lambda _: OAuth2(CLIENT, SECRET, method="post"),
    "token-file": _token_file,
}


class Hostile:
    """The API as far as a push needs it, with a failure at one step."""

    def __init__(self, step: str, failure: Callable[[Handler, str], None]) -> None:
        self.step, self.failure = step, failure
        self.uploaded = 0
        self.release = threading.Event()

    def __call__(self, handler: Handler) -> None:
        step = self._step(handler.command, handler.path)
        if step == self.step:
            self.failure(handler, self._echo(handler))
        elif step == "token":
            self.respond(
                handler, {"access_token": ACCESS, "token_type": "Bearer", "expires_in": 900}
            )
        elif step == "upload":
            self.uploaded += 1
            self.respond(handler, None)
        elif step == "chunks":
            self.respond(handler, [{"id": str(n), "type": "UPSERT"} for n in range(self.uploaded)])
        elif step == "poll":
            self.respond(handler, JOB | {"status": "DONE"})
        else:
            self.respond(handler, JOB)

    @staticmethod
    def _step(method: str, path: str) -> str:
        if path.endswith("/oauth2/token"):
            return "token"
        if path.endswith("/jobs/"):
            return "create"
        if path.endswith("/cancel"):
            return "cancel"
        if "/chunks" in path:
            return "chunks" if method == "GET" else "upload"
        return "poll" if method == "GET" else "execute"

    def _echo(self, handler: Handler) -> str:
        """All that was sent, as a careless gateway shows it: plain, and escaped in every way.

        Most failures put it into JSON, so that what comes back is escaped twice.
        """
        seen = self.server.seen[-1]
        said = f"{handler.headers}\r\n"
        if "oauth2" in seen.path:
            said += seen.body.decode()
        said += seen.headers.get("authorization", "")
        escaped = json.dumps(said)[1:-1]
        return "\x1b[31m".join(
            [said, repr(said), escaped, escaped.replace("/", "\\/"), html.escape(said), quote(said),
             "".join(f"&#{ord(c)};" if not c.isalnum() else c for c in said),
             "".join(f"\\u{ord(c):04x}" if not c.isalnum() else c for c in said)]
        )  # fmt: skip

    @staticmethod
    def respond(handler: Handler, value: Any, status: int = 200) -> None:
        content = b"" if value is None else json.dumps(value).encode()
        Hostile.raw(handler, status, content)

    @staticmethod
    def raw(handler: Handler, status: int, content: bytes, **headers: str) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    server: Server


def _status(status: int, **headers: str) -> Callable[[Handler, str], None]:
    def fail(handler: Handler, echo: str) -> None:
        error = {"error": echo, "attribute": echo, "errorCode": echo, "message": echo}
        body = {"errors": [error], "error": "invalid_client", "error_description": echo}
        Hostile.raw(handler, status, json.dumps(body).encode(), **headers)

    return fail


def _page(status: int) -> Callable[[Handler, str], None]:
    def fail(handler: Handler, echo: str) -> None:
        Hostile.raw(handler, status, f"<html>{echo}</html>".encode(), Content_Type="text/html")

    return fail


def _truncated(handler: Handler, echo: str) -> None:
    Hostile.raw(handler, 200, b'{"id": "' + echo.encode()[:-3])


def _odd(handler: Handler, echo: str) -> None:
    Hostile.respond(handler, {"id": None, "status": echo, "logs": [echo], "access_token": echo})


def _cut(handler: Handler, echo: str) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(echo.encode())
    handler.close_connection = True


def _reset(handler: Handler, _: str) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def _redirect(handler: Handler, _: str) -> None:
    where = f"https://{quote(handler.headers.get('Authorization', ''))}.example/?x={SECRET}"
    Hostile.raw(handler, 302, b"", Location=where)


def _nonsense(handler: Handler, echo: str) -> None:
    handler.wfile.write(echo.encode("latin-1", "replace"))
    handler.close_connection = True


def _silent(handler: Handler, _: str) -> None:
    handler.server.release.wait(5)  # type: ignore[attr-defined]


def _failed_job(handler: Handler, echo: str) -> None:
    Hostile.respond(handler, JOB | {"status": "ERROR", "logs": [echo, echo]})


FAILURES: dict[str, Callable[[Handler, str], None]] = {
    **{str(status): _status(status) for status in (400, 401, 403, 404, 409, 413, 418, 500, 503)},
    "429": _status(429, Retry_After="0"),
    "502-page": _page(502),
    "200-page": _page(200),
    "truncated": _truncated,
    "odd": _odd,
    "cut": _cut,
    "reset": _reset,
    "redirect": _redirect,
    "nonsense": _nonsense,
    "silent": _silent,
}
OFTEN = ("401", "502-page", "truncated", "odd")
TURNS = list(zip(FAILURES, itertools.cycle(KINDS), strict=False))
CASES = [
    *(("create", name, kind) for name, kind in TURNS if name not in OFTEN),
    *(("create", name, kind) for name in OFTEN for kind in KINDS),
    *(("token", name, "oauth-basic") for name in FAILURES),
    *(("token", name, "oauth-post") for name in OFTEN),
    *(("upload", name, kind) for name, kind in TURNS),
    *((step, name, "oauth-post") for step in ("chunks", "execute", "poll")
      for name in ("403", "502-page", "odd")),
    *(("poll", "failed-job", kind) for kind in ("app-key", "oauth-basic")),
]  # fmt: skip
"""Every failure of every call; the most telling ones with every kind of key."""


class Everything:
    """Collects what comes out, and searches it."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.caplog, self.exporter = caplog, InMemorySpanExporter()
        self.found: list[tuple[str, str]] = []

    def add(self, where: str, text: str) -> None:
        self.found.append((where, text))

    def add_error(self, error: BaseException) -> None:
        """An exception with everything that hangs on it."""
        queue: list[BaseException | None] = [error]
        seen: list[int] = []
        while queue:
            item = queue.pop()
            if item is None or id(item) in seen:
                continue
            seen.append(id(item))
            name = type(item).__name__
            assert not hasattr(item, "request"), f"{name} carries the request"
            assert not hasattr(item, "response"), f"{name} carries the response"
            self.add(f"str({name})", str(item))
            self.add(f"repr({name})", repr(item))
            self.add(f"args of {name}", repr(item.args))
            self.add(f"attributes of {name}", repr(vars(item)))
            self.add(f"notes of {name}", repr(getattr(item, "__notes__", ())))
            if isinstance(item, CelonisFramesError):
                pickled = pickle.dumps(item)
                self.add(f"pickle of {name}", pickled.decode("latin-1"))
                assert str(pickle.loads(pickled)) == str(item)  # noqa: S301  # made above
            shown = traceback.TracebackException.from_exception(item, capture_locals=True)
            for frame in shown.stack:
                if frame.filename.startswith(HERE):
                    continue  # the caller's own frames: this file knows the secret
                assert "/requests/" not in frame.filename, "a frame of the HTTP library"
                assert "/urllib3/" not in frame.filename, "a frame of the HTTP library"
                self.add(f"locals of {name} in {frame.name}", repr(frame.locals))
            queue += [item.__cause__, item.__context__, *_inner(item)]

    def add_event(self, event: Event) -> None:
        """A record, as a connection with ``on_event=`` gets it."""
        self.add(f"record {event.event}", f"{event!r} {json.dumps(event.to_dict())}")

    def add_files(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.add(f"file {path.name}", path.read_bytes().decode("latin-1"))

    def check(self) -> None:
        spans = self.exporter.get_finished_spans()
        for span in spans:
            self.add(f"span {span.name}", span.to_json())
        ended = sum(where == "record ended" for where, _ in self.found)
        assert ended <= len(spans), "each call has a span"
        self.add("log", self.caplog.text)
        for record in self.caplog.records:
            self.add(f"log record of {record.name}", repr(vars(record)))
        for where, text in self.found:
            if leaks(text):
                pytest.fail(f"{where}: …{text[max(text.find(CORE) - 100, 0) :][:200]}…")


def _inner(error: BaseException) -> list[BaseException]:
    return list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []


@pytest.fixture
def everything(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Everything]:
    """What is to be searched."""
    caplog.set_level(logging.DEBUG)
    found, provider = Everything(caplog), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found.exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield found
    provider.shutdown()


@pytest.fixture
def hostile() -> Iterator[Callable[[str, Any], Server]]:
    """Makes servers that fail at one step."""
    made: list[Server] = []

    def make(step: str, failure: Any) -> Server:
        server = Server()
        response = Hostile(step, failure)
        response.server = server
        server._http.release = response.release  # type: ignore[attr-defined]
        server.answers = [response]
        made.append(server)
        return server

    yield make
    for server in made:
        server._http.release.set()  # type: ignore[attr-defined]
        server.close()


def _push(celonis: Celonis, folder: Path, **options: Any) -> Any:
    (folder / "staging").mkdir(exist_ok=True)
    frame = pa.table({"A": [1, 2], "S": ["x", None], "USER": [7, 8]})
    return celonis.push(
        frame, POOL, "EVENTS", progress=True, staging=str(folder / "staging"),
        columns={"USER": Column(pseudonymise=Secret(f"pseudonyms-{SECRET}"))}, **options,
    )  # fmt: skip


@pytest.mark.sampled(8)
@pytest.mark.parametrize(("step", "name", "kind"), CASES, ids=lambda value: value)
def test_no_failure_shows_a_secret(
    hostile: Callable[[str, Any], Server],
    everything: Everything,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    step: str,
    name: str,
    kind: str,
) -> None:
    """Whatever fails, wherever, with whatever key: the secret is nowhere in what comes out."""
    server = hostile(step, FAILURES.get(name, _failed_job))
    auth = KINDS[kind](tmp_path)
    timeouts = Timeouts(connect=2.0, read=0.15 if name == "silent" else 5.0)
    with Celonis(
        server.url, on_event=everything.add_event, auth=auth, timeouts=timeouts
    ) as celonis:
        everything.add("repr of auth", repr(auth))
        try:
            status = _push(celonis, tmp_path)
        except CelonisFramesError as error:
            everything.add_error(error)
        else:
            # After an odd response to an upload, for example, the list of chunks decides.
            everything.add("status", repr(status) + status._repr_html_() + str(status.to_dict()))
            everything.add("pickle of status", pickle.dumps(status).decode("latin-1"))
        everything.add("repr of Celonis", f"{celonis!r} {celonis} {vars(celonis)}")
    sent = "".join(str(seen.headers) + seen.body.decode("latin-1") for seen in server.seen)
    assert leaks(sent), "the secret was never sent, so that this shows nothing"
    everything.add("printed", "".join(capfd.readouterr()))
    everything.add_files(tmp_path / "staging")
    everything.check()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("step", "kind"),
    [("token", "oauth-basic"), ("token", "oauth-post")]
    + [(step, kind) for step in ("create", "poll") for kind in KINDS],
)
def test_an_interrupt_shows_no_secret(
    hostile: Callable[[str, Any], Server],
    everything: Everything,
    tmp_path: Path,
    step: str,
    kind: str,
) -> None:
    """Ctrl-C in the midst of a call leaves no frame of the HTTP library in the traceback."""

    def interrupt(handler: Handler, _: str) -> None:
        server.answers[0].step = "none"  # only once: what clears up is answered
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        handler.server.release.wait(5)  # type: ignore[attr-defined]

    server = hostile(step, interrupt)
    with (
        Celonis(server.url, on_event=everything.add_event, auth=KINDS[kind](tmp_path)) as celonis,
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        _push(celonis, tmp_path)
    everything.add_error(caught.value)
    everything.check()


@pytest.mark.parametrize("kind", KINDS)
def test_a_failing_source_shows_no_secret(
    hostile: Callable[[str, Any], Server], everything: Everything, tmp_path: Path, kind: str
) -> None:
    """A file that cannot be read while it is sent: the error is its own, without library frames."""

    class Broken:
        name, size = "c.parquet", 100

        def blocks(self) -> Iterator[bytes]:
            yield b"x" * 10
            raise OSError(5, "disk gone")

    server = hostile("none", None)
    with (
        Celonis(server.url, on_event=everything.add_event, auth=KINDS[kind](tmp_path)) as celonis,
        pytest.raises(OSError, match="disk gone") as caught,
    ):
        celonis._api.upload_chunk(POOL, "j", Broken())
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "blocks" in names, "the traceback still says where it happened"
    everything.add_error(caught.value)
    everything.check()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", KINDS)
def test_no_connection_shows_no_secret(
    everything: Everything, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connection refused, no TLS behind https, no such host, a proxy that is absent or says 407."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def proxy() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                received = peer.recv(65536)
                echo = received.replace(b"\r\n", b" ")
                with contextlib.suppress(OSError):  # a client that speaks TLS hangs up at once
                    peer.sendall(b"HTTP/1.1 407 No " + echo + b"\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=proxy, daemon=True)
    thread.start()
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = unused.getsockname()[1]
    for url, behind in (
        (f"http://127.0.0.1:{closed}", None),
        (f"https://127.0.0.1:{port}", None),
        ("https://team.eu-1.celonis.cloud", f"http://user:{quote(SECRET)}@127.0.0.1:{closed}"),
        ("https://team.eu-1.celonis.cloud", f"http://user:{quote(SECRET)}@127.0.0.1:{port}"),
        ("https://team.eu-1.celonis.cloud", f"nonsense://user:{quote(SECRET)}@127.0.0.1:{port}"),
        ("https://team.eu-1.celonis.cloud", f"http://user:{quote(SECRET)}@:bad"),
    ):
        if behind is not None:
            monkeypatch.setenv("HTTPS_PROXY", behind)
        timeouts = Timeouts(connect=2.0, read=2.0)
        with Celonis(url, auth=KINDS[kind](tmp_path), timeouts=timeouts) as celonis:
            with pytest.raises(CelonisFramesError) as caught:
                _push(celonis, tmp_path)
            everything.add_error(caught.value)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)
    assert not thread.is_alive()
    everything.add_files(tmp_path / "staging")
    everything.check()


@pytest.mark.parametrize(
    "variable",
    [
        "CELONIS_API_TOKEN",
        "CELONIS_KEY_TYPE",
        "OAUTH_CLIENT_ID",
        "OAUTH_CLIENT_SECRET",
        "OAUTH_METHOD",
        "OAUTH_SCOPES",
    ],
)
@pytest.mark.parametrize(
    "value", [f"{CORE}\n{CORE}", f"Bearer {CORE}", f"{CORE} {CORE}", CORE * 30]
)
def test_wrong_settings_show_no_secret(
    everything: Everything, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """A secret in the wrong variable, or with too much around it, is not repeated."""
    monkeypatch.setenv("CELONIS_URL", "https://dev.us-2.celonis.cloud")
    good = {"OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "secret"}
    if variable == "CELONIS_KEY_TYPE":
        good = {"CELONIS_API_TOKEN": "key"}
    for name, text in (good | {variable: value}).items():
        monkeypatch.setenv(name, text)
    try:
        with Celonis.from_env() as celonis:
            everything.add("repr", f"{celonis!r} {vars(celonis)}")
    except CelonisFramesError as error:
        everything.add_error(error)
    everything.add("plan", repr(celonis_frames.plan(pa.table({"A": [1]}), "P", "T")))
    everything.check()
    assert everything.found


@pytest.mark.parametrize("make", [ApiKey, AppKey, lambda key: OAuth2("id", key)])
@pytest.mark.parametrize("value", [f"{CORE}\n", f" {CORE}", f"{CORE}\x00"])
def test_a_key_that_is_rejected_is_in_no_local(
    everything: Everything, make: Callable[[str], Any], value: str
) -> None:
    """The frames of the error itself do not hold the rejected key."""
    with pytest.raises(CelonisFramesError) as caught:
        make(value)
    everything.add_error(caught.value)
    everything.check()


def test_a_connection_is_not_pickled() -> None:
    """It says what to do instead; keys are not pickled either."""
    with (
        Celonis("https://dev.us-2.celonis.cloud", auth=ApiKey(SECRET)) as celonis,
        pytest.raises(TypeError, match="from_env"),
    ):
        pickle.dumps(celonis)
    for auth in (ApiKey(SECRET), AppKey(SECRET), OAuth2(CLIENT, SECRET)):
        with pytest.raises(TypeError, match="from_env") as caught:
            pickle.dumps([auth])
        assert not leaks(str(caught.value))


# Ingestion keys

ACCESS_KEY = f"AK{CORE}ACCESS"
INGESTION = IngestionKeys("connection-1", ACCESS_KEY, SECRET, "continuous", "eu-central-1")


class HostileGateway:
    """A gateway that fails, and shows all that was sent to it."""

    def __init__(self, failure: Callable[[Handler, str], None] | None) -> None:
        self.failure, self.release = failure, threading.Event()

    def __call__(self, handler: Handler) -> None:
        if self.failure is None:
            Hostile.raw(handler, 200, b"")
        else:
            self.failure(handler, Hostile._echo(self, handler))  # type: ignore[arg-type]

    server: Server


def _xml(status: int, code: str) -> Callable[[Handler, str], None]:
    """An error of S3, which quotes what was signed, as S3 does."""

    def fail(handler: Handler, echo: str) -> None:
        parts = (f"<Code>{code}</Code><Message>{html.escape(echo)}</Message>"
                 f"<AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId>"
                 f"<StringToSign>{html.escape(echo)}</StringToSign>")  # fmt: skip
        Hostile.raw(handler, status, f"<Error>{parts}</Error>".encode())

    return fail


GATEWAY_FAILURES = {
    name: failure for name, failure in FAILURES.items() if name not in ("truncated", "odd")
} | {
    code: _xml(status, code)
    for code, status in {
        "AccessDenied": 403, "SignatureDoesNotMatch": 403, "RequestTimeTooSkewed": 403,
        "InvalidAccessKeyId": 403, "NoSuchBucket": 404, "EntityTooLarge": 400, "SlowDown": 503,
        "Unknown": 400,
    }.items()
} | {"none": None}  # fmt: skip


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", GATEWAY_FAILURES)
def test_no_failure_of_the_gateway_shows_a_key(
    everything: Everything, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """Neither the access key nor the secret key is in anything that comes out."""
    server = Server()
    response = HostileGateway(GATEWAY_FAILURES[name])
    response.server = server
    server._http.release = response.release  # type: ignore[attr-defined]
    server.answers = [response]
    timeouts = Timeouts(connect=2.0, read=0.15 if name == "silent" else 5.0)
    options: Any = {"staging": str(tmp_path), "progress": True, "keys": "A"}
    everything.add("repr of keys", f"{INGESTION!r} {INGESTION} {vars(INGESTION)}")
    try:
        with Celonis(
            server.url, on_event=everything.add_event, ingestion=INGESTION, timeouts=timeouts
        ) as celonis:
            frame = pa.table({"A": [1, 2]})
            shown = celonis.plan(frame, POOL, "EVENTS", via="ingestion")
            everything.add("plan", repr(shown) + shown._repr_html_())
            for call in (
                lambda: celonis.push(frame, POOL, "EVENTS", **options),
                lambda: celonis.resume(str(tmp_path)),
            ):
                try:
                    status = call()
                except CelonisFramesError as error:
                    everything.add_error(error)
                else:
                    everything.add("status", repr(status))
                    everything.add("pickle of status", pickle.dumps(status).decode("latin-1"))
                everything.add_files(tmp_path)
            everything.add("repr of Celonis", f"{celonis!r} {celonis} {vars(celonis)}")
    finally:
        response.release.set()
        server.close()
    sent = "".join(str(seen.headers) for seen in server.seen)
    assert ACCESS_KEY in sent, "no signature was sent, so that this shows nothing"
    assert SECRET not in sent
    everything.add("printed", "".join(capfd.readouterr()))
    everything.check()


def test_ingestion_keys_are_not_pickled() -> None:
    """As all keys."""
    with pytest.raises(TypeError, match="from_env") as caught:
        pickle.dumps([INGESTION])
    assert not leaks(str(caught.value))


@pytest.mark.parametrize("name", ["access_key", "secret_key"])
@pytest.mark.parametrize("value", [f"{CORE}\n", f" {CORE}", f"{CORE}\x00", 7, ""])
def test_an_ingestion_key_that_is_rejected_is_in_no_local(
    everything: Everything, name: str, value: Any
) -> None:
    """The frames of the error itself hold neither it nor the other key."""
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET} | {name: value}
    with pytest.raises(CelonisFramesError) as caught:
        IngestionKeys("c", bucket="b", region="r", **keys)
    everything.add_error(caught.value)
    everything.check()


@pytest.mark.parametrize(
    "variable", [f"CELONIS_INGESTION_{name}" for name in
                 ("CONNECTION", "ACCESS_KEY", "SECRET_KEY", "BUCKET", "REGION")]
)  # fmt: skip
@pytest.mark.parametrize("value", [f"{CORE}\n{CORE}", f"{CORE} {CORE}"])
def test_a_key_in_the_wrong_variable_is_not_repeated(
    everything: Everything, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """Whatever a variable has: its value is not shown, because it may be a key."""
    monkeypatch.setenv("CELONIS_URL", "https://dev.us-2.celonis.cloud")
    for name, text in (
        ("CONNECTION", "c"), ("ACCESS_KEY", ACCESS_KEY), ("SECRET_KEY", SECRET), ("BUCKET", "b"),
        ("REGION", "r"),
    ):  # fmt: skip
        monkeypatch.setenv(f"CELONIS_INGESTION_{name}", text)
    monkeypatch.setenv(variable, value)
    with pytest.raises(CelonisFramesError) as caught:
        Celonis.from_env()
    everything.add_error(caught.value)
    everything.check()


def test_the_command_line_shows_no_ingestion_key(tmp_path: Path) -> None:
    """Neither in what it prints nor in its arguments, when a gateway quotes what was signed."""
    pq.write_table(pa.table({"A": [1]}), tmp_path / "x.parquet")
    server = Server()
    response = HostileGateway(GATEWAY_FAILURES["SignatureDoesNotMatch"])
    response.server = server
    server.answers = [response]
    try:
        process = _cli(
            "push", str(tmp_path / "x.parquet"), "--pool", POOL, "--table", "T", "--via",
            "ingestion", CELONIS_URL=server.url, CELONIS_INGESTION_CONNECTION="c",
            CELONIS_INGESTION_ACCESS_KEY=ACCESS_KEY, CELONIS_INGESTION_SECRET_KEY=SECRET,
            CELONIS_INGESTION_BUCKET="b", CELONIS_INGESTION_REGION="r",
        )  # fmt: skip
        out, err = process.communicate(timeout=60)
    finally:
        server.close()
    assert process.returncode == 5  # a wrong key
    assert "SignatureDoesNotMatch" in err
    assert not leaks(out + err)


# Pseudonyms


@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
@pytest.mark.parametrize(
    "key", [f"key-{SECRET}", f"key-{SECRET}".encode()], ids=["string", "bytes"]
)
def test_no_pseudonymised_value_and_no_key_of_it_is_sent_or_stored(
    hostile: Callable[[str, Any], Server],
    everything: Everything,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    key: Any,
    file_type: Any,
) -> None:
    """Neither is in a request, a staged file, a log, a plan, a status or an error's message."""
    server = hostile("upload", FAILURES["403"])
    values = [f"{CORE}-{number}" for number in range(20)]
    frame = pa.table({"N": range(20), "USER": pa.array(values).dictionary_encode(), "ID": values})
    column = Column(pseudonymise=key)
    options: dict[str, Any] = {
        "keys": "ID", "columns": {"USER": column, "ID": column},
        "upload": {"file_type": file_type, "compression": "none"},
    }  # fmt: skip
    with Celonis(server.url, on_event=everything.add_event, auth=ApiKey("key")) as celonis:
        shown = celonis.plan(frame, POOL, "EVENTS", **options)
        everything.add("plan", repr(shown) + shown._repr_html_() + str(vars(shown)))
        with pytest.raises(CelonisFramesError) as caught:
            celonis.push(frame, POOL, "EVENTS", staging=str(tmp_path), progress=True, **options)
        everything.add("error", f"{caught.value!r} {vars(caught.value)} {caught.value.__notes__}")
        assert any(path.suffix in (".parquet", ".csv") for path in tmp_path.rglob("*"))
        everything.add_files(tmp_path)
        server.answers[0].step = "none"
        status = celonis.push(frame, POOL, "EVENTS", **options)
        everything.add("status", repr(status) + status._repr_html_() + str(status.to_dict()))
    for seen in server.seen:
        everything.add(f"request {seen.path}", f"{seen.headers} {seen.body.decode('latin-1')}")
    everything.add("printed", "".join(capfd.readouterr()))
    everything.check()


# The command line


def _cli(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-m", "celonis_frames", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
    )  # fmt: skip


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("name", "kind", "status"),
    [("401", "key", 5), ("redirect", "client", 1), ("403", "client", 5), ("400", "file", 3)],
)
def test_the_command_line_shows_no_secret(
    hostile: Callable[[str, Any], Server], tmp_path: Path, name: str, kind: str, status: int
) -> None:
    """Neither in what it prints nor, for other users of the machine, in its arguments."""
    pq.write_table(pa.table({"A": [1]}), tmp_path / "x.parquet")
    (tmp_path / "token").write_text(ACCESS)
    server = hostile("create", FAILURES[name])
    given = {
        "key": {"CELONIS_API_TOKEN": SECRET},
        "client": {"OAUTH_CLIENT_ID": CLIENT, "OAUTH_CLIENT_SECRET": SECRET},
        "file": {"OAUTH_ACCESS_TOKEN_PATH": str(tmp_path / "token")},
    }[kind]
    process = _cli("push", str(tmp_path / "x.parquet"), "--pool", POOL, "--table", "T",
                   CELONIS_URL=server.url, **given)  # fmt: skip
    cmdline = Path(f"/proc/{process.pid}/cmdline")
    arguments = cmdline.read_text() if cmdline.exists() else " ".join(process.args)  # type: ignore[arg-type]
    out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert "returned" in err
    assert leaks("".join(str(seen.headers) for seen in server.seen))
    for text in (out, err, arguments):
        assert not leaks(text)


def test_no_command_takes_a_secret_as_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no option for one but that of a local Celonis, which keeps nothing secret."""
    for command in ("push", "plan", "jobs", "job", "cancel", "serve", "demo"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert "--help" in options
        options -= {"--token"} if command == "serve" else set()
        for word in ("token", "secret", "password", "api-key", "auth"):
            assert not any(word in option for option in options), options


# HTML


HOSTILE_NAME = "<script>alert(1)</script>"


def test_html_is_escaped(celonis: Any) -> None:
    """A table, pool, column or log that is named like a script is shown as text."""
    frame = pa.table({HOSTILE_NAME: [HOSTILE_NAME]})
    plan = celonis_frames.plan(frame, HOSTILE_NAME, HOSTILE_NAME)
    pool = celonis.add_pool(HOSTILE_NAME)
    with celonis.connect() as connection:
        good = connection.push(frame, pool, HOSTILE_NAME)
        celonis.faults.fail_jobs(HOSTILE_NAME)
        with pytest.raises(CelonisFramesError):
            connection.push(frame, pool, HOSTILE_NAME)
        bad = connection.jobs(pool)[0]
        assert HOSTILE_NAME in "".join(bad.logs)
        for thing in (plan, good, bad):
            shown = getattr(thing, "_repr_html_", lambda: "")()
            assert "<script" not in shown
        assert "&lt;script" in good._repr_html_()
        assert "&lt;script" in bad._repr_html_()


def test_deprecated_or_resource_warnings_hold_no_secret(tmp_path: Path) -> None:
    """A connection that nobody closes warns, if at all, without its key."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for make in KINDS.values():
            Celonis("https://dev.us-2.celonis.cloud", auth=make(tmp_path))
    assert not any(leaks(str(warning.message)) for warning in caught)


AFTER_PUSH = {
    "models": lambda path: path.endswith("/data-models"),
    "look": lambda path: "/last-load" in path or "/load-info-sync" in path or path.endswith("/j"),
    "ask": lambda path: "/load?" in path or "/reload?" in path or "/execute" in path,
}
"""The calls of a load and of a data job, by their paths."""


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", ["401", "403", "404", "409", "500", "502-page", "odd", "cut"])
@pytest.mark.parametrize("step", AFTER_PUSH)
def test_no_failure_after_the_push_shows_a_secret(
    everything: Everything, step: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loads and data jobs at a hostile server: errors and statuses hold no secret."""
    monkeypatch.setattr("celonis_frames._models.following.MAX_REFUSED", 2)
    server = Server()
    server._http.release = threading.Event()  # type: ignore[attr-defined]
    hostile = Hostile("", FAILURES[name])
    hostile.server = server

    def respond(handler: Handler) -> None:
        if AFTER_PUSH[step](handler.path):
            FAILURES[name](handler, hostile._echo(handler))
        elif handler.path.endswith("/data-models"):
            Hostile.respond(handler, [{"id": "m", "name": "M", "tables": []}])
        elif handler.path.endswith("/jobs"):
            Hostile.respond(handler, [{"id": "j", "name": "J"}])
        elif handler.path.endswith("/j"):
            Hostile.respond(handler, {"id": "j", "name": "J", "status": "SUCCESS"})
        else:
            Hostile.respond(handler, {})

    server.answers = [respond]
    try:
        with Celonis(server.url, on_event=everything.add_event, auth=ApiKey(SECRET)) as celonis:
            for call in (
                lambda: celonis.reload(POOL, "M", progress=False),
                lambda: celonis.run_job(POOL, "J", progress=False),
            ):
                with pytest.raises(CelonisFramesError) as caught:
                    call()
                everything.add_error(caught.value)
            pushed = _reload_after_push(celonis)
            everything.add("status", f"{pushed!r} {pushed.message} {pushed.to_dict()}")
            everything.add("HTML of status", pushed._repr_html_())
            everything.add("pickle of status", pickle.dumps(pushed).decode("latin-1"))
    finally:
        server.close()
    everything.check()


def _reload_after_push(celonis: Celonis) -> Any:
    """The status of a load after a push that is done."""
    api, job = celonis._api, Job(POOL, POOL, "T", "DELTA", "PARQUET", None, (), "DONE", ())
    options, model = PushOptions(reload="M"), DataModel("m", "M")
    hidden = Reporting(progress=False, on_event=None)
    with CancelToken() as token, in_progress("push", "T", api.url, hidden) as progress:
        return reload_after_job(
            api, job, [model], options, token=token, progress=progress, timings={}
        )
