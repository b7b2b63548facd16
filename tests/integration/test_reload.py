"""Data models are loaded, by themselves and after a push."""

from __future__ import annotations

import json
import logging
import pickle
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from celonis_frames import (
    ApiKey,
    Celonis,
    OAuth2,
    PushStatus,
    ReloadStatus,
    exceptions,
    local,
)

FRAME = pa.table({"ID": [1, 2, 3], "NAME": ["a", "b", "c"]})


@pytest.fixture
def pool(server: Any, table: str) -> Iterator[str]:
    """A pool of its own with two tables and the data models Orders (both) and Items (one)."""
    name = f"Pool of {table}"
    with Celonis(server.url, auth=ApiKey(server.token)) as celonis:
        celonis.push_many({"EVENTS": FRAME, "CASES": FRAME.slice(1)}, name)
    server.add_data_model(name, "Orders", ["EVENTS", "CASES"])
    server.add_data_model(name, "Items", ["CASES"])
    yield name
    server.faults.clear()


def loads(server: Any, pool: str, model: str = "Orders") -> list[str]:
    """The states of all loads of a data model, the last one first."""
    state = server._state
    found = state.catalog.pool(pool)
    return [
        load["status"]
        for load in state.processing.loads.loads(
            state.processing.models.model(found["id"], model)["id"]
        )
    ]


class TestLookUps:
    """What is in a pool."""

    def test_models(self, connection: Celonis, pool: str) -> None:
        """Each has its id, name and tables; the list is one call."""
        found = {model.name: model for model in connection.models(pool)}
        assert set(found) == {"Orders", "Items"}
        assert [table.name for table in found["Orders"].tables or ()] == ["EVENTS", "CASES"]

    def test_tables(self, connection: Celonis, server: Any, pool: str) -> None:
        """Names and connections by one call; columns with their types only if asked for."""
        server.add_connection(pool, "SAP")
        connection.push(FRAME, pool, "VBAK", connection="SAP")
        found = {table.name: table for table in connection.tables(pool)}
        assert {name: one.connection for name, one in found.items()} == {
            "EVENTS": None, "CASES": None, "VBAK": "SAP",
        }  # fmt: skip
        assert found["VBAK"].columns is None
        (sap,) = (one for one in connection.tables(pool, columns=True) if one.name == "VBAK")
        assert [(column.name, column.type) for column in sap.columns or ()] == [
            ("ID", "INTEGER"), ("NAME", "STRING"), ("_CELONIS_CHANGE_DATE", "DATE"),
        ]  # fmt: skip
        with pytest.raises(exceptions.ConfigError, match="columns='yes' must be True or False"):
            connection.tables(pool, columns="yes")  # type: ignore[arg-type]


class TestReload:
    """`Celonis.reload`."""

    def test_a_full_load(self, connection: Celonis, server: Any, pool: str) -> None:
        """All tables of the model have the rows of the pool; the status says so."""
        status = connection.reload(pool, "orders")
        assert (status.state, status.ok, status.done) == ("SUCCESS", True, True)
        assert (status.model, status.rows, status.message, status.warnings) == (
            "Orders", 5, "", (),
        )  # fmt: skip
        assert [(one.name, one.rows, one.done) for one in status.tables] == [
            ("EVENTS", 3, True), ("CASES", 2, True),
        ]  # fmt: skip
        assert status.seconds is not None
        status.raise_for_status()
        assert server.model_table(pool, "Orders", "CASES").num_rows == 2
        again = connection.reload(status.pool_id, status.model_id)
        assert again.model_id == status.model_id

    def test_only_some_tables(self, connection: Celonis, server: Any, pool: str) -> None:
        """The others keep the rows of the load before."""
        connection.reload(pool, "Orders")
        for table in ("EVENTS", "CASES"):
            connection.push(FRAME, pool, table)
        status = connection.reload(pool, "Orders", tables="events")
        assert [one.name for one in status.tables] == ["EVENTS"]
        assert server.model_table(pool, "Orders", "EVENTS").num_rows == 6
        assert server.model_table(pool, "Orders", "CASES").num_rows == 2

    @pytest.mark.parametrize(
        ("given", "error", "words"),
        [
            ({"model": "Ordres"}, exceptions.NotFound, "Did you mean 'Orders'"),
            ({"model": ""}, exceptions.ConfigError, "model='' must be an id or a name"),
            ({"model": None}, exceptions.ConfigError, "model=None must be an id or a name"),
            ({"tables": ["EVENTZ"]}, exceptions.NotFound, "Did you mean 'EVENTS'"),
            ({"tables": []}, exceptions.ConfigError, "leave it out to load all tables"),
            ({"tables": 3}, exceptions.ConfigError, "tables=3 must be a name"),
            ({"tables": [" "]}, exceptions.ConfigError, "must be a name or a list of names"),
            ({"wait": "no"}, exceptions.ConfigError, "wait='no' must be True or False"),
            ({"timeout": 0}, exceptions.ConfigError, "timeout=0 must be a number of seconds"),
            ({"progress": "no"}, exceptions.ConfigError, "progress='no' must be True or False"),
        ],
    )
    def test_wrong_arguments(
        self, connection: Celonis, server: Any, pool: str, given: Any, error: Any, words: str
    ) -> None:
        """They are errors that say what is allowed, and nothing is loaded."""
        call = {"pool": pool, "model": "Orders"} | given
        with pytest.raises(error, match=re.escape(words)):
            connection.reload(call.pop("pool"), call.pop("model"), **call)
        assert loads(server, pool) == []

    def test_a_model_is_not_created(self, connection: Celonis, pool: str) -> None:
        """Only a push may name a data model that its first load creates."""
        with pytest.raises(exceptions.NotFound, match="A push with reload= creates it"):
            connection.reload(pool, "Quite new")
        assert {model.name for model in connection.models(pool)} == {"Orders", "Items"}

    def test_a_failed_load(self, connection: Celonis, server: Any, pool: str) -> None:
        """ReloadFailed says which table and why, and has the status."""
        server.faults.fail_loads("too few licences", table="CASES")
        with pytest.raises(exceptions.ReloadFailed) as caught:
            connection.reload(pool, "Orders")
        assert "ended in ERROR: table 'CASES': too few licences" in str(caught.value)
        status = caught.value.status
        assert (status.state, status.ok, status.done) == ("ERROR", False, True)
        back = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # pickled here
        assert (back.status.state, str(back)) == ("ERROR", str(caught.value))

    def test_a_load_with_warnings(
        self, connection: Celonis, server: Any, pool: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is ok, and its warnings, which are logged, say which table and why."""
        server.faults.warn_loads("no primary key", table="CASES")
        status = connection.reload(pool, "Orders")
        assert (status.state, status.ok) == ("WARNING", True)
        assert status.warnings == ("table 'CASES': no primary key",)
        assert "data model 'Orders': table 'CASES': no primary key" in caplog.text
        assert "1 warning" in repr(status)
        assert "<li>table &#x27;CASES&#x27;: no primary key</li>" in status._repr_html_()

    def test_a_load_that_runs_is_waited_for(
        self, connection: Celonis, server: Any, pool: str
    ) -> None:
        """Then ours is made: the rows that were pushed meanwhile are in the data model."""
        server.faults.slow_loads(0.3)
        other = connection.reload(pool, "Orders", wait=False)
        assert (other.state, other.done, other.ok) == ("RUNNING", False, False)
        other.raise_for_status()
        connection.push(FRAME, pool, "CASES")
        status = connection.reload(pool, "Orders")
        assert loads(server, pool) == ["SUCCESS", "SUCCESS"]
        assert server.model_table(pool, "Orders", "CASES").num_rows == 5
        assert status.ok
        assert other.state == "RUNNING", "a status is read again only when told so"

    def test_a_load_that_came_first(self, connection: Celonis, server: Any, pool: str) -> None:
        """A call that lost the race is refused with 409, waits, and is made again."""
        server.faults.busy_models(0.2, times=2)
        assert connection.reload(pool, "Orders").ok
        assert loads(server, pool) == ["SUCCESS"] * 3

    def test_without_waiting(self, connection: Celonis, server: Any, pool: str) -> None:
        """The status follows the load: refresh() looks once, wait() until its end."""
        server.faults.slow_loads(0.3)
        status = connection.reload(pool, "Orders", wait=False)
        assert status.refresh() is status
        assert not status.done
        with pytest.raises(exceptions.ReloadTimeout) as caught:
            status.wait(0.05)
        assert caught.value.status is status
        assert "goes on in Celonis" in str(caught.value)
        assert status.wait() is status
        assert status.state == "SUCCESS"
        status.raise_for_status()
        for wrong in ("5", True):
            with pytest.raises(exceptions.ConfigError, match="must be a number of seconds"):
                status.wait(wrong)  # type: ignore[arg-type]

    def test_the_time_is_up(self, connection: Celonis, server: Any, pool: str) -> None:
        """ReloadTimeout says whether the load goes on or was not begun."""
        server.faults.slow_loads(4.0)
        with pytest.raises(exceptions.ReloadTimeout, match="goes on in Celonis") as caught:
            connection.reload(pool, "Orders", timeout=1.5)
        first = caught.value.status
        assert first.state == "RUNNING"
        words = "another load of it was still in the way"
        with pytest.raises(exceptions.ReloadTimeout, match=words) as caught:
            connection.reload(pool, "Orders", timeout=1.0)
        assert (caught.value.status.state, caught.value.status.done) == ("NOT_BEGUN", True)
        assert first.wait().ok
        assert loads(server, pool) == ["SUCCESS"]

    def test_older_servers(self, server: Any, pool: str) -> None:
        """Where the newer spelling of the calls is unknown, the older one is used."""
        newer = ("load", "last_load")
        faults = [server.faults.answer(route, 404, times=None) for route in newer]
        with Celonis(server.url, auth=ApiKey(server.token)) as celonis:
            assert celonis.reload(pool, "Orders").rows == 5
        assert [fault.hits for fault in faults] == [1, 1]

    def test_the_status_by_itself(self, connection: Celonis, pool: str) -> None:
        """As text, as HTML, as JSON, and in another process, without the connection."""
        status = connection.reload(pool, "Orders")
        assert re.fullmatch(
            r"<ReloadStatus SUCCESS · data model Orders · 2 tables · 5 rows · [\d.]+ s>",
            repr(status),
        )
        assert f"data model <code>{status.model_id}</code>" in status._repr_html_()
        facts = json.loads(json.dumps(status.to_dict()))
        assert facts["tables"][0] == {"name": "EVENTS", "rows": 3, "done": True, "message": ""}
        assert set(facts) == {
            name for name in dir(ReloadStatus) if isinstance(getattr(ReloadStatus, name), property)
        }
        back = pickle.loads(pickle.dumps(status))  # noqa: S301  # pickled here
        assert back.to_dict() == status.to_dict()


class TestPush:
    """``reload=`` of a push."""

    def test_one_model(self, connection: Celonis, server: Any, pool: str) -> None:
        """It is loaded once the rows are in the table; the status has one status of it."""
        status = connection.push(FRAME, pool, "EVENTS", reload="orders")
        assert isinstance(status.reload, ReloadStatus)
        assert (status.reload.model, status.reload.ok, status.reload.rows) == ("Orders", True, 8)
        assert status.timings["reload"] > 0
        assert "data model Orders: SUCCESS" in repr(status)
        assert status.to_dict()["reload"]["state"] == "SUCCESS"
        status.raise_for_status()
        assert server.model_table(pool, "Orders", "EVENTS").num_rows == 6
        assert connection.push(FRAME, pool, "EVENTS").reload is None

    def test_its_requests(
        self, connection: Celonis, pool: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As `plan` counts them: one list, two for each data model, and the polls."""
        pool_id = connection.pool_id(pool)
        caplog.set_level(logging.DEBUG, "celonis_frames")
        connection.push(FRAME, pool_id, "EVENTS", reload=["Orders", "Items"])
        calls = re.findall(r"(GET|POST) \S*/data-models\S* -> 200", caplog.text)
        looks = len(re.findall(r"GET \S*/last-load -> 200", caplog.text))
        assert len(calls) == 1 + 2 + looks
        assert looks >= 4

    def test_several_models(self, connection: Celonis, server: Any, pool: str) -> None:
        """A list of data models gives a tuple of statuses, also of one."""
        status = connection.push(FRAME, pool, "CASES", reload=["Orders", "Items"])
        assert isinstance(status.reload, tuple)
        assert [one.model for one in status.reload] == ["Orders", "Items"]
        assert isinstance(connection.push(FRAME, pool, "CASES", reload=["Items"]).reload, tuple)
        assert loads(server, pool) == ["SUCCESS"]
        assert loads(server, pool, "Items") == ["SUCCESS"] * 2

    def test_a_delete(self, connection: Celonis, server: Any, pool: str) -> None:
        """The rows are gone from the data model too."""
        connection.push(FRAME, pool, "KEYED", keys="ID")
        server.add_data_model(pool, "Orders", ["KEYED"])
        status = connection.delete(FRAME.slice(1), pool, "KEYED", keys="ID", reload="Orders")
        assert isinstance(status.reload, ReloadStatus)
        assert server.model_table(pool, "Orders", "KEYED").num_rows == 1

    def test_changes(self, connection: Celonis, server: Any, pool: str) -> None:
        """Loaded when the block ends; a misspelt model is an error at the first frame."""
        with connection.changes(pool, "EVENTS", keys="ID", reload="Orders") as changes:
            changes.upsert(FRAME)
        assert isinstance(changes.status.reload, ReloadStatus)
        assert loads(server, pool) == ["SUCCESS"]

    def test_a_misspelt_model(self) -> None:
        """It is an error before the job is created and the frame is read."""
        read = []

        def frames() -> Iterator[pa.Table]:
            for number in range(3):
                read.append(number)
                yield FRAME

        with local.start(limits=False, strict_pools=True) as strict, strict.connect() as celonis:
            pool_id = strict._state.catalog.add_pool("Strict")["id"]
            strict.add_data_model(pool_id, "Orders", ["EVENTS"])
            words = "no data model 'Ordres' in the pool 'Strict' at .* Did you mean 'Orders'"
            for frame in (FRAME, frames()):
                with pytest.raises(exceptions.NotFound, match=words):
                    celonis.push(frame, "Strict", "EVENTS", reload="Ordres")
            with pytest.raises(exceptions.NotFound, match=words):
                celonis.push_many({"EVENTS": FRAME}, "Strict", reload=["Orders", "Ordres"])
            with (
                pytest.raises(exceptions.NotFound, match=words),
                celonis.changes("Strict", "EVENTS", keys="ID", reload="Ordres") as changes,
            ):
                changes.upsert(FRAME)
            assert celonis.jobs("Strict") == []
        assert read in ([], [0])  # the first frame has the schema

    def test_a_model_that_the_load_creates(self, client: Celonis, own: Any) -> None:
        """As pools by their first job: with the pool, or in one that is there."""
        status = client.push(FRAME, "New pool", "EVENTS", reload="New model")
        assert isinstance(status.reload, ReloadStatus)
        assert status.reload.ok
        assert client.push(FRAME, "New pool", "EVENTS", reload="Another").reload is not None
        assert own.model_table("New pool", "Another", "EVENTS").num_rows == 6

    @pytest.mark.parametrize("fault", ["fails", "refused", "forbidden", "gone", "lost"])
    def test_a_reload_never_fails_the_push(
        self, fault: str, connection: Celonis, server: Any, pool: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        """It is logged, and in the status, whose raise_for_status() raises ReloadFailed."""
        state = {"fails": "ERROR", "lost": "REQUESTED"}.get(fault, "NOT_BEGUN")
        if fault == "fails":
            server.faults.fail_loads("no space left", table="EVENTS")
        elif fault == "lost":
            server.faults.answer("load", 500, times=None)
        else:
            status = {"refused": 400, "forbidden": 403, "gone": 404}[fault]
            for route in ("load", "reload"):
                server.faults.answer(route, status, times=None)
        pushed = connection.push(FRAME, pool, "EVENTS", reload="Orders")
        assert pushed.ok
        assert server.table(pool, "EVENTS").num_rows == 6
        assert isinstance(pushed.reload, ReloadStatus)
        assert (pushed.reload.state, pushed.reload.ok) == (state, False)
        assert pushed.reload.message
        assert f"Table 'EVENTS' was pushed (job {pushed.job_id})." in caplog.text
        assert pushed.reload.message in caplog.text
        for page in (pushed._repr_html_(), repr(pushed)):
            assert "data model Orders" in page
        with pytest.raises(exceptions.ReloadFailed, match=r"(?i)data model 'Orders'") as caught:
            pushed.raise_for_status()
        assert caught.value.status is pushed.reload
        copy: PushStatus = pickle.loads(pickle.dumps(pushed))  # noqa: S301  # pickled here
        with pytest.raises(exceptions.ReloadFailed):
            copy.raise_for_status()

    def test_a_key_that_may_only_push(self, server: Any, pool: str) -> None:
        """Named: an error before the job is created. By id: the push is done, the load denied."""
        pool_id = server._state.catalog.pool(pool)["id"]
        model_id = server._state.processing.models.model(pool_id, "Orders")["id"]
        auth = OAuth2(*server.oauth_client, scopes="integration.data-pools:data_push")
        before = len(server.jobs)
        with Celonis(server.url, auth=auth) as celonis:
            with pytest.raises(exceptions.PermissionDenied, match="Use the data model's id"):
                celonis.push(FRAME, pool_id, "EVENTS", reload="Orders")
            assert len(server.jobs) == before
            status = celonis.push(FRAME, pool_id, "EVENTS", reload=model_id)
            assert status.ok
            assert isinstance(status.reload, ReloadStatus)
            assert status.reload.state == "NOT_BEGUN"
            for words in ("'Edit' on the pool", "integration.data-pools"):
                assert words in status.reload.message
            with pytest.raises(exceptions.PermissionDenied, match="'Edit' on the pool"):
                celonis.reload(pool_id, model_id)
        assert loads(server, pool) == []

    def test_the_time_of_the_push_bounds_the_load(
        self, connection: Celonis, server: Any, pool: str
    ) -> None:
        """The push is done; the load goes on, and its status can be waited for."""
        server.faults.slow_loads(5.0)
        status = connection.push(FRAME, pool, "EVENTS", reload="Orders", timeout=2.5)
        assert status.ok
        assert isinstance(status.reload, ReloadStatus)
        assert status.reload.state == "RUNNING"
        assert "goes on in Celonis" in status.reload.message
        with pytest.raises(exceptions.ReloadFailed):
            status.raise_for_status()
        assert status.reload.wait().ok
        status.raise_for_status()

    def test_a_failed_job_loads_nothing(self, connection: Celonis, server: Any, pool: str) -> None:
        """JobFailed is raised as without reload=."""
        server.faults.fail_jobs("on purpose")
        with pytest.raises(exceptions.JobFailed):
            connection.push(FRAME, pool, "EVENTS", reload="Orders")
        assert loads(server, pool) == []

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"reload": 5}, "reload=5 must be the name or id of a data model"),
            ({"reload": []}, "must be the name or id of a data model, or a list"),
            ({"reload": ["Orders", None]}, "must be the name or id of a data model"),
            ({"reload": " "}, "must be the name or id of a data model"),
            ({"reload": "Orders", "wait": False}, "reload= needs wait=True"),
            ({"reload": "Orders", "via": "ingestion"}, 'impossible with via="ingestion"'),
        ],
    )
    def test_wrong_arguments(
        self, connection: Celonis, pool: str, given: dict[str, Any], words: str
    ) -> None:
        """They are errors before anything is read."""

        def frames() -> Iterator[pa.Table]:
            raise AssertionError
            yield

        for call in (
            lambda: connection.push(frames(), pool, "EVENTS", **given),
            lambda: connection.push_many({"EVENTS": frames()}, pool, **given),
        ):
            with pytest.raises(exceptions.ConfigError, match=re.escape(words)):
                call()

    def test_a_plan_looks_nothing_up(self, connection: Celonis) -> None:
        """It checks the option's form and counts the calls."""
        with_it = connection.plan(
            FRAME, "No pool", "T", reload=["A", "B"], columns={"ID": "STRING"}
        )
        without = connection.plan(FRAME, "No pool", "T", columns={"ID": "STRING"})
        assert (with_it.requests or 0) - (without.requests or 0) == 5
        with pytest.raises(exceptions.ConfigError, match="reload=5"):
            connection.plan(FRAME, "No pool", "T", reload=5)  # type: ignore[arg-type]

    def test_a_resumed_push_loads_nothing(
        self, connection: Celonis, server: Any, pool: str, tmp_path: Path
    ) -> None:
        """As documented: the stage does not hold the option."""
        server.faults.answer("execute", 403)
        with pytest.raises(exceptions.PermissionDenied):
            connection.push(FRAME, pool, "EVENTS", reload="Orders", staging=str(tmp_path))
        (status,) = connection.resume(str(tmp_path))
        assert (status.ok, status.reload) == (True, None)
        assert loads(server, pool) == []


class TestPushMany:
    """``reload=`` of several tables."""

    def test_once_after_all_tables(self, connection: Celonis, server: Any, pool: str) -> None:
        """One load for all tables; each status has the same status of it."""
        found = connection.push_many({"EVENTS": FRAME, "CASES": FRAME}, pool, reload="Orders")
        assert loads(server, pool) == ["SUCCESS"]
        assert isinstance(found["EVENTS"].reload, ReloadStatus)
        assert found["EVENTS"].reload is found["CASES"].reload
        assert server.model_table(pool, "Orders", "CASES").num_rows == 5

    def test_not_if_a_table_failed(
        self, connection: Celonis, server: Any, pool: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A note of the error says that nothing was loaded."""
        bad = pa.table({"ID": ["x"]})
        with pytest.raises(exceptions.CelonisFramesError) as caught:
            connection.push_many({"EVENTS": FRAME, "CASES": bad}, pool, reload="Orders")
        said = "This data model was not loaded, since not all tables were pushed: 'Orders'."
        assert said in caught.value.__notes__
        assert said in caplog.text
        assert loads(server, pool) == []

    def test_a_failed_load(self, connection: Celonis, server: Any, pool: str) -> None:
        """All tables are pushed; each status raises."""
        server.faults.fail_loads("no space left")
        found = connection.push_many({"EVENTS": FRAME, "CASES": FRAME}, pool, reload=["Orders"])
        for status in found.values():
            assert status.ok
            with pytest.raises(exceptions.ReloadFailed, match="no space left"):
                status.raise_for_status()


def test_the_log_of_a_lost_answer(
    connection: Celonis, server: Any, pool: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What began after a call without an answer counts as its load, with a warning."""
    server.faults.drop("load", when="after")
    with caplog.at_level(logging.WARNING, "celonis_frames"):
        status = connection.reload(pool, "Orders")
    assert status.ok
    assert loads(server, pool) == ["SUCCESS"]
    (warning,) = status.warnings
    assert "the response to the call was lost" in warning
    assert warning in caplog.text


def test_a_stage_is_removed_before_the_loads(server: Any, pool: str, tmp_path: Path) -> None:
    """They may take hours, in which its files are of no use, and no thread renews its lease."""
    server.faults.slow_loads(2.0)
    seen = list[Any]()

    def look(event: Any) -> None:
        if "/load" in event.path and event.method == "POST":
            threads = [one.name for one in threading.enumerate() if one.name == "celonis-lease"]
            seen.append((list(tmp_path.iterdir()), threads))

    with Celonis(server.url, auth=ApiKey(server.token)) as celonis:
        celonis._transport.listeners.append(look)
        status = celonis.push(FRAME, pool, "EVENTS", staging=str(tmp_path), reload="Orders")
    assert isinstance(status.reload, ReloadStatus)
    assert status.reload.ok
    assert seen
    assert set(map(str, seen)) == {"([], [])"}
