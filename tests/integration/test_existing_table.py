"""Pushes into a table that is there: types that drift, missing columns, only new tables."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import celonis_frames
from celonis_frames import Celonis, OAuth2, exceptions
from celonis_frames._auth.oauth2 import DATA_PUSH

POOL = "Existing"
GAP = float("nan")

Make = Callable[[dict[str, list[Any]], Path], Any]


def _pandas(values: dict[str, list[Any]], _: Path) -> Any:
    return pd.DataFrame(values)


def _polars(values: dict[str, list[Any]], _: Path) -> Any:
    return pl.from_arrow(_arrow(values))


def _lazy(values: dict[str, list[Any]], path: Path) -> Any:
    return _polars(values, path).lazy()


def _generator(values: dict[str, list[Any]], _: Path) -> Any:
    whole = _arrow(values)
    return (whole.slice(row, 1).combine_chunks().to_batches()[0] for row in range(whole.num_rows))


def _parquet(values: dict[str, list[Any]], path: Path) -> Any:
    """Two files, each with some of the rows."""
    folder = path / f"part {len(list(path.iterdir()))}"
    folder.mkdir()
    frame = _polars(values, path)
    for place, part in enumerate((frame.head(1), frame.tail(-1))):
        part.write_parquet(folder / f"{place}.parquet")
    return str(folder / "*.parquet")


def _arrow(values: dict[str, list[Any]]) -> Any:
    """The types that pandas infers: one gap among integers makes floats."""
    frame = pd.DataFrame(values)
    return pa.Table.from_pandas(frame, preserve_index=False)


MAKES = [_pandas, _polars, _lazy, _generator, _parquet]
LONG = "x" * 300
STORIES: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    "a gap among integers": ([1, 2], [3, GAP], [3, None]),
    "a gap on the first day": ([1, GAP], [3, 4], [3.0, 4.0]),
    "whole days in a table of floats": ([1.5, 2.5], [3, 4], [3.0, 4.0]),
    "whole floats in a table of integers": ([1, 2], [3.0, 4.0], [3, 4]),
    "nulls on the first day, then strings": ([None, None], ["a", "b"], ["a", "b"]),
    "nulls on the first day, then integers": ([None, None], [3, 45], ["3", "45"]),
    "strings, then nulls": (["a", "b"], [None, None], [None, None]),
    "integers, then nulls": ([1, 2], [None, None], [None, None]),
    "floats, then nulls": ([1.5, 2], [None, None], [None, None]),
    "shorter strings": ([LONG, "a"], ["b", "c"], ["b", "c"]),
    "strings as long as the column": (["a", "b"], ["y" * 80, "c"], ["y" * 80, "c"]),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("story", STORIES)
def test_types_that_drift_end_well(
    make: Make, story: str, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """The second day is stored with the types of the first, with no argument given."""
    first, second, stored = STORIES[story]
    connection.push(make({"K": [1, 2], "V": first}, tmp_path), POOL, table, keys="K")
    before = server.table(POOL, table)
    status = connection.push(make({"K": [2, 3], "V": second}, tmp_path), POOL, table, keys="K")
    assert status.ok
    after = server.table(POOL, table).sort_by("K")
    assert after.schema == before.schema
    kept = before.sort_by("K")["V"].to_pylist()[0]
    assert after["V"].to_pylist() == [kept, *stored]
    as_text = [warning for warning in status.warnings if "sent as text" in warning]
    assert len(as_text) == (story == "nulls on the first day, then integers")


def test_a_day_of_nulls_has_the_type_of_the_table(
    server: Any, connection: Celonis, table: str
) -> None:
    """Also of times, and from a column that has no type at all."""
    day = pd.Timestamp("2024-02-29 12:00")
    first = pd.DataFrame({"K": [1], "T": [day], "S": ["a"], "F": [1.5], "I": [1]})
    connection.push(first, POOL, table, keys="K")
    nothing = pl.DataFrame({"K": [2], **dict.fromkeys("TSFI", None)})
    assert connection.push(nothing, POOL, table, keys="K").ok
    back = server.table(POOL, table).sort_by("K").to_pylist()
    assert back == [first.to_dict("records")[0], {"K": 2, **dict.fromkeys("TSFI")}]


MISFITS: dict[str, tuple[list[Any], list[Any], tuple[str, ...]]] = {
    "a fraction among integers": ([1, 2], [3.0, 1.5], ("FLOAT", "INTEGER", "row 1")),
    "integers beyond floats": ([1.5, 2], [3, 2**53 + 1], ("INTEGER", "FLOAT", "row 1")),
    "nulls on the first day, then floats": ([None, None], [GAP, 1.5], ("FLOAT", "STRING", "row 1")),
    "strings in a table of integers": ([1, 2], ["a", "b"], ("STRING", "INTEGER", "row 0")),
    "truths in a table of floats": ([1.5, 2], [True, False], ("BOOLEAN", "FLOAT", "row 0")),
    "longer strings": (["a", "b"], ["c", LONG], ("300", "80")),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("story", MISFITS)
def test_what_does_not_fit_is_an_error_before_the_job_is_executed(
    make: Make, story: str, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """The error names the column, both types, the first row and the way out."""
    first, second, words = MISFITS[story]
    connection.push(make({"K": [1, 2], "V": first}, tmp_path), POOL, table, keys="K")
    before = server.table(POOL, table)
    with pytest.raises(exceptions.FrameError) as caught:
        connection.push(make({"K": [2, 3], "V": second}, tmp_path), POOL, table, keys="K")
    for word in ("'V'", f"'{table}'", 'mode="REPLACE"', *words):
        assert word in str(caught.value)
    assert server.table(POOL, table) == before
    assert [job["status"] for job in _jobs(server, table)] in (["DONE"], ["CANCELED", "DONE"])


def _jobs(server: Any, table: str) -> list[dict[str, Any]]:
    jobs = [job for job in server.jobs if job["targetName"] == table]
    return sorted(jobs, key=lambda job: job["status"])


def test_keys_are_never_sent_as_text(server: Any, connection: Celonis, table: str) -> None:
    """As text "7" is not the key "007", and of "9" and "10" the greater is "9"."""
    connection.push(pl.DataFrame({"K": ["007"], "V": ["7"]}), POOL, table, keys="K")
    for frame, options in (
        (pl.DataFrame({"K": [7], "V": ["8"]}), {}),
        (pl.DataFrame({"K": ["7", "7"], "V": [9, 10]}), {"deduplicate_by": "V"}),
    ):
        with pytest.raises(exceptions.ColumnTypeError, match=r"INTEGER.*STRING"):
            connection.push(frame, POOL, table, keys="K", **options)
        plan = connection.plan(frame, POOL, table, keys="K", **options)
        assert plan.level == "fatal"
    assert server.table(POOL, table).to_pydict() == {"K": ["007"], "V": ["7"]}


def test_keys_to_delete_follow_the_table(server: Any, connection: Celonis, table: str) -> None:
    """Whole floats match the integers; a fraction, and a type in columns=, are errors."""
    connection.push(pl.DataFrame({"K": [1, 2, 3], "V": ["a"] * 3}), POOL, table, keys="K")
    connection.delete(pd.DataFrame({"K": [1.0, 2.0]}), POOL, table, keys="K")
    assert server.table(POOL, table)["K"].to_pylist() == [3]
    with pytest.raises(exceptions.ColumnTypeError, match=r"not whole.*row 1"):
        connection.delete(pd.DataFrame({"K": [3, 0.5]}), POOL, table, keys="K")
    with pytest.raises(exceptions.ColumnTypeError, match=r"columns= says.*INTEGER in table"):
        connection.delete(pl.DataFrame({"K": [3]}), POOL, table, keys="K", columns={"K": "STRING"})
    assert server.table(POOL, table)["K"].to_pylist() == [3]


def test_a_type_in_columns_is_not_changed(server: Any, connection: Celonis, table: str) -> None:
    """It is sent if the table has it, and an error before the upload if not."""
    connection.push(pl.DataFrame({"A": [1.5], "B": ["x"]}), POOL, table)
    frame = pl.DataFrame({"A": [2], "B": [7]})
    assert connection.push(frame, POOL, table, columns={"A": "FLOAT", "B": "STRING"}).ok
    assert server.table(POOL, table).to_pydict() == {"A": [1.5, 2.0], "B": ["x", "7"]}
    for upload in ({}, {"job_options": {"upsertStrategy": "UPSERT_WITH_UNCHANGED_METADATA"}}):
        with pytest.raises(exceptions.ColumnTypeError, match=r"columns= says.*FLOAT in table"):
            connection.push(
                frame, POOL, table, keys="B", columns={"A": "STRING", "B": "STRING"}, upload=upload
            )
    length = {"B": 20}  # which is no type
    assert connection.push(pl.DataFrame({"A": [3], "B": [None]}), POOL, table, columns=length).ok


def test_names_are_compared_as_celonis_does(server: Any, connection: Celonis, table: str) -> None:
    """Case and blanks make no other column, and rename= comes first."""
    connection.push(pl.DataFrame({"Key": [1], "Straße": [1]}), POOL, table, keys="Key")
    assert connection.push(pl.DataFrame({" key": [2], "STRASSE": [2]}).rename(
        {"STRASSE": "straße "}), POOL, f"{table} ".lower(), keys="key").ok  # fmt: skip
    frame = pd.DataFrame({"id": [3.0], "street": [3.0]})
    rename = {"id": "KEY", "street": "STRAßE"}
    assert connection.push(frame, POOL, table, keys="id", rename=rename).ok
    back = server.table(POOL, table).sort_by("Key")
    assert back.to_pydict() == {"Key": [1, 2, 3], "Straße": [1, 2, 3]}


def test_odd_names_of_tables_are_found(server: Any, connection: Celonis) -> None:
    """Whatever their URLs must escape."""
    for table in ("A&tableName=c", "Ä/ö %20#?+", 'it\'s "x"', "a" * 128, "部品"):
        connection.push(pl.DataFrame({"K": [1]}), POOL, table)
        assert connection.push(pd.DataFrame({"K": [2.0]}), POOL, table).ok
        assert sorted(server.table(POOL, table)["K"].to_pylist()) == [1, 2]
        assert connection.plan(pl.DataFrame({"K": [1]}), POOL, table).exists


def test_csv_follows_the_table(server: Any, connection: Celonis, table: str) -> None:
    """The file has the text of the table's type."""
    connection.push(pl.DataFrame({"A": [1], "B": ["x"], "C": [0.5]}), POOL, table)
    frame = pd.DataFrame({"A": [2.0, GAP], "B": [7, 8], "C": [1, 2]})
    assert connection.push(frame, POOL, table, upload={"file_type": "CSV"}).ok
    assert server.table(POOL, table).slice(1).to_pydict() == {
        "A": [2, None], "B": ["7", "8"], "C": [1.0, 2.0],
    }  # fmt: skip


def test_infinities_are_nulls_before_they_are_compared(
    server: Any, connection: Celonis, table: str
) -> None:
    """infinity="null" leaves whole numbers."""
    connection.push(pl.DataFrame({"A": [1]}), POOL, table)
    frame = pl.DataFrame({"A": [2.0, float("inf")]})
    assert connection.push(frame, POOL, table, infinity="null").ok
    assert server.table(POOL, table)["A"].to_pylist() == [1, 2, None]


# Columns that are missing

WHOLE = pl.DataFrame({"K": [1, 2], "A": ["a", "b"], "B": [1, 2]})
PART = pl.DataFrame({"K": [2, 3], "A": ["c", "d"]})


@pytest.mark.parametrize("how", ["push", "push_many", "changes", "staging"])
def test_an_upsert_that_would_wipe_columns_is_rejected(
    how: str, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """Before anything is uploaded; missing_columns="null" sends it, with one warning."""
    connection.push(WHOLE, POOL, table, keys="K")

    def push(**options: Any) -> Any:
        if how == "push_many":
            return connection.push_many({table: PART}, POOL, keys="K", **options)[table]
        if how == "changes":
            with connection.changes(POOL, table, keys="K", **options) as changes:
                changes.upsert(PART.head(1))
                changes.delete(pl.DataFrame({"K": [9]}))
                changes.upsert(PART.tail(1))
            return changes.status
        if how == "staging":
            options["staging"] = str(tmp_path)
        return connection.push(PART, POOL, table, keys="K", **options)

    with pytest.raises(exceptions.FrameError, match=r"lacks columns.*\['B'\].*up to . row"):
        push()
    assert server.table(POOL, table).sort_by("K").to_pylist() == WHOLE.to_dicts()
    assert len(_jobs(server, table)) == 1
    status = push(missing_columns="null")
    (warning,) = [warning for warning in status.warnings if "'B'" in warning]
    assert "also those that had a value" in warning
    assert server.table(POOL, table).sort_by("K").to_pydict() == {
        "K": [1, 2, 3], "A": ["a", "c", "d"], "B": [1, None, None],
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_an_append_that_lacks_columns_gives_a_warning(
    server: Any, connection: Celonis, table: str
) -> None:
    """Nothing that is there is lost; missing_columns="error" rejects it all the same."""
    connection.push(WHOLE, POOL, table)
    status = connection.push(PART.with_columns(C=1), POOL, table)
    assert [("'B'" in text, "'C'" in text) for text in status.warnings] == [
        (True, False), (False, True),
    ]  # fmt: skip
    with pytest.raises(exceptions.FrameError, match=r"missing_columns=\"error\" rejects"):
        connection.push(PART, POOL, table, missing_columns="error")
    assert connection.plan(PART, POOL, table).level == "safe"
    assert connection.plan(PART, POOL, table, missing_columns="error").level == "fatal"
    assert server.table(POOL, table).num_rows == 4


def test_a_stream_and_a_frame_without_rows_name_no_number(connection: Celonis, table: str) -> None:
    """How many rows would lose values is said where it is known."""
    connection.push(WHOLE, POOL, table, keys="K")
    for frame in (iter([PART]), PART.clear()):
        with pytest.raises(exceptions.FrameError, match="so rows of the table would lose"):
            connection.push(frame, POOL, table, keys="K")


def test_of_thousands_of_columns_the_first_ones_are_named(
    server: Any, connection: Celonis, table: str
) -> None:
    """Errors, warnings and the text of a plan stay readable; the differences are all there."""
    wide = pl.DataFrame({f"C{place}": [place] for place in range(5_000)})
    connection.push(wide, POOL, table, keys="C0")
    narrow = pl.DataFrame({"C0": [1.0]})
    with pytest.raises(exceptions.FrameError, match=r"4,999 in all") as caught:
        connection.push(narrow, POOL, table, keys="C0")
    assert len(str(caught.value)) < 1_500
    plan = connection.plan(narrow, POOL, table, keys="C0")
    assert len(plan.differences) == len(plan.to_dict()["differences"]) == 5_000
    assert "4,950 more differences" in repr(plan)
    assert len(repr(plan).splitlines()) < 70
    with pytest.raises(exceptions.FrameError, match="and 4,995 more"):
        connection.push(narrow, POOL, table, keys="C0", schema_mode="freeze")
    drifted = wide.select(pl.all().cast(pl.Float64))
    assert connection.push(drifted, POOL, table, keys="C0").ok
    assert server.table(POOL, table).to_pylist() == wide.to_dicts()


# A table that cannot be seen


@pytest.fixture
def pool(own: Any) -> str:
    """A pool's id at a local Celonis of its own, for clients that may not look names up."""
    return str(own.add_pool(POOL))


@pytest.fixture
def blind(own: Any) -> Iterator[Celonis]:
    """A connection that may push and see no table."""
    with Celonis(own.url, auth=OAuth2(*own.oauth_client, scopes=DATA_PUSH)) as connection:
        yield connection


def _lines(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    messages = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    return [message for message in messages if words in message]


def test_a_key_that_sees_no_table_is_warned_once(
    own: Any, client: Celonis, blind: Celonis, pool: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Pushes go on as before; the log says once what was not checked and which scope shows it."""
    client.push_many({"T": WHOLE, "U": WHOLE}, POOL, keys="K")
    blind.plan(PART, pool, "T", keys="K")
    assert _lines(caplog, "become NULL") == []
    statuses = [
        *blind.push_many({"T": PART, "U": PART}, pool, keys="K").values(),
        blind.push(PART, pool, "T", keys="K"),
    ]
    assert [(status.ok, status.warnings) for status in statuses] == [(True, ())] * 3
    (line,) = _lines(caplog, "become NULL")
    for word in ("integration.data-pools:read", "once per connection", 'missing_columns="null"'):
        assert word in line
    assert own.table(POOL, "T").sort_by("K")["B"].to_pylist() == [1, None, None]
    blind.push(PART, pool, "T")  # appends and accepted NULLs need no warning
    with Celonis(own.url, auth=OAuth2(*own.oauth_client, scopes=DATA_PUSH)) as another:
        another.push(PART, pool, "T", keys="K", missing_columns="null")
        another.delete(PART, pool, "T", keys="K")
        assert len(_lines(caplog, "become NULL")) == 1
        another.push(PART, pool, "T", keys="K")
        assert len(_lines(caplog, "become NULL")) == 2


@pytest.mark.parametrize(
    "options", [{"missing_columns": "error"}, {"schema_mode": "freeze"}, {"mode": "CREATE"}]
)
def test_what_needs_the_table_is_an_error_without_it(
    own: Any, blind: Celonis, pool: str, options: dict[str, Any]
) -> None:
    """An option that was given is never left out in silence."""
    (name,) = options
    for call in (blind.push, blind.plan):
        with pytest.raises(exceptions.ConfigError, match=rf"{name}=.*integration\.data-pools:read"):
            call(PART, pool, "T", keys="K", **options)
    assert own.jobs == []


def test_a_comparison_that_was_asked_for_and_is_not_possible_is_a_warning(
    blind: Celonis, pool: str
) -> None:
    """In the status and in the plan."""
    for options in ({"schema_mode": "align"}, {"verify": "schema"},
                    {"schema_mode": "align", "mode": "REPLACE"}):  # fmt: skip
        (warning,) = blind.push(PART, pool, "T", **options).warnings
        assert "could not be compared" in warning
    plan = blind.plan(PART, pool, "T")
    assert (plan.exists, plan.level) == (None, None)
    assert "could not be compared" in plan.warnings[0]


@pytest.mark.parametrize("how", ["500", "drop", "429"])
def test_an_upsert_waits_for_a_server_that_fails_now_and_then(
    own: Any, client: Celonis, how: str
) -> None:
    """A failure that passes hides nothing; one that stays ends the push before its job."""

    def fail(times: int | None) -> None:
        if how == "drop":
            own.faults.drop("columns", times=times)
        else:
            own.faults.answer("columns", int(how), times=times)

    client.push(WHOLE, POOL, "T", keys="K")
    fail(2)
    with pytest.raises(exceptions.FrameError, match="lacks columns"):
        client.push(PART, POOL, "T", keys="K")
    fail(None)
    for options in ({}, {"missing_columns": "error"}, {"schema_mode": "freeze"}):
        with pytest.raises(exceptions.ApiError):
            client.push(PART, POOL, "T", keys="K", **options)
    with client.changes(POOL, "T", keys="K") as changes:
        changes.delete(pl.DataFrame({"K": [1]}))  # nothing can be lost by this one
        with pytest.raises(exceptions.ApiError):
            changes.upsert(PART)
    assert len(own.jobs) == 2
    assert own.table(POOL, "T").to_pylist() == WHOLE.to_dicts()[1:]
    # What can lose nothing, or is accepted, goes on after one try.
    own.faults.clear()
    fault = own.faults.answer("columns", 503, times=None)
    assert client.push(PART, POOL, "T").ok
    assert client.push(PART, POOL, "T", keys="K", missing_columns="null").ok
    assert client.delete(PART, POOL, "T", keys="K").ok
    assert client.push(PART, POOL, "T", mode="REPLACE").ok
    assert fault.hits == 4


def test_a_response_that_is_no_list_of_columns_is_no_reason_to_stop(
    own: Any, client: Celonis, caplog: pytest.LogCaptureFixture
) -> None:
    """A gateway that answers for the server is named in the warning."""
    client.push(WHOLE, POOL, "T", keys="K")
    own.faults.answer("columns", 400, body=b"no such call", times=None)
    assert client.push(PART, POOL, "T", keys="K").ok
    (line,) = _lines(caplog, "become NULL")
    assert "400" in line


def test_the_time_of_a_push_ends_the_reading_of_columns(own: Any, client: Celonis) -> None:
    """As JobTimeout, whatever the push needs the columns for."""
    client.push(WHOLE, POOL, "T", keys="K")
    for options in ({"keys": "K"}, {"mode": "CREATE"}, {}):
        own.faults.stall("columns")
        with pytest.raises(exceptions.JobTimeout, match="while the columns of table 'T' were read"):
            client.push(WHOLE, POOL, "T", timeout=0.5, **options)
    assert len(own.jobs) == 1


def test_no_comparison_means_no_call(own: Any, client: Celonis) -> None:
    """verify="none" sends what the frame has, and contradicts the options that compare."""
    client.push(WHOLE, POOL, "T", keys="K")
    fault = own.faults.answer("columns", 500, times=None)
    assert client.push(PART, POOL, "T", keys="K", verify="none").ok
    with pytest.raises(exceptions.JobFailed):
        client.push(pd.DataFrame({"K": [1.0]}), POOL, "T", verify="none")
    assert fault.hits == 0
    for options in ({"schema_mode": "freeze"}, {"missing_columns": "error"}, {"mode": "CREATE"}):
        with pytest.raises(exceptions.ConfigError, match='verify="none"'):
            client.push(PART, POOL, "T", keys="K", verify="none", **options)


# The modes


def test_only_a_new_table(server: Any, connection: Celonis, table: str) -> None:
    """mode="CREATE" makes it, and leaves one that is there, in whatever case it is spelled."""
    status = connection.push(WHOLE, POOL, table, mode="create")
    assert f"{table} (CREATE)" in repr(status)
    assert status.to_dict()["mode"] == "CREATE"
    assert status.job_id is not None
    assert connection.job(POOL, status.job_id).mode == "REPLACE"  # as the job shows it
    for name in (table, table.lower(), f" {table}"):
        with pytest.raises(exceptions.ConfigError, match="exists, with 3 columns"):
            connection.push(PART, POOL, name, mode="CREATE")
        with pytest.raises(exceptions.ConfigError, match="exists, with 3 columns"):
            connection.plan(PART, POOL, name, mode="CREATE")
    assert server.table(POOL, table).num_rows == 2
    assert [job["type"] for job in _jobs(server, table)] == ["REPLACE"]
    server.add_connection(POOL, "Its own")
    assert connection.push(PART, POOL, table, mode="CREATE", connection="Its own").ok


def test_each_data_connection_has_its_own_table(
    server: Any, connection: Celonis, table: str
) -> None:
    """The columns compared are those of the schema that the push writes to."""
    server.add_connection(POOL, "Other")
    connection.push(WHOLE, POOL, table, keys="K")
    connection.push(PART, POOL, table, keys="K", connection="Other")
    assert connection.push(PART, POOL, table, keys="K", connection="Other").ok
    assert connection.plan(PART, POOL, table, keys="K", connection="Other").differences == ()
    with pytest.raises(exceptions.FrameError, match="lacks columns"):
        connection.push(PART, POOL, table, keys="K")


FROZEN = pl.DataFrame({"K": [1], "V": ["a"]})


@pytest.mark.parametrize("mode", ["DELTA", "REPLACE"])
@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (FROZEN.with_columns(N=1), "'N' is not in the table"),
        (FROZEN.drop("V"), "'V' is not in the frame"),
        (FROZEN.with_columns(V=1), "'V' is INTEGER instead of STRING"),
        (FROZEN.with_columns(K=1.0), "'K' is FLOAT instead of INTEGER"),
        (FROZEN.with_columns(V=pl.lit(LONG)), "300 characters"),
    ],
)
def test_freeze_rejects_every_difference(
    mode: Any, frame: Any, words: str, server: Any, connection: Celonis, table: str
) -> None:
    """Columns, types and lengths; and the advice is no mode that was given."""
    connection.push(FROZEN, POOL, table, keys="K")
    with pytest.raises(exceptions.FrameError, match=words) as caught:
        connection.push(frame, POOL, table, keys="K", mode=mode, schema_mode="freeze")
    plan = connection.plan(frame, POOL, table, keys="K", mode=mode, schema_mode="freeze")
    assert plan.level == "fatal"
    assert not (mode == "REPLACE" and 'mode="REPLACE"' in f"{caught.value} {plan}")
    assert server.table(POOL, table).to_pylist() == FROZEN.to_dicts()
    same = pl.DataFrame({"k": [2], "v": [None]})
    assert connection.push(same, POOL, table, keys="k", mode=mode, schema_mode="freeze").ok


def test_freeze_makes_no_table_and_concerns_keys_to_delete(
    server: Any, connection: Celonis, table: str
) -> None:
    """A name that is misspelled makes no second table."""
    with pytest.raises(exceptions.FrameError, match="does not exist"):
        connection.push(FROZEN, POOL, table, schema_mode="freeze")
    connection.push(FROZEN, POOL, table, keys="K")
    with (
        pytest.raises(exceptions.FrameError, match="'K' is FLOAT"),
        connection.changes(POOL, table, keys="K", schema_mode="freeze") as changes,
    ):
        changes.delete(pl.DataFrame({"K": [1.0]}))
    assert server.table(POOL, table).num_rows == 1


def test_a_replace_takes_the_types_of_the_frame(
    server: Any, connection: Celonis, table: str
) -> None:
    """`evolve` is its default, and possible for no DELTA; columns that it drops are named."""
    connection.push(pl.DataFrame({"A": ["x" * 200], "B": [1], "C": [1]}), POOL, table)
    status = connection.push(pl.DataFrame({"A": ["x"], "B": [1.5]}), POOL, table, mode="REPLACE")
    assert server.table(POOL, table).to_pydict() == {"A": ["x"], "B": [1.5]}
    (warning,) = status.warnings
    assert "'C'" in warning
    assert "loses columns" in warning
    with pytest.raises(exceptions.ConfigError, match="only REPLACE can do"):
        connection.push(pl.DataFrame({"A": [1]}), POOL, table, schema_mode="evolve")


TYPED = {
    "DATE": [dt.date(2024, 1, 2), dt.date(2024, 1, 3)],
    "DATETIME": [dt.datetime(2024, 1, 2, 3), dt.datetime(2024, 1, 3, 4)],
    "INTEGER": [1, 2],
    "FLOAT": [1.5, 2.5],
    "BOOLEAN": [True, False],
}


@pytest.mark.parametrize("kind", TYPED)
@pytest.mark.parametrize("schema_mode", [None, "align"])
def test_a_replace_that_makes_a_column_text_says_so(
    connection: Celonis, table: str, kind: str, schema_mode: Any
) -> None:
    """The warning and the plan name the column and both types; who asks for STRING gets none."""
    frame = pl.DataFrame({"AT": TYPED[kind], "B": ["b", "c"]})
    connection.push(frame, POOL, table)
    text = frame.with_columns(AT=pl.Series(["02.01.2024", "x"]))
    options: dict[str, Any] = {"mode": "REPLACE", "schema_mode": schema_mode}
    shown = {"DATETIME": "DATE", "BOOLEAN": "INTEGER"}.get(kind, kind)
    plan = connection.plan(text, POOL, table, **options)
    assert plan.level == "lossy"
    assert (
        f"lossy: AT: STRING in the frame, {shown} in the table. REPLACE changes the type to STRING"
        in str(plan)
    )
    asked = connection.plan(text, POOL, table, **options, columns={"AT": "STRING"})
    assert asked.level == "safe"
    warning = connection.push(text, POOL, table, **options).warnings[-1]
    for word in (f"AT ({shown} to STRING)", repr(table), "Convert", "columns="):
        assert word in warning
    assert "'B" not in warning
    assert connection.push(text, POOL, table, **options).warnings == ()  # it is text already
    connection.push(frame, POOL, table, mode="REPLACE")
    assert not connection.push(text, POOL, table, **options, columns={"AT": "STRING"}).warnings


@pytest.mark.parametrize("make", MAKES)
def test_a_bad_night_never_narrows_a_table(
    make: Make, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """REPLACE with `align` keeps the types and lengths where the frame fits them."""
    first = {"I": [1, 2], "F": [0.5, 1.5], "S": [LONG, "a"], "N": [1, 2]}
    bad = {"I": [1.0, GAP], "F": [1, 2], "S": ["b", None], "N": [None, None]}
    connection.push(make(first, tmp_path), POOL, table)
    options: dict[str, Any] = {"mode": "REPLACE", "schema_mode": "align"}
    assert connection.push(make(bad, tmp_path), POOL, table, **options).warnings == ()
    columns = {c.name: (c.existing_type, c.existing_length)
               for c in connection.plan(pd.DataFrame(first), POOL, table).columns}  # fmt: skip
    assert columns["S"][1] >= len(LONG)
    assert {name: kind for name, (kind, _) in columns.items()} == {
        "I": "INTEGER", "F": "FLOAT", "S": "STRING", "N": "INTEGER",
    }  # fmt: skip
    assert connection.push(make(first, tmp_path), POOL, table).ok


@pytest.mark.parametrize("make", MAKES)
def test_a_replace_that_does_not_fit_changes_the_types(
    make: Make, server: Any, connection: Celonis, table: str, tmp_path: Path
) -> None:
    """Of the columns that do not fit, with a warning; a stream ends with an error that says how."""
    connection.push(make({"A": [1, 2], "B": [1, 2], "C": ["a", "b"]}, tmp_path), POOL, table)
    values = {"A": [1.0, 2.0], "B": [1.0, 2.5], "C": [LONG, LONG]}
    options: dict[str, Any] = {"mode": "REPLACE", "schema_mode": "align"}
    if make is _generator:
        words = r"row 1, counted from 0\).*schema_mode=\"evolve\""
        with pytest.raises(exceptions.ColumnTypeError, match=words):
            connection.push(make(values, tmp_path), POOL, table, **options)
        assert server.table(POOL, table)["B"].to_pylist() == [1, 2]
        return
    (warning,) = connection.push(make(values, tmp_path), POOL, table, **options).warnings
    assert "['B']" in warning
    assert server.table(POOL, table).sort_by("B").to_pydict() == values


def test_changes_follow_the_table_in_every_frame(
    server: Any, connection: Celonis, table: str
) -> None:
    """Upserts and deletes whose types drift apart are one job; each warning is given once."""
    connection.push(WHOLE, POOL, table, keys="K")
    with connection.changes(POOL, table, keys="K") as changes:
        changes.upsert(pd.DataFrame({"K": [3, 4], "A": ["x", None], "B": [GAP, 4], "N": [1, 1]}))
        changes.delete(pd.DataFrame({"K": [1.0]}))
        changes.upsert(pd.DataFrame({"K": [5], "A": [7], "B": [5], "N": [1]}))
    rows = server.table(POOL, table).sort_by("K").to_pydict()
    assert rows == {"K": [2, 3, 4, 5], "A": ["b", "x", None, "7"], "B": [2, None, 4, 5],
                    "N": [None, 1, 1, 1]}  # fmt: skip
    assert len([text for text in changes.status.warnings if "new columns" in text]) == 1


def test_keys_deleted_from_a_table_that_the_changes_make(
    server: Any, connection: Celonis, table: str
) -> None:
    """There is a table by then, so no warning says that nothing is deleted."""
    with connection.changes(POOL, table, keys="K") as changes:
        changes.delete(pl.DataFrame({"K": [8]}))
        changes.upsert(pl.DataFrame({"K": [1, 2]}))
        changes.delete(pl.DataFrame({"K": [2]}))
    assert len([text for text in changes.status.warnings if "nothing is deleted" in text]) == 1
    assert server.table(POOL, table)["K"].to_pylist() == [1]
    with connection.changes(POOL, f"{table}_2", keys="K") as changes:
        changes.upsert(pl.DataFrame({"K": [1, 2]}))
        changes.delete(pl.DataFrame({"K": [2]}))
    assert changes.status.warnings == ()


def test_a_stage_has_the_types_of_the_table(own: Any, client: Celonis, tmp_path: Path) -> None:
    """What was aligned before the network was lost is what resume sends."""
    client.push(WHOLE, POOL, "T", keys="K")
    own.faults.drop("execute", times=None)
    frame = pd.DataFrame({"K": [3.0], "A": [45], "B": [GAP]})
    with pytest.raises(exceptions.CelonisFramesError):
        client.push(frame, POOL, "T", keys="K", staging=str(tmp_path))
    own.faults.clear()
    (status,) = client.resume(str(tmp_path))
    assert status.ok
    assert any("sent as text" in warning for warning in status.warnings)
    assert own.table(POOL, "T").sort_by("K").to_pylist()[-1] == {"K": 3, "A": "45", "B": None}


def test_many_tables_are_followed_each(server: Any, connection: Celonis, table: str) -> None:
    """push_many compares every frame with its own table; one that does not fit stops no other."""
    tables = {f"{table}_{place}": pl.DataFrame({"K": [place]}) for place in range(4)}
    connection.push_many(tables, POOL, keys="K")
    drifted = {name: frame.cast(pl.Float64) for name, frame in tables.items()}
    bad = f"{table}_2"
    drifted[bad] = pl.DataFrame({"K": [0.5]})
    with pytest.raises(exceptions.ColumnTypeError, match=bad) as caught:
        connection.push_many(drifted, POOL, keys="K")
    assert "These tables were pushed" in "".join(caught.value.__notes__)
    kinds = {name: server.table(POOL, name).schema.field("K").type for name in tables}
    assert set(kinds.values()) == {pa.int64()}


def test_pushes_at_the_same_time_follow_one_table(
    server: Any, connection: Celonis, table: str
) -> None:
    """Threads that share a connection append what they have."""
    connection.push(pl.DataFrame({"A": [0]}), POOL, table)
    kinds = enumerate([pl.Float64, pl.Int8, pl.UInt64, pl.Float32], 1)
    frames = [pl.DataFrame({"A": [place]}, schema={"A": kind}) for place, kind in kinds]
    threads = [threading.Thread(target=connection.push, args=(frame, POOL, table))
               for frame in frames]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(server.table(POOL, table)["A"].to_pylist()) == [0, 1, 2, 3, 4]


def test_a_table_with_only_the_date_of_change_is_there(own: Any, client: Celonis) -> None:
    """Whatever made it, mode="CREATE" does not drop it, and its new columns are named."""
    only = b'[{"name": "_CELONIS_CHANGE_DATE", "type": "DATE", "length": null}]'
    client.push(pl.DataFrame({"A": [1]}), POOL, "T")
    own.faults.answer("columns", 200, body=only, times=None)
    with pytest.raises(exceptions.ConfigError, match="exists, with 0 columns"):
        client.push(PART, POOL, "T", mode="CREATE")
    plan = client.plan(PART, POOL, "T")
    assert (plan.exists, [one.kind for one in plan.differences]) == (True, ["new", "new"])


def test_a_type_that_celonis_shows_as_another_is_no_difference(
    connection: Celonis, table: str
) -> None:
    """A plan says that what is shown as DATE may be DATETIME."""
    frame = pl.DataFrame({"AT": TYPED["DATETIME"], "ON": TYPED["DATE"], "B": [True, False]})
    connection.push(frame, POOL, table)
    plan = connection.plan(frame, POOL, table)
    assert plan.differences == ()
    for words in ("DATE or DATETIME", "INTEGER or BOOLEAN"):
        assert words in repr(plan)
        assert words in plan._repr_html_()
    assert "DATE or DATE " not in repr(plan)


def test_the_text_of_a_plan_shows_both_sides(server: Any, connection: Celonis, table: str) -> None:
    """Types and lengths side by side; HTML is escaped."""
    odd = "<b>&'\"</b>"
    connection.push(pl.DataFrame({"K": [1], odd: ["x"], "OLD": [1]}), POOL, table, keys="K")
    frame = pl.DataFrame({"K": [1.0], odd: ["x" * 100]})
    plan = celonis_frames.plan(frame, POOL, table, keys="K", client=connection)
    text, html = repr(plan), plan._repr_html_()
    for words in ("in the table", "STRING, 80", "lossy: OLD", f"lossy: {odd}", "safe: K"):
        assert words in text
    assert text.index("lossy: ") < text.index("safe: ")
    assert "<b>&" not in html
    assert "&lt;b&gt;&amp;" in html
    shown = {column.name: column for column in plan.columns}
    assert (shown[odd].longest, shown[odd].existing_length) == (100, 80)
    assert plan.to_dict()["level"] == plan.level == "lossy"
    assert _jobs(server, table)[0]["status"] == "DONE"
