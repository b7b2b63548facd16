"""What the tests of faults share: a server that may break, short waits, and the check for leaks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import shortened_waits
from leaks import Leaks

from celonis_frames import local


@pytest.fixture(scope="module")
def faulty() -> Iterator[Any]:
    """A local Celonis that the tests of a module may break."""
    with local.start(limits=False) as celonis:
        yield celonis


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test of faults leaves a thread, a file, a socket or a job that could still be executed."""
    leaks = Leaks(sockets=True)
    yield
    assert leaks.left() == []
    if "faulty" in request.fixturenames:
        jobs = request.getfixturevalue("faulty").jobs
        assert [job for job in jobs if job["status"] in ("NEW", "QUEUED", "RUNNING")] == []


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Shorten the pauses; the list gets the unscaled seconds of each."""
    return shortened_waits.shorten(monkeypatch.setattr)
