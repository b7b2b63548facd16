"""Interruptions of a push: Ctrl-C, SIGTERM, SIGHUP, the interpreter's end, an exception."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from waiting import until

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
    return celonis.push(frame, "P", "T", upload={"chunk_bytes": 200_000}, **options)

"""

EVERYWHERE = """
import dis
from celonis_frames._concurrency.signals import DeferredSignals

HOME = os.path.dirname(celonis_frames.__file__)
LOOKS_AFTER = {"CALL", "CALL_KW", "CALL_FUNCTION_EX", "RESUME", "JUMP_BACKWARD"}
steps_of = {}

def looks(code, step):  # whether Python looks for signals there
    if code not in steps_of:
        names = [(i.offset, i.opname) for i in dis.get_instructions(code)]
        before = [None, *(name for _, name in names)]
        steps_of[code] = {o for (o, _), name in zip(names, before) if name in LOOKS_AFTER}
    return step in steps_of[code]

def signalled_at(*numbers, kind=KeyboardInterrupt):
    "Push, with a signal at these steps of the delivery in the main thread; the steps, and the end."
    seen, said, left = 0, None, list(numbers)

    def begin(frame, event, arg):
        if not seen and frame.f_code is not DeferredSignals.__enter__.__code__:
            return None
        if not frame.f_code.co_filename.startswith(HOME):
            return None
        frame.f_trace = step  # Python 3.13 needs it first
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        return step

    def step(frame, event, arg):
        nonlocal seen
        if event == "opcode" and looks(frame.f_code, frame.f_lasti):
            seen += 1
            if left and seen >= left[0]:
                del left[0]
                if not left and numbers:
                    sys.settrace(None)
                    while frame is not None:
                        frame.f_trace, frame = None, frame.f_back
                signal.raise_signal(signal.SIGINT)
        return step

    sys._getframe().f_trace_opcodes = True  # Python 3.12 needs one such frame beforehand
    sys.settrace(begin)
    try:
        push()
    except KeyboardInterrupt as error:
        said = " ".join(getattr(error, "__notes__", ())) or "no notes"
    finally:
        sys.settrace(None)
    return seen, said
"""

_started: list[subprocess.Popen[str]] = []


@pytest.fixture
def busy() -> Iterator[Any]:
    """A local Celonis that does not respond to uploads; `busy.uploads` counts them."""
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


@pytest.fixture(autouse=True)
def _killed() -> Iterator[None]:
    """Kill the processes of a failed test."""
    yield
    while _started:
        with _started.pop() as process:
            process.kill()


def _end(process: subprocess.Popen[str], seconds: float = 25.0) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=seconds)
    return process.returncode, out, error


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_while_uploading_cancels_the_job(
    busy: Any, number: signal.Signals, status: int
) -> None:
    """Waiting uploads are aborted, the job is cancelled, the process ends."""
    process = _start(busy, "push()")
    until(lambda: busy.uploads.hits)
    process.send_signal(number)
    code, _, error = _end(process)
    assert code in (status, 130), error
    assert [job["status"] for job in busy.jobs] == ["CANCELED"]
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in error
        assert "was cancelled; the table is unchanged" in error


@pytest.mark.parametrize("call", ["create", "chunks"])
def test_a_signal_aborts_the_current_call(busy: Any, call: str) -> None:
    """A call without a response is aborted; a job that it created is cancelled."""
    busy.faults.clear()
    stalled = busy.faults.stall(call, when="after", times=1)
    process = _start(busy, "push()")
    until(lambda: stalled.hits and busy.jobs)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, _, error = _end(process)
    assert "KeyboardInterrupt" in error
    assert [job["status"] for job in busy.jobs] == ["CANCELED"]
    assert time.monotonic() - begin < 20  # of 60 that an answer is waited for


def test_a_signal_after_execution_reports_the_job(busy: Any) -> None:
    """The notes say that the job had been executed before it could be cancelled."""
    busy.faults.clear()
    stalled = busy.faults.stall("execute", when="after", times=1)
    process = _start(busy, "push()")
    until(lambda: stalled.hits and busy.jobs[0]["status"] == "DONE")
    process.send_signal(signal.SIGINT)
    _, _, error = _end(process)
    assert "KeyboardInterrupt" in error
    assert f"Job {busy.jobs[0]['id']} had already been executed: its state is DONE." in error


@pytest.mark.exhaustive
@pytest.mark.parametrize("numbers", [range(1, 640, 13), range(1, 2_600, 37)], ids=str)
def test_a_signal_at_any_step_ends_the_push(busy: Any, numbers: range) -> None:
    """At any step of the delivery in the main thread the push ends and leaves no job in NEW.

    The steps are those at which Python looks for signals, some of them; the first 640 with uploads
    that get no response.
    """
    stalled = numbers.stop == 640
    if not stalled:
        busy.faults.clear()
    program = (
        "frame = frame.head(2_000)\n"
        f"for number in {numbers}:\n"
        "    print(number, signalled_at(number)[1], flush=True)\n"
    )
    code, out, error = _end(_start(busy, EVERYWHERE + program), seconds=600)
    assert code == 0, error
    told = dict(line.split(" ", 1) for line in out.splitlines())
    assert len(told) == len(numbers)
    jobs = {job["id"]: job["status"] for job in busy.jobs}
    assert "NEW" not in jobs.values()
    heard = [text for text in told.values() if text != "None"]
    assert "also failed" not in out
    assert len(heard) > 40
    if stalled:
        assert len(heard) == len(told)
    for text in heard:
        for job_id in (job_id for job_id in jobs if job_id in text):
            runs_on = "was submitted and continues" in text or "had already been executed" in text
            assert jobs[job_id] == ("DONE" if runs_on else "CANCELED"), text
    # No notes: before the job is created, or in the last steps of the push, after its end.
    begun = [text for number, text in told.items() if int(number) > 200]
    assert sum(status == "DONE" for status in jobs.values()) == sum(
        text in ("None", "no notes") or "continues" in text or "already been executed" in text
        for text in begun
    )


@pytest.mark.exhaustive
def test_a_second_signal_at_any_step_raises_there(busy: Any) -> None:
    """What it leaves open is named; in a process that lives on, it is cancelled all the same."""
    busy.faults.clear()
    program = (
        "import logging; logging.disable()\n"
        "frame, gaps = frame.head(2_000), (1, 5, 20, 60, 150)\n"
        "for number in range(1, 1_500, 23):\n"
        "    begin = time.monotonic()\n"
        "    text = signalled_at(number, number + gaps[number % 5])[1]\n"
        "    print(number, round(time.monotonic() - begin, 1), text, flush=True)\n"
        "while any(t.name == 'celonis-cancel' for t in threading.enumerate()): time.sleep(0.1)\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "print(0, 0, push().state)\n"
    )
    code, out, error = _end(_start(busy, EVERYWHERE + program), seconds=600)
    assert code == 0, error
    told = [line.split(" ", 2) for line in out.splitlines()]
    assert told.pop()[2] == "DONE"
    assert "may still be open" in out
    assert all(float(seconds) < 6 and text != "None" for _, seconds, text in told)
    assert not [job for job in busy.jobs if job["status"] == "NEW"]


def test_two_consecutive_signals_cancel_the_push(busy: Any) -> None:
    """A second signal right after the first does not prevent the cancellation."""
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


@pytest.mark.sampled(3)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_all_jobs_of_push_many(busy: Any, number: signal.Signals) -> None:
    """No job of `push_many` stays open."""
    busy.faults.clear()
    stalled = busy.faults.stall("upload", when="after", times=1)
    process = _start(busy, "celonis.push_many({'T': frame, 'U': frame}, 'P')\n")
    until(lambda: stalled.hits and any(job["status"] == "DONE" for job in busy.jobs))
    process.send_signal(number)
    _end(process)
    assert sorted(job["status"] for job in busy.jobs) == ["CANCELED", "DONE"]


def test_an_exception_of_a_custom_handler_names_the_job(busy: Any) -> None:
    """Also if it is no KeyboardInterrupt and is raised while another is handled."""
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
    until(lambda: stalled.hits and busy.jobs[0]["status"] == "DONE")
    process.send_signal(signal.SIGUSR1)
    code, out, error = _end(process)
    assert code == 0, error
    assert busy.jobs[0]["id"] in out


def test_ctrl_c_while_polling_does_not_cancel_the_job(busy: Any) -> None:
    """After submission Ctrl-C only ends the polling; the note names the job."""
    busy.faults.clear()
    busy.faults.slow_jobs(running=3.0)
    process = _start(busy, "push()")
    until(lambda: busy.jobs and busy.jobs[0]["status"] == "RUNNING")
    process.send_signal(signal.SIGINT)
    code, _, error = _end(process)
    assert code != 0
    assert "continues on the server" in error
    assert busy.jobs[0]["id"] in error
    until(lambda: busy.jobs[0]["status"] == "DONE")
    assert busy.table("P", "T").num_rows == 200_000


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGHUP, signal.SIGTERM),
        (signal.SIGTERM, signal.SIGINT),
    ],
)
def test_a_second_signal_ends_the_process_at_once(
    busy: Any, first: signal.Signals, second: signal.Signals
) -> None:
    """It does not wait for the cancellation of the job; a note and the log name the job."""
    cancels = busy.faults.stall("cancel", times=None)
    process = _start(busy, "push()")
    until(lambda: busy.uploads.hits)
    process.send_signal(first)
    until(lambda: cancels.hits)
    begin = time.monotonic()
    process.send_signal(second)
    code, _, error = _end(process)
    assert time.monotonic() - begin < 5  # of the 60 that each stalls
    assert code == (-signal.SIGINT if second == signal.SIGINT else 128 + second)
    left_open = f"Job {busy.jobs[0]['id']} may still be open"
    assert error.count(left_open) == (2 if second == signal.SIGINT else 1)


def test_a_second_signal_to_push_many_names_the_open_jobs(busy: Any) -> None:
    """Each job that is not known to be cancelled is named with its table."""
    cancels = busy.faults.stall("cancel", times=None)
    process = _start(busy, "celonis.push_many({'T': frame, 'U': frame}, 'P')\n")
    until(lambda: len(busy.jobs) == 2 and busy.uploads.hits > 1)
    process.send_signal(signal.SIGINT)
    until(lambda: cancels.hits > 1)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, _, error = _end(process)
    assert time.monotonic() - begin < 5  # of the 60 that each stalls
    for job in busy.jobs:
        assert f"table '{job['targetName']}' (job {job['id']})" in error


def test_ctrl_c_raises_at_once_in_the_caller_s_code(busy: Any) -> None:
    """While a generator of the caller gives rows in the main thread, no signal is deferred."""
    program = (
        "def frames():\n"
        "    yield frame\n"
        "    try:\n"
        "        print('reading', flush=True)\n"
        # Python raises for a signal that comes just before a sleep only at its end: short ones.
        "        for _ in range(300): time.sleep(0.1)\n"
        "    except KeyboardInterrupt: print('raised here', flush=True); raise\n"
        "celonis.push(frames(), 'P', 'T')\n"
    )
    process = _start(busy, program)
    assert process.stdout
    assert process.stdout.readline() == "reading\n"
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    code, out, _ = _end(process)
    assert (code, out) == (-signal.SIGINT, "raised here\n")
    assert time.monotonic() - begin < 5
    assert {job["status"] for job in busy.jobs} <= {"CANCELED"}


def test_a_push_of_two_rows_starts_one_thread(
    connection: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more with timeout=, which waits for the deadline; none shelters the delivery."""
    started: list[str] = []
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        started.append(thread.name)
        real(thread)

    frame = pl.DataFrame({"A": [1, 2]})
    connection.push(frame, "P", table)
    monkeypatch.setattr(threading.Thread, "start", start)
    connection.push(frame, "P", table)
    mine = [name for name in started if name.startswith("celonis-")]
    assert mine == ["celonis-upload"]
    started.clear()
    connection.push(frame, "P", table, timeout=60)
    mine = [name for name in started if name.startswith("celonis-")]
    assert mine == ["celonis-deadline", "celonis-upload"]
    assert not [thread for thread in threading.enumerate() if thread.name in mine]


def test_interpreter_exit_cancels_the_job_of_a_daemon_thread(busy: Any) -> None:
    """A push in a daemon thread leaves no job open at interpreter exit."""
    process = _start(busy, "threading.Thread(target=push, daemon=True).start()\ninput()\n")
    until(lambda: busy.uploads.hits)
    process.communicate("\n", timeout=25)
    assert busy.jobs[0]["status"] == "CANCELED"


def test_an_exception_in_a_generator_leaves_nothing_behind(
    server: Any, connection: Celonis, table: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """The user's error is raised; no open job, thread or temporary file stays."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def frames() -> Iterator[Any]:
        for start in range(5):
            yield pl.DataFrame({"A": range(start, start + 10_000)})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        connection.push(frames(), "P", table, upload={"chunk_bytes": 10_000})
    assert {job["status"] for job in server.jobs if job["targetName"] == table} <= {"CANCELED"}
    assert not list(tmp_path.iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name == "celonis-upload"]


def test_a_custom_sigterm_handler_stays(connection: Celonis, table: str) -> None:
    """A push neither replaces a program's SIGTERM handler nor leaves its own."""
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


def test_an_ignored_signal_stays_ignored(busy: Any) -> None:
    """Under ``nohup`` a push goes on when its terminal is closed."""
    busy.faults.clear()
    slow = busy.faults.drip("upload", seconds=1.5, times=None)
    program = (
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "print(push().state)\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
    )
    process = _start(busy, program)
    until(lambda: slow.hits)
    process.send_signal(signal.SIGHUP)
    code, out, error = _end(process)
    assert (code, out) == (0, "DONE\n"), error


def test_the_exit_of_a_forked_child_leaves_the_parent_s_push_alone(busy: Any) -> None:
    """A child that ends with sys.exit cancels no job of its parent and shuts no socket."""
    busy.faults.clear()
    slow = busy.faults.drip("upload", seconds=4.0, times=None)
    program = (
        "statuses = []\n"
        "thread = threading.Thread(target=lambda: statuses.append(push()))\n"
        "thread.start(); sys.stdin.readline()\n"
        "child = os.fork()\n"
        "if not child: sys.exit()\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
        "thread.join(); print(statuses[0].state, statuses[0].rows)\n"
    )
    process = _start(busy, program)
    until(lambda: slow.hits)
    assert process.stdin
    assert process.stdout
    process.stdin.write("fork\n")
    process.stdin.flush()
    assert process.stdout.readline() == "0\n"
    assert [job["status"] for job in busy.jobs] == ["NEW"]
    code, out, error = _end(process)
    assert code == 0, error
    assert out.startswith("DONE ")
    assert [job["status"] for job in busy.jobs] == ["DONE"]


def test_the_exit_of_a_forked_child_leaves_the_parent_s_local_celonis_alone() -> None:
    """The embedded server and its database belong to the process that started them."""
    program = (
        "import os, sys, pyarrow as pa, celonis_frames\n"
        "celonis = celonis_frames.connect('local')\n"
        "push = lambda: celonis_frames.push(pa.table({'A': [1]}), 'P', 'T')\n"
        "push(); child = os.fork()\n"
        "if not child: sys.exit()\n"
        "code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "print(code, push().state, celonis.local.table('P', 'T').num_rows)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "0 DONE 2\n"), done.stderr


def test_forked_workers_do_not_share_sockets(server: Any) -> None:
    """A connection used before a fork works in parent and child concurrently."""
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
    """Several threads can push over one connection concurrently."""
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


@pytest.mark.parametrize("several", [False, True])
def test_an_interruption_while_a_data_model_is_loaded(several: bool) -> None:
    """KeyboardInterrupt says that the rows are in the table, and that the load goes on."""
    frame, ended = pl.DataFrame({"A": range(10)}), threading.Event()
    with local.start(limits=False) as server, server.connect() as celonis:
        celonis.push(frame, "P", "T")
        for name in "MN":
            server.add_data_model("P", name, ["T"])
        server.faults.slow_loads(3.0)
        processing = server._state.processing
        model_id = processing.models.model(server._catalog.pool("P")["id"], "M")["id"]

        def strike() -> None:
            while not processing.loads.loads(model_id) and not ended.is_set():
                time.sleep(0.01)
            if not ended.is_set():
                os.kill(os.getpid(), signal.SIGINT)

        def push() -> None:
            if several:
                celonis.push_many({"T": frame, "U": frame}, "P", reload="M")
            else:
                celonis.push(frame, "P", "T", reload=["M", "N"])

        thread = threading.Thread(target=strike)
        thread.start()
        try:
            with pytest.raises(KeyboardInterrupt) as caught:
                push()
        finally:
            ended.set()
            thread.join()
        load, pushed = caught.value.__notes__
        # The interruption may come before the response to the call.
        assert re.search(r"data model 'M' (may have begun; it then )?goes on in Celonis\.$", load)
        assert pushed.startswith("All 2 tables were pushed." if several else "Table 'T' was pushed")
        assert ("not loaded: 'N'." in pushed) is not several
        assert server.table("P", "T").num_rows == 20
        until(lambda: processing.loads.loads(model_id)[0]["status"] == "SUCCESS")


def test_a_handler_that_outlasts_a_wait() -> None:
    """Ctrl-C ends a push after the handler of another signal took longer than one of its waits."""
    late: list[str] = []

    def strike(*notes: str) -> None:
        late.extend(notes)
        os.kill(os.getpid(), signal.SIGINT)

    timers = [threading.Timer(1.5, strike), threading.Timer(15.0, strike, ["not heard"])]
    with local.start(limits=False) as server, server.connect() as celonis:
        server.faults.stall("upload", when="before")
        before = signal.signal(signal.SIGALRM, lambda *_: time.sleep(0.3))
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            for timer in timers:
                timer.start()
            with pytest.raises(KeyboardInterrupt):
                celonis.push(pl.DataFrame({"A": [1]}), "P", "T")
        finally:
            for timer in timers:
                timer.cancel()
                timer.join()
            signal.signal(signal.SIGALRM, before)
        assert late == []
        assert [job["status"] for job in server.jobs] == ["CANCELED"]
