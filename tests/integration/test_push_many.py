"""push_many: however it ends, the error reports the outcome of every table."""

from __future__ import annotations

import _thread
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from waiting import until

from celonis_frames import Celonis, exceptions
from celonis_frames._concurrency import cancellation
from celonis_frames._concurrency.cancellation import CancelToken
from celonis_frames._jobs.delivery import DeliveryResult
from celonis_frames._push import push_many
from celonis_frames._push.table_push import TablePush

POOL = "Tests"
GOOD = pl.DataFrame({"A": [1, 2]})
BAD = pl.DataFrame({"A": [[1]]})


@pytest.fixture
def slow(server: Any) -> Iterator[None]:
    """Jobs run until the end of the test."""
    server.faults.slow_jobs(running=600.0)
    yield
    with server.connect() as celonis:
        for job in server.jobs:
            if job["status"] in ("QUEUED", "RUNNING"):
                with contextlib.suppress(exceptions.BadRequest):  # it has just been cancelled
                    celonis.job(job["dataPoolId"], job["id"]).cancel()
    server.faults.clear()


def _job(server: Any, table: str) -> Any:
    (job,) = (job for job in server.jobs if job["targetName"] == table)
    return job


def _notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", ()))


def _then(error: BaseException, ready: threading.Event) -> Iterator[pl.DataFrame]:
    """A stream that raises `error` after another table was submitted."""
    yield GOOD
    ready.wait(30)
    raise error


@pytest.fixture
def submitted(server: Any, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set at the first poll of a job, which is after its submission."""
    event = threading.Event()
    real = server.faults._schedule.take

    def take(route: str) -> Any:
        if route == "job":
            event.set()
        return real(route)

    monkeypatch.setattr(server.faults._schedule, "take", take)
    return event


@pytest.mark.usefixtures("slow")
def test_an_earlier_error_is_raised_after_a_timeout(
    server: Any, connection: Celonis, table: str
) -> None:
    """The failed table's error is raised; its notes name the job that continues."""
    frames = {f"{table}_bad": BAD, f"{table}_slow": GOOD}
    with pytest.raises(exceptions.ColumnTypeError) as caught:
        connection.push_many(frames, POOL, timeout=2)
    job = _job(server, f"{table}_slow")
    notes = _notes(caught.value)
    assert f"'{table}_bad', one of 2" in notes
    assert f"'{table}_slow': JobTimeout: Job {job['id']} is still" in notes
    assert f"table '{table}_slow' (job {job['id']})" in notes


@pytest.mark.usefixtures("slow")
def test_every_unfinished_table_has_a_timeout_of_its_own(
    server: Any, connection: Celonis, table: str
) -> None:
    """JobTimeout names the job of its table; the notes name the other job."""
    frames = {f"{table}_{n}": GOOD for n in range(2)}
    with pytest.raises(exceptions.JobTimeout, match="after 2 s") as caught:
        connection.push_many(frames, POOL, timeout=2)
    ids = {_job(server, name)["id"] for name in frames}
    assert caught.value.job_id in ids
    (other,) = ids - {caught.value.job_id}
    assert f"JobTimeout: Job {other} is still" in _notes(caught.value)


def test_a_timeout_reports_the_tables_that_were_pushed(
    server: Any, connection: Celonis, table: str
) -> None:
    """The notes list a table whose job was done before the timeout as pushed."""
    fast, slow = f"{table}_fast", f"{table}_slow"

    def later() -> Iterator[pl.DataFrame]:
        until(lambda: _job(server, fast)["status"] == "DONE")
        server.faults.slow_jobs(running=600.0)
        yield GOOD

    try:
        with pytest.raises(exceptions.JobTimeout) as caught:
            connection.push_many({fast: GOOD, slow: later()}, POOL, at_once=1, timeout=3)
        assert caught.value.job_id == _job(server, slow)["id"]
    finally:
        server.faults.clear()
        connection.job(POOL, _job(server, slow)["id"]).cancel()
    assert f"These tables were pushed: {fast}." in _notes(caught.value)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("route", ["jobs", "job"])
def test_a_rejected_call_while_polling_names_the_jobs(
    route: str, server: Any, connection: Celonis, table: str
) -> None:
    """If the jobs cannot be read, the error names them and the tables that failed."""
    frames = {f"{table}_bad": BAD, f"{table}_slow": GOOD}
    server.faults.answer(route, 403)
    with pytest.raises(exceptions.CelonisFramesError) as caught:
        connection.push_many(frames, POOL)
    job = _job(server, f"{table}_slow")
    said = f"{caught.value}\n{_notes(caught.value)}"
    assert f"table '{table}_slow' (job {job['id']})" in said
    assert "list" in said  # what is wrong with the bad one
    assert "403" in said or "PermissionDenied" in said


@pytest.mark.usefixtures("slow")
def test_a_deleted_job_does_not_stop_the_polling_of_others(
    server: Any, connection: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NotFound is the error of the table whose job was deleted; the others are still polled."""
    names = [f"{table}_{n}" for n in range(2)]
    gone: list[Any] = []

    def change(_seconds: float, _stop: object) -> None:
        if gone:
            with contextlib.suppress(exceptions.BadRequest):  # it has been cancelled already
                connection.job(POOL, there["id"]).cancel()
            return
        jobs = [_job(server, name) for name in names]
        for job, other in (jobs, jobs[::-1]):
            if job["status"] == "RUNNING":
                gone.append(job)
                there.update(other)
                connection.job(POOL, job["id"]).cancel()
                name = job["targetName"]
                until(lambda name=name: _job(server, name)["status"] == "CANCELED")  # type: ignore[misc]
                connection._api.delete_job(connection.pool_id(POOL), job["id"])
                return

    there: dict[str, Any] = {}
    monkeypatch.setattr(cancellation, "_sleep", change)
    with pytest.raises(exceptions.NotFound) as caught:
        connection.push_many(dict.fromkeys(names, GOOD), POOL, timeout=60)
    assert caught.value.job_id == gone[0]["id"]
    assert f"'{gone[0]['targetName']}', one of 2" in _notes(caught.value)
    assert f"JobFailed: Job {there['id']}" in _notes(caught.value)
    assert "not ended when last seen" not in _notes(caught.value)


@pytest.mark.usefixtures("slow")
def test_an_error_in_a_users_generator_is_raised_unchanged(
    server: Any, connection: Celonis, table: str, submitted: threading.Event
) -> None:
    """The notes name its table and the jobs that continue."""
    frames = {f"{table}_slow": GOOD, f"{table}_own": _then(ValueError("mine"), submitted)}
    with pytest.raises(ValueError, match="mine") as caught:
        connection.push_many(frames, POOL)
    notes = _notes(caught.value)
    assert f"This is the error of table '{table}_own'." in notes
    assert f"table '{table}_slow' (job {_job(server, f'{table}_slow')['id']})" in notes


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interruption_while_polling_names_the_jobs(
    kind: type[BaseException],
    server: Any,
    connection: Celonis,
    table: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ctrl-C ends the polling; jobs that continue on the server are named and logged."""

    def interrupt(_seconds: float, _stop: object) -> None:
        assert threading.current_thread() is threading.main_thread()
        raise kind

    monkeypatch.setattr(cancellation, "_sleep", interrupt)
    frames = {f"{table}_bad": BAD, f"{table}_slow": GOOD}
    with caplog.at_level(logging.WARNING, "celonis_frames"), pytest.raises(kind) as caught:
        connection.push_many(frames, POOL)
    text = f"table '{table}_slow' (job {_job(server, f'{table}_slow')['id']})"
    assert text in _notes(caught.value)
    assert text in caplog.text
    assert f"Table '{table}_bad': ColumnTypeError" in _notes(caught.value)


def test_sigterm_while_polling_names_the_jobs(
    server: Any, connection: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM ends the polling as SystemExit, whose notes have the ids."""

    def terminate(_seconds: float, _stop: object) -> None:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        signal.raise_signal(signal.SIGTERM)

    server.faults.slow_jobs(running=0.5)
    monkeypatch.setattr(cancellation, "_sleep", terminate)
    try:
        with pytest.raises(SystemExit) as caught:
            connection.push_many({table: GOOD}, POOL)
    finally:
        server.faults.clear()
    assert _job(server, table)["id"] in _notes(caught.value)


@pytest.mark.parametrize(
    ("way", "chunks", "known"), [(None, 1, True), ("w", 0, True), ("w", 1, False)]
)
def test_whether_the_outcome_of_a_table_that_is_given_up_is_known(
    way: Any, chunks: int, known: bool
) -> None:
    """A job was not submitted; objects of it may be stored, which Celonis then loads."""
    options: Any = SimpleNamespace(timeout=1.0)
    push = TablePush("T", None, options, running=True, delivered=DeliveryResult(chunks=chunks))
    token, unused = CancelToken(deadline=0.0), None
    multi = push_many._MultiPush(unused, token, "P", {"T": push}, way, unused)  # type: ignore[arg-type]
    multi._give_up()
    error: Any = multi.errors["T"]
    assert error.outcome_known is known


def test_an_interruption_names_the_unfinished_tables(
    server: Any, connection: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that hangs in the user's code is named; no other table is begun."""
    monkeypatch.setattr(push_many, "TABLES_STOP_SECONDS", 0.05)
    go_on = threading.Event()

    def hanging() -> Iterator[pl.DataFrame]:
        yield GOOD
        _thread.interrupt_main()
        go_on.wait(30)

    frames = {f"{table}_hangs": hanging(), f"{table}_later": GOOD}
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            connection.push_many(frames, POOL, at_once=1)
    finally:
        go_on.set()
    assert f"still in progress: {table}_hangs." in _notes(caught.value)
    assert f"not begun: {table}_later." in _notes(caught.value)
    for thread in threading.enumerate():
        if thread.name == "celonis-push":
            thread.join(10)
    mine = [job for job in server.jobs if job["targetName"] in frames]
    assert all(job["status"] in ("NEW", "CANCELED") for job in mine)


def test_one_timeout_is_for_all_tables(server: Any, connection: Celonis, table: str) -> None:
    """The second table gets the remaining time; the third one is not begun."""
    names = [f"{table}_{n}" for n in range(3)]
    end = time.monotonic() + 2.0

    def long() -> Iterator[pl.DataFrame]:
        yield GOOD
        time.sleep(max(0.0, end - time.monotonic()) + 0.05)

    frames = {names[0]: GOOD, names[1]: long(), names[2]: GOOD}
    with pytest.raises(exceptions.JobTimeout) as caught:
        connection.push_many(frames, POOL, at_once=1, timeout=end - time.monotonic())
    assert f"'{names[1]}', one of 2" in _notes(caught.value)
    assert f"Table '{names[2]}' was not begun: the " in _notes(caught.value)
    jobs = {job["targetName"]: job["status"] for job in server.jobs}
    assert names[2] not in jobs
    assert jobs.get(names[1], "CANCELED") == "CANCELED"
    assert jobs[names[0]] not in ("NEW", "CANCELED")


def test_rows_are_counted_after_each_job(server: Any, connection: Celonis, table: str) -> None:
    """verify="rows" works for every table; timings contain the time of polling."""
    names = [f"{table}_{n}" for n in range(2)]
    frames = dict.fromkeys(names, GOOD)
    statuses = connection.push_many(frames, POOL, verify="rows")
    for status in statuses.values():
        assert status.ok
        assert status.warnings == ()
        assert 0.0 <= status.timings["wait"] <= status.timings["total"]
    real = server._catalog.count
    try:
        server._catalog.count = lambda *place: real(*place) + (place == (POOL, names[1]))
        with pytest.raises(exceptions.JobError, match="3 rows instead of 2") as caught:
            connection.push_many(frames, POOL, mode="REPLACE", verify="rows")
    finally:
        del server._catalog.count
    assert f"This is the error of table '{names[1]}'." in _notes(caught.value)
    assert f"These tables were pushed: {names[0]}." in _notes(caught.value)
    server.faults.slow_jobs(running=1.0)
    try:
        statuses = connection.push_many(frames, POOL, verify="rows", wait=False)
    finally:
        server.faults.slow_jobs()
    for status in statuses.values():
        assert "not waited for" in " ".join(status.wait().warnings)


def test_all_failed_jobs_are_reported(server: Any, connection: Celonis, table: str) -> None:
    """Each failed job is the error of its own table."""
    frames = {f"{table}_{n}": GOOD for n in range(2)}
    server.faults.fail_jobs("no room", times=2)
    with pytest.raises(exceptions.JobFailed, match="no room") as caught:
        connection.push_many(frames, POOL)
    ids = {_job(server, name)["id"] for name in frames}
    (other,) = ids - {caught.value.job_id}
    assert f"JobFailed: Job {other}" in _notes(caught.value)
