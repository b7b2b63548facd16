"""Each fault of the local Celonis by itself, seen by a raw socket and a plain HTTP client."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import http
import io
import json
import math
import re
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from celonis_frames import Celonis, local
from celonis_frames.exceptions import ConfigError

BASE = "/data-ingestion/api/v1/data-push/Faults/jobs/"


def _file(value: int) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"A": [value]}), sink)
    return sink.getvalue()


def _wait_for(fault: Any) -> None:
    """Until the server has finished the calls of the fault."""
    deadline = time.monotonic() + 60
    while fault.over < max(1, fault.hits) and time.monotonic() < deadline:
        time.sleep(0.01)


class Client:
    """Plain calls, each on its own connection."""

    def __init__(self, celonis: Any) -> None:
        self.celonis = celonis
        self.address = urlsplit(celonis.url)
        self.headers = {"Authorization": f"Bearer {celonis.token}"}
        self.file, self.other = _file(1), _file(2)

    def call(self, method: str, path: str = "", timeout: float = 10, **options: Any) -> Any:
        url = f"{self.celonis.url}{BASE}{path}"
        return requests.request(method, url, headers=self.headers, timeout=timeout, **options)

    def job(self) -> str:
        response = self.call("POST", json={"targetName": "T", "type": "DELTA"})
        return str(response.json()["id"])

    def upload(self, job: str, timeout: float = 10) -> Any:
        files = {"file": self.file}
        return self.call("POST", f"{job}/chunks/upserted", files=files, timeout=timeout)

    def chunks(self, job: str) -> int:
        return len(self.call("GET", f"{job}/chunks").json())

    def raw(self, data: bytes) -> bytes:
        """Send these bytes, and return all bytes until the connection ends; a reset raises."""
        with socket.create_connection((self.address.hostname, self.address.port), 10) as plain:
            plain.sendall(data)
            got = b""
            while part := plain.recv(65_536):
                got += part
            return got

    def head(self, method: str, path: str, size: int = 0) -> bytes:
        """The head of a request, as bytes."""
        return (
            f"{method} {BASE}{path} HTTP/1.1\r\nHost: {self.address.netloc}\r\n"
            f"Content-Length: {size}\r\nAuthorization: {self.headers['Authorization']}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        ).encode()


@pytest.fixture(scope="module")
def celonis() -> Iterator[Any]:
    """A local Celonis for this module."""
    with local.start(limits=False) as running:
        running.add_pool("Faults")
        yield running


@pytest.fixture
def client(celonis: Any) -> Iterator[Client]:
    """Calls to it, without faults at the start."""
    yield Client(celonis)
    celonis.faults.clear()
    assert Client(celonis).call("GET").status_code == 200


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize(("when", "kept"), [("before", 0), ("body", 0), ("after", 1)])
def test_a_dropped_call_has_no_response(client: Client, when: Any, kept: int, reset: bool) -> None:
    """The connection ends without a response; only "after" has processed the call."""
    job = client.job()
    fault = client.celonis.faults.drop("upload", when=when, reset=reset)
    with pytest.raises(requests.ConnectionError):
        client.upload(job)
    assert (fault.hits, client.chunks(job)) == (1, kept)
    assert client.upload(job).status_code == 200
    assert client.chunks(job) == kept + 1


def test_a_reset_is_a_tcp_reset_and_a_close_is_not(client: Client) -> None:
    """reset=True ends with ECONNRESET; without it the stream just ends."""
    faults = client.celonis.faults
    faults.drop("jobs", when="after", reset=True)
    with pytest.raises(ConnectionResetError):
        client.raw(client.head("GET", ""))
    faults.drop("jobs", when="after")
    assert client.raw(client.head("GET", "")) == b""


def test_a_connection_is_reset_at_the_given_byte(client: Client) -> None:
    """The connection is open until at_byte bytes were read, and is reset then."""
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


def test_a_large_upload_is_reset_while_it_is_sent(client: Client) -> None:
    """A reset in the middle of 64 MB reaches the client before it has sent all."""
    job = client.job()
    client.celonis.faults.drop("upload", when="body", at_byte=1_000_000, reset=True)
    sent = 0
    with socket.create_connection((client.address.hostname, client.address.port), 10) as plain:
        plain.sendall(client.head("POST", f"{job}/chunks/upserted", 64_000_000))
        with pytest.raises(OSError) as caught:  # noqa: PT011, PT012  # asserted below
            while sent < 64_000_000:
                sent += plain.send(b"x" * 100_000)
    assert caught.value.errno in (errno.ECONNRESET, errno.EPIPE)
    assert 1_000_000 <= sent < 64_000_000


@pytest.mark.parametrize("carry_out", [True, False])
def test_a_response_can_hide_that_a_call_was_processed(client: Client, carry_out: bool) -> None:
    """carry_out=True stores the chunk and returns 502 all the same; headers are as given."""
    job = client.job()
    client.celonis.faults.answer(
        "upload", 502, carry_out=carry_out, headers={"Retry-After": "7"}, body=b"gateway"
    )
    response = client.upload(job)
    assert (response.status_code, response.headers["Retry-After"]) == (502, "7")
    assert response.content == b"gateway"
    assert client.chunks(job) == int(carry_out)


@pytest.mark.parametrize(("when", "kept"), [("before", 0), ("late", 1), ("after", 1)])
def test_a_stalled_call_times_out(client: Client, when: Any, kept: int) -> None:
    """The client times out; "late" processes the call afterwards, "after" did before."""
    job = client.job()
    fault = client.celonis.faults.stall("upload", when=when)
    with pytest.raises(requests.ReadTimeout):
        client.upload(job, timeout=1.0)
    _wait_for(fault)
    assert (fault.hits, fault.over) == (1, 1)
    assert client.chunks(job) == kept


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("route", ["create", "upload", "execute"])
def test_a_call_can_be_processed_after_its_connection_was_closed(
    client: Client, route: str, reset: bool
) -> None:
    """drop(when="late") closes the connection first, and processes the call some seconds later."""
    job = client.job()
    client.upload(job)
    jobs = len(client.call("GET").json())
    fault = client.celonis.faults.drop(route, when="late", reset=reset, late_seconds=1.5)
    body = {"json": {"targetName": "T", "type": "DELTA"}}
    calls: dict[str, Callable[[], Any]] = {
        "create": lambda: client.call("POST", **body),
        "upload": lambda: client.upload(job),
        "execute": lambda: client.call("POST", job),
    }
    with pytest.raises(requests.ConnectionError):
        calls[route]()

    def seen() -> tuple[int, bool, int]:
        listed = client.call("GET").json()
        status = next(each["status"] for each in listed if each["id"] == job)
        return client.chunks(job) if status == "NEW" else 1, status == "NEW", len(listed)

    assert (fault.hits, fault.over) == (1, 0)
    assert seen() == (1, True, jobs)
    _wait_for(fault)
    assert seen() == (1 + (route == "upload"), route != "execute", jobs + (route == "create"))


@pytest.mark.parametrize(("when", "status"), [("late", 200), ("after", 200), ("before", None)])
def test_a_stall_ends_after_its_seconds(client: Client, when: Any, status: int | None) -> None:
    """A client that waits longer gets its response, or the end of the connection."""
    job = client.job()
    client.celonis.faults.stall("upload", when=when, seconds=0.1)
    if status is None:
        with pytest.raises(requests.ConnectionError):
            client.upload(job)
    else:
        assert client.upload(job).status_code == status
    assert client.chunks(job) == int(status is not None)


@pytest.mark.parametrize("route", ["jobs", "upload"])
def test_a_cut_response_is_shorter_than_its_content_length(client: Client, route: str) -> None:
    """The connection ends before Content-Length bytes were sent."""
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
    declared = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert 0 < len(rest) < declared
    assert client.chunks(job) == int(route == "upload")


@pytest.mark.parametrize("carry_out", [True, False])
@pytest.mark.parametrize("how", ["json", "html"])
def test_an_unreadable_response_is_complete(client: Client, how: Any, carry_out: bool) -> None:
    """Half of the JSON, or a web page, in a complete response with status 200."""
    before = len(client.call("GET").json())
    client.celonis.faults.garble("create", how, carry_out=carry_out)
    response = client.call("POST", json={"targetName": "T", "type": "DELTA"})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(
        "text/html" if how == "html" else "application/json"
    )
    with pytest.raises(ValueError, match=r"JSON|Unterminated|Expecting"):
        json.loads(response.content)
    assert len(client.call("GET").json()) == before + carry_out


def test_a_dripping_response_is_complete(client: Client) -> None:
    """All pieces together are the response."""
    whole = client.call("GET").json()
    client.celonis.faults.drip("jobs", 0.3)
    got = client.raw(client.head("GET", ""))
    assert json.loads(got.partition(b"\r\n\r\n")[2]) == whole


def test_a_repeated_call_is_processed_twice(client: Client) -> None:
    """One upload adds two chunks; a second submission is rejected, and its response returned."""
    job = client.job()
    client.celonis.faults.repeat("upload")
    assert client.upload(job).status_code == 200
    assert client.chunks(job) == 2
    client.celonis.faults.repeat("execute")
    assert client.call("POST", job).status_code == 400


def test_a_call_can_be_processed_once_more_later(client: Client) -> None:
    """repeat(late_seconds=) returns the first response; the chunk is stored again after that."""
    job = client.job()
    fault = client.celonis.faults.repeat("upload", late_seconds=0.4)
    assert client.upload(job).status_code == 200
    assert (client.chunks(job), fault.hits, fault.over) == (1, 1, 0)
    _wait_for(fault)
    assert client.chunks(job) == 2


@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_an_informational_response_comes_before_the_real_one(client: Client, status: int) -> None:
    """Both are whole, and the call is processed once."""
    before = len(client.call("GET").json())
    client.celonis.faults.inform("create", status, seconds=0.1)
    body = b'{"targetName": "T", "type": "DELTA"}'
    head = client.head("POST", "", len(body)).replace(
        b"multipart/form-data; boundary=b", b"application/json"
    )
    got = client.raw(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
    first, _, rest = got.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\n" not in first
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(rest.partition(b"\r\n\r\n")[2])["status"] == "NEW"
    assert len(client.call("GET").json()) == before + 1


def test_assumed_informational_responses_outlive_the_faults() -> None:
    """`clear` removes what a test has added, and no fault of a test is hidden by an assumption."""
    with local.start(assumptions=local.Assumptions(informational=102)) as running:
        client = Client(running)
        job = client.job()
        running.faults.answer("upload", 503)
        body = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
            b"%b\r\n--b--\r\n" % client.file
        )
        head = client.head("POST", f"{job}/chunks/upserted", len(body))
        request = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body
        assert client.raw(request).startswith(b"HTTP/1.1 503 ")
        running.faults.clear()
        first, _, rest = client.raw(request).partition(b"\r\n\r\n")
        assert first == b"HTTP/1.1 102 Processing"
        assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
        assert client.chunks(job) == 1


def test_a_lagging_list_shows_what_is_old_enough(client: Client) -> None:
    """What was added in the last seconds is missing, in one list or in all until `clear`."""
    job = client.job()
    client.upload(job)
    time.sleep(0.3)
    client.upload(job)
    fault = client.celonis.faults.lag("chunks", 0.2)
    assert [client.chunks(job), client.chunks(job)] == [1, 2]
    client.celonis.faults.lag("chunks", 60.0, times=None)
    client.celonis.faults.lag("jobs", 60.0, times=None)
    assert [client.chunks(job), client.chunks(job), client.call("GET").json()] == [0, 0, []]
    client.celonis.faults.clear()
    assert client.chunks(job) == 2
    assert job in [each["id"] for each in client.call("GET").json()]
    assert fault.hits == 1


@pytest.mark.parametrize(
    ("kind", "different", "equal"),
    [("sha1", 2, True), ("content", 2, True), ("arbitrary", 3, False), ("none", 1, True)],
)
def test_checksums_are_of_the_kind_asked_for(
    client: Client, kind: Any, different: int, equal: bool
) -> None:
    """Equal files have equal checksums, except arbitrary ones; clear() restores the SHA-1."""
    job = client.job()
    client.upload(job)
    client.upload(job)
    client.file = client.other
    client.upload(job)
    client.celonis.faults.checksums(kind)

    def checksums() -> list[Any]:
        return [chunk["checksum"] for chunk in client.call("GET", f"{job}/chunks").json()]

    shown = checksums()
    assert shown == checksums()
    assert len(set(shown)) == different
    assert (shown[0] == shown[1]) is equal
    client.celonis.faults.clear()
    assert (checksums() == shown) is (kind == "sha1")
    assert hashlib.sha1(client.other, usedforsecurity=False).hexdigest() in checksums()


def test_a_submission_can_be_acknowledged_and_lost(client: Client) -> None:
    """answer("execute", 200) leaves the job in NEW; a second submission executes it."""
    job = client.job()
    client.upload(job)
    client.celonis.faults.answer("execute", 200)
    assert client.call("POST", job).status_code == 200
    assert client.call("GET", job).json()["status"] == "NEW"
    assert client.call("POST", job).status_code == 200
    assert client.call("GET", job).json()["status"] != "NEW"


def test_connections_are_refused_and_accepted_again(client: Client) -> None:
    """refuse() closes open connections and refuses new ones; later the port is the same."""
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
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            assert client.call("GET").status_code == 200
            break
        except requests.ConnectionError:
            time.sleep(0.02)
    else:
        pytest.fail("connections are still refused")


def test_no_connection_stays_open_when_listening_stops() -> None:
    """Connections made just as the server stops listening, or ends, are closed."""
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


def test_connections_can_be_refused_after_a_call(client: Client) -> None:
    """refuse(following=) returns the response of that call, and refuses the next connection."""
    job = client.job()
    client.celonis.faults.refuse(following="upload", skip=1)
    assert client.upload(job).status_code == 200
    assert client.upload(job).status_code == 200
    with pytest.raises(requests.ConnectionError, match="refused"):
        client.upload(job)
    client.celonis.faults.clear()
    assert client.chunks(job) == 2


def test_faults_hit_the_right_calls_as_often_as_requested(client: Client) -> None:
    """skip= skips calls, times= limits the hits, None does not; other routes are not hit."""
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


WRONG: dict[str, Callable[[Any], Any]] = {
    'There is no call \'uploads\'. Did you mean "upload"?': lambda f: f.drop("uploads"),
    "There is no call ''": lambda f: f.repeat(""),
    "There is no call 'Create'": lambda f: f.answer("Create", 500),
    "There is no call None": lambda f: f.stall(None),
    "There is no call ['create']": lambda f: f.drip(["create"], 1),
    "There is no call 'chunk'": lambda f: f.garble("chunk", "cut"),
    "There is no call 'polls'": lambda f: f.delay("polls", 1),
    "There is no call 'creat'": lambda f: f.refuse(1, following="creat"),
    "There is no moment 'afterwards'": lambda f: f.drop("job", when="afterwards"),
    "There is no moment 'later'": lambda f: f.drop("job", when="later"),
    "There is no moment 'body'": lambda f: f.stall("job", when="body"),
    "There is no kind of response 'xml'": lambda f: f.garble("job", "xml"),
    "status=99 is no status": lambda f: f.answer("job", 99),
    "status=100 is no status": lambda f: f.answer("job", 100),
    "status=600 is no status": lambda f: f.answer("job", 600),
    "status='503' is no status": lambda f: f.answer("job", "503"),
    "status=True is no status": lambda f: f.answer("job", True),
    "times=-1 is no count": lambda f: f.drop("job", times=-1),
    "times='2' is no count": lambda f: f.fail_jobs("no", times="2"),
    "skip=1.5 is no count": lambda f: f.drop("job", skip=1.5),
    "status=200 is no informational status": lambda f: f.inform("job", 200),
    "status=99 is no informational": lambda f: f.inform("job", 99),
    "status=101 is no informational": lambda f: f.inform("job", 101),
    "status=True is no informational": lambda f: f.inform("job", True),
    "There is no list 'job'. Did you mean \"jobs\"?": lambda f: f.lag("job", 1),
    "There is no list '*'": lambda f: f.lag("*", 1),
    "There is no kind of checksums 'md5'": lambda f: f.checksums("md5"),
    'at_byte=5 needs when="body"': lambda f: f.drop("upload", at_byte=5),
    "at_byte=-5 is no count": lambda f: f.drop("upload", when="body", at_byte=-5),
    "seconds=-1 is no duration": lambda f: f.refuse(-1),
    "seconds=nan is no duration": lambda f: f.delay("*", math.nan),
    "seconds='1' is no duration": lambda f: f.stall("job", seconds="1"),
    "late_seconds=-1 is no duration": lambda f: f.stall("job", when="late", late_seconds=-1),
    "late_seconds=-2 is no duration": lambda f: f.drop("job", when="late", late_seconds=-2),
    "late_seconds=nan is no duration": lambda f: f.repeat("upload", late_seconds=math.nan),
    "seconds=-2 is no duration": lambda f: f.lag("chunks", -2),
    "seconds='0' is no duration": lambda f: f.inform("job", seconds="0"),
    "running=-1 is no duration": lambda f: f.slow_jobs(running=-1),
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_a_fault_that_cannot_happen_is_an_error(client: Client, message: str) -> None:
    """A call, moment, kind or status that does not exist, where it is given; no fault is added."""
    with pytest.raises(ConfigError) as raised:
        WRONG[message](client.celonis.faults)
    assert str(raised.value).startswith(message)
    assert client.call("GET").status_code == 200


def test_every_fault_that_can_happen_is_accepted(client: Client) -> None:
    """All calls of the description, all moments and kinds, every status; also numbers of 0."""
    faults = client.celonis.faults
    description = requests.get(f"{client.celonis.url}/openapi.json", timeout=30).json()
    methods = [call for path in description["paths"].values() for call in path.values()]
    ids = [call["operationId"] for call in methods]
    calls = {re.sub(r"_(get|head|post|put|delete)(_\d+)?$", "", each) for each in ids} | {"*"}
    assert {"create", "upload_deleted", "delete_job", "token", "columns"} <= calls
    for call in calls:
        faults.repeat(call, times=0, skip=0)
        faults.delay(call, 0)
    for route in ("chunks", "jobs"):
        faults.lag(route, 0)
    for kind in ("sha1", "content", "arbitrary", "none"):
        faults.checksums(kind)
    for status in (100, *range(102, 200)):
        faults.inform("job", status)
    for when in ("before", "body", "after", "late"):
        faults.drop("job", when=when)
    for moment in ("before", "late", "after"):
        faults.stall("job", when=moment, seconds=0)
    for how in ("cut", "json", "html"):
        faults.garble("job", how)
    for status in (*http.HTTPStatus, 299, 520, 599):
        if status >= 200:
            faults.answer("job", status)
    faults.refuse(math.inf, following="job")
    faults.fail_jobs("no", times=0)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}, {"x-ratelimit-reset": "0"}])
def test_a_push_waits_if_no_more_jobs_may_be_created(
    server: Any, connection: Celonis, table: str, headers: dict[str, str]
) -> None:
    """429 may come when a job is created too; the push goes on, and each row is there once."""
    try:
        fault = server.faults.answer("create", 429, headers=headers, times=2)
        assert connection.push(pa.table({"A": [1, 2]}), "Quota", table).ok
        assert fault.hits == 2
    finally:
        server.faults.clear()
    assert server.table("Quota", table)["A"].to_pylist() == [1, 2]


def test_the_server_stops_while_it_refuses_connections() -> None:
    """close() works while connections are refused, and frees the port."""
    before = threading.enumerate()
    with local.start(limits=False) as celonis:
        celonis.faults.refuse()
        port = urlsplit(celonis.url).port
    assert not [thread for thread in threading.enumerate() if thread not in before]
    with socket.create_server(("127.0.0.1", port or 0)) as taken:
        assert taken.getsockname()[1] == port
