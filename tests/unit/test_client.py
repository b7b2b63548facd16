"""The connection: pools and data connections by name, and its end."""

from __future__ import annotations

import datetime as dt
import sys
import types
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

import celonis_frames
from celonis_frames import _connect
from celonis_frames._auth.keys import ApiKey
from celonis_frames._client import Celonis
from celonis_frames._connect import connect, current
from celonis_frames.exceptions import ColumnTypeError, ConfigError, NotFound, PermissionDenied
from unit.conftest import CANARY, JOB, POOL, Server

TWO = [{"id": "p-1", "name": "Sales"}, {"id": "p-2", "name": "sales"}]


@pytest.fixture
def celonis(scripted: Server) -> Iterator[Celonis]:
    """A connection to the server, with a key to look for."""
    with Celonis(scripted.url, auth=ApiKey(CANARY)) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connect, "_connected", None)
    monkeypatch.setattr(_connect, "_from_env", None)


def test_an_id_costs_no_request(scripted: Server, celonis: Celonis) -> None:
    """A key that may only push is often forbidden to look anything up."""
    assert celonis.pool_id(POOL) == POOL
    assert celonis.pool_id(f"{celonis.url}/integration/ui/pools/{POOL}/x") == POOL
    assert celonis.connection_id(POOL, None) is None
    assert celonis.connection_id(POOL, POOL) == POOL
    assert not scripted.seen


def test_a_pool_of_another_team(scripted: Server, celonis: Celonis) -> None:
    """A URL pasted from another team is a mistake, not a pool."""
    with pytest.raises(ConfigError, match="Connect to that team"):
        celonis.pool_id(f"https://other.us-2.celonis.cloud/integration/ui/pools/{POOL}")
    assert not scripted.seen


def test_names(scripted: Server, celonis: Celonis) -> None:
    """The exact name goes before another case; several that fit are listed."""
    scripted.say(TWO)
    assert celonis.pool_id("Sales") == "p-1"
    assert celonis.pool_id("sales") == "p-2"
    with pytest.raises(ConfigError) as caught:
        celonis.pool_id("SALES")
    assert "p-1" in str(caught.value)
    assert "p-2" in str(caught.value)
    scripted.say(TWO[:1])
    assert celonis.pool_id("sALES") == "p-1"
    assert celonis.pool("Sales").name == "Sales"
    assert celonis.connection_id(POOL, "sales") == "p-1"


def test_names_that_are_alike_by_case_folding_only(scripted: Server, celonis: Celonis) -> None:
    """Strasse and Straße are two pools: the one is not found by the name of the other."""
    listed = [{"id": "p", "name": "Straße"}]
    scripted.say(listed, (404, {}, b""), listed)
    with pytest.raises(NotFound, match="Did you mean 'Straße'"):
        celonis.pool_id("Strasse")
    assert celonis.pool_id("STRAßE") == "p"


def test_a_name_that_is_not_listed_is_requested(scripted: Server, celonis: Celonis) -> None:
    """An id need not look like one; otherwise close names are offered."""
    scripted.say([], {"id": "p-9", "name": "New / one"})
    assert celonis.pool_id("New / one") == "p-9"
    assert scripted.seen[-1].path == "/integration/api/pools/New%20%2F%20one"
    for status in (404, 400, 403):
        scripted.say([{"id": "p", "name": "Purchasing"}], (status, {}, b""))
        with pytest.raises(NotFound, match="Did you mean 'Purchasing'"):
            celonis.pool_id("purchasin")
    scripted.say([{"id": "p", "name": "SAP"}])
    with pytest.raises(NotFound, match="Did you mean 'SAP'"):
        celonis.connection_id(POOL, "SAPP")


def test_forbidden_to_list(scripted: Server, celonis: Celonis) -> None:
    """403 on a look-up says that the id needs none."""
    scripted.say((403, {}, b""))
    with pytest.raises(PermissionDenied, match="pool's id"):
        celonis.pool_id("Sales")
    with pytest.raises(PermissionDenied, match="data connection's id"):
        celonis.connection_id(POOL, "SAP")


@pytest.mark.parametrize("name", ["", "  ", None, 5])
def test_no_name(celonis: Celonis, name: Any) -> None:
    """An empty name is a ConfigError, not the list of everything."""
    with pytest.raises(ConfigError):
        celonis.pool_id(name)


def test_jobs(scripted: Server, celonis: Celonis) -> None:
    """Jobs are status objects that can be followed."""
    scripted.say([JOB])
    (status,) = celonis.jobs(POOL)
    assert (status.job_id, status.rows) == ("j-1", None)
    scripted.say(JOB)
    assert celonis.job(POOL, "j-1").state == "NEW"
    scripted.say((204, {}, b""))
    celonis.delete_job(POOL, "j-1")
    assert scripted.seen[-1].method == "DELETE"


def test_the_key_does_not_show(celonis: Celonis) -> None:
    """No repr along the way shows the key."""
    parts = [celonis, vars(celonis), vars(celonis._api), vars(celonis._transport)]
    assert CANARY not in "".join(map(repr, parts))


def test_a_bare_key_is_rejected(scripted: Server) -> None:
    """The two kinds look alike, so a string does not say which; it is not quoted."""
    for make in (Celonis, connect):
        with pytest.raises(ConfigError, match="AppKey") as caught:
            make(scripted.url, auth=CANARY)  # type: ignore[arg-type]
        assert CANARY not in str(caught.value)


def test_the_default_connection(scripted: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last connect(), else the environment, else an error; a closed connect() is an error."""
    with pytest.raises(ConfigError, match="CELONIS_URL"):
        current()
    monkeypatch.setenv("CELONIS_URL", scripted.url)
    monkeypatch.setenv("CELONIS_API_TOKEN", CANARY)
    found = current()
    assert current() is found
    assert found.url == scripted.url
    found.close()
    again = current()
    assert again is not found
    again.close()
    first = connect(scripted.url, auth=ApiKey("a"))
    second = connect(scripted.url, auth=ApiKey("b"))
    assert current() is second
    second.close()
    second.close()
    assert second.closed
    with pytest.raises(ConfigError, match="is closed"):
        current()
    first.close()
    with connect() as third:
        assert current() is third
        assert CANARY not in repr(third)


def test_the_environments_key_stays_at_home(
    scripted: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key set for one host is not sent to another that is given by hand."""
    monkeypatch.setenv("CELONIS_URL", "https://dev.us-2.celonis.cloud")
    monkeypatch.setenv("CELONIS_API_TOKEN", CANARY)
    with pytest.raises(ConfigError, match="belongs to"):
        connect(scripted.url)
    connect(team="dev", cluster="us-2").close()


def test_team_and_cluster_go_together(scripted: Server) -> None:
    """Half a URL, or two, is a ConfigError."""
    for options in ({"team": "a"}, {"cluster": "a"}, {"url": scripted.url, "team": "a"}):
        with pytest.raises(ConfigError, match="together"):
            connect(**options, auth=ApiKey("k"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "path"), [("local", None), ("local:a.duckdb", "a.duckdb"), ("local:C:\\x", "C:\\x")]
)
def test_local(
    scripted: Server, monkeypatch: pytest.MonkeyPatch, url: str, path: str | None
) -> None:
    """``local`` starts the embedded Celonis, and closing the connection stops it once."""
    closed: list[int] = []
    started: list[Any] = []

    class Embedded:
        token = "local-token"
        url = scripted.url

        def close(self) -> None:
            closed.append(1)

    def start(path: Any = None) -> Embedded:
        started.append(path)
        return Embedded()

    module = types.ModuleType("celonis_frames.local")
    module.start = start  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "celonis_frames.local", module)
    with pytest.raises(ConfigError):
        connect(url, auth=ApiKey("k"))
    with connect(url) as client:
        assert client.local is not None
        client.pools()
    client.close()
    assert scripted.seen[0].headers["authorization"] == "Bearer local-token"
    assert closed == [1]
    monkeypatch.setenv("CELONIS_URL", url)
    Celonis.from_env().close()
    assert started == [path, path]


@pytest.mark.usefixtures("alone")
def test_a_closed_connection_is_named_as_such(scripted: Server, monkeypatch: Any) -> None:
    """A function never turns to the environment because the last connection was closed."""
    monkeypatch.setenv("CELONIS_URL", "https://other.eu-1.celonis.cloud")
    monkeypatch.setenv("CELONIS_API_TOKEN", CANARY)
    celonis_frames.connect(scripted.url, auth=ApiKey(CANARY)).close()
    with pytest.raises(ConfigError, match="is closed"):
        celonis_frames.push(pa.table({"A": [1]}), POOL, "T")
    assert scripted.seen == []


@pytest.mark.usefixtures("alone")
def test_plan_has_the_defaults_of_the_last_connection(scripted: Server) -> None:
    """The function plans what the function would push, and opens no connection for it."""
    frame = pa.table({"C": [dt.time(9, 30)]})
    with pytest.raises(ColumnTypeError):
        celonis_frames.plan(frame, POOL, "T", columns={"C": "TIME"})
    with celonis_frames.connect(scripted.url, auth=ApiKey(CANARY), upload={"file_type": "CSV"}):
        plan = celonis_frames.plan(frame, POOL, "T", columns={"C": "TIME"})
    assert plan.columns[0].type == "TIME"
    assert scripted.seen == []


@pytest.mark.parametrize("timeouts", [5, (1, 2), {"read": 3}])
def test_timeouts_of_another_type_are_named(scripted: Server, timeouts: Any) -> None:
    """Not an AttributeError at the first call."""
    with pytest.raises(ConfigError, match=r"must be Timeouts\("):
        Celonis(scripted.url, auth=ApiKey(CANARY), timeouts=timeouts)


def test_a_client_of_another_type_is_named() -> None:
    """A name in place of a connection is an error that says what to give."""
    with pytest.raises(ConfigError, match="client='local' must be a connection"):
        celonis_frames.push(pa.table({"A": [1]}), POOL, "T", client="local")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("2020-02-04T19:34:03 - Deleted 3 rows", 3),
        ("Deleted 1,234,567 rows from T", 1_234_567),
        ("deleted rows: 12", 12),
        ("7 rows were deleted.", 7),
        ("1 row deleted", 1),
        ("Deleted 2 chunks", None),
        ("2020-02-04T19:34:03 - the table was deleted", None),
        ("Loaded 3 rows", None),
    ],
)
def test_the_log_says_how_many_rows_were_deleted(
    scripted: Server, celonis: Celonis, line: str, rows: int | None
) -> None:
    """The number in a line about deleted rows, however it is worded; else None."""
    scripted.say({**JOB, "logs": ["Job started", line]})
    assert celonis.job(POOL, "j-1").deleted == rows
