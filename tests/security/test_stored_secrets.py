"""Profiles and the doctor with a secret that is easy to find: it is where it belongs, only."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pyarrow as pa
import pytest
from keyrings.alt.file import PlaintextKeyring
from unit.conftest import Server

from celonis_frames import ApiKey, Celonis, IngestionKeys, OAuth2, local
from celonis_frames._auth.environment import Settings
from celonis_frames._cli.main import main
from celonis_frames._doctor.examination import examine
from celonis_frames._filesystem import files
from celonis_frames._profiles import profiles
from celonis_frames._profiles.choice import choose_settings
from celonis_frames.exceptions import CelonisFramesError, ConfigError

from .test_no_secret_leaks import CLIENT, CORE, SECRET, Everything, leaks

URL = "https://a.eu-1.celonis.cloud"
KEYS = IngestionKeys("c", f"access-{SECRET}", f"secret-{SECRET}", "b", "r")
AUTHS: dict[str, Any] = {
    "key": ApiKey(SECRET),
    "oauth": OAuth2(CLIENT, SECRET),
    "ingestion": None,
}


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Everything:
    """What is to be searched."""
    caplog.set_level("DEBUG")
    return Everything(caplog)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A config folder, and a keyring in a file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    before = keyring.get_keyring()
    keyring.set_keyring(PlaintextKeyring())
    yield tmp_path / "config" / "celonis-frames"
    keyring.set_keyring(before)


def _echo(status: int) -> Any:
    """A response that sends back all it got."""

    def answer(handler: Any) -> None:
        body = json.dumps({"error": str(handler.headers), "message": str(handler.headers)}).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Location", f"/{SECRET}" if status == 302 else "")
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize("kind", AUTHS)
@pytest.mark.parametrize("store", ["keyring", "file"])
def test_a_profile_keeps_its_secret_in_one_place(
    everything: Everything, kind: str, store: Any, config: Path
) -> None:
    """Not in the config file, not in a repr, not in an error about a file that is wrong."""
    profiles.save_profile("p", URL, store, AUTHS[kind], KEYS)
    everything.add("config", profiles.config_path().read_text())
    everything.add("profiles", repr(profiles.stored_profiles()))
    everything.add("settings", repr(choose_settings("p")))
    path = profiles.credentials_path()
    if store == "file":
        assert CORE in path.read_text()
        good = path.read_bytes()
        for broken in (b"", good[:-3], good.replace(b'"url"', b'"uri"'), b"[" + good + b"]"):
            path.write_bytes(broken)
            with pytest.raises(ConfigError) as caught:
                choose_settings("p")
            everything.add_error(caught.value)
        path.write_bytes(good)
        path.chmod(0o644)
    else:
        everything.add_files(config)
        keyring.set_password("celonis-frames", "p", f'{{"url": 1, "key": "{CORE}"}}')
    with pytest.raises(ConfigError) as caught:
        choose_settings("p")
    everything.add_error(caught.value)
    everything.check()


@pytest.mark.parametrize("store", ["keyring", "file"])
def test_a_secret_that_cannot_be_stored_is_not_shown(
    everything: Everything, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full, or the keyring fails, with the secret in its hands."""

    def fail(*arguments: object, **_: object) -> None:
        raise OSError(28, f"No space left for {arguments}" if store == "keyring" else "disk full")

    monkeypatch.setattr(PlaintextKeyring, "set_password", fail)
    monkeypatch.setattr(files, "sync_file", fail)
    with pytest.raises(ConfigError) as caught:
        profiles.save_profile("p", URL, store, AUTHS["key"], KEYS)
    everything.add_error(caught.value)
    everything.check()
    assert profiles.stored_profiles() == {}


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 500])
@pytest.mark.parametrize("kind", AUTHS)
def test_login_and_doctor_show_no_secret(
    everything: Everything,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    kind: str,
) -> None:
    """Whatever a hostile server sends back, neither prints it, nor has it in a report."""
    arguments = {
        "key": ["--kind", "api-key"],
        "oauth": ["--kind", "oauth", "--client-id", CLIENT],
        "ingestion": ["--kind", "ingestion", "--connection", "c", "--bucket", "b", "--region", "r"],
    }[kind]
    server = Server()
    server.answers = [_echo(status)]
    try:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n{SECRET}\n"))
        main(["login", "--url", server.url, *arguments, "--store", "file"])
        server.answers = [(401, {}, b""), _echo(status)]
        ingestion = KEYS if kind == "ingestion" else None
        auth = AUTHS[kind] or ApiKey("k")
        report = examine(lambda: Settings(server.url, auth, ingestion), "P", write=True)
    finally:
        server.close()
    if kind != "ingestion":
        sent = "".join(str(seen.headers) + seen.body.decode("latin-1") for seen in server.seen)
        assert leaks(sent), "the secret was never sent, so that this shows nothing"
    everything.add("printed", "".join(capsys.readouterr()))
    everything.add("report", report.text() + json.dumps(report.to_dict()) + repr(report))
    everything.add("page", report._repr_html_())
    if profiles.config_path().exists():
        everything.add("config", profiles.config_path().read_text())
    everything.check()


def test_a_trial_has_no_row_and_no_secret(everything: Everything, tmp_path: Path) -> None:
    """Neither of the tables that are there nor of the key: not in its report, files and log."""
    with local.start(limits=False, token="".join(c for c in SECRET if c.isalnum())) as celonis:
        with Celonis(celonis.url, auth=ApiKey(celonis.token)) as connection:
            connection.push(pa.table({"A": [f"row-{CORE}"]}), "P", "MINE")
            report = connection.doctor("P", write=True)
        assert report.observations
        assert celonis.table("P", "MINE").num_rows == 1
    report.write(tmp_path)
    everything.add_files(tmp_path)
    everything.add("report", repr(report) + report._repr_html_() + json.dumps(report.to_dict()))
    everything.check()


def test_errors_of_a_login_hold_no_secret(
    everything: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even in the locals of a traceback."""
    from celonis_frames._cli.commands import login  # noqa: PLC0415
    from celonis_frames._cli.main import _parser  # noqa: PLC0415
    from celonis_frames._cli.output import Output  # noqa: PLC0415

    assert login
    server = Server()
    server.answers = [_echo(401)]
    try:
        for lines, more in ((f"{SECRET}\n", []), (f"Bearer {SECRET}\n", []), (f"{SECRET} x\n", [])):
            parsed = _parser().parse_args(["login", "--url", server.url, *more])
            monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
            with pytest.raises(CelonisFramesError) as caught:
                parsed.run(parsed, Output())
            everything.add_error(caught.value)
    finally:
        server.close()
    everything.check()
