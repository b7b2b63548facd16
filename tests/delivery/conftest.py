"""What the tests of deliveries share: a local Celonis that a test may break, and a connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from celonis_frames import ApiKey, Celonis, local


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
