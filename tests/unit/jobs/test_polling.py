"""Polling a job to its end, and PushStatus."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from celonis_frames._api.client import DataPushApi
from celonis_frames._concurrency import cancellation
from celonis_frames._jobs.polling import failure, wait_for, wait_for_all
from celonis_frames._push.status import PushStatus
from celonis_frames.exceptions import (
    ConfigError,
    JobFailed,
    JobTimeout,
    NotFound,
    PermissionDenied,
    ServerError,
)
from unit.conftest import CANARY, JOB, POOL, Server


def job(state: str, **more: Any) -> dict[str, Any]:
    """A job in this state, as the API answers."""
    return {**JOB, "status": state, **more}


class Clock:
    """A clock that only sleeping advances."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


@pytest.mark.parametrize("last", ["DONE", "ERROR", "CANCELED"])
def test_waiting_ends_with_the_job(scripted: Server, api: DataPushApi, last: str) -> None:
    """Every final state ends the polling, also CANCELED."""
    scripted.say(job("NEW"), job("QUEUED"), job("RUNNING"), job(last))
    clock = Clock()
    states: list[str] = []
    found = wait_for(
        api,
        POOL,
        "j-1",
        on_job=lambda j: states.append(j.state),
        sleep=clock.sleep,
        clock=clock,
    )
    assert found.state == last
    assert states == ["NEW", "QUEUED", "RUNNING", last]
    assert clock.sleeps == pytest.approx([0.02, 0.064, 0.2048])


@pytest.mark.parametrize(("seconds", "looks"), [(0.02, 2), (1, 6), (10, 8), (60, 10), (3600, 219)])
def test_polling_makes_few_calls(
    scripted: Server,
    api: DataPushApi,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    looks: int,
) -> None:
    """A job of one minute is polled at most ten times, one of an hour every 17 s."""
    clock = Clock()
    scripted.say(job("RUNNING"))

    def sleep(wait: float, _stop: Any) -> None:
        clock.sleep(wait)
        if clock.now >= seconds:
            scripted.say(job("DONE"))

    monkeypatch.setattr(cancellation, "_sleep", sleep)
    assert wait_for(api, POOL, "j-1", clock=clock).state == "DONE"
    assert len(scripted.seen) == looks
    assert clock.now < 3.3 * seconds + 0.1


def test_the_time_limit_is_kept(scripted: Server, api: DataPushApi) -> None:
    """The last wait is shortened, and the error says that the job continues."""
    scripted.say(job("RUNNING"))
    clock = Clock()
    with pytest.raises(JobTimeout) as caught:
        wait_for(api, POOL, "j-1", timeout=100, sleep=clock.sleep, clock=clock)
    assert max(clock.sleeps) == 17
    assert clock.now == pytest.approx(100)
    assert caught.value.job_id == "j-1"
    for word in ("j-1", "RUNNING", "100 s", "continues"):
        assert word in str(caught.value)


def test_a_short_outage_does_not_end_the_waiting(scripted: Server, api: DataPushApi) -> None:
    """After 502, 429 and a lost connection polling goes on; after 404 it does not."""

    def broken(handler: Any) -> None:
        handler.close_connection = True

    clock = Clock()
    scripted.say((502, {}, b""), (429, {"Retry-After": "9"}, b""), broken, job("DONE"))
    found = wait_for(api, POOL, "j-1", sleep=clock.sleep, clock=clock)
    assert found.state == "DONE"
    assert clock.sleeps[1] == 9
    scripted.say((502, {}, b""))
    with pytest.raises(ServerError):
        wait_for(api, POOL, "j-1", sleep=clock.sleep, clock=clock)
    scripted.say((404, {}, b""))
    before = len(scripted.seen)
    with pytest.raises(NotFound):
        wait_for(api, POOL, "j-1", sleep=clock.sleep, clock=clock)
    assert len(scripted.seen) == before + 1


def test_a_failed_job_quotes_its_last_lines(scripted: Server, api: DataPushApi) -> None:
    """State and last log lines, bounded and printable; all lines as an attribute."""
    scripted.say(job("ERROR", logs=[f"line {n}" for n in range(50)] + ["\x1b[0m" + "x" * 9000]))
    error = failure(api.job(POOL, "j-1"))
    assert isinstance(error, JobFailed)
    assert error.state == "ERROR"
    assert len(error.logs) == 51
    assert "line 49" in error.message
    assert "line 3\n" not in error.message
    assert "\x1b" not in error.message
    assert len(error.message) < 30_000
    scripted.say(job("CANCELED"))
    assert "canceled" in failure(api.job(POOL, "j-1")).message


def test_why_a_job_failed_comes_first_and_whole(scripted: Server, api: DataPushApi) -> None:
    """The log line about the error stands before all advice, is not cut, and has no time."""
    reason = f"ERROR: column AMOUNT {'x' * 5_000} end"
    lines = [f"2020-02-04T19:34:0{n} - {text}" for n, text in enumerate(
        ["Job started", reason, "Rolled back", "Job ended"])]  # fmt: skip
    scripted.say(job("ERROR", logs=lines))
    message = failure(api.job(POOL, "j-1")).message
    assert message.startswith(f"Job j-1 for table 'EVENTS' ended in ERROR: {reason}. The table")
    assert "Rolled back" in message
    scripted.say(job("ERROR", logs=["2020-02-04T19:34:03 - broken on purpose"]))
    assert "ended in ERROR: broken on purpose. The" in failure(api.job(POOL, "j-1")).message
    scripted.say(job("ERROR", logs=[]))
    assert "ended in ERROR. The table" in failure(api.job(POOL, "j-1")).message


def test_a_list_that_cannot_be_read_stops_no_poll(scripted: Server, api: DataPushApi) -> None:
    """A pool may have more jobs than a response may be long: ours are read by their ids."""
    scripted.say((200, {}, b'[{"id": "j-1", "st'), job("DONE"))
    assert wait_for_all(api, POOL, ["j-1"])["j-1"].state == "DONE"
    scripted.say((403, {}, b""))
    with pytest.raises(PermissionDenied):
        wait_for_all(api, POOL, ["j-1"])


def test_the_status_object(scripted: Server, api: DataPushApi) -> None:
    """It has the facts of the push, polls the job, and raises only in raise_for_status()."""
    scripted.say(job("RUNNING"), job("DONE"))
    status = PushStatus(
        api,
        api.job(POOL, "j-1"),
        rows=1_234_567,
        chunks=3,
        bytes_sent=81_200_000,
        warnings=["w"],
        timings={"upload": 2.0, "total": 2.4},
    )
    assert (status.state, status.done, status.ok) == ("RUNNING", False, False)
    assert status.wait() is status
    assert (status.state, status.done, status.ok) == ("DONE", True, True)
    status.raise_for_status()
    assert repr(status) == (
        "<PushStatus DONE · EVENTS (DELTA) · 1,234,567 rows · 3 chunks · 81.2 MB · 2.4 s · "
        "1 warning · job j-1>"
    )
    facts = status.to_dict()
    assert (facts["rows"], facts["warnings"], facts["pool_id"]) == (1_234_567, ["w"], POOL)
    before = len(scripted.seen)
    status.wait()
    assert len(scripted.seen) == before, "an ended job is not asked again"


def test_cancel_and_failure(scripted: Server, api: DataPushApi) -> None:
    """cancel() cancels and reads the job; raise_for_status() then raises."""
    scripted.say(job("RUNNING"), (200, {}, b""), job("CANCELED"))
    status = PushStatus(api, api.job(POOL, "j-1"))
    assert status.cancel().state == "CANCELED"
    assert scripted.seen[1].path.endswith("/cancel")
    with pytest.raises(JobFailed):
        status.raise_for_status()


def test_html_is_escaped(scripted: Server, api: DataPushApi) -> None:
    """No string from the server or a column becomes markup in a notebook."""
    evil = "<script>alert(1)</script>"
    scripted.say(job("ERROR", targetName=evil, logs=[evil], id=evil))
    status = PushStatus(api, api.job(POOL, "j-1"), warnings=[evil])
    page = status._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;script") == 4


def test_a_pickle_holds_no_secret(scripted: Server, api: DataPushApi) -> None:
    """A status can be sent to another process, without the connection and its key."""
    scripted.say(job("DONE"))
    status = PushStatus(api, api.job(POOL, "j-1"), rows=5)
    data = pickle.dumps(status)
    assert CANARY.encode() not in data
    back = pickle.loads(data)  # noqa: S301  # pickled four lines above
    assert (back.state, back.rows) == ("DONE", 5)
    with pytest.raises(ConfigError, match="no connection"):
        back.refresh()


def test_a_submitted_job_that_stays_new_is_reported_once(
    scripted: Server, api: DataPushApi, caplog: pytest.LogCaptureFixture
) -> None:
    """After a minute a warning names it; it is not submitted again."""
    scripted.say(*[job("NEW")] * 20, job("DONE"))
    clock = Clock()
    assert wait_for(api, POOL, "j-1", sleep=clock.sleep, clock=clock).state == "DONE"
    (warning,) = [record for record in caplog.records if "has been NEW" in record.message]
    assert "job j-1" in warning.message
    assert {seen.method for seen in scripted.seen} == {"GET"}
