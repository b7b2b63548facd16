"""The calls about data models and data jobs: their requests, and how the responses are read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from celonis_frames._api import lookup
from celonis_frames._api.client import DataPushApi
from celonis_frames._api.data_models import DataJob, DataModel, Load, ModelTable, TableLoad
from celonis_frames._api.integration import IntegrationApi
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames.exceptions import (
    ApiStatusError,
    ConfigError,
    NotFound,
    PermissionDenied,
)
from unit.conftest import POOL, Server

OLDER = f"/integration/api/pools/{POOL}"
NEWER = f"/integration/api/v1/data-pools/{POOL}/data-models/m"
LOAD = {
    "dataLoadId": "l-1", "startDate": 1_000, "endDate": 3_500, "loadStatus": "SUCCESS",
    "message": None, "loadType": "COMPLETE", "new": {},
}  # fmt: skip
TABLES = [
    {"tableId": "t", "tableName": "EVENTS", "tableRowCount": 7, "done": True},
    None,
    {"tableId": "u", "done": "yes"},
]
READ = Load(
    "l-1", "SUCCESS", 1_000, 3_500, "",
    (TableLoad("EVENTS", 7, done=True), TableLoad("u", None, None)),
)  # fmt: skip


@pytest.fixture
def integration(api: DataPushApi) -> IntegrationApi:
    """The calls, to the server."""
    return IntegrationApi.sharing(api)


def test_calls_with_one_spelling(scripted: Server, integration: IntegrationApi) -> None:
    """Every call has its documented method and path, and its response is read."""
    table = {"id": "t", "name": "EVENTS", "alias": "E", "dataSourceId": "d", "columns": []}
    scripted.say([{"id": "m", "name": "M", "tables": [table, 5]}, {"id": "n"}, {}])
    assert integration.models(POOL) == [
        DataModel("m", "M", (ModelTable("t", "EVENTS", "E", "d"),)),
        DataModel("n", "n", None),
    ]
    scripted.say({"id": "m", "name": "M"})
    assert integration.model(POOL, "m") == DataModel("m", "M", None)
    job = {"id": "j", "name": "J", "dataSourceId": None, "status": "SUCCESS"}
    scripted.say([job, {**job, "status": "LIMBO"}, {"id": "k"}, 3])
    assert integration.data_jobs(POOL) == [
        DataJob("j", "J", None, "SUCCESS"),
        DataJob("j", "J", None, "LIMBO"),
        DataJob("k", "k", None, "NEW"),
    ]
    scripted.say({**job, "currentExecutionId": "e"})
    assert integration.data_job(POOL, "j") == DataJob("j", "J", None, "SUCCESS", "e")
    scripted.say((200, {}, b""))
    integration.start_load(POOL, "m", ["t", "u"])
    assert json.loads(scripted.seen[-1].body) == ["t", "u"]
    assert [(s.method, s.path) for s in scripted.seen] == [
        ("GET", f"{OLDER}/data-models"),
        ("GET", f"{OLDER}/data-models/m"),
        ("GET", f"{OLDER}/jobs"),
        ("GET", f"{OLDER}/jobs/j"),
        ("POST", f"{NEWER}/load/partial-sync"),
    ]


def test_the_newer_spelling_is_used_first(scripted: Server, integration: IntegrationApi) -> None:
    """Where the server knows it, the older one is never asked for, not even after a 404."""
    scripted.say({**LOAD, "tableLoads": TABLES}, (200, {}, b""), (200, {}, b""), [], (404, {}, b""))
    assert integration.load(POOL, "m") == READ
    integration.start_load(POOL, "m")
    integration.start_data_job(POOL, "j", "DELTA")
    assert integration.model_tables(POOL, "m") == ()
    with pytest.raises(NotFound):
        integration.load(POOL, "m")
    assert [(s.method, s.path) for s in scripted.seen] == [
        ("GET", f"{NEWER}/last-load"),
        ("POST", f"{NEWER}/load?fullReload=true"),
        (
            "POST",
            f"/integration/api/v2/data-pools/{POOL}/data-jobs/j/execute?mode=DELTA",
        ),
        ("GET", f"{NEWER}/tables"),
        ("GET", f"{NEWER}/last-load"),
    ]


def test_the_older_spelling_is_remembered(scripted: Server, integration: IntegrationApi) -> None:
    """After a 404 of the newer one it is used, also under another token, without asking again."""
    missing, done = (404, {}, b""), (200, {}, b"")
    info = {"loadInfo": {"liveDataModel": {"tableLoads": TABLES}, "currentComputeLoad": LOAD}}
    scripted.say(missing, info, info, missing, done, missing, [], missing, done)
    assert integration.load(POOL, "m") == READ
    with CancelToken() as token:
        assert integration.within(token).load(POOL, "m") == READ
    integration.start_load(POOL, "m")
    integration.model_tables(POOL, "m")
    integration.start_data_job(POOL, "j", "FULL")
    assert json.loads(scripted.seen[-1].body) == {"poolId": POOL, "jobId": "j", "mode": "FULL"}
    assert [s.path for s in scripted.seen] == [
        f"{NEWER}/last-load",
        f"{OLDER}/data-models/m/load-history/load-info-sync",
        f"{OLDER}/data-models/m/load-history/load-info-sync",
        f"{NEWER}/load?fullReload=true",
        f"{OLDER}/data-models/m/reload?forceComplete=true",
        f"{NEWER}/tables",
        f"{OLDER}/data-model/m/tables",
        f"/integration/api/v2/data-pools/{POOL}/data-jobs/j/execute?mode=FULL",
        f"{OLDER}/jobs/j/execute",
    ]


@pytest.mark.parametrize(
    "shown",
    [
        {"loadInfo": None},
        {"loadInfo": {"liveDataModel": None, "currentComputeLoad": None}},
        {"loadStatus": None, "dataLoadId": None, "tableLoads": []},
        {},
    ],
)
def test_a_model_that_was_never_loaded(
    scripted: Server, integration: IntegrationApi, shown: Any
) -> None:
    """It has no load, in whatever form the server says so."""
    scripted.say(shown)
    assert integration.load(POOL, "m") is None


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"loadStatus": "cancelled"}, {"state": "CANCELED"}),
        ({"startDate": "2026-01-01T00:00:00Z"}, {"begin": 1_767_225_600_000}),
        ({"startDate": "2026-01-01T00:00:00"}, {"begin": 1_767_225_600_000}),
        ({"startDate": "soon", "endDate": {}}, {"begin": None, "end": None}),
        ({"startDate": True, "endDate": 1e400}, {"begin": None, "end": None}),
        ({"dataLoadId": 5, "id": "x"}, {"id": "x"}),
        ({"errorMessage": "why\x1b"}, {"message": "why "}),
    ],
)
def test_fields_in_other_forms(
    scripted: Server, integration: IntegrationApi, changes: Any, seen: dict[str, Any]
) -> None:
    """Optional fields of a load may have other forms, or be useless."""
    scripted.say({"loadInfo": {"currentComputeLoad": {**LOAD, **changes}}})
    load = integration.load(POOL, "m")
    assert {name: getattr(load, name) for name in seen} == seen


@pytest.mark.parametrize("shown", [[], None, 5, {"loadStatus": "FINE"}, {"loadStatus": 3}])
def test_an_unreadable_load(scripted: Server, integration: IntegrationApi, shown: Any) -> None:
    """A state that is none is an ApiStatusError: a load is never waited for because of it."""
    scripted.say(shown)
    with pytest.raises(ApiStatusError):
        integration.load(POOL, "m")
    scripted.say({"id": "j", "status": "FINE"})
    with pytest.raises(ApiStatusError, match="'status'"):
        integration.data_job(POOL, "j")


def test_a_missing_permission_says_which(scripted: Server, integration: IntegrationApi) -> None:
    """403 names Edit on the pool and the scope, not those of a push, and quotes the server."""
    scripted.say((403, {}, b'{"error": "no rights"}'))
    with pytest.raises(PermissionDenied) as caught:
        integration.start_load(POOL, "m")
    for word in ("'Edit' on the pool", "integration.data-pools", "no rights"):
        assert word in str(caught.value)
    assert "Data Push API" not in str(caught.value)


class TestLookUps:
    """Data models, their tables and data jobs by id or name."""

    ID = "99999999-2222-3333-4444-555555555555"

    def test_models(self, scripted: Server, integration: IntegrationApi) -> None:
        """By name in any case, or id; a near miss is suggested; an ambiguous name lists ids."""
        scripted.say([{"id": "a", "name": "Orders"}, {"id": "b", "name": "Items"}])
        assert lookup.data_model(integration, POOL, "orders").id == "a"
        assert lookup.data_model(integration, POOL, " b ").id == "b"
        scripted.say([{"id": "a", "name": "Orders"}], (404, {}, b""))
        with pytest.raises(
            NotFound, match=r"no data model 'Ordrs' in the pool '.*' at .* Did you mean 'Orders'"
        ):
            lookup.data_model(integration, POOL, "Ordrs")
        scripted.say([{"id": "a", "name": "M"}, {"id": "b", "name": "M"}])
        with pytest.raises(ConfigError, match=r"2 data models are named 'M'.*a \(M\), b \(M\)"):
            lookup.data_model(integration, POOL, "M")

    def test_a_key_that_may_not_list(self, scripted: Server, integration: IntegrationApi) -> None:
        """An id still does; a name is reported as one that cannot be looked up."""
        scripted.say((403, {}, b""))
        assert lookup.data_model(integration, POOL, self.ID).id == self.ID
        with pytest.raises(PermissionDenied, match="Use the data model's id"):
            lookup.data_model(integration, POOL, "Orders")
        with pytest.raises(PermissionDenied, match="Use the data job's id"):
            lookup.data_job(integration, POOL, "Nightly")
        scripted.say({"id": self.ID, "name": "J"})
        assert lookup.data_job(integration, POOL, self.ID).name == "J"

    def test_a_model_that_its_first_load_creates(
        self, scripted: Server, integration: IntegrationApi
    ) -> None:
        """The local Celonis says so: a push may name it, and nothing else."""
        code = json.dumps({"errors": [{"errorCode": lookup.CREATED_BY_LOAD}]}).encode()
        scripted.say([], (404, {}, code))
        found = lookup.data_models(integration, POOL, ["Orders"], for_push=True)
        assert found == [DataModel("Orders", "Orders")]
        scripted.say([], (404, {}, code))
        with pytest.raises(NotFound, match="A push with reload= creates it"):
            lookup.data_model(integration, POOL, "Orders")

    def test_tables(self) -> None:
        """By alias or name in any case, or id; misspelt and ambiguous ones are errors."""
        tables = (
            ModelTable("1", "EVENTS", None, None),
            ModelTable("2", "EVENTS", "Old events", None),
            ModelTable("3", "CASES", "Orders", None),
        )
        model = DataModel("m", "M", tables)

        def ids(*names: str) -> list[str]:
            return lookup.model_table_ids(model, tables, names, "url")

        assert ids("old EVENTS", "cases", "Orders", "1") == ["2", "3", "1"]
        with pytest.raises(ConfigError, match=r"Give the alias or id.*EVENTS \(1\), Old events"):
            ids("events")
        with pytest.raises(NotFound, match=r"'M' has no table 'CASE'\. Did you mean 'CASES'"):
            ids("CASE")
        with pytest.raises(NotFound, match=r"has 3 tables: \['EVENTS', 'Old events', 'Orders'\]"):
            ids("xyz")
