"""A standalone cluster, which runs slow tasks twice."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from spark_cluster import ENVIRONMENT, run_elsewhere
from spark_faults import EXACT, ids

pytestmark = pytest.mark.slow
HOSTS = ("127.0.0.1", "localhost")
"""Spark runs the second attempt of a task on another host."""


def free_port() -> int:
    """A port that nobody listens at."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def master() -> Iterator[str]:
    """The URL of a standalone cluster of two workers, which have no key in their environment."""
    import pyspark  # noqa: PLC0415

    home = Path(pyspark.__file__).parent
    port = free_port()
    url = f"spark://127.0.0.1:{port}"
    environment = os.environ | ENVIRONMENT | {"SPARK_HOME": str(home)}
    command = [str(home / "bin" / "spark-class"), "org.apache.spark.deploy"]
    master_command = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", "0"]
    with ExitStack() as stack:

        def start(kind: str, *arguments: str) -> None:
            process = subprocess.Popen(
                [command[0], f"{command[1]}.{kind}", *arguments], env=environment,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)

        start("master.Master", *master_command)
        for host in HOSTS:
            start("worker.Worker", "--host", host, "--webui-port", "0", "--cores", "2",
                  "--memory", "700m", url)  # fmt: skip
        wait_for(port)
        yield url


def wait_for(port: int) -> None:
    """Wait until something listens at a port."""
    end = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.2)
        else:
            return


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", ["push", "source"])
def test_rows_arrive_once_though_a_task_runs_twice(
    way: str, seed: int, master: str, server: Any, stage: Path, table: str
) -> None:
    """The first attempt is slow, the second one wins; both have staged chunks."""
    import pyspark  # noqa: PLC0415

    if way == "source" and pyspark.__version__ < "4":
        way = "push"  # there is no data source
    printed = run_elsewhere(server, "speculation", master, way, str(seed), table, str(stage))
    assert "two attempts" in printed
    assert ids(server, table) == EXACT
