"""Proxies and firewalls: their pages, their rejections, and settings that cannot be used."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from celonis_frames._api.client import DataPushApi
from celonis_frames._http.retry import RetryPolicy
from celonis_frames.exceptions import (
    ApiError,
    ApiStatusError,
    ConfigError,
    RateLimited,
    ServerError,
)
from unit.conftest import Server
from unit.http.test_transport import Open, fails

PAGE = (
    b"\xef\xbb\xbf\n<!DOCTYPE html><html><head><title>Access Denied</title>"
    b"<style>p {color: red}</style></head><body onload='x()'>"
    b"<script>var secret = 1;</script><p>Blocked &amp; logged</p></body></html>"
)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 406, 409, 410, 418, 451])
@pytest.mark.parametrize(
    ("headers", "content"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, b"Access Denied: Blocked & logged"),
        ({}, PAGE),
        ({"Content-Type": "application/json"}, PAGE),
        ({"Content-Type": "application/xhtml+xml"}, PAGE),
    ],
)
def test_a_page_of_a_proxy_is_reported_as_one(
    scripted: Server, open_transport: Open, status: int, headers: dict[str, str], content: bytes
) -> None:
    """The API returns no web pages: they say nothing about the key, its permissions or an id."""
    scripted.say((status, headers, content))
    error = fails(open_transport())
    assert type(error) is ApiStatusError
    assert error.status_code == status
    assert "web page" in error.message
    assert "HTTPS_PROXY" in error.message
    assert "Access Denied" in error.message
    assert "Blocked & logged" in error.message
    for word in ("color", "secret", "<", "permission", "key", "pool"):
        assert word not in error.message


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [(407, ApiStatusError, "password"), (408, ApiStatusError, "proxy"),
     (413, ApiStatusError, "chunk_bytes"), (429, RateLimited, "7 s"), (500, ServerError, "gateway"),
     (503, ServerError, "gateway"), (511, ServerError, "login")],
)  # fmt: skip
def test_a_page_may_say_what_a_proxy_means_too(
    scripted: Server, open_transport: Open, status: int, kind: type[ApiStatusError], word: str
) -> None:
    """Too large, too many and broken are the same from a gateway; `Retry-After` counts."""
    scripted.say((status, {"Content-Type": "text/html", "Retry-After": "7"}, PAGE))
    error = fails(open_transport())
    assert type(error) is kind
    assert word in error.message


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_plain_text_may_be_a_firewalls(scripted: Server, open_transport: Open, status: int) -> None:
    """Text that is no JSON has no certain sender, and the message says so."""
    scripted.say((status, {"Content-Type": "text/plain"}, b"error code: 1020"))
    message = fails(open_transport()).message
    assert "a proxy or firewall may have sent it" in message
    assert "error code: 1020" in message
    scripted.say({"message": "no"}, status=status)
    assert "firewall" not in fails(open_transport()).message


@contextlib.contextmanager
def _proxy_that_says(status: str) -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that responds to every CONNECT; its port, and the requests it got."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer:
                    seen.append(peer.recv(65536))
                    peer.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1], seen
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.mark.parametrize(
    ("status", "tries", "word"),
    [
        ("407 Proxy Authentication Required", 1, "http://user:password@host:port"),
        ("403 Forbidden", 1, "does not allow connections to team.eu-1.celonis.cloud"),
        ("503 Service Unavailable", 6, "but returned 503"),
    ],
)
def test_a_proxy_that_rejects_is_named_at_once(
    open_transport: Open, monkeypatch: pytest.MonkeyPatch, status: str, tries: int, word: str
) -> None:
    """What only a change of the setting can help is not tried again."""
    with _proxy_that_says(status) as (port, seen):
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:proxy-pass@127.0.0.1:{port}")
        api = DataPushApi(open_transport("https://team.eu-1.celonis.cloud"), policy=RetryPolicy())
        with pytest.raises(ApiError) as caught:
            api.pools()
    assert len(seen) == tries
    assert word in caught.value.message
    assert "HTTPS_PROXY" in caught.value.message
    assert "proxy-pass" not in str(caught.value)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "setting",
    ["proxy:8080", "http://", "http://:8080", "http://proxy:port", "http://proxy:99999",
     "htp:/proxy", "ftp://proxy:21", "http://[::1", "http://user:pa#ss@proxy:80",
     "http://user:p/w@proxy:80", f"http://{'a' * 70}.de:80", "http://a..b:80", "://"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_an_unusable_proxy_setting_is_named_at_once(
    open_transport: Open, monkeypatch: pytest.MonkeyPatch, name: str, setting: str
) -> None:
    """It can never work: one try, and an error that names the variable and not its value."""
    monkeypatch.setenv(name, setting)
    transport, calls = open_transport("https://team.eu-1.celonis.cloud"), []
    transport.listeners.append(calls.append)
    with pytest.raises(ConfigError, match=f"^{name} ") as caught:
        DataPushApi(transport, policy=RetryPolicy()).pools()
    assert len(calls) == 1
    assert setting in "http://" or setting not in caught.value.message
    assert "http://host:port" in caught.value.message


def test_a_proxy_that_cannot_be_reached_is_named(
    open_transport: Open, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """The message is about the proxy, not about Celonis, and names the variable."""
    monkeypatch.setenv("ALL_PROXY", f"http://user:proxy-pass@127.0.0.1:{free_port}")
    error = fails(open_transport("https://team.eu-1.celonis.cloud"))
    assert "the proxy cannot be reached. Check ALL_PROXY and NO_PROXY" in error.message
    assert "proxy-pass" not in error.message


@pytest.mark.parametrize("setting", ["socks5://proxy:1080", "socks5h://user:p@proxy:1080"])
def test_a_socks_proxy_says_what_it_needs(
    open_transport: Open, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """Without PySocks the error is the line that installs it."""

    def missing(*_: Any, **__: Any) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", missing)
    monkeypatch.setenv("HTTPS_PROXY", setting)
    with pytest.raises(ConfigError, match=r'pip install "requests\[socks\]"'):
        open_transport("https://team.eu-1.celonis.cloud").request("GET", "/x")
