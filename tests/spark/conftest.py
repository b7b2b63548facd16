"""A cluster of Spark with two executors, one for all tests, and what they share."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from spark_cluster import HERE, start

from celonis_frames import ApiKey, Celonis, _connect

collect_ignore_glob = [] if importlib.util.find_spec("pyspark") else ["test_*.py"]
if importlib.util.find_spec("pyspark"):
    import pyspark

    VERSION = tuple(int(part) for part in pyspark.__version__.split(".")[:2])
    if VERSION < (4, 0):  # PyPI's package has no server for Connect
        collect_ignore_glob += ["test_spark_source.py", "test_spark_connect.py"]
    if VERSION < (4, 1):
        collect_ignore_glob += [
            "test_spark_commits.py", "test_spark_notebook.py", "test_spark_stream.py",
        ]  # fmt: skip


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
    kept = dict(os.environ)
    session = start(events)
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture(scope="session")
def dying(spark: Any) -> str:
    """The name of the data source that dies."""
    from spark_dying_source import DyingSource  # noqa: PLC0415  # only where Spark has sources

    spark.dataSource.register(DyingSource)
    return str(DyingSource.name())


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
