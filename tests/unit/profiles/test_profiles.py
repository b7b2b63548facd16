"""Profiles: what a login stores is what a connection gets, and nothing else reads it."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames import ApiKey, AppKey, IngestionKeys, OAuth2
from celonis_frames._auth.token_file import TokenFile
from celonis_frames._profiles import profiles, secret_stores
from celonis_frames._profiles.choice import choose_settings
from celonis_frames._profiles.profile import MAX_NAME, Profile
from celonis_frames.exceptions import ConfigError

URL, OTHER = "https://a.eu-1.celonis.cloud", "https://b.eu-1.celonis.cloud"
CORE = "k4nary"
KEYS = IngestionKeys("c-1", f"access-{CORE}", f"secret-{CORE}", "bucket", "eu-central-1")
AUTHS: dict[str, Any] = {
    "API key": ApiKey(f"a-{CORE}"),
    "application key": AppKey(f"b-{CORE}"),
    "OAuth client": OAuth2("client", f"s-{CORE}", scopes=("one", "two"), method="post"),
    "nothing but ingestion keys": None,
}


def _same(found: Any, auth: Any, keys: Any) -> bool:
    """Whether a connection has these keys."""
    return bool(found.auth == auth and type(found.auth) is type(auth) and found.ingestion == keys)


def _everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", AUTHS)
@pytest.mark.parametrize("store", ["keyring", "file"])
def test_every_kind_of_key_comes_back(kind: str, store: Any, ring: Path, config: Path) -> None:
    """Also with ingestion keys besides; the config file has no secret, in either case."""
    auth = AUTHS[kind]
    for keys in (KEYS,) if auth is None else (None, KEYS):
        profiles.save_profile("p", f"{URL}/any/page", store, auth, keys)
        found = choose_settings("p")
        assert (found.url, found.source) == (URL, "profile 'p'")
        assert _same(found, auth, keys)
        assert CORE not in profiles.config_path().read_text()
        assert CORE not in repr(profiles.stored_profiles())
        where = ring if store == "keyring" else profiles.credentials_path()
        assert where.exists()
        assert (CORE.encode() in _everything(config)) is (store == "file")
        profiles.remove_profile("p")
        assert profiles.stored_profiles() == {}
        assert CORE.encode() not in _everything(config)
        assert keyring.get_password(secret_stores.SERVICE, "p") is None


names = st.text(min_size=1, max_size=MAX_NAME).filter(
    lambda name: name.isprintable() and name == name.strip()
)
label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
urls = st.one_of(
    st.tuples(label, label).map(lambda parts: f"https://{parts[0]}.{parts[1]}.celonis.cloud"),
    st.tuples(label, label, st.integers(1, 65_535).filter(lambda port: port != 443)).map(
        lambda parts: f"https://{parts[0]}.{parts[1]}:{parts[2]}"
    ),
    st.integers(1, 65_535).filter(lambda port: port != 80).map("http://127.0.0.1:{}".format),
    st.just("https://[::1]:8443"),
)
secrets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200)


@settings(max_examples=60)
@given(st.dictionaries(names, st.tuples(urls, secrets), min_size=1, max_size=4))
def test_any_name_and_any_url_come_back(stored: dict[str, tuple[str, str]]) -> None:
    """Whatever profiles there are, each is what it was, and the others stay."""
    folder = tempfile.mkdtemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", folder)
        for name, (url, key) in stored.items():
            # A token like "Bearer:x" is refused before it is stored.
            try:
                auth = ApiKey(key)
            except ConfigError:
                auth = ApiKey("replaced")
            profiles.save_profile(name, url, "file", auth, None)
            assert _same(choose_settings(name), auth, None)
        assert {name: one.url for name, one in profiles.stored_profiles().items()} == {
            name: url for name, (url, _) in stored.items()
        }
    shutil.rmtree(folder)


@given(st.text(max_size=MAX_NAME + 5) | st.none() | st.integers())
def test_a_name_that_cannot_be_one_is_said(name: Any) -> None:
    """Nothing else than a ConfigError comes of it, and nothing is stored."""
    good = isinstance(name, str) and 0 < len(name) <= MAX_NAME
    if good and name.isprintable() and name == name.strip():
        return
    with pytest.raises(ConfigError, match="must be the name of a profile"):
        profiles.save_profile(name, URL, "file", ApiKey("k"), None)
    assert not profiles.config_path().exists()


LOGIN = """
import sys
from celonis_frames import ApiKey
from celonis_frames._profiles.profiles import save_profile
for number in range(5):
    name = f"{sys.argv[1]}-{number}"
    save_profile(name, f"https://{name}.eu-1.celonis.cloud", "file", ApiKey(name), None)
"""


def test_logins_at_the_same_time_lose_nothing() -> None:
    """Neither in threads nor in processes."""
    processes = [subprocess.Popen([sys.executable, "-c", LOGIN, str(n)]) for n in range(2)]
    threads = [
        threading.Thread(
            target=profiles.save_profile,
            args=(f"t-{n}", f"https://t-{n}.eu-1.celonis.cloud", "file", ApiKey(f"t-{n}"), None),
        )
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in processes] == [0, 0]
    expected = [f"t-{n}" for n in range(6)] + [f"{p}-{n}" for p in range(2) for n in range(5)]
    assert sorted(profiles.stored_profiles()) == sorted(expected)
    for name in expected:
        found = choose_settings(name)
        assert found.url == f"https://{name}.eu-1.celonis.cloud"
        assert found.auth == ApiKey(name)


def test_the_files_are_for_their_owner_only(config: Path) -> None:
    """The folder, the config file, the file of secrets and their locks."""
    profiles.save_profile("p", URL, "file", ApiKey("k"), None)
    assert stat.S_IMODE(config.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in config.iterdir()}
    assert modes == dict.fromkeys(
        ["config.json", "config.lock", "credentials.json", "credentials.lock"], 0o600
    )


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o620])
def test_secrets_that_others_may_read_are_not_used(mode: int) -> None:
    """The message names the file and the command that mends it; no login goes over it either."""
    profiles.save_profile("p", URL, "file", ApiKey(f"k-{CORE}"), None)
    path = profiles.credentials_path()
    path.chmod(mode)
    for attempt in (
        lambda: choose_settings("p"),
        lambda: profiles.save_profile("q", URL, "file", ApiKey("k"), None),
    ):
        with pytest.raises(ConfigError, match=r"chmod 600") as caught:
            attempt()
        assert str(path) in str(caught.value)
        assert CORE not in str(caught.value)
    path.chmod(0o600)
    assert choose_settings("p").auth == ApiKey(f"k-{CORE}")


def test_a_secret_is_sent_to_no_other_url() -> None:
    """A config file that was edited, or replaced by somebody, leads no key elsewhere."""
    profiles.save_profile("p", URL, "file", ApiKey(f"k-{CORE}"), None)
    path = profiles.config_path()
    path.write_text(path.read_text().replace(URL, OTHER))
    with pytest.raises(ConfigError, match="it is not sent there") as caught:
        choose_settings("p")
    assert URL in str(caught.value)
    assert CORE not in str(caught.value)


BROKEN: dict[str, Any] = {
    "nothing": b"",
    "a part": b'{"version": 1, "prof',
    "no text": b"\xff\xfe\x00",
    "deeply nested": b"[" * 100_000,
    "a list": b"[]",
    "another version": b'{"version": 2, "profiles": {}}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("which", ["config", "credentials"])
def test_a_broken_file_is_named_and_kept(content: bytes, which: str) -> None:
    """It may be mended; a login that wrote it anew would lose the other profiles."""
    profiles.save_profile("p", URL, "file", ApiKey("k"), None)
    path = profiles.config_path() if which == "config" else profiles.credentials_path()
    path.write_bytes(content)
    for attempt in (
        lambda: choose_settings("p"),
        lambda: profiles.save_profile("q", URL, "file", ApiKey("k"), None),
    ):
        with pytest.raises(ConfigError) as caught:
            attempt()
        assert str(path) in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "entry",
    [
        None, [], "x", {}, {"url": 1}, {"url": "nonsense", "key_type": "BEARER"},
        {"url": URL}, {"url": f"{URL}/page", "key_type": "BEARER"},
        {"url": URL, "key_type": "KEY"}, {"url": URL, "key_type": "BEARER", "secrets": "paper"},
        {"url": URL, "key_type": "OAUTH", "scopes": "one"}, {"url": URL, "ingestion": {}},
        {"url": URL, "ingestion": {"connection": 1, "bucket": "b", "region": "r"}},
    ],
)  # fmt: skip
def test_an_entry_by_hand_that_is_wrong_is_named(entry: Any) -> None:
    """With the file, the profile and what is wrong."""
    path = profiles.config_path()
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"version": 1, "profiles": {"p": entry}}))
    with pytest.raises(ConfigError, match=r"profile 'p': ") as caught:
        choose_settings("p")
    assert str(path) in str(caught.value)


def test_a_profile_keeps_its_other_keys() -> None:
    """Those of ingestion beside an application key, while the URL is the same."""
    profiles.save_profile("p", URL, "file", AUTHS["OAuth client"], None)
    profiles.save_profile("p", URL, "file", None, KEYS)
    assert _same(choose_settings("p"), AUTHS["OAuth client"], KEYS)
    profiles.save_profile("p", URL, "file", AUTHS["application key"], None)
    assert _same(choose_settings("p"), AUTHS["application key"], KEYS)
    profiles.save_profile("p", OTHER, "file", AUTHS["API key"], None)
    assert _same(choose_settings("p"), AUTHS["API key"], None)


def test_a_secret_moves_with_its_store(ring: Path) -> None:
    """It stays in one place only."""
    profiles.save_profile("p", URL, "file", ApiKey(f"1-{CORE}"), None)
    profiles.save_profile("p", URL, "keyring", ApiKey(f"2-{CORE}"), None)
    assert CORE not in profiles.credentials_path().read_text()
    assert choose_settings("p").auth == ApiKey(f"2-{CORE}")
    profiles.save_profile("p", URL, "file", ApiKey(f"3-{CORE}"), None)
    assert keyring.get_password(secret_stores.SERVICE, "p") is None
    assert choose_settings("p").auth == ApiKey(f"3-{CORE}")
    assert ring.exists()


def test_a_key_that_cannot_be_stored_leaves_the_old_one() -> None:
    """The other store loses its key once the new one has it, not before."""
    profiles.save_profile("p", URL, "file", ApiKey(f"1-{CORE}"), None)
    before = keyring.get_keyring()
    try:
        keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
        with pytest.raises(ConfigError, match="cannot store"):
            profiles.save_profile("p", URL, "keyring", ApiKey(f"2-{CORE}"), None)
    finally:
        keyring.set_keyring(before)
    assert choose_settings("p").auth == ApiKey(f"1-{CORE}")


def test_without_a_keyring_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library; none on this system; one that keeps nothing."""
    before = keyring.get_keyring()
    try:
        keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
        assert "this system has none" in str(secret_stores.keyring_problem())
        with pytest.raises(ConfigError, match="cannot store"):
            profiles.save_profile("p", URL, "keyring", ApiKey(CORE), None)
        keyring.set_keyring(keyring.backends.null.Keyring())
        with pytest.raises(ConfigError, match="did not keep it"):
            profiles.save_profile("p", URL, "keyring", ApiKey(CORE), None)
    finally:
        keyring.set_keyring(before)
    monkeypatch.setitem(sys.modules, "keyring", None)
    install = r'pip install "celonis-frames\[keyring\]"'
    with pytest.raises(ImportError, match=install):
        profiles.save_profile("p", URL, "keyring", ApiKey(CORE), None)
    assert "celonis-frames[keyring]" in str(secret_stores.keyring_problem())
    assert profiles.stored_profiles() == {}


def test_a_secret_that_is_gone_asks_for_a_login(ring: Path) -> None:
    """Somebody emptied the keyring, or put something else there."""
    profiles.save_profile("p", URL, "keyring", ApiKey(CORE), None)
    keyring.set_password(secret_stores.SERVICE, "p", f"no JSON {CORE}")
    with pytest.raises(ConfigError, match="not one of celonis_frames") as caught:
        choose_settings("p")
    assert CORE not in str(caught.value)
    keyring.delete_password(secret_stores.SERVICE, "p")
    with pytest.raises(ConfigError, match=r"not in the keyring\. Log in again"):
        choose_settings("p")
    assert ring.exists()


def test_what_cannot_be_stored_is_said(tmp_path: Path) -> None:
    """A token file belongs to another program."""
    with pytest.raises(ConfigError, match="TokenFile"):
        profiles.save_profile("p", URL, "file", TokenFile(tmp_path / "token"), None)
    with pytest.raises(ConfigError, match="neither a key_type nor ingestion"):
        profiles.save_profile("p", URL, "file", None, None)
    assert Profile(URL, "file", "BEARER").kind == "API key"


def _environment(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


ENV = {"CELONIS_URL": OTHER, "CELONIS_API_TOKEN": "from-the-environment"}


@pytest.mark.parametrize(
    ("named", "environment", "stored", "source"),
    [
        ("prod", ENV, ("prod", "default"), "profile 'prod'"),
        (None, ENV | {"CELONIS_PROFILE": "prod"}, ("prod", "default"), "the environment"),
        (None, ENV, ("default",), "the environment"),
        (None, {"CELONIS_PROFILE": "prod"}, ("prod", "default"), "profile 'prod'"),
        (None, {"CELONIS_PROFILE": "prod", "CELONIS_API_TOKEN": "x"}, ("prod",), "profile 'prod'"),
        (None, {}, ("prod", "default"), "profile 'default'"),
        (None, {"OAUTH_CLIENT_ID": "of another program"}, ("default",), "profile 'default'"),
        (None, {"CELONIS_API_TOKEN": "x"}, ("default",), "CELONIS_URL is not"),
        (None, {}, ("prod",), "celonis-frames login"),
        (None, {"CELONIS_PROFILE": "prodd"}, ("prod",), "Did you mean 'prod'?"),
        ("x", {}, ("prod", "test"), "It has ['prod', 'test']"),
        (None, {}, (), "No connection: CELONIS_URL and CELONIS_API_TOKEN are not set"),
    ],
)
def test_the_order(
    named: str | None,
    environment: dict[str, str],
    stored: tuple[str, ...],
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is named goes first, then the environment, CELONIS_PROFILE, and the default profile."""
    for name in stored:
        profiles.save_profile(name, URL, "file", ApiKey(f"of-{name}"), None)
    _environment(monkeypatch, environment)
    try:
        found = choose_settings(named)
    except ConfigError as error:
        assert source in str(error)  # noqa: PT017  # either way
        return
    assert found.source == source
    unused = {"CELONIS_URL", "CELONIS_PROFILE"} <= set(environment)
    assert ("CELONIS_PROFILE=prod is not used" in caplog.text) is unused
    of = "from-the-environment" if source == "the environment" else f"of-{source[9:-1]}"
    assert found.auth == ApiKey(of)
    assert found.url == (OTHER if source == "the environment" else URL)


def test_a_key_can_be_given_for_the_url_of_a_profile() -> None:
    """Then its own is not even read."""
    profiles.save_profile("p", URL, "file", ApiKey("k"), None)
    profiles.credentials_path().unlink()
    assert choose_settings("p", AppKey("mine")).auth == AppKey("mine")


@pytest.mark.parametrize("broken", ["entry", "secrets", "store"])
def test_a_login_mends_what_is_broken(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice of every error is to log in again, so that must work."""
    profiles.save_profile("p", URL, "file", None, KEYS)
    if broken == "entry":
        path = profiles.config_path()
        path.write_text(path.read_text().replace(URL, "nonsense"))
    elif broken == "secrets":
        profiles.credentials_path().unlink()
    else:
        path = profiles.config_path()
        path.write_text(path.read_text().replace('"file"', '"keyring"'))
        monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises((ConfigError, ImportError)):
        choose_settings("p")
    profiles.save_profile("p", URL, "file", ApiKey("k"), None)
    assert _same(choose_settings("p"), ApiKey("k"), None)
