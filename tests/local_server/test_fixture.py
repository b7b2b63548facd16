"""The pytest fixtures: a test that uses them reaches no team; `assert_table` says what differs."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import celonis_frames
from celonis_frames import ApiKey, Celonis, _connect, local
from celonis_frames.exceptions import ConfigError, PermissionDenied
from celonis_frames.local._table_check import differences

TEAM = {
    "CELONIS_URL": "https://team.eu-1.celonis.cloud", "CELONIS_API_TOKEN": "a-key-of-the-team",
    "CELONIS_KEY_TYPE": "APP_KEY", "OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "secret",
    "OAUTH_ACCESS_TOKEN_PATH": "/nowhere/token",
}  # fmt: skip
TABLE = pa.table({"A": [1]})


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Iterator[Celonis]:
    """A process that is configured for a team, and connected to it. Nothing is sent to it."""
    monkeypatch.setattr(_connect, "_connected", None)
    monkeypatch.setattr(_connect, "_from_env", None)
    for name, value in TEAM.items():
        monkeypatch.setenv(name, value)
    with celonis_frames.connect(auth=ApiKey("k" * 20)) as connection:
        yield connection


@pytest.fixture
def restored(team: Celonis) -> Iterator[Celonis]:
    """Checks, after `local_celonis`, that everything is as it was."""
    before = _environment()
    yield team
    assert _connect.current() is team
    assert _environment() == before


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


def test_it_is_the_default_whatever_is_configured(restored: Celonis, local_celonis: Any) -> None:
    """Functions, accessors, connections from the environment and processes all reach it."""
    assert _connect.current() is not restored
    celonis_frames.push(TABLE, "P", "FUNCTION")
    pd.DataFrame({"A": [1]}).celonis.push("P", "ACCESSOR")
    with Celonis.from_env() as connection:
        connection.push(TABLE, "P", "FROM_ENV")
    with celonis_frames.connect() as connection:
        assert connection.url == local_celonis.url
        celonis_frames.push(TABLE, "P", "CONNECT")
    code = (
        "import celonis_frames, pyarrow\n"
        "celonis_frames.push(pyarrow.table({'A': [1]}), 'P', 'PROCESS')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    tables = [row["t"] for row in local_celonis.sql(
        "SELECT table_name AS t FROM duckdb_tables() WHERE schema_name = 'P' ORDER BY 1"
    ).to_pylist()]  # fmt: skip
    assert tables == ["ACCESSOR", "CONNECT", "FROM_ENV", "FUNCTION", "PROCESS"]
    assert not [name for name in os.environ if name.startswith("OAUTH_")]


def test_what_a_test_connects_does_not_stay_the_default(
    restored: Celonis, local_celonis: Any
) -> None:
    """Also if it is not closed."""
    local_celonis.connect()
    assert _connect.current() is not restored


def test_a_default_that_was_closed_is_an_error_not_the_team(
    restored: Celonis, local_celonis: Any
) -> None:
    """Within the test too: nothing falls back to what is configured."""
    with local_celonis.connect():
        pass
    with pytest.raises(ConfigError, match=r"is closed\. Call connect"):
        celonis_frames.push(TABLE, "P", "T")
    assert _connect._connected is not restored


@pytest.mark.usefixtures("team")
def test_a_closed_server_is_never_the_default() -> None:
    """An error says so at once, instead of tries to reach it; the team is not used instead."""
    with local.start() as celonis:
        connection = celonis.connect()
        assert _connect.current() is connection
    assert _connect.plan_defaults() is None
    begin = time.perf_counter()
    with pytest.raises(ConfigError, match=r"The local Celonis at http://127.* has stopped\. Call"):
        celonis_frames.push(TABLE, "P", "T")
    assert time.perf_counter() - begin < 2
    connection.close()
    with local.start() as celonis, celonis.connect():
        celonis_frames.push(TABLE, "P", "T")


def test_a_server_in_the_environment_is_not_kept_after_it_was_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next server in the environment is the default then."""
    monkeypatch.setattr(_connect, "_connected", None)
    monkeypatch.setattr(_connect, "_from_env", None)
    monkeypatch.setenv("CELONIS_KEY_TYPE", "BEARER")
    for _ in range(2):
        with local.start() as celonis:
            monkeypatch.setenv("CELONIS_URL", celonis.url)
            monkeypatch.setenv("CELONIS_API_TOKEN", celonis.token)
            celonis_frames.push(TABLE, "P", "T")
            assert celonis.table("P", "T").num_rows == 1


def _run(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tests with pytest, as a user of the plugin does."""
    (folder / "test_it.py").write_text(code)
    plugins = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:hypothesispytest")
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *plugins, "."],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_after_the_first_test_a_server_is_there_at_once(tmp_path: Path) -> None:
    """Its database was opened beside the start of the one before; nothing is while tests run."""
    done = _run(
        tmp_path,
        "import celonis_frames, duckdb, pyarrow, pytest, threading\n"
        "connect, opened = duckdb.connect, []\n"
        "@pytest.fixture(scope='session', autouse=True)\n"
        "def counted():\n"
        "    with pytest.MonkeyPatch.context() as patch:\n"
        "        def noted(*given):\n"
        "            opened.append(threading.current_thread().name)\n"
        "            return connect(*given)\n"
        "        patch.setattr(duckdb, 'connect', noted)\n"
        "        yield\n"
        "    assert sorted(opened) == ['MainThread', *['local-celonis-spare'] * 4]\n"
        "@pytest.fixture(autouse=True)\n"
        "def no_threads():\n"
        "    before = threading.active_count()\n"
        "    yield\n"
        "    assert threading.active_count() == before\n"
        "@pytest.mark.parametrize('number', range(4))\n"
        "def test_push(local_celonis, number):\n"
        "    assert len(opened) == number + 2\n"
        "    assert 'local-celonis-spare' not in {one.name for one in threading.enumerate()}\n"
        "    assert local_celonis.jobs == []\n"
        "    celonis_frames.push(pyarrow.table({'A': [1]}), 'P', 'T', progress=False)\n",
    )
    assert "4 passed" in done.stdout, done.stdout


def test_one_server_for_a_session(tmp_path: Path) -> None:
    """It keeps what tests push; a test with its own server reaches only that; faults end."""
    done = _run(
        tmp_path,
        "import celonis_frames, pyarrow, pytest\n"
        "FRAME = pyarrow.table({'A': [1]})\n"
        "seen = []\n"
        "def test_first(local_celonis_session, celonis_faults):\n"
        "    seen.append(local_celonis_session.url)\n"
        "    assert celonis_faults is local_celonis_session.faults\n"
        "    celonis_faults.answer('create', 403, times=None)\n"
        "    with pytest.raises(celonis_frames.exceptions.PermissionDenied):\n"
        "        celonis_frames.push(FRAME, 'P', 'T')\n"
        "def test_second(local_celonis_session, assert_table):\n"
        "    seen.append(local_celonis_session.url)\n"
        "    celonis_frames.push(FRAME, 'P', 'T')\n"
        "    assert_table('P', 'T', FRAME)\n"
        "def test_own(local_celonis, assert_table, celonis_faults):\n"
        "    assert local_celonis.url != seen[0]\n"
        "    assert celonis_faults is local_celonis.faults\n"
        "    assert local_celonis.jobs == []\n"
        "    with pytest.raises(AssertionError, match='cannot be read'):\n"
        "        assert_table('P', 'T', FRAME)\n"
        "def test_third(local_celonis_session, assert_table):\n"
        "    assert len(local_celonis_session.jobs) == 1\n"
        "    assert_table('p', 't', FRAME)\n"
        "    assert seen[0] == seen[1] == local_celonis_session.url\n"
        "    with celonis_frames.connect() as connection:\n"
        "        assert connection.url == seen[0]\n",
        "-v",
    )
    assert "4 passed" in done.stdout, done.stdout


def test_faults_alone_bring_the_server(celonis_faults: Any) -> None:
    """A test that asks for nothing else has one of its own."""
    celonis_faults.answer("create", 403)
    with pytest.raises(PermissionDenied):
        celonis_frames.push(TABLE, "P", "T")


ROWS = pl.DataFrame({"K": [1, 2, 3], "V": ["a", "b", None], "F": [0.5, float("nan"), -0.0]})
EXPECTED: list[tuple[Any, str | None, list[str]]] = [
    (ROWS, None, []),
    (ROWS, "K", []),
    (ROWS.reverse().select("V", "F", "K"), None, []),
    (ROWS.to_pandas(), ["K"], []),
    (ROWS.to_arrow(), None, []),
    (ROWS.to_dicts(), "k", []),
    (ROWS.to_dict(as_series=False), "K", []),
    (ROWS.rename({"K": "k"}).cast({"k": pl.Int8, "V": pl.Categorical}), "k", []),
    (ROWS.head(2), None, ["row not expected: K=3, V=None, F=-0.0"]),
    (ROWS.head(2), "K", ["row not expected: K=3, V=None, F=-0.0"]),
    (
        pl.concat([ROWS, ROWS.head(1)]),
        None,
        ["row missing: K=1, V='a', F=0.5"],
    ),
    (
        ROWS.with_columns(V=pl.lit("b")),
        "K",
        ["row K=1: V is 'a', not 'b'", "row K=3: V is None, not 'b'"],
    ),
    (
        ROWS.with_columns(K=pl.col("K") + 2),
        "K",
        [
            "row missing: K=4, V='b', F=None", "row missing: K=5, V=None, F=-0.0",
            "row not expected: K=1, V='a', F=0.5", "row not expected: K=2, V='b', F=None",
            "row K=3: V is None, not 'a'; F is -0.0, not 0.5",
        ],
    ),
    (
        pl.DataFrame({"K": range(9), "V": "x", "F": 0.0}),
        "K",
        [
            *(f"row missing: K={k}, V='x', F=0.0" for k in (0, 4, 5, 6, 7)),
            "… and 1 other row missing", "row K=1: V is 'a', not 'x'; F is 0.5, not 0.0",
            "row K=2: V is 'b', not 'x'; F is None, not 0.0", "row K=3: V is None, not 'x'",
        ],
    ),
    (ROWS.drop("V"), None, ["columns that were not expected: ['V']"]),
    (ROWS.with_columns(N=1), None, ["columns that it lacks: ['N']"]),
    (
        ROWS.with_columns(K=pl.Series(["x", "2", "3"])),
        None,
        ["column 'K': its type is int64, and string was expected"],
    ),
    (ROWS.clear(), None, [
        "row not expected: K=1, V='a', F=0.5", "row not expected: K=2, V='b', F=None",
        "row not expected: K=3, V=None, F=-0.0",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "keys", "lines"), EXPECTED)
def test_assert_table_says_what_differs(
    local_celonis_session: Any,
    assert_table: Any,
    expected: Any,
    keys: str | None,
    lines: list[str],
) -> None:
    """Each row that is missing or too many, and each value that differs; never more than five."""
    with local_celonis_session.connect() as connection:
        connection.push(ROWS, "Rows", "T", mode="REPLACE", progress=False)
    if not lines:
        assert_table("Rows", "T", expected, keys=keys)
        return
    with pytest.raises(AssertionError) as caught:
        assert_table("Rows", "T", expected, keys=keys)
    assert str(caught.value).splitlines() == ["Table 'T' differs:", *lines]


def test_assert_table_compares_what_is_stored(own: Any, client: Celonis, assert_table: Any) -> None:
    """Every type, as a push stores it: times in UTC, decimals as floats, nested values as JSON."""
    zone = dt.timezone(dt.timedelta(hours=2))
    frame = pl.DataFrame({
        "D": [dt.date(2026, 11, 28)], "T": [dt.datetime(2026, 11, 28, 9, 30, 0, 123_456)],
        "M": [Decimal("1.25")], "B": [True], "C": [dt.time(9, 30)], "L": [[1, 2]], "N": [None],
        "Z": pl.Series([dt.datetime(2026, 11, 28, 9, tzinfo=zone)], dtype=pl.Datetime("us", "UTC")),
    })  # fmt: skip
    client.push(frame, "P", "T", nested="json", progress=False)
    differing = differences(own.table("P", "T"), frame, "T", "D")
    assert differing == []
    assert differences(own.table("P", "T"), frame.with_columns(B=False), "T", "D") == [
        "row D=datetime.datetime(2026, 11, 28, 0, 0): B is True, not False"
    ]
    with pytest.raises(AssertionError, match=r"^Table 'NONE' cannot be read: no "):
        assert_table("P", "NONE", frame)


TYPES = {
    "int64": [1], "double": [1.0], "bool": [True], "string": ["1"],
    "timestamp[us]": [dt.datetime(1970, 1, 1)],
}  # fmt: skip


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "arrow"]
)
@pytest.mark.parametrize("stored", TYPES)
def test_assert_table_compares_types(own: Any, client: Celonis, make: Any, stored: str) -> None:
    """Also where a cast would make the values equal; only a column without a type fits any."""
    client.push(make({"K": [0], "A": TYPES[stored]}), "P", stored, progress=False)
    table = own.table("P", stored)
    for other, values in TYPES.items():
        found = differences(table, make({"K": [0], "A": values}), stored, None)
        if other == stored:
            assert found == []
        else:
            [line] = found
            assert line.startswith(f"column 'A': its type is {stored}, and ")
    assert differences(table, make({"K": [0], "A": [None]}), stored, "K")[0].endswith("not None")


def test_assert_table_with_a_type_that_no_frame_has(own: Any, client: Celonis) -> None:
    """A TIME, which only a CSV file makes, is compared with nothing: the message says so."""
    frame = pa.table({"A": [dt.time(9, 30)], "D": [dt.date(2026, 11, 28)]})
    client.push(
        frame, "P", "T", columns={"A": "TIME", "D": "DATE"}, upload={"file_type": "CSV"},
        progress=False,
    )  # fmt: skip
    assert differences(own.table("P", "T"), frame, "T", None) == [
        "column 'A': its type is time64[us], and string was expected"
    ]


@pytest.mark.parametrize(
    ("expected", "keys", "message"),
    [
        (ROWS, "X", r"keys= names \['X'\], but the columns are \['K', 'V', 'F'\]"),
        (pl.concat([ROWS, ROWS]), "K", "rows of the expected frame have the same key"),
        ([], None, r"expected=\[\] names no columns"),
        (
            [{"D": dt.datetime(2026, 11, 28)}, {"D": dt.date(2026, 11, 28)}],
            None,
            r"expected= column 'D' has values .* not one in Arrow: date, datetime\.",
        ),
        ({"K": [1, "1"]}, None, r"expected= column 'K' has values .*: int, str\."),
    ],
)
def test_assert_table_with_wrong_arguments(expected: Any, keys: str | None, message: str) -> None:
    """The error is about the test, not about the table."""
    with pytest.raises(ConfigError, match=message):
        differences(ROWS.to_arrow(), expected, "T", keys)
