"""Ctrl-C and SIGTERM: what became of the command is said, in its exit status and as JSON, too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from waiting import until

from celonis_frames import ApiKey, Celonis, local
from celonis_frames._cli.wording import in_cli_words

SIGNALS = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)


@contextmanager
def _running(own: local.LocalCelonis, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command with --json in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "celonis_frames", *arguments, "--json"], text=True,
        env=os.environ | {"CELONIS_URL": own.url, "CELONIS_API_TOKEN": own.token},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def _ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, Any, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, json.loads(out)["error"], err


@SIGNALS
@pytest.mark.parametrize("command", ["push", "plan"])
def test_while_files_are_read(
    own: local.LocalCelonis, command: str, number: signal.Signals, status: int
) -> None:
    """Nothing was sent."""
    with _running(own, command, "-", "--format", "csv", "--pool", "P", "--table", "T") as process:
        assert process.stdin
        process.stdin.write("A\n" + "1\n" * 1_000_000)  # more than a pipe holds: it is being read
        code, error, err = _ended(process, number)
    assert (code, error["exit_status"]) == (status, status)
    assert (error["notes"], error["outcome_known"]) == (["Nothing was sent."], True)
    assert err == "Interrupted.\nNothing was sent.\n"
    assert own.jobs == []


@SIGNALS
def test_while_chunks_are_sent(
    own: local.LocalCelonis, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """The job is cancelled."""
    pl.DataFrame({"A": [1]}).write_parquet(tmp_path / "x.parquet")
    uploads = own.faults.stall("upload", times=None)
    call = ("push", str(tmp_path / "x.parquet"), "--pool", "P", "--table", "T")
    with _running(own, *call) as process:
        until(lambda: uploads.hits)
        code, error, err = _ended(process, number)
    [job] = own.jobs
    assert (code, error["exit_status"], job["status"]) == (status, status, "CANCELED")
    assert error["notes"] == [f"Job {job['id']} was cancelled; the table is unchanged."]
    assert err == f"Interrupted.\n{error['notes'][0]}\n"


@SIGNALS
def test_after_the_submission(
    own: local.LocalCelonis, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """The job goes on, which is said once."""
    pl.DataFrame({"A": [1]}).write_parquet(tmp_path / "x.parquet")
    own.faults.slow_jobs(running=60)
    call = ("push", str(tmp_path / "x.parquet"), "--pool", "P", "--table", "T")
    with _running(own, *call) as process:
        until(lambda: own.jobs and own.jobs[0]["status"] == "RUNNING")
        time.sleep(0.5)  # the response to the submission
        code, error, err = _ended(process, number)
    assert (code, error["exit_status"], error["outcome_known"]) == (status, status, False)
    assert "continues on the server" in error["notes"][0]
    assert err == f"! {in_cli_words(error['notes'][0])}\nInterrupted.\n"
    assert "celonis-frames cancel P " in err


def test_while_a_frame_is_staged(own: local.LocalCelonis, tmp_path: Path) -> None:
    """Of a stage that is not complete nothing is left."""

    def frames() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({"A": [1]})
        signal.raise_signal(signal.SIGINT)
        yield pl.DataFrame({"A": [2]})

    with (
        Celonis(own.url, auth=ApiKey(own.token)) as celonis,
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        celonis.push(frames(), "P", "T", staging=str(tmp_path))
    assert caught.value.__notes__ == [
        "Nothing was sent.", "Chunks of a frame that was not read to its end are removed.",
    ]  # fmt: skip
    assert own.jobs == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
