"""`login`, `logout` and `profiles`: with a terminal and without, and what comes of a profile."""

from __future__ import annotations

import io
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring
import keyring.backends.fail
import pytest
from command_line import exit_status
from keyrings.alt.file import PlaintextKeyring

import celonis_frames
from celonis_frames import Celonis, local
from celonis_frames._auth import environment
from celonis_frames._profiles import profiles
from celonis_frames.exceptions import ConfigError

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def team() -> Iterator[Any]:
    """A local Celonis with a Data Pool, and with ingestion keys."""
    with local.start(limits=False) as celonis:
        celonis.add_pool("P")
        yield celonis


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    for name in environment.NAMES:
        monkeypatch.delenv(name, raising=False)
    before = keyring.get_keyring()
    keyring.set_keyring(PlaintextKeyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, with these lines on standard input."""

    def call(*arguments: str, lines: str = "") -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        status = exit_status(*arguments)
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return call


def test_the_kind_of_a_key_is_found_out(team: Any, run: Run) -> None:
    """API keys and application keys look alike; what is stored says which it is."""
    for kind, key in (("API key", team.token), ("application key", team.app_key)):
        done = run("login", "--url", f"{team.url}/integration/ui", lines=f"{key}\n")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"Profile 'default' is stored: {kind} for {team.url}\n")
        assert "the key is accepted, and sees 1 Data Pool." in done.stderr
        assert key not in done.stdout + done.stderr + profiles.config_path().read_text()
        with Celonis.from_env() as connection:
            assert [pool.name for pool in connection.pools()] == ["P"]


def test_an_oauth_client_and_ingestion_keys_in_one_profile(team: Any, run: Run) -> None:
    """Two logins, and a push by either way; `connect(profile=)` is all that a program needs."""
    client_id, secret = team.oauth_client
    keys = team.ingestion("P", {"T": {}})
    done = run(
        "login", "--profile", "prod", "--url", team.url, "--kind", "oauth", "--client-id",
        client_id, "--scopes", "integration.data-pools", "--json", lines=secret,
    )  # fmt: skip
    assert json.loads(done.stdout) == {
        "name": "prod", "url": team.url, "secrets": "keyring", "key_type": "OAUTH",
        "client_id": client_id, "scopes": ["integration.data-pools"], "method": "basic",
    }  # fmt: skip
    done = run(
        "login", "--profile", "prod", "--url", team.url, "--kind", "ingestion", "--connection",
        keys.connection, "--bucket", keys.bucket, "--region", keys.region,
        lines=f"{keys.access_key.reveal()}\n{keys.secret_key.reveal()}\n",
    )  # fmt: skip
    assert "accepts the ingestion keys" in done.stderr
    assert "OAuth client and ingestion keys" in done.stdout
    assert team.objects == []  # the check stored nothing
    import pyarrow as pa  # noqa: PLC0415

    with celonis_frames.connect(profile="prod") as connection:
        assert connection.push(pa.table({"A": [1]}), "P", "U").ok
        assert connection.push(pa.table({"A": [1]}), "P", "T", via="ingestion").ok
    assert secret not in "".join(map(str, done.args)) + done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "lines", "expected"),
    [
        (("--kind", "key"), "wrong\n", "accepts the key neither as an application key"),
        (("--kind", "api-key"), "wrong\n", "does not accept a user's API key"),
        (("--kind", "oauth", "--client-id", "x"), "wrong\n", "the client is unknown"),
        (("--kind", "ingestion", "--connection", "c", "--bucket", "continuous", "--region",
          "eu-central-1"), "a\nb\n", "the access key is unknown"),
        (("--kind", "oauth"), "s\n", "--client-id is needed"),
        (("--kind", "ingestion", "--connection", "c", "--bucket", "b", "--region", "r"), "a\n",
         "Secret key: standard input has no line"),
        ((), "", "Key: standard input has no line"),
        (("--no-check",), "k\n", "give --kind api-key or app-key"),
        (("--kind", "api-key"), "Bearer x\n", "with a scheme"),
    ],
)  # fmt: skip
def test_nothing_is_stored_unless_the_key_is_accepted(
    team: Any, run: Run, arguments: tuple[str, ...], lines: str, expected: str
) -> None:
    """The message says what is wrong with it; the exit status that it failed."""
    done = run("login", "--url", team.url, *arguments, lines=lines)
    assert done.returncode != 0
    assert expected in done.stderr
    assert done.stdout == ""
    assert profiles.stored_profiles() == {}


def test_a_server_that_cannot_be_reached_can_be_stored_unchecked(run: Run) -> None:
    """The advice says how."""
    url = "http://127.0.0.1:9"
    done = run("login", "--url", url, "--kind", "api-key", lines="k\n")
    assert "To store it without a check: --no-check" in done.stderr
    done = run("login", "--url", url, "--kind", "api-key", "--no-check", lines="k\n")
    assert done.returncode == 0
    assert [one.url for one in profiles.stored_profiles().values()] == [url]


def test_without_a_keyring_a_pipeline_must_ask_for_the_file(team: Any, run: Run) -> None:
    """A key is written into a file only if that was asked for."""
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    done = run("login", "--url", team.url, lines=f"{team.token}\n")
    assert done.returncode != 0
    assert "Give --store file" in done.stderr
    assert profiles.stored_profiles() == {}
    done = run("login", "--url", team.url, "--store", "file", lines=f"{team.token}\n")
    assert done.returncode == 0
    assert str(profiles.credentials_path()) in done.stdout
    with Celonis.from_env() as connection:
        assert len(connection.pools()) == 1


def test_profiles_and_logout(team: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list marks the one that is used; a logout removes the key from where it is."""
    assert "has no profiles" in run("profiles").stderr
    for name in ("default", "test"):
        run("login", "--url", team.url, "--profile", name, lines=team.token)
    done = run("profiles")
    assert done.stdout == (
        f"* default\n    {team.url}\n    API key, in the keyring\n"
        f"  test\n    {team.url}\n    API key, in the keyring\n"
    )
    assert [one["name"] for one in json.loads(run("profiles", "--json").stdout)] == [
        "default", "test",
    ]  # fmt: skip
    monkeypatch.setenv("CELONIS_PROFILE", "test")
    assert "* test" in run("profiles").stdout
    assert run("logout").stdout.startswith("Profile 'test' is removed with its key")
    assert keyring.get_password("celonis-frames", "test") is None
    assert "has no profile 'test'" in run("logout").stderr
    assert list(profiles.stored_profiles()) == ["default"]
    monkeypatch.setenv("CELONIS_URL", "https://a.eu-1.celonis.cloud")
    assert "goes before the profiles" in run("profiles").stderr


def test_whoami_looks_once(
    team: Any, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it shows is of the connection that it checks, and a warning comes once."""
    monkeypatch.setenv("CELONIS_URL", team.url)
    monkeypatch.setenv("CELONIS_API_TOKEN", team.token)
    monkeypatch.setenv("CELONIS_PROFILE", "other")
    assert "from     the environment (CELONIS_URL)" in run("whoami").stdout
    assert caplog.text.count("CELONIS_PROFILE=other is not used") == 1
    monkeypatch.delenv("CELONIS_API_TOKEN")
    monkeypatch.setenv("CELONIS_URL", "local")
    assert "key      the local Celonis's own: sees 0 Data Pools" in run("whoami").stdout


def test_connect_takes_a_url_or_a_profile() -> None:
    """Not both."""
    with pytest.raises(ConfigError, match="not both"):
        celonis_frames.connect("https://a.eu-1.celonis.cloud", profile="prod")


def _dialogue(arguments: list[str], answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Runs a command in a terminal; answers each question when it stands there."""
    terminal, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "celonis_frames", *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    printed = ""
    end = time.monotonic() + 60
    try:
        while time.monotonic() < end:
            ready, _, _ = select.select([terminal], [], [], 0.2)
            if ready:
                try:
                    data = os.read(terminal, 65_536)
                except OSError:
                    break
                if not data:
                    break
                printed += data.decode()
            if answers and answers[0][0] in printed:
                os.write(terminal, f"{answers.pop(0)[1]}\n".encode())
    finally:
        os.close(terminal)
    return process.wait(30), printed


def test_the_questions_in_a_terminal(team: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is not echoed; without a keyring the file is used after a yes."""
    questions = [
        ("URL of your team", team.url),
        ("What do you have? [1]", "1"),
        ("(it is not shown)", team.token),
    ]
    status, printed = _dialogue(["login"], list(questions))
    assert status == 0, printed
    assert "key in the keyring" in printed
    assert team.token not in printed
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for answer, stored in (("n", False), ("y", True)):
        asked = [*questions, ("[y/N]", answer)]
        status, printed = _dialogue(["login", "--profile", f"f-{answer}"], asked)
        assert (status == 0) is stored, printed
        assert team.token not in printed
        assert (f"f-{answer}" in profiles.stored_profiles()) is stored


def test_a_stored_key_of_the_wrong_kind(team: Any, run: Run) -> None:
    """The advice is for a profile, which no variable changes."""
    for given, other, key in (
        ("api-key", "app-key", team.app_key),
        ("app-key", "api-key", team.token),
    ):
        login = ("login", "--profile", "prod", "--url", team.url, "--kind", given, "--no-check")
        assert run(*login, lines=f"{key}\n").returncode == 0
        done = run("whoami", "--profile", "prod")
        assert done.returncode == 5, done.stderr
        advice = f"store it again: celonis-frames login --profile 'prod' --kind {other}."
        assert advice in done.stderr
        assert "CELONIS_KEY_TYPE" not in done.stderr


def test_profiles_of_which_none_is_the_default(team: Any, run: Run) -> None:
    """They are named where no connection is chosen."""
    run("login", "--profile", "prod", "--url", team.url, lines=f"{team.token}\n")
    done = run("whoami")
    assert done.returncode == 2
    words = "no profile is named 'default'. There is ['prod']: choose one with CELONIS_PROFILE"
    assert words in done.stderr
    assert run("whoami", "--profile", "prod").returncode == 0
