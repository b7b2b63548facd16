"""Each command of the command line: its help, its JSON, and that it says nothing with --quiet."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import exit_status

from celonis_frames import ApiKey, Celonis, local
from celonis_frames._cli.exit_status import ExitStatus

Result = tuple[int, str, str]
Run = Callable[..., Result]

SCRIPT = Path(sys.executable).with_name("celonis-frames")
PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path) -> Run:  # fmt: skip
    """A function that runs a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    return lambda *arguments: (exit_status(*arguments), *capsys.readouterr())


@pytest.fixture
def connected(run: Run, own: local.LocalCelonis, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same, connected to a local Celonis of the test's own, with a file to push."""
    monkeypatch.setenv("CELONIS_URL", own.url)
    monkeypatch.setenv("CELONIS_API_TOKEN", own.token)
    Path("x.csv").write_text("K,V\n1,a\n2,b\n")
    return run


PUSH = ("push", "x.csv", "--pool", "P", "--table", "T", "--keys", "K")


def _commands(run: Run) -> list[str]:
    return re.findall(r"^    ([a-z][\w-]*) ", run("--help")[1], re.MULTILINE)


def test_each_help_fits_and_has_an_example(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns; each command has --json and --quiet."""
    monkeypatch.setenv("COLUMNS", "80")
    commands = _commands(run)
    assert len(commands) > 20
    for command in commands:
        status, out, _ = run(command, "--help")
        assert (status, [line for line in out.splitlines() if len(line) > 81]) == (0, []), command
        assert re.search(rf"^example:\n  .*celonis-frames {command}", out, re.MULTILINE), command
        assert "--json" in out, command
        assert "--quiet" in out, command


def test_the_documentation_has_every_command(run: Run) -> None:
    """With an example, and a line on its JSON."""
    documented = re.findall(r"^\| ((?:`[\w-]+`(?:, )?)+) \| (?:object|array)", PAGE, re.MULTILINE)
    with_json = set(re.findall(r"[\w-]+", " ".join(documented)))
    commands = set(_commands(run))
    assert with_json == commands
    for command in commands:
        assert re.search(rf"celonis-frames {command}\b|`{command}`", PAGE), command


def _fields(command: str) -> set[str]:
    """The fields of a command's JSON by the documentation."""
    pattern = rf"\| .*`{command}`.* \| (?:object|array)"
    line = next(line for line in PAGE.splitlines() if re.match(pattern, line))
    return set(re.findall(r"`(\w+)`", line.split("|")[2].partition(";")[0]))


def _json(result: Result) -> Any:
    status, out, err = result
    assert status == 0, err
    return json.loads(out)


def test_the_json_of_each_command_is_as_documented(
    connected: Run, own: local.LocalCelonis, tmp_path: Path
) -> None:
    """Its fields, no more and no less."""
    own.add_connection("P", "SAP")
    stage = str(tmp_path / "stages")
    pushed = _json(connected(*PUSH, "--json", "--staging", stage, "--push-id", "x"))
    assert set(pushed) == _fields("push")
    job = str(pushed["job_id"])
    own.add_data_model("P", "M", ["T"])
    own.add_data_job("P", "J", "SELECT 1")
    lists: dict[str, tuple[str, ...]] = {
        "pools": ("pools",), "connections": ("connections", "P"), "tables": ("tables", "P"),
        "columns": ("columns", "P", "T"), "models": ("models", "P"),
        "data-jobs": ("data-jobs", "P"), "receipts": ("receipts", stage),
    }  # fmt: skip
    for command, arguments in lists.items():
        [first, *_] = _json(connected(*arguments, "--json"))
        assert set(first) == _fields(command), command
    objects: dict[str, tuple[str, ...]] = {
        "job": ("job", "P", job[:8]), "reload": ("reload", "P", "M"),
        "run-job": ("run-job", "P", "J"), "whoami": ("whoami",),
        "plan": ("plan", "x.csv", "--pool", "P", "--table", "T", "--keys", "K"),
    }  # fmt: skip
    for command, arguments in objects.items():
        assert set(_json(connected(*arguments, "--json"))) == _fields(command), command
    assert set(_json(connected("jobs", "P", "--json"))[0]) == _fields("job")
    gone = ("delete", "x.csv", "--pool", "P", "--table", "T", "--keys", "K", "--json")
    assert set(_json(connected(*gone))) == _fields("delete")
    assert _json(connected("receipts", stage, "--prune", "0", "--json")) == {"removed": 1}
    assert "pyarrow" in _json(connected("show-versions", "--json"))


def test_an_error_is_json_too(connected: Run) -> None:
    """One document on stdout, and the text on stderr."""
    status, out, err = connected("jobs", "Nope", "--json")
    error = json.loads(out)["error"]
    assert (status, error["type"], error["exit_status"]) == (2, "NotFound", 2)
    assert error["message"] in err
    status, out, _ = connected(*PUSH, "--on-bad", "nope", "--json")
    assert (status, json.loads(out)["error"]["type"]) == (2, "ConfigError")
    status, out, _ = connected(*PUSH[:-2], "--keys", "Z", "--json")
    assert (status, json.loads(out)["error"]["parameter"]) == (2, "keys")


@pytest.mark.parametrize("command", ["receipts", "resume"])
def test_a_url_is_shown_without_its_password(connected: Run, command: str) -> None:
    """Also where nothing is there."""
    _, out, err = connected(command, "memory://user:hunter2@none/x")
    assert "memory://none/x" in out + err
    assert "hunter2" not in out + err


def test_quiet_says_nothing_of_what_succeeds(connected: Run) -> None:
    """But what was asked for."""
    Path("x.csv").write_text("K,V\n1,01\n")
    assert connected(*PUSH, "--quiet") == (0, "", "")
    assert connected("models", "P", "--quiet") == (0, "", "")
    assert connected("tables", "P", "--quiet")[1].startswith("TABLE")
    assert "'V' is sent as text" in connected(*PUSH, "--mode", "replace")[2]


def test_jobs_show_time_and_rows_and_are_named_by_their_start(connected: Run) -> None:
    """An id that begins several jobs, or none, is an error."""
    assert connected(*PUSH)[0] == 0
    _, out, _ = connected("jobs", "P")
    pattern = r"^([\da-f]{8})  DONE +DELTA +2  \d{4}-\d\d-\d\d \d\d:\d\d  T$"
    [row] = re.findall(pattern, out, re.MULTILINE)
    status, out, _ = connected("job", "P", row)
    assert (status, "Job finished" in out) == (0, True)
    assert connected("delete", *PUSH[1:])[0] == 0
    _, out, _ = connected("jobs", "P")
    [row] = re.findall(r"(\w+) +DONE +DELETE +2  ", out)
    assert "T (DELETE) · 2 rows deleted" in connected("job", "P", row)[1]
    assert [one["mode"] for one in _json(connected("jobs", "P", "--json"))] == ["DELETE", "DELTA"]
    status, _, err = connected("job", "P", "zz")
    assert (status, "no job whose id begins with 'zz'" in err) == (2, True)
    assert connected(*PUSH)[0] == 0
    status, _, err = connected("job", "P", "")
    assert (status, "3 jobs have ids that begin with ''" in err) == (2, True)
    status, _, err = connected("cancel", "P", row)
    assert (status, "has already ended (DONE)" in err) == (2, True)


def test_rows_sent_and_rows_loaded(connected: Run) -> None:
    """They differ where one of several rows with the same key is kept."""
    Path("x.csv").write_text("K,V\n1,a\n1,b\n2,c\n")
    status, out, err = connected(*PUSH, "--deduplicate-by", "V")
    assert (status, "· 3 rows sent, 2 loaded ·" in out) == (0, True), out + err


VALUES = {
    "--pool": "P", "--table": "T", "--keys": "K", "--timeout": "60", "--format": "csv",
    "--read-option": "n_rows=1", "--mode": "DELTA", "--column": "V=40", "--rename": "K=K",
    "--schema-mode": "align", "--missing-columns": "null", "--deduplicate-by": "K",
    "--order-by": "K", "--verify": "schema", "--reload": "M", "--nested": "json", "--binary": "hex",
    "--infinity": "null", "--times": "local", "--on-bad": "null", "--via": "push",
    "--staging": "stages", "--storage-option": "a=b", "--push-id": "x", "--pseudonymise": "V",
    "--file-type": "CSV", "--compression": "zstd", "--chunk-bytes": "1 MB", "--workers": "2",
    "--repeat": "never", "--job-option": "a=b", "--connection": "SAP", "--profile": "p",
    "--tables": "T", "--prune": "90", "--url": "https://x.eu-1.celonis.cloud", "--report": ".",
    "--kind": "api-key", "--client-id": "c", "--scopes": "s", "--method": "basic",
    "--bucket": "b", "--region": "r", "--store": "file",
}  # fmt: skip
"""A value for each option of the command line."""
CALLS = {
    "push": PUSH, "plan": ("plan", *PUSH[1:]), "delete": ("delete", *PUSH[1:]),
    "resume": ("resume", "stages"), "receipts": ("receipts", "stages"),
    "connections": ("connections", "P"), "tables": ("tables", "P"), "models": ("models", "P"),
    "columns": ("columns", "P", "T"), "jobs": ("jobs", "P"), "job": ("job", "P", "0"),
    "cancel": ("cancel", "P", "0"), "reload": ("reload", "P", "M"), "data-jobs": ("data-jobs", "P"),
    "run-job": ("run-job", "P", "J"),
}  # fmt: skip


def test_each_option_of_each_command_can_be_given(
    connected: Run, own: local.LocalCelonis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be wrong for this call, which is then said; it never is an unexpected error."""
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path.cwd()))
    monkeypatch.setenv("CELONIS_PSEUDONYM_KEY", "key")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert connected(*PUSH)[0] == 0
    own.add_connection("P", "SAP")
    own.add_data_model("P", "M", ["T"])
    own.add_data_job("P", "J", "SELECT 1")
    for command in set(_commands(connected)) - {"serve", "demo", "doctor"}:
        call = CALLS.get(command, (command,))
        out = connected(command, "--help")[1]
        for name, metavar in re.findall(r"^  (?:-h, )?(--[a-z-]+)( [A-Z{])?", out, re.MULTILINE):
            if name != "--help":
                status, _, err = connected(*call, name, *([VALUES[name]] if metavar else []))
                assert status != ExitStatus.UNEXPECTED, (command, name, err)
                assert "Traceback" not in err, (command, name)
                assert "unrecognized" not in err, (command, name)


@pytest.mark.parametrize(
    ("arguments", "words", "usage"),
    [
        ((*PUSH[:-2], "--tabel", "N"), "celonis-frames push has no option --tabel. Did you mean "
         "'--table'", "celonis-frames push FILE"),
        (("push", "x.csv", "--pool", "P", "--tabel=N"), "Did you mean '--table'", "push FILE"),
        (("push", "x.csv", "--table", "N"), "required: --pool", "--pool POOL --table TABLE"),
        (("delete", *PUSH[1:-2]), "required: --keys", "--table TABLE --keys KEYS"),
        ((*PUSH, "--timeout", "abc"), "--timeout: invalid", "celonis-frames push"),
        ((*PUSH, "--workers", "x"), "--workers: invalid", "celonis-frames push"),
        (("pools", "extra"), "unrecognized arguments: extra", "celonis-frames pools"),
        (("pushh", "x.csv"), "'pushh' is no command. Did you mean 'push'?", "COMMAND"),
        (("nothing-like-it",), "'nothing-like-it' is no command. celonis-frames --help", "COMMAND"),
        ((), "required: COMMAND", "COMMAND"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_an_error_with_the_usage_of_its_command(
    run: Run, arguments: tuple[str, ...], words: str, usage: str
) -> None:
    """Of a few lines; with --json it is one document."""
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert usage in err.partition("usage: ")[2]
    assert max(map(len, err.splitlines())) < 130
    status, out, json_err = run(*arguments, "--json")
    error = json.loads(out)["error"]
    assert (status, error["exit_status"], json_err) == (2, 2, err)
    assert words in error["message"]


def test_the_time_limit_holds_for_reading(connected: Run, own: local.LocalCelonis) -> None:
    """Finding the types of a CSV counts, in --timeout and in the seconds that are shown."""
    rows = "".join(f"{number}.5,2024-01-01T00:00:00,x\n" for number in range(200_000))
    Path("big.csv").write_text("K,T,V\n" + rows)
    call = ("big.csv", "--pool", "P", "--table", "T")
    for command in (("push",), ("plan",), ("delete", "--keys", "K")):
        status, out, err = connected(*command, *call, "--timeout", "0.01", "--json")
        assert (status, "passed while the files were read" in err) == (4, True), err
        assert json.loads(out)["error"]["type"] == "JobTimeout"
    assert own.jobs == []
    timings = _json(connected("push", *call, "--timeout", "60", "--json"))["timings"]
    assert next(iter(timings)) == "read"
    assert timings["total"] > timings["read"] > 0


def test_names_that_are_not_there(connected: Run) -> None:
    """Each is a usage error that says what to do."""
    assert connected(*PUSH)[0] == 0
    for arguments, words in (
        (("columns", "P", "TT"), "no table 'TT'. Did you mean 'T'?"),
        (("columns", "P", "T", "--connection", "X"), "'X'"),
        (("reload", "P", "X"), "no data model 'X' in the pool 'P' at"),
        (("run-job", "P", "X"), "no data job 'X' in the pool 'P' at"),
        ((*PUSH, "--connection", "X"), "no data connection 'X' in the pool 'P' at"),
        (("resume", "nowhere"), "Nothing is staged at 'nowhere': there is no such folder"),
        ((*PUSH[:4], "--table", ""), "ConfigError: The table has an empty name"),
        (("whoami", "--profile", "nobody"), "nobody"),
    ):
        status, _, err = connected(*arguments)
        assert (status, words in err) == (2, True), (arguments, err)


def test_a_wrong_key_and_a_slow_server(
    connected: Run, own: local.LocalCelonis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 for the key; 4 if the time is up before anything was executed, 7 if the job goes on."""
    own.faults.delay("pools", 30)
    status, _, err = connected("pools", "--timeout", "0.3")
    assert status == ExitStatus.RETRY, err
    status, _, err = connected(*PUSH, "--timeout", "0.3")
    assert (status, "nothing was executed" in err) == (ExitStatus.RETRY, True), err
    own.faults.clear()
    assert connected(*PUSH)[0] == 0
    own.faults.slow_jobs(running=60)
    status, _, err = connected(*PUSH, "--timeout", "3")
    assert status == ExitStatus.UNKNOWN, err
    assert "continues on the server" in err
    monkeypatch.setenv("CELONIS_API_TOKEN", "wrong")
    status, _, err = connected("tables", "P")
    assert status == ExitStatus.KEY, err


def test_a_job_whose_polling_is_rejected_is_unknown(
    connected: Run, own: local.LocalCelonis
) -> None:
    """A key that is withdrawn while the job runs: 7, not 5, since the job goes on."""
    own.faults.answer("job", 403, times=None)
    status, _, err = connected(*PUSH)
    assert status == ExitStatus.UNKNOWN, err
    assert "was submitted and continues on the server" in err


def test_an_unexpected_error_asks_for_a_report(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the traceback, and 1."""

    def broken() -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("celonis_frames._cli.commands.about.versions", broken)
    status, out, err = run("show-versions", "--json")
    assert (status, "Traceback" in err, "show-versions" in err) == (1, True, True)
    assert json.loads(out)["error"]["type"] == "RuntimeError"


def _in_terminal(own: local.LocalCelonis, folder: Path, *arguments: str) -> str:
    """What the script itself shows in a pseudo-terminal."""
    environment = os.environ | {
        "CELONIS_URL": own.url, "CELONIS_API_TOKEN": own.token, "COLUMNS": "80", "LINES": "24",
    }  # fmt: skip
    main_end, terminal = pty.openpty()
    with subprocess.Popen([str(SCRIPT), *arguments], stdout=terminal, stderr=terminal,
                          env=environment, cwd=folder) as process:  # fmt: skip
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(main_end, 10_000)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        process.wait()
    os.close(main_end)
    return shown.decode()


def test_a_terminal_of_80_columns(own: local.LocalCelonis, tmp_path: Path) -> None:
    """Tables are cut to it and lines wrapped."""
    with Celonis(own.url, auth=ApiKey(own.token)) as celonis:
        import polars as pl  # noqa: PLC0415  # here only

        celonis.push(pl.DataFrame({"K": [1]}), "P", "T" * 100, progress=False)
    for arguments in (("tables", "P"), ("jobs", "P"), ("columns", "P", "nothing of the kind")):
        lines = _in_terminal(own, tmp_path, *arguments).splitlines()
        assert lines
        assert max(map(len, lines)) <= 80, lines


def test_a_terminal_shows_that_files_are_read(own: local.LocalCelonis, tmp_path: Path) -> None:
    """Before the push begins, which shows its own stages."""
    (tmp_path / "x.csv").write_text("K\n1\n")
    shown = _in_terminal(own, tmp_path, "push", "x.csv", "--pool", "P", "--table", "T")
    assert 0 <= shown.find("T: reading") < shown.find("DONE")
    quiet = ("push", "x.csv", "--pool", "P", "--table", "T", "--quiet")
    assert _in_terminal(own, tmp_path, *quiet) == ""


def test_serve_with_a_token_of_its_own(tmp_path: Path) -> None:
    """--json is one document; the same file keeps its key; --host is where it listens."""
    file = tmp_path / "served.duckdb"
    tokens = []
    for options in ((), (), ("--token", "given-token")):
        with subprocess.Popen(
            [str(SCRIPT), "serve", str(file), "--port", "0", "--host", "localhost", "--json",
             "--strict-pools", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            try:
                assert process.stdout
                text = ""
                while not text.endswith("}\n"):
                    text += process.stdout.readline()
                found = json.loads(text)
                assert set(found) == _fields("serve")
                tokens.append(found["token"])
                with Celonis(found["url"], auth=ApiKey(found["token"])) as celonis:
                    assert celonis.pools() == []
            finally:
                process.terminate()
                process.communicate(timeout=30)
    assert tokens[0] == tokens[1] != tokens[2] == "given-token"


def test_an_interrupted_push_is_resumed(
    connected: Run, own: local.LocalCelonis, tmp_path: Path
) -> None:
    """From its stage, without the files; the JSON is a list of statuses."""
    stage = str(tmp_path / "stages")
    own.faults.answer("create", 403, times=None)
    status, _, err = connected(*PUSH, "--staging", stage)
    assert (status, "celonis-frames resume STAGING" in err) == (ExitStatus.KEY, True), err
    own.faults.clear()
    Path("x.csv").unlink()
    [resumed] = _json(connected("resume", stage, "--json"))
    assert (resumed["state"], set(resumed)) == ("DONE", _fields("job"))
    assert own.table("P", "T").num_rows == 2
    # At the start of the next night there is nothing to do.
    assert _json(connected("resume", stage, "--json")) == []
    status, out, err = connected("resume", stage)
    assert (status, f"Nothing is staged at {stage!r}" in out) == (0, True), err


def test_a_local_file_leaves_no_empty_folder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that ends has no chunks left."""
    monkeypatch.setenv("CELONIS_URL", "local:x.duckdb")
    Path("x.csv").write_text("K,V\n1,a\n2,b\n")
    assert run("pools")[0] == 0
    assert not Path("x.duckdb.chunks").exists()
    assert run(*PUSH)[0] == 0
    assert run("columns", "P", "T")[1].startswith("COLUMN")


def test_the_help_speaks_of_options_that_there_are(run: Run) -> None:
    """A command's help names no option of another one, and gives the words to type."""
    texts = {name: run(name, "--help")[1] for name in ("push", "delete", "plan", "receipts")}
    assert "--repeat" in texts["push"]
    assert "--repeat" not in texts["delete"]
    assert "--staging" not in texts["plan"] + texts["receipts"]
    words = " ".join(texts["push"].split())
    assert "utc (default), or local" in words
    assert "error (default), null, or drop" in words


def test_an_address_that_cannot_be_listened_on(run: Run) -> None:
    """It is a usage error."""
    status, _, err = run("serve", "--host", "192.0.2.1", "--port", "0")
    assert (status, "cannot listen on 192.0.2.1" in err) == (2, True), err
