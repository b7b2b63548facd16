"""A push without the machine's surroundings, and a local Celonis of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from celonis_frames import local
from celonis_frames.local._web.oauth import DATA_PUSH

NAMES = [
    "CELONIS_URL",
    "CELONIS_API_TOKEN",
    "CELONIS_KEY_TYPE",
    "OAUTH_CLIENT_ID",
    "OAUTH_CLIENT_SECRET",
    "OAUTH_SCOPES",
    "OAUTH_METHOD",
    "OAUTH_ACCESS_TOKEN_PATH",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
]
SCOPES = (DATA_PUSH, "integration.data-pools:read")


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("celonis_frames._jobs.polling.MAX_SILENCE", 0.2)
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)  # its thread would outlive the test


@pytest.fixture
def celonis() -> Iterator[Any]:
    """A local Celonis whose tokens nobody else spends."""
    with local.start(limits=False) as running:
        yield running
