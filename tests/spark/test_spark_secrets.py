"""No secret is in what Spark shows, logs, sends to its workers, or keeps."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import spark_faults
from spark_faults import PARTS, ROWS
from spark_secrets import assert_unseen

from celonis_frames import Secret

SERVERS = Path(__file__).parents[1] / "storages" / "servers.py"
USER, PASSWORD = "joe", "SECRETPW"


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Storage that needs a password, which the environment of no process has."""
    (tmp_path / "ftp").mkdir()
    program = [sys.executable, str(SERVERS), "ftp", str(tmp_path / "ftp")]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        options = {"username": USER, "password": Secret(PASSWORD)}
        yield f"ftp://127.0.0.1:{port}/stage", options
        server.communicate()


@pytest.mark.slow
def test_a_key_of_storage_reaches_the_workers_and_nothing_else(
    spark: Any, server: Any, table: str, events: Path, ftp: tuple[str, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Neither it nor the key of Celonis is in a plan, an event log, a process or a pickle."""
    sent: list[bytes] = []
    dumps = pickle.dumps
    monkeypatch.setattr(pickle, "dumps", lambda *a, **k: sent.append(dumps(*a, **k)) or sent[-1])
    frame = spark_faults.frame(spark)
    url, options = ftp
    status = frame.celonis.push("P", table, staging=url, storage_options=options)
    assert (status.rows, status.parts) == (ROWS, PARTS)
    assert_unseen([PASSWORD, server.token], spark, frame, events, sent)
