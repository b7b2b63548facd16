"""URLs: host and pool of any page of a team."""

from __future__ import annotations

import pytest

from celonis_frames._urls import base_url, pool_in_url, team_url
from celonis_frames.exceptions import ConfigError


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        (
            "https://dev.us-2.celonis.cloud/integration/ui/pools/abc/x?y#z",
            "https://dev.us-2.celonis.cloud",
        ),
        ("  https://DEV.us-2.Celonis.Cloud/ ", "https://dev.us-2.celonis.cloud"),
        ("dev.us-2.celonis.cloud/ui", "https://dev.us-2.celonis.cloud"),
        ("https://dev.us-2.celonis.cloud:443", "https://dev.us-2.celonis.cloud"),
        ("https://celonis.example.com:8443/a", "https://celonis.example.com:8443"),
        ("https://proxy.company.example/celonis.cloud", "https://proxy.company.example"),
        ("https://celonis.company.cloud", "https://celonis.company.cloud"),
        ("https://storage.cloud", "https://storage.cloud"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://127.8.9.1", "http://127.8.9.1"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:9000/x", "http://[::1]:9000"),
    ],
)
def test_any_page_gives_the_base(pasted: str, base: str) -> None:
    """Scheme, host and port of any page remain."""
    assert base_url(pasted) == base


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "   ",
        "http://dev.us-2.celonis.cloud",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "ftp://dev.us-2.celonis.cloud",
        "https://",
        "https://a b",
        "https://host:port",
        "https://team.eu-1.celonis.cloud:0",
        f"https://{'a' * 64}.celonis.cloud",
        f"https://{'a.' * 130}celonis.cloud",
        "https://host:99999999",
        "https://good.celonis.cloud\\@evil.example",
        "https://[::1",
        "https://user:pass@dev.us-2.celonis.cloud",
        "dev.us-2.celonis.cloud.evil.example",
        "dev.us-2.celonis-cloud.com/ui",
        "dev.us-2.ce1onis.cloud",
        "https://dev-us-2-celonis.cloud.evil.example:443@127.0.0.1",
        "evilcelonis.cloud.example/celonis.cloud/../.celonis-cloud.io@x",
        "celonis.example.com",
        "evil.example",
        "oneword",
    ],
)
def test_a_url_that_would_endanger_the_key_is_rejected(pasted: str) -> None:
    """Plain http to other machines, user names, and unreadable hosts are ConfigErrors."""
    with pytest.raises(ConfigError):
        base_url(pasted)


def test_a_password_in_a_url_is_not_quoted() -> None:
    """The message about a password does not show it."""
    with pytest.raises(ConfigError) as caught:
        base_url("https://user:hunter2@dev.us-2.celonis.cloud")
    assert "hunter2" not in str(caught.value)


def test_team_and_cluster() -> None:
    """Team and cluster are the first labels of the host; anything else is rejected."""
    assert team_url("dev", "us-2") == "https://dev.us-2.celonis.cloud"
    for team, cluster in [("", "us-2"), ("a/b", "us-2"), ("dev", "us 2"), ("x@y", "us-2")]:
        with pytest.raises(ConfigError):
            team_url(team, cluster)


def test_a_pool_in_a_pasted_url() -> None:
    """The id is the part after ``pools/``; a name is not a URL."""
    base = "https://dev.us-2.celonis.cloud"
    assert pool_in_url(f"{base}/integration/ui/pools/ab-12/tables") == (base, "ab-12")
    assert pool_in_url("dev.us-2.celonis.cloud/integration/ui/pools/ab-12") == (base, "ab-12")
    assert pool_in_url("Purchasing") is None
    assert pool_in_url("Purchasing / EU") is None


@pytest.mark.parametrize("word", ["locla", "lokal", "LOCAI"])
def test_a_misspelt_local_is_recognised(word: str) -> None:
    """And nothing of the word is quoted: it could be a key."""
    with pytest.raises(ConfigError, match='Did you mean "local"') as caught:
        base_url(word)
    assert word not in str(caught.value)
    with pytest.raises(ConfigError) as other:
        base_url("mvU4h2kJ9xQ")
    assert "Did you mean" not in str(other.value)
