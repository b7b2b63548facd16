"""Fuzz tests of the local Celonis: no 500, no hang, no unhandled exception.

By default it runs a few examples; some minutes take
``CELONIS_FRAMES_FUZZ=100 pytest -n 3 tests/local_server/test_fuzz.py``.
"""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from celonis_frames import local
from celonis_frames.exceptions import ConfigError
from celonis_frames.local._web.app import ENDPOINTS

EXAMPLES = int(os.environ.get("CELONIS_FRAMES_FUZZ", "4"))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
BASE = "/data-ingestion/api/v1/data-push"
OPERATIONS = [
    (method.lower(), endpoint.paths[0]) for endpoint in ENDPOINTS for method in endpoint.methods
]
KNOWN = {"model": "M", "data_job": "J"}
"""Names of what is there, by the parameters of paths."""
QUICK = settings(
    max_examples=EXAMPLES * 5,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Target:
    """A local Celonis and plain calls to it."""

    def __init__(self, celonis: Any) -> None:
        self.celonis = celonis
        self.headers = {"Authorization": f"Bearer {celonis.token}"}
        self.session = requests.Session()
        self.schema = schemathesis.openapi.from_url(f"{celonis.url}/openapi.json")

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        options["headers"] = self.headers | options.get("headers", {})
        response = self.session.request(method, self.celonis.url + path, timeout=20, **options)
        assert response.status_code < 500, (response.request.body, response.text)
        return response

    def job(self, **body: Any) -> str:
        given = {"targetName": "T", "type": "DELTA", "keys": ["K"]} | body
        response = self.call("POST", f"{BASE}/Fuzz/jobs/", json=given)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def end(self, job: str) -> dict[str, Any]:
        return self.until(f"{BASE}/Fuzz/jobs/{job}", "status", ("DONE", "ERROR", "CANCELED"))

    def until(self, path: str, field: str, values: tuple[str, ...]) -> dict[str, Any]:
        for _ in range(2_000):
            found: dict[str, Any] = self.call("GET", path).json()
            if found[field] in values:
                return found
            time.sleep(0.01)
        raise AssertionError(f"{path} hangs")


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """One local Celonis for all tests of this module."""
    with local.start(limits=False) as celonis:
        celonis.add_connection("Fuzz", "C")
        celonis.add_data_model("Fuzz", "M")
        celonis.add_data_job("Fuzz", "J", "SELECT 1")
        found = Target(celonis)
        yield found
        found.session.close()


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The server logs unexpected errors; there must be none."""
    yield
    logged = [r for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not logged, [(r.getMessage(), r.exc_text) for r in logged]


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"]
)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_server_matches_its_description(
    target: Target, method: str, path: str, mode: GenerationMode
) -> None:
    """Requests generated from the description, valid or not, get responses that it describes."""
    operation = target.schema[path][method.upper()]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        mode = GenerationMode.POSITIVE  # any string is valid in a path

    @settings(QUICK, max_examples=EXAMPLES)
    @given(case=operation.as_strategy(generation_mode=mode), real=st.integers(0, 4))
    def run(case: Any, real: int) -> None:
        if real and "pool" in (case.path_parameters or {}):
            case.path_parameters["pool"] = "Fuzz"
            if real > 1 and "job" in case.path_parameters:
                kind = "CSV" if real == 2 else "PARQUET"
                case.path_parameters["job"] = target.job(fileType=kind)
            if real > 1:
                known = {"model": "M", "data_job": "J"}
                case.path_parameters |= {
                    k: v for k, v in known.items() if k in case.path_parameters
                }
        response = case.call(headers=target.headers, timeout=20)
        case.validate_response(response, checks=CHECKS)

    run()


NASTY = [
    b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff", b"NaN", b"[" * 200_000, b'{"a":' * 200_000,
    b'{"targetName":"T","type":"DELTA","foreignKeys":NaN}',
    b'{"targetName":"T","type":"DELTA","foreignKeys":1e999}',
    b'{"targetName":"T","type":"DELTA","foreignKeys":' + b"9" * 5_000 + b"}",
    b'{"targetName":"T","type":"DELTA","foreignKeys":"\\ud800"}',
    b'{"targetName":"\\udfff","type":"DELTA"}',
    b'{"targetName":"T","type":"DELTA","fallbackVarcharLength":true}',
    b'{"targetName":"T","type":"DELTA","keys":{"a":1}}',
    b'{"targetName":"T","type":["DELTA"]}', b'{"targetName":"T","type":{"a":1}}',
    b'{"targetName":"T","type":"DELTA","connectionId":{"a":1}}',
    b'{"targetName":"T","type":"DELTA","tableSchema":{"columns":{"a":1}}}',
    b'{"targetName":"T","type":"DELTA","tableSchema":{"columns":[{"columnName":"a","columnType":["x"]}]}}',
    b'{"targetName":"T","type":"DELTA","csvParsingOptions":' + b'{"a":' * 90 + b"1" + b"}" * 91,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NASTY)))
def test_nasty_bodies_are_rejected(target: Target, number: int) -> None:
    """Bodies that no proper client sends get 400."""
    response = target.call("POST", f"{BASE}/Fuzz/jobs/", data=NASTY[number])
    expected = 200 if b"9999" in NASTY[number] and len(NASTY[number]) < 4_000 else 400
    assert response.status_code == expected, response.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.text(min_size=1, max_size=12) | st.sampled_from(
    ["K", "V", '"', "'; DROP TABLE x; --", "{}", "%s"]
)
OPTIONS = st.dictionaries(
    st.sampled_from(
        [
            "separatorSequence",
            "quoteSequence",
            "escapeSequence",
            "charSet",
            "lineEnding",
            "decimalSeparator",
            "thousandSeparator",
            "dateFormat",
            "additionalColumnOptions",
        ]
    ),
    st.text(min_size=1, max_size=4)
    | st.sampled_from([";", "\t", "yyyy-MM-dd", "UTF-16", "'"])
    | JSON,
    max_size=4,
)
COLUMNS = st.lists(
    st.fixed_dictionaries(
        {"columnName": NAMES},
        optional={
            "columnType": st.sampled_from(
                ["INTEGER", "DATE", "TIME", "DATETIME", "FLOAT", "BOOLEAN", "STRING"]
            ),
            "fieldLength": st.integers(1, 65_000),
        },
    ),
    max_size=3,
)
JOBS = st.fixed_dictionaries(
    {"targetName": NAMES, "type": st.sampled_from(["DELTA", "REPLACE"])},
    optional={
        "fileType": st.sampled_from(["CSV", "PARQUET"]),
        "keys": st.lists(NAMES, max_size=2),
        "csvParsingOptions": OPTIONS,
        "tableSchema": st.fixed_dictionaries({"columns": COLUMNS}) | JSON,
        "fallbackVarcharLength": st.integers(1, 100),
        "upsertStrategy": st.sampled_from(
            ["UPSERT_WITH_UNCHANGED_METADATA", "UPSERT_WITH_NULLIFICATION"]
        ),
        "connectionId": st.sampled_from(["C", "nowhere"]),
        "foreignKeys": JSON,
    },
)
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
FILES = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(str.encode),
    st.lists(st.lists(st.text(max_size=6), min_size=2, max_size=2).map(",".join), max_size=4)
    .map(lambda lines: "K,V\r\n" + "\r\n".join(lines))
    .map(str.encode),
)


@QUICK
@given(body=JOBS, files=st.lists(FILES, max_size=2), by=st.none() | NAMES, deleted=st.booleans())
def test_any_job_ends(
    target: Target, body: Any, files: list[bytes], by: str | None, deleted: bool
) -> None:
    """With any fields, names and files the job ends, without an internal error."""
    url = f"{BASE}/Fuzz/jobs"
    response = target.call("POST", url, data=json.dumps(body).encode("utf-8", "replace"))
    if response.status_code != 200:
        return
    job = response.json()["id"]
    for number, content in enumerate(files):
        kind = "deleted" if deleted and number else "upserted"
        target.call("POST", f"{url}/{job}/chunks/{kind}", files={"file": content})
    target.call(
        "POST", f"{url}/{job}", params=None if by is None else {"duplicateRemovalColumn": by}
    )
    if target.call("GET", f"{url}/{job}").json()["status"] == "NEW":
        assert target.call("POST", f"{url}/{job}/cancel").status_code == 200
    found = target.end(job)
    assert "Internal error" not in " ".join(found["logs"]), (body, files, found["logs"])


@QUICK
@given(name=NAMES, columns=st.lists(NAMES, min_size=1, max_size=3, unique_by=str.lower))
def test_any_name_is_data(target: Target, name: str, columns: list[str]) -> None:
    """Names of tables and columns are never SQL or paths; columns are stored as sent."""
    before = {path.name for path in target.celonis._catalog.folder.iterdir()}
    sink = io.BytesIO()
    try:
        table = pa.table({column: [f"{number}"] for number, column in enumerate(columns)})
        pq.write_table(table, sink, compression="snappy")
    except (UnicodeError, ValueError):
        return
    body = {"targetName": name, "type": "REPLACE", "fileType": "PARQUET"}
    response = target.call("POST", f"{BASE}/Fuzz/jobs", json=body)
    if response.status_code != 200:
        assert response.status_code == 400
        return
    job = response.json()["id"]
    where = f"{BASE}/Fuzz/jobs/{job}"
    file = (f"../../{name}".encode("ascii", "ignore").decode(), sink.getvalue())
    if target.call("POST", f"{where}/chunks/upserted", files={"file": file}).status_code == 200:
        target.call("POST", where)
        found = target.end(job)
        assert "Internal error" not in " ".join(found["logs"])
        if found["status"] == "DONE":
            assert target.celonis.table("Fuzz", name).column_names == columns
    assert {path.name for path in target.celonis._catalog.folder.iterdir()} <= before
    page = target.call("GET", "/").text
    assert "<script>" not in page


WORDS = st.sampled_from(
    ["CREATE", "OR REPLACE", "TABLE", "VIEW", "TEMP", "AS", "SELECT", "FROM", "*", "1", "'x'", "a",
     "b", "DROP", "IF EXISTS", "ALTER", "ADD COLUMN", "VARCHAR", "INSERT INTO", "VALUES (1)", "[1]",
     ";", '"_celonis"', '"Fuzz"', ".", "DELETE", "UPDATE", "SET", "ROLLBACK", "COPY", "\x00"]
)  # fmt: skip
SQL = st.lists(WORDS, max_size=9).map(" ".join) | st.builds(
    'CREATE OR REPLACE {} "{}" AS SELECT {} AS "{}"'.format,
    st.sampled_from(["TABLE", "VIEW"]),
    NAMES.map(lambda name: name.replace('"', '""')),
    st.sampled_from(["1", "'x'", "[1]", "1.5", "now()", "uuid()", "a FROM t"]),
    NAMES.map(lambda name: name.replace('"', '""')),
)


@QUICK
@given(sql=SQL, name=NAMES)
def test_any_sql_ends(target: Target, sql: str, name: str) -> None:
    """A data job of any SQL is rejected, or ends; the data model of its tables can be loaded."""
    jobs, loads = "/integration/api/pools/Fuzz/jobs", "/integration/api/v1/data-pools/Fuzz"
    try:
        key = target.celonis.add_data_job("Fuzz", name, sql)
    except ConfigError:
        return
    assert target.call("POST", f"{jobs}/{key}/execute", json={}).status_code == 200
    job = target.until(f"{jobs}/{key}", "status", ("SUCCESS", "FAIL"))
    assert "internal error" not in str(job["message"]).lower(), (sql, job)
    assert target.call("POST", f"{loads}/data-models/M/load").status_code == 200
    ends = ("SUCCESS", "WARNING", "ERROR")
    load = target.until(f"{loads}/data-models/M/last-load", "loadStatus", ends)
    assert "internal error" not in str(load["message"]).lower(), (sql, load)
    assert "<script>" not in target.call("GET", "/").text


@QUICK
@given(
    kind=st.sampled_from(
        [
            "multipart/form-data; boundary=b",
            "multipart/form-data; boundary=",
            "multipart/form-data",
            "text/plain",
            "multipart/form-data; boundary*=x''%zz",
        ]
    )
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
    body=st.one_of(
        st.binary(max_size=100),
        st.lists(
            st.sampled_from(
                [
                    b"--b",
                    b"\r\n",
                    b"--b--",
                    b"Content-Disposition: form-data; ",
                    b'name="file"',
                    b'filename="x',
                    b":",
                    b";",
                    b"\x00",
                    b"x" * 50,
                    b"\n",
                ]
            ),
            max_size=14,
        ).map(b"".join),
    ),
)
def test_any_upload_is_accepted_or_rejected(target: Target, kind: str, body: bytes) -> None:
    """Any form, or none, gets 200, 400 or 413; a rejected one leaves no file."""
    before = set(target.celonis._catalog.folder.iterdir())
    job = target.job(fileType="CSV")
    path = f"{BASE}/Fuzz/jobs/{job}/chunks/upserted"
    try:
        response = target.call("POST", path, data=body, headers={"Content-Type": kind.strip()})
    except requests.exceptions.InvalidHeader:
        return  # requests does not send it
    assert response.status_code in (200, 400, 413)
    kept = len(target.call("GET", f"{BASE}/Fuzz/jobs/{job}/chunks").json())
    assert kept == (response.status_code == 200)
    target.call("DELETE", f"{BASE}/Fuzz/jobs/{job}")
    assert set(target.celonis._catalog.folder.iterdir()) == before


def _whole_file() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"A": [1, 2, 3]}), sink, compression="snappy", store_schema=False)
    return sink.getvalue()


WHOLE_FILE = _whole_file()


@settings(QUICK, phases=[Phase.explicit, Phase.generate])
@given(flips=st.lists(st.tuples(st.integers(0, len(WHOLE_FILE) - 1), st.integers(0, 255)),
                      min_size=1, max_size=3))  # fmt: skip
@example(flips=[(136, 0)])  # pyarrow 26 ends the process when it reads this column's metadata
@example(flips=[(162, 127)])
def test_a_damaged_file_ends_nothing_but_its_job(
    target: Target, flips: list[tuple[int, int]]
) -> None:
    """A Parquet file with changed bytes is rejected, or its job ends; the server goes on."""
    damaged = bytearray(WHOLE_FILE)
    for place, byte in flips:
        damaged[place] = byte
    job = target.job(keys=[], type="REPLACE", targetName="DAMAGED")
    path = f"{BASE}/Fuzz/jobs/{job}"
    response = target.call("POST", f"{path}/chunks/upserted", files={"file": bytes(damaged)})
    assert response.status_code in (200, 400)
    if response.status_code == 200:
        assert target.call("POST", path).status_code == 200
        assert target.end(job)["status"] in ("DONE", "ERROR")
    whole = target.job(keys=[], type="REPLACE", targetName="WHOLE")
    path = f"{BASE}/Fuzz/jobs/{whole}"
    target.call("POST", f"{path}/chunks/upserted", files={"file": WHOLE_FILE})
    target.call("POST", path)
    assert target.end(whole)["status"] == "DONE"


@QUICK
@given(body=st.binary(max_size=80) | st.text(max_size=40).map(str.encode), header=TEXTS)
def test_any_token_request_gets_an_oauth_error(target: Target, body: bytes, header: str) -> None:
    """The token endpoint returns an OAuth error, whatever it is sent."""
    try:
        response = target.call(
            "POST",
            "/oauth2/token",
            data=body,
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Authorization": f"Basic {header}".encode().strip(),
            },
        )
    except requests.exceptions.InvalidHeader:
        return  # requests does not send it
    assert response.status_code in (400, 401)
    assert response.json()["error"].startswith("invalid")


def test_bodies_are_bounded(target: Target) -> None:
    """Endless forms, headers and JSON are rejected, not held in memory."""
    job = target.job()
    path = f"{BASE}/Fuzz/jobs/{job}/chunks/upserted"
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    endless = b"--b\r\nX: " + b"x" * 200_000
    assert target.call("POST", path, data=endless, headers=form).status_code == 400
    many = b"--b\r\n" + b"X: y\r\n" * 30_000
    assert target.call("POST", path, data=many, headers=form).status_code == 400
    assert target.call("POST", f"{BASE}/Fuzz/jobs/", data=b" " * 10_000_001).status_code == 413
    assert target.call("POST", "/oauth2/token", data=b"x" * 70_000).status_code == 413
    with local.start(max_chunk_bytes=1_000) as small:
        other = Target(small)
        job = other.job()
        path = path.replace(path.split("/")[-3], job)
        field = b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\n' + b"x" * 150_000
        chunked = (field[n : n + 10_000] for n in range(0, len(field), 10_000))
        assert other.call("POST", path, data=chunked, headers=form).status_code == 413
        other.session.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET " + b"/a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: [\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a:b:c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_bytes_that_are_not_http_do_no_harm(target: Target, sent: bytes) -> None:
    """They get 4xx or the connection is closed; the next request is served."""
    port = int(target.celonis.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(sent)
        response = b""
        try:
            line.shutdown(socket.SHUT_WR)
            while part := line.recv(65536):
                response += part
        except OSError:
            pass  # the server closed the connection
    assert not response.startswith(b"HTTP/1.1 5")
    assert target.call("GET", "/integration/api/pools").status_code == 200


def test_it_listens_on_loopback_by_default(target: Target) -> None:
    """Other machines cannot connect by default."""
    assert target.celonis.url.startswith("http://127.0.0.1:")
    port = int(target.celonis.url.rpartition(":")[2])
    listening = {
        connection.laddr.ip
        for connection in psutil.Process().net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    assert listening == {"127.0.0.1"}
