"""What all tests share: a local Celonis, and a connection to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import celonis_frames
from celonis_frames import ApiKey, Celonis, local


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
    return "".join(c if c.isalnum() else "_" for c in request.node.name)[:60]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that nobody has connected, with an empty environment."""
    for name in ("CELONIS_URL", "CELONIS_API_TOKEN", "CELONIS_KEY_TYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(celonis_frames._client, "_connected", None)
    monkeypatch.setattr(celonis_frames._client, "_from_env", None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local Celonis is done in milliseconds: ask sooner than one asks the real one."""
    monkeypatch.setattr("celonis_frames._jobs.FIRST_DELAY", 0.005)
