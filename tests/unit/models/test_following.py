"""What a load and an execution become when the server says odd things."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from celonis_frames import Celonis, DataJobStatus, ReloadStatus
from celonis_frames._auth.keys import ApiKey
from celonis_frames._models import following
from celonis_frames.exceptions import (
    ApiError,
    ConfigError,
    Conflict,
    NotFound,
    RateLimited,
    ReloadFailed,
)
from unit.conftest import POOL, Server

DONE = (200, {}, b"")
MODELS = [{"id": "m", "name": "M", "tables": []}]
JOBS = [{"id": "j", "name": "J", "status": "SUCCESS"}]


def load(number: int, state: str = "SUCCESS", **more: Any) -> dict[str, Any]:
    """The last load, as the server shows it."""
    end = None if state in ("RUNNING", "CANCELLING") else number + 500
    shown = {"dataLoadId": f"l-{number}", "startDate": number, "endDate": end, "loadStatus": state}
    return shown | more


def execution(number: int | None, state: str = "SUCCESS") -> dict[str, Any]:
    """The data job, as the server shows it."""
    shown = {"id": "j", "name": "J", "status": state}
    return shown | {"currentExecutionId": None if number is None else f"e-{number}"}


@pytest.fixture
def celonis(scripted: Server) -> Iterator[Celonis]:
    """A connection to the scripted server."""
    with Celonis(scripted.url, auth=ApiKey("key")) as connection:
        yield connection


def posts(scripted: Server) -> int:
    """How often something was begun."""
    return sum(seen.method == "POST" for seen in scripted.seen)


def test_the_load_before_is_not_ours(scripted: Server, celonis: Celonis) -> None:
    """The end of an earlier load, which failed, is shown for a while: ours is waited for."""
    scripted.say(
        MODELS, load(1, "ERROR"), DONE, load(1, "ERROR"), load(1, "ERROR"), load(2, "RUNNING"),
        load(1, "ERROR"), load(2),
    )  # fmt: skip
    status = celonis.reload(POOL, "M")
    assert (status.state, status.seconds, posts(scripted)) == ("SUCCESS", 0.5, 1)


def test_until_the_load_is_shown(scripted: Server, celonis: Celonis) -> None:
    """The state is REQUESTED, never that of the load before."""
    scripted.say(MODELS, load(1), DONE, load(1))
    status = celonis.reload(POOL, "M", wait=False)
    assert (status.state, status.done, status.ok) == ("REQUESTED", False, False)
    assert status.refresh().state == "REQUESTED"
    assert (status.tables, status.seconds, status.message) == ((), None, "")
    scripted.say(load(2, "RUNNING"))
    assert status.refresh().state == "RUNNING"
    scripted.say(load(1))
    assert status.refresh().state == "RUNNING", "an old response is none about ours"
    scripted.say(load(2, "CANCELED", message="by an admin"))
    assert status.wait().state == "CANCELED"
    with pytest.raises(ReloadFailed, match="ended in CANCELED: by an admin"):
        status.raise_for_status()
    before = len(scripted.seen)
    assert status.refresh().wait() is status
    assert len(scripted.seen) == before, "an ended load is not read again"


def test_a_later_load_is_followed_with_a_warning(scripted: Server, celonis: Celonis) -> None:
    """The end of ours was not seen, and a load of someone else is shown instead."""
    scripted.say(MODELS, load(1), DONE, load(2, "RUNNING"), load(3, "RUNNING"), load(3))
    status = celonis.reload(POOL, "M")
    (warning,) = status.warnings
    assert "another run began before the end of this one was seen" in warning


def test_an_accepted_load_that_is_never_shown(scripted: Server, celonis: Celonis) -> None:
    """That is an error, which says what is unknown and what to do."""
    scripted.say(MODELS, load(1), DONE, load(1))
    with pytest.raises(ApiError, match=r"call was accepted\. It cannot be known") as caught:
        celonis.reload(POOL, "M")
    assert caught.value.__notes__ == [
        "How data model 'M' ends is unknown: load it again to be sure, which does no harm."
    ]
    assert posts(scripted) == 1


def test_a_call_that_was_not_sent_is_made_again(scripted: Server, celonis: Celonis) -> None:
    """429 changes nothing: the call is repeated, six times in all."""
    scripted.say(MODELS, load(1), (429, {}, b""), (429, {}, b""), DONE, load(2))
    assert celonis.reload(POOL, "M").warnings == ()
    assert posts(scripted) == 3
    scripted.say(MODELS, load(1), (429, {}, b""))
    with pytest.raises(RateLimited) as caught:
        celonis.reload(POOL, "M")
    assert caught.value.__notes__ == ["Tried 6 times."], "nothing is unknown"


def test_a_model_that_is_gone(scripted: Server, celonis: Celonis) -> None:
    """A model that is deleted while it is loaded: the error says that the end is unknown."""
    scripted.say(MODELS, load(1), DONE, load(2, "RUNNING"), (404, {}, b""))
    with pytest.raises(NotFound) as caught:
        celonis.reload(POOL, "M")
    assert "How data model 'M' ends is unknown" in caught.value.__notes__[0]


def test_refusals_without_a_reason(
    scripted: Server, celonis: Celonis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that refuses although nothing runs is asked again, but not for ever."""
    monkeypatch.setattr(following, "MAX_REFUSED", 4)
    answers: list[Any] = [MODELS, load(1)]
    scripted.say(*answers, *[(409, {}, b""), load(1)] * 4)
    with pytest.raises(Conflict) as caught:
        celonis.reload(POOL, "M")
    assert posts(scripted) == 4
    assert not hasattr(caught.value, "__notes__"), "nothing was begun, and that is certain"


def test_executions_without_ids(scripted: Server, celonis: Celonis) -> None:
    """A server that shows no id: what runs after the call is ours, what only ended is not."""
    bare = execution(None)
    scripted.say(JOBS, bare, DONE, bare, execution(None, "RUNNING"), bare)
    assert celonis.run_job(POOL, "J").ok
    scripted.say(JOBS, bare, DONE, bare)
    with pytest.raises(ApiError, match="It cannot be known"):
        celonis.run_job(POOL, "J")
    assert posts(scripted) == 2, "a data job is not executed again"


def test_an_execution_that_is_new_at_first(scripted: Server, celonis: Celonis) -> None:
    """NEW is no end; QUEUED and RUNNING follow."""
    scripted.say(
        JOBS, execution(1, "FAIL"), DONE, execution(2, "NEW"), execution(2, "QUEUED"),
        execution(2, "RUNNING"), execution(2),
    )  # fmt: skip
    status = celonis.run_job(POOL, "J")
    assert (status.state, status.execution_id) == ("SUCCESS", "e-2")


def test_html_is_escaped(scripted: Server, celonis: Celonis) -> None:
    """No string from the server becomes markup in a notebook."""
    evil = "<script>alert(1)</script>"
    tables = [{"tableName": evil, "message": evil, "done": False}]
    scripted.say(
        [{"id": evil, "name": evil, "tables": []}], load(1), DONE,
        load(2, "WARNING", message=evil + "!", tableLoads=tables),
    )  # fmt: skip
    reload = celonis.reload(POOL, evil)
    scripted.say([{"id": evil, "name": evil}], execution(1), DONE, execution(2))
    job = celonis.run_job(POOL, evil)
    for status in (reload, job):
        page = status._repr_html_()
        assert "<script" not in page
        assert page.count("&lt;script") >= 2


def test_a_status_without_a_connection(scripted: Server, celonis: Celonis) -> None:
    """One that was pickled before the end can be shown, not read again."""
    scripted.say(MODELS, load(1), DONE, load(2, "RUNNING"))
    status = celonis.reload(POOL, "M", wait=False)
    scripted.say(JOBS, execution(1), DONE, execution(2, "RUNNING"))
    job = celonis.run_job(POOL, "J", wait=False)
    for one, kind in ((status, ReloadStatus), (job, DataJobStatus)):
        back = pickle.loads(pickle.dumps(one))  # noqa: S301  # pickled here
        assert isinstance(back, kind)
        assert (back.state, repr(back)) == ("RUNNING", repr(one))
        json.dumps(back.to_dict())
        for method in (back.refresh, back.wait):
            with pytest.raises(ConfigError, match="This status has no connection"):
                method()
