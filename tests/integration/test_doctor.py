"""The doctor: on healthy and broken set-ups, and on pools that behave in every way there is."""

from __future__ import annotations

import dataclasses
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import trustme
from unit.conftest import Server

from celonis_frames import ApiKey, AppKey, Celonis, IngestionKeys, OAuth2, local
from celonis_frames._auth import environment
from celonis_frames._auth.environment import Settings
from celonis_frames._cli.main import main
from celonis_frames._doctor import scratch
from celonis_frames._doctor.examination import Way, examine
from celonis_frames._doctor.report import DoctorReport
from celonis_frames._doctor.trial import PROBES
from celonis_frames._http.transport import Timeouts
from celonis_frames._push.known_pools import known_pools
from celonis_frames.local import Assumptions

CORE = "k4nary"
WAY = Way(timeouts=Timeouts(connect=2.0, read=10.0))


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *environment.NAMES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY",
        "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


pytestmark = pytest.mark.usefixtures("impatient")


def _examine(url: str, auth: Any = None, pool: str | None = None, **more: Any) -> DoctorReport:
    keys = more.pop("ingestion", None)
    settings = Settings(url, auth or ApiKey(f"key-{CORE}"), keys, source="a test")
    return examine(lambda: settings, pool, way=more.pop("way", WAY), **more)


def _levels(report: DoctorReport) -> dict[str, str]:
    return {one.check: one.level for one in report.findings}


def _only_error(report: DoctorReport) -> Any:
    """The one finding that is an error."""
    errors = [one for one in report.findings if one.level == "error"]
    assert len(errors) == 1, report.text()
    assert errors[0].advice
    assert errors[0].who
    assert not report.ok
    assert CORE not in report.text() + json.dumps(report.to_dict())
    assert all(len(line) <= 80 for line in report.text().splitlines()), report.text()
    return errors[0]


@pytest.fixture
def scripted() -> Iterator[Server]:
    """A server that responds as a test sets it."""
    running = Server()
    yield running
    running.close()


# What is healthy.


def test_nothing_is_wrong_with_a_healthy_set_up(own: Any) -> None:
    """Every check has a finding; nothing was written."""
    own.add_pool("P")
    with Celonis(own.url, auth=AppKey(own.app_key), ingestion=own.ingestion("P", {})) as connection:
        report = connection.doctor("P")
    assert report.ok
    assert _levels(report) == dict.fromkeys(
        ("settings", "address", "server", "clock", "key", "pool", "permissions", "ingestion keys",
         "limits", "versions"), "ok",
    )  # fmt: skip
    assert repr(report) == report.text()
    assert "Nothing is wrong." in report._repr_html_()
    assert own.jobs == []
    assert own.objects == []


@pytest.mark.parametrize(
    ("scopes", "pool", "levels"),
    [
        ("integration.data-pools", "P", {"scopes": "ok", "permissions": "ok"}),
        ("integration.data-pools:data_push", None, {"scopes": "info", "pool": "skipped"}),
        ("integration.data-pools:data_push", "P", {"scopes": "info", "pool": "error"}),
        ("integration.data-pools:data_push", "id", {"pool": "info", "permissions": "info"}),
        ("integration.data-pools:read", "P", {"scopes": "error", "permissions": "error"}),
        ("integration.nothing", "P", {"scopes": "error"}),
    ],
)
def test_what_the_scopes_of_a_client_allow(
    own: Any, scopes: str, pool: str | None, levels: dict[str, str]
) -> None:
    """A client that may only push is healthy, if the pool is given by its id."""
    pool_id = own.add_pool("P")
    given = pool_id if pool == "id" else pool
    report = _examine(own.url, OAuth2(*own.oauth_client, scopes=scopes), given)
    assert _levels(report).items() >= levels.items(), report.text()
    first = next((check for check, level in levels.items() if level == "error"), None)
    assert report.exit_code == {None: 0, "scopes": 5, "pool": 2}[first]


# What is broken, each with the finding that a user needs.


def test_a_wrong_address() -> None:
    """Nothing listens there."""
    free_port = _closed_port()
    found = _only_error(_examine(f"http://127.0.0.1:{free_port}"))
    assert (found.check, found.who) == ("server", "you")
    assert "refused the connection" in found.text
    assert str(free_port) in found.advice


def test_an_address_of_something_else(scripted: Any) -> None:
    """A login page responds, as on a company's network."""
    scripted.answers = [(200, {"Content-Type": "text/html"}, b"<html>Log in</html>")]
    found = _only_error(_examine(scripted.url))
    assert (found.check, found.who) == ("server", "you")
    assert "web page" in found.text
    assert len(scripted.seen) == 1
    assert "authorization" not in scripted.seen[0].headers


def test_no_address_at_all() -> None:
    """The environment is empty."""
    found = _only_error(examine(environment.read_environment))
    assert (found.check, found.who) == ("settings", "you")
    assert "CELONIS_URL and CELONIS_API_TOKEN are not set" in found.text


def test_a_name_that_does_not_exist() -> None:
    """The name server does not know it."""
    found = _only_error(_examine("https://no-such-team.invalid"))
    assert (found.check, found.who) == ("DNS", "you")
    assert "no-such-team.invalid" in found.text


class _Served:
    """A server in a thread of its own.

    Args:
        handler: Responds to its requests.
        context: Makes it a TLS server.
    """

    def __init__(self, handler: Any, context: ssl.SSLContext | None = None) -> None:
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if context is not None:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            self._http.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Tls(_Served):
    """A TLS server with a certificate of an authority that nobody trusts."""

    def __init__(self, authority: trustme.CA, *names: str) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(context)
        super().__init__(Handler, context)
        self.url = f"https://127.0.0.1:{self.port}"


@pytest.fixture
def tls() -> Iterator[Callable[..., _Tls]]:
    """Starts TLS servers."""
    started: list[_Tls] = []

    def start(authority: trustme.CA, *names: str) -> _Tls:
        started.append(_Tls(authority, *names))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.parametrize("name", ["127.0.0.1", "other.example"])
def test_a_certificate_that_is_not_trusted(
    tls: Callable[..., _Tls], name: str, tmp_path: Path
) -> None:
    """Of an unknown authority, as behind a company's proxy, or of another host."""
    authority = trustme.CA()
    server = tls(authority, name)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trusting = dataclasses.replace(WAY, verify=str(tmp_path / "ca.pem"))
    # A certificate of another host is none of a device that can be trusted.
    found = _only_error(_examine(server.url, way=WAY if name == "127.0.0.1" else trusting))
    assert (found.check, found.who) == ("TLS", "your network people")
    assert "certificate" in found.text
    assert ("REQUESTS_CA_BUNDLE" in found.advice) is (name == "127.0.0.1")
    if name == "127.0.0.1":
        report = _examine(server.url, way=trusting)
        assert _levels(report)["TLS"] == "ok"
        assert _levels(report)["key"] == "error"


@pytest.mark.parametrize("given", ["ApiKey", "AppKey"])
def test_a_key_of_the_wrong_kind(own: Any, given: str) -> None:
    """It is tried as the other one, which looks alike."""
    auth: Any = ApiKey(own.app_key) if given == "ApiKey" else AppKey(own.token)
    report = _examine(own.url, auth)
    found = _only_error(report)
    assert (found.check, found.who, report.exit_code) == ("key", "you", 5)
    assert "CELONIS_KEY_TYPE" in found.advice
    assert ("but it is an application key" in found.text) is (given == "ApiKey")
    assert own.token not in report.text()
    assert own.app_key not in report.text()


def test_a_key_that_nobody_knows(own: Any) -> None:
    """Neither as the one kind nor as the other."""
    found = _only_error(_examine(own.url))
    assert (found.check, found.who) == ("key", "you")


def test_a_key_without_permission(own: Any) -> None:
    """It is valid, but may not push into the pool."""
    own.add_pool("P")
    own.faults.answer("jobs", 403, times=None)
    report = _examine(own.url, ApiKey(own.token), "P", write=True)
    found = _only_error(report)
    assert (found.check, found.who, report.exit_code) == ("permissions", "your team's admin", 5)
    assert "Data Push API" in found.advice
    assert report.findings[-1].text == "Nothing was written, because of the errors above."
    assert own.jobs == []


def test_a_pool_that_is_not_there() -> None:
    """The nearest names are said."""
    with local.start(limits=False, strict_pools=True) as own:
        own.add_pool("Purchasing")
        report = _examine(own.url, ApiKey(own.token), "Purchasin")
    found = _only_error(report)
    assert (found.check, found.who, report.exit_code) == ("pool", "you", 2)
    assert "Purchasing" in found.text


@pytest.mark.parametrize(("hours", "side"), [(2, "behind"), (-2, "ahead of")])
@pytest.mark.parametrize("signs", [True, False])
def test_a_clock_that_is_wrong(scripted: Any, hours: int, side: str, signs: bool) -> None:
    """With ingestion keys nothing works then; without, it is a warning."""

    def answer(handler: Any) -> None:
        body = b"[]"
        handler.send_response_only(200)
        handler.send_header("Date", formatdate(time.time() + hours * 3600, usegmt=True))
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    scripted.say(answer)
    keys = IngestionKeys("c", "a", "s", "b", "r") if signs else None
    report = _examine(scripted.url, ingestion=keys)
    found = next(one for one in report.findings if one.check == "clock")
    assert found.level == ("error" if signs else "warning")
    assert f"2 hours {side} the server's" in found.text.replace("120 minutes", "2 hours")
    assert found.who == "you"
    assert report.exit_code == (4 if signs else 0)


class _Proxy(_Served):
    """A proxy that responds to everything with a status."""

    def __init__(self, status: int) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)


@pytest.mark.parametrize("status", [403, 407, 503, None])
def test_a_proxy_that_refuses(status: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """It forbids the host, asks for a password, is overloaded, or is not there."""
    proxy = _Proxy(status) if status is not None else None
    port = proxy.port if proxy is not None else _closed_port()
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{CORE}@127.0.0.1:{port}")
    try:
        report = _examine("https://myteam.eu-1.celonis.cloud")
    finally:
        if proxy is not None:
            proxy.close()
    found = _only_error(report)
    assert (found.check, found.who, report.exit_code) == ("proxy", "your network people", 4)
    assert "HTTPS_PROXY" in found.advice
    assert _levels(report)["DNS"] == "skipped"


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("wrong", ["access_key", "secret_key", "bucket", "region"])
def test_ingestion_keys_that_are_wrong(own: Any, wrong: str) -> None:
    """Nothing is stored to find that out."""
    keys = own.ingestion("P", {"T": {}})
    values = {
        "connection": keys.connection, "access_key": keys.access_key, "bucket": keys.bucket,
        "secret_key": keys.secret_key, "region": keys.region,
    }  # fmt: skip
    report = _examine(own.url, ApiKey(own.token), ingestion=IngestionKeys(**values | {wrong: "x"}))
    found = _only_error(report)
    assert (found.check, found.who) == ("ingestion keys", "you")
    assert " ".join(report.text().split()).count("Data Connections") == 1
    assert keys.secret_key.reveal() not in report.text()
    assert own.objects == []


def test_a_pool_that_its_first_job_would_create(own: Any) -> None:
    """A name that is almost that of another pool is a warning, and no praise."""
    own.add_pool("Einkauf")
    report = _examine(own.url, ApiKey(own.token), "Einkuf")
    assert _levels(report)["pool"] == "warning"
    assert "Did you mean 'Einkauf'?" in report.text()
    assert report.text().splitlines()[-1] == "1 warning."
    assert _levels(_examine(own.url, ApiKey(own.token), "Other"))["pool"] == "info"


# What a pool accepts.

DIFFERENT = Assumptions(
    codecs=frozenset({"none", "snappy", "zstd", "gzip", "lz4", "brotli"}),
    timestamps=frozenset({"int96", "us", "ns"}), dates=True, decimals=True, page_v2=True,
    max_length=16_250, checksum="md5", informational=102, cancel_ended="accept",
    cancel_response="empty", delete_status=200, late_chunks="ignore", second_executions="ignore",
    no_chunks="done", empty_chunks="reject", duplicate_keys="first", null_keys="error",
    missing_columns="error", new_columns="error", unchanged_metadata="add",
    changed_types="convert", declared_types="error", order="deletes_first",
    failing_jobs="partial", delta_lengths="grow", sent_change_dates="ignore",
    csv_quoted_empty="null", csv_undeclared="error", precision="ms", shown_types="own",
    shown_lengths="characters",
)  # fmt: skip
"""Another decision wherever there is one, but for numbers of rows, by which much is seen."""

FACES: dict[str, Assumptions | None] = {
    "strict": Assumptions(),
    "lenient": None,
    "different": DIFFERENT,
    "different, without numbers of rows": dataclasses.replace(DIFFERENT, row_counts=False),
}
BY_ROWS = {
    "duplicate_keys", "order", "failing_jobs", "csv_quoted_empty", "precision",
}  # fmt: skip
"""What shows by numbers of rows only."""


def _expected(name: str, setting: str, assumed: Assumptions) -> set[str]:
    """What a trial must see of a server with these assumptions."""
    value = getattr(assumed, setting)
    last = name.rsplit(maxsplit=1)[-1]
    if setting in ("codecs", "timestamps"):
        return {"accepted" if last in value else "rejected"}
    if setting in ("dates", "decimals", "page_v2"):
        return {"accepted" if value else "rejected"}
    if setting == "max_length":
        longest = 65_000 if "65" in name else 16_251
        return {"accepted" if longest <= value else "rejected"}
    if setting == "row_counts":
        return {"yes" if value else "no"}
    if setting == "no_chunks" and value == "error":
        return {"error"}
    return {str(value).lower()}


def test_every_decision_differs() -> None:
    """The different face differs from the strict one in each setting that a probe is about."""
    strict = Assumptions()
    settings = {probe.setting for probe in PROBES} - {""}
    assert {
        one.name for one in dataclasses.fields(Assumptions) if one.name != "other_types"
    } == settings
    same = [one for one in settings if getattr(DIFFERENT, one) == getattr(strict, one)]
    assert same == ["row_counts"]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("face", FACES)
def test_what_a_pool_does_is_seen(face: str, tmp_path: Path) -> None:
    """Each behaviour as the server has it, or unknown where it cannot be seen; never wrongly."""
    assumed = FACES[face]
    start: dict[str, Any] = {"lenient": True} if assumed is None else {"assumptions": assumed}
    with local.start(limits=False, **start) as own:
        own.add_pool("P")
        with Celonis(own.url, auth=ApiKey(own.token)) as connection:
            report = connection.doctor("P", write=True)
            assert report.ok, report.text()
            assumed = own._state.assumptions
            seen = {one.name: one for one in report.observations}
            assert len(seen) == len(PROBES)
            wrong = {}
            for probe in PROBES:
                one = seen[probe.name]
                expected = (
                    {"accepted"}
                    if not probe.setting
                    else _expected(probe.name, probe.setting, assumed)
                )
                if not assumed.row_counts and probe.setting in BY_ROWS:
                    expected = {"unknown"}
                if one.value not in expected:
                    wrong[probe.name] = (one, expected)
            assert wrong == {}
            # The table is empty again, no job is left, and nothing else was touched.
            tables = connection.tables("P")
            assert [one.name for one in tables] == [scratch.TABLE]
            assert own.table("P", scratch.TABLE).num_rows == 0
            assert own.jobs == []
            # A push without compression= goes by it from now on.
            codecs = known_pools(own.url)[own._catalog.pool("P")["id"]].codecs
            assert codecs == {
                name: name in assumed.codecs
                for name in ("none", "snappy", "zstd", "gzip", "lz4", "brotli")
            }
            own.faults.clear()
            if assumed.max_length > 16_250:  # a push declares a longer fallback
                assert connection.push(pa.table({"A": [1]}), "P", "T").ok
    paths = report.write(tmp_path)
    assert [path.name for path in paths] == ["celonis-doctor.json", "celonis-doctor.txt"]
    assert json.loads(paths[0].read_text())["observations"]
    assert ("≠" in report.text()) is (face != "strict")


def test_a_table_of_somebody_is_left_alone(own: Any) -> None:
    """It has the name of the scratch table, and other columns."""
    with Celonis(own.url, auth=ApiKey(own.token)) as connection:
        connection.push(pa.table({"MINE": [1]}), "P", scratch.TABLE)
        report = connection.doctor("P", write=True)
    found = _only_error(report)
    assert (found.check, report.exit_code) == ("trial", 1)
    assert "with other columns" in found.text
    assert own.table("P", scratch.TABLE).to_pydict() == {"MINE": [1]}


def test_a_trial_that_breaks_off_says_so(own: Any) -> None:
    """The table is emptied all the same, and what was seen until then is in the report."""
    own.add_pool("P")
    own.faults.answer("chunks", 500, times=None)
    report = _examine(own.url, ApiKey(own.token), "P", write=True)
    found = _only_error(report)
    assert (found.check, report.exit_code) == ("trial", 1)
    assert found.facts["emptied"] is True
    assert 0 < len(report.observations) < len(PROBES)
    assert own.table("P", scratch.TABLE).num_rows == 0


def test_a_pool_whose_jobs_fail_is_said(own: Any) -> None:
    """Not even a certain file is taken: there is nothing to try."""
    own.add_pool("P")
    own.faults.fail_jobs("disk full", times=9)
    report = _examine(own.url, ApiKey(own.token), "P", write=True)
    assert "disk full" in _only_error(report).text
    assert report.observations == ()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_trial_empties_its_table(own: Any, kind: type[BaseException]) -> None:
    """Ctrl-C in the midst of it leaves no row, and no job that could still be executed."""
    own.add_pool("P")

    def interrupt(what: str) -> None:
        if what == "codec none":
            raise kind

    with pytest.raises(kind):
        _examine(own.url, ApiKey(own.token), "P", write=True, announce=interrupt)
    assert own.table("P", scratch.TABLE).num_rows == 0
    assert own.jobs == []
    assert known_pools(own.url) == {}


# The command.


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(["doctor", *arguments])
    except SystemExit as end:
        status = int(end.code or 0)
    return (status, *capsys.readouterr())


def test_the_command(
    own: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its exit status says what is wrong; its files are written where they are wanted."""
    status, out, _ = _run(capsys)
    assert status == 2
    assert "CELONIS_URL" in out
    monkeypatch.setenv("CELONIS_URL", own.url)
    monkeypatch.setenv("CELONIS_API_TOKEN", own.token)
    own.add_pool("P")
    status, out, _ = _run(capsys, "--pool", "P")
    assert (status, out.splitlines()[-1]) == (0, "Nothing is wrong.")
    status, out, _ = _run(capsys, "--pool", "P", "--json")
    assert (status, json.loads(out)["ok"], json.loads(out)["exit_code"]) == (0, True, 0)
    assert _run(capsys, "--write")[0] != 0
    assert _run(capsys, "--write", "--pool", "P", "--report", str(tmp_path / "none"))[0] != 0
    assert own.jobs == []
    monkeypatch.setattr("celonis_frames._doctor.trial.PROBES", PROBES[:12])  # that will do here
    status, out, err = _run(capsys, "--pool", "P", "--write", "--report", str(tmp_path))
    assert status == 0
    assert f"Writing into the table {scratch.TABLE} of P." in err
    assert str(tmp_path / "celonis-doctor.json") in err
    assert own.token not in out + err + (tmp_path / "celonis-doctor.json").read_text()
    monkeypatch.setenv("CELONIS_API_TOKEN", "wrong")
    assert _run(capsys, "--pool", "P")[0] == 5
    monkeypatch.setenv("CELONIS_URL", "local")
    monkeypatch.delenv("CELONIS_API_TOKEN")
    assert _run(capsys)[0] == 0


def test_the_command_in_its_own_words(
    own: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Findings name options, not functions, also where a line ends; lines have 80 columns."""
    _, out, _ = _run(capsys)
    text = " ".join(out.split())
    assert "login. Without a Celonis team: set CELONIS_URL=local." in text
    assert "celonis_frames.connect" not in text
    assert max(map(len, out.splitlines())) <= 80
    monkeypatch.setenv("CELONIS_URL", own.url)
    monkeypatch.setenv("CELONIS_API_TOKEN", own.token)
    own.add_pool("P")
    own.faults.answer("tables", 403, times=None)
    _, out, _ = _run(capsys, "--pool", "P")
    assert "list tables (for --schema-mode, --verify, and plans" in " ".join(out.split())


def test_the_files_do_not_name_the_team(tmp_path: Path) -> None:
    """Nor the home folder of the user."""
    report = _examine("https://secret-company.eu-1.celonis.cloud", way=Way(timeouts=Timeouts(1, 1)))
    assert "secret-company" in report.text()
    for path in report.write(tmp_path):
        text = path.read_text()
        assert "secret-company" not in text
        assert "TEAM.eu-1.celonis.cloud" in text
