"""The progress bar: when it is shown, what it counts, and that it is closed."""

from __future__ import annotations

import io
import logging
import os
import pty
import subprocess
import sys
import termios
import threading
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tqdm

from celonis_frames import ApiKey, Celonis, exceptions, local

STAGES = ["checking", "uploading", "submitting", "waiting for Celonis"]
FRAME = pl.DataFrame({"K": range(20_000), "V": [f"text {i}" for i in range(20_000)]})
PUSH = """
import sys
import polars as pl
from celonis_frames import ApiKey, Celonis
with Celonis(sys.argv[1], auth=ApiKey(sys.argv[2])) as celonis:
    celonis.push(pl.DataFrame({"K": [1]}), "Bars", sys.argv[3], progress=eval(sys.argv[4]))
"""


class Bar(tqdm.tqdm):  # type: ignore[type-arg]
    """tqdm, which also records what it shows."""

    made: list[Bar]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.told: list[tuple[str, int | None]] = []
        super().__init__(*args, **kwargs)
        Bar.made.append(self)

    def refresh(self, *args: Any, **kwargs: Any) -> bool | None:
        self.told.append((str(self.desc), self.total))
        return super().refresh(*args, **kwargs)


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    """The bars that the pushes of a test create."""
    Bar.made = []
    monkeypatch.setattr("tqdm.tqdm", Bar)
    return Bar.made


@pytest.mark.parametrize("workers", [1, 3])
def test_counts_the_bytes_and_names_the_stages(
    bars: list[Bar], connection: Celonis, table: str, workers: int, capsys: Any
) -> None:
    """The bar ends at the bytes of the files, after all stages, and leaves nothing behind."""
    status = connection.push(
        FRAME, "Bars", table, progress=True, upload={"chunk_bytes": 30_000, "workers": workers}
    )
    [bar] = bars
    assert status.chunks
    assert status.chunks > 2
    assert bar.n == status.bytes_sent
    told = [told.removeprefix(f"{table}: ") for told, _ in bar.told]
    assert [stage for stage, _ in groupby(told)] == STAGES
    assert bar.told[0][1] is None, "nothing is known yet"
    assert bar.total == status.bytes_sent
    assert bar.postfix == f"{status.chunks} chunks"
    assert bar.disable, "closed"
    assert not Bar._instances
    shown = capsys.readouterr().err
    assert all(f"{table}: {stage}" in shown for stage in STAGES)
    assert "100%" in shown
    assert shown.endswith("\r"), "the line is cleared"


@pytest.mark.parametrize("kind", ["frame", "query", "staged", "resumed"])
def test_shows_the_share_where_the_size_is_known(
    bars: list[Bar], table: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The total is estimated by the first chunks, and exact once all were made.

    Of a query, which is read once, it is known at the end.
    """
    monkeypatch.setattr("celonis_frames._progress.bar.TICK_SECONDS", 0.01)
    options: Any = {"upload": {"chunk_bytes": 30_000, "workers": 1}, "progress": True}
    with local.start(limits=False) as celonis, celonis.connect() as connection:
        if kind in ("staged", "resumed"):
            options["staging"] = str(tmp_path)
        if kind == "resumed":
            celonis.faults.answer("execute", 503, times=None)
            with pytest.raises(exceptions.CelonisFramesError):
                connection.push(FRAME, "Bars", table, timeout=2.0, **options)
            celonis.faults.clear()
        celonis.faults.delay("upload", 0.2)
        if kind == "resumed":
            (status,) = connection.resume(str(tmp_path), progress=True)
        else:
            frame = FRAME.lazy() if kind == "query" else FRAME
            status = connection.push(frame, "Bars", table, **options)
    assert status.bytes_sent
    bar = bars[-1]
    assert bar.total == bar.n == status.bytes_sent
    estimates = [total for text, total in bar.told if "uploading" in text and total is not None]
    if kind != "query":
        assert estimates, "it is known while chunks are sent"
    assert all(0.5 < total / status.bytes_sent < 2 for total in estimates)


@pytest.mark.parametrize("where", ["job", "upload", "frame"])
def test_is_closed_after_errors(bars: list[Bar], table: str, where: str) -> None:
    """Whatever fails, no bar stays open on the terminal."""
    frame = pl.DataFrame({"K": [1, None]}) if where == "frame" else FRAME
    with local.start(limits=False) as celonis:
        if where == "job":
            celonis.faults.fail_jobs("broken on purpose")
        elif where == "upload":
            celonis.faults.answer("upload", 403)
        with (
            Celonis(celonis.url, auth=ApiKey(celonis.token)) as connection,
            pytest.raises(exceptions.CelonisFramesError),
        ):
            connection.push(frame, "Bars", table, progress=True, keys="K")
    [bar] = bars
    assert bar.disable, "closed"
    assert not Bar._instances


@pytest.mark.parametrize("progress", [False, None])
def test_is_hidden_without_a_terminal(
    bars: list[Bar], connection: Celonis, table: str, progress: bool | None
) -> None:
    """False shows no bar; None shows none if stderr is not a terminal."""
    connection.push(FRAME, "Bars", table, progress=progress)
    assert bars == []


def _on_a_terminal(server: Any, table: str, progress: str, columns: int = 120) -> str:
    """The output of a push in another process whose stderr is a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PUSH, server.url, server.token, table, progress],
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # Linux ends a terminal so, when its last writer is gone
            pass
        os.close(ours)
    assert process.returncode == 0, shown.decode()
    return shown.decode()


def test_is_shown_on_a_terminal(server: Any, table: str) -> None:
    """On a real terminal None shows the bar, and False does not."""
    shown = _on_a_terminal(server, table, "None")
    assert all(f"{table}: {stage}" in shown for stage in STAGES)
    assert _on_a_terminal(server, table, "False") == ""


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_fits_the_terminal(server: Any, columns: int) -> None:
    """No line is longer than the terminal is wide: the rest of a wrapped one would stay."""
    shown = _on_a_terminal(server, "A_TABLE_WITH_A_LONG_NAME", "None", columns)
    assert "A_TABLE" in shown
    assert max(map(len, shown.split("\r"))) <= columns


def test_without_a_stderr_nothing_breaks(server: Any, table: str, tmp_path: Path) -> None:
    """A process that has no stderr at all, such as a Windows GUI, pushes without a bar."""
    code = tmp_path / "push.py"
    code.write_text(f"import sys\nsys.stderr = None\n{PUSH}")
    done = subprocess.run(
        [sys.executable, str(code), server.url, server.token, table, "None"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Broken(io.StringIO):
    """A stream that can no longer be written to."""

    encoding = "utf-8"

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def write(self, _: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error

    def isatty(self) -> bool:
        return True


class Blocked(io.StringIO):
    """A terminal whose user has stopped its output."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.goes_on.wait(30)
        return len(text)


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(32, "gone"), OSError(28, "no space"), OSError(5, "terminal closed"),
     ValueError("I/O operation on closed file"), RuntimeError("odd")],
    ids=lambda error: f"{type(error).__name__}-{getattr(error, 'errno', '')}",
)  # fmt: skip
def test_a_stream_that_breaks_fails_no_push(
    connection: Celonis, table: str, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Whatever the stream raises, the push succeeds, and so does the next one, with a bar."""
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", Broken(error))
        assert connection.push(FRAME, "Bars", table, mode="REPLACE", progress=True).ok
    assert connection.push(FRAME, "Bars", table, mode="REPLACE", progress=True).ok
    assert f"{table}: uploading" in capsys.readouterr().err


@pytest.mark.parametrize("progress", [True, None])
@pytest.mark.parametrize("stream", [None, object(), io.StringIO()], ids=["none", "odd", "closed"])
def test_without_a_usable_stream_there_is_no_bar(
    connection: Celonis,
    table: str,
    stream: Any,
    progress: bool | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No stderr, one that is no stream, or a closed one: the push works all the same."""
    if isinstance(stream, io.StringIO):
        stream.close()
    monkeypatch.setattr("sys.stderr", stream)
    assert connection.push(FRAME, "Bars", table, mode="REPLACE", progress=progress).ok


def test_a_label_that_the_stream_cannot_encode_is_replaced(
    connection: Celonis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a console of another code page the bar shows escapes instead of failing."""
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", console)
        assert connection.push(FRAME, "Bars", "部品", mode="REPLACE", progress=True).ok
        console.flush()
    assert b"\\u90e8\\u54c1: uploading" in console.buffer.getvalue()  # type: ignore[attr-defined]


def test_an_error_within_a_bar_locks_no_other_bar(
    connection: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error while drawing drops the bar; later bars work, also in threads."""

    def refresh(bar: Bar, **_: Any) -> None:
        bar._lock.acquire()
        raise RuntimeError("a widget")

    with monkeypatch.context() as patch:
        patch.setattr(tqdm.tqdm, "refresh", refresh)
        assert connection.push(FRAME, "Bars", table, mode="REPLACE", progress=True).ok
    pushed: list[bool] = []
    thread = threading.Thread(
        target=lambda: pushed.append(
            connection.push(FRAME, "Bars", table, mode="REPLACE", progress=True).ok
        ),
        daemon=True,
    )
    thread.start()
    thread.join(30)
    assert pushed == [True]


def test_a_terminal_that_blocks_delays_no_push(
    connection: Celonis, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the thread of the bar writes: one that waits for the terminal ends with it."""
    monkeypatch.setattr("celonis_frames._progress.bar.JOIN_SECONDS", 0.1)
    stream = Blocked()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", stream)
        assert connection.push(FRAME, "Bars", table, progress=True).ok
    (bar,) = [thread for thread in threading.enumerate() if thread.name == "celonis-progress"]
    stream.goes_on.set()
    bar.join(30)
    assert not bar.is_alive()


def test_the_clock_runs_while_the_job_does(
    bars: list[Bar], table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar is drawn while nothing happens."""
    monkeypatch.setattr("celonis_frames._progress.bar.TICK_SECONDS", 0.01)
    with local.start(limits=False) as celonis, celonis.connect() as connection:
        celonis.faults.slow_jobs(running=0.5)
        connection.push(FRAME, "Bars", table, progress=True)
    told = [text for text, _ in bars[0].told]
    assert told.count(f"{table}: waiting for Celonis") > 2


def test_a_lock_of_tqdm_that_another_bar_left_locked_stops_no_push(
    connection: Celonis, table: str
) -> None:
    """After an error tqdm does not release its lock; the bars of pushes have their own."""
    lock = tqdm.tqdm.get_lock()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    held.wait(30)
    try:
        assert connection.push(FRAME, "Bars", table, progress=True).ok
    finally:
        done.set()
        holder.join(30)


@pytest.mark.parametrize("stream", [Broken(OSError(28, "")), io.StringIO()], ids=["full", "closed"])
def test_a_warning_that_cannot_be_logged_fails_no_push(
    connection: Celonis, table: str, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python writes warnings to stderr if logging is not configured, and raises if it is closed."""
    if not isinstance(stream, Broken):
        stream.close()
    logger = logging.getLogger("celonis_frames")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    frame = pl.DataFrame({"K": [1, 1]})
    try:
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", stream)
            status = connection.push(frame, "Bars", table, keys="K", progress=False)
    finally:
        logger.removeHandler(handler)
    assert status.warnings
    assert status.ok
