"""The page of the local Celonis: what it shows, to callers on this machine and with a key."""

from __future__ import annotations

import base64
import itertools
import re
import socket
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from celonis_frames import local
from celonis_frames.exceptions import JobFailed
from celonis_frames.local._web.authorization import check_page
from celonis_frames.local._web.endpoint import ApiProblem

VALUE = "salary of Ms X"


@pytest.fixture(scope="module")
def celonis() -> Iterator[Any]:
    """A local Celonis that listens on every address, with one row."""
    with local.start(host="0.0.0.0", limits=False) as running:  # noqa: S104
        connection = running.connect()
        connection.push(pa.table({"PAY": [VALUE]}), "HR", "PAY")
        yield running
        connection.close()


def _status(celonis: Any, peer: str | None, host: str, authorization: str | None = None) -> int:
    headers = [(b"host", host.encode("latin-1", "replace"))]
    if authorization is not None:
        headers.append((b"authorization", authorization.encode("latin-1", "replace")))
    client = None if peer is None else (peer, 50_000)
    scope = {"type": "http", "headers": headers, "client": client, "path": "/", "method": "GET"}
    try:
        check_page(celonis._state, Request(scope))
    except ApiProblem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize(
    ("peer", "host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1:8080", 200),
        ("127.8.9.1", "localhost", 200),
        ("::1", "[::1]:8080", 200),
        ("::ffff:127.0.0.1", "localhost:8080", 200),
        ("127.0.0.1", "evil.example", 403),
        ("127.0.0.1", "", 403),
        ("127.0.0.1", "[::1", 403),
        ("192.0.2.7", "127.0.0.1", 401),
        ("::ffff:192.0.2.7", "localhost", 401),
        ("2001:db8::1", "[::1]", 401),
        ("", "127.0.0.1", 401),
        (None, "127.0.0.1", 401),
    ],
)
def test_the_page_is_for_callers_on_this_machine(
    celonis: Any, peer: str | None, host: str, expected: int
) -> None:
    """The address of the connection decides; a web page elsewhere cannot borrow it."""
    assert _status(celonis, peer, host) == expected


def test_a_key_opens_the_page_from_everywhere(celonis: Any) -> None:
    """As a header, or as the password that a browser asks for."""
    for key in (celonis.token, celonis.app_key):
        password = base64.b64encode(f"any:{key}".encode()).decode()
        assert _status(celonis, "192.0.2.7", "team.example", f"Basic {password}") == 200
    assert _status(celonis, "192.0.2.7", "team.example", f"Bearer {celonis.token}") == 200
    assert _status(celonis, "192.0.2.7", "team.example", f"AppKey {celonis.app_key}") == 200
    assert _status(celonis, "192.0.2.7", "team.example", f"Bearer {celonis.app_key}") == 401


@given(host=st.text(), header=st.text())
def test_nothing_else_opens_the_page(celonis: Any, host: str, header: str) -> None:
    """Whatever else a caller from another machine sends, the page is not shown."""
    for authorization in (header, f"Basic {header}", f"Bearer {header}", None):
        assert _status(celonis, "192.0.2.7", host, authorization) == 401


def test_no_header_makes_a_caller_local(celonis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller by a network address sees no row without a key, whatever its headers say."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    port = celonis.url.rpartition(":")[2]
    assert VALUE in requests.get(f"http://127.0.0.1:{port}/", timeout=30).text
    with local.start(host="0.0.0.0") as own:  # noqa: S104  # it reads the variable when it starts
        for running, address in itertools.product((celonis, own), _addresses()):
            url = f"http://{address}:{running.url.rpartition(':')[2]}/"
            for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
                value = "for=127.0.0.1" if name == "Forwarded" else "127.0.0.1"
                sent = {"Host": "127.0.0.1", name: value, "X-Forwarded-Proto": "http"}
                response = requests.get(url, headers=sent, timeout=30)
                assert response.status_code == 401
                assert response.headers["WWW-Authenticate"].startswith("Basic ")
                assert VALUE not in response.text
            assert requests.get(url, auth=("any", running.token), timeout=30).status_code == 200


def _addresses() -> list[str]:
    """An address of this machine that is not loopback, if it has one.

    Connecting a UDP socket sends nothing.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [str(sock.getsockname()[0])]


def test_an_empty_server_says_what_to_do(own: Any) -> None:
    """With its own URL, in a terminal and in Python, and without its key."""
    page = requests.get(own.url, timeout=30).text
    assert f"export CELONIS_URL={own.url}" in page
    assert f"celonis_frames.connect(&quot;{own.url}&quot;" in page
    assert own.token not in page
    own.add_pool("P")
    page = requests.get(own.url, timeout=30).text
    assert "export CELONIS_URL" not in page
    assert "No tables yet." in page


def test_the_page_refreshes_itself_if_asked_to(own: Any) -> None:
    """Never otherwise: what one has opened would close."""
    for query, expected in (("", False), ("?refresh", True)):
        page = requests.get(f"{own.url}/{query}", timeout=30).text
        assert ("http-equiv='refresh'" in page) is expected
        assert "<meta name='viewport' content='width=device-width" in page


def test_long_values_are_cut_and_failed_jobs_say_why(own: Any, client: Any) -> None:
    """More of a value is in its title; the reason is in the line of the job."""
    client.push(pa.table({"A": ["x" * 5_000]}), "P", "T")
    own.faults.fail_jobs("broken on purpose")
    with pytest.raises(JobFailed):
        client.push(pa.table({"A": ["y"]}), "P", "T")
    page = requests.get(own.url, timeout=30).text
    assert f">{'x' * 199}…<" in page
    assert f"title='{'x' * 1_000}'" in page
    assert "x" * 1_001 not in page
    [summary] = re.findall(r"<summary><span class='ERROR'>.*?</summary>", page)
    assert "broken on purpose" in summary


def test_a_pool_of_many_tables_is_folded(own: Any, client: Any) -> None:
    """Up to eight are open."""
    for number in range(9):
        client.push(pa.table({"A": [1]}), "P", f"T{number}")
        page = requests.get(own.url, timeout=30).text
        assert page.count("<details open>") == (number + 1 if number < 8 else 0)
