"""Pushes that are stopped from outside: Ctrl-C, SIGTERM, the interpreter's end, an exception."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import celonis_frames
from celonis_frames import ApiKey, Celonis, local

PROGRAM = """
import os, signal, sys, threading, time, warnings
import polars as pl
import celonis_frames
from celonis_frames import ApiKey, Celonis

celonis = Celonis(os.environ["CELONIS_URL"], auth=ApiKey(os.environ["CELONIS_API_TOKEN"]))
frame = pl.DataFrame({"A": range(200_000)})

def push(**options):
    return celonis.push(frame, "P", "T", chunk_bytes=200_000, **options)

"""

EVERYWHERE = """
import dis
from celonis_frames._concurrency import interruption

LOOKS_AFTER = {"CALL", "CALL_KW", "CALL_FUNCTION_EX", "RESUME", "JUMP_BACKWARD"}
steps_of = {}

def looks(code, step):  # whether Python looks for signals there
    if code not in steps_of:
        names = [(i.offset, i.opname) for i in dis.get_instructions(code)]
        before = [None, *(name for _, name in names)]
        steps_of[code] = {o for (o, _), name in zip(names, before) if name in LOOKS_AFTER}
    return step in steps_of[code]

def interrupted_at(number):
    "Push, interrupted at that step of the main thread in run_uninterrupted; None: too few steps."
    seen, said = 0, None

    def begin(frame, event, arg):
        if not seen and frame.f_code is not interruption.run_uninterrupted.__code__:
            return None
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return step

    def step(frame, event, arg):
        nonlocal seen
        if event == "opcode" and looks(frame.f_code, frame.f_lasti):
            seen += 1
            if seen == number:
                sys.settrace(None)
                while frame is not None:
                    frame.f_trace, frame = None, frame.f_back
                raise KeyboardInterrupt
        return step

    sys.settrace(begin)
    try:
        push()
    except KeyboardInterrupt as error:
        said = " ".join(getattr(error, "__notes__", ()))
    finally:
        sys.settrace(None)
    return said
"""

_started: list[subprocess.Popen[str]] = []


@pytest.fixture
def busy() -> Iterator[Any]:
    """A local Celonis that does not answer uploads; `busy.uploads` counts them."""
    with local.start(limits=False) as celonis:
        celonis.uploads = celonis.faults.stall("upload", times=None)
        yield celonis


def _start(celonis: Any, program: str) -> subprocess.Popen[str]:
    environment = os.environ | {
        "CELONIS_URL": celonis.url,
        "CELONIS_API_TOKEN": celonis.token,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + program], text=True, env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    _started.append(process)
    return process


def _until(true: Callable[[], Any]) -> None:
    for _ in range(1_000):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


@pytest.fixture(autouse=True)
def _killed() -> Iterator[None]:
    """No process outlives a test that failed."""
    yield
    while _started:
        with _started.pop() as process:
            process.kill()


def _end(process: subprocess.Popen[str], seconds: float = 25.0) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=seconds)
    return process.returncode, out, error


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)]
)
def test_a_signal_while_uploading_cancels_the_job(
    busy: Any, number: signal.Signals, status: int
) -> None:
    """Uploads that wait for an answer are cut, the job is cancelled, the process ends."""
    process = _start(busy, "push()")
    _until(lambda: busy.uploads.hits)
    process.send_signal(number)
    code, _, error = _end(process)
    assert code in (status, 130), error
    assert [job["status"] for job in busy.jobs] == ["CANCELED"]
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in error
        assert "was cancelled; the table is unchanged" in error


@pytest.mark.parametrize("call", ["create", "chunks"])
def test_a_signal_cuts_the_call_that_is_waited_for(busy: Any, call: str) -> None:
    """What the server does not answer is not waited for; a job that it made is cancelled."""
    busy.faults.clear()
    stalled = busy.faults.stall(call, when="after", times=1)
    process = _start(busy, "push()")
    _until(lambda: stalled.hits and busy.jobs)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, _, error = _end(process)
    assert "KeyboardInterrupt" in error
    assert [job["status"] for job in busy.jobs] == ["CANCELED"]
    assert time.monotonic() - begin < 20  # of 60 that an answer is waited for


def test_a_signal_that_comes_too_late_tells_what_became_of_the_job(busy: Any) -> None:
    """When the job was executed before its submission could be stopped, that is said."""
    busy.faults.clear()
    stalled = busy.faults.stall("execute", when="after", times=1)
    process = _start(busy, "push()")
    _until(lambda: stalled.hits and busy.jobs[0]["status"] == "DONE")
    process.send_signal(signal.SIGINT)
    _, _, error = _end(process)
    assert "KeyboardInterrupt" in error
    assert f"Job {busy.jobs[0]['id']} had already been executed: its state is DONE." in error


@pytest.mark.parametrize(("stalled", "steps"), [(True, 160), (False, 400)])
def test_an_interruption_at_any_step_is_heard(busy: Any, stalled: bool, steps: int) -> None:
    """Wherever the main thread is while a job is open: it ends, and leaves no job in NEW.

    The steps are those at which Python looks for signals, every thirteenth of them, also where the
    standard library would swallow the interruption or make an error of another kind of it.
    """
    if not stalled:
        busy.faults.clear()
    program = (
        "frame = frame.head(2_000)\n"
        f"for number in range(1, {steps}, 13):\n"
        "    print(number, interrupted_at(number), flush=True)\n"
    )
    code, out, error = _end(_start(busy, EVERYWHERE + program), seconds=60)
    assert code == 0, error
    told = dict(line.split(" ", 1) for line in out.splitlines())
    assert len(told) == len(range(1, steps, 13))
    jobs = {job["id"]: job["status"] for job in busy.jobs}
    assert "NEW" not in jobs.values()
    heard = [text for text in told.values() if text != "None"]
    assert "it had failed" not in out
    assert len(heard) > 5
    if stalled:
        assert len(heard) == len(told)
    for text in heard:
        for job_id in (job_id for job_id in jobs if job_id in text):
            runs_on = "was submitted and continues" in text or "had already been executed" in text
            assert jobs[job_id] == ("DONE" if runs_on else "CANCELED"), text
    assert sum(status == "DONE" for status in jobs.values()) == sum(
        text == "None" or "continues" in text or "already been executed" in text
        for text in told.values()
    )


def test_two_signals_at_once_stop_a_push_all_the_same(busy: Any) -> None:
    """One that comes right behind the other cannot keep the push from being told to stop."""
    program = (
        "def kill():\n"
        "    time.sleep(0.5)\n"
        "    for number in (signal.SIGINT, signal.SIGTERM): os.kill(os.getpid(), number)\n"
        "for _ in range(4):\n"
        "    threading.Thread(target=kill).start()\n"
        "    try: push()\n"
        "    except BaseException as error: print(type(error).__name__)\n"
        "time.sleep(3)\n"
    )
    code, out, error = _end(_start(busy, program))
    assert code == 0, error
    assert len(out.splitlines()) == 4
    assert {job["status"] for job in busy.jobs} == {"CANCELED"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_jobs_of_many(busy: Any, number: signal.Signals) -> None:
    """Whatever waits for them, no job of `push_many` is left open."""
    busy.faults.clear()
    stalled = busy.faults.stall("upload", when="after", times=1)
    process = _start(busy, "celonis.push_many({'T': frame, 'U': frame}, 'P')\n")
    _until(lambda: stalled.hits and any(job["status"] == "DONE" for job in busy.jobs))
    process.send_signal(number)
    _end(process)
    assert sorted(job["status"] for job in busy.jobs) == ["CANCELED", "DONE"]


def test_an_exception_of_a_handler_of_the_programs_own_tells_of_the_job(busy: Any) -> None:
    """Also one that is no KeyboardInterrupt, and while another one is being handled."""
    busy.faults.clear()
    stalled = busy.faults.stall("execute", when="after", times=1)
    program = (
        "class Limit(Exception): pass\n"
        "def late(*_): raise Limit\n"
        "signal.signal(signal.SIGUSR1, late)\n"
        "try:\n"
        "    try: raise KeyboardInterrupt\n"
        "    except KeyboardInterrupt: push()\n"
        "except Limit as error: print(*error.__notes__)\n"
    )
    process = _start(busy, program)
    _until(lambda: stalled.hits and busy.jobs[0]["status"] == "DONE")
    process.send_signal(signal.SIGUSR1)
    code, out, error = _end(process)
    assert code == 0, error
    assert busy.jobs[0]["id"] in out


def test_ctrl_c_while_waiting_lets_the_job_run_on(busy: Any) -> None:
    """Once submitted, Ctrl-C only stops the waiting, and says how to go on."""
    busy.faults.clear()
    busy.faults.slow_jobs(running=3.0)
    process = _start(busy, "push()")
    _until(lambda: busy.jobs and busy.jobs[0]["status"] == "RUNNING")
    process.send_signal(signal.SIGINT)
    code, _, error = _end(process)
    assert code != 0
    assert "continues on the server" in error
    assert busy.jobs[0]["id"] in error
    _until(lambda: busy.jobs[0]["status"] == "DONE")
    assert busy.table("P", "T").num_rows == 200_000


def test_a_second_ctrl_c_leaves_at_once(busy: Any) -> None:
    """While the job is being cancelled, Ctrl-C does not wait for the server."""
    cancels = busy.faults.stall("cancel", times=None)
    process = _start(busy, "push()")
    _until(lambda: busy.uploads.hits)
    process.send_signal(signal.SIGINT)
    _until(lambda: cancels.hits)
    process.send_signal(signal.SIGINT)
    code, _, _ = _end(process)
    assert code != 0


def test_the_interpreters_end_cancels_the_job_of_a_daemon_thread(busy: Any) -> None:
    """A push in a thread that ends with the interpreter leaves no job open."""
    process = _start(busy, "threading.Thread(target=push, daemon=True).start()\ninput()\n")
    _until(lambda: busy.uploads.hits)
    process.communicate("\n", timeout=25)
    assert busy.jobs[0]["status"] == "CANCELED"


def test_an_exception_in_a_generator_ends_everything(
    server: Any, connection: Celonis, table: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """The user's own error surfaces; no job, no thread, no temporary file is left."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def frames() -> Iterator[Any]:
        for start in range(5):
            yield pl.DataFrame({"A": range(start, start + 10_000)})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connection.push(frames(), "P", table, chunk_bytes=10_000)
    assert not [job for job in server.jobs if job["targetName"] == table]
    assert not list(tmp_path.iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name == "celonis-upload"]


def test_a_handler_of_the_programs_own_stays(connection: Celonis, table: str) -> None:
    """A push neither replaces a SIGTERM handler of the program nor leaves one of its own."""
    frame = pl.DataFrame({"A": [1]})
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    connection.push(frame, "P", table)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        mine = signal.getsignal(signal.SIGTERM)
        connection.push(frame, "P", table)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_forked_workers_do_not_share_sockets(server: Any) -> None:
    """A connection that was used before a fork works in parent and child at the same time."""
    program = (
        "push(); pid = os.fork()\n"
        "for _ in range(3):\n"
        "    assert push().ok\n"
        "os._exit(0) if pid == 0 else sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    code, _, error = _end(_start(server, "warnings.simplefilter('ignore')\n" + program))
    assert code == 0, error
    assert server.table("P", "T").num_rows == 7 * 200_000


def test_one_connection_serves_many_threads(server: Any, table: str) -> None:
    """Threads may push over one connection at the same time."""
    with Celonis(server.url, auth=ApiKey(server.token)) as celonis:
        frame = pl.DataFrame({"A": range(1_000)})
        threads = [
            threading.Thread(target=celonis_frames.push, args=(frame, "P", table),
                             kwargs={"client": celonis})
            for _ in range(8)
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.table("P", table).num_rows == 8_000
