"""Upserts and deletes in one job, and a push compared with its table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from celonis_frames import Celonis, exceptions, local
from celonis_frames.exceptions import JobError

POOL = "Tests"


@contextmanager
def _miscounted(server: Any, table: str, by: int) -> Iterator[None]:
    """The server tells so many rows more, or less, than the table has."""
    real = server._catalog.count

    def count(*place: str) -> int:
        return max(0, real(*place) + (by if place == (POOL, table) else 0))

    server._catalog.count = count
    try:
        yield
    finally:
        del server._catalog.count


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
    with connection.changes(POOL, table, keys="K") as changes:
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
    with pytest.raises(exceptions.ConfigError, match="already sent"):
        changes.upsert(FIRST)
    assert not [job for job in server.jobs if job["targetName"] == table]


LONGER = pl.DataFrame({"K": [9], "V": ["x" * 81]})


def test_a_delta_with_longer_texts_than_the_table_holds_is_refused(
    server: Any, connection: Celonis, table: str
) -> None:
    """A table keeps its lengths and cuts what is longer: that is told before anything is sent."""
    connection.push(FIRST, POOL, table, mode="REPLACE")
    jobs = len(server.jobs)
    with pytest.raises(exceptions.TruncationError, match=r"'V'.*81 characters.*length is 80"):
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
    real = server._catalog.count
    try:
        server._catalog.count = lambda *place: real(*place) + (place == (space, name))
        with pytest.raises(JobError, match="4 rows instead of 3"):
            connection.push(FIRST, POOL, table, mode="REPLACE", verify="rows")
    finally:
        del server._catalog.count
    status = connection.push(FIRST, POOL, table, verify="rows", wait=False)
    assert "not waited for" in " ".join(status.wait().warnings)


def test_verify_rows_where_the_server_does_not_tell(table: str) -> None:
    """Without a count the push goes on with a note."""
    with local.start(limits=False) as server, server.connect() as connection:
        server.faults.answer("tables", 403, times=None)
        status = connection.push(FIRST, POOL, table, verify="rows")
        assert "does not report" in " ".join(status.warnings)


def test_a_table_that_could_not_be_counted_is_not_empty(
    server: Any, connection: Celonis, table: str
) -> None:
    """Without the count before, a correct push is no error: a note says how little is known."""
    connection.push(FIRST, POOL, table)
    server.faults.answer("tables", 403)
    status = connection.push(FIRST, POOL, table, verify=["rows", "none"])
    assert "only shows that there are 3 or more" in " ".join(status.warnings)
    assert server.table(POOL, table).num_rows == 6


def test_rows_that_cannot_be_right_are_found_without_a_count_before(
    server: Any, connection: Celonis, table: str
) -> None:
    """A table with fewer rows than were sent has lost some, whatever it had before."""
    with _miscounted(server, table, -5):
        connection.push(FIRST, POOL, table, mode="REPLACE")
        server.faults.answer("tables", 403)
        with pytest.raises(JobError, match="1 row instead of 3 or more"):
            connection.push(FIRST, POOL, table, verify=["rows", "none"])


@pytest.mark.parametrize(
    ("keys", "lost", "wrong"),
    [
        (pl.Series([1, 2, 3]), 1, True),
        (pl.Series(["a", "b", "c"]), 1, True),
        (pl.Series([1, 1, 2]), 0, False),
        (pl.Series([1, 1, 2]), 1, True),
        (pl.Series([0.0, 1.0, 2.0]), 1, False),  # two may be one for the server
        (pl.Series([0.0, 1.0, 2.0]), 3, True),
        (pl.Series([0, 1, 2]).cast(pl.Datetime("ns")), 0, False),  # one is left of them
    ],
)
@pytest.mark.parametrize("mode", ["REPLACE", "DELTA"])
def test_lost_keys_are_found(
    mode: Any,
    keys: pl.Series,
    lost: int,
    wrong: bool,
    server: Any,
    connection: Celonis,
    table: str,
) -> None:
    """Every different key that is sent has a row afterwards, where servers agree on different."""
    frame = pl.DataFrame({"K": keys})
    with _miscounted(server, table, -lost):
        if wrong:
            with pytest.raises(JobError, match="instead of"):
                connection.push(frame, POOL, table, mode=mode, keys="K", verify="rows")
        else:
            assert connection.push(frame, POOL, table, mode=mode, keys="K", verify="rows").ok


def test_keys_that_the_table_held_twice_are_no_error(
    server: Any, connection: Celonis, table: str
) -> None:
    """An upsert replaces all rows with its key, so that the table may shrink: that is a note."""
    connection.push(pl.DataFrame({"K": [1, 1, 1, 2]}), POOL, table)
    status = connection.push(pl.DataFrame({"K": [1]}), POOL, table, keys="K", verify="rows")
    assert server.table(POOL, table).num_rows == 2
    (warning,) = status.warnings
    assert "has 2 rows and had 4" in warning


def test_the_time_of_the_block_is_the_users(connection: Celonis, table: str) -> None:
    """timeout= bounds the sending, which begins when the block ends."""
    with connection.changes(POOL, table, keys="K", timeout=1.5) as changes:
        changes.upsert(FIRST)
        time.sleep(1.6)
    assert changes.status.ok


def test_an_unknown_comparison_is_refused(connection: Celonis, table: str) -> None:
    """verify= takes its words only."""
    with pytest.raises(exceptions.ConfigError, match="verify="):
        connection.push(FIRST, POOL, table, verify="everything")  # type: ignore[arg-type]


def test_columns_that_differ_are_told(connection: Celonis, table: str) -> None:
    """A DELTA that lacks columns of the table, or brings new ones, says so."""
    connection.push(FIRST, POOL, table, mode="REPLACE", keys="K")
    status = connection.push(pl.DataFrame({"K": [1], "W": [2]}), POOL, table, keys="K")
    told = " ".join(status.warnings)
    assert "lacks: ['V']" in told
    assert "new columns: ['W']" in told
    assert connection.push(FIRST, POOL, table, keys="K", verify="none").warnings == ()


def test_a_delete_without_a_table_is_told(connection: Celonis, table: str) -> None:
    """Deleting from a table that is not there succeeds, with a word about it."""
    status = connection.delete(FIRST, POOL, table, keys="K")
    assert f"Table {table!r} does not exist" in " ".join(status.warnings)


def test_changes_outside_their_block_are_refused(connection: Celonis, table: str) -> None:
    """Frames that would never be sent are not taken."""
    with pytest.raises(exceptions.ConfigError, match="sent when their with block ends"):
        connection.changes(POOL, table, keys="K").upsert(FIRST)
