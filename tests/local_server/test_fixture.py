"""The pytest fixture `local_celonis`: a test that uses it reaches nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import celonis_frames
from celonis_frames import ApiKey, Celonis, _connect, local
from celonis_frames.exceptions import ConfigError

TEAM = {
    "CELONIS_URL": "https://team.eu-1.celonis.cloud", "CELONIS_API_TOKEN": "a-key-of-the-team",
    "CELONIS_KEY_TYPE": "APP_KEY", "OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "secret",
    "OAUTH_ACCESS_TOKEN_PATH": "/nowhere/token",
}  # fmt: skip
TABLE = pa.table({"A": [1]})


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Iterator[Celonis]:
    """A process that is configured for a team, and connected to it. Nothing is sent to it."""
    monkeypatch.setattr(_connect, "_connected", None)
    monkeypatch.setattr(_connect, "_from_env", None)
    for name, value in TEAM.items():
        monkeypatch.setenv(name, value)
    with celonis_frames.connect(auth=ApiKey("k" * 20)) as connection:
        yield connection


@pytest.fixture
def restored(team: Celonis) -> Iterator[Celonis]:
    """Checks, after `local_celonis`, that everything is as it was."""
    before = _environment()
    yield team
    assert _connect.current() is team
    assert _environment() == before


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


def test_it_is_the_default_whatever_is_configured(restored: Celonis, local_celonis: Any) -> None:
    """Functions, accessors, connections from the environment and processes all reach it."""
    assert _connect.current() is not restored
    celonis_frames.push(TABLE, "P", "FUNCTION")
    pd.DataFrame({"A": [1]}).celonis.push("P", "ACCESSOR")
    with Celonis.from_env() as connection:
        connection.push(TABLE, "P", "FROM_ENV")
    with celonis_frames.connect() as connection:
        assert connection.url == local_celonis.url
        celonis_frames.push(TABLE, "P", "CONNECT")
    code = (
        "import celonis_frames, pyarrow\n"
        "celonis_frames.push(pyarrow.table({'A': [1]}), 'P', 'PROCESS')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    tables = [row["t"] for row in local_celonis.sql(
        "SELECT table_name AS t FROM duckdb_tables() WHERE schema_name = 'P' ORDER BY 1"
    ).to_pylist()]  # fmt: skip
    assert tables == ["ACCESSOR", "CONNECT", "FROM_ENV", "FUNCTION", "PROCESS"]
    assert not [name for name in os.environ if name.startswith("OAUTH_")]


def test_what_a_test_connects_does_not_stay_the_default(
    restored: Celonis, local_celonis: Any
) -> None:
    """Also if it is not closed."""
    local_celonis.connect()
    assert _connect.current() is not restored


def test_a_default_that_was_closed_is_an_error_not_the_team(
    restored: Celonis, local_celonis: Any
) -> None:
    """Within the test too: nothing falls back to what is configured."""
    with local_celonis.connect():
        pass
    with pytest.raises(ConfigError, match=r"is closed\. Call connect"):
        celonis_frames.push(TABLE, "P", "T")
    assert _connect._connected is not restored


@pytest.mark.usefixtures("team")
def test_a_closed_server_is_never_the_default() -> None:
    """An error says so at once, instead of tries to reach it; the team is not used instead."""
    with local.start() as celonis:
        connection = celonis.connect()
        assert _connect.current() is connection
    assert _connect.plan_defaults() is None
    begin = time.perf_counter()
    with pytest.raises(ConfigError, match=r"The local Celonis at http://127.* has stopped\. Call"):
        celonis_frames.push(TABLE, "P", "T")
    assert time.perf_counter() - begin < 2
    connection.close()
    with local.start() as celonis, celonis.connect():
        celonis_frames.push(TABLE, "P", "T")


def test_a_server_in_the_environment_is_not_kept_after_it_was_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next server in the environment is the default then."""
    monkeypatch.setattr(_connect, "_connected", None)
    monkeypatch.setattr(_connect, "_from_env", None)
    monkeypatch.setenv("CELONIS_KEY_TYPE", "BEARER")
    for _ in range(2):
        with local.start() as celonis:
            monkeypatch.setenv("CELONIS_URL", celonis.url)
            monkeypatch.setenv("CELONIS_API_TOKEN", celonis.token)
            celonis_frames.push(TABLE, "P", "T")
            assert celonis.table("P", "T").num_rows == 1


def test_the_end_of_the_fixture_costs_less_than_a_test(tmp_path: Path) -> None:
    """Tearing it down takes less time than a test that pushes one row."""
    (tmp_path / "test_it.py").write_text(
        "import celonis_frames, pyarrow, pytest\n"
        "@pytest.mark.parametrize('number', range(6))\n"
        "def test_push(local_celonis, number):\n"
        "    celonis_frames.push(pyarrow.table({'A': [1]}), 'P', 'T', progress=False)\n"
    )
    plugins = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest")
    call = [sys.executable, "-m", "pytest", "--durations=0", "-vv", *plugins, "."]
    done = subprocess.run(
        call, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    times = re.findall(r"([\d.]+)s (call|teardown) ", done.stdout)
    seconds = {stage: [float(t) for t, found in times if found == stage] for _, stage in times}
    assert len(seconds["call"]) == len(seconds["teardown"]) == 6
    assert min(seconds["teardown"]) < min(seconds["call"])
