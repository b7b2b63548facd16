"""The ingestion of objects against a small model, and what a restart finds."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from gateway_client import GatewayClient, file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celonis_frames import IngestionKeys, local

Row = dict[str, Any]

SCHEMA = pa.schema({"K": pa.int64(), "L": pa.string(), "A": pa.float64(), "V": pa.int64()})
_numbers = itertools.count()


@pytest.fixture(scope="module")
def celonis() -> Iterator[Any]:
    """A local Celonis for this module."""
    with local.start(limits=False) as running:
        yield running


def _rank(age: float | None) -> tuple[bool, float]:
    """Null is the lowest age."""
    return age is not None, age or 0.0


def _apply(stored: list[Row], rows: list[Row], keys: list[str], age: str | None) -> list[Row]:
    """The table after a file, by the words of docs/local.md, row by row."""
    for row in rows:
        same = [
            other
            for other in stored
            if keys and all(row[k] is not None and other[k] == row[k] for k in keys)
        ]
        if age and any(_rank(other[age]) > _rank(row[age]) for other in same):
            continue
        stored = [other for other in stored if other not in same] + [row]
    return stored


ROWS = st.lists(
    st.fixed_dictionaries({
        "K": st.sampled_from([1, 2, None]),
        "L": st.sampled_from(["a", "b"]),
        "A": st.sampled_from([None, -1.0, 0.0, 1.5]),
    }),
    max_size=6,
)  # fmt: skip


@settings(max_examples=25)
@given(
    files=st.lists(ROWS, min_size=1, max_size=4),
    keys=st.sampled_from([[], ["K"], ["K", "L"]]),
    age=st.sampled_from([None, "A"]),
)
def test_the_table_is_that_of_the_model(
    celonis: Any, files: list[list[Row]], keys: list[str], age: str | None
) -> None:
    """Files are applied one after the other, their rows by keys and age; the last wins a tie."""
    pool, age = f"Model {next(_numbers)}", age if keys else None
    options = {"keys": keys, **({"age": age} if age else {})}
    gateway = GatewayClient(celonis, celonis.ingestion(pool, {"T": options}))
    values = itertools.count()
    expected: list[Row] = []
    for number, rows in enumerate(files):
        numbered = [row | {"V": next(values)} for row in rows]
        gateway.put_rows("T", str(number), pa.Table.from_pylist(numbered, SCHEMA))
        expected = _apply(expected, numbered, keys, age)
    celonis.wait_ingested()
    stored = celonis.table(pool, "T", connection="Push data").to_pylist()
    assert sorted(stored, key=lambda row: row["V"]) == sorted(expected, key=lambda row: row["V"])
    mine = [item for item in celonis.objects if gateway.keys.connection in item["key"]]
    found = [(item["state"], item["rows"]) for item in mine]
    assert found == [("INGESTED", len(rows)) for rows in files]


GOOD = file(pa.table({"K": [1, 2], "S": ["a", "b"], "A": [0.5, None]}))


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(place=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255), cut=st.integers(0, len(GOOD)))
def test_a_damaged_file_fails_or_is_read(
    celonis: Any, caplog: pytest.LogCaptureFixture, place: int, byte: int, cut: int
) -> None:
    """Whatever byte was changed or end is missing: the worker goes on, with a reason of its own."""
    keys = celonis.ingestion("Damaged", {"T": {"keys": ["K"], "age": "A"}})
    gateway = GatewayClient(celonis, keys)
    damaged = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]
    for body in (damaged, GOOD[:cut]):
        name = str(next(_numbers))
        assert gateway.put("T", name, body).status_code == 200
        celonis.wait_ingested()
        (item,) = (one for one in celonis.objects if one["key"] == gateway.key("T", name))
        assert item["state"] in ("INGESTED", "FAILED")
        assert (item["state"] == "FAILED") == bool(item["reason"])
        assert "Internal error" not in (item["reason"] or "")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_jobs_and_objects_write_one_table_one_after_the_other(celonis: Any) -> None:
    """A job of the Data Push API into the table of a connection is in nobody's way."""
    keys = celonis.ingestion("Both", {"T": {"keys": ["K"]}})
    gateway = GatewayClient(celonis, keys)
    with celonis.connect() as connection:
        for number in range(5):
            table = pa.table({"K": [number], "V": [number]})
            gateway.put_rows("T", str(number), table)
            connection.push(
                pa.table({"K": [100 + number], "V": [1]}), "Both", "T", keys="K",
                connection=keys.connection,
            )  # fmt: skip
    celonis.wait_ingested()
    assert celonis.table("Both", "T", connection=keys.connection).num_rows == 10


def test_a_restart_keeps_keys_and_ingests_what_waits(tmp_path: Path) -> None:
    """Also what has failed can still be replayed; the files of objects are removed in time."""
    path = tmp_path / "x.duckdb"
    tables = {"T": {"keys": ["K"]}}
    with local.start(path, limits=False) as celonis:
        keys = celonis.ingestion("P", tables, delay=3600.0)
        gateway = GatewayClient(celonis, keys)
        gateway.put_rows("T", "a", pa.table({"K": [1]}))
        failing = GatewayClient(celonis, celonis.ingestion("P", {}, name="Other"))
        failing.put_rows("T", "b", pa.table({"K": [2]}))
        while failing.states()["b"] == "PENDING":
            pass
    (tmp_path / "x.duckdb.chunks" / "objects" / "left").write_bytes(b"half an object")
    with local.start(path, limits=False) as celonis:
        with pytest.raises(TimeoutError):
            celonis.wait_ingested(0.01)
        again = celonis.ingestion("P", tables)
        assert again == keys
        assert _secrets(again) == _secrets(keys)
        assert celonis.ingestion("P", tables, name="Other") == failing.keys
        celonis.wait_ingested()
        assert celonis.replay() == 1
        celonis.wait_ingested()
        gateway = GatewayClient(celonis, keys)
        gateway.put_rows("T", "c", pa.table({"K": [3]}))
        celonis.wait_ingested()
        assert gateway.states() == dict.fromkeys("abc", "INGESTED")
        rows = celonis.table("P", "T", connection="Push data").to_pylist()
        assert sorted(row["K"] for row in rows) == [1, 3]
        assert list((tmp_path / "x.duckdb.chunks" / "objects").iterdir()) == []
        assert _rows_of(celonis, "Other") == [{"K": 2}]


def _rows_of(celonis: Any, connection: str) -> list[Row]:
    rows: list[Row] = celonis.table("P", "T", connection=connection).to_pylist()
    return rows


def _secrets(keys: IngestionKeys) -> tuple[str, str]:
    return keys.access_key.reveal(), keys.secret_key.reveal()


KILLED = """
import sys
from celonis_frames import local
celonis = local.start(sys.argv[1], limits=False)
keys = celonis.ingestion("P", {"T": {}}, delay=float(sys.argv[2]))
print(celonis.url, keys.connection, keys.access_key.reveal(), keys.secret_key.reveal(), keys.bucket,
      keys.region, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("delay", [0.0, 3600.0])
def test_a_stored_object_survives_kill_9(tmp_path: Path, delay: float) -> None:
    """Each object that was acknowledged is in the table once, after the next start."""
    path = tmp_path / "x.duckdb"
    call = [sys.executable, "-c", KILLED, str(path), str(delay)]
    with subprocess.Popen(
        call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url, *given = process.stdout.readline().split()
        gateway = GatewayClient(_At(url), IngestionKeys(*given))
        for number in range(5):
            body = file(pa.table({"N": [number]}))
            assert gateway.put("T", str(number), body).status_code == 200
        os.kill(process.pid, signal.SIGKILL)
    with local.start(path) as celonis:
        celonis.ingestion("P")
        celonis.wait_ingested()
        rows = celonis.table("P", "T", connection="Push data").to_pylist()
        assert sorted(row["N"] for row in rows) == list(range(5))


class _At:
    """A local Celonis of another process."""

    def __init__(self, url: str) -> None:
        self.url = url
