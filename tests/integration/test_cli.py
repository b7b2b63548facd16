"""The command line: in this process, or in one of its own where streams and signals matter."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import requests
from command_line import exit_status

from celonis_frames import ApiKey, Celonis, local
from celonis_frames._cli import demo
from celonis_frames._cli.main import main
from celonis_frames._tables.differences import TableDifference
from celonis_frames.exceptions import ConfigError
from celonis_frames.local._sample_data import purchase_to_pay

Done = subprocess.CompletedProcess[str]

SCRIPT = Path(sys.executable).with_name("celonis-frames")


def _process(*arguments: str) -> Done:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "celonis_frames", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """A function that runs a command in this process, with these variables in its environment."""

    def call(*arguments: str, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            status = exit_status(*arguments)
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return call


def test_the_demo_ends_with_a_command_that_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is called as the demo was: by its path, by its name where that is found, as a module."""
    for program, path, shown in (
        (SCRIPT, "", str(SCRIPT)),
        (SCRIPT, str(SCRIPT.parent), "celonis-frames"),
        (Path(main.__code__.co_filename), "", f"{sys.executable} -m celonis_frames"),
    ):
        monkeypatch.setattr(sys, "argv", [str(program)])
        monkeypatch.setenv("PATH", path)
        assert demo._command() == shown


def test_the_demo_compares_every_value(tmp_path: Path) -> None:
    """The demo pushes from pandas and polars, reads back, says all is equal, leaves the file."""
    file = tmp_path / "demo.duckdb"
    done = _process("demo", str(file), "--cases", "50")
    assert done.returncode == 0, done.stderr
    assert "Everything arrived as it was sent." in done.stdout
    assert done.stdout.count("all equal") == 2
    assert done.stdout.splitlines()[-1] == f"  {sys.executable} -m celonis_frames serve {file}"
    assert file.exists()
    too_wide = [line for line in done.stdout.splitlines() if len(line) > 80]
    assert all(str(file) in line for line in too_wide), too_wide
    assert re.search(
        r"^  POST /data-push/\w{4}…/jobs/\w{4}…/chunks/upserted +200", done.stdout, re.MULTILINE
    )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda log: log.slice(1), "rows"),
        (lambda log: log.drop(["COMMENT"]), "columns"),
        (lambda log: log.set_column(2, "ACTIVITY", pc.utf8_upper(log["ACTIVITY"])), "ACTIVITY"),
        (lambda log: log.set_column(7, "AMOUNT", pc.add(log["AMOUNT"], 0.01)), "AMOUNT"),
    ],
    ids=["row", "column", "text", "number"],
)
def test_the_demo_sees_what_differs(change: Callable[[Any], Any], word: str) -> None:
    """A row, a column or a value that is not as it was sent is found and named."""
    log = purchase_to_pay(3)
    said: list[str] = []
    dates = log["DUE_DATE"].cast(pa.timestamp("us"))
    stored = log.set_column(log.column_names.index("DUE_DATE"), "DUE_DATE", dates)
    assert demo._compare(said.append, stored, log)
    assert not demo._compare(said.append, change(stored), log)
    assert "all equal" in said[0]
    assert "✗" in said[1]
    assert word in said[1]


def test_the_demo_keeps_serving_until_it_is_stopped(tmp_path: Path) -> None:
    """With --keep the tables can be looked at until Ctrl-C, which is a good end."""
    file = tmp_path / "demo.duckdb"
    with subprocess.Popen(
        [str(SCRIPT), "demo", str(file), "--cases", "3", "--keep"],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout
            line = next(line for line in process.stdout if "stop with Ctrl-C" in line)
            [url] = re.findall(r"http://\S+", line)
            assert requests.get(url, timeout=10).status_code == 200
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert str(file) in rest


def test_push_plan_jobs_job_and_cancel(
    run: Callable[..., Done], server: Any, tmp_path: Path, table: str
) -> None:
    """The commands find the connection in the environment and say what happened."""
    file = tmp_path / "x.parquet"
    pl.DataFrame({"K": [1, 2], "V": ["a", "b"]}).write_parquet(file)
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    done = run("plan", str(file), "--table", table, "--keys", "K")
    assert "2 rows" in done.stdout, done.stderr
    done = run("push", str(file), "--pool", "CLI", "--table", table, "--keys", "K", **to)
    assert "DONE" in done.stdout, done.stderr
    job = next(j["id"] for j in server.jobs if j["targetName"] == table)
    assert job[:8] in run("jobs", "CLI", **to).stdout
    assert "Job finished" in run("job", "CLI", job, **to).stdout
    done = run("cancel", "CLI", job, **to)
    assert done.returncode == 2
    assert "DONE" in done.stderr
    assert server.token not in done.stderr + done.stdout


def test_a_failed_job_shows_its_log(
    run: Callable[..., Done], local_celonis: local.LocalCelonis, tmp_path: Path
) -> None:
    """`push` of a job that ends in ERROR exits with 6 and shows what the server wrote."""
    file = tmp_path / "x.parquet"
    pl.DataFrame({"K": [1]}).write_parquet(file)
    local_celonis.faults.fail_jobs("broken on purpose")
    to = {"CELONIS_URL": local_celonis.url, "CELONIS_API_TOKEN": local_celonis.token}
    done = run("push", str(file), "--pool", "CLI", "--table", "T", **to)
    assert done.returncode == 6
    assert "JobFailed" in done.stderr
    assert done.stderr.count(" - Job submitted") == 1
    assert "\n  broken on purpose" in re.sub(r"\n  .*?(?=broken)", "\n  ", done.stderr)
    assert "Traceback" not in done.stderr


def test_errors_are_one_line_on_stderr(run: Callable[..., Done]) -> None:
    """No traceback for what a user can mend."""
    done = run("jobs", "P", CELONIS_URL="", CELONIS_API_TOKEN="")
    assert done.returncode == 2
    assert "ConfigError" in done.stderr
    assert "Traceback" not in done.stderr


@contextmanager
def _serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str], list[str]]]:
    """`serve` as a process, the environment that it says to export, and all it says."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "celonis_frames", "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip())
                if "Ctrl-C" in line:
                    break
            exports = dict(
                line.removeprefix("  export ").split("=", 1)
                for line in lines
                if line.startswith("  export ")
            )
            yield process, exports, lines
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_takes_pushes_until_it_is_stopped(
    run: Callable[..., Done], number: signal.Signals, tmp_path: Path
) -> None:
    """`serve` says what to export, takes pushes, ends at SIGTERM and Ctrl-C, leaves the file."""
    file = tmp_path / "served.duckdb"
    frame = tmp_path / "x.parquet"
    pl.DataFrame({"K": [1, 2], "V": ["a", "b"]}).write_parquet(frame)
    with _serving(str(file)) as (process, exports, lines):
        assert lines[0] == f"Local Celonis at {exports['CELONIS_URL']} ({file})"
        done = run("push", str(frame), "--pool", "S", "--table", "T", "--keys", "K", **exports)
        assert "DONE" in done.stdout, done.stderr
        with Celonis(exports["CELONIS_URL"], auth=ApiKey(exports["CELONIS_API_TOKEN"])) as celonis:
            celonis.push(pl.DataFrame({"K": [2], "V": ["c"]}), "S", "T", keys="K")
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
    with local.start(file) as again:
        assert sorted(again.table("S", "T").to_pylist(), key=lambda row: row["K"]) == [
            {"K": 1, "V": "a"},
            {"K": 2, "V": "c"},
        ]


def test_serve_sets_up_the_data_ingestion_api(tmp_path: Path) -> None:
    """From a JSON file; the keys that it says to export are the same after a restart."""
    setup, file = tmp_path / "tables.json", tmp_path / "served.duckdb"
    setup.write_text(json.dumps({"S": {"Push": {"T": {"keys": "K"}}, "Other": {"U": None}}}))
    printed = []
    for _ in range(2):
        with _serving(str(file), "--ingestion", str(setup)) as (process, exports, lines):
            assert "Data connection Push of S:" in lines
            assert "Data connection Other of S:" in lines
            connection = exports["CELONIS_INGESTION_CONNECTION"]
            for name in ("ACCESS_KEY", "SECRET_KEY", "BUCKET", "REGION"):
                assert exports[f"CELONIS_INGESTION_{name}"]
            printed.append([line for line in lines if "INGESTION" in line])
            with Celonis(exports["CELONIS_URL"], auth=ApiKey(exports["CELONIS_API_TOKEN"])) as own:
                assert connection in [each.id for each in own.connections("S")]
            process.terminate()
            process.communicate(timeout=30)
    assert len(printed[0]) == 10
    assert printed[0] == printed[1]


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("text", "word"),
    [
        (None, "cannot be read"),
        ("{", "is not a JSON file"),
        ("[1]", "must have pools"),
        ('{"P": []}', "must have pools"),
        ('{"P": {"": {}}}', "must have pools"),
        ('{"P": {"C": {"T": {"key": "K"}}}}', "Did you mean 'keys'"),
    ],
)
def test_a_file_without_connections_is_refused(tmp_path: Path, text: str | None, word: str) -> None:
    """One line says what is wrong with it, before anything is served."""
    file, setup = tmp_path / "served.duckdb", tmp_path / "tables.json"
    if text is not None:
        setup.write_text(text)
    done = _process("serve", str(file), "--port", "0", "--ingestion", str(setup))
    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not file.exists()


def test_serve_says_what_it_cannot_have(tmp_path: Path) -> None:
    """A port or a file that another holds is one line on stderr, not a traceback."""
    file = tmp_path / "served.duckdb"
    with _serving(str(file)) as (_, exports, _lines):
        port = exports["CELONIS_URL"].rsplit(":", 1)[1]
        for arguments in (["--port", port], [str(file), "--port", "0"]):
            done = _process("serve", *arguments)
            assert done.returncode == 2
            assert "ConfigError" in done.stderr
            assert "Traceback" not in done.stderr


def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    """The error does not suggest another local Celonis if the path is wrong."""
    file = tmp_path / "notes.txt"
    file.write_text("no database, but long enough to have a header")
    done = _process("serve", str(file), "--port", "0")
    assert done.returncode == 2
    assert "is not a DuckDB file" in done.stderr
    assert "another" not in done.stderr
    assert file.read_text().startswith("no database")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("demo", "--cases", "0"), "1 or more"),
        (("demo", "--cases", "x"), "invalid number"),
        (("serve", "--port", "99999"), "no port"),
        (("serve", "--port", "-1"), "no port"),
    ],
)
def test_numbers_out_of_range_are_refused(
    run: Callable[..., Done], arguments: tuple[str, ...], word: str
) -> None:
    """One line says what was wrong with which option."""
    done = run(*arguments)
    assert done.returncode == 2
    assert arguments[1] in done.stderr.splitlines()[0]
    assert word in done.stderr.splitlines()[0]
    assert "Traceback" not in done.stderr


def test_a_port_out_of_range_is_a_config_error() -> None:
    """Also where it does not come from the command line."""
    with pytest.raises(ConfigError, match="65535"):
        local.start(port=99_999)


def test_every_warning_is_shown_once(
    run: Callable[..., Done], server: Any, tmp_path: Path, table: str
) -> None:
    """What the library logs is not said again at the end."""
    file = tmp_path / "x.parquet"
    pl.DataFrame({"K": [1, 1]}).write_parquet(file)
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    done = run("push", str(file), "--pool", "CLI", "--table", table, "--keys", "K", **to)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert said.count("the key of another row") == 1, said
    assert done.stderr.startswith("! ")


def test_a_pool_without_jobs_says_so(run: Callable[..., Done], server: Any) -> None:
    """No jobs is an answer, on stderr: a script that counts lines counts none."""
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    server.add_connection("Nothing here", "ERP")
    done = run("jobs", "Nothing here", **to)
    assert (done.returncode, done.stdout) == (0, "")
    assert "'Nothing here' has no jobs" in done.stderr


def test_the_options_of_push_reach_it(
    run: Callable[..., Done], server: Any, tmp_path: Path, table: str
) -> None:
    """Types, lengths, nested values, bytes, infinities, CSV, removal and verification."""
    file = tmp_path / "x.parquet"
    pl.DataFrame(
        {
            "K": [1, 1],
            "A=B": ["x", "y"],
            "N": [[1], [2]],
            "X": [b"\x01", b"\x02"],
            "F": [float("inf"), 1.5],
            "V": [9, 3],
        }
    ).write_parquet(file)
    options = ["--table", table, "--keys", "K", "--column", "A=B=300", "--column", "V=FLOAT",
               "--nested", "json", "--binary", "hex", "--infinity", "null", "--file-type", "csv",
               "--deduplicate-by", "V"]  # fmt: skip
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    done = run("plan", str(file), *options)
    assert re.search(r"A=B +STRING +300 ", done.stdout), done.stdout + done.stderr
    done = run("push", str(file), "--pool", "CLI", *options, "--verify", "schema", **to)
    assert done.returncode == 0, done.stderr
    assert server.table("CLI", table).to_pylist() == [
        {"K": 1, "A=B": "x", "N": "[1]", "X": "01", "F": None, "V": 9.0}
    ]
    job = next(j for j in server.jobs if j["targetName"] == table)
    assert job["fileType"] == "CSV"
    for wrong in ("A", "=STRING", "A="):
        done = run("plan", str(file), "--table", "T", "--column", wrong)
        assert (done.returncode, "--column" in done.stderr) == (2, True)


def test_a_push_with_an_id_is_sent_once(
    run: Callable[..., Done], server: Any, tmp_path: Path, table: str
) -> None:
    """The second run, as of a scheduler, warns and exits with 0; another table is an error."""
    file = tmp_path / "x.parquet"
    pl.DataFrame({"A": [1, 2]}).write_parquet(file)
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    command = ["push", str(file), "--pool", "CLI", "--push-id", "x/2026-11-28", "--table"]
    stage = ["--staging", str(tmp_path / "stages")]
    assert run(*command, table, *stage, **to).returncode == 0
    done = run(*command, table, *stage, **to)
    assert (done.returncode, "sent by an earlier push" in done.stdout) == (0, True)
    assert "was sent before: 2 rows" in done.stderr
    assert server.table("CLI", table).num_rows == 2
    done = run(*command, f"{table}2", *stage, **to)
    assert (done.returncode, "was used for another push" in done.stderr) == (2, True)
    done = run(*command, table, **to)
    assert (done.returncode, "--push-id needs --staging: what" in done.stderr) == (2, True)


def test_a_push_with_reload(
    run: Callable[..., Done], server: Any, table: str, tmp_path: Path
) -> None:
    """Each --reload is loaded; if one fails, the status is 8: the rows are in the table."""
    file, pool = tmp_path / "x.parquet", f"CLI {table}"
    pl.DataFrame({"K": [1, 1]}).write_parquet(file)
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    call = ("push", str(file), "--pool", pool, "--table", table, "--reload", "A", "--reload", "B")
    done = run(*call, **to)
    assert done.returncode == 0, done.stderr
    assert "data model A: SUCCESS · data model B: SUCCESS" in done.stdout
    server.faults.fail_loads("no space left")
    done = run(*call, **to)
    assert done.returncode == 8
    assert "data model A: ERROR · data model B: SUCCESS" in done.stdout
    assert done.stderr.count("no space left") == 1
    assert f"was pushed (job {server.jobs[0]['id']})" in done.stderr
    assert f"with celonis-frames reload {server.jobs[0]['dataPoolId']} A." in done.stderr
    assert "celonis." not in done.stderr
    assert server.model_table(pool, "B", table).num_rows == 4


TABLE = pl.DataFrame({"K": [1, 2], "V": ["a", "b"], "N": [1, 2]})
FOLLOWING = TABLE.with_columns(N=pl.col("N").cast(pl.Float64), NEW=pl.lit(True))


@pytest.mark.parametrize(
    ("frame", "options", "level", "words"),
    [
        (TABLE, ["--keys", "K"], None, ""),
        (FOLLOWING, ["--keys", "K"], "safe", "The table gets this column"),
        (TABLE.drop("N"), [], "safe", "The new rows get NULL"),
        (TABLE.with_columns(V=pl.lit("x" * 300)), ["--mode", "replace", "--schema-mode", "align"],
         "safe", "REPLACE changes the length to 320"),
        (TABLE.drop("N"), ["--keys", "K"], "lossy", "N: INTEGER, missing in the frame"),
        (TABLE.drop("N"), ["--keys", "K", "--missing-columns", "null"], "lossy", "get NULL, also"),
        (TABLE.drop("N"), ["--mode", "REPLACE"], "lossy", "REPLACE drops this column"),
        (TABLE.with_columns(V=pl.lit("x" * 300)), [], "lossy", "would cut strings longer than 80"),
        (TABLE.with_columns(N=pl.lit(1.5)), [], "fatal", "not whole 64-bit integers"),
        (TABLE.with_columns(V=pl.lit(True)), [], "fatal", "would be sent as BOOLEAN"),
        (FOLLOWING, ["--schema-mode", "freeze"], "fatal", "No column may be added"),
        (TABLE.drop("N"), ["--missing-columns", "error"], "fatal", "rejects the push"),
        (TABLE, ["--column", "N=FLOAT"], "fatal", "says FLOAT: leave it out"),
        (TABLE.with_columns(N=pl.lit("x")), ["--mode", "REPLACE"],
         "lossy", "REPLACE changes the type to STRING"),
    ],
)  # fmt: skip
def test_plan_compares_with_the_table_that_is_there(
    run: Callable[..., Done], server: Any, connection: Celonis, tmp_path: Path, table: str,
    frame: pl.DataFrame, options: list[str], level: str | None, words: str,
) -> None:  # fmt: skip
    """As text and as JSON; the exit status is 3 if values would be lost or the job would fail.

    Without a connection in the environment nothing is compared.
    """
    connection.push(TABLE, "CLI", table, keys="K")
    file = tmp_path / "x.parquet"
    frame.write_parquet(file)
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    command = ["plan", str(file), "--pool", "CLI", "--table", table, *options]
    done = run(*command, **to)
    status = 3 if level in ("lossy", "fatal") else 0
    assert (done.returncode, done.stderr) == (status, "")
    assert "in the table" in done.stdout
    assert re.search(rf"^{level}: .*{re.escape(words)}", done.stdout, re.MULTILINE) or level is None
    done = run(*command, "--json", **to)
    assert (done.returncode, done.stderr) == (status, "")
    found = json.loads(done.stdout)
    assert (found["level"], found["exists"]) == (level, True)
    assert words in "".join(str(TableDifference(**one)) for one in found["differences"])
    assert {one["level"] for one in found["differences"]} == ({level} if level else set())
    done = run(*command, "--json", CELONIS_URL="")
    found = json.loads(done.stdout)
    assert (done.returncode, found["level"], found["exists"]) == (0, None, None)
    assert len([job for job in server.jobs if job["targetName"] == table]) == 1


def test_plan_of_a_new_table_and_of_one_that_must_be_new(
    run: Callable[..., Done], server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """--mode create is an error of one line once the table is there."""
    file = tmp_path / "x.parquet"
    TABLE.write_parquet(file)
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    connection.push(TABLE, "CLI", f"{table}_2")
    command = ["plan", str(file), "--pool", "CLI", "--mode", "create", "--table"]
    done = run(*command, table, **to)
    assert (done.returncode, "a new table" in done.stdout) == (0, True), done.stderr
    done = run(*command, f"{table}_2", **to)
    assert (done.returncode, done.stdout) == (2, "")
    assert "exists, with 3 columns" in done.stderr


def test_an_empty_keys_is_refused(run: Callable[..., Done], tmp_path: Path) -> None:
    """An unset variable of a shell does not turn an upsert into an append."""
    file = tmp_path / "x.parquet"
    pl.DataFrame({"K": [1]}).write_parquet(file)
    for keys in ("", "K,"):
        done = run("plan", str(file), "--table", "T", "--keys", keys)
        assert done.returncode == 2
        assert "--keys" in done.stderr


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("environment", "table", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "T_ASCII", b"DONE - T_ASCII (DELTA) - 2 rows"),
        ({"PYTHONIOENCODING": "cp932"}, "T_932", b"DONE - T_932 (DELTA) - 2 rows"),
        ({"PYTHONIOENCODING": "cp1252"}, "部品", b"DONE - \\u90e8\\u54c1 (DELTA) - 2 rows"),
        (
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            "T_C",
            b"DONE - T_C (DELTA) - 2 rows",
        ),
    ],
)
def test_a_push_succeeds_on_any_code_page(
    server: Any, tmp_path: Path, environment: dict[str, str], table: str, shown: bytes
) -> None:
    """What stdout cannot encode is replaced; the exit status is that of the push."""
    file = tmp_path / "x.parquet"
    pl.DataFrame({"K": [1, 2]}).write_parquet(file)
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    done = subprocess.run(
        [sys.executable, "-m", "celonis_frames", "push", file, "--pool", "Pages", "--table", table],
        capture_output=True, check=False, env=os.environ | to | environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert shown in done.stdout
    assert server.table("Pages", table).num_rows == 2


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("closed", "full"),
    [("", False), ("", True), ("stdout", False), ("stderr", True), ("both", False)],
)
def test_a_push_succeeds_without_anyone_to_read(
    server: Any, tmp_path: Path, table: str, closed: str, full: bool
) -> None:
    """A closed pipe, a full disk or no stream at all: the rows are in, and the status is 0."""
    file = tmp_path / "x.parquet"
    pl.DataFrame({"K": [1, 1]}).write_parquet(file)
    to = {"CELONIS_URL": server.url, "CELONIS_API_TOKEN": server.token}
    redirections = {"": "", "stdout": ">&-", "stderr": "2>&-", "both": ">&- 2>&-"}[closed]
    command = f'"$0" -m celonis_frames push "$1" --pool Pages --table {table} --keys K'
    if full:
        sink: Any = os.open("/dev/full", os.O_WRONLY)
    else:
        gone, sink = os.pipe()
        os.close(gone)
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", f"{command} {redirections}", sys.executable, str(file)],
            stdout=sink, stderr=sink, check=False, env=os.environ | to,
        )  # fmt: skip
    finally:
        os.close(sink)
    assert done.returncode == 0
    assert server.table("Pages", table).num_rows == 1


def test_a_list_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Of a command that only shows something, the exit status says whether it could."""
    file = tmp_path / "x.parquet"
    pl.DataFrame({"K": [1, 2]}).write_parquet(file)
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "celonis_frames", "plan", file, "--table", "T"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert (
        done.stderr == "The output could not be written. Free space, or write it somewhere else.\n"
    )
