"""The calls of the API: their requests, and how the responses are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from celonis_frames._api.client import DataPushApi
from celonis_frames._api.models import DataConnection, Pool, Table, TableColumn
from celonis_frames.exceptions import ApiStatusError, ConfigError
from unit.conftest import JOB, POOL, Server

PUSH = f"/data-ingestion/api/v1/data-push/{POOL}/jobs"
POOLS = "/integration/api/pools"


def test_jobs(scripted: Server, api: DataPushApi) -> None:
    """Every call about jobs has its documented method and path."""
    scripted.say(JOB)
    job = api.create_job(POOL, {"targetName": "EVENTS"})
    assert (job.id, job.table, job.mode, job.state) == ("j-1", "EVENTS", "DELTA", "NEW")
    assert (job.file_type, job.connection_id, job.keys, job.logs) == ("PARQUET", None, (), ())
    assert json.loads(scripted.seen[0].body) == {"targetName": "EVENTS"}
    api.job(POOL, "j-1")
    scripted.say((200, {}, b""))
    api.execute_job(POOL, "j-1")
    api.execute_job(POOL, "j-1", duplicate_removal_column="A B")
    api.cancel_job(POOL, "j-1")
    scripted.say((204, {}, b""))
    api.delete_job(POOL, "j-1")
    scripted.say([JOB, {"id": "j-2", "status": "cancelled", "logs": None, "keys": None}])
    assert [j.state for j in api.jobs(POOL)] == ["NEW", "CANCELED"]
    assert [(s.method, s.path) for s in scripted.seen] == [
        ("POST", f"{PUSH}/"),
        ("GET", f"{PUSH}/j-1"),
        ("POST", f"{PUSH}/j-1"),
        ("POST", f"{PUSH}/j-1?duplicateRemovalColumn=A+B"),
        ("POST", f"{PUSH}/j-1/cancel"),
        ("DELETE", f"{PUSH}/j-1"),
        ("GET", f"{PUSH}/"),
    ]


def test_pools_and_what_is_in_them(scripted: Server, api: DataPushApi) -> None:
    """Every call about pools has its documented path, and its response is read."""
    scripted.say([{"id": "p", "name": "P", "new": {}}])
    assert api.pools() == [Pool("p", "P")]
    scripted.say({"id": "p", "name": "P"})
    assert api.pool("p") == Pool("p", "P")
    scripted.say([{"id": "d", "name": "D", "type": "SAP"}])
    assert api.connections("p") == [DataConnection("d", "D")]
    scripted.say([{"name": "T", "dataSourceId": None, "type": "VIEW"}])
    assert api.tables("p") == [Table("T", None, "VIEW")]
    scripted.say([{"name": "C", "type": "STRING", "length": 320}, {"name": "N", "type": "FLOAT"}])
    assert api.columns("p", "T") == [
        TableColumn("C", "STRING", 80),
        TableColumn("N", "FLOAT", None),
    ]
    api.columns("p", "T", "d")
    scripted.say([{"id": "c", "type": "UPSERT", "checksum": "x", "creationDate": 5}, {"id": "d"}])
    assert api.checksums(POOL, "j-1") == ["x", None]
    assert [s.path for s in scripted.seen] == [
        POOLS,
        f"{POOLS}/p",
        f"{POOLS}/p/data-sources/",
        f"{POOLS}/p/tables",
        f"{POOLS}/p/columns?tableName=T",
        f"{POOLS}/p/columns?tableName=T&schemaName=d",
        f"{PUSH}/j-1/chunks",
    ]


@pytest.mark.parametrize(
    ("response", "word"),
    [
        ({}, "'id'"),
        ([], "'id'"),
        ("x", "'id'"),
        (None, "'id'"),
        ({"id": 5}, "'id'"),
        ({"id": "x", "status": "SLEEPING"}, "'status'"),
        ({"id": "x", "status": 3}, "'status'"),
    ],
)
def test_an_unreadable_job_names_the_field(
    scripted: Server, api: DataPushApi, response: Any, word: str
) -> None:
    """A required field that is missing is an ApiStatusError, never a KeyError."""
    scripted.say(response)
    with pytest.raises(ApiStatusError, match=word):
        api.job(POOL, "j-1")


def _lists(api: DataPushApi) -> list[Callable[[], list[Any]]]:
    return [
        lambda: api.jobs(POOL),
        api.pools,
        lambda: api.connections(POOL),
        lambda: api.tables(POOL),
        lambda: api.columns(POOL, "T"),
    ]


@pytest.mark.parametrize("response", [{}, None, "x", 7])
def test_what_is_no_list(scripted: Server, api: DataPushApi, response: Any) -> None:
    """The same for every call that returns a list."""
    scripted.say(response)
    for call in (*_lists(api), lambda: api.checksums(POOL, "j")):
        with pytest.raises(ApiStatusError, match="not a list"):
            call()


@pytest.mark.parametrize("entry", [None, 1, [], {"id": 1}, {"name": ""}, {"id": ""}])
def test_entries_in_an_unknown_form(scripted: Server, api: DataPushApi, entry: Any) -> None:
    """They are not ours and skipped; but of a job's chunks none may be overlooked."""
    scripted.say([entry, entry])
    for call in _lists(api):
        assert call() == []
    with pytest.raises(ApiStatusError):
        api.checksums(POOL, "j")


def test_ids_cannot_leave_their_place(scripted: Server, api: DataPushApi) -> None:
    """Slashes, question marks and dot segments in an id never change the path."""
    scripted.say(JOB)
    api.job(POOL, "a/../b?c#d%2e")
    assert scripted.seen[0].path == f"{PUSH}/a%2F..%2Fb%3Fc%23d%252e"
    for odd in ("", ".", ".."):
        with pytest.raises(ConfigError):
            api.job(POOL, odd)
    assert len(scripted.seen) == 1
