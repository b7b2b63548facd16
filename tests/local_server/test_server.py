"""The API of the local Celonis, called with plain HTTP requests."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celonis_frames import local
from celonis_frames.exceptions import ConfigError
from celonis_frames.local._assumptions import ASSUMPTIONS, Assumptions
from celonis_frames.local._database.csv_reader import strptime_format
from celonis_frames.local._web.rate_limit import RateLimiter

BASE = "/data-ingestion/api/v1/data-push"


@pytest.fixture(scope="module")
def celonis() -> Iterator[Any]:
    """A local Celonis for this module."""
    with local.start(limits=False) as running:
        yield running


def _file(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    given = {"use_deprecated_int96_timestamps": True, "compression": "snappy"} | options
    pq.write_table(table, sink, **given)
    return sink.getvalue()


class Client:
    """Plain calls."""

    def __init__(self, celonis: Any, base: str = BASE) -> None:
        self.url, self.base = celonis.url, base
        self.headers = {"Authorization": f"Bearer {celonis.token}"}

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(
            method, f"{self.url}{self.base}{path}", headers=self.headers, timeout=30, **options
        )

    def job(self, pool: str, **body: Any) -> str:
        response = self.call("POST", f"/{pool}/jobs/", json=body)
        assert response.status_code == 200, response.text
        return str(response.json()["id"])

    def chunk(self, pool: str, job: str, data: bytes, kind: str = "upserted") -> requests.Response:
        return self.call("POST", f"/{pool}/jobs/{job}/chunks/{kind}", files={"file": data})

    def end(self, pool: str, job: str) -> dict[str, Any]:
        for _ in range(3_000):
            found: dict[str, Any] = self.call("GET", f"/{pool}/jobs/{job}").json()
            if found["status"] in ("DONE", "ERROR", "CANCELED"):
                return found
            time.sleep(0.02)
        raise AssertionError("the job does not end")

    def push(self, pool: str, table: pa.Table, params: Any = None, **body: Any) -> dict[str, Any]:
        job = self.job(pool, **body)
        response = self.chunk(pool, job, _file(table))
        assert response.status_code == 200, response.text
        assert self.call("POST", f"/{pool}/jobs/{job}", params=params).status_code == 200
        return self.end(pool, job)


@pytest.mark.parametrize("base", [BASE, "/integration/api/v1/data-push"])
def test_a_job_passes_through_its_states_on_both_bases(celonis: Any, base: str) -> None:
    """NEW, then DONE with a log; the response has the API's fields; a chunk has its SHA-1."""
    client = Client(celonis, base)
    job = client.job("States", targetName="T", type="REPLACE", unknown=1)
    assert client.call("GET", f"/States/jobs/{job}").json()["status"] == "NEW"
    file = _file(pa.table({"A": [1]}))
    assert client.chunk("States", job, file).status_code == 200
    chunks = client.call("GET", f"/States/jobs/{job}/chunks").json()
    digest = hashlib.sha1(file, usedforsecurity=False).hexdigest()
    assert [(c["type"], c["checksum"]) for c in chunks] == [("UPSERT", digest)]
    assert client.call("POST", f"/States/jobs/{job}").status_code == 200
    found = client.end("States", job)
    assert found["status"] == "DONE"
    assert found["logs"][0][10] == "T"
    assert client.call("POST", f"/States/jobs/{job}").status_code == 400
    assert client.chunk("States", job, b"late").status_code == 400
    assert client.call("POST", f"/States/jobs/{job}/cancel").status_code == 400
    assert client.call("DELETE", f"/States/jobs/{job}").status_code == 204
    assert celonis.table("States", "t").to_pydict() == {"A": [1]}


SPELLINGS = {
    "/ at the end": lambda path: f"{path}/",
    "// everywhere": lambda path: path.replace("/", "//"),
    "jobs// and ///": lambda path: f"{path.replace('/jobs', '/jobs/')}///",
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
def test_slashes_in_a_path_do_not_matter(celonis: Any, spell: Any) -> None:
    """Several in a row, and one at the end, in every call; no call is redirected."""

    class Spelled(Client):
        def call(self, method: str, path: str, **options: Any) -> requests.Response:
            end = f"{self.url}{spell(self.base + path)}"
            options |= {"headers": self.headers, "allow_redirects": False}
            return requests.request(method, end, timeout=30, **options)

    spelled = Spelled(celonis)
    end = spelled.push("Slashes", pa.table({"A": [1]}), targetName="T", type="REPLACE")
    assert end["status"] == "DONE"
    assert spelled.call("GET", f"/Slashes/jobs/{end['id']}/chunks").status_code == 200
    assert spelled.call("GET", "/Slashes/jobs/nothing").status_code == 404
    pools = Spelled(celonis, "/integration/api/pools")
    assert pools.call("GET", f"/{end['dataPoolId']}").json()["name"] == "Slashes"
    assert pools.call("GET", "/Slashes/data-sources").json() == []
    assert pools.call("GET", "/Slashes/tables").json()[0]["name"] == "T"


def test_only_the_right_header_authenticates(celonis: Any) -> None:
    """A missing, malformed or unknown key gets 401, so does one of the other kind or in the URL."""
    url = f"{celonis.url}/integration/api/pools"
    for header in (None, "", celonis.token, f"Bearer {celonis.app_key}", "Bearer x",
                   f"AppKey {celonis.token}"):  # fmt: skip
        headers = {} if header is None else {"Authorization": header}
        response = requests.get(f"{url}?token={celonis.token}", headers=headers, timeout=30)
        assert response.status_code == 401
    good = {"Authorization": f"AppKey {celonis.app_key}"}
    assert requests.get(url, headers=good, timeout=30).status_code == 200


@pytest.mark.parametrize(
    ("table", "options", "accepted"),
    [
        (pa.table({"A": pa.array([1], pa.int32()), "B": [True], "C": ["x"], "D": [1.0]}), {}, True),
        (pa.table({"A": [1]}), {"compression": "none"}, True),
        (pa.table({"A": [1]}), {"compression": "zstd"}, False),
        (pa.table({"A": [1]}), {"data_page_version": "2.0"}, False),
        (pa.table({"A": pa.array([1], pa.uint32())}), {}, False),
        (pa.table({"A": pa.array([1], pa.date32())}), {}, False),
        (pa.table({"A": pa.array([1], pa.time64("us"))}), {}, False),
        (pa.table({"A": pa.array([1], pa.decimal128(5, 1))}), {}, False),
        (pa.table({"A": pa.array([b"x"], pa.binary())}), {}, False),
        (pa.table({"A": [[1]]}), {}, False),
        (pa.table({"A": pa.nulls(1)}), {}, False),
        (pa.table({"A": pa.array([1], pa.timestamp("ms"))}),
         {"use_deprecated_int96_timestamps": False}, True),
        (pa.table({"A": pa.array([1], pa.timestamp("us"))}),
         {"use_deprecated_int96_timestamps": False}, False),
    ],
)  # fmt: skip
def test_only_files_that_celonis_likely_accepts_are_accepted(
    celonis: Any, table: pa.Table, options: dict[str, Any], accepted: bool
) -> None:
    """A file that Celonis may not accept is rejected at upload; the error names the column."""
    client = Client(celonis)
    job = client.job("Strict", targetName="T", type="DELTA")
    response = client.chunk("Strict", job, _file(table, **options))
    assert response.status_code == (200 if accepted else 400)
    if not accepted:
        assert "A" in response.json()["errors"][0]["error"]


def test_bad_uploads_and_jobs_are_rejected(celonis: Any) -> None:
    """No Parquet file, a missing key, a delete without keys, a bad job: 400 with a reason."""
    client = Client(celonis)
    job = client.job("Reject", targetName="T", type="DELTA", keys=["K"])
    assert client.chunk("Reject", job, b"no parquet").status_code == 400
    assert "K" in client.chunk("Reject", job, _file(pa.table({"A": [1]}))).text
    plain = client.job("Reject", targetName="T", type="DELTA")
    response = client.chunk("Reject", plain, _file(pa.table({"A": [1]})), "deleted")
    assert response.json()["errors"][0]["errorCode"] == "DELETE_ONLY_POSSIBLE_FOR_DELTA"
    for body in ({}, {"targetName": "T"}, {"targetName": "T", "type": "APPEND"},
                 {"targetName": "T", "type": "DELTA", "connectionId": "nowhere"}):  # fmt: skip
        assert client.call("POST", "/Reject/jobs", json=body).status_code == 400
    assert client.call("POST", "/Reject/jobs", data=b"{").status_code == 400
    assert client.call("GET", "/Reject/jobs/none").status_code == 404


def test_strings_are_truncated_silently(celonis: Any) -> None:
    """To 80 characters, or to fieldLength or fallbackVarcharLength."""
    client = Client(celonis)
    long = pa.table({"S": ["ä" * 200]})
    for number, (more, length) in enumerate((
        ({}, 80),
        ({"fallbackVarcharLength": 120}, 120),
        ({"tableSchema": {"columns": [
            {"columnName": "s", "columnType": "STRING", "fieldLength": 150}]}}, 150),
    )):  # fmt: skip
        job = client.push("Cut", long, targetName=f"T{number}", type="REPLACE", **more)
        assert job["status"] == "DONE"
        assert celonis.table("Cut", f"T{number}").to_pydict() == {"S": ["ä" * length]}


def test_a_failing_job_changes_nothing(celonis: Any) -> None:
    """A type conflict ends in ERROR and the table is unchanged, after the drop of a REPLACE too."""
    client = Client(celonis)
    assert (
        client.push("Atom", pa.table({"A": [1]}), targetName="T", type="DELTA")["status"] == "DONE"
    )
    job = client.push("Atom", pa.table({"A": ["x"]}), targetName="t", type="DELTA")
    assert job["status"] == "ERROR"
    assert "INTEGER" in job["logs"][-1]
    celonis.faults.fail_jobs("disk full")
    job = client.push("Atom", pa.table({"A": [9]}), targetName="T", type="REPLACE")
    assert (job["status"], "disk full" in job["logs"][-1]) == ("ERROR", True)
    assert celonis.table("Atom", "T").to_pydict() == {"A": [1]}


def test_new_and_missing_columns(celonis: Any) -> None:
    """A DELTA may have new columns and lack others, unless the strategy forbids it."""
    client = Client(celonis)
    first, second = pa.table({"K": [1], "A": ["a"]}), pa.table({"K": [1, 2], "B": ["b", "b"]})
    client.push("Cols", first, targetName="T", type="DELTA", keys=["K"])
    body = {"targetName": "T", "type": "DELTA", "keys": ["K"]}
    strict = client.push("Cols", second, upsertStrategy="UPSERT_WITH_UNCHANGED_METADATA", **body)
    assert strict["status"] == "ERROR"
    assert client.push("Cols", second, **body)["status"] == "DONE"
    assert celonis.table("Cols", "T").sort_by("K").to_pydict() == {
        "K": [1, 2], "A": [None, None], "B": ["b", "b"]
    }  # fmt: skip


def test_no_chunk_and_duplicate_removal_without_keys(celonis: Any) -> None:
    """A job without chunks ends in ERROR; duplicateRemovalColumn needs keys."""
    client = Client(celonis)
    job = client.job("Odd", targetName="T", type="REPLACE")
    response = client.call("POST", f"/Odd/jobs/{job}", params={"duplicateRemovalColumn": "A"})
    assert response.json()["errors"][0]["errorCode"] == "REMOVE_DUPLICATE_WITHOUT_PK"
    assert client.call("POST", f"/Odd/jobs/{job}").status_code == 200
    assert client.end("Odd", job)["status"] == "ERROR"


def test_a_queued_and_a_running_job_can_be_cancelled(celonis: Any) -> None:
    """Cancelling in QUEUED and in RUNNING leaves no table."""
    client = Client(celonis)
    for stage in ("queued", "running"):
        celonis.faults.slow_jobs(**{stage: 20.0})
        job = client.job("Cancel", targetName="T", type="REPLACE")
        client.chunk("Cancel", job, _file(pa.table({"A": [1]})))
        client.call("POST", f"/Cancel/jobs/{job}")
        while client.call("GET", f"/Cancel/jobs/{job}").json()["status"] != stage.upper():
            time.sleep(0.01)
        assert client.call("DELETE", f"/Cancel/jobs/{job}").status_code == 400
        assert client.call("POST", f"/Cancel/jobs/{job}/cancel").status_code == 200
        assert client.end("Cancel", job)["status"] == "CANCELED"
        celonis.faults.clear()
    with pytest.raises(KeyError):
        celonis.table("Cancel", "T")


@pytest.mark.parametrize(
    "name", ['"; DROP TABLE x; --', "../../etc", "<script>alert(1)</script>", "T'x"]
)
def test_hostile_names_are_stored_and_escaped(celonis: Any, name: str) -> None:
    """Any name of a pool, table or column is stored, quoted in SQL and escaped on the page."""
    client = Client(celonis)
    pool = client.call("GET", "").status_code  # no such path
    assert pool == 404
    identifier = celonis.add_pool(f"Hostile {name}")
    table = pa.table({name: ["v"], "K": [1]})
    assert (
        client.push(identifier, table, targetName=name, type="DELTA", keys=["K"])["status"]
        == "DONE"
    )
    assert celonis.table(identifier, name).to_pydict() == {name: ["v"], "K": [1]}
    page = requests.get(celonis.url, timeout=30).text
    assert "<script>alert" not in page


def test_too_large_and_malformed_uploads_leave_nothing() -> None:
    """A file that is too large gets 413, a body that is no form 400; no file stays on disk."""
    with local.start(max_chunk_bytes=10_000) as celonis:
        client = Client(celonis)
        job = client.job("Big", targetName="T", type="DELTA")
        assert client.chunk("Big", job, os.urandom(10_001)).status_code == 413
        assert client.chunk("Big", job, os.urandom(500_000)).status_code == 413
        path = f"/Big/jobs/{job}/chunks/upserted"
        assert client.call("POST", path, data=b"x").status_code == 400
        assert client.call("POST", path, files={"other": b"x"}).status_code == 400
        assert not list(celonis._catalog.folder.iterdir())


def test_submissions_are_limited() -> None:
    """10 per second and 250 per hour; an hour begins at a full hour."""
    now = [7200.0]
    limiter = RateLimiter(lambda: now[0])
    assert [limiter.acquire() for _ in range(10)] == [0.0] * 10
    assert limiter.acquire() == pytest.approx(1.0)
    for second in range(1, 25):
        now[0] = 7200.0 + second
        assert not any(limiter.acquire() for _ in range(10))
    now[0] = 10_000.0
    assert limiter.acquire() == pytest.approx(800.0)
    now[0] = 10_800.0
    assert limiter.acquire() == 0.0
    with local.start() as celonis:
        client = Client(celonis)
        jobs = [client.job("Limit", targetName="T", type="REPLACE") for _ in range(25)]
        responses = [client.call("POST", f"/Limit/jobs/{job}") for job in jobs]
        rejected = [a for a in responses if a.status_code == 429]
        assert rejected
        assert rejected[0].headers["Retry-After"] == "1"


def test_a_killed_server_keeps_whole_tables(tmp_path: Path) -> None:
    """After kill -9 during a job its table is unchanged, the job in ERROR, other tables whole."""
    file = tmp_path / "c.duckdb"
    code = (
        "import sys\nfrom celonis_frames import local\n"
        f"c = local.start({str(file)!r}, token='t')\n"
        "c.faults.slow_jobs(running=0)\nprint(c.url, flush=True)\n"
        "for line in sys.stdin: c.faults.slow_jobs(running=60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout
        assert process.stdin
        server = type("Server", (), {"url": process.stdout.readline().strip(), "token": "t"})
        client = Client(server)
        table = pa.table({"A": list(range(1000))})
        assert client.push("P", table, targetName="T", type="REPLACE")["status"] == "DONE"
        waiting = client.job("P", targetName="W", type="REPLACE")
        client.chunk("P", waiting, _file(table))
        process.stdin.write("slow\n")
        process.stdin.flush()
        time.sleep(0.3)
        job = client.job("P", targetName="T", type="REPLACE")
        client.chunk("P", job, _file(pa.table({"A": [0]})))
        client.call("POST", f"/P/jobs/{job}")
        while client.call("GET", f"/P/jobs/{job}").json()["status"] != "RUNNING":
            time.sleep(0.01)
        process.kill()
    with local.start(file) as again:
        client = Client(again)
        assert client.end("P", job)["status"] == "ERROR"
        assert again.table("P", "T").to_pydict() == table.to_pydict()
        assert client.call("POST", f"/P/jobs/{waiting}").status_code == 200
        assert client.end("P", waiting)["status"] == "DONE"
        assert again.table("P", "W").num_rows == 1000


CSV = (
    'ID;NAME;WHEN;AMOUNT\r\n007;"a ""b"";\r\nc";2024-02-29T01:02:03.004+01:00;1.234,5\r\n8;"";;\r\n'
)


def test_csv_in_another_dialect(celonis: Any) -> None:
    """Separator, quotes, line breaks in strings, dates with zone, decimal comma, null and empty."""
    client = Client(celonis)
    columns = [("ID", "STRING"), ("NAME", "STRING"), ("WHEN", "DATETIME"), ("AMOUNT", "FLOAT")]
    job = client.job(
        "CSV", targetName="T", type="REPLACE", fileType="CSV",
        tableSchema={"columns": [{"columnName": n, "columnType": t} for n, t in columns]},
        csvParsingOptions={
            "separatorSequence": ";", "quoteSequence": '"', "escapeSequence": '"',
            "lineEnding": "\r\n", "decimalSeparator": ",", "thousandSeparator": ".",
            "dateFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        },
    )  # fmt: skip
    client.chunk("CSV", job, CSV.encode())
    client.call("POST", f"/CSV/jobs/{job}")
    found = client.end("CSV", job)
    assert found["status"] == "DONE", found["logs"]
    rows = celonis.table("CSV", "T").to_pylist()
    assert [str(v) for v in rows[0].values()] == [
        "007", 'a "b";\r\nc', "2024-02-29 00:02:03.004000", "1234.5"
    ]  # fmt: skip
    assert rows[1] == {"ID": "8", "NAME": "", "WHEN": None, "AMOUNT": None}
    assert strptime_format("dd.MM.yyyy HH:mm:ss.SSSSSS") == "%d.%m.%Y %H:%M:%S.%f"


def _curl(celonis: Any, *arguments: str) -> str:
    curl = shutil.which("curl")
    if curl is None:
        if os.environ.get("CI") == "true":
            pytest.fail("curl is missing, and CI must run this test")
        pytest.skip("curl is not installed")
    done = subprocess.run(
        [curl, "-sS", "--fail-with-body", "-H", f"Authorization: Bearer {celonis.token}",
         *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["PARQUET", "CSV"])
def test_curl_runs_a_job(celonis: Any, kind: str, tmp_path: Path) -> None:
    """Another client: create, add a chunk, execute and poll, in the documented order."""
    table = pa.table({"CASE": ["c1", "c2"], "ACTIVITY": ["Create", None]})
    path = tmp_path / "chunk"
    csv = b'CASE,ACTIVITY\n"c1","Create"\n"c2",\n'
    path.write_bytes(_file(table) if kind == "PARQUET" else csv)
    url = f"{celonis.url}{BASE}/Curl/jobs/"
    body = json.dumps({"targetName": f"T_{kind}", "type": "REPLACE", "fileType": kind})
    job = json.loads(
        _curl(celonis, "-X", "POST", "-H", "Content-Type: application/json", "-d", body, url)
    )
    _curl(celonis, "-F", f"file=@{path}", f"{url}{job['id']}/chunks/upserted")
    _curl(celonis, "-X", "POST", f"{url}{job['id']}")
    status = ""
    for _ in range(3_000):
        status = json.loads(_curl(celonis, f"{url}{job['id']}"))["status"]
        if status in ("DONE", "ERROR"):
            break
        time.sleep(0.02)
    assert status == "DONE"
    assert celonis.table("Curl", f"T_{kind}").to_pydict() == table.to_pydict()


KEYS = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("upserted"),
                  st.lists(st.tuples(KEYS, st.text("abcä", max_size=3)), min_size=1)),
        st.tuples(st.just("deleted"), st.lists(KEYS, min_size=1)),
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_upserts_and_deletes_apply_in_order(celonis: Any, steps: list[Any]) -> None:
    """Any sequence of chunks in a job does what a dictionary would do."""
    client = Client(celonis)
    first = pa.table({"K": [0, 1, 2], "V": ["x", "y", "z"]})
    client.push("Model", first, targetName="T", type="REPLACE", keys=["K"])
    model = {0: "x", 1: "y", 2: "z"}
    job = client.job("Model", targetName="T", type="DELTA", keys=["K"])
    for kind, rows in steps:
        if kind == "upserted":
            table = pa.table({"K": [k for k, _ in rows], "V": [v for _, v in rows]})
            model |= dict(rows)
        else:
            table = pa.table({"K": rows})
            model = {k: v for k, v in model.items() if k not in rows}
        assert client.chunk("Model", job, _file(table), kind).status_code == 200
    client.call("POST", f"/Model/jobs/{job}")
    assert client.end("Model", job)["status"] == "DONE"
    found = celonis.table("Model", "T").to_pydict()
    assert dict(zip(found["K"], found["V"], strict=True)) == model
    assert len(found["K"]) == len(model)


_KEY = st.none() | st.sampled_from(["a", "ab", "abc", "ü"])
_ROW = st.tuples(_KEY, st.none() | st.integers(0, 2), st.none() | st.integers(0, 3))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(_ROW, max_size=4),
    chunks=st.lists(st.lists(_ROW, min_size=1, max_size=6), min_size=1, max_size=3),
    by=st.none() | st.just("number"),
    kind=st.sampled_from(["PARQUET", "CSV"]),
    names=st.sampled_from([("K", "L"), ("file_row_number", "File_Index")]),
)
def test_one_row_of_each_key_is_kept(
    celonis: Any, before: Any, chunks: Any, by: str | None, kind: str, names: tuple[str, str]
) -> None:
    """Of rows with equal keys, the last or highest is kept; rows with null keys are all kept.

    Keys are compared as stored: the first is truncated to two characters.
    """
    client = Client(celonis)
    schema = pa.schema({names[0]: pa.string(), names[1]: pa.int64(), "number": pa.int64()})

    def written(rows: list[Any]) -> bytes:
        if kind == "PARQUET":
            table = [dict(zip(schema.names, row, strict=True)) for row in rows]
            return _file(pa.Table.from_pylist(table, schema))
        lines = [",".join("" if v is None else str(v) for v in row) for row in rows]
        return "\n".join([",".join(schema.names), *lines, ""]).encode()

    columns = [
        {"columnName": name, "columnType": kind_, "fieldLength": length}
        for name, kind_, length in zip(
            schema.names, ("STRING", "INTEGER", "INTEGER"), (2, None, None), strict=True
        )
    ]
    body = {"targetName": "T", "keys": list(names), "fileType": kind,
            "tableSchema": {"tableName": "T", "columns": columns}}  # fmt: skip
    expected: list[Any] = []
    for mode, files, removal in (("REPLACE", [before], None), ("DELTA", chunks, by)):
        job = client.job("Distinct", type=mode, **body)
        for rows in files:
            assert client.chunk("Distinct", job, written(rows)).status_code == 200
        client.call("POST", f"/Distinct/jobs/{job}", params={"duplicateRemovalColumn": removal})
        assert client.end("Distinct", job)["status"] == "DONE"
        cut = [(k and k[:2], *rest) for rows in files for k, *rest in rows]
        best: dict[Any, int] = {}
        for place, row in enumerate(cut):
            if None in row[:2]:
                continue
            other = best.get(row[:2])
            if other is None or removal is None or _rank(row) >= _rank(cut[other]):
                best[row[:2]] = place
        expected = [row for row in expected if row[:2] not in best]
        expected += [
            row for place, row in enumerate(cut) if None in row[:2] or best[row[:2]] == place
        ]
    found = celonis.table("Distinct", "T").to_pydict()
    assert list(zip(*found.values(), strict=True)) == expected


def _rank(row: Any) -> int:
    return -1 if row[2] is None else int(row[2])


def test_openapi_has_every_route(celonis: Any) -> None:
    """The description has all routes but those of the page, and its ids are unique."""
    description = requests.get(f"{celonis.url}/openapi.json", timeout=30).json()
    routes = {(route.path, method.lower()) for route in celonis._server.config.app.routes
              for method in getattr(route, "methods", ()) if method != "HEAD"}  # fmt: skip
    described = {(p, m) for p, methods in description["paths"].items() for m in methods}
    assert routes - described == {("/", "get"), ("/replay", "post"), ("/openapi.json", "get")}
    ids = [o["operationId"] for methods in description["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids))


def test_the_page_shows_tables_and_jobs(celonis: Any) -> None:
    """The page shows names, types, rows and states."""
    Client(celonis).push("Page", pa.table({"A": ["<b>"]}), targetName="T", type="REPLACE")
    page = requests.get(celonis.url, timeout=30).text
    assert "Page" in page
    assert "&lt;b&gt;" in page
    assert "STRING(80)" in page


def test_every_assumption_is_a_sentence() -> None:
    """The list of assumptions has unique topics and whole sentences."""
    assert len({topic for topic, *_ in ASSUMPTIONS}) == len(ASSUMPTIONS)
    assert all(assumption.endswith(".") for _, assumption, _ in ASSUMPTIONS)


def test_an_assumption_is_of_a_setting() -> None:
    """Each setting is named by an assumption, and each that is named exists."""
    named = [name for *_, names in ASSUMPTIONS for name in names.split(", ") if name]
    assert {*named} == {one.name for one in dataclasses.fields(Assumptions)}
    described = inspect.getdoc(Assumptions) or ""
    assert all(f"\n    {name}: " in described for name in named)


@pytest.mark.parametrize(
    "wrong",
    [
        {"codecs": {"zip"}}, {"codecs": "zstd "}, {"timestamps": ["s"]}, {"dates": 1},
        {"max_length": 0}, {"max_length": 65_001}, {"max_length": True}, {"informational": 101},
        {"informational": 200}, {"checksum": "md4"}, {"delete_status": 404},
        {"delete_status": 200.0}, {"row_counts": None}, {"order": "random"},
    ],
    ids=str,
)  # fmt: skip
def test_a_setting_that_cannot_be_is_said(wrong: dict[str, Any]) -> None:
    """With the values that it can have."""
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"Assumptions\({name}=.*it can be "):
        Assumptions(**wrong)


def test_lenient_or_assumptions() -> None:
    """`lenient` is a name for some assumptions: both together would contradict each other."""
    with pytest.raises(ConfigError, match="not both"):
        local.start(lenient=True, assumptions=Assumptions())
    assert Assumptions(codecs=["zstd", "none"]).codecs == ("none", "zstd")
    assert Assumptions(codecs="zstd").codecs == ("zstd",)


def test_a_declared_type_is_an_error_beside_a_column_that_is_ignored() -> None:
    """A column _CELONIS_CHANGE_DATE that is left out does not hide the columns after it."""
    assumed = Assumptions(sent_change_dates="ignore", declared_types="error")
    table = pa.table({"_CELONIS_CHANGE_DATE": ["x"], "A": [1]})
    declared = {"columns": [{"columnName": "A", "columnType": "FLOAT"}]}
    body = {"targetName": "T", "type": "REPLACE"}
    with local.start(assumptions=assumed) as running:
        job = Client(running).push("P", table, tableSchema=declared, **body)
        assert job["status"] == "ERROR"
        assert "Column A is INTEGER in the file, declared FLOAT" in job["logs"][-1]
        assert Client(running).push("P", table, **body)["status"] == "DONE"
        assert running.table("P", "T").to_pydict() == {"A": [1]}


def test_the_fixture_is_a_local_celonis_of_its_own(local_celonis: Any, celonis: Any) -> None:
    """The pytest plugin gives each test a new server in memory."""
    assert local_celonis.url != celonis.url
    assert (local_celonis.path, local_celonis.jobs) == (None, [])
    end = Client(local_celonis).push("P", pa.table({"A": [1]}), targetName="T", type="REPLACE")
    assert end["status"] == "DONE"
    assert local_celonis.table("P", "T").to_pylist() == [{"A": 1}]


@pytest.mark.parametrize("pool", ["soak", "memory", "_celonis_catalog", "main", "system"])
def test_a_pool_may_have_any_name(pool: str, tmp_path: Path) -> None:
    """Also the name of the file, or of a database or schema of DuckDB, in a file or in memory."""
    for path in (tmp_path / "soak.duckdb", None):
        with local.start(path) as running, running.connect() as connection:
            connection.push(pa.table({"A": [1]}), pool, pool)
            connection.push(pa.table({"A": [2]}), pool, pool)
            assert sorted(running.table(pool, pool)["A"].to_pylist()) == [1, 2]
