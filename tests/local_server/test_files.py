"""The files of the local Celonis: whose they are, what they are called, what is left of them."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from test_server import Client, _file

import celonis_frames
from celonis_frames import local
from celonis_frames.exceptions import ConfigError
from celonis_frames.local._database import database, files, job_runner

POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
TABLE = pa.table({"A": [1, 2, 3]})


@pytest.fixture
def loose_umask() -> Iterator[None]:
    """The process creates files that everybody can read and write."""
    before = os.umask(0)
    yield
    os.umask(before)


def _modes(path: Path) -> dict[str, str]:
    found = [path, *path.parent.rglob("*")]
    return {str(f.relative_to(path.parent)): oct(stat.S_IMODE(f.stat().st_mode)) for f in found}


@POSIX
@pytest.mark.usefixtures("loose_umask")
def test_files_are_for_their_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database, its log (also a new one, after the old was folded), and chunks."""
    path = tmp_path / "x.duckdb"
    for at_bytes in (0, database.LOG_BYTES):
        monkeypatch.setattr(database, "LOG_BYTES", at_bytes)  # 0: folded after each statement
        with local.start(path, limits=False) as celonis:
            client = Client(celonis)
            waiting = client.job("P", targetName="T", type="REPLACE")
            client.chunk("P", waiting, _file(TABLE))
            client.push("P", TABLE, targetName="U", type="DELTA")
            modes = _modes(path)
            folder = modes.pop("x.duckdb.chunks")
            assert len(modes) >= 3
            assert (folder, set(modes.values())) == ("0o700", {"0o600"})
        assert not path.with_name("x.duckdb.wal").exists()


@POSIX
def test_what_an_earlier_version_left_open_is_closed(tmp_path: Path) -> None:
    """The folder of the chunks and the log; the mode of the database is the user's choice."""
    path = tmp_path / "x.duckdb"
    duckdb.connect(str(path)).close()
    path.chmod(0o640)
    folder = tmp_path / "x.duckdb.chunks"
    folder.mkdir()
    folder.chmod(0o755)
    with local.start(path):
        assert _modes(path) == {
            "x.duckdb": "0o640", "x.duckdb.wal": "0o600", "x.duckdb.chunks": "0o700"
        }  # fmt: skip


@POSIX
@pytest.mark.parametrize("link", ["x.duckdb", "x.duckdb.wal", "x.duckdb.chunks"])
@pytest.mark.parametrize("there", [True, False])
def test_symbolic_links_are_rejected(tmp_path: Path, link: str, there: bool) -> None:
    """Somebody may have prepared them, for example in /tmp; nothing is written behind them."""
    behind = tmp_path / "behind"
    if there and link.endswith("chunks"):
        behind.mkdir()
    elif there:
        duckdb.connect(str(behind)).close()
    before = behind.stat() if there else None
    (tmp_path / link).symlink_to(behind)
    with pytest.raises(ConfigError, match="is a symbolic link, which the local Celonis does not"):
        local.start(tmp_path / "x.duckdb")
    assert {f.name for f in tmp_path.iterdir()} == {link} | ({"behind"} if there else set())
    if before is not None:
        assert behind.stat().st_mtime_ns == before.st_mtime_ns


@POSIX
def test_a_folder_of_another_user_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They could exchange the chunks in it."""
    (tmp_path / "x.duckdb.chunks").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 4321)
    if os.getuid() == 0:  # what root has made is accepted
        os.chown(tmp_path / "x.duckdb.chunks", 1234, 1234)
    with pytest.raises(ConfigError, match="belongs to another user"):
        local.start(tmp_path / "x.duckdb")


def test_links_above_the_file_are_followed(tmp_path: Path) -> None:
    """A folder may be behind a link, as /tmp is on macOS."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with local.start(tmp_path / "link" / "x.duckdb"):
        pass
    assert (tmp_path / "real" / "x.duckdb").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("orders.csv", r"'orders.csv' ends in .csv, .* such as 'orders.duckdb'"),
        ("Orders.CSV", "ends in .csv"),
        ("data.parquet", "ends in .parquet"),
        ("log.xes", "ends in .xes"),
        ("log.csv.gz", "ends in .gz"),
        ("x.duckdb.wal", "ends in .wal"),
        ("", "is no path"),
        (" ", "is no path"),
        ("a\x00b", "is no path"),
        ("s3://bucket/x.duckdb", "not at s3://… URLs"),
        ("https://team.eu-1.celonis.cloud/x.duckdb", "not at https://… URLs"),
        (".", "is a folder. Give a DuckDB file in it, such as 'celonis.duckdb'"),
        ("nowhere/x.duckdb", "The folder 'nowhere' of 'nowhere/x.duckdb' does not exist"),
    ],
)
def test_a_path_that_is_no_database_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    """Whether it exists or not; nothing is created."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        local.start(path)
    if path.strip() and "://" not in path:
        with pytest.raises(ConfigError, match=message):
            celonis_frames.connect(f"local:{path}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_stays_as_it_is(tmp_path: Path) -> None:
    """Whatever it is called."""
    for name in ("orders.csv", "orders", "orders.duckdb", "orders.db", "orders.parquet"):
        for content in ("", "A;B\n1;2\n", "SQLite format 3\x00" * 100):
            path = tmp_path / name
            path.write_text(content)
            with pytest.raises(ConfigError, match="is not a DuckDB file"):
                local.start(path)
            assert path.read_text() == content
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("name", ["x.duckdb", "x.db", "x", ".x", "x.ddb", "x 2024.01", "ü.duckdb"])
def test_a_database_may_have_many_names(tmp_path: Path, name: str) -> None:
    """Any ending that is not that of another format."""
    for rows in (3, 6):
        with local.start(tmp_path / name, limits=False) as celonis:
            Client(celonis).push("P", TABLE, targetName="T", type="DELTA")
            assert celonis.table("P", "T").num_rows == rows


def test_a_database_with_the_name_of_another_format_opens(tmp_path: Path) -> None:
    """An earlier version may have created it."""
    duckdb.connect(str(tmp_path / "x.duckdb")).close()
    (tmp_path / "x.duckdb").rename(tmp_path / "orders.csv")
    for rows in (3, 6):
        with local.start(tmp_path / "orders.csv", limits=False) as celonis:
            Client(celonis).push("P", TABLE, targetName="T", type="DELTA")
            assert celonis.table("P", "T").num_rows == rows


def test_memory_has_two_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None, and DuckDB's own; neither leaves a file."""
    monkeypatch.chdir(tmp_path)
    with local.start(":memory:") as celonis:
        assert celonis.path is None
    assert list(tmp_path.iterdir()) == []


def _log_bytes(path: Path) -> int:
    try:
        return path.with_name(f"{path.name}.wal").stat().st_size
    except FileNotFoundError:  # it is being folded
        return 0


def _wait_for_empty_log(path: Path) -> None:
    end = time.monotonic() + 20
    while _log_bytes(path):
        assert time.monotonic() < end
        time.sleep(0.01)


def _serve(*arguments: str) -> subprocess.Popen[str]:
    code = (
        "import sys, time\nfrom celonis_frames import local\n"
        "c = local.start(sys.argv[1] if len(sys.argv) > 1 else None, token='t', limits=False)\n"
        "print(c.url, c._catalog.folder, flush=True)\ntime.sleep(600)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )


def _half_upload(url: str, path: str) -> socket.socket:
    """A connection in the middle of an upload."""
    host, port = url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\nContent-Length: 9000000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    )
    sock.sendall(head.encode() + b"z" * 3_000_000)
    return sock


def test_what_a_killed_upload_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """Half a chunk, spilled data and the log are gone; whole chunks of open jobs are there."""
    path = tmp_path / "x.duckdb"
    with _serve(str(path)) as process:
        assert process.stdout
        url, folder = process.stdout.readline().split()
        client = Client(type("Server", (), {"url": url, "token": "t"}))
        assert client.push("P", TABLE, targetName="T", type="DELTA")["status"] == "DONE"
        job = client.job("P", targetName="T", type="DELTA")
        assert client.chunk("P", job, _file(TABLE)).status_code == 200
        with _half_upload(url, f"{client.base}/P/jobs/{job}/chunks/upserted"):
            while not (len(list(Path(folder).iterdir())) == 2 and _sizes(folder)[1] > 1_000_000):
                time.sleep(0.01)
            process.kill()
            process.wait()
    (Path(folder) / "spill").mkdir()
    (Path(folder) / "spill" / "duckdb_temp_block-0.block").write_bytes(b"rows")
    (Path(folder) / "notes.txt").write_text("not ours")
    with local.start(path, token="t", limits=False) as celonis:
        assert len(list(Path(folder).iterdir())) == 2  # the whole chunk, and what is not ours
        _wait_for_empty_log(path)  # the start itself may write a little
        client = Client(celonis)
        assert client.call("POST", f"/P/jobs/{job}").status_code == 200
        assert client.end("P", job)["status"] == "DONE"
        assert celonis.table("P", "T").num_rows == 6
    assert {f.name for f in Path(folder).iterdir()} == {"notes.txt"}
    assert {f.name for f in tmp_path.iterdir()} == {"x.duckdb", "x.duckdb.chunks"}


def _sizes(folder: str) -> list[int]:
    return sorted(file.stat().st_size for file in Path(folder).iterdir())


def test_the_folder_of_a_killed_process_in_memory_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the next start; that of a process that runs stays."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(files, "_LEFT_SECONDS", 0.0)
    with _serve() as killed, _serve() as running:
        assert killed.stdout
        assert running.stdout
        folders = [Path(p.stdout.readline().split()[1]).parent for p in (killed, running)]
        killed.kill()
        killed.wait()
        with local.start() as celonis:
            own = celonis._catalog.folder.parent
            assert [folder.exists() for folder in folders] == [False, True]
            with local.start():
                assert own.exists()
        running.kill()
    assert not own.exists()
    with local.start():
        assert not folders[1].exists()
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_folded_in_when_there_is_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the file has all rows then, without the log."""
    monkeypatch.setattr(job_runner, "IDLE_SECONDS", 0.01)
    path = tmp_path / "x.duckdb"
    with local.start(path, limits=False) as celonis:
        Client(celonis).push("P", TABLE, targetName="T", type="DELTA")
        _wait_for_empty_log(path)
        (tmp_path / "copy.duckdb").write_bytes(path.read_bytes())
        with duckdb.connect(str(tmp_path / "copy.duckdb")) as copy:
            assert copy.sql('SELECT count(*) FROM "P"."T"').fetchall() == [(3,)]


def test_the_log_stays_small_while_there_is_much_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement and each job folds a log that has become large."""
    monkeypatch.setattr(database, "LOG_BYTES", 2_000)
    monkeypatch.setattr(job_runner, "LOG_BYTES", 2_000)
    path = tmp_path / "x.duckdb"
    with local.start(path, limits=False) as celonis:
        client = Client(celonis)
        for _ in range(5):
            assert client.push("P", TABLE, targetName="T", type="DELTA")["status"] == "DONE"
            for _ in range(10):
                client.job("P", targetName="U", type="DELTA")
            assert _log_bytes(path) < 20_000
        assert celonis.table("P", "T").num_rows == 15


def test_the_log_waits_for_a_long_query(tmp_path: Path) -> None:
    """Pushes go on while somebody reads; the log is folded when they have finished."""
    path = tmp_path / "x.duckdb"
    with local.start(path, limits=False) as celonis:
        client = Client(celonis)
        wide = pa.table({"A": range(300_000)})
        assert client.push("P", wide, targetName="T", type="REPLACE")["status"] == "DONE"
        with celonis._catalog.reading() as cursor:
            cursor.execute('SELECT * FROM "P"."T"')
            celonis._catalog.fold_log()
            assert client.push("P", TABLE, targetName="T", type="DELTA")["status"] == "DONE"
            assert len(cursor.fetchall()) == 300_000
        assert _log_bytes(path) > 0
        celonis._catalog.fold_log()
        assert _log_bytes(path) == 0


def test_a_database_that_is_in_use_is_an_error(tmp_path: Path) -> None:
    """And the process that uses it keeps its files."""
    path = tmp_path / "x.duckdb"
    with _serve(str(path)) as process:
        assert process.stdout
        url, _ = process.stdout.readline().split()
        client: Any = Client(type("Server", (), {"url": url, "token": "t"}))
        job = client.job("P", targetName="T", type="DELTA")
        assert client.chunk("P", job, _file(TABLE)).status_code == 200
        with pytest.raises(ConfigError, match=f"^Process {process.pid} uses .* stop it, or conn"):
            local.start(path)
        assert client.call("POST", f"/P/jobs/{job}").status_code == 200
        assert client.end("P", job)["status"] == "DONE"
        process.kill()
