"""Data jobs of the local Celonis, called with plain HTTP requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from processing_client import JOBS, RUN, ProcessingClient

from celonis_frames import local
from celonis_frames.exceptions import ConfigError, JobFailed


@pytest.fixture
def client() -> Iterator[ProcessingClient]:
    """A local Celonis whose pool P has the table EVENTS, of 2 rows, from a push."""
    with local.start(limits=False) as celonis, celonis.connect() as connection:
        rows = pa.table({"ID": [1, 2], "NAME": ["a", "b"]})
        connection.push(rows, "P", "EVENTS", progress=False)
        yield ProcessingClient(celonis)


def _listed(client: ProcessingClient) -> dict[str, str]:
    tables = client.json("/integration/api/pools/{pool}/tables")
    return {table["name"]: table["type"] for table in tables}


def _columns(client: ProcessingClient, table: str) -> list[tuple[str, str, int | None]]:
    found = client.json(f"/integration/api/pools/{{pool}}/columns?tableName={table}")
    return [(column["name"], column["type"], column["length"]) for column in found]


# What the statements do


def test_names_without_a_schema_are_tables_of_the_pool(client: ProcessingClient) -> None:
    """What SQL creates is in the pool's global schema, and everywhere where tables are."""
    job = client.sql(
        "CREATE TABLE PER_NAME AS SELECT NAME, count(*) AS N FROM EVENTS GROUP BY NAME; "
        "CREATE VIEW LAST AS SELECT max(ID) AS ID FROM EVENTS",
        "INSERT INTO EVENTS (ID) SELECT N + 6 FROM PER_NAME LIMIT 1",
    )
    assert (job["status"], job["message"]) == ("SUCCESS", None)
    assert _listed(client) == {"EVENTS": "TABLE", "PER_NAME": "TABLE", "LAST": "VIEW"}
    assert _columns(client, "PER_NAME") == [("NAME", "STRING", 65_000), ("N", "INTEGER", None)]
    table = client.celonis.table("P", "per_name")
    assert sorted(zip(*table.to_pydict().values(), strict=True)) == [("a", 1), ("b", 1)]
    assert client.celonis.table("P", "LAST").to_pydict() == {"ID": [7]}
    client.load()
    assert client.rows("LAST").to_pydict() == {"ID": [7]}


def test_a_data_job_is_one_transaction(client: ProcessingClient) -> None:
    """If a statement fails, nothing of the data job remains; the message says why."""
    client.celonis.add_data_job(
        "P", "J", ["DELETE FROM EVENTS; CREATE TABLE T AS SELECT 1 AS a", "SELECT * FROM NOWHERE"]
    )
    job = client.run("J")
    assert job["status"] == "FAIL"
    assert job["message"] == "Statement 3: Catalog Error: Table with name NOWHERE does not exist!"
    assert _listed(client) == {"EVENTS": "TABLE"}
    assert client.celonis.table("P", "EVENTS").num_rows == 2


@pytest.mark.parametrize(
    ("sql", "listed"),
    [
        ("DROP TABLE EVENTS", {}),
        ("ALTER TABLE EVENTS RENAME TO LOG", {"LOG": ["ID", "NAME"]}),
        ("ALTER TABLE EVENTS DROP COLUMN NAME", {"EVENTS": ["ID"]}),
        ("ALTER TABLE EVENTS ADD COLUMN KIND VARCHAR", {"EVENTS": ["ID", "NAME", "KIND"]}),
        ("CREATE OR REPLACE TABLE EVENTS AS SELECT * FROM EVENTS", {"EVENTS": ["ID", "NAME"]}),
        ("DROP TABLE EVENTS; CREATE TABLE events AS SELECT 1 AS a", {"events": ["a"]}),
        ("CREATE TEMP TABLE T AS SELECT 1 AS a", {"EVENTS": ["ID", "NAME"]}),
        ("CREATE TABLE T AS SELECT 1 AS a; DROP TABLE T", {"EVENTS": ["ID", "NAME"]}),
        ("UPDATE EVENTS SET NAME = 'c'; DELETE FROM EVENTS", {"EVENTS": ["ID", "NAME"]}),
        ("", {"EVENTS": ["ID", "NAME"]}),
    ],
)
def test_the_catalog_follows_the_statements(
    client: ProcessingClient, sql: str, listed: dict[str, list[str]]
) -> None:
    """Tables that are dropped, renamed or changed are listed as they are."""
    client.sql(sql)
    assert list(_listed(client)) == list(listed)
    for name, columns in listed.items():
        assert client.celonis.table("P", name).column_names == columns


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("1", "INTEGER", 1),
        ("sum(1)", "INTEGER", 1),
        ("1.5", "FLOAT", 1.5),
        ("1.5::FLOAT", "FLOAT", 1.5),
        ("'a'", "STRING", "a"),
        ("true", "INTEGER", True),
        ("DATE '2020-01-02'", "DATE", dt.date(2020, 1, 2)),
        ("TIMESTAMP_S '2020-01-02 03:04:05'", "DATE", dt.datetime(2020, 1, 2, 3, 4, 5)),
        ("TIME '03:04:05'", "STRING", dt.time(3, 4, 5)),
    ],
)
def test_columns_get_the_types_of_celonis(
    client: ProcessingClient, expression: str, kind: str, value: Any
) -> None:
    """Types that SQL computes are stored as the nearest type that a push can write too."""
    client.sql(f"CREATE TABLE T AS SELECT {expression} AS A")
    assert [column[:2] for column in _columns(client, "T")] == [("A", kind)]
    assert client.celonis.table("P", "T").to_pydict() == {"A": [value]}


@pytest.mark.parametrize("expression", ["[1]", "{'a': 1}", "'a'::BLOB", "INTERVAL 1 DAY"])
def test_other_types_fail(client: ProcessingClient, expression: str) -> None:
    """A column whose type Celonis does not have is named, and nothing is created."""
    client.celonis.add_data_job("P", "J", f"CREATE TABLE T AS SELECT {expression} AS ODD")
    job = client.run("J")
    assert job["status"] == "FAIL"
    assert "Column ODD of table T has the type" in job["message"]
    assert "T" not in _listed(client)


def test_rows_can_be_pushed_into_a_table_of_sql(client: ProcessingClient) -> None:
    """The first push adds the column that the server fills; a view takes no rows."""
    client.sql(
        "CREATE TABLE T AS SELECT 1 AS ID, 'a' AS NAME", "CREATE VIEW V AS SELECT ID FROM EVENTS"
    )
    assert client.celonis.table("P", "T", change_date=True).column_names == ["ID", "NAME"]
    with client.celonis.connect() as connection:
        rows = pa.table({"ID": [1, 2], "NAME": ["b", "c" * 200]})
        connection.push(rows, "P", "T", keys=["ID"], progress=False)
        for mode in ("DELTA", "REPLACE"):
            with pytest.raises(JobFailed, match="V is a view"):
                connection.push(pa.table({"ID": [1]}), "P", "V", mode=mode, progress=False)
    found = client.celonis.table("P", "T", change_date=True)
    assert found["NAME"].to_pylist() == ["b", "c" * 200]
    assert found["_CELONIS_CHANGE_DATE"].null_count == 0
    client.sql("INSERT INTO T (ID) VALUES (3)")
    assert client.celonis.table("P", "T").num_rows == 3


def test_lengths_of_columns(client: ProcessingClient) -> None:
    """A string column of SQL holds 16,250 characters; unchanged columns keep their lengths."""
    before = _columns(client, "EVENTS")
    client.sql("CREATE TABLE T AS SELECT NAME FROM EVENTS", "DELETE FROM EVENTS")
    assert _columns(client, "T") == [("NAME", "STRING", 4 * 16_250)]
    assert _columns(client, "EVENTS") == before


def test_a_view_whose_table_is_gone(client: ProcessingClient) -> None:
    """It stays in the list, has no rows, and does no harm to other data jobs."""
    client.sql("CREATE VIEW V AS SELECT ID FROM EVENTS", "DROP TABLE EVENTS")
    (view,) = client.json("/integration/api/pools/{pool}/tables")
    assert (view["name"], view["type"], view["rowCount"]) == ("V", "VIEW", 0)
    client.sql("CREATE TABLE EVENTS AS SELECT 5 AS ID")
    assert client.celonis.table("P", "V").to_pydict() == {"ID": [5]}


def test_variables_of_the_process_are_no_tables(client: ProcessingClient) -> None:
    """DuckDB would find Python variables by their names."""
    job = {"id": [1]}  # a name that the runner has too
    client.celonis.add_data_job("P", "J", "CREATE TABLE T AS SELECT * FROM job")
    assert client.run("J")["status"] == "FAIL"
    assert job


def test_tables_of_data_connections_have_their_schema(client: ProcessingClient) -> None:
    """They are named as in `LocalCelonis.sql`."""
    client.celonis.add_connection("P", "SAP")
    with client.celonis.connect() as connection:
        connection.push(pa.table({"A": [4]}), "P", "T", connection="SAP", progress=False)
    client.sql(
        'CREATE TABLE COPIED AS SELECT A FROM "P/SAP".T', 'INSERT INTO "P/SAP".T (A) VALUES (5)'
    )
    assert client.celonis.table("P", "COPIED").to_pydict() == {"A": [4]}
    assert client.celonis.table("P", "T", connection="SAP").num_rows == 2


# What may be recorded


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("COPY (SELECT 1) TO 'x.csv'", "COPY"),
        ("COPY EVENTS FROM 'x.csv'", "COPY"),
        ("EXPORT DATABASE 'x'", "EXPORT"),
        ("ATTACH 'x.duckdb' AS x", "ATTACH"),
        ("DETACH memory", "DETACH"),
        ("INSTALL httpfs", "LOAD"),
        ("LOAD httpfs", "LOAD"),
        ("SET threads = 1", "SET"),
        ("USE memory", "SET"),
        ("PRAGMA enable_profiling", "PRAGMA"),
        ("CHECKPOINT", "CALL"),
        ("SELECT 1; COMMIT; DROP TABLE EVENTS", "TRANSACTION"),
    ],
)
def test_statements_that_reach_further_are_rejected(
    client: ProcessingClient, sql: str, kind: str
) -> None:
    """A data job reads and writes tables; DuckDB's parser says what a statement is."""
    with pytest.raises(ConfigError, match=f"may not have {kind} statements"):
        client.celonis.add_data_job("P", "J", ["SELECT 1", sql])
    assert client.json(JOBS) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sql": "FETCH 1"}, "Statement 1 .* syntax error"),
        ({"sql": ["SELECT 1", 7]}, "Statement 2 of the data job 'J' is no string"),
        ({"sql": None}, "sql=None must be a string of SQL, or a list of strings"),
        ({"sql": {"SELECT 1"}}, "sql=<set of str> must be a string of SQL"),
        ({"name": ""}, "no name of a data job"),
        ({"pool": None}, "no name of a pool"),
    ],
)
def test_bad_arguments_are_errors(
    client: ProcessingClient, options: dict[str, Any], message: str
) -> None:
    """`add_data_job` rejects them, and adds nothing."""
    with pytest.raises(ConfigError, match=message):
        client.celonis.add_data_job(**({"pool": "P", "name": "J", "sql": "SELECT 1"} | options))
    assert client.json(JOBS) == []


def test_a_data_job_can_get_other_statements(client: ProcessingClient) -> None:
    """A name is one data job, whose id stays; a pool that does not exist is added."""
    key = client.celonis.add_data_job("P", "J", "SELECT * FROM NOWHERE")
    assert client.celonis.add_data_job("p", "j", "SELECT 1") == key
    assert client.run(key)["status"] == "SUCCESS"
    client.celonis.add_data_job("New", "J", "SELECT 1")
    assert ProcessingClient(client.celonis, pool="New").run("J")["status"] == "SUCCESS"


# Calls


def test_how_a_data_job_is_executed(client: ProcessingClient) -> None:
    """By both spellings, with a mode that is recorded; each execution has an id."""
    key = client.celonis.add_data_job("P", "J", "SELECT 1")
    new = client.json(f"{JOBS}/{{job}}")
    assert client.json(JOBS) == [new]
    assert (new["id"], new["name"], new["status"]) == (key, "J", "NEW")
    assert (new["currentExecutionId"], new["mode"], new["startDate"]) == (None, None, None)
    executions = set()
    old = f"{JOBS}/{{job}}/execute"
    for path, options, mode in (
        (RUN, {"params": {"mode": "FULL"}}, "FULL"),
        (RUN, {}, "DELTA"),
        (old, {"json": {"poolId": "P", "jobId": key, "mode": "FULL"}}, "FULL"),
        (old, {"json": {}}, "DELTA"),
    ):
        response = client.call("POST", path, **options)
        assert (response.status_code, response.content) == (200, b"")
        job = client.job_end("J")
        assert (job["status"], job["mode"]) == ("SUCCESS", mode)
        assert job["startDate"] <= job["endDate"]
        executions.add(job["currentExecutionId"])
    assert len(executions) == 4


def test_bad_calls_are_rejected(client: ProcessingClient) -> None:
    """Unknown modes and bodies get 400, unknown data jobs and pools 404; nothing is executed."""
    client.celonis.add_data_job("P", "J", "DELETE FROM EVENTS")
    old = f"{JOBS}/{{job}}/execute"
    assert client.call("POST", RUN, params={"mode": "full"}).status_code == 400
    for body in ([], "x", {"mode": 7}, {"mode": ["FULL"]}):
        assert client.call("POST", old, json=body).status_code == 400
    assert client.call("POST", RUN.replace("{job}", "K")).status_code == 404
    assert client.call("GET", f"{JOBS}/K").status_code == 404
    other = ProcessingClient(client.celonis, pool="Nowhere")
    assert [other.call("GET", JOBS).status_code, other.call("POST", RUN).status_code] == [404] * 2
    assert client.json(f"{JOBS}/{{job}}")["status"] == "NEW"


def test_scopes() -> None:
    """Reading needs the scope for reading or the broad one, executing the broad one."""
    with local.start() as celonis:
        celonis.add_data_job("P", "J", "SELECT 1")
        status = {}
        for scope in ("", ":read", ":data_push"):
            token = requests.post(
                f"{celonis.url}/oauth2/token",
                {"grant_type": "client_credentials", "scope": f"integration.data-pools{scope}"},
                auth=celonis.oauth_client, timeout=30,
            ).json()["access_token"]  # fmt: skip
            client = ProcessingClient(celonis, token=token)
            calls = (("GET", JOBS), ("GET", f"{JOBS}/{{job}}"), ("POST", RUN))
            status[scope] = [client.call(*each).status_code for each in calls]
        assert status == {"": [200] * 3, ":read": [200, 200, 403], ":data_push": [403] * 3}


# Faults and restart


def test_a_data_job_that_runs_refuses_another_execution(client: ProcessingClient) -> None:
    """With 409, while it is QUEUED or RUNNING."""
    client.celonis.add_data_job("P", "J", "INSERT INTO EVENTS (ID) VALUES (3)")
    seen = set()
    for pace in ({"queued": 0.4}, {"running": 0.4}):
        client.celonis.faults.slow_data_jobs(**pace)
        assert client.call("POST", RUN).status_code == 200
        while (job := client.json(f"{JOBS}/{{job}}"))["status"] == "QUEUED" and "running" in pace:
            pass
        seen.add(job["status"])
        assert client.call("POST", RUN).status_code == 409
        assert client.job_end("J")["status"] == "SUCCESS"
    assert seen == {"QUEUED", "RUNNING"}
    assert client.celonis.table("P", "EVENTS").num_rows == 4


def test_someone_else_can_execute_the_data_job(client: ProcessingClient) -> None:
    """The next call gets 409, and all calls until that execution has ended."""
    client.celonis.add_data_job("P", "J", "INSERT INTO EVENTS (ID) VALUES (3)")
    client.celonis.faults.busy_data_jobs(0.3)
    assert [client.call("POST", RUN).status_code for _ in range(2)] == [409, 409]
    other = client.job_end("J")["currentExecutionId"]
    assert client.run("J")["currentExecutionId"] != other
    assert client.celonis.table("P", "EVENTS").num_rows == 4


def test_a_data_job_can_fail(client: ProcessingClient) -> None:
    """With a message, before any statement; the next execution succeeds."""
    client.celonis.add_data_job("P", "J", "DELETE FROM EVENTS")
    client.celonis.faults.fail_data_jobs("the licence has expired")
    job = client.run("J")
    assert (job["status"], job["message"]) == ("FAIL", "the licence has expired")
    assert client.celonis.table("P", "EVENTS").num_rows == 2
    job = client.run("J")
    assert (job["status"], job["message"]) == ("SUCCESS", None)


@pytest.mark.parametrize(("when", "status"), [("before", "NEW"), ("after", "SUCCESS")])
def test_connections_break_before_and_after_an_execution(
    client: ProcessingClient, when: Any, status: str
) -> None:
    """The faults of connections strike these calls too, as do other responses."""
    client.celonis.add_data_job("P", "J", "SELECT 1")
    client.celonis.faults.drop("run_data_job", when=when)
    client.celonis.faults.answer("data_job", 503)
    with pytest.raises(requests.ConnectionError):
        client.call("POST", RUN)
    assert client.call("GET", f"{JOBS}/{{job}}").status_code == 503
    assert client.job_end("J")["status"] == status


def test_clear_removes_the_faults_of_data_jobs(client: ProcessingClient) -> None:
    """Those that are due, and the slowness."""
    faults = client.celonis.faults
    faults.slow_data_jobs(queued=60, running=60)
    faults.fail_data_jobs("no")
    faults.busy_data_jobs(60)
    faults.clear()
    client.sql("SELECT 1")


@pytest.mark.parametrize(
    ("pace", "status", "rows"),
    [({"queued": 60}, "SUCCESS", 2), ({"running": 60}, "FAIL", 1)],
    ids=["queued", "running"],
)
def test_data_jobs_survive_a_restart(
    tmp_path: Path, pace: dict[str, float], status: str, rows: int
) -> None:
    """One that was QUEUED is executed, one that was RUNNING is FAIL and changed nothing."""
    file = tmp_path / "celonis.duckdb"
    with local.start(file) as celonis:
        client = ProcessingClient(celonis)
        client.sql("CREATE TABLE T AS SELECT 1 AS a", name="First")
        key = celonis.add_data_job("P", "J", "INSERT INTO T VALUES (2)")
        celonis.faults.slow_data_jobs(**pace)
        assert client.call("POST", RUN).status_code == 200
        while "running" in pace and client.json(f"{JOBS}/{{job}}")["status"] == "QUEUED":
            pass
    with local.start(file) as celonis:
        client = ProcessingClient(celonis)
        job = client.job_end(key)
        assert job["status"] == status
        assert (job["message"] or "the tables are unchanged").endswith("the tables are unchanged")
        assert celonis.table("P", "T").num_rows == rows
        assert client.run("First")["status"] == "FAIL"  # T exists: the data jobs are all there
