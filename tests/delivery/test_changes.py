"""Upserts and deletes in one job, and a push compared with its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from celonis_frames import Celonis, exceptions, local
from celonis_frames.exceptions import JobError

POOL = "Tests"
FIRST = pl.DataFrame({"K": [1, 2, 3], "V": ["a", "b", "c"]})


@pytest.mark.parametrize("staged", [False, True])
def test_upserts_and_deletes_come_into_effect_together(
    staged: bool, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """One job applies both, in the order given; the status counts all rows."""
    connection.push(FIRST, POOL, table, keys="K")
    staging = str(tmp_path) if staged else None
    with connection.changes(POOL, table, keys="K", staging=staging) as changes:
        changes.upsert(pd.DataFrame({"K": [3, 4], "V": ["new", "new"]}))
        changes.delete(pl.DataFrame({"K": [1, 4], "X": [[1], [2]]}))
        changes.upsert(pa.table({"V": ["again"], "K": [4]}))
    assert changes.status.ok
    assert (changes.status.rows, changes.status.chunks) == (5, 3)
    rows = server.table(POOL, table).sort_by("K").to_pydict()
    assert rows == {"K": [2, 3, 4], "V": ["b", "new", "again"]}
    jobs = [job for job in server.jobs if job["targetName"] == table]
    assert len(jobs) == 2
    assert not list(tmp_path.iterdir())


def test_texts_of_all_frames_are_measured(connection: Celonis, server: Any, table: str) -> None:
    """The longest text of any of the frames gives the column its length."""
    with connection.changes(POOL, table, keys="K") as changes:
        changes.upsert(pl.DataFrame({"K": [1], "V": ["short"]}))
        changes.upsert(pl.DataFrame({"K": [2], "V": ["x" * 500]}))
    assert server.table(POOL, table)["V"].to_pylist()[1] == "x" * 500


def test_an_error_in_the_block_sends_nothing(server: Any, connection: Celonis, table: str) -> None:
    """Neither the user's own error nor a bad frame leaves a job."""
    nulls = pl.DataFrame({"K": [None]}, schema={"K": pl.Int64})

    def change(last: Any) -> None:
        with connection.changes(POOL, table, keys="K") as changes:
            changes.upsert(FIRST)
            last(changes)

    with pytest.raises(ZeroDivisionError):
        change(lambda _: 1 / 0)
    with pytest.raises(exceptions.KeyColumnError, match="1 null"):
        change(lambda changes: changes.delete(nulls))
    assert not [job for job in server.jobs if job["targetName"] == table]


def test_frames_of_one_job_must_agree(connection: Celonis, table: str) -> None:
    """Other columns or types than in an earlier frame are refused, with the columns' names."""
    changes = connection.changes(POOL, table, keys="K")
    changes.upsert(FIRST)
    with pytest.raises(exceptions.FrameError, match=r"\['W'\]"):
        changes.upsert(pl.DataFrame({"K": [1], "V": ["a"], "W": [1]}))
    with pytest.raises(exceptions.FrameError, match=r"\['K'\].*other types"):
        changes.delete(pl.DataFrame({"K": ["1"]}))


def test_no_frames_make_no_job(server: Any, connection: Celonis, table: str) -> None:
    """An empty block sends nothing and has no status; a block cannot be used twice."""
    with connection.changes(POOL, table, keys="K") as changes:
        pass
    with pytest.raises(exceptions.ConfigError, match="no status"):
        _ = changes.status
    with pytest.raises(exceptions.ConfigError, match="sent already"):
        changes.upsert(FIRST)
    assert not [job for job in server.jobs if job["targetName"] == table]


LONGER = pl.DataFrame({"K": [9], "V": ["x" * 81]})


def test_a_delta_with_longer_texts_than_the_table_holds_is_refused(
    server: Any, connection: Celonis, table: str
) -> None:
    """A table keeps its lengths and cuts what is longer: that is told before anything is sent."""
    connection.push(FIRST, POOL, table, mode="REPLACE")
    jobs = len(server.jobs)
    with pytest.raises(exceptions.TruncationError, match=r"'V'.*81 characters.*holds 80"):
        connection.push(LONGER, POOL, table)
    assert len(server.jobs) == jobs
    connection.push(LONGER, POOL, table, verify="none")
    assert server.table(POOL, table)["V"].to_pylist()[3] == "x" * 80  # as the real one does
    connection.push(LONGER, POOL, table, mode="REPLACE")
    connection.push(LONGER, POOL, table)


@pytest.mark.parametrize(
    ("frame", "kind", "message"),
    [
        (pl.DataFrame({"K": ["1"], "V": ["a"]}), exceptions.ColumnTypeError, "'K'.*INTEGER"),
        (pl.DataFrame({"K": [1], "V": [1.5]}), exceptions.ColumnTypeError, "'V'.*FLOAT.*STRING"),
        (LONGER, exceptions.TruncationError, "81"),
    ],
)
def test_verify_schema_tells_before_sending(
    frame: Any, kind: type[Exception], message: str, server: Any, connection: Celonis, table: str
) -> None:
    """verify="schema" compares types and lengths with the table."""
    connection.push(FIRST, POOL, table, mode="REPLACE")
    jobs = len(server.jobs)
    with pytest.raises(kind, match=message):
        connection.push(frame, POOL, table, verify="schema")
    assert len(server.jobs) == jobs


def test_verify_schema_finds_missing_keys(connection: Celonis, table: str) -> None:
    """A key that the table lacks is told, with the columns it has."""
    connection.push(FIRST, POOL, table, mode="REPLACE")
    with pytest.raises(exceptions.KeyColumnError, match=r"'OTHER'.*'K', 'V'"):
        connection.push(pl.DataFrame({"OTHER": [1]}), POOL, table, keys="OTHER", verify=["schema"])


def test_verify_schema_passes_every_type(connection: Celonis, table: str) -> None:
    """A table made by a push fits the same push, whatever its column types are shown as."""
    frame = pl.DataFrame(
        {"I": [1], "F": [1.5], "B": [True], "S": ["x"], "T": [None]},
        schema_overrides={"T": pl.Datetime},
    )
    for _ in range(2):
        assert connection.push(frame, POOL, table, verify="schema").warnings == ()


@pytest.mark.parametrize("verify", [None, "schema"])
def test_without_the_right_to_look_it_goes_on(
    verify: Any, server: Any, connection: Celonis, table: str
) -> None:
    """A key that may only push pushes; only who asked for a comparison gets a note."""
    connection.push(FIRST, POOL, table, mode="REPLACE")
    server.faults.answer("columns", 403)
    status = connection.push(FIRST, POOL, table, verify=verify)
    server.faults.clear()
    assert status.ok
    assert len(status.warnings) == (0 if verify is None else 1)


def test_verify_rows(server: Any, connection: Celonis, table: str) -> None:
    """verify="rows" counts the table after the job, and finds what is too many or too few."""
    for mode, keys in (("REPLACE", None), ("DELTA", None), ("REPLACE", "K"), ("DELTA", "K")):
        status = connection.push(FIRST, POOL, table, mode=mode, keys=keys, verify="rows")
        assert status.warnings == ()
    connection.delete(FIRST.head(1), POOL, table, keys="K", verify="rows")
    space, name = POOL, table
    real = server._store.count
    try:
        server._store.count = lambda *place: real(*place) + (place == (space, name))
        with pytest.raises(JobError, match="4 rows where 3 were expected"):
            connection.push(FIRST, POOL, table, mode="REPLACE", verify="rows")
    finally:
        del server._store.count
    status = connection.push(FIRST, POOL, table, verify="rows", wait=False)
    assert "not waited for" in " ".join(status.wait().warnings)


def test_verify_rows_where_the_server_does_not_tell(table: str) -> None:
    """Without a count the push goes on with a note."""
    with local.start(limits=False) as server, server.connect() as connection:
        server.faults.answer("tables", 403, times=None)
        status = connection.push(FIRST, POOL, table, verify="rows")
        assert "does not tell" in " ".join(status.warnings)


def test_an_unknown_comparison_is_refused(connection: Celonis, table: str) -> None:
    """verify= takes its words only."""
    with pytest.raises(exceptions.ConfigError, match="verify="):
        connection.push(FIRST, POOL, table, verify="everything")  # type: ignore[arg-type]
