"""The cluster that the tests of Spark run on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MASTER = os.environ.get("CELONIS_FRAMES_SPARK", "local-cluster[2,1,700]")
"""``local[2,6]`` is one process with two threads, for a look on a busy machine."""
ENVIRONMENT = {
    "PYSPARK_PYTHON": sys.executable,
    "PYSPARK_DRIVER_PYTHON": sys.executable,
    "SPARK_LOCAL_IP": "127.0.0.1",
    "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
    # Workers, and the processes that commit, import the faults from here.
    "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
}
KEYS = ("CELONIS_URL", "CELONIS_API_TOKEN", "CELONIS_KEY_TYPE")
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
"""Each fault is at another partition and moment; one of them in the session that CI runs."""
SHORT_LIVED = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
"""A JVM that compiles little: that pays only if it lives for longer than a test."""


def start(events: Path) -> Any:
    """A session on two executors with a core each; without a key in its environment."""
    from pyspark.sql import SparkSession  # noqa: PLC0415  # only where it is installed

    os.environ.update(ENVIRONMENT)
    for name in KEYS:
        os.environ.pop(name, None)
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "700m",
        "spark.executor.memory": "700m",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": events.as_uri(),
        "spark.sql.session.timeZone": "Europe/Berlin",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "100",
        "spark.task.maxFailures": "6",
        "spark.ui.port": "0",  # any that is free
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master(MASTER).appName("tests")
    for name, value in {**settings, **SHORT_LIVED}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


def run_elsewhere(server: Any, *arguments: str, timeout: float = 400) -> str:
    """Run the program of a user of another cluster, and return what it prints."""
    keys = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    done = subprocess.run(
        [sys.executable, str(HERE / "push_elsewhere.py"), *arguments],
        env=os.environ | ENVIRONMENT | keys, check=False, capture_output=True, text=True,
        timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
