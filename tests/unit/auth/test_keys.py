"""Keys: sent in their header, shown nowhere."""

from __future__ import annotations

import dataclasses

import pytest

from celonis_frames._auth import environment
from celonis_frames._auth.keys import ApiKey, AppKey
from celonis_frames.exceptions import ConfigError

CANARY = "canary-4f1c9a"


def test_headers() -> None:
    """A user's key goes as Bearer, an application key as AppKey."""
    assert ApiKey("k").authorization() == "Bearer k"
    assert AppKey("k").authorization() == "AppKey k"


@pytest.mark.parametrize("kind", [ApiKey, AppKey])
def test_a_key_never_shows(kind: type[ApiKey | AppKey]) -> None:
    """No way of printing a key shows it, and it cannot be changed."""
    key = kind(CANARY)
    for text in (repr(key), str(key), f"{key}", repr([key])):
        assert CANARY not in text
        assert "********" in text
    with pytest.raises(dataclasses.FrozenInstanceError):
        key.token = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "token",
    ["", "  ", "a\nb", "a b", "a\x00", "a\u20ac", f"Bearer {CANARY}", f"AppKey {CANARY}", "k\n"],
)
def test_a_value_that_cannot_be_a_key_is_rejected_without_showing_it(token: str) -> None:
    """Empty keys, keys with a scheme and keys with spaces are ConfigErrors."""
    for kind in (ApiKey, AppKey):
        with pytest.raises(ConfigError) as caught:
            kind(token)
        assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "header"), [("APP_KEY", "AppKey"), ("bearer", "Bearer"), ("USER_KEY", "Bearer")]
)
def test_key_types_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, word: str, header: str
) -> None:
    """The official client's names for the kinds of keys are understood."""
    monkeypatch.setenv("CELONIS_URL", "https://dev.us-2.celonis.cloud/x")
    monkeypatch.setenv("CELONIS_API_TOKEN", CANARY)
    monkeypatch.setenv("CELONIS_KEY_TYPE", word)
    found = environment.read_environment()
    assert found.auth is not None
    assert found.auth.authorization() == f"{header} {CANARY}"
    assert CANARY not in repr(found)


def test_an_empty_environment_says_what_to_set() -> None:
    """The message names the variables, and the way without a team."""
    with pytest.raises(ConfigError) as caught:
        environment.read_environment()
    for word in ("CELONIS_URL", "CELONIS_API_TOKEN", 'connect("local")'):
        assert word in str(caught.value)


def test_oauth_alone_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message about an OAuth client without a secret says what is missing."""
    monkeypatch.setenv("CELONIS_URL", "https://dev.us-2.celonis.cloud")
    monkeypatch.setenv("OAUTH_CLIENT_ID", "id")
    with pytest.raises(ConfigError, match="OAUTH_CLIENT_ID"):
        environment.read_environment()


def test_a_token_as_key_type_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key set under the wrong name is not printed."""
    monkeypatch.setenv("CELONIS_URL", "https://dev.us-2.celonis.cloud")
    monkeypatch.setenv("CELONIS_API_TOKEN", "x")
    monkeypatch.setenv("CELONIS_KEY_TYPE", CANARY)
    with pytest.raises(ConfigError) as caught:
        environment.read_environment()
    assert CANARY.upper() not in str(caught.value).upper()


def test_the_key_of_one_host_is_not_sent_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """CELONIS_API_TOKEN belongs to CELONIS_URL."""
    monkeypatch.setenv("CELONIS_URL", "https://dev.us-2.celonis.cloud")
    monkeypatch.setenv("CELONIS_API_TOKEN", CANARY)
    with pytest.raises(ConfigError, match="belongs to"):
        environment.environment_auth(url="https://other.us-2.celonis.cloud")
