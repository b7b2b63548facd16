"""A server that returns what a test sets, over a real socket."""

from __future__ import annotations

import dataclasses
import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from celonis_frames._api.client import DataPushApi
from celonis_frames._auth.keys import ApiKey
from celonis_frames._http.transport import Timeouts, Transport

CANARY = "canary-4f1c9a"
POOL = "11111111-2222-3333-4444-555555555555"
JOB = {"id": "j-1", "dataPoolId": POOL, "targetName": "EVENTS", "type": "DELTA", "status": "NEW"}


@dataclasses.dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int = 0


class Server:
    """Returns `answers` in order, the last one for ever; records the requests."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: list[Any] = [(200, {}, b"[]")]
        scripted = self

        class Handler(http.server.BaseHTTPRequestHandler):
            disable_nagle_algorithm = True  # else a body waits 40 ms for its head to be taken
            protocol_version = "HTTP/1.1"

            def handle_all(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                answer = scripted.answers[0]
                if len(scripted.answers) > 1:
                    scripted.answers.pop(0)
                body = self.rfile.read(size)
                headers = {name.lower(): value for name, value in self.headers.items()}
                scripted.seen.append(
                    Seen(self.command, self.path, headers, body, self.client_address[1])
                )
                if callable(answer):
                    answer(self)
                    return
                status, extra, content = answer
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = handle_all  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Tests break connections on purpose."""

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def say(self, *answers: Any, status: int = 200) -> None:
        """Set the answers: JSON values, ``(status, headers, content)`` or functions."""
        self.answers = [
            a
            if callable(a) or (isinstance(a, tuple) and len(a) == 3)
            else (status, {}, json.dumps(a).encode())
            for a in answers
        ]

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def scripted() -> Iterator[Server]:
    """A server of its own for each test."""
    running = Server()
    yield running
    running.close()


@pytest.fixture
def open_transport(scripted: Server) -> Iterator[Callable[..., Transport]]:
    """Makes transports to the server, and closes them."""
    made: list[Transport] = []

    def make(url: str | None = None, **options: Any) -> Transport:
        options.setdefault("timeouts", Timeouts(connect=2.0, read=2.0))
        transport = Transport(url or scripted.url, options.pop("auth", ApiKey(CANARY)), **options)
        made.append(transport)
        return transport

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def api(open_transport: Callable[..., Transport]) -> DataPushApi:
    """The calls, to the server."""
    return DataPushApi(open_transport())


@pytest.fixture
def free_port() -> int:
    """A port where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the machine's proxies, keys or URL."""
    for name in (
        "CELONIS_URL", "CELONIS_API_TOKEN", "CELONIS_KEY_TYPE", "OAUTH_CLIENT_ID", "HTTP_PROXY",
        "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy",
        "no_proxy",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
