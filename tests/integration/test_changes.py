"""Changes (upserts and deletes in one job), and verify=."""

from __future__ import annotations

import re
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
    """The server reports a row count that is wrong by `by`."""
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
def test_upserts_and_deletes_take_effect_together(
    staged: bool, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """One job applies both, in the order in which they were added; the status counts all rows."""
    connection.push(FIRST, POOL, table, keys="K")
    staging = str(tmp_path) if staged else None
    with connection.changes(POOL, table, keys="K", staging=staging) as changes:
        changes.upsert(pd.DataFrame({"K": [3, 4], "V": ["new", "new"]}))
        changes.delete(pl.DataFrame({"K": [1, 4], "X": [[1], [2]]}))
        changes.upsert(pa.table({"V": ["again"], "K": [4]}))
        assert repr(changes) == (
            f"<Changes of {table!r}: 2 frames to upsert, 1 frame of keys to delete>"
        )
    assert repr(changes) == f"<Changes of {table!r}: sent, job {changes.status.job_id}>"
    assert changes.status.ok
    assert (changes.status.rows, changes.status.chunks) == (5, 3)
    rows = server.table(POOL, table).sort_by("K").to_pydict()
    assert rows == {"K": [2, 3, 4], "V": ["b", "new", "again"]}
    jobs = [job for job in server.jobs if job["targetName"] == table]
    assert len(jobs) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["key", "K"])
def test_options_for_other_columns_do_not_concern_deletes(
    key: str, server: Any, connection: Celonis, table: str
) -> None:
    """A frame of keys needs none of the other columns that `columns=` and `rename=` name."""
    options: dict[str, Any] = {
        "keys": key, "columns": {"V": "STRING", key: "INTEGER"},
        "rename": {"key": "K", "value": "V"},
    }  # fmt: skip
    with connection.changes(POOL, table, **options) as changes:
        changes.delete(pl.DataFrame({"key": [2]}))
        changes.upsert(pl.DataFrame({"key": [1], "value": [7]}))
    assert server.table(POOL, table).to_pydict() == {"K": [1], "V": ["7"]}
    with connection.changes(POOL, table, keys="K", rename="upper_snake") as changes:
        changes.delete(pl.DataFrame({"k": [1], "anything else": [None]}))
    assert server.table(POOL, table).num_rows == 0


@pytest.mark.parametrize("file_type", ["PARQUET", "CSV"])
def test_frames_of_one_job_may_order_their_columns(
    file_type: Any, server: Any, connection: Celonis, table: str
) -> None:
    """Columns are matched by name, of upserts as of deletes."""
    with connection.changes(
        POOL, table, keys=["K", "L"], upload={"file_type": file_type}
    ) as changes:
        changes.upsert(pd.DataFrame({"K": ["1"], "L": ["a"], "V": ["x"]}))
        changes.upsert(pd.DataFrame({"V": ["y"], "L": ["b"], "K": ["2"]}))
        changes.upsert(pl.DataFrame({"L": ["c", "d"], "V": ["z"] * 2, "K": ["3", "4"]}))
        changes.delete(pd.DataFrame({"L": ["a"], "K": ["1"]}))
        changes.delete(pd.DataFrame({"K": ["3"], "V": [1], "L": ["c"]}))
    rows = server.table(POOL, table).sort_by("K").to_pydict()
    assert rows == {"K": ["2", "4"], "L": ["b", "d"], "V": ["y", "z"]}


def test_the_longest_string_of_all_frames_sets_the_length(
    connection: Celonis, server: Any, table: str
) -> None:
    """The column's length holds the longest string of any frame."""
    with connection.changes(POOL, table, keys="K") as changes:
        changes.upsert(pl.DataFrame({"K": [1], "V": ["short"]}))
        changes.upsert(pl.DataFrame({"K": [2], "V": ["x" * 500]}))
    assert server.table(POOL, table)["V"].to_pylist()[1] == "x" * 500


def test_an_error_in_the_block_sends_nothing(server: Any, connection: Celonis, table: str) -> None:
    """Neither an error of the user's code nor an invalid frame creates a job."""
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


def test_frames_of_one_job_need_the_same_columns_and_types(connection: Celonis, table: str) -> None:
    """Other columns or types than in an earlier frame are rejected; the error names them."""
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


def test_a_delta_with_longer_strings_than_the_table_allows_is_rejected(
    server: Any, connection: Celonis, table: str
) -> None:
    """A table keeps its lengths and cuts longer strings: the error is raised before sending."""
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
def test_verify_schema_raises_before_sending(
    frame: Any, kind: type[Exception], message: str, server: Any, connection: Celonis, table: str
) -> None:
    """verify="schema" compares types and lengths with the table."""
    connection.push(FIRST, POOL, table, mode="REPLACE")
    jobs = len(server.jobs)
    with pytest.raises(kind, match=message):
        connection.push(frame, POOL, table, verify="schema")
    assert len(server.jobs) == jobs


def test_verify_schema_finds_missing_keys(connection: Celonis, table: str) -> None:
    """The error names the missing key and the table's columns."""
    connection.push(FIRST, POOL, table, mode="REPLACE")
    with pytest.raises(exceptions.KeyColumnError, match=r"'OTHER'.*'K', 'V'"):
        connection.push(pl.DataFrame({"OTHER": [1]}), POOL, table, keys="OTHER", verify=["schema"])


def test_verify_schema_passes_every_type(connection: Celonis, table: str) -> None:
    """A table created by a push fits the same push, whichever column types the API returns."""
    frame = pl.DataFrame(
        {"I": [1], "F": [1.5], "B": [True], "S": ["x"], "T": [None]},
        schema_overrides={"T": pl.Datetime},
    )
    for _ in range(2):
        assert connection.push(frame, POOL, table, verify="schema").warnings == ()


@pytest.mark.parametrize("verify", [None, "schema"])
def test_a_key_without_read_permission_still_pushes(
    verify: Any, server: Any, connection: Celonis, table: str
) -> None:
    """A key that may only push pushes; without verify="schema" there is no warning."""
    connection.push(FIRST, POOL, table, mode="REPLACE")
    server.faults.answer("columns", 403)
    status = connection.push(FIRST, POOL, table, verify=verify)
    server.faults.clear()
    assert status.ok
    assert len(status.warnings) == (0 if verify is None else 1)


def test_verify_rows(server: Any, connection: Celonis, table: str) -> None:
    """verify="rows" counts the rows after the job and raises if there are too many or too few."""
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
    server.faults.slow_jobs(running=0.3)  # it must not be done before the first look
    try:
        status = connection.push(FIRST, POOL, table, verify="rows", wait=False)
        assert "not waited for" in " ".join(status.wait().warnings)
    finally:
        server.faults.clear()


def test_verify_rows_without_row_counts_from_the_server(table: str) -> None:
    """Without row counts the push succeeds with a warning."""
    with local.start(limits=False) as server, server.connect() as connection:
        server.faults.answer("tables", 403, times=None)
        status = connection.push(FIRST, POOL, table, verify="rows")
        told = " ".join(status.warnings)
        assert "does not report" in told
        assert "No call of a Celonis team is known" in told


def test_an_unknown_row_count_is_not_zero(server: Any, connection: Celonis, table: str) -> None:
    """Without a count before, a correct push gives a warning, no error."""
    connection.push(FIRST, POOL, table)
    server.faults.answer("tables", 403)
    status = connection.push(FIRST, POOL, table, verify=["rows", "none"])
    assert "only shows that there are 3 or more" in " ".join(status.warnings)
    assert server.table(POOL, table).num_rows == 6


def test_too_few_rows_are_detected_without_a_count_before(
    server: Any, connection: Celonis, table: str
) -> None:
    """A table with fewer rows than were sent has lost some, in any case."""
    with _miscounted(server, table, -5):
        connection.push(FIRST, POOL, table, mode="REPLACE")
        server.faults.answer("tables", 403)
        with pytest.raises(JobError, match="1 row instead of 3 or more"):
            connection.push(FIRST, POOL, table, verify=["rows", "none"])


@pytest.mark.parametrize("mode", ["DELTA", "REPLACE"])
def test_a_frame_of_too_many_rows_is_rejected_before_anything_is_sent(
    mode: Any, server: Any, connection: Celonis, table: str
) -> None:
    """Its rows are known up front; a frame of nulls takes no memory."""
    frame = pa.table({"A": pa.nulls(2_200_000_000)})
    for send in (connection.push, connection.plan):
        with pytest.raises(exceptions.FrameError, match=r"2,200,000,000 rows.*split it"):
            send(frame, POOL, table, mode=mode)
    assert not [job for job in server.jobs if job["targetName"] == table]


@pytest.mark.parametrize(
    ("there", "found"),
    [(800_000_000, r"would have 800,000,003 rows \(800,000,000 are there, 3 in the frame\)"),
     (2_100_000_000, r"2,100,000,003 rows \(2,100,000,000 are there, 3 in the frame\), more than")],
)  # fmt: skip
def test_rows_that_are_there_count_where_the_server_tells(
    there: int,
    found: str,
    server: Any,
    connection: Celonis,
    table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """verify="rows" knows them for an append; other pushes know only their frame."""
    frame = pl.DataFrame({"A": [1, 2, 3]})
    connection.push(frame, POOL, table)
    jobs = len(server.jobs)
    real = server._catalog.count
    monkeypatch.setattr(
        server._catalog, "count",
        lambda *place: real(*place) - 3 + there if place == (POOL, table) else real(*place),
    )  # fmt: skip
    if there < 1_000_000_000:
        status = connection.push(frame, POOL, table, verify="rows")
        (warning,) = status.warnings
        assert re.search(found, warning)
    else:
        with pytest.raises(exceptions.FrameError, match=found):
            connection.push(frame, POOL, table, verify="rows")
        assert len(server.jobs) == jobs
    assert connection.push(frame, POOL, table).warnings == ()


@pytest.mark.sampled(4)
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
def test_lost_keys_are_detected(
    mode: Any,
    keys: pl.Series,
    lost: int,
    wrong: bool,
    server: Any,
    connection: Celonis,
    table: str,
) -> None:
    """Every distinct key has a row afterwards, if all servers agree that they are distinct."""
    frame = pl.DataFrame({"K": keys})
    with _miscounted(server, table, -lost):
        if wrong:
            with pytest.raises(JobError, match="instead of"):
                connection.push(frame, POOL, table, mode=mode, keys="K", verify="rows")
        else:
            assert connection.push(frame, POOL, table, mode=mode, keys="K", verify="rows").ok


def test_duplicate_keys_in_the_table_are_no_error(
    server: Any, connection: Celonis, table: str
) -> None:
    """An upsert replaces all rows with its key; a table that shrinks gives a warning."""
    connection.push(pl.DataFrame({"K": [1, 1, 1, 2]}), POOL, table)
    status = connection.push(pl.DataFrame({"K": [1]}), POOL, table, keys="K", verify="rows")
    assert server.table(POOL, table).num_rows == 2
    (warning,) = status.warnings
    assert "has 2 rows and had 4" in warning


def test_timeout_excludes_the_time_of_the_with_block(connection: Celonis, table: str) -> None:
    """timeout= starts when the block ends."""
    with connection.changes(POOL, table, keys="K", timeout=1.5) as changes:
        changes.upsert(FIRST)
        time.sleep(1.6)
    assert changes.status.ok


def test_an_unknown_verify_value_is_rejected(connection: Celonis, table: str) -> None:
    """verify= takes only its documented values."""
    with pytest.raises(exceptions.ConfigError, match="verify="):
        connection.push(FIRST, POOL, table, verify="everything")  # type: ignore[arg-type]


def test_different_columns_give_a_warning(connection: Celonis, table: str) -> None:
    """A DELTA warns about columns that the frame lacks, and about new ones."""
    connection.push(FIRST, POOL, table, mode="REPLACE", keys="K")
    frame = pl.DataFrame({"K": [1], "W": [2]})
    status = connection.push(frame, POOL, table, keys="K", missing_columns="null")
    told = " ".join(status.warnings)
    assert "lacks: ['V']" in told
    assert "new columns: ['W']" in told
    assert connection.push(FIRST, POOL, table, keys="K", verify="none").warnings == ()


def test_a_delete_without_a_table_gives_a_warning(connection: Celonis, table: str) -> None:
    """Deleting from a missing table succeeds with a warning."""
    status = connection.delete(FIRST, POOL, table, keys="K")
    assert f"Table {table!r} does not exist" in " ".join(status.warnings)


def test_changes_outside_their_with_block_are_rejected(connection: Celonis, table: str) -> None:
    """upsert() outside the block raises, since nothing would be sent."""
    with pytest.raises(exceptions.ConfigError, match="sent when their with block ends"):
        connection.changes(POOL, table, keys="K").upsert(FIRST)
