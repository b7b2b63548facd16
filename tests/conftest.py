"""What all tests share: a local Celonis, and a connection to it."""

from __future__ import annotations

import os
import time
from binascii import crc32
from collections import defaultdict
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from leaks import Leaks

from celonis_frames import ApiKey, Celonis, _connect, local
from celonis_frames._concurrency import cancellation
from celonis_frames._jobs import rate_limit
from celonis_frames.local._database import loader

# A busy machine may take long for an example.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's waits (between tries, between looks at a job) last a moment."""
    real = cancellation._sleep
    monkeypatch.setattr(
        cancellation, "_sleep", lambda seconds, token: real(min(seconds, 0.02), token)
    )
    # All tests together submit more than a team may in an hour.
    monkeypatch.setattr(rate_limit, "PER_HOUR", 1_000_000)


@pytest.fixture(autouse=True)
def nothing_known(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this user knows of pools, and has as profiles, changes no test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of each test that is sampled: mark the cases that are not in the sample."""
    tests: defaultdict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled") and not item.get_closest_marker("slow"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for cases in tests.values():
        # In an order that is always the same, and has nothing to do with that of the parameters.
        cases.sort(key=lambda case: crc32(case.nodeid.encode()))
        share = cases[0].get_closest_marker("sampled").args[0]  # type: ignore[union-attr]
        for case in cases[-(-len(cases) // share) :]:
            case.add_marker("exhaustive")


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def _no_skip(report: Report) -> Report:
    """The report, a failure if it is a skip in CI, where every test must run."""
    expected = hasattr(report, "wasxfail")
    if os.environ.get("CI") == "true" and report.skipped and not expected:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: no test may be skipped in CI: {why}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test that is skipped in CI fail."""
    return _no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let a file that is skipped in CI fail."""
    return _no_skip((yield))


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """No test leaves a thread, an open file or a dead connection behind."""
    leaks = Leaks(sockets=False)
    yield
    assert leaks.left() == []


@pytest.fixture(autouse=True)
def no_open_jobs(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves a job at the shared server that could still be executed."""
    server = request.getfixturevalue("server") if "server" in request.fixturenames else None
    yield
    end = time.monotonic() + 10
    while True:
        jobs = getattr(server, "jobs", [])  # a scripted server has none
        if time.monotonic() > end or not _with(jobs, "QUEUED", "RUNNING"):
            break
        time.sleep(0.01)  # what continues on the server ends by itself
    assert _with(jobs, "NEW", "QUEUED", "RUNNING") == []


@pytest.fixture(autouse=True)
def no_longer_strings(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No job of this library is executed with a string longer than its column was declared."""
    found: list[str] = []
    open_chunks = loader.open_chunks

    def checked(cursor: Any, files: Any, job: Any, assumptions: Any) -> Any:
        source, columns = open_chunks(cursor, files, job, assumptions)
        for column in columns:
            if column.type == "STRING":
                query = f"SELECT max(length({column.expression})) FROM {source}"
                longest = cursor.execute(query).fetchone()[0]
                if (longest or 0) > column.length:
                    found.append(f"{column.name}: {longest} > {column.length}")
        return source, columns

    if "local_server" not in request.path.parts:  # where other clients send what they like
        monkeypatch.setattr(loader, "open_chunks", checked)
    yield
    assert found == []


def _with(jobs: list[dict[str, Any]], *states: str) -> list[dict[str, Any]]:
    return [job for job in jobs if job["status"] in states]


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """One local Celonis for all tests that only need a table of their own."""
    with local.start(limits=False) as celonis:
        yield celonis


@pytest.fixture(scope="session")
def connection(server: Any) -> Iterator[Celonis]:
    """A connection to it."""
    with Celonis(server.url, auth=ApiKey(server.token)) as celonis:
        yield celonis


@pytest.fixture
def table(request: pytest.FixtureRequest) -> str:
    """A table name that no other test uses."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    # Celonis takes 128 bytes. Tests may differ only at the end, or in their module.
    return f"{name[:50]}_{crc32(request.node.nodeid.encode()):08x}"


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that nobody has connected, with an empty environment."""
    for name in ("CELONIS_URL", "CELONIS_API_TOKEN", "CELONIS_KEY_TYPE", "CELONIS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_connect, "_connected", None)
    monkeypatch.setattr(_connect, "_from_env", None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local Celonis is done in milliseconds: ask sooner than one asks the real one."""
    monkeypatch.setattr("celonis_frames._jobs.polling.FIRST_DELAY", 0.005)


@pytest.fixture
def own() -> Iterator[Any]:
    """A local Celonis of its own."""
    with local.start(limits=False) as celonis:
        yield celonis


@pytest.fixture
def client(own: Any) -> Iterator[Celonis]:
    """A connection to it."""
    with Celonis(own.url, auth=ApiKey(own.token)) as celonis:
        yield celonis
