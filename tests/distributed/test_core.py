"""Pushes whose rows lie with workers, without an engine: attempts, results, leases, deaths."""

from __future__ import annotations

import pickle
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attempts import (
    BATCH_ROWS,
    HOLDER,
    SCHEMA,
    Attempt,
    begin,
    finish,
    options_of,
    rows_of,
    staged,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from celonis_frames import ApiKey, Celonis, Column, Secret, exceptions
from celonis_frames._distributed.gather import FinishedParts, plan_writes
from celonis_frames._distributed.parts import PartResult, stage_part
from celonis_frames._frames.preparation import prepare
from celonis_frames._push.detached import abort_detached
from celonis_frames._staging.receipt import stage_name

CANARY = "CANARY-of-a-secret"


def ids(server: Any, table: str) -> list[int]:
    """The ids in a table, in order; [] if there is no such table."""
    try:
        found = server.table("P", table)
    except KeyError:
        return []
    return sorted(found["ID"].to_pylist())


def stages(folder: Path) -> list[Path]:
    """The folders of stages."""
    return [path for path in folder.iterdir() if path.is_dir()]


def listed_rows(folder: Path) -> int:
    """The rows that a push would send that lists the folder."""
    files = [path for stage in stages(folder) for path in stage.glob("chunk-*")]
    return sum(int(pq.read_metadata(path).num_rows) for path in files)


@st.composite
def schedules(draw: Any) -> tuple[list[int], list[tuple[int, int | None]], list[int], list[int]]:
    """Batches of each part; attempts, as part and death; the order of turns; the winners."""
    batches = draw(st.lists(st.integers(0, 3), min_size=1, max_size=5).filter(any))
    attempts: list[tuple[int, int | None]] = []
    winners = []
    for part in range(len(batches)):
        fates = draw(st.lists(st.none() | st.integers(0, 2), max_size=2))
        fates.append(None)  # one comes to its end
        done = [len(attempts) + n for n, fate in enumerate(fates) if fate is None]
        winners.append(draw(st.sampled_from(done)))
        attempts += [(part, fate) for fate in fates]
    turns = draw(st.lists(st.integers(0, len(attempts) - 1), max_size=20))
    return batches, attempts, turns, winners


@pytest.mark.exhaustive
@given(schedule=schedules(), late=st.integers(0, 3))
@settings(max_examples=30)
def test_the_rows_of_the_winners_arrive_whatever_the_other_attempts_do(
    server: Any,
    connection: Celonis,
    tmp_path_factory: pytest.TempPathFactory,
    schedule: Any,
    late: int,
) -> None:
    """Attempts interleave, die, repeat each other, and are late: each row is there once.

    Listing the folder instead would send the rows of every other attempt again.
    """
    folder, table = tmp_path_factory.mktemp("stage"), f"T{uuid.uuid4().hex}"
    options = options_of(connection, folder)
    batches, order, turns, winners = schedule
    begun = begin(connection, options, table)
    rows = [rows_of(part, count * BATCH_ROWS) for part, count in enumerate(batches)]
    attempts = [Attempt(begun.plan, part, rows[part], fate) for part, fate in order]
    for turn in turns:
        attempts[turn].go_on()
    # Some that did not win go on only after the end.
    losers = [n for n in range(len(attempts)) if n not in winners]
    for number, attempt in enumerate(attempts):
        if number not in losers[:late]:
            attempt.go_to_the_end()
    results = [attempts[number].result for number in winners]
    assert all(result is not None and result.error is None for result in results)
    expected = sorted(one for table in rows for one in table["ID"].to_pylist())
    sent = {chunk["name"] for result in results if result for chunk in result.chunks}
    others = {path.name for path in folder.glob("*/chunk-*")} - sent
    assert (listed_rows(folder) > len(expected)) == bool(others)

    status = finish(connection, begun, [one for one in results if one], options)

    assert (status.rows, status.parts) == (len(expected), len(batches))
    for number in losers[:late]:
        attempts[number].go_to_the_end()
    assert ids(server, table) == expected
    assert stages(folder) == []


def test_listing_the_folder_would_send_rows_twice(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Two attempts at a part came to their end: what is in the folder is not what is sent."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    rows = [rows_of(part, 3_000) for part in range(3)]
    lost = stage_part(begun.plan, 1, rows[1])
    results = staged(begun.plan, rows)
    assert results[1].attempt != lost.attempt
    assert listed_rows(tmp_path) == 12_000
    assert finish(connection, begun, results, options).rows == 9_000
    assert len(ids(server, table)) == len(set(ids(server, table))) == 9_000


def _without(results: list[PartResult]) -> list[PartResult]:
    return [one for one in results if one.part != 1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_without, "2 results for 2 partitions: partition 1 has 0"),
        (lambda results: [*results, results[1]], "4 results for 4 partitions: partition 1 has 2"),
    ],
    ids=["missing", "twice"],
)
def test_each_partition_has_one_result(
    server: Any,
    connection: Celonis,
    tmp_path: Path,
    table: str,
    change: Callable[[list[PartResult]], list[PartResult]],
    says: str,
) -> None:
    """A result that is missing, or there twice, ends the push: nothing was executed."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    results = staged(begun.plan, [rows_of(part, 10) for part in range(3)])
    with pytest.raises(exceptions.FrameError, match=says):
        finish(connection, begun, change(results), options)
    assert (ids(server, table), stages(tmp_path)) == ([], [])


def test_an_error_of_the_rows_is_raised_as_it_is(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """That of the first partition which has one, with its type, its column and its partition."""
    options = options_of(connection, tmp_path, columns={"T": 3})
    schema = pa.schema([("ID", pa.uint64()), ("T", pa.string())])
    begun = begin(connection, options, table, schema)
    parts = [
        pa.table({"ID": [1, 2], "T": ["a", "b"]}, schema),
        pa.table({"ID": [3, 2**63], "T": ["a", "b"]}, schema),
        pa.table({"ID": [2**64 - 1], "T": ["b"]}, schema),
    ]
    results = staged(begun.plan, parts)
    assert [one.error is None for one in results] == [True, False, False]
    with pytest.raises(
        exceptions.ColumnTypeError, match=r"^In partition 1: Column 'ID' \(uint64\).*in row 1"
    ) as caught:
        finish(connection, begun, results, options)
    assert caught.value.column == "ID"
    assert (ids(server, table), stages(tmp_path)) == ([], [])


def test_what_partitions_show_together_is_checked(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Strings that are too long in one, nulls in the keys of two: the counts are added up."""
    options = options_of(connection, tmp_path, keys="ID")
    begun = begin(connection, options, table)
    parts = [pa.table({"ID": [n, None], "T": ["x", "y"]}, SCHEMA) for n in range(2)]
    with pytest.raises(exceptions.KeyColumnError, match="'ID' has 2 nulls in 4 rows"):
        finish(connection, begun, staged(begun.plan, parts), options)
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    parts = [pa.table({"ID": [n], "T": ["x" * 16_251 * n]}, SCHEMA) for n in range(3)]
    with pytest.raises(exceptions.TruncationError, match="2 strings longer") as caught:
        finish(connection, begun, staged(begun.plan, parts), options)
    assert caught.value.longest == 2 * 16_251
    assert (ids(server, table), stages(tmp_path)) == ([], [])


def test_lengths_are_those_of_all_partitions(
    connection: Celonis, tmp_path: Path, table: str
) -> None:
    """The column is as long as the longest string of any partition needs."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    parts = [pa.table({"ID": [n], "T": ["x" * 1_000 * n]}, SCHEMA) for n in (1, 3, 2)]
    finish(connection, begun, staged(begun.plan, parts), options)
    found = {one.name: one for one in connection.tables("P", columns=True)}[table]
    lengths = {column.name: column.length for column in found.columns}
    assert (lengths["T"] or 0) >= 3_000


def test_keys_are_counted_within_partitions(
    connection: Celonis, tmp_path: Path, table: str
) -> None:
    """A warning says so, and that any of them may be kept; one partition is counted exactly."""
    options = options_of(connection, tmp_path, keys="ID")
    for count, says in ((3, "3 or more have"), (1, "1 has")):
        begun = begin(connection, options, table)
        parts = [pa.table({"ID": [n, n], "T": ["a", "b"]}, SCHEMA) for n in range(count)]
        (warning,) = finish(connection, begun, staged(begun.plan, parts), options).warnings
        assert f"in {2 * count} rows, {says} the key of another row" in warning
        assert ("different partitions were not compared" in warning) == (count > 1)
        assert "any may be kept" in warning


def test_values_left_out_have_the_rows_of_the_whole_frame(
    connection: Celonis, tmp_path: Path, table: str
) -> None:
    """on_bad= counts in all partitions; the positions count through them."""
    options = options_of(connection, tmp_path, on_bad="drop", columns={"T": 2})
    begun = begin(connection, options, table)
    parts = [pa.table({"ID": [1, 2, 3], "T": ["a", "long", "b"]}, SCHEMA) for _ in range(3)]
    status = finish(connection, begun, staged(begun.plan, parts), options)
    assert (status.rows, status.rejects["row"].to_pylist()) == (6, [1, 4, 7])
    assert any("3 of 9 rows left out" in warning for warning in status.warnings)


def test_a_partition_of_another_type_is_named(
    connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Casts without loss are made; a misfit is an error with the partition."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    narrow = pa.table({"T": ["a"], "ID": pa.array([1], pa.int8())})
    assert stage_part(begun.plan, 0, narrow).error is None
    found = stage_part(begun.plan, 4, pa.table({"ID": ["1"], "T": ["a"]})).error
    assert isinstance(found, exceptions.ColumnTypeError)
    assert "Column 'ID' is string in partition 4 and int64 in the schema of the frame" in str(found)
    found = stage_part(begun.plan, 4, pa.table({"ID": [1]})).error
    assert "Partition 4 has other columns" in str(found)
    abort_detached(begun, options)


@pytest.mark.parametrize("parts", [0, 3])
def test_no_rows_in_any_partition(
    server: Any, connection: Celonis, tmp_path: Path, table: str, parts: int
) -> None:
    """A DELTA is an error; a REPLACE makes an empty table."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    empty = [rows_of(part, 0) for part in range(parts)]
    with pytest.raises(exceptions.FrameError, match="no rows"):
        finish(connection, begun, staged(begun.plan, empty), options)
    assert ids(server, table) == []
    options = options_of(connection, tmp_path, mode="REPLACE")
    begun = begin(connection, options, table)
    status = finish(connection, begun, staged(begun.plan, empty), options)
    assert (status.state, status.rows, status.parts) == ("DONE", 0, parts)
    assert server.table("P", table).column_names == ["ID", "T"]


def test_a_few_partitions_without_rows_change_nothing(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """They have no chunks."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    results = staged(begun.plan, [rows_of(0, 0), rows_of(1, 5), rows_of(2, 0)])
    assert [len(one.chunks) for one in results] == [0, 1, 0]
    assert finish(connection, begun, results, options).chunks == 1
    assert len(ids(server, table)) == 5


def test_storage_that_workers_do_not_share(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """A worker that does not see the stage says so, and a sender that does not see a chunk."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    elsewhere = replace(begun.plan, folder=str(tmp_path / "elsewhere"))
    results = staged(elsewhere, [rows_of(0, 5)])
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(exceptions.ConfigError, match=r"cannot be seen from the worker on .*share"):
        finish(connection, begun, results, options)
    assert stages(tmp_path) == []
    for lose in (Path.unlink, lambda path: path.write_bytes(b"half")):
        begun = begin(connection, options, table)
        results = staged(begun.plan, [rows_of(part, 5) for part in range(2)])
        (path,) = tmp_path.glob("*/chunk-000001-*")
        lose(path)
        with pytest.raises(exceptions.ConfigError, match=r"1 chunk of 2 .* cannot be seen.*share"):
            finish(connection, begun, results, options)
    assert (ids(server, table), stages(tmp_path)) == ([], [])


def test_a_worker_without_the_driver(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Its result has the error, with the host and the line that installs it; no task crashes."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    results = staged(replace(begun.plan, folder="oci://bucket/stage"), [rows_of(0, 5)])
    match = rf'pip install "ocifs" \(from the worker on {socket.gethostname()}\)'
    with pytest.raises(ImportError, match=match):
        finish(connection, begun, pickle.loads(pickle.dumps(results)), options)  # noqa: S301  # ours
    assert (ids(server, table), stages(tmp_path)) == ([], [])


def test_types_follow_the_table_that_is_there(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Workers convert as the sender would: whole floats for a column of integers."""
    connection.push(rows_of(0, 3), "P", table, progress=False)
    schema = pa.schema([("ID", pa.float64()), ("T", pa.string())])
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table, schema)
    good = pa.table({"ID": [7.0, 8.0], "T": ["a", None]}, schema)
    bad = pa.table({"ID": [7.5], "T": ["a"]}, schema)
    assert finish(connection, begun, staged(begun.plan, [good]), options).rows == 2
    assert ids(server, table) == [0, 1, 2, 7, 8]
    begun = begin(connection, options, table, schema)
    with pytest.raises(exceptions.ColumnTypeError, match=r"In partition 1: Column 'ID'.*table"):
        finish(connection, begun, staged(begun.plan, [good, bad]), options)
    assert ids(server, table) == [0, 1, 2, 7, 8]


def test_a_stage_that_is_handed_over_is_nobody_else_s(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """Who has it is said to others; the process that was meant to have it goes on."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    results = staged(begun.plan, [rows_of(0, 5)])
    with pytest.raises(exceptions.ConfigError, match=rf"{HOLDER}, until .* UTC at most"):
        connection.resume(tmp_path, progress=False)
    assert finish(connection, begun, results, options).rows == 5
    assert len(ids(server, table)) == 5
    with pytest.raises(exceptions.ConfigError, match="any more"):
        finish(connection, begun, results, options)
    assert len(ids(server, table)) == 5


def test_a_stage_is_handed_over_for_some_time_only(
    server: Any, connection: Celonis, tmp_path: Path, table: str
) -> None:
    """After that resume removes it, and it cannot be finished."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table, seconds=0.0)
    results = staged(begun.plan, [rows_of(0, 5)])
    with pytest.raises(exceptions.FrameError, match="not complete"):
        connection.resume(tmp_path, progress=False)
    assert stages(tmp_path) == []
    with pytest.raises(exceptions.ConfigError, match="any more"):
        finish(connection, begun, results, options)
    assert ids(server, table) == []


def test_an_abort_removes_what_was_begun(connection: Celonis, tmp_path: Path, table: str) -> None:
    """Also once it was aborted, or finished."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    staged(begun.plan, [rows_of(0, 5)])
    for _ in range(2):
        abort_detached(begun, options)
        assert stages(tmp_path) == []


def test_an_attempt_that_comes_after_the_end_leaves_nothing(
    connection: Celonis, tmp_path: Path, table: str
) -> None:
    """It ends with the first chunk that it writes without a stage, and removes it."""
    options = options_of(connection, tmp_path)
    begun = begin(connection, options, table)
    late = Attempt(begun.plan, 0, rows_of(0, 4 * BATCH_ROWS))
    late.go_on()
    (folder,) = stages(tmp_path)
    abort_detached(begun, options)
    folder.mkdir()  # as in a bucket, where files need no folder
    late.go_to_the_end()
    assert (late.result, list(folder.iterdir())) == (None, [])


DYING = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from attempts import finish, options_of
from dying import die_at
from celonis_frames import ApiKey, Celonis

with open(sys.argv[2], "rb") as file:
    url, token, begun, results, staging, state = pickle.load(file)
die_at(state)
with Celonis(url, auth=ApiKey(token)) as celonis:
    finish(celonis, begun, results, options_of(celonis, staging))
"""


@pytest.mark.sampled(3)
@pytest.mark.parametrize("state", ["begun", "staged", "sealed", "uploading", "submitting"])
def test_a_death_in_any_state(own: Any, client: Celonis, tmp_path: Path, state: str) -> None:
    """Until all is staged nothing was sent, and resume removes it; then resume finishes it."""
    folder = tmp_path / "stage"
    options = options_of(client, folder)
    begun = begin(client, options, seconds=0.0 if state == "begun" else 60.0)
    results = staged(begun.plan, [rows_of(part, 5_000) for part in range(3)])
    stage_part(begun.plan, 2, rows_of(2, 5_000))  # an attempt that did not win
    if state != "begun":
        order = tmp_path / "order"
        order.write_bytes(pickle.dumps((own.url, own.token, begun, results, str(folder), state)))
        command = [sys.executable, "-c", DYING, str(Path(__file__).parent), str(order)]
        assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    # An attempt that is late writes into the folder of a push that is sealed.
    late = stage_part(begun.plan, 0, rows_of(0, 5_000))
    assert late.error is None
    if state in ("begun", "staged"):
        with pytest.raises(exceptions.FrameError, match="not complete"):
            client.resume(folder, progress=False)
        assert ids(own, "T") == []
    else:
        (status,) = client.resume(folder, progress=False)
        assert (status.state, status.rows) == ("DONE", 15_000)
        assert ids(own, "T") == [part * 100_000 + n for part in range(3) for n in range(5_000)]
    assert stages(folder) == []


def test_a_push_id_makes_a_repeated_commit_harmless(
    own: Any, client: Celonis, tmp_path: Path
) -> None:
    """Workers write into the folder of the id before the commit begins its stage."""
    options = options_of(client, tmp_path, push_id="query/0")
    begun = begin(client, options, holder=None)
    assert stages(tmp_path) == []
    plan = begun.plan.in_folder(stage_name("query/0"))
    rows = [rows_of(part, 3_000) for part in range(2)]
    for repeated in (False, True):
        staged(plan, rows)  # attempts of an earlier commit that was not made
        status = finish(client, begun, staged(plan, rows), options)
        assert (status.repeated, status.rows) == (repeated, 6_000)
    assert len(ids(own, "T")) == 6_000
    assert stages(tmp_path) == []
    with pytest.raises(exceptions.ConfigError, match="push_id='query/0' cannot be used here"):
        begin(client, options)


def test_objects_are_stored_once_all_is_staged(own: Any, tmp_path: Path) -> None:
    """via="ingestion": the objects are the winners' chunks, in the order of the partitions."""
    keys = own.ingestion("P", tables={"T": {}})
    with Celonis(own.url, auth=ApiKey(own.token), ingestion=keys) as celonis:
        options = options_of(celonis, tmp_path, via="ingestion")
        begun = begin(celonis, options)
        rows = [rows_of(part, 3_000) for part in range(3)]
        stage_part(begun.plan, 0, rows[0])
        results = staged(begun.plan, rows)
        status = finish(celonis, begun, results, options)
        assert (status.state, status.rows, status.parts) == ("ACCEPTED", 9_000, 3)
        own.wait_ingested(30)
        found = own.table("P", "T", connection=keys.connection)
        assert sorted(found["ID"].to_pylist()) == [
            p * 100_000 + n for p in range(3) for n in range(3_000)
        ]
    assert stages(tmp_path) == []


def test_objects_whose_end_is_unknown_are_not_stored_under_other_names(
    own: Any, tmp_path: Path
) -> None:
    """What begins a push chooses the names; a resume then knows which objects may be stored."""
    keys = own.ingestion("P", tables={"T": {}})
    with Celonis(own.url, auth=ApiKey(own.token), ingestion=keys) as celonis:
        options = options_of(celonis, tmp_path, via="ingestion")
        begun = begin(celonis, options)
        results = staged(begun.plan, [rows_of(part, 3_000) for part in range(3)])
        own.faults.drop("put", when="after")
        with pytest.raises(exceptions.UploadUncertain):
            finish(celonis, begun, results, options)
        with pytest.raises(exceptions.UploadUncertain):
            celonis.resume(tmp_path, progress=False)
        own.wait_ingested(30)
        found = own.table("P", "T", connection=keys.connection)["ID"].to_pylist()
    assert len(found) == len(set(found)) > 0


def test_a_commit_that_ends_early_releases_the_stage(own: Any, tmp_path: Path) -> None:
    """Nothing was sent; what aborts the push, in the same process, can remove it."""
    with Celonis(own.url, auth=ApiKey(own.token)) as celonis:
        begun = begin(celonis, options_of(celonis, tmp_path))
        options = options_of(celonis, tmp_path, connection="there is none")
        results = staged(begun.plan, [rows_of(0, 100)])
        with pytest.raises(exceptions.NotFound):
            finish(celonis, begun, results, options)
        abort_detached(begun, options)
    assert stages(tmp_path) == []


def test_no_secret_goes_to_workers(client: Celonis) -> None:
    """Options that hold one are withheld; a worker that lacks them says which, and what to do."""
    options = options_of(
        client, "memory://stage",
        storage_options={"secret": CANARY, "plain": Secret(CANARY), "memory": {"token": CANARY},
                         "anon": True, "endpoint_url": f"https://u:{CANARY}@host"},
    )  # fmt: skip
    parts = FinishedParts("Engine", "sha2", ())
    prepared = prepare(
        pa.table({"ID": [1]}), "T", options, watch=lambda s: replace(s, partitions=parts)
    )
    plan = plan_writes(prepared, None)
    assert CANARY not in repr(plan)
    assert CANARY.encode() not in pickle.dumps(plan)
    assert plan.storage_options == {"anon": True, "memory": {}}
    assert sorted(plan.withheld) == ["endpoint_url", "memory.token", "plain", "secret"]


def test_options_that_need_a_secret_are_an_error(client: Celonis, tmp_path: Path) -> None:
    """Pseudonyms are made by the engine's own function; a staging= with a password is not shown."""
    options = options_of(client, tmp_path, columns={"T": Column(pseudonymise=CANARY)})
    with pytest.raises(
        exceptions.ConfigError, match=r"pseudonymises .*'T'.*function sha2"
    ) as caught:
        begin(client, options)
    assert CANARY not in str(caught.value)
    options = options_of(client, f"memory://user:{CANARY}@host/stage")
    with pytest.raises(exceptions.ConfigError, match="holds a user, a password") as caught:
        begin(client, options)
    assert CANARY not in str(caught.value)
    with pytest.raises(exceptions.ConfigError, match="Engine DataFrame needs staging="):
        begin(client, options_of(client, None))
