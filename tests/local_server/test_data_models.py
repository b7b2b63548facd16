"""Data models of the local Celonis and their loads, called with plain HTTP requests."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from processing_client import JOBS, NEW, OLD, RUN, ProcessingClient, counts

from celonis_frames import local
from celonis_frames.exceptions import ConfigError
from celonis_frames.local._processing.loads import HISTORY

CODE = "DATA_MODEL_IS_CREATED_BY_ITS_FIRST_LOAD"


@pytest.fixture
def client() -> Iterator[ProcessingClient]:
    """A local Celonis whose pool P has the tables EVENTS, of 2 rows, and CASES, of 1 row."""
    with local.start(limits=False) as celonis:
        celonis.add_pool("P")
        client = ProcessingClient(celonis)
        client.sql(
            "CREATE TABLE EVENTS AS SELECT unnest([1, 2]) AS id",
            "CREATE TABLE CASES AS SELECT 'a' AS c",
        )
        yield client


# Data models and their tables


def test_the_first_load_creates_a_data_model(client: ProcessingClient) -> None:
    """With all tables of the pool. A look-up creates none; its code says that a load does."""
    for path in (OLD, f"{NEW}/tables", f"{NEW}/last-load", f"{OLD}/load-history/load-info-sync"):
        response = client.call("GET", path)
        assert response.status_code == 404
        assert response.json()["errors"][0]["errorCode"] == CODE
    assert client.json("/integration/api/pools/{pool}/data-models") == []
    load = client.load()
    assert load["loadStatus"] == "SUCCESS"
    assert counts(load) == {"CASES": 1, "EVENTS": 2}
    (model,) = client.json("/integration/api/pools/{pool}/data-models")
    assert model == client.json(OLD)
    assert (model["name"], {t["name"] for t in model["tables"]}) == ("M", {"EVENTS", "CASES"})
    assert model["poolId"] == client.json("/integration/api/pools/{pool}")["id"]


def test_a_load_creates_no_pool(client: ProcessingClient) -> None:
    """In a pool that does not exist, every call on data models gets 404 without the code."""
    other = ProcessingClient(client.celonis, pool="Nowhere")
    for method, path in (("GET", OLD), ("POST", f"{OLD}/reload"), ("POST", f"{NEW}/load")):
        response = other.call(method, path)
        assert (response.status_code, response.content) == (404, b"")
    assert len(client.json("/integration/api/pools")) == 1


def test_a_strict_server_creates_no_data_model() -> None:
    """With strict_pools=True a load of an unknown data model gets 404, as a look-up does."""
    with local.start(strict_pools=True) as celonis:
        celonis.add_pool("P")
        client = ProcessingClient(celonis)
        for method, path in (("GET", OLD), ("POST", f"{OLD}/reload"), ("POST", f"{NEW}/load")):
            response = client.call(method, path)
            assert (response.status_code, response.content) == (404, b"")
        assert client.json("/integration/api/pools/{pool}/data-models") == []


def test_a_data_model_is_found_by_id_and_name(client: ProcessingClient) -> None:
    """Case does not matter; `add_data_model` returns the id, of an existing data model too."""
    key = client.celonis.add_data_model("P", "Order to cash", ["EVENTS"])
    assert client.celonis.add_data_model("p", "ORDER to cash", ["CASES"]) == key
    for name in (key, key.upper(), "Order to cash", "order TO cash"):
        assert client.json(OLD.replace("{model}", name))["id"] == key
    assert list(client.tables(key)) == ["EVENTS", "CASES"]


def test_a_data_model_of_all_tables_gets_later_ones(client: ProcessingClient) -> None:
    """And loses those that the pool loses, with their rows at the next load of all tables."""
    client.celonis.add_data_model("P", "M")
    client.celonis.add_data_model("P", "Named", ["events"])
    assert counts(client.load()) == {"CASES": 1, "EVENTS": 2}
    client.sql("CREATE TABLE LATER AS SELECT 1 AS a", "DROP TABLE CASES")
    assert list(client.tables()) == ["EVENTS", "LATER"]
    assert client.rows("CASES").num_rows == 1
    assert counts(client.load()) == {"EVENTS": 2, "LATER": 1}
    with pytest.raises(KeyError, match="CASES"):
        client.rows("CASES")
    assert counts(client.load("Named")) == {"EVENTS": 2}


def test_tables_of_data_connections(client: ProcessingClient) -> None:
    """The second table of a name has its data connection in its name, as an alias."""
    celonis = client.celonis
    sap = celonis.add_connection("P", "SAP")
    with celonis.connect() as connection:
        for name, ids in (("EVENTS", [7]), ("USERS", [8, 9])):
            connection.push(pa.table({"id": ids}), "P", name, connection="SAP", progress=False)
    celonis.add_data_model("P", "M")
    celonis.add_data_model("P", "Sap only", connection="sap")
    celonis.add_data_model("P", "Sap users", ["USERS"], connection=sap)
    assert counts(client.load()) == {"CASES": 1, "EVENTS": 2, "SAP_EVENTS": 1, "USERS": 2}
    assert client.rows("SAP_EVENTS").to_pydict() == {"id": [7]}
    assert client.rows("EVENTS").to_pydict() == {"id": [1, 2]}
    table = client.tables()["SAP_EVENTS"]
    assert (table["name"], table["alias"], table["dataSourceId"]) == ("EVENTS", "SAP_EVENTS", sap)
    assert [c["name"] for c in table["columns"]] == ["id"]
    assert client.tables()["EVENTS"]["dataSourceId"] is None
    assert counts(client.load("Sap only")) == {"EVENTS": 1, "USERS": 2}
    assert counts(client.load("Sap users")) == {"USERS": 2}


def test_both_spellings_list_the_same_tables(client: ProcessingClient) -> None:
    """The singular data-model of the official client, and the newer path."""
    client.celonis.add_data_model("P", "M", ["EVENTS", "CASES"])
    old = client.json("/integration/api/pools/{pool}/data-model/{model}/tables")
    assert old == client.json(f"{NEW}/tables") == client.json(OLD)["tables"]
    assert all(table["primaryKeys"] == [] for table in old)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": " "}, "no name of a data model"),
        ({"pool": 7}, "no name of a pool"),
        ({"tables": ["T", ""]}, "no name of a table"),
        ({"connection": "SAP"}, "no data connection 'SAP' in pool 'P'"),
    ],
)
def test_bad_arguments_are_errors(
    client: ProcessingClient, options: dict[str, Any], message: str
) -> None:
    """`add_data_model` rejects them, and adds nothing."""
    given = {"pool": "P", "name": "M"} | options
    with pytest.raises(ConfigError, match=message):
        client.celonis.add_data_model(**given)
    assert client.json("/integration/api/pools/{pool}/data-models") == []


def test_what_is_not_there_is_a_key_error(client: ProcessingClient) -> None:
    """`model_table` lists what there is."""
    client.load()
    for pool, model, table, listed in (
        ("Q", "M", "EVENTS", r"pools are \['P'\]"),
        ("P", "N", "EVENTS", r"data models are \['M'\]"),
        ("P", "M", "NONE", r"loaded tables are \['CASES', 'EVENTS'\]"),
    ):
        with pytest.raises(KeyError, match=listed):
            client.celonis.model_table(pool, model, table)


# Loads


@pytest.mark.parametrize(
    "path", [f"{NEW}/load", f"{OLD}/reload", f"{OLD}/reload?forceComplete=true"]
)
def test_a_data_model_shows_the_rows_of_its_last_load(client: ProcessingClient, path: str) -> None:
    """What is pushed later is in the pool, and in the data model after the next load."""
    client.load()
    with client.celonis.connect() as connection:
        connection.push(pa.table({"id": [3]}), "P", "EVENTS", progress=False)
    assert client.rows("EVENTS").to_pydict() == {"id": [1, 2]}
    assert client.call("POST", path).content == b""
    assert counts(client.load_end()) == {"CASES": 1, "EVENTS": 3}
    assert client.rows("events").to_pydict() == {"id": [1, 2, 3]}
    assert client.celonis.sql('FROM "P/models/M"."EVENTS"').num_rows == 3


def test_the_load_info_describes_the_last_load_and_what_is_loaded(client: ProcessingClient) -> None:
    """Before the first load it has neither; times are in milliseconds."""
    client.celonis.add_data_model("P", "M")
    info = client.info()
    live = info["loadInfo"]["liveDataModel"]
    assert (live["done"], live["error"], live["lastLoad"], live["tableLoads"]) == (
        True, False, None, [],
    )  # fmt: skip
    assert info["loadInfo"]["currentComputeLoad"] is None
    never = client.json(f"{NEW}/last-load")
    assert (never["dataLoadId"], never["loadStatus"], never["tableLoads"]) == (None, None, [])
    before = time.time() * 1000
    last = client.load()
    info = client.info()
    assert last["tableLoads"] == info["loadInfo"]["liveDataModel"]["tableLoads"]
    assert {key: last[key] for key in last if key != "tableLoads"} == (
        info["loadInfo"]["currentComputeLoad"]
    )
    assert info["loadHistory"]["dataLoadHistory"] == [info["loadInfo"]["currentComputeLoad"]]
    assert before - 1 <= last["startDate"] <= last["endDate"] <= time.time() * 1000
    assert info["loadInfo"]["liveDataModel"]["lastLoad"] == last["endDate"]


def test_a_partial_load_replaces_its_tables_only(client: ProcessingClient) -> None:
    """It takes ids of tables, and ends as a PARTIAL load; an unknown id is an error."""
    client.load()
    client.sql("INSERT INTO EVENTS VALUES (3)", "INSERT INTO CASES VALUES ('b')")
    load = client.load(tables=[client.tables()["CASES"]["id"]])
    assert (load["loadType"], counts(load)) == ("PARTIAL", {"CASES": 2})
    assert (client.rows("EVENTS").num_rows, client.rows("CASES").num_rows) == (2, 2)
    live = client.info()["loadInfo"]["liveDataModel"]
    assert counts(live) == {"CASES": 2, "EVENTS": 2}
    path = f"{NEW}/load/partial-sync"
    for body in ([], {}, "x", [7], None, [client.tables()["CASES"]["id"], "nowhere"]):
        assert client.call("POST", path, json=body).status_code == 400
    assert client.load_end()["dataLoadId"] == load["dataLoadId"]


def test_a_partial_load_creates_no_data_model(client: ProcessingClient) -> None:
    """It names tables of a data model, so that there must be one."""
    response = client.call("POST", f"{NEW}/load/partial-sync", json=["x"])
    assert response.status_code == 404
    assert response.json()["errors"][0]["errorCode"] == CODE


def test_a_load_that_runs_refuses_another(client: ProcessingClient) -> None:
    """With 409, by any spelling. Meanwhile the data model shows what was loaded before."""
    client.load()
    client.sql("INSERT INTO EVENTS VALUES (3)")
    client.celonis.faults.slow_loads(0.5)
    assert client.call("POST", f"{NEW}/load").status_code == 200
    running = client.json(f"{NEW}/last-load")
    assert (running["loadStatus"], running["endDate"]) == ("RUNNING", None)
    assert client.info()["loadInfo"]["liveDataModel"]["done"] is False
    assert client.rows("EVENTS").num_rows == 2
    ids = [client.tables()["CASES"]["id"]]
    for path, body in (
        (f"{NEW}/load", None), (f"{OLD}/reload", None), (f"{NEW}/load/partial-sync", ids),
    ):  # fmt: skip
        response = client.call("POST", path, json=body)
        assert (response.status_code, response.content) == (409, b"")
    ended = client.load_end()
    assert (ended["dataLoadId"], ended["loadStatus"]) == (running["dataLoadId"], "SUCCESS")
    assert client.rows("EVENTS").num_rows == 3


def test_tables_that_cannot_be_loaded_are_warnings(client: ProcessingClient) -> None:
    """A table that the pool lost, or a view that cannot be read: the others are loaded.

    What was loaded of it before stays.
    """
    client.sql("CREATE VIEW RATES AS SELECT c::INTEGER AS rate FROM CASES WHERE c <> 'a'")
    client.celonis.add_data_model("P", "M", ["GONE", "EVENTS", "CASES", "RATES"])
    load = client.load()
    assert load["loadStatus"] == "WARNING"
    assert load["message"] == "1 of 4 tables not loaded. GONE: The pool has no table GONE"
    assert counts(load) == {"GONE": None, "EVENTS": 2, "CASES": 1, "RATES": 0}
    client.sql("DROP TABLE EVENTS", "INSERT INTO CASES VALUES ('x')")
    load = client.load()
    assert counts(load) == {"GONE": None, "EVENTS": None, "CASES": 2, "RATES": None}
    messages = {table["tableName"]: table["message"] for table in load["tableLoads"]}
    assert messages["CASES"] is None
    assert "Conversion Error" in messages["RATES"]
    assert (client.rows("EVENTS").num_rows, client.rows("RATES").num_rows) == (2, 0)
    live = client.info()["loadInfo"]["liveDataModel"]
    assert (live["error"], live["lastLoad"]) == (False, load["endDate"])


def test_a_load_without_any_table_is_an_error(client: ProcessingClient) -> None:
    """Neither a data model without tables nor one whose tables are all missing can be loaded."""
    client.celonis.add_data_model("P", "M", [])
    load = client.load()
    assert (load["loadStatus"], load["message"]) == ("ERROR", "The data model has no tables")
    client.celonis.add_data_model("P", "M", ["GONE"])
    load = client.load()
    assert (load["loadStatus"], counts(load)) == ("ERROR", {"GONE": None})
    live = client.info()["loadInfo"]["liveDataModel"]
    assert (live["error"], live["errorMessage"]) == (True, load["message"])
    assert live["lastLoad"] is None


def test_old_loads_are_forgotten(client: ProcessingClient) -> None:
    """The history has the newest ones, newest first."""
    for _ in range(HISTORY + 3):
        last = client.load()
    history = client.info()["loadHistory"]["dataLoadHistory"]
    assert len(history) == HISTORY
    assert history[0]["dataLoadId"] == last["dataLoadId"]
    started = [load["startDate"] for load in history]
    assert started == sorted(started, reverse=True)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["fill", "drop"]), st.sampled_from("ABC"), st.integers(0, 3))
    | st.tuples(st.just("load"), st.just(""), st.just(0))
    | st.tuples(st.just("partial"), st.sampled_from("ABC"), st.just(0)),
    max_size=8,
)


@settings(max_examples=10, deadline=None)
@given(changes=CHANGES)
def test_a_data_model_has_what_its_loads_found(changes: list[tuple[str, str, int]]) -> None:
    """Whatever happens to the tables of the pool between loads of all or of one of them."""
    with local.start(limits=False) as celonis:
        celonis.add_data_model("P", "M")
        client = ProcessingClient(celonis)
        pool: dict[str, int] = {}
        loaded: dict[str, int] = {}
        for kind, table, rows in changes:
            if kind == "fill":
                client.sql(f"CREATE OR REPLACE TABLE {table} AS FROM range({rows})")
                pool[table] = rows
            elif kind == "drop":
                client.sql(f"DROP TABLE IF EXISTS {table}")
                pool.pop(table, None)
            elif kind == "load":
                loaded = dict(pool) if client.load()["loadStatus"] == "SUCCESS" else loaded
            elif table in pool:
                client.load(tables=[client.tables()[table]["id"]])
                loaded[table] = pool[table]
        live = client.info()["loadInfo"]["liveDataModel"]
        assert counts(live) == loaded
        assert {table: client.rows(table).num_rows for table in loaded} == loaded


# Faults


def test_a_load_can_fail(client: ProcessingClient) -> None:
    """It ends in ERROR with the message, also of one table; the data model is unchanged."""
    client.load()
    client.sql("INSERT INTO EVENTS VALUES (3)", "INSERT INTO CASES VALUES ('b')")
    client.celonis.faults.fail_loads("out of memory")
    client.celonis.faults.fail_loads("too many rows", table="events")
    first, second, third = client.load(), client.load(), client.load()
    assert (first["loadStatus"], first["message"]) == ("ERROR", "out of memory")
    assert {table["message"] for table in first["tableLoads"]} == {None}
    assert (second["loadStatus"], second["message"]) == ("ERROR", "too many rows")
    messages = {table["tableName"]: table["message"] for table in second["tableLoads"]}
    assert messages == {"CASES": None, "EVENTS": "too many rows"}
    assert counts(second) == {"CASES": None, "EVENTS": None}
    assert counts(third) == {"CASES": 2, "EVENTS": 3}


def test_a_load_can_end_in_a_warning(client: ProcessingClient) -> None:
    """With all tables loaded, or without the one that the message is about."""
    client.celonis.faults.warn_loads("5 dates are too early")
    client.celonis.faults.warn_loads("no such column", table="EVENTS")
    load = client.load()
    assert (load["loadStatus"], load["message"]) == ("WARNING", "5 dates are too early")
    assert counts(load) == {"CASES": 1, "EVENTS": 2}
    client.sql("INSERT INTO EVENTS VALUES (3)", "INSERT INTO CASES VALUES ('b')")
    load = client.load()
    assert (load["loadStatus"], load["message"]) == ("WARNING", "no such column")
    assert counts(load) == {"CASES": 2, "EVENTS": None}
    assert client.rows("EVENTS").num_rows == 2


def test_someone_else_can_load_the_data_model(client: ProcessingClient) -> None:
    """The next call gets 409, and all calls until that load has ended; it loads all tables."""
    client.celonis.faults.busy_models(0.3)
    assert client.call("POST", f"{NEW}/load").status_code == 409
    assert client.call("POST", f"{NEW}/load").status_code == 409
    other = client.load_end()
    assert (other["loadStatus"], counts(other)) == ("SUCCESS", {"CASES": 1, "EVENTS": 2})
    mine = client.load()
    assert mine["dataLoadId"] != other["dataLoadId"]
    assert len(client.info()["loadHistory"]["dataLoadHistory"]) == 2


@pytest.mark.parametrize(("when", "started"), [("before", False), ("after", True)])
def test_connections_break_before_and_after_a_load_starts(
    client: ProcessingClient, when: Any, started: bool
) -> None:
    """The faults of connections strike these calls too."""
    client.celonis.add_data_model("P", "M")
    fault = client.celonis.faults.drop("load", when=when)
    with pytest.raises(requests.ConnectionError):
        client.call("POST", f"{NEW}/load")
    assert fault.hits == 1
    assert bool(client.info()["loadHistory"]["dataLoadHistory"]) is started


def test_other_responses_strike_loads(client: ProcessingClient) -> None:
    """A server can know one spelling only; faults that cannot happen are errors."""
    client.celonis.faults.answer("load", 404, times=None)
    client.celonis.faults.answer("reload", 429, headers={"Retry-After": "1"})
    assert client.call("POST", f"{NEW}/load").status_code == 404
    assert client.call("POST", f"{OLD}/reload").status_code == 429
    assert client.call("POST", f"{OLD}/reload").status_code == 200
    client.celonis.faults.clear()
    with pytest.raises(ConfigError, match='Did you mean "reload"'):
        client.celonis.faults.answer("reloads", 404)
    with pytest.raises(ConfigError, match="no duration"):
        client.celonis.faults.slow_loads(-1)
    with pytest.raises(ConfigError, match="no count"):
        client.celonis.faults.busy_models(1, times=-1)


def test_clear_removes_the_faults_of_loads(client: ProcessingClient) -> None:
    """Those that are due, and the slowness."""
    faults = client.celonis.faults
    faults.slow_loads(60)
    faults.fail_loads("no")
    faults.busy_models(60)
    faults.clear()
    assert client.load()["loadStatus"] == "SUCCESS"


# Access and restart


def test_scopes() -> None:
    """Reading needs the scope for reading or the broad one, loading the broad one."""
    with local.start() as celonis:
        celonis.add_data_model("P", "M")
        status = {}
        for scope in ("", ":read", ":data_push"):
            token = requests.post(
                f"{celonis.url}/oauth2/token",
                {"grant_type": "client_credentials", "scope": f"integration.data-pools{scope}"},
                auth=celonis.oauth_client, timeout=30,
            ).json()["access_token"]  # fmt: skip
            client = ProcessingClient(celonis, token=token)
            client_calls = (("GET", OLD), ("GET", f"{NEW}/last-load"), ("POST", f"{NEW}/load"))
            status[scope] = [client.call(*each).status_code for each in client_calls]
        assert status == {"": [200] * 3, ":read": [200, 200, 403], ":data_push": [403] * 3}


def test_a_killed_server_keeps_whole_data_models(tmp_path: Path) -> None:
    """After kill -9 during a load and a data job both have ended, and changed nothing."""
    file = tmp_path / "celonis.duckdb"
    code = (
        "import sys\nfrom celonis_frames import local\n"
        f"c = local.start({str(file)!r}, token='t')\n"
        "c.add_data_model('P', 'M')\n"
        "c.add_data_job('P', 'First', 'CREATE TABLE T AS SELECT 1 AS a')\n"
        "c.add_data_job('P', 'J', 'INSERT INTO T VALUES (2)')\n"
        "print(c.url, flush=True)\nsys.stdin.readline()\n"
        "c.faults.slow_loads(60)\nc.faults.slow_data_jobs(running=60)\n"
        "print('slow', flush=True)\nsys.stdin.readline()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout
        assert process.stdin
        url = process.stdout.readline().strip()
        client = ProcessingClient(type("Server", (), {"url": url, "token": "t"}))
        assert client.run("First")["status"] == "SUCCESS"
        client.load()
        process.stdin.write("slow\n")
        process.stdin.flush()
        process.stdout.readline()
        assert client.call("POST", f"{NEW}/load").status_code == 200
        assert client.call("POST", RUN).status_code == 200
        while client.json(f"{JOBS}/J")["status"] != "RUNNING":
            time.sleep(0.01)
        process.kill()
    with local.start(file) as celonis:
        client = ProcessingClient(celonis)
        assert client.json(f"{NEW}/last-load")["loadStatus"] == "LOST_CONNECTION"
        assert client.json(f"{JOBS}/J")["status"] == "FAIL"
        assert client.rows("T").num_rows == celonis.table("P", "T").num_rows == 1
        assert client.run("J")["status"] == "SUCCESS"
        assert counts(client.load()) == {"T": 2}


def test_data_models_survive_a_restart(tmp_path: Path) -> None:
    """With tables, rows and loads; a load that ran is LOST_CONNECTION, and changed nothing."""
    file = tmp_path / "celonis.duckdb"
    with local.start(file) as celonis:
        client = ProcessingClient(celonis)
        key = celonis.add_data_model("P", "M")
        client.sql("CREATE TABLE T AS SELECT 1 AS a")
        before = client.load()
        client.sql("INSERT INTO T VALUES (2)")
        celonis.faults.slow_loads(60)
        assert client.call("POST", f"{NEW}/load").status_code == 200
    with local.start(file) as celonis:
        client = ProcessingClient(celonis)
        assert celonis.add_data_model("P", "M", []) == key
        lost = client.json(f"{NEW}/last-load")
        assert lost["loadStatus"] == "LOST_CONNECTION"
        assert "the data model is unchanged" in lost["message"]
        info = client.info()
        assert info["loadInfo"]["liveDataModel"]["lastLoad"] == before["endDate"]
        assert info["loadInfo"]["liveDataModel"]["error"] is True
        assert client.rows("T").num_rows == 1
        assert counts(client.load()) == {"T": 2}
