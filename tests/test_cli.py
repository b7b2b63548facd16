"""The command line, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "celonis_frames", *arguments],
        capture_output=True, text=True, check=False, env=os.environ | environment,
    )  # fmt: skip


def test_the_demo_compares_every_value(tmp_path: Path) -> None:
    """The demo pushes from pandas and polars, reads back, says all is equal, leaves the file."""
    file = tmp_path / "demo.duckdb"
    done = _run("demo", str(file), "--cases", "50")
    assert done.returncode == 0, done.stderr
    assert "Everything arrived as it was sent." in done.stdout
    assert done.stdout.count("all equal") == 2
    assert file.exists()


def test_push_plan_jobs_job_and_cancel(server: Any, tmp_path: Path, table: str) -> None:
    """The commands find the connection in the environment and say what happened."""
    file = tmp_path / "x.parquet"
    pl.DataFrame({"K": [1, 2], "V": ["a", "b"]}).write_parquet(file)
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    done = _run("plan", str(file), "--table", table, "--keys", "K")
    assert "2 rows" in done.stdout, done.stderr
    done = _run("push", str(file), "--pool", "CLI", "--table", table, "--keys", "K", **to)
    assert "DONE" in done.stdout, done.stderr
    job = next(j["id"] for j in server.jobs if j["targetName"] == table)
    assert job in _run("jobs", "CLI", **to).stdout
    assert "Job finished" in _run("job", "CLI", job, **to).stdout
    done = _run("cancel", "CLI", job, **to)
    assert done.returncode == 1
    assert "DONE" in done.stderr
    assert server.token not in done.stderr + done.stdout


def test_errors_are_one_line_on_stderr() -> None:
    """No traceback for what a user can mend."""
    done = _run("jobs", "P", CELONIS_URL="", CELONIS_API_TOKEN="")
    assert done.returncode == 1
    assert "ConfigError" in done.stderr
    assert "Traceback" not in done.stderr
