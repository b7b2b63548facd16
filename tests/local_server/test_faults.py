"""Each fault of the local Celonis by itself, seen through a raw socket and a plain HTTP client."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import json
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from celonis_frames import local

BASE = "/data-ingestion/api/v1/data-push/Faults/jobs/"


class Client:
    """Plain calls, each on a connection of its own."""

    def __init__(self, celonis: Any) -> None:
        self.celonis = celonis
        self.address = urlsplit(celonis.url)
        self.headers = {"Authorization": f"Bearer {celonis.token}"}
        sink = io.BytesIO()
        pq.write_table(pa.table({"A": [1]}), sink)
        self.file = sink.getvalue()

    def call(self, method: str, path: str = "", timeout: float = 10, **options: Any) -> Any:
        url = f"{self.celonis.url}{BASE}{path}"
        return requests.request(method, url, headers=self.headers, timeout=timeout, **options)

    def job(self) -> str:
        answer = self.call("POST", json={"targetName": "T", "type": "DELTA"})
        return str(answer.json()["id"])

    def upload(self, job: str, timeout: float = 10) -> Any:
        files = {"file": self.file}
        return self.call("POST", f"{job}/chunks/upserted", files=files, timeout=timeout)

    def chunks(self, job: str) -> int:
        return len(self.call("GET", f"{job}/chunks").json())

    def raw(self, data: bytes) -> bytes:
        """What comes back for these bytes until the connection ends; a reset is raised."""
        with socket.create_connection((self.address.hostname, self.address.port), 10) as plain:
            plain.sendall(data)
            got = b""
            while part := plain.recv(65_536):
                got += part
            return got

    def head(self, method: str, path: str, size: int = 0) -> bytes:
        """The head of a request, by hand."""
        return (
            f"{method} {BASE}{path} HTTP/1.1\r\nHost: {self.address.netloc}\r\n"
            f"Content-Length: {size}\r\nAuthorization: {self.headers['Authorization']}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        ).encode()


@pytest.fixture(scope="module")
def celonis() -> Iterator[Any]:
    """A local Celonis for this module."""
    with local.start(limits=False) as running:
        yield running


@pytest.fixture
def client(celonis: Any) -> Iterator[Client]:
    """Calls to it; afterwards all works again."""
    yield Client(celonis)
    celonis.faults.clear()
    assert Client(celonis).call("GET").status_code == 200


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize(("when", "kept"), [("before", 0), ("body", 0), ("after", 1)])
def test_a_dropped_call_has_no_answer(client: Client, when: Any, kept: int, reset: bool) -> None:
    """The connection ends without an answer; only "after" has carried the call out."""
    job = client.job()
    fault = client.celonis.faults.drop("upload", when=when, reset=reset)
    with pytest.raises(requests.ConnectionError):
        client.upload(job)
    assert (fault.hits, client.chunks(job)) == (1, kept)
    assert client.upload(job).status_code == 200
    assert client.chunks(job) == kept + 1


def test_a_reset_is_a_tcp_reset_and_a_close_is_not(client: Client) -> None:
    """reset=True ends with ECONNRESET, without it the stream just ends."""
    faults = client.celonis.faults
    faults.drop("jobs", when="after", reset=True)
    with pytest.raises(ConnectionResetError):
        client.raw(client.head("GET", ""))
    faults.drop("jobs", when="after")
    assert client.raw(client.head("GET", "")) == b""


def test_a_body_is_cut_at_the_byte_asked_for(client: Client) -> None:
    """The connection stands until so many bytes were read, and is reset then."""
    job = client.job()
    client.celonis.faults.drop("upload", when="body", at_byte=5_000, reset=True)
    with socket.create_connection((client.address.hostname, client.address.port), 10) as plain:
        plain.sendall(client.head("POST", f"{job}/chunks/upserted", 1_000_000) + b"x" * 4_000)
        plain.settimeout(0.2)
        with pytest.raises(TimeoutError):
            plain.recv(1)
        plain.settimeout(10)
        plain.sendall(b"x" * 2_000)
        with pytest.raises(ConnectionResetError):
            plain.recv(1)
    assert client.chunks(job) == 0


def test_a_large_body_breaks_while_it_is_sent(client: Client) -> None:
    """A reset in the middle of 64 MB reaches the sender before it has handed all over."""
    job = client.job()
    client.celonis.faults.drop("upload", when="body", at_byte=1_000_000, reset=True)
    sent = 0
    with socket.create_connection((client.address.hostname, client.address.port), 10) as plain:
        plain.sendall(client.head("POST", f"{job}/chunks/upserted", 64_000_000))
        with pytest.raises(OSError) as caught:  # noqa: PT011, PT012  # which, is asserted below
            while sent < 64_000_000:
                sent += plain.send(b"x" * 100_000)
    assert caught.value.errno in (errno.ECONNRESET, errno.EPIPE)
    assert 1_000_000 < sent < 64_000_000


@pytest.mark.parametrize("carry_out", [True, False])
def test_an_answer_can_hide_that_a_call_was_carried_out(client: Client, carry_out: bool) -> None:
    """carry_out=True stores the chunk and answers 502 all the same; headers are as given."""
    job = client.job()
    client.celonis.faults.answer(
        "upload", 502, carry_out=carry_out, headers={"Retry-After": "7"}, body=b"gateway"
    )
    answer = client.upload(job)
    assert (answer.status_code, answer.headers["Retry-After"]) == (502, "7")
    assert answer.content == b"gateway"
    assert client.chunks(job) == int(carry_out)


@pytest.mark.parametrize(("when", "kept"), [("before", 0), ("late", 1), ("after", 1)])
def test_a_stalled_call_is_answered_by_silence(client: Client, when: Any, kept: int) -> None:
    """The client times out; what happens to the call is as asked for, "late" even afterwards."""
    job = client.job()
    fault = client.celonis.faults.stall("upload", when=when)
    with pytest.raises(requests.ReadTimeout):
        client.upload(job, timeout=0.2)
    deadline = time.monotonic() + 10
    while not fault.over and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (fault.hits, fault.over) == (1, 1)
    assert client.chunks(job) == kept


@pytest.mark.parametrize(("when", "status"), [("late", 200), ("after", 200), ("before", None)])
def test_a_stall_ends_after_its_seconds(client: Client, when: Any, status: int | None) -> None:
    """A client that waits longer than the silence gets its answer, or the end of the connection."""
    job = client.job()
    client.celonis.faults.stall("upload", when=when, seconds=0.1)
    if status is None:
        with pytest.raises(requests.ConnectionError):
            client.upload(job)
    else:
        assert client.upload(job).status_code == status
    assert client.chunks(job) == int(status is not None)


@pytest.mark.parametrize("route", ["jobs", "upload"])
def test_a_cut_answer_is_shorter_than_it_says(client: Client, route: str) -> None:
    """Content-Length promises more than comes before the connection ends."""
    job = client.job()
    client.celonis.faults.garble(route, "cut")
    path = f"{job}/chunks/upserted" if route == "upload" else ""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        + client.file
        + b"\r\n--b--\r\n"
    )
    data = body if route == "upload" else b""
    got = client.raw(client.head("POST" if data else "GET", path, len(data)) + data)
    head, _, rest = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    promised = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert 0 < len(rest) < promised
    assert client.chunks(job) == int(route == "upload")


@pytest.mark.parametrize("carry_out", [True, False])
@pytest.mark.parametrize("how", ["json", "html"])
def test_an_unreadable_answer_is_whole(client: Client, how: Any, carry_out: bool) -> None:
    """Half a JSON text, or a web page, in a well-framed answer of 200."""
    before = len(client.call("GET").json())
    client.celonis.faults.garble("create", how, carry_out=carry_out)
    answer = client.call("POST", json={"targetName": "T", "type": "DELTA"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(
        "text/html" if how == "html" else "application/json"
    )
    with pytest.raises(ValueError, match=r"JSON|Unterminated|Expecting"):
        json.loads(answer.content)
    assert len(client.call("GET").json()) == before + carry_out


def test_a_dripping_answer_comes_whole(client: Client) -> None:
    """An answer that comes bit by bit is the answer."""
    whole = client.call("GET").json()
    client.celonis.faults.drip("jobs", 0.3)
    got = client.raw(client.head("GET", ""))
    assert json.loads(got.partition(b"\r\n\r\n")[2]) == whole


def test_a_repeated_call_is_carried_out_twice(client: Client) -> None:
    """One upload leaves two chunks; a second submission is refused, and so answered."""
    job = client.job()
    client.celonis.faults.repeat("upload")
    assert client.upload(job).status_code == 200
    assert client.chunks(job) == 2
    client.celonis.faults.repeat("execute")
    assert client.call("POST", job).status_code == 400


def test_a_closed_door_refuses_and_opens_again(client: Client) -> None:
    """refuse() refuses connections, open ones included, and listens again on the same port."""
    faults = client.celonis.faults
    with requests.Session() as session:
        url = f"{client.celonis.url}{BASE}"
        assert session.get(url, headers=client.headers, timeout=10).status_code == 200
        faults.refuse()
        for _ in range(2):
            with pytest.raises(requests.ConnectionError, match="refused"):
                session.get(url, headers=client.headers, timeout=10)
        faults.clear()
        assert session.get(url, headers=client.headers, timeout=10).status_code == 200
    faults.refuse(0.2)
    with pytest.raises(requests.ConnectionError, match="refused"):
        client.call("GET")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            assert client.call("GET").status_code == 200
            break
        except requests.ConnectionError:
            time.sleep(0.02)
    else:
        pytest.fail("the door stays closed")


def test_no_connection_stays_open_when_the_door_closes_on_it() -> None:
    """Connections that come just as the server stops listening, or ends, are closed, not lost."""
    ended = threading.Event()
    with warnings.catch_warnings(record=True) as lost:
        warnings.simplefilter("always", ResourceWarning)
        with local.start() as celonis:
            address = ("127.0.0.1", int(celonis.url.rpartition(":")[2]))

            def call() -> int:
                taken = 0
                while not ended.is_set():
                    with contextlib.suppress(OSError), socket.create_connection(address, 5):
                        taken += 1
                return taken

            with ThreadPoolExecutor(2) as threads:
                calls = [threads.submit(call) for _ in range(2)]
                try:
                    for _ in range(100):
                        celonis.faults.refuse()
                        celonis.faults.clear()
                    celonis.close()
                finally:
                    ended.set()
        gc.collect()
    assert all(call.result() for call in calls)
    assert [str(warning.message) for warning in lost] == []


def test_a_door_closes_behind_a_call(client: Client) -> None:
    """refuse(following=) answers that call, and refuses whatever comes next."""
    job = client.job()
    client.celonis.faults.refuse(following="upload", skip=1)
    assert client.upload(job).status_code == 200
    assert client.upload(job).status_code == 200
    with pytest.raises(requests.ConnectionError, match="refused"):
        client.upload(job)
    client.celonis.faults.clear()
    assert client.chunks(job) == 2


def test_faults_strike_where_and_as_often_as_asked(client: Client) -> None:
    """skip= lets calls pass, times= counts strikes, None strikes for ever, routes are apart."""
    faults = client.celonis.faults
    fault = faults.answer("jobs", 503, skip=2, times=2)
    assert [client.call("GET").status_code for _ in range(6)] == [200, 200, 503, 503, 200, 200]
    assert fault.hits == 2
    faults.answer("*", 500, times=None)
    job = client.call("POST", json={"targetName": "T", "type": "DELTA"})
    assert [job.status_code, client.call("GET").status_code] == [500, 500]
    faults.clear()
    first, second = faults.answer("jobs", 502), faults.answer("jobs", 504)
    assert [client.call("GET").status_code for _ in range(3)] == [502, 504, 200]
    assert (first.hits, second.hits) == (1, 1)


def test_the_server_stops_while_its_door_is_closed() -> None:
    """close() works while connections are refused, and gives the port back."""
    before = threading.enumerate()
    with local.start(limits=False) as celonis:
        celonis.faults.refuse()
        port = urlsplit(celonis.url).port
    assert not [thread for thread in threading.enumerate() if thread not in before]
    with socket.create_server(("127.0.0.1", port or 0)) as taken:
        assert taken.getsockname()[1] == port
