"""The team's quota of submissions, kept by the client and enforced by the server."""

from __future__ import annotations

import itertools
import logging
import time
from typing import Any

import polars as pl
import pytest

import celonis_frames
from celonis_frames import ApiKey, Celonis, exceptions, local
from celonis_frames._concurrency import cancellation
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._jobs import rate_limit
from celonis_frames._jobs.rate_limit import PER_HOUR, PER_SECOND, SubmissionLimit
from celonis_frames._push.progress import Reporting, in_progress
from celonis_frames.events import Event, Waiting

HOUR = 3600.0


@pytest.fixture(autouse=True)
def quota(short_waits: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  # after it
    """The real quota, which other tests lift."""
    monkeypatch.setattr(rate_limit, "PER_HOUR", PER_HOUR)
    monkeypatch.setattr(rate_limit, "_limits", {})  # in one process the hour may be used up


class Clock:
    """A clock that only waiting advances."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: float) -> None:
        self.now = now
        self.waits: list[float] = []
        monkeypatch.setattr(cancellation, "_sleep", self._sleep)

    def _sleep(self, seconds: float, _token: object) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def test_ten_a_second_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The eleventh submission waits until a second after the first has passed."""
    clock = Clock(monkeypatch, 10 * HOUR + 5)
    limit = SubmissionLimit(clock)
    times = []
    for _ in range(3 * PER_SECOND):
        limit.wait(CancelToken())
        times.append(clock.now)
    for i in range(len(times) - PER_SECOND):
        assert times[i + PER_SECOND] - times[i] >= 1.0


def test_the_hourly_quota_resets_at_the_full_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 250 submissions the next one waits for the full hour, UTC, and says so."""
    clock = Clock(monkeypatch, 10 * HOUR + 1800)
    limit = SubmissionLimit(clock)
    said: list[Event] = []
    options = Reporting(progress=False, on_event=said.append)
    with in_progress("push", "T", "https://team.eu-1.celonis.cloud", options):
        for _ in range(PER_HOUR):
            limit.wait(CancelToken())
            clock.now += 1
        before = clock.now
        limit.wait(CancelToken())
    assert clock.now == pytest.approx(11 * HOUR)
    waits = [event for event in said if isinstance(event, Waiting)]
    assert [(wait.reason, wait.seconds) for wait in waits] == [
        ("quota", pytest.approx(11 * HOUR - before))
    ]


def test_a_timeout_before_the_quota_opens_raises_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the quota opens after the timeout, the error says when."""
    clock = Clock(monkeypatch, 10 * HOUR + 1800)
    limit = SubmissionLimit(clock)
    for _ in range(PER_HOUR):
        limit.wait(CancelToken())
    clock.waits.clear()
    with pytest.raises(exceptions.RateLimited, match="11:00:00 UTC"):
        limit.wait(CancelToken(deadline=time.monotonic() + 60))
    assert clock.waits == []


def test_retry_after_is_obeyed_up_to_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """All submissions wait as Retry-After asks, at most an hour."""
    for asked, waited in ((30.0, 30.0), (1e9, HOUR)):
        clock = Clock(monkeypatch, 10 * HOUR)
        limit = SubmissionLimit(clock)
        limit.rejected(exceptions.RateLimited("", status_code=429, retry_after=asked), 1)
        limit.wait(CancelToken())
        assert clock.now - 10 * HOUR == pytest.approx(waited)


def test_429_without_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """First the limit per second is assumed, then that per hour, then it is an error."""
    clock = Clock(monkeypatch, 10 * HOUR + 60)
    limit = SubmissionLimit(clock)
    refusal = exceptions.RateLimited("no more", status_code=429)
    times: list[float] = []

    def be_refused() -> None:
        for number in range(1, 20):
            limit.rejected(refusal, number)
            limit.wait(CancelToken())
            times.append(clock.now)

    with pytest.raises(exceptions.RateLimited, match="no more"):
        be_refused()
    assert times[0] - 10 * HOUR < 65
    assert times[-2:] == [11 * HOUR, 12 * HOUR]


def test_a_retry_after_that_stays_too_short_ends_in_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a constant Retry-After of one second the waits grow, and end in an error."""
    clock = Clock(monkeypatch, 10 * HOUR)
    limit = SubmissionLimit(clock)
    refusal = exceptions.RateLimited("no more", status_code=429, retry_after=1.0)
    times: list[float] = [clock.now]

    def be_refused() -> None:
        for number in range(1, 20):
            limit.rejected(refusal, number)
            limit.wait(CancelToken())
            times.append(clock.now)

    with pytest.raises(exceptions.RateLimited, match="no more"):
        be_refused()
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(30)
    assert len(waits) == 10


def test_a_short_wait_does_not_end_a_longer_closure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a short wait does not shorten the longer wait of another submission."""
    clock = Clock(monkeypatch, 10 * HOUR)
    limit = SubmissionLimit(clock)
    short, long = (
        exceptions.RateLimited("", status_code=429, retry_after=seconds) for seconds in (1.0, 100.0)
    )
    limit.rejected(short, 1)
    real = clock._sleep

    def sleep(seconds: float, token: object) -> None:
        monkeypatch.setattr(cancellation, "_sleep", real)
        limit.rejected(long, 1)
        real(seconds, token)

    monkeypatch.setattr(cancellation, "_sleep", sleep)
    limit.wait(CancelToken())
    assert clock.now >= 10 * HOUR + 100


def test_a_push_waits_for_the_quota_of_the_server(
    caplog: pytest.LogCaptureFixture, table: str
) -> None:
    """After 429 the submission is repeated; a long wait is announced; nothing is sent twice."""
    with local.start(limits=False) as server, server.connect() as connection:
        server.faults.answer("execute", 429, times=2, headers={"Retry-After": "17"})
        with caplog.at_level(logging.WARNING, "celonis_frames"):
            status = connection.push(pl.DataFrame({"A": [1]}), "P", table)
        assert status.ok
        assert server.table("P", table).num_rows == 1
        assert "when submissions are accepted again" in caplog.text


def test_timeout_bounds_the_wait_for_the_quota(table: str) -> None:
    """With timeout= a long wait is RateLimited at once; the job is cancelled."""
    with local.start(limits=False) as server, server.connect() as connection:
        server.faults.answer("execute", 429, times=None, headers={"Retry-After": "1700"})
        with pytest.raises(exceptions.RateLimited, match="UTC") as caught:
            connection.push(pl.DataFrame({"A": [1]}), "P", table, timeout=30)
        assert caught.value.retry_after
        assert caught.value.retry_after > 1600
        assert [job["status"] for job in server.jobs] == ["CANCELED"]


def test_many_tables_keep_to_ten_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a server that enforces the limit, many concurrent pushes all succeed."""
    monkeypatch.undo()  # real waits
    with local.start() as server, Celonis(server.url, auth=ApiKey(server.token)) as connection:
        monkeypatch.setattr(rate_limit, "_limits", {})
        frames = {f"T{n}": pl.DataFrame({"A": [n]}) for n in range(25)}
        statuses = celonis_frames.push_many(frames, "P", client=connection, at_once=8)
        assert all(status.ok for status in statuses.values())
        for n in range(25):
            assert server.table("P", f"T{n}")["A"].to_pylist() == [n]


@pytest.fixture
def counted(server: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the calls that the server receives."""
    calls: list[str] = []
    real = server.faults._schedule.take
    monkeypatch.setattr(
        server.faults._schedule, "take", lambda route: (calls.append(route), real(route))[1]
    )
    return calls


def test_jobs_of_many_tables_are_polled_together(
    counted: list[str], server: Any, connection: Celonis, table: str
) -> None:
    """All jobs are polled with one list call, and none by its id."""
    server.faults.slow_jobs(running=0.3)
    try:
        frames = {f"{table}{n}": pl.DataFrame({"A": range(n + 1)}) for n in range(6)}
        statuses = connection.push_many(frames, "Tests", mode="REPLACE")
    finally:
        server.faults.clear()
    assert {name: status.rows for name, status in statuses.items()} == {
        f"{table}{n}": n + 1 for n in range(6)
    }
    assert all(status.ok for status in statuses.values())
    assert counted.count("job") == 6  # once each, right after the submission
    assert counted.count("jobs") >= 1


def test_one_table_that_fails_does_not_stop_the_others(
    server: Any, connection: Celonis, table: str
) -> None:
    """The error is that of the failed table; its notes report the others."""
    frames = {
        f"{table}_good": pl.DataFrame({"A": [1]}),
        f"{table}_bad": pl.DataFrame({"A": [[1]]}),
        f"{table}_fine": pl.DataFrame({"A": [2]}),
    }
    with pytest.raises(exceptions.ColumnTypeError) as caught:
        connection.push_many(frames, "Tests")
    notes = "\n".join(caught.value.__notes__)
    assert f"{table}_bad" in notes
    assert f"{table}_good, {table}_fine" in notes or f"{table}_fine, {table}_good" in notes
    assert server.table("Tests", f"{table}_good").num_rows == 1
    assert server.table("Tests", f"{table}_fine").num_rows == 1


def test_keys_by_table(server: Any, connection: Celonis, table: str) -> None:
    """keys= of push_many can set other keys per table."""
    frames = {f"{table}_A": pl.DataFrame({"K": [1]}), f"{table}_B": pl.DataFrame({"L": [1]})}
    for _ in range(2):
        connection.push_many(frames, "Tests", keys={f"{table}_A": "K", f"{table}_B": ["L"]})
    assert server.table("Tests", f"{table}_A").num_rows == 1
    assert server.table("Tests", f"{table}_B").num_rows == 1
    with pytest.raises(exceptions.ConfigError, match="keys="):
        connection.push_many(frames, "Tests", keys={"NOPE": "K"})
    # Blanks at the ends of names are stripped, whoever wrote them.
    spelled = {f" {table}_A": frames[f"{table}_A"], f"{table}_B": frames[f"{table}_B"]}
    connection.push_many(spelled, "Tests", keys={f"{table}_A": "K", f"{table}_B ": ["L"]})
    assert server.table("Tests", f"{table}_A").num_rows == 1
    assert server.table("Tests", f"{table}_B").num_rows == 1
    with pytest.raises(exceptions.ConfigError, match="twice"):
        connection.push_many(frames, "Tests", keys={f"{table}_A": "K", f" {table}_A": "L"})


def test_no_quota_is_kept_where_the_server_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a local Celonis can say that it has none; a later one on its port may have one again.

    A 429 response makes submissions wait in any case.
    """
    monkeypatch.setattr(rate_limit, "PER_HOUR", 3)
    frames = {f"T{number}": pl.DataFrame({"A": [number]}) for number in range(6)}
    with local.start(limits=False) as server, server.connect() as celonis:
        port = int(server.url.rpartition(":")[2])
        server.faults.answer("execute", 429, headers={"Retry-After": "1"})
        begin = time.monotonic()
        assert all(status.ok for status in celonis.push_many(frames, "P").values())
        assert time.monotonic() - begin < 60
        assert len(server.jobs) == 6
    with (
        local.start(port=port) as server,
        server.connect() as celonis,
        pytest.raises(exceptions.RateLimited, match="later than timeout="),
    ):
        # An hour that ends within the timeout would accept them.
        celonis.push_many(frames, "P", timeout=min(20.0, max(1.0, HOUR - time.time() % HOUR - 10)))
