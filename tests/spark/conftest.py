"""A cluster of Spark with two executors, one for all tests, and what they share."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celonis_frames import ApiKey, Celonis, _connect

HERE = Path(__file__).parent
ENVIRONMENT = {
    "PYSPARK_PYTHON": sys.executable,
    "PYSPARK_DRIVER_PYTHON": sys.executable,
    "SPARK_LOCAL_IP": "127.0.0.1",
    "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
    # Workers, and the processes that commit, import the faults from here.
    "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
}
KEYS = ("CELONIS_URL", "CELONIS_API_TOKEN", "CELONIS_KEY_TYPE")

collect_ignore_glob = [] if importlib.util.find_spec("pyspark") else ["test_*.py"]
if importlib.util.find_spec("pyspark"):
    import pyspark

    VERSION = tuple(int(part) for part in pyspark.__version__.split(".")[:2])
    if VERSION < (4, 0):
        collect_ignore_glob += ["test_spark_source.py"]
    if VERSION < (4, 1):
        collect_ignore_glob += ["test_spark_notebook.py", "test_spark_stream.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """PySpark warns of newer versions of pandas whenever Arrow is used."""
    mark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support:FutureWarning")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(mark)


@pytest.fixture(autouse=True)
def no_leaks() -> None:
    """Spark keeps threads and connections for as long as its session lives."""


@pytest.fixture(scope="session")
def credentials(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the key, which no environment of a process has."""
    path = tmp_path_factory.mktemp("credentials") / "celonis.env"
    path.touch(mode=0o600)
    path.write_text(
        f"# of the tests\nexport CELONIS_URL={server.url}\nCELONIS_API_TOKEN='{server.token}'\n"
    )
    return path


@pytest.fixture(scope="session")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with Spark's event log."""
    return tmp_path_factory.mktemp("events")


@pytest.fixture(scope="session")
def spark(events: Path) -> Iterator[Any]:
    """A session on a cluster of two executors with a core each."""
    if shutil.which("java") is None:
        pytest.fail("Spark needs Java 17: apt-get install default-jre-headless")
    from pyspark.sql import SparkSession  # noqa: PLC0415  # only where it is installed

    kept = dict(os.environ)
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
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local-cluster[2,1,700]").appName("tests")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(autouse=True)
def connected(server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The connection of this process, by `connect`; the environment has no key."""
    with Celonis(server.url, auth=ApiKey(server.token)) as client:
        monkeypatch.setattr(_connect, "_connected", client)
        yield


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """The folder for the chunks."""
    return tmp_path / "stage"
