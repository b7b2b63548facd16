"""`on_event=`: which records there are, in which order, and that they do no harm."""

from __future__ import annotations

import _thread
import contextvars
import itertools
import json
import logging
import multiprocessing
import pickle
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from failing_pushes import CANARY, FRAME, fails
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import celonis_frames
from celonis_frames import ApiKey, Celonis, events, exceptions
from celonis_frames._push.progress import Progress
from celonis_frames._reporting import event_thread
from celonis_frames.events import (
    Began,
    ChunkSent,
    Ended,
    Event,
    JobChanged,
    JsonLines,
    Retrying,
    StageBegan,
    StageEnded,
    Waiting,
    Warned,
)

STAGES = ["checking", "uploading", "submitting", "waiting", "loading", "executing"]
STATES = ["NEW", "QUEUED", "RUNNING", "DONE", "ERROR", "CANCELED"]
SMALL = {"chunk_bytes": 10_000, "workers": 2}
PUSH = """
import sys
import polars as pl
from celonis_frames import ApiKey, Celonis
from celonis_frames.events import JsonLines
url, token, path, staging, number = sys.argv[1:]
count = 0

def stop_at(event):
    global count
    record(event)
    count += 1
    if count == int(number):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)

with Celonis(url, auth=ApiKey(token)) as celonis, JsonLines(path) as record:
    frame = pl.DataFrame({"K": range(2_000), "V": [f"c4nary-cell {n}" for n in range(2_000)]})
    celonis.push(
        frame, "P", "T", keys="K", staging=staging or None, on_event=stop_at,
        upload={"chunk_bytes": 10_000, "workers": 2},
    )
"""


def check(records: Sequence[dict[str, Any]], *, killed: bool = False) -> None:
    """Check that the records of any number of calls, in their JSON form, are in order."""
    assert [one["monotonic"] for one in records] == sorted(one["monotonic"] for one in records)
    assert CANARY not in json.dumps(records)
    calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in records:
        calls[one["call_id"]].append(one)
        calls[one["call_id"]][-1]["order"] = len(calls)
    for call in calls.values():
        kinds = [one["event"] for one in call]
        assert kinds[0] == "began"
        assert kinds.count("began") == 1
        assert kinds.count("ended") == (0 if killed else 1)
        assert killed or kinds[-1] == "ended"
        assert len({(one["operation"], one["push_id"], one["parent_id"]) for one in call}) == 1
        _check_stages([one for one in call if one["event"].startswith("stage_")], killed=killed)
        _check_jobs([one for one in call if one["event"] == "job_changed"])
        chunks = [(one["job_id"], one["number"]) for one in call if one["event"] == "chunk_sent"]
        assert len(chunks) == len(set(chunks))
        if not killed:
            end = call[-1]
            assert end["ok"] == (end["error"] is None)
    for call in calls.values():
        if (above := calls.get(call[0]["parent_id"])) is not None:
            assert above[0]["monotonic"] <= call[0]["monotonic"]
            assert killed or call[-1]["monotonic"] <= above[-1]["monotonic"]


def _check_stages(stages: list[dict[str, Any]], *, killed: bool) -> None:
    pairs = list(zip(stages[::2], stages[1::2], strict=False))
    assert killed or len(stages) % 2 == 0
    for begin, end in pairs:
        assert (begin["event"], end["event"]) == ("stage_began", "stage_ended")
        assert begin["stage"] == end["stage"]
        assert 0 <= end["seconds"] <= end["monotonic"] - begin["monotonic"] + 0.1
    names = [begin["stage"] for begin in stages[::2]]
    # Only a job that is made anew goes back.
    for one, two in itertools.pairwise(names):
        assert STAGES.index(one) < STAGES.index(two) or (one, two) == ("submitting", "uploading")


def _check_jobs(changes: list[dict[str, Any]]) -> None:
    jobs: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for one in changes:
        jobs[one["job_kind"], one["name"], one["job_id"]].append(one)
    for (kind, _, job_id), states in jobs.items():
        assert all(not one["done"] for one in states[:-1])
        if kind == "push":
            assert job_id
            order = [STATES.index(one["state"]) for one in states]
            assert order == sorted(set(order))
            assert states[-1]["done"] == (states[-1]["state"] in STATES[3:])


def as_json(records: Sequence[Event]) -> list[dict[str, Any]]:
    """Records in their JSON form."""
    return [json.loads(json.dumps(one.to_dict())) for one in records]


def read(path: Path) -> list[dict[str, Any]]:
    """The records in a file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def kinds(records: Sequence[Event], *wanted: type[Event]) -> list[Any]:
    """Those of some kinds."""
    return [one for one in records if isinstance(one, wanted)]


# The records ------------------------------------------------------------------------------------


def test_a_push_has_these_records(server: Any, connection: Celonis, table: str) -> None:
    """Each stage, chunk and state of the job, with ids and times, between a begin and an end."""
    server.add_pool(table)
    records: list[Event] = []
    before = datetime.now(UTC)
    status = connection.push(FRAME, table, table, upload=SMALL, on_event=records.append)
    check(as_json(records))
    begin, end = records[0], records[-1]
    assert isinstance(begin, Began)
    assert isinstance(end, Ended)
    assert (begin.url, begin.version) == (connection.url, celonis_frames.__version__)
    stages = [one.stage for one in kinds(records, StageBegan)]
    assert stages == ["checking", "uploading", "submitting", "waiting"]
    chunks = kinds(records, ChunkSent)
    assert sorted(one.number for one in chunks) == list(range(1, len(chunks) + 1))
    assert sum(one.rows for one in chunks) == end.rows == status.rows == 2_000
    assert sum(one.bytes for one in chunks) == end.bytes_sent == status.bytes_sent
    assert len(chunks) == end.chunks == status.chunks
    states = [one.state for one in kinds(records, JobChanged)]
    assert (states[0], states[-1]) == ("NEW", "DONE")
    assert (end.ok, end.state, end.error) == (True, "DONE", None)
    for one in records:
        assert (one.operation, one.table, one.push_id, one.parent_id) == ("push", table, None, None)
        assert before <= one.time <= datetime.now(UTC)
        assert one.time.utcoffset() == timedelta()
    assert {one.job_id for one in kinds(records, ChunkSent, Ended)} == {status.job_id}
    assert {one.pool_id for one in kinds(records, StageBegan)} == {status.pool_id}


KEYS = [
    "event", "time", "monotonic", "operation", "call_id", "parent_id", "push_id", "pool_id",
    "table", "job_id",
]  # fmt: skip
OWN: dict[type[Event], list[str]] = {
    Began: ["url", "version"],
    StageBegan: ["stage"],
    StageEnded: ["stage", "seconds"],
    ChunkSent: ["number", "rows", "bytes"],
    JobChanged: ["job_kind", "name", "state", "done"],
    Retrying: ["attempt", "seconds", "method", "url", "error", "status_code", "request_id"],
    Waiting: ["reason", "seconds"],
    Warned: ["message"],
    Ended: [
        "ok", "seconds", "state", "rows", "chunks", "bytes_sent", "error", "message",
        "status_code", "request_id", "support_id",
    ],
}  # fmt: skip


def test_the_json_form_keeps_its_keys(connection: Celonis, table: str) -> None:
    """Programs rely on the keys of each kind, and on the form of the times."""
    own = [getattr(events, name) for name in events.__all__ if name not in ("Event", "JsonLines")]
    assert sorted(one.__name__ for one in OWN) == sorted(one.__name__ for one in own)
    records: list[Event] = []
    connection.push(pl.DataFrame({"K": [1, 1]}), "P", table, keys="K", on_event=records.append)
    seen = {type(one) for one in records}
    assert seen == {Began, StageBegan, StageEnded, ChunkSent, JobChanged, Warned, Ended}
    for kind, keys in OWN.items():
        values = dict.fromkeys([*KEYS[2:], *keys]) | {"time": datetime(2026, 11, 28, tzinfo=UTC)}
        record = kind(**values)
        assert list(record.to_dict()) == [*KEYS, *keys]
        assert record.to_dict()["time"] == "2026-11-28T00:00:00.000000Z"
        with pytest.raises(AttributeError):
            record.table = "T"  # type: ignore[misc]
    names = [one.event for one in OWN]
    assert names == ["began", "stage_began", "stage_ended", "chunk_sent", "job_changed", "retrying",
                     "waiting", "warned", "ended"]  # fmt: skip


def test_warnings_are_the_lines_of_the_log(
    connection: Celonis, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also if the log is switched off."""
    records: list[Event] = []
    frame = pl.DataFrame({"K": [1, 1]})
    with caplog.at_level(logging.WARNING, "celonis_frames"):
        status = connection.push(frame, "P", table, keys="K", on_event=records.append)
    warned = [one.message for one in kinds(records, Warned)]
    assert warned == [one.getMessage() for one in caplog.records]
    assert warned == [f"{table}: {warning}" for warning in status.warnings]
    silent: list[Event] = []
    logging.disable()
    try:
        connection.push(frame, "P", table, keys="K", on_event=silent.append)
    finally:
        logging.disable(logging.NOTSET)
    assert [one.message for one in kinds(silent, Warned)] == warned


def test_retries_and_waits_are_told(own: Any, client: Celonis) -> None:
    """What failed, how often, and for how long nothing is sent; with the server's id."""
    own.faults.answer("create", 503, times=2, headers={"Retry-After": "1", "X-Request-ID": "r-7"})
    own.faults.answer("execute", 429, headers={"Retry-After": "17"})
    own.faults.drop("job", times=1)
    records: list[Event] = []
    client.push(FRAME, "P", "T", on_event=records.append)
    check(as_json(records))
    retries = kinds(records, Retrying)
    assert [(one.attempt, one.error, one.status_code, one.request_id) for one in retries] == [
        (1, "ServerError", 503, "r-7"),
        (2, "ServerError", 503, "r-7"),
        (1, "RateLimited", 429, None),
        (1, "ApiConnectionError", None, None),
    ]
    assert all(one.seconds > 0 and one.url.startswith(own.url) for one in retries)
    assert retries[0].method == "POST"
    [wait] = kinds(records, Waiting)
    assert wait.reason == "quota"
    assert wait.seconds == pytest.approx(17, abs=1)


@pytest.mark.parametrize("kind", ["job", "status", "frame", "config", "own", "connection"])
def test_the_end_says_which_error(own: Any, client: Celonis, kind: str) -> None:
    """Its class, and its message if all of it is ours: the server, and the caller, may say more."""
    frame, options = fails(own, kind), dict[str, Any]()
    if kind == "frame":
        options["keys"] = "K"
    elif kind == "config":
        options["connection"] = "there is none"
    elif kind == "connection":
        own.faults.refuse()
        options["timeout"] = 0.2
    records: list[Event] = []
    with pytest.raises(Exception, match=r".") as caught:
        client.push(frame, "P", "T", on_event=records.append, **options)
    check(as_json(records))
    end = records[-1]
    assert isinstance(end, Ended)
    assert (end.ok, end.rows) == (False, None)
    assert end.error == type(caught.value).__name__
    own_words = kind in ("frame", "config", "connection")
    if own_words and not isinstance(caught.value, exceptions.ApiStatusError | exceptions.JobError):
        assert end.message == caught.value.message  # type: ignore[attr-defined]
    else:
        assert end.message is None
    if kind == "status":
        assert (end.status_code, end.request_id, end.support_id) == (403, "r-1", "s-1")
        error = caught.value
        assert isinstance(error, exceptions.PermissionDenied)
        assert (error.request_id, error.support_id) == ("r-1", "s-1")
        assert "Request id: r-1." in error.__notes__
        assert pickle.loads(pickle.dumps(error)).support_id == "s-1"  # noqa: S301
    if kind == "job":
        assert end.state == "ERROR"


def test_each_call_reports(own: Any, client: Celonis) -> None:
    """`delete`, `changes`, `push_event_log`, `reload`, `run_job` and objects, each by its name."""
    records: list[Event] = []
    times = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(4)]
    log = pl.DataFrame({"C": ["1", "1", "2", "2"], "A": list("abab"), "T": times})
    own.add_data_model("P", "Model", ["T"])
    own.add_data_job("P", "Job", 'CREATE OR REPLACE TABLE "X" AS SELECT 1 AS a')
    report = records.append
    client.push_event_log(log, "P", "LOG", case="C", activity="A", timestamp="T", on_event=report)
    client.push(FRAME, "P", "T", keys="K", reload="Model", on_event=report)
    client.delete(FRAME.head(3), "P", "T", keys="K", on_event=report)
    with client.changes("P", "T", keys="K", on_event=report) as changes:
        changes.upsert(FRAME.head(2))
        changes.delete(FRAME.tail(2))
    client.reload("P", "Model", on_event=report)
    client.run_job("P", "Job", on_event=report)
    with pytest.raises(exceptions.FrameError), client.changes("P", "T", keys="K") as changes:
        changes.upsert(1)
    check(as_json(records))
    ends = kinds(records, Ended)
    assert [(one.operation, one.table, one.state) for one in ends] == [
        ("push_event_log", "LOG", "DONE"), ("push", "T", "DONE"), ("delete", "T", "DONE"),
        ("changes", "T", "DONE"), ("reload", "Model", "SUCCESS"), ("run_job", "Job", "SUCCESS"),
    ]  # fmt: skip
    assert all(one.ok and one.pool_id for one in ends)
    loads = [one for one in kinds(records, JobChanged) if one.job_kind == "load"]
    assert {one.name for one in loads} == {"Model"}
    assert loads[-1].done
    keys = own.ingestion("P", {"OBJECTS": {"keys": ["K"]}})
    with Celonis(own.url, ingestion=keys, on_event=(stored := []).append) as gateway:
        gateway.push(FRAME, "P", "OBJECTS", keys="K")
    check(as_json(stored))
    assert [one.stage for one in kinds(stored, StageBegan)] == ["checking", "uploading"]
    assert (stored[-1].state, stored[-1].rows, stored[-1].job_id) == ("ACCEPTED", 2_000, None)


def test_the_tables_of_push_many_can_be_told_apart(own: Any, client: Celonis) -> None:
    """Each has an id of its own, and that of the call; one that fails has its own error."""
    records: list[Event] = []
    frames = {"A": FRAME, "B": 1, "C": FRAME, "D": FRAME}
    own.faults.answer("create", 403, skip=1)
    with pytest.raises(exceptions.CelonisFramesError):
        client.push_many(frames, "P", on_event=records.append, at_once=2)
    check(as_json(records))
    whole = records[0]
    assert whole.operation == "push_many"
    assert whole.table is None
    ends = {one.table: one for one in kinds(records, Ended) if one.parent_id == whole.call_id}
    assert set(ends) == set(frames)
    failed = {name: one.error for name, one in ends.items() if not one.ok}
    assert len(failed) == 2
    assert "PermissionDenied" in failed.values()
    for name, end in ends.items():
        if end.ok:
            assert end.state == "DONE"
            own_jobs = {one.job_id for one in records if one.call_id == end.call_id if one.job_id}
            assert own_jobs == {end.job_id}, name
    assert records[-1].operation == "push_many"


def test_what_is_pushed_inside_of_a_push_is_not_part_of_it(client: Celonis) -> None:
    """A frame whose code pushes another one: each push has its own records."""
    outer: list[Event] = []
    inner: list[Event] = []
    double = pl.DataFrame({"K": [1, 1]})

    def frames() -> Iterator[pl.DataFrame]:
        yield FRAME
        client.push(double, "P", "INNER", keys="K")
        client.push(double, "P", "INNER", keys="K", on_event=inner.append)

    client.push(frames(), "P", "OUTER", on_event=outer.append)
    check(as_json(outer))
    check(as_json(inner))
    assert {one.table for one in outer} == {"OUTER"}
    assert not kinds(outer, Warned)
    assert len(kinds(inner, Warned)) == 1


# The function that is called --------------------------------------------------------------------


def test_it_is_called_in_one_thread_of_its_own(connection: Celonis, table: str) -> None:
    """With the caller's context, as loggers and tracers need it; not in the thread that pushes."""
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    name.set("the caller's")
    seen: list[tuple[threading.Thread, str]] = []
    connection.push(
        FRAME, "P", table, upload=SMALL,
        on_event=lambda _: seen.append((threading.current_thread(), name.get())),
    )  # fmt: skip
    [(thread, value)] = set(seen)
    assert thread.name == "celonis-events"
    assert not thread.is_alive()
    assert value == "the caller's"


def test_it_delays_no_upload(own: Any, client: Celonis) -> None:
    """Even one that waits until the job has ended on the server: no lock is held for it."""
    seen: list[str] = []

    def slow(event: Event) -> None:
        seen.append(event.event)
        end = time.monotonic() + 20
        while not any(job["status"] == "DONE" for job in own.jobs) and time.monotonic() < end:
            time.sleep(0.005)

    assert client.push(FRAME, "P", "T", upload=SMALL, on_event=slow).ok
    assert seen[-1] == "ended"


def test_one_that_hangs_is_left_behind(
    connection: Celonis,
    table: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The push returns; the function gets the other records when it goes on."""
    monkeypatch.setattr(event_thread, "CLOSE_SECONDS", 0.1)
    free, seen = threading.Event(), list[Event]()

    def hang(event: Event) -> None:
        free.wait(30)
        seen.append(event)

    with caplog.at_level(logging.WARNING, "celonis_frames"):
        assert connection.push(FRAME, "P", table, on_event=hang).ok
    assert "on_event= has not returned for all records" in caplog.text
    assert not seen
    free.set()
    end = time.monotonic() + 20
    while not kinds(seen, Ended) and time.monotonic() < end:
        time.sleep(0.01)
    check(as_json(seen))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_one_that_raises_does_no_harm(
    connection: Celonis,
    table: str,
    error: type[BaseException],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One warning, and it is not called again during this push; during the next one it is."""
    calls: list[Event] = []

    def broken(event: Event) -> None:
        calls.append(event)
        if len(calls) % 2 == 0:
            raise error

    for number in (1, 2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "celonis_frames"):
            assert connection.push(FRAME, "P", table, on_event=broken).ok
        assert len(calls) == 2 * number
        [warning] = caplog.records
        assert warning.getMessage() == (
            f"on_event= raised {error.__name__}, and is not called any more during this call"
        )


@pytest.mark.parametrize("wrong", ["events.jsonl", 1, [print]])
def test_it_must_be_a_function(connection: Celonis, table: str, wrong: Any) -> None:
    """Whatever cannot be called is rejected before anything is sent, in each place."""

    async def coroutine(_: Event) -> None: ...

    for value in (wrong, coroutine):
        for call in (
            lambda value=value: connection.push(FRAME, "P", table, on_event=value),
            lambda value=value: connection.reload("P", "M", on_event=value),
            lambda value=value: connection.resume("/nowhere", on_event=value),
            lambda value=value: Celonis(connection.url, auth=ApiKey("k"), on_event=value),
        ):
            with pytest.raises(exceptions.ConfigError, match=r"on_event=.* must be a function"):
                call()


def test_a_connection_has_a_default(server: Any, table: str) -> None:
    """It is called for each of its pushes, unless the push has its own."""
    first, second = list[Event](), list[Event]()
    with Celonis(server.url, auth=ApiKey(server.token), on_event=first.append) as celonis:
        celonis.push(FRAME, "P", table)
        celonis.push(FRAME, "P", table, on_event=second.append)
        celonis_frames.push(FRAME, "P", table, client=celonis)
    check(as_json([*first, *second][: len(first)]))
    assert len(kinds(first, Ended)) == 2
    assert len(kinds(second, Ended)) == 1


# JsonLines --------------------------------------------------------------------------------------


def _write(record: JsonLines, name: str, count: int) -> None:
    for number in range(count):
        record(
            ChunkSent(
                time=datetime.now(UTC), monotonic=0.0, operation="push", call_id=name,
                parent_id=None, push_id=None, pool_id=None, table="x" * 3_000, job_id=None,
                number=number, rows=1, bytes=1,
            )
        )  # fmt: skip


def test_lines_of_threads_and_processes_stay_whole(tmp_path: Path) -> None:
    """Four processes with four threads each write to one file: no line is torn, none is lost."""
    path = tmp_path / "events.jsonl"
    with JsonLines(path) as record:
        threads = [
            threading.Thread(target=_write, args=(record, f"thread {n}", 50)) for n in range(4)
        ]
        context = multiprocessing.get_context("spawn")
        others = [
            context.Process(target=_write, args=(record, f"process {n}", 50)) for n in range(3)
        ]
        for one in (*others, *threads):
            one.start()
        for one in (*others, *threads):
            one.join()
    lines = read(path)
    assert len(lines) == 7 * 50
    for name in {one["call_id"] for one in lines}:
        assert [one["number"] for one in lines if one["call_id"] == name] == list(range(50))


def test_a_file_is_continued_and_closed(
    connection: Celonis, table: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each record is in the file at once; a closed one is a warning, not the end of a push."""
    path = tmp_path / "événements.jsonl"
    path.write_text('{"event": "old"}\n')
    with JsonLines(str(path)) as record:
        connection.push(FRAME, "P", "Tâ\u2028ble", on_event=record)
        assert repr(record) == f"<JsonLines {path}>"
        lines = path.read_text("ascii").splitlines()
    assert [json.loads(line)["event"] for line in lines][:2] == ["old", "began"]
    assert json.loads(lines[-1])["table"] == "Tâ\u2028ble"
    record.close()
    caplog.clear()
    with caplog.at_level(logging.WARNING, "celonis_frames"):
        assert connection.push(FRAME, "P", table, on_event=record).ok
    assert [one.getMessage()[:24] for one in caplog.records] == ["on_event= raised ValueEr"]
    with pytest.raises(exceptions.ConfigError, match=r"JsonLines cannot write to .*nowhere"):
        JsonLines(tmp_path / "nowhere" / "events.jsonl")


def test_a_full_disk_is_a_warning(
    connection: Celonis, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The push goes on without its records."""
    with JsonLines("/dev/full") as record, caplog.at_level(logging.WARNING, "celonis_frames"):
        assert connection.push(FRAME, "P", table, on_event=record).ok
    assert [one.getMessage()[:22] for one in caplog.records] == ["on_event= raised OSErr"]


# Whatever happens -------------------------------------------------------------------------------

FAULTS: list[Callable[[Any], object]] = [
    *(
        lambda faults, route=route, when=when: faults.drop(route, when=when)
        for route in ("create", "upload", "chunks", "execute", "job", "cancel", "columns")
        for when in ("before", "after")
    ),
    *(
        lambda faults, route=route, status=status: faults.answer(route, status, times=2)
        for route in ("create", "upload", "execute", "job", "chunks")
        for status in (403, 429, 500, 503)
    ),
    lambda faults: faults.garble("create", "json"),
    lambda faults: faults.garble("upload", "html", times=2),
    lambda faults: faults.repeat("upload"),
    lambda faults: faults.checksums("arbitrary"),
    lambda faults: faults.checksums("none"),
    lambda faults: faults.lag("chunks", 0.3),
    lambda faults: faults.fail_jobs(f"no {CANARY}"),
    lambda faults: faults.refuse(0.1),
    lambda faults: faults.fail_loads("broken", times=1),
]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(st.sampled_from(range(len(FAULTS))), max_size=3),
    kind=st.sampled_from(["frame", "stream", "staged", "many", "longer", "bad"]),
    keys=st.sampled_from([None, "K"]),
    options=st.fixed_dictionaries(
        {}, optional={"wait": st.just(False), "timeout": st.sampled_from([0.05, 5])}
    ),
    reload=st.booleans(),
)
def test_whatever_happens_the_records_are_in_order(
    own: Any,
    client: Celonis,
    caplog: pytest.LogCaptureFixture,
    tmp_path_factory: pytest.TempPathFactory,
    faults: list[int],
    kind: str,
    keys: str | None,
    options: dict[str, Any],
    reload: bool,
) -> None:
    """One begin and one end, states in their order, and no cell in a record or in the log."""
    own.faults.clear()
    own.add_data_model("P", "Model", ["T"])
    for one in faults:
        FAULTS[one](own.faults)
    frame: Any = FRAME
    if kind == "stream":
        frame = iter([FRAME.head(1_000), FRAME.tail(1_000)])
    elif kind == "longer":
        frame = iter([FRAME, FRAME.with_columns(pl.lit(f"{CANARY}" * 100).alias("V"))])
    elif kind == "bad":
        frame = iter([FRAME, pa.table({"K": pa.array([None], pa.int64()), "V": [CANARY]})])
    elif kind == "staged":
        options["staging"] = str(tmp_path_factory.mktemp("stage"))
    if reload and options.get("wait", True):
        options["reload"] = "Model"
    records: list[Event] = []
    caplog.clear()
    raised: BaseException | None = None
    with caplog.at_level(logging.DEBUG, "celonis_frames"):
        try:
            if kind == "many":
                frames = {"T": FRAME, "U": FRAME}
                client.push_many(frames, "P", on_event=records.append, upload=SMALL, **options)
            else:
                client.push(
                    frame, "P", "T", keys=keys, on_event=records.append, upload=SMALL, **options
                )
        except exceptions.CelonisFramesError as error:
            raised = error
    own.faults.clear()
    check(as_json(records))
    end = records[-1]
    assert isinstance(end, Ended)
    assert end.error == (None if raised is None else type(raised).__name__)
    ours = [one for one in caplog.records if one.name == "celonis_frames"]
    assert not [one for one in ours if CANARY in one.getMessage() and "no c4nary" not in one.msg]


# A signal can fall between a socket and the one who would close it; the finalizer does then.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_interrupted_at_any_record_they_are_in_order(own: Any, client: Celonis) -> None:
    """Ctrl-C at one of them: the last record says so, unless the job had ended by then."""
    own.faults.delay("job", 0.01)
    ends = []
    for number in range(1, 16):
        records: list[Event] = []

        def stop(event: Event, records: list[Event] = records, number: int = number) -> None:
            records.append(event)
            if len(records) == number:
                _thread.interrupt_main()

        interrupted = False
        try:
            client.push(FRAME, "P", "T", keys="K", upload=SMALL, on_event=stop)
            time.sleep(0.2)  # the signal's handler may run after the push
        except KeyboardInterrupt:
            interrupted = True
        check(as_json(records))
        assert interrupted == (number <= len(records))
        ends.append(records[-1].error)  # type: ignore[attr-defined]
        if not any(one.done and one.state == "DONE" for one in kinds(records, JobChanged)):
            assert ends[-1] == "KeyboardInterrupt"
    assert ends[0] == "KeyboardInterrupt"
    assert ends[-1] is None


def test_a_signal_while_a_call_ends_is_its_end(
    client: Celonis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records end, and so does their thread, though the push itself was over."""
    end, errors = Progress.end, list[BaseException | None]()

    def interrupted(call: Progress, error: BaseException | None = None) -> None:
        errors.append(error)
        if error is None:
            raise KeyboardInterrupt
        end(call, error)

    monkeypatch.setattr(Progress, "end", interrupted)
    records: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        client.push(FRAME, "P", "T", on_event=records.append)
    assert [type(error) for error in errors] == [type(None), KeyboardInterrupt]
    check(as_json(records))
    assert records[-1].error == "KeyboardInterrupt"  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [2, 7, 12])
def test_after_a_kill_resume_goes_on_in_the_same_file(
    own: Any, client: Celonis, tmp_path: Path, number: int
) -> None:
    """What was written before the kill is whole, and what follows is in order."""
    path, staging = tmp_path / "events.jsonl", tmp_path / "stage"
    subprocess.run(
        [sys.executable, "-c", PUSH, own.url, own.token, str(path), str(staging), str(number)],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    before = read(path)
    assert len(before) == number
    check(before, killed=True)
    with JsonLines(path) as record:
        try:
            [status] = client.resume(staging, on_event=record)
        except exceptions.CelonisFramesError:
            status = None  # it was killed before all was staged
    after = read(path)[number:]
    check(after)
    assert after[0]["operation"] == "resume"
    pushes = [one for one in after if one["event"] == "ended" and one["operation"] == "push"]
    if status is not None:
        [push] = pushes
        assert (push["state"], push["rows"], push["parent_id"]) == (
            "DONE", 2_000, after[0]["call_id"],
        )  # fmt: skip
